//! The saved form that both kinds of histograms share: what the standard `HdrHistogram` tools read, and beside it the
//! exact sum, which buckets do not hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::time::Duration;

/// The first bytes of the compressed form.
const COMPRESSED_COOKIE: [u8; 4] = [0x1c, 0x84, 0x93, 0x14];
/// Bytes before the counts: cookie, length, offset, digits, lowest and highest value, ratio.
const HEAD_BYTES: usize = 40;
/// 23,552 counts of at most 9 bytes each fit into it.
const PLAIN_BYTES_MAX: u64 = 256 * 1024;

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
        let plain = inflated(&bytes)?;
        let own = [buckets.low(), buckets.high(), u64::from(buckets.sigfig())];
        if bounds_told(&plain) != Some(own) {
            return Err("this is no histogram with the bounds of tidegate's".to_owned());
        }
        let read: Histogram<T> =
            Deserializer::new().deserialize(&mut plain.as_slice()).map_err(|error| error.to_string())?;
        buckets.add(&read).map_err(|error| error.to_string())?;
        if buckets.len() != self.count {
            return Err(format!("its count is {}, and its buckets hold {}", self.count, buckets.len()));
        }
        Duration::try_from_secs_f64(self.sum_s).map_err(|error| error.to_string())
    }
}

/// The plain V2 form within the compressed one. A file that is not tidegate's own may say any length and inflate to any: no
/// more is read than a histogram can have.
fn inflated(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let (head, deflated) = bytes.split_at_checked(8).ok_or("this is no histogram: it is too short")?;
    if head[..4] != COMPRESSED_COOKIE {
        return Err("this is no histogram in HdrHistogram's V2 deflate form".to_owned());
    }
    let mut plain = Vec::new();
    ZlibDecoder::new(deflated).take(PLAIN_BYTES_MAX).read_to_end(&mut plain).map_err(|error| error.to_string())?;
    Ok(plain)
}

/// Lowest and highest value and significant digits, when the length that the head tells is that of what follows.
fn bounds_told(plain: &[u8]) -> Option<[u64; 3]> {
    let at = |from: usize, to: usize| {
        let bytes = plain.get(from..to)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let length = at(4, 8)?;
    (length == plain.len().checked_sub(HEAD_BYTES)? as u64).then_some([at(16, 24)?, at(24, 32)?, at(12, 16)?])
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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn empty() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap()
    }

    fn plain() -> Vec<u8> {
        let mut histogram = empty();
        (1..2000).for_each(|us| histogram.record(us * us).unwrap());
        let saved = Saved::of(&histogram, Duration::from_secs(1)).unwrap();
        inflated(&STANDARD.decode(saved.hdr_v2_deflate_us).unwrap()).unwrap()
    }

    fn read(plain: &[u8]) -> Result<Duration, String> {
        let mut bytes = COMPRESSED_COOKIE.to_vec();
        bytes.extend([0; 4]);
        let mut encoder = ZlibEncoder::new(bytes, flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        let saved = Saved { count: 1999, sum_s: 1.0, hdr_v2_deflate_us: STANDARD.encode(encoder.finish().unwrap()) };
        saved.read_into(&mut empty())
    }

    proptest! {
        #[test]
        fn what_is_no_histogram_is_refused_and_nothing_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>()) {
            let mut bytes = plain();
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            // Whether it is read or refused depends on what was changed; what was cut is refused.
            let _ = read(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(read(&bytes).is_err());
        }
    }

    #[test]
    fn lengths_and_bounds_that_ask_for_memory_are_refused() {
        assert_eq!(read(&plain()), Ok(Duration::from_secs(1)));
        let changed = |from: usize, bytes: &[u8]| {
            let mut plain = plain();
            plain[from..from + bytes.len()].copy_from_slice(bytes);
            read(&plain).unwrap_err()
        };
        assert!(changed(4, &[255; 4]).contains("bounds"), "a length of 4 GiB");
        assert!(changed(24, &[127, 255, 255, 255, 255, 255, 255, 255]).contains("bounds"), "centuries");
        assert!(changed(12, &[0, 0, 0, 5]).contains("bounds"), "five digits");
        assert!(read(&vec![0; 10_000_000]).unwrap_err().contains("bounds"), "ten megabytes of nothing");
        let saved =
            |text: &str| Saved { count: 0, sum_s: 0.0, hdr_v2_deflate_us: text.to_owned() }.read_into(&mut empty());
        assert!(saved("").unwrap_err().contains("too short"));
        assert!(saved("not base64").is_err() && saved("AAAAAAAAAAAAAAAA").unwrap_err().contains("V2 deflate"));
        let count = Saved { count: 5, ..Saved::of(&empty(), Duration::ZERO).unwrap() };
        assert!(count.read_into(&mut empty()).unwrap_err().contains("its count is 5"));
    }
}
