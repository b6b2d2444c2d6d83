//! Arithmetic on measurements: histograms and quantiles, steady state, confidence. No I/O, no clock, no randomness.

mod encoding;
mod excess;
mod histogram;
mod quantile_ratio;
mod sketch;
mod steady;

pub use excess::excess;
pub use histogram::Histogram;
pub use quantile_ratio::{QuantileRatio, quantile_ratio};
pub use sketch::Sketch;
pub use steady::{Steadiness, steady_state};
