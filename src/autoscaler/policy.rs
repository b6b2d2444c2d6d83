//! The platform's constants, each a named field with its source and date. What Google does not publish is an assumption
//! of the model and is listed as such, so that a report can show it.

use std::time::Duration;

/// The constants of Cloud Run's autoscaler and of its life cycle, as read on 2026-11-22.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How often the metrics drivers are evaluated. 5 s in an older copy of "About instance autoscaling"
    /// (docs.cloud.google.com/run/docs/about-instance-autoscaling); the page of 2026-11-22 says only "periodically": an
    /// assumption.
    pub tick: Duration,
    /// Length of one observation. Knative's metric bucket (knative/serving @98e5ef90, `config.BucketSize`, 1 s); Cloud
    /// Run's is not public: an assumption.
    pub bucket: Duration,
    /// Window of both drivers' averages: 1 minute ("About instance autoscaling", 2026-11-22).
    pub window: Duration,
    /// Second, longer window of the concurrency driver, of which the larger answer wins. Google names 10 minutes beside
    /// the 1 minute; off (`None`) by default, because a study shorter than the window would measure only its filling.
    pub long_concurrency_window: Option<Duration>,
    /// Share of an instance's vCPUs the CPU driver aims at: 0.6 ("About instance autoscaling", 2026-11-22).
    pub cpu_target: f64,
    /// Share of max concurrency the concurrency driver aims at: 0.6 (same page and date).
    pub concurrency_target: f64,
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
            tick: Duration::from_secs(5),
            bucket: Duration::from_secs(1),
            window: Duration::from_mins(1),
            long_concurrency_window: None,
            cpu_target: 0.6,
            concurrency_target: 0.6,
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
            ..self
        }
    }

    /// What of all this is an assumption, not a published fact; to be listed in every report.
    #[must_use]
    pub fn assumptions() -> &'static [Assumption] {
        &[
            Assumption {
                what: "metrics drivers are evaluated every 5 s",
                basis: "older copy of Google's page; today \"periodically\"",
            },
            Assumption { what: "averages are taken over 1 s buckets", basis: "Knative serving @98e5ef90" },
            Assumption { what: "at most 10,000 pending requests", basis: "Knative serving @98e5ef90" },
            Assumption { what: "mean start-up time is that of the last 20 starts", basis: "not public" },
            Assumption {
                what: "an instance billed by request loses its CPU 0.1 to 0.2 s after its last request",
                basis: "not public: \"disabled or severely limited\"",
            },
            Assumption { what: "on-demand starts are not limited in rate", basis: "not public" },
            Assumption {
                what: "requests go to the least loaded of the oldest desired instances, then to the rest",
                basis: "not public",
            },
            Assumption {
                what: "thresholds are not raised at low instance counts",
                basis: "the opt-in behaviour since 2026-09-29",
            },
        ]
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
        assert_eq!(fast.startup_limit, real.startup_limit);
        assert_eq!(fast.shutdown_grace, real.shutdown_grace);
        assert_eq!(fast.billing_slice, real.billing_slice);
        assert_eq!(fast.billing_instance_min, real.billing_instance_min);
        assert_eq!(fast.pending_startups, real.pending_startups);
        assert_eq!(real.clone().scaled(0.0), real);
        assert_eq!(real.clone().scaled(f64::NAN), real);
    }
}
