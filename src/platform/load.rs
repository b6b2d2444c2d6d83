//! The load of a revision over time, as the autoscaler's buckets want it.

use crate::autoscaler::Micros;

/// The exact integral of in-flight plus pending requests, bucket by bucket.
pub(super) struct Load {
    bucket: Micros,
    number: u64,
    ends: Micros,
    advanced_to: Micros,
    integral: u64,
    /// Buckets that are over: number and average.
    pub(super) closed: Vec<(u64, f64)>,
}

impl Load {
    /// Buckets of this length from time zero.
    pub(super) fn new(bucket: Micros) -> Self {
        let bucket = bucket.max(Micros(1));
        Self { bucket, number: 0, ends: bucket, advanced_to: Micros::ZERO, integral: 0, closed: Vec::new() }
    }

    /// Time has passed until `now` with this many requests.
    pub(super) fn advance(&mut self, now: Micros, load: u64) {
        while self.ends <= now {
            self.integral += load * (self.ends - self.advanced_to).0;
            self.closed.push((self.number, self.integral as f64 / self.bucket.0 as f64));
            self.integral = 0;
            self.number += 1;
            self.advanced_to = self.ends;
            self.ends = self.ends + self.bucket;
        }
        self.integral += load * (now - self.advanced_to).0;
        self.advanced_to = self.advanced_to.max(now);
    }
}
