//! Recorded arrivals, sent again: as they were, sped up, or multiplied.
//!
//! *Speed* divides all times; nothing else changes. *Multiplying* by m gives each recorded arrival ⌊m⌋ copies and one
//! more with the probability of m's fraction. One copy keeps the recorded instant; the others are placed independently
//! and uniformly within the local gap after it, which is the shorter of the gaps to the neighbouring instants: the last
//! arrival of a burst does not spill into the silence after it. So, in every window that is long against the gaps, a whole
//! m multiplies the count by m, and the ratio of peak to mean, the coefficient of variation of the counts, and with them
//! the burstiness stay as recorded; the index of dispersion (variance over mean of the counts) is m times the recorded
//! one, as it is for any counts that are multiplied. A factor p below 1 keeps each arrival with probability p (independent
//! thinning), which takes an index of dispersion I to 1 + p · (I − 1) (Cox and Isham, *Point Processes*, 1980, section
//! 4.3): the same rate profile at p times the rate.
//!
//! Logs that write whole seconds make bursts of what was none. Arrivals of such an instant are *spread*: independently
//! and uniformly over the second they came in, which is what a Poisson process does when only its counts are known.
//!
//! Where the recorded *requests* are sent, each arrival is one of them: the recorded ones of an instant in the order of the
//! log, their copies after them likewise, one more of each that was drawn for it at last.
//!
//! A platform's time factor divides the length and never the rate, so it speeds the replay up and thins it by as much.

use super::arrivals::Piece;
use super::log::LogFormat;
use super::recorded::Requests;
use super::{Arrival, SentRequests};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Recorded arrivals that are sent again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The log, as the scenario names it.
    pub file: String,
    /// What the log is.
    pub format: LogFormat,
    /// How many times as fast as it was recorded, above 0.
    pub speed: f64,
    /// How many arrivals for each recorded one, above 0.
    pub multiply: f64,
    /// Arrivals recorded at the same instant are spread over this long after it, in recorded time.
    pub spread: Duration,
    /// How many journeys may be under way at once; beyond it an arrival waits, and the wait is blocked time.
    pub max_in_flight: u32,
    /// Lines that were left out because they could not be used.
    pub skipped: u64,
    /// How many arrivals were recorded.
    pub recorded: u64,
    /// Tells recordings apart, since their times are not saved with a study.
    pub fingerprint: String,
    /// The recorded requests, where those are sent instead of journeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<SentRequests>,
    /// The recorded times; empty when read back from a study.
    #[serde(skip)]
    pub times: RecordedTimes,
}

/// Recorded times in nanoseconds since the first, in ascending order. Two of them always count as equal: what tells
/// recordings apart is [`Replay::fingerprint`], which a saved study keeps.
#[derive(Clone, Debug, Default)]
pub struct RecordedTimes(pub Arc<Vec<u64>>);

impl PartialEq for RecordedTimes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl RecordedTimes {
    /// A hash (FNV-1a, 64 bits) of the times, in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", self.hashed())
    }

    /// The same, of the `requests` too where they are sent.
    #[must_use]
    pub fn fingerprint_with(&self, requests: Option<&SentRequests>) -> String {
        let times = self.hashed();
        format!("{:016x}", requests.map_or(times, |requests| requests.recorded.0.hashed(times)))
    }

    fn hashed(&self) -> u64 {
        let bytes = self.0.iter().flat_map(|time| time.to_le_bytes());
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// How long the recording is: to the end of the second of the last arrival, those that are spread included.
    #[must_use]
    pub fn length(&self, spread: Duration) -> Duration {
        let last = Duration::from_nanos(self.0.last().copied().unwrap_or_default());
        let end = last.saturating_add(spread);
        let begun = u64::from(spread.is_zero() || end.subsec_nanos() > 0);
        Duration::from_secs(end.as_secs().saturating_add(begun))
    }
}

/// An iterator over all arrivals of a replay in order. It holds no more than the recorded times themselves: arrivals of
/// one instant are drawn one by one, in order.
#[derive(Debug)]
pub(super) struct ReplaySeries {
    times: Arc<Vec<u64>>,
    /// Where the requests themselves are sent.
    requests: Option<Arc<Requests>>,
    /// The first of those that are not in `group` yet.
    next: usize,
    group: Group,
    /// What recorded nanoseconds are divided by.
    speed: f64,
    multiply: f64,
    /// In recorded nanoseconds.
    spread: f64,
    piece: Piece,
    index: u64,
    draws: ChaCha8Rng,
    choices: ChaCha8Rng,
}

/// The arrivals of one recorded instant that are still to come.
#[derive(Debug, Default)]
struct Group {
    /// The instant, in recorded nanoseconds.
    instant: u64,
    /// How many come at the instant itself.
    exact: u64,
    /// How many are placed after it.
    placed: u64,
    /// From where the next one is placed, and until where all are, in nanoseconds after the instant.
    from: f64,
    until: f64,
    /// The first of its arrivals in the recording, and how many they are.
    first: usize,
    recorded: usize,
    /// How many of its arrivals have come.
    come: u64,
    /// How often each of the recorded ones comes at least.
    whole: u64,
    /// Those that come once more, as drawn; looked at only where requests are sent.
    once_more: Vec<u32>,
}

impl Group {
    /// Which of the recorded arrivals the one that comes next is.
    fn which(&self) -> Option<usize> {
        let recorded = self.recorded as u64;
        let sure = recorded.saturating_mul(self.whole);
        let place = match self.come.checked_sub(sure) {
            None => self.come % recorded.max(1),
            Some(drawn) => u64::from(*self.once_more.get(usize::try_from(drawn).ok()?)?),
        };
        Some(self.first + usize::try_from(place).ok()?)
    }
}

impl ReplaySeries {
    /// The series of `replay` with lengths divided by `time_factor`; `None` without a stage. `draws` are those of copies
    /// and places, `choices` those of the journeys.
    pub(super) fn new(
        replay: &Replay,
        time_factor: f64,
        pieces: Vec<Piece>,
        (draws, choices): (ChaCha8Rng, ChaCha8Rng),
    ) -> Option<Self> {
        Some(Self {
            times: Arc::clone(&replay.times.0),
            requests: replay.requests.as_ref().map(|requests| Arc::clone(&requests.recorded.0)),
            next: 0,
            group: Group::default(),
            speed: replay.speed * time_factor,
            multiply: replay.multiply / time_factor,
            spread: replay.spread.as_nanos() as f64,
            piece: pieces.into_iter().next()?,
            index: 0,
            draws,
            choices,
        })
    }

    /// Takes the next instant and draws how often its arrivals come; `None` when there is none left.
    fn next_group(&mut self) -> Option<Group> {
        let instant = *self.times.get(self.next)?;
        let before = self.next.checked_sub(1).and_then(|index| self.times.get(index)).copied();
        let recorded = self.times[self.next..].iter().take_while(|time| **time == instant).count();
        let first = self.next;
        self.next += recorded;
        let after = self.times.get(self.next).copied();
        let (whole, once_more) = self.copies(recorded as u64);
        let copies = (recorded as u64).saturating_mul(whole).saturating_add(once_more.count);
        let group = Group { instant, first, recorded, whole, once_more: once_more.which, ..Group::default() };
        let gap = |to: Option<u64>| to.map_or(f64::INFINITY, |to| to.abs_diff(instant) as f64);
        if self.spread > 0.0 {
            let until = self.spread.min(gap(after));
            return Some(Group { placed: copies, until, ..group });
        }
        let exact = copies.min(recorded as u64);
        let local = gap(before).min(gap(after));
        let until = if local.is_finite() { local } else { 0.0 };
        Some(Group { exact, placed: copies - exact, until, ..group })
    }

    /// How often each of so many recorded arrivals comes at least, and which come once more.
    fn copies(&mut self, recorded: u64) -> (u64, OnceMore) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a checked factor is small")]
        let whole = self.multiply.floor() as u64;
        let fraction = self.multiply.fract();
        let mut once_more = OnceMore::default();
        if fraction > 0.0 {
            for place in 0..recorded {
                if self.draws.random::<f64>() < fraction {
                    once_more.count += 1;
                    if self.requests.is_some() {
                        once_more.which.extend(u32::try_from(place));
                    }
                }
            }
        }
        (whole, once_more)
    }

    /// When the next arrival of the group is due, in nanoseconds after its instant; `None` when it has none left.
    fn next_offset(&mut self) -> Option<f64> {
        let group = &mut self.group;
        if group.exact > 0 {
            group.exact -= 1;
            return Some(0.0);
        }
        if group.placed == 0 {
            return None;
        }
        // The least of n uniform places in (from, until) is at the share 1 − v^(1/n) of the way, and the others are then
        // uniform beyond it: this draws them in order without holding them.
        let draw: f64 = 1.0 - self.draws.random::<f64>();
        group.from += (group.until - group.from) * (1.0 - draw.powf(1.0 / group.placed as f64));
        group.placed -= 1;
        Some(group.from)
    }
}

/// Arrivals that come once more than the others of their instant.
#[derive(Debug, Default)]
struct OnceMore {
    count: u64,
    /// Which they are, where that matters.
    which: Vec<u32>,
}

impl Iterator for ReplaySeries {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let offset = loop {
            if let Some(offset) = self.next_offset() {
                break offset;
            }
            self.group = self.next_group()?;
        };
        let nanoseconds = (self.group.instant as f64 + offset) / self.speed;
        let length = self.piece.planned.end.saturating_sub(self.piece.planned.start);
        let offset = super::level::Level::offset(nanoseconds / 1e9, length);
        let (request, journey) = match &self.requests {
            Some(requests) => {
                let request = requests.of_arrivals.get(self.group.which()?).copied();
                let sent = request.and_then(|request| requests.different.get(request as usize));
                (request, sent.map_or(0, |sent| sent.journey))
            }
            None => (None, self.piece.mix.choose(self.choices.random::<f64>())),
        };
        self.group.come += 1;
        let due = self.piece.planned.start.saturating_add(offset);
        let arrival = Arrival { index: self.index, due, journey, stage: self.piece.planned.index, request };
        self.index += 1;
        Some(arrival)
    }
}
