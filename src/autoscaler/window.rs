//! The average of a metric over the last buckets: the sum over what was observed divided by the buckets that have
//! passed since the first one, at most the window. A gap counts as zero; after a whole window of silence it starts
//! anew.

use std::collections::VecDeque;

/// A sliding window over numbered buckets.
#[derive(Clone, Debug)]
pub(super) struct Window {
    length: u64,
    first: u64,
    observed: VecDeque<(u64, f64)>,
}

impl Window {
    /// A window of `length` buckets, at least one.
    pub(super) fn new(length: u64) -> Self {
        Self { length: length.max(1), first: 0, observed: VecDeque::new() }
    }

    /// Writes a bucket's value; a bucket older than the newest one is ignored, the newest is replaced.
    pub(super) fn observe(&mut self, bucket: u64, value: f64) {
        match self.observed.back_mut() {
            None => self.first = bucket,
            Some((newest, _)) if *newest > bucket => return,
            Some((newest, written)) if *newest == bucket => {
                *written = value;
                return;
            }
            Some((newest, _)) if bucket - *newest >= self.length => {
                self.observed.clear();
                self.first = bucket;
            }
            Some(_) => {}
        }
        self.observed.push_back((bucket, value));
        while self.observed.front().is_some_and(|(oldest, _)| oldest + self.length <= bucket) {
            self.observed.pop_front();
        }
    }

    /// The average over the window that ends with `last`, or with the newest bucket if that is later.
    pub(super) fn average(&self, last: u64) -> f64 {
        let Some((newest, _)) = self.observed.back() else { return 0.0 };
        let end = last.max(*newest);
        // Summed from the oldest to the newest, so that equal observations give the same bits in every program.
        let sum: f64 =
            self.observed.iter().filter(|(bucket, _)| bucket + self.length > end).map(|(_, value)| value).sum();
        let passed = (end - self.first + 1).min(self.length);
        sum / passed as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_window_divides_by_what_has_passed_and_an_old_one_by_its_length() {
        let mut window = Window::new(3);
        assert_eq!(window.average(7), 0.0);
        window.observe(5, 6.0);
        assert_eq!(window.average(5), 6.0);
        window.observe(6, 0.0);
        assert_eq!(window.average(6), 3.0);
        window.observe(7, 3.0);
        window.observe(8, 3.0);
        assert_eq!(window.average(8), 2.0, "bucket 5 is gone");
    }

    #[test]
    fn a_gap_counts_as_zero_and_a_window_of_silence_starts_anew() {
        let mut window = Window::new(3);
        window.observe(0, 9.0);
        assert_eq!(window.average(2), 3.0);
        assert_eq!(window.average(3), 0.0);
        window.observe(3, 4.0);
        assert_eq!(window.average(3), 4.0, "the first bucket is 3 now");
    }
}
