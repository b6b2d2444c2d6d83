//! Counting over the last stretch of time in cells of bounded number.

use std::collections::VecDeque;
use std::time::Duration;

/// Cells of a window: its length is kept to a twentieth.
const CELLS: u32 = 20;
/// No cell is shorter.
const CELL_MIN: Duration = Duration::from_millis(1);

/// Counts of the last stretch of time, or of all time.
#[derive(Debug)]
pub(super) struct Cells<T> {
    /// Length of a cell; `None` for one that holds all.
    length: Option<Duration>,
    counts: VecDeque<T>,
    /// The number of the first cell, counted from time zero.
    first: u128,
}

impl<T: Default> Cells<T> {
    /// Counts over the last `over`, or over all when there is none.
    pub(super) fn new(over: Option<Duration>) -> Self {
        let length = over.map(|over| (over / CELLS).max(CELL_MIN));
        Self { length, counts: VecDeque::from([T::default()]), first: 0 }
    }

    /// The cell of `time`; what is older than the window is counted in its oldest cell.
    pub(super) fn at(&mut self, time: Duration) -> &mut T {
        let index = self.length.map_or(0, |length| time.as_nanos() / length.as_nanos());
        self.reach(index);
        let place = usize::try_from(index.saturating_sub(self.first)).unwrap_or_default();
        &mut self.counts[place.min(CELLS as usize)]
    }

    /// The cells of the window that ends at `now`.
    pub(super) fn all(&mut self, now: Duration) -> impl Iterator<Item = &T> {
        let _ = self.at(now);
        self.counts.iter()
    }

    /// Makes the cell numbered `index` the last one, if it lies ahead.
    fn reach(&mut self, index: u128) {
        // The cell of `now` is only begun, so there is one more than the window has.
        let kept = CELLS as usize + 1;
        if index >= self.first + 2 * kept as u128 {
            self.counts.clear();
            self.first = index;
        }
        while self.first + self.counts.len() as u128 <= index {
            self.counts.push_back(T::default());
        }
        while self.counts.len() > kept {
            self.counts.pop_front();
            self.first += 1;
        }
    }
}

/// Requests that wait for an answer, by when they were due, as far as it takes to tell which wait for longer than a
/// limit.
#[derive(Debug)]
pub(super) struct Outstanding {
    length: Duration,
    cells: VecDeque<u64>,
    first: u128,
    /// Due before the first cell.
    older: u64,
}

/// Cells that a limit is divided into: a request is called overdue a tenth of the limit too late at most.
const CELLS_OF_LIMIT: u32 = 10;

impl Outstanding {
    /// Nobody yet; ages are told against `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        let length = (limit / CELLS_OF_LIMIT).max(CELL_MIN);
        Self { length, cells: VecDeque::new(), first: 0, older: 0 }
    }

    /// One that was due at `due` waits from now on.
    pub(super) fn add(&mut self, due: Duration) {
        *self.at(due) += 1;
    }

    /// One that was due at `due` waits no more.
    pub(super) fn remove(&mut self, due: Duration) {
        let count = self.at(due);
        *count = count.saturating_sub(1);
    }

    /// How many were due at least `limit` before `now`.
    pub(super) fn older_than(&mut self, limit: Duration, now: Duration) -> u64 {
        // A cell is overdue when its end is.
        let overdue = now.saturating_sub(limit).as_nanos() / self.length.as_nanos();
        let in_cells: u64 = (self.first..overdue).zip(&self.cells).map(|(_, count)| count).sum();
        self.older + in_cells
    }

    fn at(&mut self, due: Duration) -> &mut u64 {
        let index = due.as_nanos() / self.length.as_nanos();
        if index < self.first {
            return &mut self.older;
        }
        let kept = u128::from(2 * CELLS_OF_LIMIT);
        if index >= self.first + 2 * kept {
            self.older += self.cells.drain(..).sum::<u64>();
            // Room for those that were due a little earlier and are told later.
            self.first = index + 1 - kept;
        }
        while self.first + self.cells.len() as u128 <= index {
            self.cells.push_back(0);
        }
        while self.cells.len() as u128 > kept {
            self.older += self.cells.pop_front().unwrap_or_default();
            self.first += 1;
        }
        let place = usize::try_from(index - self.first).unwrap_or_default();
        &mut self.cells[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut cells: Cells<u64> = Cells::new(Some(1000 * MS));
        for ms in 0..5000 {
            *cells.at(ms * MS) += 1;
            let count: u64 = cells.all(ms * MS).sum();
            assert!((u64::from(ms) + 1).min(1000) <= count && count <= 1050, "{count} at {ms} ms");
        }
        assert_eq!(cells.all(3_600_000 * MS).sum::<u64>(), 0, "an hour later");
        let mut all: Cells<u64> = Cells::new(None);
        for hour in 0..10 {
            *all.at(hour * 3_600_000 * MS) += 1;
        }
        assert_eq!((all.all(36_000_000 * MS).sum::<u64>(), all.counts.len()), (10, 1));
    }

    proptest! {
        /// Whoever waits for longer than the limit is counted, up to a tenth of it, and whoever has been answered is not.
        #[test]
        fn the_overdue_are_told_to_a_tenth_of_the_limit(waits in prop::collection::vec((0u32..20_000, 1u32..3_000), 1..60), now in 0u32..25_000) {
            let (limit, mut outstanding) = (500 * MS, Outstanding::new(500 * MS));
            let mut events: Vec<(u32, bool, u32)> = Vec::new();
            for (due, takes) in &waits {
                events.push((*due, true, *due));
                events.push((due + takes, false, *due));
            }
            events.sort_unstable();
            for (_, begins, due) in events.into_iter().filter(|(at, ..)| *at <= now) {
                if begins { outstanding.add(due * MS) } else { outstanding.remove(due * MS) }
            }
            let waiting = |age: u32| {
                waits.iter().filter(|(due, takes)| *due + takes > now && *due + age <= now).count() as u64
            };
            let told = outstanding.older_than(limit, now * MS);
            prop_assert!((waiting(551)..=waiting(500)).contains(&told), "{told} of {}..{}", waiting(551), waiting(500));
            prop_assert!(outstanding.cells.len() <= 2 * CELLS_OF_LIMIT as usize);
        }
    }
}
