//! How fast a subscription pushes: slow start, and the push backoff that every push subscription has.

use super::scaled;
use crate::autoscaler::Micros;
use std::time::Duration;

/// The shortest push backoff (`cloud.google.com/pubsub/docs/push#push_backoff`).
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest push backoff (the same page).
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// What an acknowledgement leaves of the level that nacks raise by one. Google's example (the same page) is an endpoint
/// that nacks one of five messages and is sent one about every 500 ms: with four acknowledgements between two nacks
/// the level settles at 1 / (1 - 0.914^4) = 3.31, and its pause at 100 ms × 2^2.31 = 496 ms. With nothing but
/// nacks it climbs to 60 s, as in Google's other example.
const ACK_LEAVES: f64 = 0.914;
/// The window at the start (the same page, delivery rate: "starts with a small single-digit").
const WINDOW_START: f64 = 3.0;
/// Up to here the window grows exponentially, beyond it linearly (the same).
const WINDOW_EXPONENTIAL_MAX: f64 = 3_000.0;
/// The window's bound: the broker's own, for each message in it is a connection.
const WINDOW_MAX: f64 = 4_000.0;
/// Answers that take longer do not let the window grow (the same page: "less than one second of push request latency").
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(1);

/// The state of one subscription's pushing.
#[derive(Clone, Debug)]
pub(in crate::broker) struct PushFlow {
    /// How many messages may be outstanding.
    window: f64,
    /// Raised by nacks, lowered by acknowledgements; the pause doubles with each.
    level: f64,
    /// Nothing is pushed until then.
    paused_until: Micros,
    /// When the last pause began: a push that was sent before it tells nothing new if it fails too.
    paused_at: Option<Micros>,
    time_factor: f64,
}

impl PushFlow {
    pub(in crate::broker) fn new(time_factor: f64) -> Self {
        Self { window: WINDOW_START, level: 0.0, paused_until: Micros::ZERO, paused_at: None, time_factor }
    }

    /// How many more may be pushed now.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a window is 1 to WINDOW_MAX")]
    pub(in crate::broker) fn room(&self, now: Micros, outstanding: usize) -> usize {
        if now < self.paused_until { 0 } else { (self.window as usize).saturating_sub(outstanding) }
    }

    /// When it may push again, if it pauses.
    pub(in crate::broker) fn paused_until(&self, now: Micros) -> Option<Micros> {
        (now < self.paused_until).then_some(self.paused_until)
    }

    /// A push was acknowledged: each one widens the window by one, which doubles it per round; beyond 3,000 a whole round
    /// does.
    pub(in crate::broker) fn acknowledged(&mut self, response_time: Duration) {
        self.level *= ACK_LEAVES;
        if response_time < RESPONSE_TIME_MAX {
            let growth = if self.window < WINDOW_EXPONENTIAL_MAX { 1.0 } else { 1.0 / self.window };
            self.window = (self.window + growth).min(WINDOW_MAX);
        }
    }

    /// A push that was sent at `sent` was refused or missed its deadline: pushing pauses, and the window is halved. Of
    /// the pushes that were under way when a pause began only the first counts: the others tell of the same trouble.
    pub(in crate::broker) fn failed(&mut self, sent: Micros, now: Micros) {
        if self.paused_at.is_some_and(|paused_at| sent <= paused_at) {
            return;
        }
        let most = 1.0 + (PAUSE_MAX.as_secs_f64() / PAUSE_MIN.as_secs_f64()).log2();
        self.level = (self.level + 1.0).min(most);
        let pause = PAUSE_MIN.mul_f64((self.level - 1.0).exp2()).min(PAUSE_MAX);
        self.paused_at = Some(now);
        self.paused_until = now + Micros::of(scaled(pause, self.time_factor));
        self.window = (self.window / 2.0).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(5);

    fn pause(flow: &PushFlow, now: Micros) -> Duration {
        flow.paused_until(now).map_or(Duration::ZERO, |until| (until - now).duration())
    }

    #[test]
    fn a_window_starts_small_and_doubles_per_round_of_acknowledgements() {
        let mut flow = PushFlow::new(1.0);
        let mut windows = Vec::new();
        for _ in 0..12 {
            let window = flow.room(Micros::ZERO, 0);
            windows.push(window);
            (0..window).for_each(|_| flow.acknowledged(QUICK));
        }
        assert_eq!(windows, [3, 6, 12, 24, 48, 96, 192, 384, 768, 1536, 3000, 3001]);
    }

    #[test]
    fn slow_answers_do_not_widen_the_window() {
        let mut flow = PushFlow::new(1.0);
        (0..100).for_each(|_| flow.acknowledged(Duration::from_secs(1)));
        assert_eq!(flow.room(Micros::ZERO, 0), 3);
    }

    #[test]
    fn nothing_but_nacks_doubles_the_pause_from_100_ms_to_a_minute() {
        let (mut flow, mut now, mut pauses) = (PushFlow::new(1.0), Micros::ZERO, Vec::new());
        for _ in 0..12 {
            now = now + Micros(1);
            flow.failed(now, now);
            pauses.push(pause(&flow, now).as_millis());
            assert_eq!(flow.room(now, 0), 0);
            now = flow.paused_until;
            assert_eq!(flow.room(now, 0), 1);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
    }

    #[test]
    fn one_nack_in_five_settles_at_googles_500_ms() {
        let (mut flow, mut now) = (PushFlow::new(1.0), Micros::ZERO);
        for _ in 0..50 {
            (0..4).for_each(|_| flow.acknowledged(QUICK));
            now = now + Micros(1_000_000);
            flow.failed(now, now);
        }
        let pause = pause(&flow, now).as_secs_f64();
        assert!((pause - 0.5).abs() < 0.01, "{pause}");
    }

    #[test]
    fn what_was_under_way_when_the_pause_began_counts_once() {
        let mut flow = PushFlow::new(1.0);
        (0..97).for_each(|_| flow.acknowledged(QUICK));
        for _ in 0..100 {
            flow.failed(Micros(10), Micros(20));
        }
        assert_eq!(pause(&flow, Micros(20)), PAUSE_MIN);
        assert_eq!(flow.room(Micros(1_000_000), 0), 50);
    }

    #[test]
    fn the_time_factor_divides_the_pause() {
        let mut flow = PushFlow::new(10.0);
        flow.failed(Micros(1), Micros(1));
        assert_eq!(pause(&flow, Micros(1)), Duration::from_millis(10));
    }
}
