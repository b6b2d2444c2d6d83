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

    /// Seconds that its requests took, each for itself.
    pub(crate) fn requests_s(&self) -> f64 {
        self.requests.iter().map(|(start, end)| end - start).sum::<i64>() as f64 / 1e6
    }

    /// Seconds that a meter bills, with what the log does not tell: a slice opens when the instance starts to be busy
    /// outside a billed slice, and again whenever a slice ends while it still is.
    pub(crate) fn billable_s(&self, unlogged: &Unlogged) -> f64 {
        let half_way = micros(unlogged.way_s / 2.0);
        let start_up = (self.main - micros(unlogged.before_main_s), self.ready);
        let shutdown = (unlogged.told_us.min(self.stopped), self.stopped + micros(unlogged.exit_s));
        let requests = self.requests.iter().map(|(start, end)| (start - half_way, end + half_way));
        let (mut slices, mut billed_until) = (0, i64::MIN);
        for (start, end) in [start_up].into_iter().chain(requests).chain([shutdown]) {
            if start >= billed_until {
                slices += 1;
                billed_until = start + SLICE_US;
            }
            while billed_until < end {
                slices += 1;
                billed_until += SLICE_US;
            }
        }
        (slices * SLICE_US) as f64 / 1e6
    }
}

/// What is billed and stands in no log.
#[derive(Default)]
pub(crate) struct Unlogged {
    /// From the start of the process to its `main`.
    pub(crate) before_main_s: f64,
    /// From the ingress to the instance and back.
    pub(crate) way_s: f64,
    /// When the instance was told to stop, in microseconds of wall time.
    pub(crate) told_us: i64,
    /// From the last line to the end of the process.
    pub(crate) exit_s: f64,
}

/// Bounds of the moment at which all instances of a revision, idle by then, were told to stop: not before the last answer
/// of any, not after the first last line of any.
pub(crate) fn told_us(instances: &[Instance]) -> (i64, i64) {
    let answered = instances.iter().flat_map(|instance| &instance.requests).map(|(_, end)| *end).max();
    let stopped = instances.iter().map(|instance| instance.stopped).min();
    (answered.unwrap(), stopped.unwrap())
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
    let late = i64::MAX;
    let billed =
        |requests: &[(i64, i64)]| life(requests).billable_s(&Unlogged { told_us: late, ..Unlogged::default() });
    // Three slices of start-up, one of shutdown.
    assert_eq!(billed(&[]), 0.4);
    let unlogged = Unlogged { before_main_s: 0.051, told_us: 8_899_000, exit_s: 0.1, ..Unlogged::default() };
    assert_eq!(life(&[]).billable_s(&unlogged), 0.4 + 0.1 + 0.2);
    // Inside the last slice of the start-up; outlasting it, with its way or without; two at once; one of no length.
    assert_eq!(billed(&[(260, 299)]), 0.4);
    assert_eq!(life(&[(260, 299)]).billable_s(&Unlogged { way_s: 0.004, told_us: late, ..Unlogged::default() }), 0.5);
    assert_eq!(billed(&[(260, 301)]), 0.5);
    assert_eq!(billed(&[(1_000, 1_150), (1_020, 1_160), (1_190, 1_200)]), 0.6);
    assert_eq!(billed(&[(1_000, 1_000)]), 0.5);
}
