//! Rules that end a run early, judged while it goes on. Requests are counted as they are sent and as they end, a few
//! additions each, into cells of bounded number; what the cells say is judged four times a second.

use super::recorder::Flight;
use super::window::{Cells, Outstanding};
use crate::scenario::{AbortRule, AbortWhen, Plan, Slo, SloMetric};
use crate::trial::Aborted;
use std::collections::VecDeque;
use std::time::Duration;

/// A sending later than this counts as late where the driver's fault is judged: the bound of lateness that holds for a
/// service of any speed.
const LATE: Duration = Duration::from_millis(1);
/// Late sendings above this share are the driver's fault, as they are in the verdict on the whole run: its p99.
const LATE_SHARE_MAX: f64 = 0.01;
/// A mean speaks for a service only if at most this share of its requests failed, as in the verdict on the whole run.
const MISSES_OF_A_MEAN: f64 = 0.05;
/// Arrivals counted at most before a load begins: about a second's work.
const ARRIVALS_MAX: usize = 20_000_000;

/// All rules of a run.
#[derive(Debug, Default)]
pub(super) struct Guards {
    promises: Vec<Promise>,
    rates: Vec<Rate>,
}

/// How far a run is, for the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Since the start of the load.
    pub(super) now: Duration,
    /// Requests that have become due.
    pub(super) due: u64,
    /// Requests answered as expected.
    pub(super) completed: u64,
}

impl Guards {
    /// The rules of `plan`'s scenario.
    pub(super) fn of(plan: &Plan) -> Self {
        let scenario = plan.scenario();
        let written: Duration = scenario.stages.iter().map(|stage| stage.duration).sum();
        let shrink = if written.is_zero() { 1.0 } else { plan.duration().div_duration_f64(written) };
        let names = scenario.step_names();
        let mut guards = Self::default();
        for rule in &scenario.abort {
            let after = rule.after.mul_f64(shrink);
            match &rule.when {
                AbortWhen::Lost(slo) => guards.promises.push(Promise::new(rule, slo, &names, after, None)),
                AbortWhen::Broken { slo, over } => {
                    let over = over.mul_f64(shrink);
                    guards.promises.push(Promise::new(rule, slo, &names, after, Some(over)));
                }
                AbortWhen::Behind { share, over } => {
                    guards.rates.push(Rate::new(rule, *share, after, over.mul_f64(shrink)));
                }
            }
        }
        for promise in guards.promises.iter_mut().filter(|promise| promise.over.is_none()) {
            promise.planned = planned(plan, promise.step);
        }
        guards
    }

    pub(super) fn is_empty(&self) -> bool {
        self.promises.is_empty() && self.rates.is_empty()
    }

    /// A request is sent; `measured` says whether promises speak of it.
    pub(super) fn send(&mut self, flight: &Flight, measured: bool) {
        for promise in self.promises.iter_mut().filter(|promise| measured && promise.speaks_of(flight.step)) {
            promise.outstanding.add(flight.due);
        }
        for rate in &mut self.rates {
            rate.send(flight);
        }
    }

    /// A request ended.
    pub(super) fn settle(&mut self, flight: &Flight, done: Duration, failed: bool, measured: bool) {
        for promise in self.promises.iter_mut().filter(|promise| measured && promise.speaks_of(flight.step)) {
            promise.outstanding.remove(flight.due);
            let response_time = done.saturating_sub(flight.due);
            let tally = promise.tallies.at(done);
            tally.ended += 1;
            tally.slow += u64::from(promise.limit.is_some_and(|limit| response_time >= limit));
            tally.failed += u64::from(failed);
            tally.sum += response_time;
        }
    }

    /// A request of `step` that would have been measured is never sent.
    pub(super) fn lose(&mut self, step: usize, now: Duration) {
        for promise in self.promises.iter_mut().filter(|promise| promise.speaks_of(step)) {
            promise.tallies.at(now).dropped += 1;
        }
    }

    /// Why the run must end, if it must.
    pub(super) fn judge(&mut self, reading: Reading) -> Option<Aborted> {
        let broken = self.promises.iter_mut().find_map(|promise| promise.judge(reading.now));
        broken.or_else(|| self.rates.iter_mut().find_map(|rate| rate.judge(reading)))
    }
}

/// How many requests that promises speak of the plan holds, of one step or of all; `None` when they are too many to
/// count.
fn planned(plan: &Plan, step: Option<usize>) -> Option<u64> {
    let measured = |due: Duration| plan.stage_at(due).is_some_and(|stage| due >= stage.measured_from);
    let journeys = &plan.scenario().journeys;
    let of_journey = |journey: usize| {
        let numbers = (0..journeys[journey].steps.len()).map(|place| plan.step_number(journey, place));
        numbers.filter(|number| step.is_none_or(|step| step == *number)).count() as u64
    };
    let by_journey: Vec<u64> = (0..journeys.len()).map(of_journey).collect();
    let (mut arrivals, mut requests) = (0, 0);
    for arrival in plan.arrivals() {
        arrivals += 1;
        if arrivals > ARRIVALS_MAX {
            return None;
        }
        requests += if measured(arrival.due) { by_journey[arrival.journey] } else { 0 };
    }
    Some(requests)
}

/// Requests of a stretch of time, by what became of them.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    ended: u64,
    /// With a response time of the limit or longer.
    slow: u64,
    failed: u64,
    dropped: u64,
    sum: Duration,
}

/// A promise under watch.
#[derive(Debug)]
struct Promise {
    rule: String,
    metric: SloMetric,
    limit: Option<Duration>,
    step: Option<usize>,
    after: Duration,
    /// `None` for the run as a whole.
    over: Option<Duration>,
    tallies: Cells<Tally>,
    /// Those that wait for an answer.
    outstanding: Outstanding,
    /// Requests that the whole plan holds, where they can be counted.
    planned: Option<u64>,
}

impl Promise {
    fn new(rule: &AbortRule, slo: &Slo, names: &[&str], after: Duration, over: Option<Duration>) -> Self {
        let limit = match slo.metric {
            SloMetric::ResponseTime { limit, .. } | SloMetric::MeanResponseTime { limit } => Some(limit),
            SloMetric::ErrorRate { .. } => None,
        };
        Self {
            rule: rule.text.clone(),
            metric: slo.metric,
            limit,
            step: slo.step.as_ref().and_then(|step| names.iter().position(|name| name == step)),
            after,
            over,
            tallies: Cells::new(over),
            outstanding: Outstanding::new(limit.unwrap_or(Duration::from_secs(1))),
            planned: None,
        }
    }

    fn speaks_of(&self, step: usize) -> bool {
        self.step.is_none_or(|own| own == step)
    }

    fn judge(&mut self, now: Duration) -> Option<Aborted> {
        let mut all = Tally::default();
        for tally in self.tallies.all(now) {
            all.ended += tally.ended;
            all.slow += tally.slow;
            all.failed += tally.failed;
            all.dropped += tally.dropped;
            all.sum += tally.sum;
        }
        // Whoever waits for longer than the limit has broken it already: so a stall is seen while it lasts.
        let overdue = self.limit.map_or(0, |limit| self.outstanding.older_than(limit, now));
        let known = all.ended + all.dropped + overdue;
        if now < self.after || known == 0 {
            return None;
        }
        let of = match (self.over, self.planned) {
            (Some(_), _) => known,
            (None, Some(planned)) => planned.max(known),
            (None, None) => return None,
        };
        let cause = self.broken(&all, overdue, of)?;
        let told = match self.over {
            Some(over) => format!("{cause} over the last {}", seconds(over)),
            None => format!("{cause}, so that it cannot be kept any more"),
        };
        Some(Aborted { at_s: now.as_secs_f64(), rule: self.rule.clone(), cause: told, driver_at_fault: false })
    }

    /// How the promise is broken when there are `of` requests, all fast and good but for those that are known.
    fn broken(&self, all: &Tally, overdue: u64, of: u64) -> Option<String> {
        let (slow, missed) = (all.slow + overdue, all.failed + all.dropped);
        let known = all.ended + all.dropped + overdue;
        let share = |count: u64| count as f64 / of as f64;
        // 1 − 0.95 is a little more than 0.05 in floating point: the bound itself still passes.
        let beyond = |count: u64, allowed: f64| share(count) > allowed + 1e-9;
        let requests = |count: u64| match self.over {
            Some(_) => format!("{count} of {of} requests"),
            None => format!("{count} of the {of} requests of the whole run"),
        };
        let failed = || format!("{} failed or were dropped", requests(missed));
        match self.metric {
            SloMetric::ErrorRate { limit } => (share(missed) >= limit).then(failed),
            SloMetric::ResponseTime { quantile, limit } => beyond(slow, 1.0 - quantile)
                .then(|| format!("{} took {} or longer", requests(slow), seconds(limit)))
                .or_else(|| beyond(missed, 1.0 - quantile).then(failed)),
            SloMetric::MeanResponseTime { limit } => {
                // Of those that still wait it is known only that they took as long as the limit.
                let sum = all.sum.as_secs_f64() + overdue as f64 * limit.as_secs_f64();
                let mean = sum / of as f64;
                (mean >= limit.as_secs_f64())
                    .then(|| format!("the mean of {} was at least {:.1} ms", requests(known), mean * 1e3))
                    .or_else(|| beyond(missed, MISSES_OF_A_MEAN).then(failed))
            }
        }
    }
}

/// A rate under watch.
#[derive(Debug)]
struct Rate {
    rule: String,
    share: f64,
    after: Duration,
    over: Duration,
    readings: VecDeque<Reading>,
    sendings: Cells<Sendings>,
}

/// Sendings of a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
struct Sendings {
    all: u64,
    late: u64,
    lateness: Duration,
    blocked: Duration,
}

impl Rate {
    fn new(rule: &AbortRule, share: f64, after: Duration, over: Duration) -> Self {
        let sendings = Cells::new(Some(over));
        Self { rule: rule.text.clone(), share, after, over, readings: VecDeque::new(), sendings }
    }

    fn send(&mut self, flight: &Flight) {
        let lateness = flight.sent.saturating_sub(flight.due).saturating_sub(flight.blocked);
        let sendings = self.sendings.at(flight.sent);
        sendings.all += 1;
        sendings.late += u64::from(lateness > LATE);
        sendings.lateness += lateness;
        sendings.blocked += flight.blocked;
    }

    fn judge(&mut self, reading: Reading) -> Option<Aborted> {
        self.readings.push_back(reading);
        let kept = self.over + self.answering();
        // The oldest reading that is kept is the youngest that is so long ago.
        while self.readings.get(1).is_some_and(|then| then.now + kept <= reading.now) {
            self.readings.pop_front();
        }
        let (then, offered) = self.window(reading);
        let achieved = reading.completed.saturating_sub(then.completed);
        if reading.now < self.after || offered == 0 || achieved as f64 >= self.share * offered as f64 {
            return None;
        }
        let length = reading.now.saturating_sub(then.now).as_secs_f64();
        let rate = |count: u64| count as f64 / length;
        Some(Aborted {
            at_s: reading.now.as_secs_f64(),
            rule: self.rule.clone(),
            cause: format!(
                "achieved {:.1}/s, {:.1} % of {:.1}/s offered over the last {length:.1} s",
                rate(achieved),
                100.0 * achieved as f64 / offered as f64,
                rate(offered)
            ),
            driver_at_fault: self.driver_at_fault(reading.now),
        })
    }

    /// How long an answer may take before it is missed: where the rate rises, what is answered is what was offered a response
    /// time before, and a service that keeps up is not behind for that.
    fn answering(&self) -> Duration {
        self.over / 2
    }

    /// The reading that the window until `reading` begins with, which is the youngest that is a window older, or the oldest of
    /// all; and what was offered in that window, or in an earlier one that the answers within it may be due to, where that was
    /// less. One pass, whatever the length of the window: this runs on the thread that sends.
    fn window(&self, reading: Reading) -> (Reading, u64) {
        let (mut begin, mut then, mut least) = (0, reading, u64::MAX);
        for end in &self.readings {
            while self.readings.get(begin + 1).is_some_and(|next| next.now + self.over <= end.now) {
                begin += 1;
            }
            then = self.readings[begin];
            if end.now + self.answering() >= reading.now {
                least = least.min(end.due - then.due);
            }
        }
        (then, least)
    }

    /// Whether more of the waiting was for the driver than for room: then the service could have had more.
    fn driver_at_fault(&mut self, now: Duration) -> bool {
        let mut sum = Sendings::default();
        for sendings in self.sendings.all(now) {
            sum.all += sendings.all;
            sum.late += sendings.late;
            sum.lateness += sendings.lateness;
            sum.blocked += sendings.blocked;
        }
        sum.late as f64 > LATE_SHARE_MAX * sum.all as f64 && sum.lateness > sum.blocked
    }
}

fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{} s", duration.as_secs_f64())
    }
}
