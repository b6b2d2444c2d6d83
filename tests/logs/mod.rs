//! What instances wrote into their own logs, and what a meter bills for it: billable time from the other side.

use serde_json::Value;
use std::fs;
use std::path::Path;

/// Length of a billed slice, in microseconds.
const SLICE_US: i64 = 100_000;

/// One instance's life as its log tells it, in microseconds of wall time.
pub(crate) struct Instance {
    /// Its `main` began: when it was ready, less the start-up that it timed itself.
    main: i64,
    ready: i64,
    /// From the first byte it saw of a request to the answer, in the order of their starts.
    requests: Vec<(i64, i64)>,
    /// Its last line.
    stopped: i64,
}

/// Every instance of a revision that wrote into the folder.
pub(crate) fn instances(folder: &Path, revision: &str) -> Vec<Instance> {
    let mut instances = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with(&format!("{revision}-")) {
            let text = fs::read_to_string(&path).unwrap();
            instances.push(Instance::read(&text).unwrap_or_else(|| panic!("{name} lacks a line:\n{text}")));
        }
    }
    instances
}

impl Instance {
    fn read(log: &str) -> Option<Self> {
        let (mut ready, mut stopped, mut requests) = (None, None, Vec::new());
        for entry in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let process = &entry["process"];
            match entry["message"].as_str() {
                Some("ready") => ready = Some((moment(&entry["time"])?, micros(process["startup_ms"].as_f64()? / 1e3))),
                Some("stopped") => {
                    assert_eq!(process["log_lines_dropped"], 0, "a log with gaps proves nothing");
                    stopped = Some(moment(&entry["time"])?);
                }
                _ if entry["httpRequest"].is_object() => {
                    let (start, latency) = (moment(&entry["startTime"])?, entry["httpRequest"]["latency"].as_str()?);
                    requests.push((start, start + micros(latency.strip_suffix('s')?.parse().ok()?)));
                }
                _ => {}
            }
        }
        requests.sort_unstable();
        let (ready, startup) = ready?;
        Some(Self { main: ready - startup, ready, requests, stopped: stopped? })
    }

    /// Requests that it served.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.len() as u64
    }

    /// Seconds from its `main` until it was ready.
    pub(crate) fn startup_s(&self) -> f64 {
        (self.ready - self.main) as f64 / 1e6
    }

    /// Seconds that a meter bills, were the process begun `before_main_s` before its `main`: a slice opens when the
    /// instance starts to be busy outside a billed slice, and again whenever a slice ends while it still is.
    pub(crate) fn billable_s(&self, before_main_s: f64) -> f64 {
        let start_up = (self.main - micros(before_main_s), self.ready);
        let (mut slices, mut billed_until) = (0, i64::MIN);
        for (start, end) in [start_up].iter().chain(&self.requests).chain(&[(self.stopped, self.stopped)]) {
            if *start >= billed_until {
                slices += 1;
                billed_until = start + SLICE_US;
            }
            while billed_until < *end {
                slices += 1;
                billed_until += SLICE_US;
            }
        }
        (slices * SLICE_US) as f64 / 1e6
    }
}

fn moment(text: &Value) -> Option<i64> {
    Some(text.as_str()?.parse::<jiff::Timestamp>().ok()?.as_microsecond())
}

#[expect(clippy::cast_possible_truncation, reason = "a study takes minutes")]
fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[test]
fn slices_are_opened_as_the_meter_opens_them() {
    let life = |requests: &[(i64, i64)]| {
        let ms = |(start, end): &(i64, i64)| (start * 1_000, end * 1_000);
        Instance { main: 0, ready: 250_000, requests: requests.iter().map(ms).collect(), stopped: 9_000_000 }
    };
    // Three slices of start-up, one of shutdown.
    assert_eq!(life(&[]).billable_s(0.0), 0.4);
    assert_eq!(life(&[]).billable_s(0.051), 0.5);
    // Inside the last slice of the start-up; outlasting it; two at once; one of no length.
    assert_eq!(life(&[(260, 299)]).billable_s(0.0), 0.4);
    assert_eq!(life(&[(260, 301)]).billable_s(0.0), 0.5);
    assert_eq!(life(&[(1_000, 1_150), (1_020, 1_160), (1_190, 1_200)]).billable_s(0.0), 0.6);
    assert_eq!(life(&[(1_000, 1_000)]).billable_s(0.0), 0.5);
}
