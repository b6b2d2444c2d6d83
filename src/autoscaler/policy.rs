//! The platform's constants, each a named field with its source and date. What Google does not publish is an assumption
//! of the model and is listed as such, so that a report can show it.

use super::choice::{AutoscalerKind, Routing};
use std::time::Duration;

/// The constants of Cloud Run's autoscaler and of its life cycle, as read on 2026-11-22.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Whose autoscaler decides.
    pub autoscaler: AutoscalerKind,
    /// Which instance gets a request; `None` for the autoscaler's own, which [`Policy::routing_of`] tells.
    pub routing: Option<Routing>,
    /// Seed of the draws of [`Routing::TwoChoices`], the same for every revision.
    pub routing_seed: u64,
    /// How often the drivers are evaluated. Knative: 2 s. Cloud Run: 5 s in an older copy of "About instance autoscaling"
    /// (docs.cloud.google.com/run/docs/about-instance-autoscaling); the page of 2026-11-22 says only "periodically": an
    /// assumption.
    pub tick: Duration,
    /// Length of one observation. Knative's metric bucket (knative/serving @98e5ef90, `config.BucketSize`, 1 s); Cloud
    /// Run's is not public: an assumption.
    pub bucket: Duration,
    /// Window of both drivers' averages: 1 minute ("About instance autoscaling", 2026-11-22), as long as Knative's stable
    /// window.
    pub window: Duration,
    /// Second, longer window of the concurrency driver, of which the larger answer wins. Google names 10 minutes beside
    /// the 1 minute; off (`None`) by default, because a study shorter than the window would measure only its filling.
    pub long_concurrency_window: Option<Duration>,
    /// Share of an instance's vCPUs the CPU driver aims at: 0.6 ("About instance autoscaling", 2026-11-22).
    pub cpu_target: f64,
    /// Share of max concurrency the concurrency driver aims at: 0.6 (same page and date).
    pub concurrency_target: f64,
    /// Knative's own constants; without effect under Cloud Run's autoscaler.
    pub knative: KnativePolicy,
    /// How long an instance may be idle before it may be stopped: 15 minutes ("Container runtime contract",
    /// 2026-11-22).
    pub idle_timeout: Duration,
    /// A pending request waits at least this long before its 429: 10 s ("About maximum instances", 2026-11-22).
    pub pending_min: Duration,
    /// … or this many mean start-up times, if that is longer: 3.5 (same page and date). Start-ups are never scaled.
    pub pending_startups: f64,
    /// Of how many latest start-ups that mean is taken: 20. Not public: an assumption.
    pub startups_remembered: usize,
    /// Requests that may wait at once; one more is answered 429. 10,000, Knative's activator (@98e5ef90); Cloud Run's
    /// is not public: an assumption.
    pub queue_capacity: usize,
    /// On-demand starts allowed between two ticks. Google publishes no limit: `None`, an assumption.
    pub on_demand_starts_per_tick: Option<u32>,
    /// How long an instance keeps its startup CPU boost after it has started: 10 s ("Configure CPU limits for services",
    /// startup CPU boost).
    pub startup_boost_tail: Duration,
    /// How long a new instance may take until it listens: 4 minutes ("Container runtime contract", 2026-11-22). Never
    /// scaled: a start-up is real.
    pub startup_limit: Duration,
    /// Between SIGTERM and SIGKILL: 10 s ("Container runtime contract", 2026-11-22). Never scaled: a shutdown is real.
    pub shutdown_grace: Duration,
    /// Length of a billed slice: 100 ms (cloud.google.com/run/pricing, 2025-08-19). A billing constant, never scaled.
    pub billing_slice: Duration,
    /// Shortest life an instance is billed for under instance-based billing: 1 minute (same page). A billing constant,
    /// never scaled.
    pub billing_instance_min: Duration,
}

/// What Knative's pod autoscaler has besides its tick and windows (knative/serving @98e5ef90, `config/core/configmaps/
/// autoscaler.yaml`, read 2026-11-22).
#[derive(Clone, Debug, PartialEq)]
pub struct KnativePolicy {
    /// Share of max concurrency that is aimed at: 0.7.
    pub target_utilization: f64,
    /// The target is at least so many requests: 0.01.
    pub target_min: f64,
    /// The panic window is this share of the stable one: 0.1.
    pub panic_window_share: f64,
    /// Panic begins when the panic window asks for so many times the ready instances: 2.
    pub panic_threshold: f64,
    /// At most so many times the ready instances are wanted at once: 1000.
    pub scale_up_rate_max: f64,
    /// At least this part of them is: one in 2.
    pub scale_down_rate_max: f64,
    /// How long the last instance stays when none is wanted: 30 s.
    pub scale_to_zero_grace: Duration,
}

/// A constant that Google does not publish, for the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// What is assumed.
    pub what: &'static str,
    /// Where the value comes from.
    pub basis: &'static str,
}

impl Policy {
    /// Cloud Run, as its pages describe it.
    #[must_use]
    pub fn cloud_run() -> Self {
        Self {
            autoscaler: AutoscalerKind::CloudRun,
            routing: None,
            routing_seed: 1,
            tick: Duration::from_secs(5),
            bucket: Duration::from_secs(1),
            window: Duration::from_mins(1),
            long_concurrency_window: None,
            cpu_target: 0.6,
            concurrency_target: 0.6,
            knative: KnativePolicy {
                target_utilization: 0.7,
                target_min: 0.01,
                panic_window_share: 0.1,
                panic_threshold: 2.0,
                scale_up_rate_max: 1000.0,
                scale_down_rate_max: 2.0,
                scale_to_zero_grace: Duration::from_secs(30),
            },
            idle_timeout: Duration::from_mins(15),
            pending_min: Duration::from_secs(10),
            pending_startups: 3.5,
            startups_remembered: 20,
            queue_capacity: 10_000,
            on_demand_starts_per_tick: None,
            startup_boost_tail: Duration::from_secs(10),
            startup_limit: Duration::from_mins(4),
            shutdown_grace: Duration::from_secs(10),
            billing_slice: Duration::from_millis(100),
            billing_instance_min: Duration::from_mins(1),
        }
    }

    /// The same platform under Knative's autoscaler, evaluated every 2 s (`pkg/autoscaler/scaling/multiscaler.go`
    /// @98e5ef90).
    #[must_use]
    pub fn knative() -> Self {
        Self { autoscaler: AutoscalerKind::Knative, tick: Duration::from_secs(2), ..Self::cloud_run() }
    }

    /// The policy of this autoscaler.
    #[must_use]
    pub fn of(autoscaler: AutoscalerKind) -> Self {
        match autoscaler {
            AutoscalerKind::CloudRun => Self::cloud_run(),
            AutoscalerKind::Knative => Self::knative(),
        }
    }

    /// Which instance of so large a max concurrency gets a request: what was chosen, else Knative's own, else the least
    /// loaded one. Cloud Run's is not public: an assumption.
    #[must_use]
    pub fn routing_of(&self, max_concurrency: u32) -> Routing {
        match (self.routing, self.autoscaler) {
            (Some(chosen), _) => chosen,
            (None, AutoscalerKind::CloudRun) => Routing::LeastLoaded,
            (None, AutoscalerKind::Knative) => Routing::of_knative(max_concurrency),
        }
    }

    /// The same platform in a world that runs `time_factor` times as fast: tick, bucket, windows, idle time-out and the
    /// fixed part of the pending limit are divided. Start-up, shutdown and billing constants are not. A factor that is
    /// not a positive number changes nothing.
    #[must_use]
    pub fn scaled(self, time_factor: f64) -> Self {
        if !(time_factor.is_finite() && time_factor > 0.0) {
            return self;
        }
        let divide = |duration: Duration| Duration::from_secs_f64(duration.as_secs_f64() / time_factor);
        Self {
            tick: divide(self.tick),
            bucket: divide(self.bucket),
            window: divide(self.window),
            long_concurrency_window: self.long_concurrency_window.map(divide),
            idle_timeout: divide(self.idle_timeout),
            pending_min: divide(self.pending_min),
            startup_boost_tail: divide(self.startup_boost_tail),
            knative: KnativePolicy { scale_to_zero_grace: divide(self.knative.scale_to_zero_grace), ..self.knative },
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_factor_divides_platform_times_and_nothing_else() {
        let real = Policy { long_concurrency_window: Some(Duration::from_mins(10)), ..Policy::cloud_run() };
        let fast = real.clone().scaled(10.0);
        assert_eq!(fast.tick, Duration::from_millis(500));
        assert_eq!(fast.bucket, Duration::from_millis(100));
        assert_eq!(fast.window, Duration::from_secs(6));
        assert_eq!(fast.long_concurrency_window, Some(Duration::from_mins(1)));
        assert_eq!(fast.idle_timeout, Duration::from_secs(90));
        assert_eq!(fast.pending_min, Duration::from_secs(1));
        assert_eq!(fast.startup_boost_tail, Duration::from_secs(1));
        assert_eq!(fast.knative.scale_to_zero_grace, Duration::from_secs(3));
        assert_eq!(fast.startup_limit, real.startup_limit);
        assert_eq!(fast.shutdown_grace, real.shutdown_grace);
        assert_eq!(fast.billing_slice, real.billing_slice);
        assert_eq!(fast.billing_instance_min, real.billing_instance_min);
        assert_eq!(fast.pending_startups, real.pending_startups);
        assert_eq!(real.clone().scaled(0.0), real);
        assert_eq!(real.clone().scaled(f64::NAN), real);
    }
}
