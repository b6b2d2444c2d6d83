//! The interval log of `HdrHistogram`: one line per second and step with the whole histogram of response times, readable
//! by its standard tools. Values are microseconds; tags are the steps' names.

use crate::trial::Live;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::io;
use std::time::{Duration, UNIX_EPOCH};

/// The lines that begin a log of a load that started at `started_at` (RFC 3339).
///
/// # Errors
/// When the start is not a time.
pub fn hlog_head(started_at: &str) -> io::Result<Vec<u8>> {
    let start: jiff::Timestamp = started_at.parse().map_err(io::Error::other)?;
    let start = UNIX_EPOCH + Duration::try_from(start.as_duration()).map_err(io::Error::other)?;
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Response times in microseconds, warm-up included, of the requests that ended in each interval]")
        .add_comment("[Histogram log format version 1.3]")
        .with_start_time(start)
        // Said beside the start: readers then need not guess whether intervals count from it.
        .with_base_time(start)
        .begin_log_with(&mut log, &mut serializer)?;
    writer.write_comment("[Interval_Max is in microseconds too]")?;
    log.extend_from_slice(
        b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
    );
    Ok(log)
}

/// The lines of one interval: one for each step that ended in it.
///
/// # Errors
/// None that memory can give.
pub fn hlog_lines(live: &Live) -> io::Result<Vec<u8>> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new().begin_log_with(&mut log, &mut serializer)?;
    for step in &live.steps {
        let times = step.times().response_time;
        if times.count() == 0 {
            continue;
        }
        let name = tag(&step.name);
        let start = Duration::from_secs_f64(live.start_s);
        let length = Duration::from_secs_f64(live.length_s);
        writer
            .write_histogram(times.as_hdr(), start, length, Tag::new(&name))
            .map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(log)
}

/// A step's name as a tag, which holds no comma and no space.
fn tag(name: &str) -> String {
    name.chars().map(|c| if c == ',' || c.is_whitespace() { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::second;
    use super::*;
    use base64::Engine as _;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn a_reader_of_the_format_gets_every_histogram_back() {
        let (first, mut later) = (second(0.0), second(1.0));
        later.steps[1].classes = later.steps[0].classes.clone();
        let mut log = hlog_head(&first.started_at).unwrap();
        log.extend(hlog_lines(&first).unwrap());
        log.extend(hlog_lines(&later).unwrap());

        let entries: Vec<LogEntry<'_>> = IntervalLogIterator::new(&log).map(Result::unwrap).collect();
        let start = Duration::from_millis(1_795_341_600_250);
        assert_eq!(entries[..2], [LogEntry::StartTime(start), LogEntry::BaseTime(start)]);
        let mut seen = Vec::new();
        for entry in &entries[2..] {
            let LogEntry::Interval(interval) = entry else { panic!("{entry:?}") };
            let bytes = base64::engine::general_purpose::STANDARD.decode(interval.encoded_histogram()).unwrap();
            let histogram: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            assert_eq!(&histogram, first.steps[0].times().response_time.as_hdr());
            assert_eq!(interval.duration(), Duration::from_secs(1));
            assert_eq!(interval.max(), histogram.max() as f64);
            seen.push((interval.tag().unwrap().as_str().to_owned(), interval.start_timestamp().as_secs()));
        }
        let expected = [("list", 0), ("list", 1), ("pay__\"now\"_\\", 1)];
        assert_eq!(seen, expected.map(|(tag, start)| (tag.to_owned(), start)));
    }
}
