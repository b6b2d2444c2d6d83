//! The constants of a policy in words, for records and reports.

use super::choice::AutoscalerKind;
use super::policy::{Assumption, Policy};
use std::time::Duration;

impl Policy {
    /// Every constant that is in force, none divided by a time factor: what it is, and its value.
    #[must_use]
    pub fn constants(&self) -> Vec<(&'static str, String)> {
        let mut constants =
            vec![("drivers are evaluated every", time(self.tick)), ("one observation lasts", time(self.bucket))];
        constants.extend(match self.autoscaler {
            AutoscalerKind::CloudRun => self.of_cloud_run(),
            AutoscalerKind::Knative => self.of_knative(),
        });
        constants.extend([
            ("requests that may wait at most", self.queue_capacity.to_string()),
            (
                "a request waits at most",
                format!("max({}, {} × mean start-up time)", time(self.pending_min), self.pending_startups),
            ),
            ("start-ups in that mean", self.startups_remembered.to_string()),
            ("the startup CPU boost stays after the start for", time(self.startup_boost_tail)),
            ("a new instance must listen within", time(self.startup_limit)),
            ("from SIGTERM to SIGKILL", time(self.shutdown_grace)),
            ("a billed slice lasts", time(self.billing_slice)),
            ("an instance billed by its life is billed at least", time(self.billing_instance_min)),
        ]);
        constants
    }

    fn of_cloud_run(&self) -> Vec<(&'static str, String)> {
        let mut constants = vec![("averages are taken over", time(self.window))];
        constants
            .extend(self.long_concurrency_window.map(|window| ("the longer average of concurrency", time(window))));
        constants.extend([
            ("the CPU driver aims at", share(self.cpu_target)),
            ("the concurrency driver aims at", format!("{} of max concurrency", share(self.concurrency_target))),
            ("an idle instance stays for", time(self.idle_timeout)),
        ]);
        constants.extend(
            self.on_demand_starts_per_tick
                .map(|starts| ("starts on demand between two evaluations", starts.to_string())),
        );
        constants
    }

    fn of_knative(&self) -> Vec<(&'static str, String)> {
        let knative = &self.knative;
        vec![
            ("the stable window", time(self.window)),
            ("the panic window", time(self.window.mul_f64(knative.panic_window_share))),
            ("the target", format!("{} of max concurrency", share(knative.target_utilization))),
            ("panic begins at", format!("{} times the ready instances", knative.panic_threshold)),
            ("at once at most", format!("{} times the ready instances", knative.scale_up_rate_max)),
            ("at once at least", format!("1/{} of the ready instances", knative.scale_down_rate_max)),
            ("the last instance stays for", time(knative.scale_to_zero_grace)),
        ]
    }

    /// What of all this nobody publishes, or publishes without a number; to be listed in every report.
    #[must_use]
    pub fn assumptions(&self) -> Vec<Assumption> {
        let of_this =
            |(kind, _): &&(Option<AutoscalerKind>, Assumption)| kind.is_none_or(|kind| kind == self.autoscaler);
        ASSUMPTIONS.iter().filter(of_this).map(|(_, assumption)| *assumption).collect()
    }
}

/// With the autoscaler they belong to, if they belong to one.
const ASSUMPTIONS: &[(Option<AutoscalerKind>, Assumption)] = &[
    (
        Some(AutoscalerKind::CloudRun),
        Assumption {
            what: "metrics drivers are evaluated every 5 s",
            basis: "older copy of Google's page; today \"periodically\"",
        },
    ),
    (
        Some(AutoscalerKind::CloudRun),
        Assumption { what: "averages are taken over 1 s buckets", basis: "Knative serving @98e5ef90" },
    ),
    (
        Some(AutoscalerKind::CloudRun),
        Assumption { what: "at most 10,000 pending requests", basis: "Knative serving @98e5ef90" },
    ),
    (None, Assumption { what: "mean start-up time is that of the last 20 starts", basis: "not public" }),
    (
        None,
        Assumption {
            what: "an instance billed by request loses its CPU 0.1 to 0.2 s after its last request",
            basis: "not public: \"disabled or severely limited\"",
        },
    ),
    (
        Some(AutoscalerKind::CloudRun),
        Assumption { what: "on-demand starts are not limited in rate", basis: "not public" },
    ),
    (
        Some(AutoscalerKind::CloudRun),
        Assumption {
            what: "requests go to the oldest desired instances, the least loaded of them unless --routing says otherwise, \
                   then to the rest",
            basis: "not public",
        },
    ),
    (
        Some(AutoscalerKind::CloudRun),
        Assumption {
            what: "thresholds are not raised at low instance counts, and there is no tolerance around a target",
            basis: "the opt-in behaviour since 2026-09-29; its 10 % tolerance is not described in detail",
        },
    ),
    (
        Some(AutoscalerKind::Knative),
        Assumption {
            what: "requests wait in one queue with the instances' free places in sight, as if the activator were always in \
                   the path",
            basis: "decision 0004",
        },
    ),
    (
        None,
        Assumption {
            what: "a service's own instance counts are divided by largest remainder, the larger share first; a revision \
                   without a share keeps its own scaling",
            basis: "\"divided among all revisions with specified traffic\" (Admin v2, ServiceScaling)",
        },
    ),
    (
        None,
        Assumption {
            what: "a session's cookie leads to its instance unless that is full, gone or being stopped",
            basis: "\"best effort\" (docs.cloud.google.com/run/docs/configuring/session-affinity)",
        },
    ),
];

/// `5 s`, `0.1 s`, `15 min`.
fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 60.0 && seconds % 60.0 == 0.0 { format!("{} min", seconds / 60.0) } else { format!("{seconds} s") }
}

fn share(share: f64) -> String {
    format!("{} %", (share * 1000.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(policy: &Policy, what: &str) -> Option<String> {
        policy.constants().into_iter().find(|(name, _)| *name == what).map(|(_, value)| value)
    }

    #[test]
    fn constants_are_told_as_they_are_and_only_those_of_the_autoscaler() {
        let cloud_run = Policy { on_demand_starts_per_tick: Some(3), ..Policy::cloud_run() };
        assert_eq!(told(&cloud_run, "drivers are evaluated every").as_deref(), Some("5 s"));
        assert_eq!(told(&cloud_run, "the CPU driver aims at").as_deref(), Some("60 %"));
        assert_eq!(told(&cloud_run, "a request waits at most").as_deref(), Some("max(10 s, 3.5 × mean start-up time)"));
        assert_eq!(told(&cloud_run, "an idle instance stays for").as_deref(), Some("15 min"));
        assert_eq!(told(&cloud_run, "a billed slice lasts").as_deref(), Some("0.1 s"));
        assert_eq!(told(&cloud_run, "starts on demand between two evaluations").as_deref(), Some("3"));
        assert_eq!(told(&cloud_run, "the panic window"), None);
        let knative = Policy::knative();
        assert_eq!(told(&knative, "drivers are evaluated every").as_deref(), Some("2 s"));
        assert_eq!(told(&knative, "the panic window").as_deref(), Some("6 s"));
        assert_eq!(told(&knative, "the CPU driver aims at"), None);
    }

    #[test]
    fn what_knative_publishes_is_not_called_an_assumption_under_it() {
        let has = |policy: Policy, part: &str| policy.assumptions().iter().any(|it| it.what.contains(part));
        assert!(has(Policy::cloud_run(), "every 5 s") && !has(Policy::knative(), "every 5 s"));
        assert!(has(Policy::knative(), "activator") && !has(Policy::cloud_run(), "activator"));
        assert!(has(Policy::cloud_run(), "last 20 starts") && has(Policy::knative(), "last 20 starts"));
    }
}
