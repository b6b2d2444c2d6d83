//! When a process group runs and when it is stopped, so that it uses its share of CPU and no more: pure arithmetic on a
//! clock and a CPU clock that are passed in.
//!
//! A budget grows by the share with the time that passes and shrinks by the CPU that was used. Who has none left is
//! stopped until there is enough for a round again; what was used too much, because nobody looked in time, is a debt that
//! lengthens the stop. So in any stretch of time `t` a group uses at most `share·t + BUDGET_ROUNDS·share·round`, and what
//! it uses between two looks.

use std::time::Duration;

/// The controller of one process group.
#[derive(Debug)]
pub(super) struct Duty {
    /// Host cores.
    share: f64,
    /// How many cores the group can use at once.
    width: f64,
    /// Seconds of CPU that may be used; negative for a debt.
    budget_s: f64,
    /// Clock and CPU clock at the last look.
    last: Option<(Duration, Duration)>,
    running: bool,
    /// Looks in a row at which nothing had been used.
    quiet: u32,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Turn {
    /// Whether the group runs until the next look.
    pub(super) run: bool,
    /// When to look again.
    pub(super) look_after: Duration,
}

/// A round of running and being stopped takes this long at least, as the period of the cgroups' quota …
const ROUND_MIN_S: f64 = 0.020;
/// … and in a round the group runs this long at least: shorter ones cost more than they are worth.
const RUN_MIN_S: f64 = 0.002;
/// How many rounds' worth of budget can be saved up: a look that comes late takes nothing away from the group.
const BUDGET_ROUNDS: f64 = 2.0;
/// Between two looks at a group that runs. Each costs about a microsecond and a wake-up.
const LOOK_MIN_S: f64 = 0.001;
/// A group that uses nothing is looked at less and less often, down to this.
const LOOK_QUIET_S: f64 = 0.004;
/// Nobody is left alone for longer.
const LOOK_MAX_S: f64 = 0.100;

impl Duty {
    /// A controller for a group that runs, on a host with `width` cores.
    pub(super) fn new(share: f64, width: f64) -> Self {
        let mut duty = Self { share, width: width.max(1.0), budget_s: 0.0, last: None, running: true, quiet: 0 };
        duty.budget_s = duty.round_budget_s();
        duty
    }

    /// Another share from now on.
    pub(super) fn set_share(&mut self, share: f64) {
        self.share = share;
    }

    /// Looks: `now` is the clock, `cpu` all that the group has used so far.
    pub(super) fn turn(&mut self, now: Duration, cpu: Duration) -> Turn {
        let (since, used_before) = self.last.unwrap_or((now, cpu));
        let passed_s = now.saturating_sub(since).as_secs_f64();
        // The total falls when a process of the group ends that was counted.
        let used_s = cpu.saturating_sub(used_before).as_secs_f64();
        self.last = Some((now, cpu));
        self.budget_s = (self.budget_s + self.share * passed_s - used_s).min(BUDGET_ROUNDS * self.round_budget_s());
        self.quiet = if used_s > 0.0 || !self.running { 0 } else { self.quiet.saturating_add(1) };
        self.running = if self.running { self.budget_s > 0.0 } else { self.budget_s >= self.round_budget_s() };
        let look_s = if self.running {
            let soonest = (self.budget_s / self.width).max(LOOK_MIN_S);
            let quiet = (LOOK_MIN_S * f64::from(1_u32 << self.quiet.min(8))).min(LOOK_QUIET_S);
            if self.quiet == 0 { soonest } else { soonest.max(quiet) }
        } else {
            // One that is stopped uses nothing: when its budget will be full again can be told.
            ((self.round_budget_s() - self.budget_s) / self.share).max(LOOK_MIN_S)
        };
        Turn { run: self.running, look_after: Duration::from_secs_f64(look_s.min(LOOK_MAX_S)) }
    }

    /// Seconds of CPU in a round.
    fn round_budget_s(&self) -> f64 {
        (self.share * ROUND_MIN_S).max(RUN_MIN_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A group of so many threads that spin whenever it is their time to work and they are not stopped; looked at as the
    /// controller asks, but late by what `lateness` says. Returns the CPU used until each look, with its time.
    fn simulate(
        mut duty: Duty,
        threads: f64,
        until_s: f64,
        works: impl Fn(f64) -> bool,
        mut lateness_s: impl FnMut() -> f64,
    ) -> Vec<(f64, f64)> {
        let (mut now_s, mut cpu_s, mut looks) = (0.0, 0.0, Vec::new());
        while now_s < until_s {
            let turn = duty.turn(Duration::from_secs_f64(now_s), Duration::from_secs_f64(cpu_s));
            looks.push((now_s, cpu_s));
            let step_s = turn.look_after.as_secs_f64() + lateness_s();
            if turn.run && works(now_s) {
                cpu_s += step_s * threads;
            }
            now_s += step_s;
        }
        looks
    }

    fn share_of(looks: &[(f64, f64)]) -> f64 {
        let (now_s, cpu_s) = looks.last().unwrap();
        cpu_s / now_s
    }

    #[test]
    fn who_spins_gets_the_share_and_no_more() {
        for share in [0.01, 0.05, 0.08, 0.25, 0.5, 0.9, 1.5] {
            for threads in [1.0, 2.0] {
                let looks = simulate(Duty::new(share, 2.0), threads, 20.0, |_| true, || 0.0001);
                let expected = share.min(threads);
                let got = share_of(&looks);
                assert!((got / expected - 1.0).abs() < 0.01, "{got} of {expected} with {threads} threads");
            }
        }
    }

    #[test]
    fn looks_that_come_late_are_paid_for_later() {
        let mut late = false;
        let every_other = || {
            late = !late;
            if late { 0.006 } else { 0.0 }
        };
        let got = share_of(&simulate(Duty::new(0.05, 2.0), 2.0, 60.0, |_| true, every_other));
        assert!((got / 0.05 - 1.0).abs() < 0.02, "{got}");
    }

    #[test]
    fn who_did_nothing_may_run_at_once_but_saves_up_two_rounds_only() {
        let mut duty = Duty::new(0.1, 1.0);
        assert!(duty.turn(Duration::ZERO, Duration::ZERO).run);
        let hour = Duration::from_hours(1);
        assert!(duty.turn(hour, Duration::ZERO).run);
        // Two rounds of 20 ms hold 4 ms of CPU: who has used these is stopped.
        let stopped = duty.turn(hour, Duration::from_micros(4_001));
        assert!(!stopped.run);
        // Until the budget of one round, 2 ms, is there again.
        assert!((stopped.look_after.as_secs_f64() - 0.020_01).abs() < 1e-6, "{stopped:?}");
        let soon = hour + stopped.look_after - Duration::from_millis(1);
        assert!(!duty.turn(soon, Duration::from_micros(4_001)).run);
        assert!(duty.turn(soon + Duration::from_millis(2), Duration::from_micros(4_001)).run);
    }

    #[test]
    fn a_quiet_group_is_looked_at_less_often_and_a_busy_one_at_once_again() {
        let mut duty = Duty::new(0.05, 2.0);
        let mut now = Duration::ZERO;
        for _ in 0..10 {
            now += duty.turn(now, Duration::ZERO).look_after;
        }
        assert_eq!(duty.turn(now, Duration::ZERO).look_after, Duration::from_millis(4));
        let busy = duty.turn(now, Duration::from_millis(1));
        assert!(busy.look_after < Duration::from_millis(4), "{busy:?}");
    }

    #[test]
    fn another_share_holds_from_its_moment_on() {
        let mut duty = Duty::new(0.5, 1.0);
        duty.set_share(0.05);
        let got = share_of(&simulate(duty, 1.0, 20.0, |_| true, || 0.0));
        assert!((got / 0.05 - 1.0).abs() < 0.02, "{got}");
    }

    proptest! {
        #[test]
        fn in_any_stretch_of_time_no_more_is_used_than_the_share_and_what_may_be_saved(
            share in 0.02_f64..1.5,
            threads in 1_u32..4,
            seed in any::<u64>(),
            busy_s in 0.01_f64..0.5,
        ) {
            use rand::{Rng, SeedableRng};
            let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let late_s = 0.003;
            let threads = f64::from(threads);
            let works = |now_s: f64| (now_s / busy_s).floor() % 2.0 == 0.0;
            let looks = simulate(Duty::new(share, threads), threads, 5.0, works, || rng.random::<f64>() * late_s);
            let saved_s = BUDGET_ROUNDS * (share * ROUND_MIN_S).max(RUN_MIN_S);
            // Nobody looks later than this after the budget of all threads is used up.
            let between_s = threads * (LOOK_QUIET_S + late_s);
            for (from, (begin_s, before_s)) in looks.iter().enumerate().step_by(7) {
                for (end_s, after_s) in &looks[from..] {
                    let most_s = share * (end_s - begin_s) + saved_s + between_s + 1e-9;
                    prop_assert!(after_s - before_s <= most_s, "{} in {} s", after_s - before_s, end_s - begin_s);
                }
            }
        }
    }
}
