//! Knative's pod autoscaler: the average concurrency over a stable and over a panic window, and the last instance's
//! grace. Formulas and constants are those of knative/serving @98e5ef90 (`pkg/autoscaler/scaling/autoscaler.go`,
//! `pkg/reconciler/autoscaling/kpa/scaler.go`).
//!
//! The platform's ingress stands where Knative has its activator, and stays in every request's way: requests wait in one
//! queue whatever the burst capacity, never in the queue of an instance.

use super::decision::{Bounds, Decision, Reason, Snapshot, instances};
use super::micros::Micros;
use super::policy::Policy;
use super::scaler::buckets;
use super::window::Window;

/// The metric and the mode of one revision.
#[derive(Clone, Debug)]
pub(super) struct Knative {
    stable: Window,
    panic: Window,
    /// When the load last was over the panic threshold, in panic mode.
    panicking_since: Option<Micros>,
    /// The most instances wanted since the panic began: it never asks for fewer.
    panic_most: u32,
    /// Since when there have been instances.
    active_since: Option<Micros>,
    /// Since when the windows ask for none.
    unwanted_since: Option<Micros>,
}

impl Knative {
    /// Without an observation.
    pub(super) fn new(policy: &Policy) -> Self {
        let panic = policy.window.mul_f64(policy.knative.panic_window_share.clamp(0.0, 1.0));
        Self {
            stable: Window::new(buckets(policy.window, policy.bucket)),
            panic: Window::new(buckets(panic, policy.bucket)),
            panicking_since: None,
            panic_most: 0,
            active_since: None,
            unwanted_since: None,
        }
    }

    /// Writes a bucket's average concurrency.
    pub(super) fn observe(&mut self, bucket: u64, concurrency: f64) {
        self.stable.observe(bucket, concurrency);
        self.panic.observe(bucket, concurrency);
    }

    /// How many instances there should be; `last` is the last bucket that is over.
    pub(super) fn tick(
        &mut self,
        (now, last): (Micros, u64),
        policy: &Policy,
        bounds: &Bounds,
        snapshot: &Snapshot,
    ) -> Decision {
        let (by_concurrency, reason) = self.wanted((now, last), policy, bounds, snapshot.ready);
        self.note_activity(now, snapshot, by_concurrency > 0);
        let (desired, reason) = match by_concurrency {
            0 if self.has_grace(now, policy) => (1, Reason::Grace),
            wanted => (wanted, reason),
        };
        Decision { desired, reason, by_concurrency, by_cpu: 0 }
    }

    /// The first request for a revision without instances starts one at once: the activator reports it and pokes the
    /// autoscaler. All others wait for the next tick.
    pub(super) fn on_no_capacity(snapshot: &Snapshot) -> u32 {
        u32::from(snapshot.ready + snapshot.starting == 0 && snapshot.pending > 0)
    }

    /// `Scale()`: stable and panic window, each within the rates, and the panic mode.
    fn wanted(&mut self, (now, last): (Micros, u64), policy: &Policy, bounds: &Bounds, ready: u32) -> (u32, Reason) {
        let constants = &policy.knative;
        // A concurrency driver that is off would leave nothing to scale by: its default holds.
        let share = bounds.targets.concurrency.or(constants.target_utilization).unwrap_or(constants.target_utilization);
        let target = (share * f64::from(bounds.max_concurrency)).max(constants.target_min);
        let ready = f64::from(ready.max(1));
        let most = instances(constants.scale_up_rate_max * ready);
        // Rounded down: of three instances one is left at a rate of two.
        let fewest = instances((ready / constants.scale_down_rate_max).floor());
        let asked = |window: &Window| instances(six_digits(window.average(last)) / target);
        let (stable, panic) = (asked(&self.stable), asked(&self.panic));
        let limited = |wanted: u32| wanted.max(fewest).min(most);

        let over = f64::from(panic) / ready >= constants.panic_threshold;
        match self.panicking_since {
            _ if over => self.panicking_since = Some(now),
            Some(since) if since + Micros::of(policy.window) < now => {
                (self.panicking_since, self.panic_most) = (None, 0);
            }
            _ => {}
        }
        if self.panicking_since.is_none() {
            return (limited(stable), Reason::Concurrency);
        }
        self.panic_most = self.panic_most.max(limited(stable)).max(limited(panic));
        (self.panic_most, Reason::Panic)
    }

    fn note_activity(&mut self, now: Micros, snapshot: &Snapshot, wanted: bool) {
        if snapshot.ready + snapshot.starting == 0 {
            self.active_since = None;
        } else {
            self.active_since.get_or_insert(now);
        }
        if wanted || self.active_since.is_none() {
            self.unwanted_since = None;
        }
    }

    /// The last instance stays until there have been instances for a stable window and, after that, none has been wanted
    /// for the grace.
    fn has_grace(&mut self, now: Micros, policy: &Policy) -> bool {
        let Some(active_since) = self.active_since else { return false };
        if now - active_since < Micros::of(policy.window) {
            return true;
        }
        let unwanted_since = *self.unwanted_since.get_or_insert(now);
        now - unwanted_since < Micros::of(policy.knative.scale_to_zero_grace)
    }
}

/// Knative rounds a window's average to six digits behind the point.
fn six_digits(average: f64) -> f64 {
    (average * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests;
