//! Recordings in the formats of other tools. CSV and `.hgrm` are of a whole recording, its warm-up left out; NDJSON, the
//! HdrHistogram log, Prometheus and OTLP tell a run while it goes on, and hold every request, warm-up included.

mod hgrm;
mod hlog;
mod ndjson;
mod otlp;
mod prometheus;
mod table;

pub use hgrm::hgrm;
pub use hlog::{hlog_head, hlog_lines};
pub use ndjson::ndjson_line;
pub use otlp::{Otlp, otlp};
pub use prometheus::prometheus;
pub use table::csv;

#[cfg(test)]
mod fixture;

use std::time::Duration;

/// Upper bounds of the buckets that Prometheus and OTLP get, in microseconds: 1, 2 and 5 of each decade from 100 us to 50 s. The
/// recording itself tells times apart to 0.1 %.
const BOUNDS_US: [u64; 18] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000, 20_000_000, 50_000_000,
];

fn bounds() -> impl Iterator<Item = Duration> {
    BOUNDS_US.into_iter().map(Duration::from_micros)
}
