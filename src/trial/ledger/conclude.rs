//! From the ledger to the record.

use super::super::delivery::{
    ConsumerRecording, DeliveryBooks, DeliveryInterval, DeliveryRecording, FaultRecording, PostBooks,
};
use super::super::early::EarlyDeliveries;
use super::calendar::{Calendar, Phase};
use super::compare::compare;
use super::{Book, Ledger, NEVER, Post, State};
use crate::stats::Sketch;
use std::collections::BTreeMap;
use std::time::Duration;

/// Intervals of a series at most; a longer run has longer ones.
const INTERVALS_MAX: u64 = 600;
const SECOND: u64 = 1_000_000;
/// The same clock read by two programs may differ by this; a delivery that was earlier than its post by more had another clock.
const CLOCK_TOLERANCE: u64 = 5_000;

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
}

impl Ledger {
    /// The record: what was acknowledged and is not delivered now is lost.
    #[must_use]
    pub fn conclude(&self, mut terms: Terms) -> DeliveryRecording {
        let mut acknowledged = 0;
        let mut failed_by_class = BTreeMap::<_, u64>::new();
        for answer in self.posts.iter().filter_map(|post| post.state.answer()) {
            match answer {
                Ok(()) => acknowledged += 1,
                Err(class) => *failed_by_class.entry(class).or_default() += 1,
            }
        }
        let failed = failed_by_class.values().sum::<u64>();
        let calendar = self.calendar(&mut terms.faults);
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
        let is_answered = |post: &&Post| post.measured && post.state == State::Acknowledged && post.done != NEVER;
        for post in self.posts.iter().filter(is_answered) {
            let times = match calendar.phase(post) {
                Phase::Beginning => &mut told.post_time_beginning,
                Phase::Inside => &mut told.post_time_inside,
                Phase::Healing => &mut told.post_time_healing,
                Phase::Outside => &mut told.post_time_outside,
            };
            times.record(Duration::from_micros(post.done.saturating_sub(post.due)));
        }
        let posted = self.posts.iter().filter(|post| post.state != State::Planned);
        // An answer that acknowledges nothing may be quick: it is none.
        let answered = posted.map(|post| (post, if post.state == State::Acknowledged { post.done } else { NEVER }));
        let compared = compare(answered, &calendar);
        (told.post_ratio, told.post_healing_ratio) = (compared.ratio, compared.healing_ratio);
        told.post_missing = compared.missing;
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
                            Phase::Beginning => &mut told.beginning,
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
        let delivered = delivered.filter(|(post, _)| post.state == State::Acknowledged);
        let compared = compare(delivered, calendar);
        (told.ratio, told.healing_ratio, told.missing) = (compared.ratio, compared.healing_ratio, compared.missing);
        let own = terms.faults.iter().filter(|fault| fault.service == book.name).map(|fault| fault.healed_s);
        // One fault that has not healed is enough.
        told.healed_s = own.collect::<Option<Vec<f64>>>().and_then(|healed| healed.into_iter().reduce(f64::max));
        told.series = self.series(book, terms);
        told.early = self.early(book);
        told.order = Some(book.watched);
        told.books = books;
        told
    }

    /// What was delivered, by the consumer's clock, before it was due.
    fn early(&self, book: &Book) -> Option<EarlyDeliveries> {
        let posted = self.posts.iter().zip(&book.first).filter(|(post, _)| post.state != State::Planned);
        let early = posted.map(|(post, first)| post.due.saturating_sub(*first)).filter(|by| *by > CLOCK_TOLERANCE);
        let (deliveries, most) = early.fold((0, 0), |(many, most), by| (many + 1, by.max(most)));
        let behind_s = Duration::from_micros(most).as_secs_f64();
        (deliveries > 0).then_some(EarlyDeliveries { deliveries, behind_s })
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
