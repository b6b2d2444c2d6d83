//! From the ledger to the record.

use super::super::delivery::{
    ConsumerRecording, DeliveryBooks, DeliveryInterval, DeliveryRecording, FaultRecording, PostBooks,
};
use super::{Book, Ledger, NEVER, Post, State};
use crate::stats::{QuantileRatio, Sketch, quantile_ratio};
use std::collections::BTreeMap;
use std::time::Duration;

/// Intervals of a series at most; a longer run has longer ones.
const INTERVALS_MAX: u64 = 600;
/// The quantile that is compared inside and outside of faults.
const COMPARED: f64 = 0.95;
const SECOND: u64 = 1_000_000;

/// Times by the second that their reports were due in.
type Seconds = Vec<(u64, Vec<u64>)>;

/// By what a ledger is concluded.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The step that posted the reports.
    pub step: String,
    /// Delivered later than this after it was due, a report is late.
    pub within: Duration,
    /// How long after the load deliveries were waited for, at most.
    pub drain_limit: Duration,
    /// When deliveries were looked for the last time.
    pub looked_until: Duration,
    /// What platform and broker times were divided by.
    pub time_factor: f64,
    /// What went wrong, and when.
    pub faults: Vec<FaultRecording>,
    /// Seed of the resamples.
    pub seed: u64,
}

impl Ledger {
    /// The record: what was acknowledged and is not delivered now is lost.
    #[must_use]
    pub fn conclude(&self, terms: Terms) -> DeliveryRecording {
        let mut acknowledged = 0;
        let mut failed_by_class = BTreeMap::<_, u64>::new();
        for answer in self.posts.iter().filter_map(|post| post.state.answer()) {
            match answer {
                Ok(()) => acknowledged += 1,
                Err(class) => *failed_by_class.entry(class).or_default() += 1,
            }
        }
        let failed = failed_by_class.values().sum::<u64>();
        let calendar = self.calendar(&terms);
        let mut told = DeliveryRecording {
            posts: PostBooks { posted: acknowledged + failed, acknowledged, failed },
            failed_by_class,
            consumers: self.books.iter().map(|book| self.consumer(book, &terms, &calendar)).collect(),
            delivered_to_all: Some(self.delivered_to_all()),
            within_s: terms.within.as_secs_f64(),
            drain_limit_s: terms.drain_limit.as_secs_f64(),
            looked_until_s: terms.looked_until.as_secs_f64(),
            time_factor: terms.time_factor,
            ..DeliveryRecording::default()
        };
        for post in self.posts.iter().filter(|post| post.measured && post.done != NEVER) {
            let times = match calendar.phase(post) {
                Phase::Inside => &mut told.post_time_inside,
                Phase::Healing => &mut told.post_time_healing,
                Phase::Outside => &mut told.post_time_outside,
            };
            times.record(Duration::from_micros(post.done.saturating_sub(post.due)));
        }
        let answered = self.posts.iter().filter(|post| post.done != NEVER).map(|post| (post, post.done));
        told.post_ratio = ratio(answered, &terms, &calendar);
        DeliveryRecording { step: terms.step, faults: terms.faults, ..told }
    }

    /// Reports that were acknowledged and that every consumer has.
    fn delivered_to_all(&self) -> u64 {
        let has = |book: &Book, number: usize| book.first.get(number).is_some_and(|first| *first != NEVER);
        let reached = |number: usize| self.books.iter().all(|book| has(book, number));
        let posts = self.posts.iter().enumerate();
        posts.filter(|(number, post)| post.state == State::Acknowledged && reached(*number)).count() as u64
    }

    fn consumer(&self, book: &Book, terms: &Terms, calendar: &Calendar) -> ConsumerRecording {
        let mut books = DeliveryBooks {
            deliveries: book.deliveries,
            duplicates: book.duplicates_total,
            foreign: book.foreign,
            ..DeliveryBooks::default()
        };
        let mut told = ConsumerRecording { name: book.name.clone(), ..ConsumerRecording::default() };
        let within = super::micros(terms.within);
        for (post, first) in self.posts.iter().zip(&book.first) {
            match (post.state, *first) {
                (State::Acknowledged, NEVER) => books.lost += 1,
                (State::Acknowledged, first) => {
                    books.delivered += 1;
                    books.late += u64::from(first.saturating_sub(post.due) > within);
                    if post.measured {
                        let time = Duration::from_micros(first.saturating_sub(post.due));
                        told.delivery_time.record(time);
                        let part = match calendar.phase(post) {
                            Phase::Inside => &mut told.inside,
                            Phase::Healing => &mut told.healing,
                            Phase::Outside => &mut told.outside,
                        };
                        part.record(time);
                    }
                }
                (_, NEVER) => {}
                (State::Planned, _) => books.foreign += 1,
                (State::Posted | State::Failed(_), _) => books.unacknowledged += 1,
            }
        }
        let is_acknowledged = |number: &&u64| {
            self.posts.get(super::place(**number)).is_some_and(|post| post.state == State::Acknowledged)
        };
        books.out_of_order = book.out_of_order.iter().filter(is_acknowledged).count() as u64;
        let delivered = self.posts.iter().zip(&book.first).map(|(post, first)| (post, *first));
        let delivered = delivered.filter(|(post, first)| post.state == State::Acknowledged && *first != NEVER);
        told.ratio = ratio(delivered, terms, calendar);
        told.healed_s = self.healed(book, terms);
        told.series = self.series(book, terms);
        told.books = books;
        told
    }

    /// A fault heals until the consumer that had it has all that was due before its end; one that never does to the end of
    /// time.
    fn calendar(&self, terms: &Terms) -> Calendar {
        let healing = |fault: &FaultRecording| {
            let book = self.books.iter().find(|book| book.name == fault.service)?;
            let own = Terms { faults: vec![fault.clone()], ..Terms::default() };
            Some((fault.until_s, fault.until_s + self.healed(book, &own).unwrap_or(f64::INFINITY)))
        };
        Calendar {
            faults: terms.faults.iter().map(|fault| (fault.from_s, fault.until_s)).collect(),
            healing: terms.faults.iter().filter_map(healing).collect(),
        }
    }

    /// Seconds from the end of the consumer's last fault to the last delivery of what was due before it. `None` without a
    /// fault, and when something of that is not delivered.
    fn healed(&self, book: &Book, terms: &Terms) -> Option<f64> {
        let own = terms.faults.iter().filter(|fault| fault.service == book.name);
        let end = own.map(|fault| fault.until_s).reduce(f64::max)?;
        let end = super::micros(Duration::try_from_secs_f64(end).ok()?);
        let mut last = end;
        for (post, first) in self.posts.iter().zip(&book.first) {
            if post.state == State::Acknowledged && post.due < end {
                if *first == NEVER {
                    return None;
                }
                last = last.max(*first);
            }
        }
        Some(Duration::from_micros(last - end).as_secs_f64())
    }

    fn series(&self, book: &Book, terms: &Terms) -> Vec<DeliveryInterval> {
        let end = super::micros(terms.looked_until).max(1);
        let length = end.div_ceil(INTERVALS_MAX).div_ceil(SECOND) * SECOND;
        let count = usize::try_from(end.div_ceil(length)).unwrap_or(usize::MAX).max(1);
        // What came later than was looked, by another clock, came at the end.
        let place = |time: u64| usize::try_from(time / length).unwrap_or(usize::MAX).min(count - 1);
        let mut intervals = vec![DeliveryInterval::default(); count];
        let mut sketches = vec![Sketch::default(); count];
        for (post, first) in self.posts.iter().zip(&book.first) {
            if post.state != State::Acknowledged {
                continue;
            }
            let acknowledged = place(post.done);
            intervals[acknowledged].acknowledged += 1;
            let delivered = if *first == NEVER { count } else { place(*first) };
            for interval in intervals.iter_mut().take(delivered).skip(acknowledged) {
                interval.backlog += 1;
            }
            if *first != NEVER {
                intervals[delivered].delivered += 1;
                sketches[place(post.due)].record(Duration::from_micros(first.saturating_sub(post.due)));
            }
        }
        for (second, duplicates) in book.duplicates.iter().enumerate() {
            intervals[place(second as u64 * SECOND)].duplicates += duplicates;
        }
        for ((number, interval), sketch) in intervals.iter_mut().enumerate().zip(sketches) {
            let start = number as u64 * length;
            interval.start_s = Duration::from_micros(start).as_secs_f64();
            interval.length_s = Duration::from_micros(length.min(end - start)).as_secs_f64();
            interval.delivery_time_p50_ms = sketch.quantile_ms(0.5);
            interval.delivery_time_p95_ms = sketch.quantile_ms(0.95);
        }
        intervals
    }
}

/// p95 inside over p95 outside of the faults, of the times from the due time of measured posts to what they are paired with. They
/// come in the order of their due times, as posts have their numbers.
fn ratio<'a>(ends: impl Iterator<Item = (&'a Post, u64)>, terms: &Terms, calendar: &Calendar) -> Option<QuantileRatio> {
    if terms.faults.is_empty() {
        return None;
    }
    let (mut inside, mut outside): (Seconds, Seconds) = (Vec::new(), Vec::new());
    for (post, end) in ends.filter(|(post, _)| post.measured) {
        let side = match calendar.phase(post) {
            Phase::Inside => &mut inside,
            Phase::Outside => &mut outside,
            // What comes all at once when a service is back is a load of its own.
            Phase::Healing => continue,
        };
        let (second, time) = (post.due / SECOND, end.saturating_sub(post.due));
        match side.last_mut() {
            Some((last, times)) if *last == second => times.push(time),
            _ => side.push((second, vec![time])),
        }
    }
    let times = |side: Seconds| side.into_iter().map(|(_, times)| times).collect::<Vec<_>>();
    quantile_ratio(&times(inside), &times(outside), COMPARED, terms.seed)
}

/// When faults lasted and when they healed, in seconds.
struct Calendar {
    faults: Vec<(f64, f64)>,
    healing: Vec<(f64, f64)>,
}

/// Where a moment lies.
enum Phase {
    Inside,
    Healing,
    Outside,
}

impl Calendar {
    /// Where the due time of a report lies.
    fn phase(&self, post: &Post) -> Phase {
        let due = Duration::from_micros(post.due).as_secs_f64();
        let within = |stretches: &[(f64, f64)]| stretches.iter().any(|(from, until)| (*from..*until).contains(&due));
        match () {
            () if within(&self.faults) => Phase::Inside,
            () if within(&self.healing) => Phase::Healing,
            () => Phase::Outside,
        }
    }
}
