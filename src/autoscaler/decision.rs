//! What an autoscaler is told, and what it answers.

use super::micros::Micros;

/// What a driver of the autoscaler aims at, as a revision sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Target {
    /// What the policy says.
    #[default]
    Default,
    /// The driver asks for nothing.
    Off,
    /// This share, within 0 to 1.
    Share(f64),
}

impl Target {
    /// The share, `None` if the driver is off.
    pub(super) fn or(self, default: f64) -> Option<f64> {
        match self {
            Self::Default => Some(default),
            Self::Off => None,
            Self::Share(share) => Some(share),
        }
    }
}

/// The targets of both drivers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Targets {
    /// Of the vCPUs of an instance.
    pub cpu: Target,
    /// Of max concurrency.
    pub concurrency: Target,
}

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
    /// What the drivers aim at.
    pub targets: Targets,
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
    /// The concurrency driver; Knative's stable window.
    Concurrency,
    /// The CPU driver.
    Cpu,
    /// Knative's panic mode.
    Panic,
    /// The drivers ask for none, but a request is there.
    InFlight,
    /// The drivers ask for none, but Knative's last instance has its grace.
    Grace,
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
    /// What the CPU driver alone asks for; Knative has none.
    pub by_cpu: u32,
}

impl Decision {
    /// The same within the bounds, and never none while a request is there.
    pub(super) fn within(mut self, bounds: &Bounds, snapshot: &Snapshot) -> Self {
        if self.desired == 0 && snapshot.in_flight + snapshot.pending > 0 {
            (self.desired, self.reason) = (1, Reason::InFlight);
        }
        if self.desired < bounds.min_instances {
            (self.desired, self.reason) = (bounds.min_instances, Reason::MinInstances);
        }
        if self.desired > bounds.max_instances {
            (self.desired, self.reason) = (bounds.max_instances, Reason::MaxInstances);
        }
        self
    }
}

/// A quotient may miss a whole number by its rounding error: 0.6 × 80 × 20 concurrent requests are 20 instances, not
/// 21.
const ROUNDING: f64 = 1e-9;

/// The whole number of instances that carries a load of `quotient` instances.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of u32")]
pub(super) fn instances(quotient: f64) -> u32 {
    // A division by a zero target or by no vCPU asks for nothing rather than for everything.
    if quotient.is_finite() { (quotient - ROUNDING).ceil().clamp(0.0, f64::from(u32::MAX)) as u32 } else { 0 }
}
