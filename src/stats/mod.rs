//! Arithmetic on measurements: histograms and quantiles, steady state, confidence. No I/O, no clock, no randomness.

mod block_bootstrap;
mod encoding;
mod excess;
mod histogram;
mod sketch;
mod steady;

pub use block_bootstrap::{QuantileRatio, quantile_ratio};
pub use excess::excess;
pub use histogram::Histogram;
pub use sketch::Sketch;
pub use steady::{Steadiness, steady_state};
