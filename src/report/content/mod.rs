//! What the report says below its first screen, section by section.

mod assumed;
mod candidates;
mod close_up;
mod conditions;
mod deliveries;
mod journeys;
mod trust;

/// Columns of times that other reports show too.
pub(super) mod close_up_times {
    pub(in crate::report) use super::close_up::{TIMES, measured, times};
}

use super::document::Block;
use crate::trial::Study;

/// All sections in order.
pub(super) fn sections(study: &Study) -> Vec<Block> {
    let mut blocks = candidates::section(study);
    blocks.extend(close_up::section(study));
    blocks.extend(trust::section(study));
    blocks.extend(conditions::section(study));
    blocks
}
