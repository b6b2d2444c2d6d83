//! Cloud Run's two mechanisms: the metrics drivers, evaluated at every tick, and on-demand starts for requests that
//! find no room.

use super::decision::{Bounds, Decision, Reason, Snapshot, instances};
use super::policy::Policy;
use super::scaler::buckets;
use super::window::Window;

/// The metrics of one revision.
#[derive(Clone, Debug)]
pub(super) struct CloudRun {
    concurrency: Window,
    concurrency_long: Option<Window>,
    cpu: Window,
    started_since_tick: u32,
}

impl CloudRun {
    /// Without an observation.
    pub(super) fn new(policy: &Policy) -> Self {
        let window = |length| Window::new(buckets(length, policy.bucket));
        Self {
            concurrency: window(policy.window),
            concurrency_long: policy.long_concurrency_window.map(window),
            cpu: window(policy.window),
            started_since_tick: 0,
        }
    }

    /// Writes a bucket's average concurrency and the vCPUs used in it.
    pub(super) fn observe(&mut self, bucket: u64, concurrency: f64, cpu: f64) {
        self.concurrency.observe(bucket, concurrency);
        if let Some(long) = &mut self.concurrency_long {
            long.observe(bucket, concurrency);
        }
        self.cpu.observe(bucket, cpu);
    }

    /// How many instances there should be; `last` is the last bucket that is over. Instances are never killed for it;
    /// fewer are wanted only by leaving the younger ones idle.
    pub(super) fn tick(&mut self, last: u64, policy: &Policy, bounds: &Bounds) -> Decision {
        self.started_since_tick = 0;
        let k = f64::from(bounds.max_concurrency.max(1));
        let concurrency = self.concurrency.average(last);
        let concurrency =
            self.concurrency_long.as_ref().map_or(concurrency, |long| long.average(last).max(concurrency));
        // A driver that is off asks for nothing.
        let driver = |load: f64, target: Option<f64>| target.map_or(0, |target| instances(load / target));
        let by_concurrency = driver(concurrency / k, bounds.targets.concurrency.or(policy.concurrency_target));
        let by_cpu = driver(self.cpu.average(last) / bounds.vcpu, bounds.targets.cpu.or(policy.cpu_target));
        let (desired, reason) =
            if by_cpu > by_concurrency { (by_cpu, Reason::Cpu) } else { (by_concurrency, Reason::Concurrency) };
        Decision { desired, reason, by_concurrency, by_cpu }
    }

    /// How many instances to start now, of `room` at most, because a request found no slot.
    pub(super) fn on_no_capacity(&mut self, room: u32, policy: &Policy, bounds: &Bounds, snapshot: &Snapshot) -> u32 {
        let k = bounds.max_concurrency.max(1);
        let coming = u64::from(snapshot.free_slots) + u64::from(snapshot.starting) * u64::from(k);
        let missing = u64::from(snapshot.pending).saturating_sub(coming);
        let needed = u32::try_from(missing.div_ceil(u64::from(k))).unwrap_or(u32::MAX);
        let burst = match policy.on_demand_starts_per_tick {
            Some(limit) => limit.saturating_sub(self.started_since_tick),
            None => u32::MAX,
        };
        let start = needed.min(room).min(burst);
        self.started_since_tick = self.started_since_tick.saturating_add(start);
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoscaler::{Autoscaler, Micros, Target, Targets};
    use std::time::Duration;

    fn bounds(max_concurrency: u32) -> Bounds {
        Bounds { max_concurrency, vcpu: 1.0, min_instances: 0, max_instances: 1000, targets: Targets::default() }
    }

    fn second(t: u64) -> Micros {
        Micros(t * 1_000_000)
    }

    /// Drives the metrics driver alone with instances that are ready at once; returns the changes of `desired`.
    fn drive(policy: Policy, load: impl Fn(u64) -> f64, until: u64) -> Vec<(u64, u32, Reason)> {
        let mut autoscaler = Autoscaler::new(policy, bounds(80));
        let (mut ready, mut changes) = (0, Vec::new());
        for t in 0..=until {
            let concurrency = load(t);
            autoscaler.observe(t, concurrency, (0.02 * concurrency).min(f64::from(ready)));
            if t > 0 && t % 5 == 0 {
                let decision = autoscaler.tick(second(t), &Snapshot { ready, ..Snapshot::default() });
                if decision.desired != ready {
                    changes.push((t, decision.desired, decision.reason));
                    ready = decision.desired;
                }
            }
        }
        changes
    }

    fn golden_load(t: u64) -> f64 {
        match t {
            0..120 => 960.0,
            120..240 => 96.0,
            _ => 0.0,
        }
    }

    #[test]
    fn golden_vector_b_of_the_metrics_driver() {
        let changes = drive(Policy::cloud_run(), golden_load, 400);
        let golden = [
            (5, 20),
            (20, 23),
            (25, 25),
            (30, 26),
            (35, 27),
            (40, 28),
            (50, 29),
            (60, 30),
            (65, 32),
            (125, 30),
            (130, 27),
            (135, 25),
            (140, 22),
            (145, 20),
            (150, 18),
            (155, 15),
            (160, 13),
            (165, 10),
            (170, 8),
            (175, 6),
            (180, 4),
            (245, 3),
            (265, 2),
            (285, 1),
            (300, 0),
        ];
        assert_eq!(changes.iter().map(|(t, desired, _)| (*t, *desired)).collect::<Vec<_>>(), golden);
        assert_eq!(changes[0].2, Reason::Concurrency);
        assert_eq!(changes[1].2, Reason::Cpu);
    }

    #[test]
    fn the_ten_minute_window_holds_instances_back() {
        let policy = Policy { long_concurrency_window: Some(Duration::from_mins(10)), ..Policy::cloud_run() };
        let changes = drive(policy, golden_load, 1000);
        // At 300 s the long average is (120 × 960 + 120 × 96) / 301 = 421: 9 instances; the short one would say 0.
        let at = |t: u64| changes.iter().rev().find(|(changed, ..)| *changed <= t).map(|(_, desired, _)| *desired);
        assert_eq!(at(300), Some(9));
        assert_eq!(at(1000), Some(0));
    }

    #[test]
    fn a_request_keeps_one_instance_and_the_bounds_hold() {
        let mut autoscaler = Autoscaler::new(Policy::cloud_run(), Bounds { max_instances: 3, ..bounds(1) });
        let one = autoscaler.tick(second(5), &Snapshot { pending: 1, ..Snapshot::default() });
        assert_eq!((one.desired, one.reason), (1, Reason::InFlight));
        autoscaler.observe(5, 100.0, 0.0);
        let many = autoscaler.tick(second(5), &Snapshot::default());
        assert_eq!((many.desired, many.reason, many.by_concurrency), (3, Reason::MaxInstances, 167));
        let mut warm = Autoscaler::new(Policy::cloud_run(), Bounds { min_instances: 2, ..bounds(1) });
        assert_eq!(warm.tick(second(5), &Snapshot::default()).reason, Reason::MinInstances);
    }

    #[test]
    fn on_demand_examples() {
        let mut autoscaler = Autoscaler::new(Policy::cloud_run(), bounds(80));
        let zero = Snapshot { pending: 960, ..Snapshot::default() };
        assert_eq!(autoscaler.on_no_capacity(&zero), 12);
        let full = Snapshot { ready: 2, starting: 1, in_flight: 160, pending: 81, ..Snapshot::default() };
        assert_eq!(autoscaler.on_no_capacity(&full), 1);
        assert_eq!(autoscaler.on_no_capacity(&Snapshot { pending: 80, ..full }), 0);
        let mut capped = Autoscaler::new(Policy::cloud_run(), Bounds { max_instances: 4, ..bounds(80) });
        assert_eq!(capped.on_no_capacity(&Snapshot { pending: 960, ..full }), 1);
    }

    #[test]
    fn on_demand_starts_can_be_limited_per_tick() {
        let policy = Policy { on_demand_starts_per_tick: Some(10), ..Policy::cloud_run() };
        let mut autoscaler = Autoscaler::new(policy, bounds(80));
        let zero = Snapshot { pending: 960, ..Snapshot::default() };
        assert_eq!(autoscaler.on_no_capacity(&zero), 10);
        assert_eq!(autoscaler.on_no_capacity(&zero), 0);
        autoscaler.tick(second(5), &zero);
        assert_eq!(autoscaler.on_no_capacity(&zero), 10);
    }

    #[test]
    fn the_pending_limit_follows_the_last_startups() {
        let mut autoscaler = Autoscaler::new(Policy::cloud_run().scaled(10.0), bounds(1));
        assert_eq!(autoscaler.pending_limit(), Duration::from_secs(1));
        autoscaler.observe_startup(Duration::from_millis(200));
        assert_eq!(autoscaler.pending_limit(), Duration::from_secs(1), "3.5 × 0.2 s is less");
        for _ in 0..20 {
            autoscaler.observe_startup(Duration::from_secs(2));
        }
        assert_eq!(autoscaler.pending_limit(), Duration::from_secs(7), "the first start-up is forgotten");
    }

    #[test]
    fn a_scaled_window_has_as_many_buckets() {
        let mut autoscaler = Autoscaler::new(Policy::cloud_run().scaled(12.0), bounds(80));
        for bucket in 0..60 {
            autoscaler.observe(bucket, if bucket == 0 { 60.0 * 48.0 } else { 0.0 }, 0.0);
        }
        // One bucket of sixty: the average is 48, which is one instance at 0.6 × 80; a window of 59 would have
        // forgotten it.
        assert_eq!(autoscaler.tick(Micros(5_000_000), &Snapshot::default()).by_concurrency, 1);
        autoscaler.observe(60, 0.0, 0.0);
        assert_eq!(autoscaler.tick(Micros(5_083_334), &Snapshot::default()).by_concurrency, 0);
    }

    /// What both drivers ask for under these targets at 48 concurrent requests and 2.7 vCPUs: `(concurrency, CPU)`.
    fn asked(cpu: Target, concurrency: Target) -> (u32, u32) {
        let bounds = Bounds { targets: Targets { cpu, concurrency }, ..bounds(8) };
        let mut autoscaler = Autoscaler::new(Policy::cloud_run(), bounds);
        autoscaler.observe(0, 48.0, 2.7);
        let decision = autoscaler.tick(second(1), &Snapshot::default());
        assert_eq!(decision.desired, decision.by_concurrency.max(decision.by_cpu));
        (decision.by_concurrency, decision.by_cpu)
    }

    #[test]
    fn golden_targets_of_a_revision() {
        use Target::{Default, Off, Share};
        // Six instances' concurrency and 2.7 instances' CPU, divided by the target and rounded up.
        let golden = [
            (Default, Default, (10, 5)),
            (Share(0.6), Share(0.6), (10, 5)),
            (Share(0.9), Share(0.95), (7, 3)),
            (Share(0.1), Share(0.1), (60, 27)),
            (Share(0.45), Share(0.75), (8, 6)),
            (Off, Default, (10, 0)),
            (Default, Off, (0, 5)),
        ];
        for (cpu, concurrency, expected) in golden {
            assert_eq!(asked(cpu, concurrency), expected, "{cpu:?} {concurrency:?}");
        }
    }
}
