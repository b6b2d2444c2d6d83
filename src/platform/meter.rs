//! What one instance is billed: pure, with the time passed in.
//!
//! The platform tells the meter when the instance begins and ends to be *engaged*: its start-up, each request and its
//! shutdown under request-based billing, its whole life under instance-based billing. From that follow
//!
//! - the raw integral: time with at least one engagement, to the microsecond;
//! - the slices: a slice opens when the instance becomes engaged outside a slice already billed, and again whenever a
//!   slice ends while it is still engaged. A request that begins inside a billed slice opens none. Slices belong to the
//!   instance's own busy periods, not to a grid of the wall clock.
//!
//! A slice is billed in the period in which it opens, whole; the sum over periods is therefore exact however often the
//! meter is read.

use crate::autoscaler::Micros;

/// What a meter counted since it was last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Slices that opened.
    pub(super) slices: u64,
    /// The raw integral.
    pub(super) engaged: Micros,
}

impl Reading {
    /// Adds what another meter counted.
    pub(super) fn add(&mut self, other: Self) {
        self.slices += other.slices;
        self.engaged = self.engaged + other.engaged;
    }
}

/// The meter of one instance.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    slice: Micros,
    engagements: u32,
    advanced_to: Micros,
    paid_until: Micros,
    slices_total: u64,
    unread: Reading,
}

impl Meter {
    /// A meter of an instance that is not engaged yet, with slices of length `slice`.
    pub(super) fn new(slice: Micros) -> Self {
        Self {
            slice: slice.max(Micros(1)),
            engagements: 0,
            advanced_to: Micros::ZERO,
            paid_until: Micros::ZERO,
            slices_total: 0,
            unread: Reading::default(),
        }
    }

    /// A request, the start-up, the shutdown or the life of the instance begins.
    pub(super) fn begin(&mut self, now: Micros) {
        self.advance(now);
        if self.engagements == 0 && self.paid_until <= self.advanced_to {
            self.open(1, self.advanced_to);
        }
        self.engagements += 1;
    }

    /// One of them ends.
    pub(super) fn end(&mut self, now: Micros) {
        self.advance(now);
        self.engagements = self.engagements.saturating_sub(1);
    }

    /// Everything ends: the instance is gone. `life_min` is the least that its life is billed, zero for none; what is
    /// missing to it is billed in this very instant.
    pub(super) fn stop(&mut self, now: Micros, life_min: Micros) {
        self.advance(now);
        self.engagements = 0;
        let least = life_min.0.div_ceil(self.slice.0);
        let missing = least.saturating_sub(self.slices_total);
        self.slices_total += missing;
        self.unread.slices += missing;
    }

    /// What was counted since the last call.
    pub(super) fn read(&mut self, now: Micros) -> Reading {
        self.advance(now);
        std::mem::take(&mut self.unread)
    }

    /// Time never runs backwards: an instant before the last one is taken for that one.
    fn advance(&mut self, now: Micros) {
        let now = now.max(self.advanced_to);
        if self.engagements > 0 {
            self.unread.engaged = self.unread.engaged + (now - self.advanced_to);
            // A slice that ends exactly now opens the next one only if the engagement goes on, which is not known yet.
            let beyond = now - self.paid_until;
            self.open(beyond.0.div_ceil(self.slice.0), self.paid_until);
        }
        self.advanced_to = now;
    }

    fn open(&mut self, slices: u64, from: Micros) {
        if slices > 0 {
            self.slices_total += slices;
            self.unread.slices += slices;
            self.paid_until = from + Micros(slices * self.slice.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    fn ms(milliseconds: u64) -> Micros {
        Micros(milliseconds * 1000)
    }

    fn meter() -> Meter {
        Meter::new(ms(100))
    }

    #[test]
    fn a_request_inside_a_billed_slice_opens_none() {
        let mut meter = meter();
        for (from, to) in [(0, 10), (30, 40), (99, 100)] {
            meter.begin(ms(from));
            meter.end(ms(to));
        }
        assert_eq!(meter.read(ms(100)), Reading { slices: 1, engaged: ms(21) });
        meter.begin(ms(100));
        meter.end(ms(301));
        assert_eq!(meter.read(ms(400)), Reading { slices: 3, engaged: ms(201) });
    }

    #[test]
    fn a_request_that_outlasts_a_billed_slice_continues_its_grid() {
        let mut meter = meter();
        meter.begin(ms(0));
        meter.end(ms(10));
        meter.begin(ms(90));
        meter.end(ms(150));
        // The second slice opens at 100 and lasts until 200: a request at 190 is inside it, one at 200 is not.
        meter.begin(ms(190));
        meter.end(ms(195));
        assert_eq!(meter.read(ms(199)).slices, 2);
        meter.begin(ms(200));
        assert_eq!(meter.read(ms(200)).slices, 1);
    }

    #[test]
    fn overlapping_requests_are_counted_once_and_an_instant_is_a_slice() {
        let mut meter = meter();
        meter.begin(ms(0));
        meter.begin(ms(20));
        meter.end(ms(50));
        meter.end(ms(100));
        assert_eq!(meter.read(ms(500)), Reading { slices: 1, engaged: ms(100) });
        meter.begin(ms(500));
        meter.end(ms(500));
        assert_eq!(meter.read(ms(500)), Reading { slices: 1, engaged: ms(0) });
    }

    #[test]
    fn a_short_life_is_topped_up_once() {
        let mut meter = meter();
        meter.begin(ms(0));
        assert_eq!(meter.read(ms(24_000)).slices, 240);
        meter.stop(ms(24_000), ms(60_000));
        assert_eq!(meter.read(ms(24_000)).slices, 360);
        assert_eq!(meter.read(ms(99_000)), Reading::default());
    }

    proptest! {
        #[test]
        fn the_sum_over_periods_does_not_depend_on_the_periods(
            steps in proptest::collection::vec((0_u64..250_000, 0_u8..3), 1..60),
        ) {
            let (mut once, mut often) = (meter(), meter());
            let (mut now, mut open, mut sum) = (Micros::ZERO, 0, Reading::default());
            for (gap, step) in steps {
                now = now + Micros(gap);
                match step {
                    0 => { once.begin(now); often.begin(now); open += 1; }
                    1 if open > 0 => { once.end(now); often.end(now); open -= 1; }
                    _ => sum.add(often.read(now)),
                }
            }
            once.stop(now, Micros::ZERO);
            often.stop(now, Micros::ZERO);
            sum.add(often.read(now));
            let all = once.read(now);
            prop_assert_eq!(all, sum);
            prop_assert!(all.slices * 100_000 >= all.engaged.0, "billed less than used");
        }
    }

    /// Feeds Poisson arrivals with hyperexponential service of mean 1 s (squared coefficient of variation 4) to a
    /// meter; returns (end, raw integral, busy periods).
    fn m_g_infinity(rate: f64, arrivals: usize, seed: u64) -> (f64, f64, u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut exponential = move |mean: f64| -> f64 { -mean * (1.0 - rng.random::<f64>()).ln() };
        // Balanced means: branch p with mean 1/(2p). Its squared coefficient of variation is 1/(2p(1−p)) − 1 = 4.
        let p = (1.0 - 0.6_f64.sqrt()) / 2.0;
        let (mut meter, mut ends) = (meter(), BinaryHeap::new());
        let (mut now, mut periods, mut branch) = (0.0, 0, ChaCha8Rng::seed_from_u64(seed + 1));
        for _ in 0..arrivals {
            now += exponential(1.0 / rate);
            let at = micros(now);
            while let Some(&Reverse(end)) = ends.peek() {
                if end > at {
                    break;
                }
                ends.pop();
                meter.end(end);
            }
            periods += u64::from(ends.is_empty());
            meter.begin(at);
            let mean = if branch.random::<f64>() < p { 0.5 / p } else { 0.5 / (1.0 - p) };
            ends.push(Reverse(at + micros(exponential(mean))));
        }
        (now, meter.read(micros(now)).engaged.seconds(), periods)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are positive and short")]
    fn micros(seconds: f64) -> Micros {
        Micros((seconds * 1e6).round() as u64)
    }

    #[test]
    fn the_raw_integral_keeps_the_m_g_infinity_law() {
        // V7: an instance is busy with probability 1 − e^−ρ, its mean busy period is (e^ρ − 1)/λ.
        for (rate, seed) in [(0.5, 1), (1.0, 2), (2.0, 3), (5.0, 4)] {
            let (end, busy, periods) = m_g_infinity(rate, 400_000, seed);
            let expected = 1.0 - (-rate).exp();
            assert!((busy / end / expected - 1.0).abs() < 0.01, "busy {} against {expected}", busy / end);
            let mean = busy / periods as f64;
            let expected = rate.exp_m1() / rate;
            assert!((mean / expected - 1.0).abs() < 0.03, "mean busy period {mean} against {expected}");
        }
    }

    #[test]
    fn slices_of_momentary_requests_keep_their_law() {
        // V9: with service times near zero the billed share is λ·0.1/(1 + λ·0.1).
        for (rate, expected) in [(1.0, 1.0 / 11.0), (10.0, 0.5), (100.0, 10.0 / 11.0)] {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let (mut meter, mut now) = (meter(), 0.0);
            for _ in 0..200_000 {
                now += -(1.0 - rng.random::<f64>()).ln() / rate;
                meter.begin(micros(now));
                meter.end(micros(now));
            }
            let billed = meter.read(micros(now)).slices as f64 * 0.1 / now;
            assert!((billed / expected - 1.0).abs() < 0.01, "{billed} against {expected}");
        }
    }
}
