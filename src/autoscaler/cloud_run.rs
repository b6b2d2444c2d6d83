//! Cloud Run's two mechanisms: the metrics drivers, evaluated at every tick, and on-demand starts for requests that
//! find no room.

use super::micros::Micros;
use super::policy::Policy;
use super::window::Window;
use std::collections::VecDeque;
use std::time::Duration;

/// What a revision allows and what its instances are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Requests an instance may hold at once.
    pub max_concurrency: u32,
    /// vCPUs of an instance.
    pub vcpu: f64,
    /// Instances at least.
    pub min_instances: u32,
    /// Instances at most.
    pub max_instances: u32,
}

/// The revision at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Instances that take requests.
    pub ready: u32,
    /// Instances that do not listen yet.
    pub starting: u32,
    /// Instances that are being stopped.
    pub draining: u32,
    /// Requests in instances.
    pub in_flight: u32,
    /// Requests that wait for an instance.
    pub pending: u32,
    /// Requests that ready instances could take now.
    pub free_slots: u32,
    /// How long the oldest pending request has waited.
    pub oldest_pending_age: Micros,
}

/// What made the number of instances what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The concurrency driver.
    Concurrency,
    /// The CPU driver.
    Cpu,
    /// Both drivers ask for none, but a request is there.
    InFlight,
    /// The lower bound.
    MinInstances,
    /// The upper bound.
    MaxInstances,
}

/// The answer of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Instances wanted.
    pub desired: u32,
    /// Why.
    pub reason: Reason,
    /// What the concurrency driver alone asks for.
    pub by_concurrency: u32,
    /// What the CPU driver alone asks for.
    pub by_cpu: u32,
}

/// The autoscaler of one revision.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    policy: Policy,
    bounds: Bounds,
    concurrency: Window,
    concurrency_long: Option<Window>,
    cpu: Window,
    startups: VecDeque<Duration>,
    started_since_tick: u32,
}

/// A quotient may miss a whole number by its rounding error: 0.6 × 80 × 20 concurrent requests are 20 instances, not
/// 21.
const ROUNDING: f64 = 1e-9;

impl Autoscaler {
    /// An autoscaler that has observed nothing. The policy is used as it is: scale it before.
    #[must_use]
    pub fn new(policy: Policy, bounds: Bounds) -> Self {
        let buckets = |window: Duration| {
            let bucket = policy.bucket.as_nanos().max(1);
            // Both were divided by the time factor and cut to nanoseconds: the nearest whole number is meant.
            u64::try_from((window.as_nanos() + bucket / 2) / bucket).unwrap_or(u64::MAX)
        };
        Self {
            concurrency: Window::new(buckets(policy.window)),
            concurrency_long: policy.long_concurrency_window.map(|window| Window::new(buckets(window))),
            cpu: Window::new(buckets(policy.window)),
            startups: VecDeque::new(),
            started_since_tick: 0,
            policy,
            bounds,
        }
    }

    /// The policy it follows.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Changes the lower bound: min instances are kept only while a revision has traffic.
    pub fn set_min_instances(&mut self, min_instances: u32) {
        self.bounds.min_instances = min_instances;
    }

    /// Writes bucket number `bucket` (the time since the start divided by the bucket length): the average of in-flight
    /// plus pending requests over it, and the average number of vCPUs all instances together used.
    pub fn observe(&mut self, bucket: u64, concurrency: f64, cpu: f64) {
        self.concurrency.observe(bucket, concurrency);
        if let Some(long) = &mut self.concurrency_long {
            long.observe(bucket, concurrency);
        }
        self.cpu.observe(bucket, cpu);
    }

    /// Notes how long an instance took from its start until it listened.
    pub fn observe_startup(&mut self, took: Duration) {
        self.startups.push_back(took);
        while self.startups.len() > self.policy.startups_remembered {
            self.startups.pop_front();
        }
    }

    /// How long a request may be pending: `max(10 s, 3.5 × mean start-up)`, of which only the 10 s are scaled.
    #[must_use]
    pub fn pending_limit(&self) -> Duration {
        if self.startups.is_empty() {
            return self.policy.pending_min;
        }
        let mean = self.startups.iter().map(Duration::as_secs_f64).sum::<f64>() / self.startups.len() as f64;
        self.policy.pending_min.max(Duration::from_secs_f64(mean * self.policy.pending_startups))
    }

    /// The metrics drivers: how many instances there should be. Instances are never killed for it; fewer are wanted
    /// only by leaving the younger ones idle.
    pub fn tick(&mut self, now: Micros, snapshot: &Snapshot) -> Decision {
        self.started_since_tick = 0;
        // The bucket that `now` lies in is not over: the last one that is ends the window.
        let last = (now.0 / Micros::of(self.policy.bucket).0.max(1)).saturating_sub(1);
        let k = f64::from(self.bounds.max_concurrency.max(1));
        let concurrency = self.concurrency.average(last);
        let concurrency =
            self.concurrency_long.as_ref().map_or(concurrency, |long| long.average(last).max(concurrency));
        let by_concurrency = instances(concurrency / k / self.policy.concurrency_target);
        let by_cpu = instances(self.cpu.average(last) / self.bounds.vcpu / self.policy.cpu_target);

        let (mut desired, mut reason) =
            if by_cpu > by_concurrency { (by_cpu, Reason::Cpu) } else { (by_concurrency, Reason::Concurrency) };
        if desired == 0 && snapshot.in_flight + snapshot.pending > 0 {
            (desired, reason) = (1, Reason::InFlight);
        }
        if desired < self.bounds.min_instances {
            (desired, reason) = (self.bounds.min_instances, Reason::MinInstances);
        }
        if desired > self.bounds.max_instances {
            (desired, reason) = (self.bounds.max_instances, Reason::MaxInstances);
        }
        Decision { desired, reason, by_concurrency, by_cpu }
    }

    /// On-demand scaling: how many instances to start now because a request found no room.
    pub fn on_no_capacity(&mut self, _now: Micros, snapshot: &Snapshot) -> u32 {
        let k = self.bounds.max_concurrency.max(1);
        let coming = u64::from(snapshot.free_slots) + u64::from(snapshot.starting) * u64::from(k);
        let missing = u64::from(snapshot.pending).saturating_sub(coming);
        let needed = u32::try_from(missing.div_ceil(u64::from(k))).unwrap_or(u32::MAX);
        let room = self.bounds.max_instances.saturating_sub(snapshot.ready).saturating_sub(snapshot.starting);
        let burst = match self.policy.on_demand_starts_per_tick {
            Some(limit) => limit.saturating_sub(self.started_since_tick),
            None => u32::MAX,
        };
        let start = needed.min(room).min(burst);
        self.started_since_tick = self.started_since_tick.saturating_add(start);
        start
    }
}

/// The whole number of instances that carries a load of `quotient` instances.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u32")]
fn instances(quotient: f64) -> u32 {
    // A division by a zero target or by no vCPU asks for nothing rather than for everything.
    if quotient.is_finite() { (quotient - ROUNDING).ceil().clamp(0.0, f64::from(u32::MAX)) as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(max_concurrency: u32) -> Bounds {
        Bounds { max_concurrency, vcpu: 1.0, min_instances: 0, max_instances: 1000 }
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
        assert_eq!(autoscaler.on_no_capacity(second(0), &zero), 12);
        let full = Snapshot { ready: 2, starting: 1, in_flight: 160, pending: 81, ..Snapshot::default() };
        assert_eq!(autoscaler.on_no_capacity(second(0), &full), 1);
        assert_eq!(autoscaler.on_no_capacity(second(0), &Snapshot { pending: 80, ..full }), 0);
        let mut capped = Autoscaler::new(Policy::cloud_run(), Bounds { max_instances: 4, ..bounds(80) });
        assert_eq!(capped.on_no_capacity(second(0), &Snapshot { pending: 960, ..full }), 1);
    }

    #[test]
    fn on_demand_starts_can_be_limited_per_tick() {
        let policy = Policy { on_demand_starts_per_tick: Some(10), ..Policy::cloud_run() };
        let mut autoscaler = Autoscaler::new(policy, bounds(80));
        let zero = Snapshot { pending: 960, ..Snapshot::default() };
        assert_eq!(autoscaler.on_no_capacity(second(0), &zero), 10);
        assert_eq!(autoscaler.on_no_capacity(second(1), &zero), 0);
        autoscaler.tick(second(5), &zero);
        assert_eq!(autoscaler.on_no_capacity(second(5), &zero), 10);
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
}
