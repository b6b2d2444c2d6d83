//! When faults lasted and when they had healed, and where a report lies that was due at a moment.

use super::super::delivery::FaultRecording;
use super::{Book, Ledger, NEVER, Post, State};
use std::time::Duration;

/// A consumer has healed when its deliveries take no longer than this many times what they took before the fault, at p95: the queue that
/// the fault left is gone then, and a difference of that size comes and goes without a fault.
const NORMAL: u64 = 2;
/// Over so long a stretch of reports, in microseconds.
const STRETCH: u64 = 1_000_000;

/// Where a moment lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the broken revision served, and near enough to have met the fault: neither with it nor without.
    Beginning,
    Inside,
    Healing,
    Outside,
}

/// One fault, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    beginning: u64,
    from: u64,
    until: u64,
    healed: u64,
}

/// All faults of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar(Vec<Stretch>);

/// What deliveries to a consumer took before the first fault, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Usual {
    p95: u64,
    p99: u64,
}

impl Calendar {
    /// Whether there was no fault.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the due time of a report lies. Of several faults the worst counts.
    pub(super) fn phase(&self, post: &Post) -> Phase {
        let within = |of: fn(&Stretch) -> (u64, u64)| self.0.iter().map(of).any(|(a, b)| (a..b).contains(&post.due));
        match () {
            () if within(|one| (one.from, one.until)) => Phase::Inside,
            () if within(|one| (one.until, one.healed)) => Phase::Healing,
            () if within(|one| (one.beginning, one.from)) => Phase::Beginning,
            () => Phase::Outside,
        }
    }
}

impl Ledger {
    /// Enters how long each fault took to heal, and gives when they were. One that never healed does so to the end of time; one whose
    /// service is no consumer has nothing to heal.
    pub(super) fn calendar(&self, faults: &mut [FaultRecording]) -> Calendar {
        let first = faults.iter().map(|fault| micros(asked(fault))).min().unwrap_or(0);
        let mut stretches = Vec::new();
        for fault in faults {
            let (from, until) = (micros(fault.from_s), micros(fault.until_s));
            let book = self.books.iter().find(|book| book.name == fault.service);
            let usual = book.and_then(|book| self.usual(book, first));
            let healed = book.map(|book| self.healed(book, until, usual));
            fault.healed_s = healed.flatten().map(|at| Duration::from_micros(at - until).as_secs_f64());
            // What was under way when the revision was exchanged may have met the fault.
            let beginning = micros(asked(fault)).saturating_sub(usual.map_or(0, |usual| usual.p99)).min(from);
            let healed = healed.map_or(until, |healed| healed.unwrap_or(NEVER));
            stretches.push(Stretch { beginning, from, until, healed });
        }
        Calendar(stretches)
    }

    /// What was due and delivered before `first`. `None` when that is nothing.
    fn usual(&self, book: &Book, first: u64) -> Option<Usual> {
        let known = self.acknowledged(book).filter(|(post, at)| post.measured && post.due < first && *at <= first);
        let mut times: Vec<u64> = known.map(|(post, at)| at.saturating_sub(post.due)).collect();
        times.sort_unstable();
        let at = |per_cent: usize| times.get((times.len() * per_cent).div_ceil(100).saturating_sub(1)).copied();
        Some(Usual { p95: at(95)?, p99: at(99)? })
    }

    /// When a fault that ended at `end` had healed: from then on all that was due before its end is delivered, and of the reports due
    /// within the second that follows 95 % take no longer than twice the p95 of before the first fault. When that never happens while
    /// reports are posted, it is the last delivery of all; when nothing was delivered before the first fault, that of what was due before
    /// the end. `None` when any of that is not delivered.
    fn healed(&self, book: &Book, end: u64, usual: Option<Usual>) -> Option<u64> {
        let overdue = self.acknowledged(book).filter(|(post, _)| post.due < end).map(|(_, at)| at).max();
        let last = overdue.unwrap_or(end).max(end);
        let Some(limit) = usual.map(|usual| usual.p95.max(1).saturating_mul(NORMAL)) else {
            return Some(last).filter(is_known);
        };
        if last == NEVER {
            return None;
        }
        let mut since: Vec<(u64, bool)> = self
            .acknowledged(book)
            .filter(|(post, _)| post.due >= last)
            .map(|(post, at)| (post.due, at.saturating_sub(post.due) > limit))
            .collect();
        since.sort_unstable();
        if let Some(place) = first_normal(&since) {
            // Between the last delivery and the first report after it nothing waited.
            return Some(if place == 0 { last } else { since[place].0 });
        }
        self.acknowledged(book).map(|(_, at)| at).max().filter(is_known).map(|all| all.max(last))
    }

    /// Acknowledged reports, each with its first delivery.
    fn acknowledged<'a>(&'a self, book: &'a Book) -> impl Iterator<Item = (&'a Post, u64)> {
        let pairs = self.posts.iter().zip(&book.first).filter(|(post, _)| post.state == State::Acknowledged);
        pairs.map(|(post, first)| (post, *first))
    }
}

/// The first of these reports, (due, whether it took too long), after which 95 % of a second's do not. They are in the order of time.
fn first_normal(reports: &[(u64, bool)]) -> Option<usize> {
    let (mut end, mut slow) = (0, 0_usize);
    for (place, (due, is_slow)) in reports.iter().enumerate() {
        while end < reports.len() && reports[end].0 < due.saturating_add(STRETCH) {
            slow += usize::from(reports[end].1);
            end += 1;
        }
        if slow * 20 <= end - place {
            return Some(place);
        }
        slow -= usize::from(*is_slow);
    }
    None
}

fn asked(fault: &FaultRecording) -> f64 {
    fault.asked_s.unwrap_or(fault.from_s)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "a filter hands a reference")]
fn is_known(at: &u64) -> bool {
    *at != NEVER
}

fn micros(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds).map_or(0, super::micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_normal_when_one_in_twenty_is_slow_and_no_sooner() {
        // Ten a second: all slow for three seconds, then one in a second, which is one in ten, then none.
        let reports: Vec<(u64, bool)> =
            (0..60).map(|place| (place * 100_000, place < 30 || (place < 50 && place % 10 == 9))).collect();
        assert_eq!(first_normal(&reports), Some(50));
        assert_eq!(first_normal(&reports[..30]), None);
        assert_eq!(first_normal(&[]), None);
        assert_eq!(first_normal(&[(7, false)]), Some(0));
    }

    #[test]
    fn of_several_faults_the_worst_counts() {
        use Phase::{Beginning as B, Healing as H, Inside as I, Outside as O};
        let stretch = |beginning, from, until, healed| Stretch { beginning, from, until, healed };
        let calendar = Calendar(vec![stretch(18, 20, 30, 40), stretch(33, 35, 36, NEVER)]);
        let phase = |due| calendar.phase(&Post { due, done: NEVER, state: State::Posted, measured: true });
        let told: Vec<Phase> = [17, 18, 20, 29, 30, 34, 35, 36, 50].into_iter().map(phase).collect();
        assert_eq!(told, [O, B, I, I, H, H, I, H, H]);
    }
}
