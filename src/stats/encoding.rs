//! The saved form that both kinds of histograms share: what the standard `HdrHistogram` tools read, and beside it the
//! exact sum, which buckets do not hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a histogram looks like on disk.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    count: u64,
    sum_s: f64,
    hdr_v2_deflate_us: String,
}

impl Saved {
    pub(super) fn of<T: Counter>(buckets: &Histogram<T>, sum: Duration) -> Result<Self, String> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(buckets, &mut bytes).map_err(|error| error.to_string())?;
        Ok(Self { count: buckets.len(), sum_s: sum.as_secs_f64(), hdr_v2_deflate_us: STANDARD.encode(bytes) })
    }

    /// Adds the counts to `buckets`, which is empty, and gives the sum back.
    pub(super) fn read_into<T: Counter>(&self, buckets: &mut Histogram<T>) -> Result<Duration, String> {
        let bytes = STANDARD.decode(&self.hdr_v2_deflate_us).map_err(|error| error.to_string())?;
        let read: Histogram<T> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string())?;
        buckets.add(&read).map_err(|error| error.to_string())?;
        if buckets.len() != self.count {
            return Err(format!("its count is {}, and its buckets hold {}", self.count, buckets.len()));
        }
        Duration::try_from_secs_f64(self.sum_s).map_err(|error| error.to_string())
    }
}

/// The JSON Schema of the saved form.
pub(super) fn schema() -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "required": ["count", "sum_s", "hdr_v2_deflate_us"],
        "additionalProperties": false,
        "properties": {
            "count": {"type": "integer", "minimum": 0, "description": "How many durations it holds"},
            "sum_s": {"type": "number", "minimum": 0, "description": "Their exact sum in seconds"},
            "hdr_v2_deflate_us": {"type": "string", "description": "HdrHistogram V2 deflate, base64, microseconds"}
        }
    })
}
