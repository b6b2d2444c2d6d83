//! The series of a run: what was due, what came back and how long it took, second by second. Memory is bounded
//! whatever the length of the run: when there are too many intervals, each two become one.

use crate::stats::Sketch;
use crate::trial::Interval;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// Intervals kept at most. With 13 KiB each that is 8 MiB.
const INTERVALS_MAX: usize = 600;
/// Length of an interval at first.
const SECOND: Duration = Duration::from_secs(1);
/// Seconds that the recent response times reach back.
const RECENT_SECONDS: u64 = 3;

/// Response times of the last few seconds, for who watches.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Recent {
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) p99: Duration,
    /// Counts by the upper bounds of their bars.
    pub(super) histogram: Vec<(Duration, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Stretch {
    arrivals: u64,
    requests_due: u64,
    completed: u64,
    failed: u64,
    in_flight: u64,
    response_times: Sketch,
}

impl Stretch {
    /// Takes in the stretch that follows.
    fn absorb(&mut self, next: &Self) {
        self.arrivals += next.arrivals;
        self.requests_due += next.requests_due;
        self.completed += next.completed;
        self.failed += next.failed;
        self.in_flight = next.in_flight;
        self.response_times.merge(&next.response_times);
    }
}

/// Intervals from the start of the load on.
#[derive(Debug)]
pub(super) struct Series {
    length: Duration,
    /// The nanoseconds of the stretch that was asked for last, and its place: most events fall into it.
    latest: (Range<u64>, usize),
    stretches: Vec<Stretch>,
    /// The stretch that was on when time was last told.
    current: usize,
    in_flight: u64,
    recent: VecDeque<(u64, Sketch)>,
}

impl Series {
    pub(super) fn new() -> Self {
        Self {
            length: SECOND,
            latest: (0..0, 0),
            stretches: Vec::new(),
            current: 0,
            in_flight: 0,
            recent: VecDeque::new(),
        }
    }

    /// An arrival was due, or a session began.
    pub(super) fn arrive(&mut self, due: Duration) {
        self.at(due).arrivals += 1;
    }

    /// A request became due.
    pub(super) fn due(&mut self, due: Duration) {
        self.at(due).requests_due += 1;
    }

    /// A request was sent.
    pub(super) fn send(&mut self, sent: Duration) {
        self.advance(sent);
        self.in_flight += 1;
    }

    /// The request that was due at `due` ended at `done`.
    pub(super) fn settle(&mut self, due: Duration, done: Duration, completed: bool) {
        self.advance(done);
        self.in_flight = self.in_flight.saturating_sub(1);
        let ended_in = self.at(done);
        if completed {
            ended_in.completed += 1;
        } else {
            ended_in.failed += 1;
        }
        let response_time = done.saturating_sub(due);
        self.at(due).response_times.record(response_time);
        let second = done.as_secs();
        if self.recent.back().is_none_or(|(last, _)| *last < second) {
            self.recent.push_back((second, Sketch::default()));
            self.forget(second);
        }
        if let Some((_, sketch)) = self.recent.back_mut() {
            sketch.record(response_time);
        }
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The response times that ended within the last few seconds.
    pub(super) fn recent(&mut self, now: Duration) -> Recent {
        self.forget(now.as_secs());
        let mut all = Sketch::default();
        for (_, sketch) in &self.recent {
            all.merge(sketch);
        }
        let quantile = |q: f64| Duration::from_secs_f64(all.quantile_ms(q) / 1e3);
        Recent { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), histogram: all.bars() }
    }

    fn forget(&mut self, second: u64) {
        while self.recent.front().is_some_and(|(first, _)| first + RECENT_SECONDS <= second) {
            self.recent.pop_front();
        }
    }

    /// Ends the series at `end` and gives it back, with its histograms if `keep` says so.
    pub(super) fn conclude(&mut self, end: Duration, keep: bool) -> Vec<Interval> {
        self.advance(end);
        let length = self.length.as_secs_f64();
        if let Some(last) = self.stretches.get_mut(self.current) {
            last.in_flight = self.in_flight;
        }
        let told = |(index, stretch): (usize, Stretch)| {
            let start_s = index as f64 * length;
            let remaining = end.as_secs_f64() - start_s;
            let mut interval = Interval {
                start_s,
                // The run ends within its last interval.
                length_s: if remaining > 0.0 { remaining.min(length) } else { length },
                arrivals: stretch.arrivals,
                requests_due: stretch.requests_due,
                completed: stretch.completed,
                failed: stretch.failed,
                in_flight: stretch.in_flight,
                ..Interval::default()
            };
            interval.tell(stretch.response_times, keep);
            interval
        };
        std::mem::take(&mut self.stretches).into_iter().enumerate().map(told).collect()
    }

    /// Notes how many requests were in flight at the end of every stretch that ended before `now`.
    fn advance(&mut self, now: Duration) {
        let index = self.index(now);
        while self.current < index {
            let in_flight = self.in_flight;
            if let Some(stretch) = self.stretches.get_mut(self.current) {
                stretch.in_flight = in_flight;
            }
            self.current += 1;
        }
    }

    fn at(&mut self, time: Duration) -> &mut Stretch {
        let index = self.index(time);
        &mut self.stretches[index]
    }

    /// The place of `time`; makes room for it.
    fn index(&mut self, time: Duration) -> usize {
        let nanos = nanos_of(time);
        if self.latest.0.contains(&nanos) {
            return self.latest.1;
        }
        while nanos / nanos_of(self.length) >= INTERVALS_MAX as u64 {
            self.halve();
        }
        let length = nanos_of(self.length);
        let index = usize::try_from(nanos / length).unwrap_or(INTERVALS_MAX - 1);
        let start = nanos - nanos % length;
        self.latest = (start..start.saturating_add(length), index);
        while self.stretches.len() <= index {
            self.stretches.push(Stretch::default());
        }
        index
    }

    /// Makes one of each two intervals.
    fn halve(&mut self) {
        let stretches = std::mem::take(&mut self.stretches);
        let mut pairs = stretches.into_iter();
        while let Some(mut first) = pairs.next() {
            if let Some(second) = pairs.next() {
                first.absorb(&second);
            }
            self.stretches.push(first);
        }
        self.latest = (0..0, 0);
        self.length *= 2;
        self.current /= 2;
    }
}

/// Nanoseconds, of which 64 bits hold five centuries.
fn nanos_of(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stall_shows_where_it_was_due_and_its_end_where_it_was_done() {
        let mut series = Series::new();
        for ms in [100, 1200, 1300] {
            series.arrive(ms * MS);
            series.due(ms * MS);
            series.send(ms * MS);
            if ms == 100 {
                series.settle(100 * MS, 110 * MS, true);
            }
        }
        series.settle(1200 * MS, 3200 * MS, true);
        series.settle(1300 * MS, 3300 * MS, false);
        let intervals = series.conclude(3500 * MS, false);
        assert_eq!(intervals.len(), 4);
        assert_eq!(intervals.iter().map(|i| i.requests_due).collect::<Vec<_>>(), [1, 2, 0, 0]);
        assert_eq!(
            intervals.iter().map(|i| (i.completed, i.failed)).collect::<Vec<_>>(),
            [(1, 0), (0, 0), (0, 0), (1, 1)]
        );
        assert_eq!(intervals.iter().map(|i| i.in_flight).collect::<Vec<_>>(), [0, 2, 2, 0]);
        assert_eq!(intervals[1].response_time_mean_ms, 2000.0);
        assert!((intervals[1].response_time_p50_ms - 2000.0).abs() < 20.0);
        assert!((intervals[3].length_s - 0.5).abs() < 1e-9);
    }

    #[test]
    fn ten_hours_take_no_more_memory_than_ten_minutes_and_nothing_is_lost() {
        let mut series = Series::new();
        let seconds = 36_000;
        for second in 0..seconds {
            let due = Duration::from_secs(second);
            series.arrive(due);
            series.due(due);
            series.send(due);
            series.settle(due, due + 10 * MS, second % 10 != 0);
        }
        assert!(series.stretches.capacity() <= 2 * INTERVALS_MAX);
        let intervals = series.conclude(Duration::from_secs(seconds), false);
        assert!(intervals.len() <= INTERVALS_MAX);
        assert_eq!(intervals.iter().map(|i| i.arrivals).sum::<u64>(), seconds);
        assert_eq!(intervals.iter().map(|i| i.completed).sum::<u64>(), seconds / 10 * 9);
        assert_eq!(intervals.iter().map(|i| i.failed).sum::<u64>(), seconds / 10);
        assert!(intervals.iter().all(|i| (i.response_time_p50_ms - 10.0).abs() < 0.1));
        // 36,000 s in at most 600 intervals whose length is a power of two.
        assert_eq!(intervals[0].length_s, 64.0);
    }

    #[test]
    fn recent_response_times_are_forgotten() {
        let mut series = Series::new();
        series.send(Duration::ZERO);
        series.settle(Duration::ZERO, 900 * MS, true);
        assert!(series.recent(1000 * MS).p99 > 890 * MS);
        assert_eq!(series.recent(4000 * MS), Recent::default());
    }

    #[test]
    fn the_bars_of_recent_response_times_hold_each_of_them_once() {
        let mut series = Series::new();
        for ms in [4, 40, 45, 49, 400] {
            series.send(Duration::ZERO);
            series.settle(Duration::ZERO, ms * MS, true);
        }
        let bars = series.recent(500 * MS).histogram;
        let told: Vec<(u128, u64)> =
            bars.iter().filter(|(_, count)| *count > 0).map(|(bound, count)| (bound.as_millis(), *count)).collect();
        assert_eq!(told, [(5, 1), (50, 3), (500, 1)]);
        assert_eq!((bars.first().unwrap().1, bars.last().unwrap().1, bars.len()), (1, 1, 13), "two decades");
        assert!(bars.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
