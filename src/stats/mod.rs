//! Arithmetic on measurements: histograms and quantiles, steady state, confidence. No I/O, no clock, no randomness.

mod histogram;

pub use histogram::Histogram;
