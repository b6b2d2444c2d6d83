//! The autoscaler of one revision, whichever policy it follows.

use super::choice::AutoscalerKind;
use super::cloud_run::CloudRun;
use super::decision::{Bounds, Decision, Snapshot};
use super::knative::Knative;
use super::micros::Micros;
use super::policy::Policy;
use std::collections::VecDeque;
use std::time::Duration;

/// The autoscaler of one revision.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    policy: Policy,
    bounds: Bounds,
    drivers: Drivers,
    startups: VecDeque<Duration>,
}

#[derive(Clone, Debug)]
enum Drivers {
    CloudRun(CloudRun),
    Knative(Knative),
}

impl Autoscaler {
    /// An autoscaler that has observed nothing. The policy is used as it is: scale it before.
    #[must_use]
    pub fn new(policy: Policy, bounds: Bounds) -> Self {
        let drivers = match policy.autoscaler {
            AutoscalerKind::CloudRun => Drivers::CloudRun(CloudRun::new(&policy)),
            AutoscalerKind::Knative => Drivers::Knative(Knative::new(&policy)),
        };
        Self { policy, bounds, drivers, startups: VecDeque::new() }
    }

    /// The policy it follows.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Changes how many instances there are at least and at most: min instances are kept only while a revision has
    /// traffic, and a service divides its own bounds among its revisions.
    pub fn set_instances(&mut self, min_instances: u32, max_instances: u32) {
        self.bounds = Bounds { min_instances, max_instances, ..self.bounds };
    }

    /// Writes bucket number `bucket` (the time since the start divided by the bucket length): the average of in-flight
    /// plus pending requests over it, and the average number of vCPUs all instances together used.
    pub fn observe(&mut self, bucket: u64, concurrency: f64, cpu: f64) {
        match &mut self.drivers {
            Drivers::CloudRun(drivers) => drivers.observe(bucket, concurrency, cpu),
            Drivers::Knative(drivers) => drivers.observe(bucket, concurrency),
        }
    }

    /// Notes how long an instance took from its start until it listened.
    pub fn observe_startup(&mut self, took: Duration) {
        self.startups.push_back(took);
        while self.startups.len() > self.policy.startups_remembered {
            self.startups.pop_front();
        }
    }

    /// How long a request may be pending: `max(10 s, 3.5 × mean start-up)`, of which only the 10 s are scaled. Under
    /// Knative's policy only its own time-out ends the waiting.
    #[must_use]
    pub fn pending_limit(&self) -> Duration {
        if self.policy.autoscaler == AutoscalerKind::Knative {
            return Duration::MAX;
        }
        if self.startups.is_empty() {
            return self.policy.pending_min;
        }
        let mean = self.startups.iter().map(Duration::as_secs_f64).sum::<f64>() / self.startups.len() as f64;
        self.policy.pending_min.max(Duration::from_secs_f64(mean * self.policy.pending_startups))
    }

    /// The metrics drivers: how many instances there should be.
    pub fn tick(&mut self, now: Micros, snapshot: &Snapshot) -> Decision {
        // The bucket that `now` lies in is not over: the last one that is ends the windows.
        let last = (now.0 / Micros::of(self.policy.bucket).0.max(1)).saturating_sub(1);
        match &mut self.drivers {
            Drivers::CloudRun(drivers) => drivers.tick(last, &self.policy, &self.bounds),
            Drivers::Knative(drivers) => drivers.tick((now, last), &self.policy, &self.bounds, snapshot),
        }
        .within(&self.bounds, snapshot)
    }

    /// On-demand scaling: how many instances to start now because a request found no room.
    pub fn on_no_capacity(&mut self, snapshot: &Snapshot) -> u32 {
        let supply = snapshot.ready.saturating_add(snapshot.starting);
        let room = self.bounds.max_instances.saturating_sub(supply);
        match &mut self.drivers {
            Drivers::CloudRun(drivers) => drivers.on_no_capacity(room, &self.policy, &self.bounds, snapshot),
            Drivers::Knative(_) => Knative::on_no_capacity(snapshot).min(room),
        }
    }
}

/// How many buckets a window holds.
pub(super) fn buckets(window: Duration, bucket: Duration) -> u64 {
    let bucket = bucket.as_nanos().max(1);
    // Both were divided by the time factor and cut to nanoseconds: the nearest whole number is meant.
    u64::try_from((window.as_nanos() + bucket / 2) / bucket).unwrap_or(u64::MAX)
}
