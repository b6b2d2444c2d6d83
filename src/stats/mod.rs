//! Arithmetic on measurements: histograms and quantiles, steady state, confidence. No I/O, no clock, no randomness.

mod histogram;
mod steady;

pub use histogram::Histogram;
pub use steady::{Steadiness, steady_state};
