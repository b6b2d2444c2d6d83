//! How the local platform scales and routes: as it is chosen, started and recorded.

use super::error::CommandError;
use crate::autoscaler::{AutoscalerKind, Policy, Routing};
use crate::trial::{Assumed, Assumption, Constant, Scaling};
use std::time::Duration;

/// How the local platform scales and routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScalingOptions {
    /// Whose autoscaler decides.
    pub autoscaler: AutoscalerKind,
    /// Which instance gets a request; `None` for the autoscaler's own.
    pub routing: Option<Routing>,
    /// Whether Cloud Run's concurrency driver heeds its longer window too.
    pub long_concurrency_window: bool,
}

/// Google names it beside the 1 minute ("About instance autoscaling", 2026-11-22).
const LONG_WINDOW: Duration = Duration::from_mins(10);

impl ScalingOptions {
    /// The platform's constants under these choices.
    pub(super) fn policy(self) -> Result<Policy, CommandError> {
        self.check()?;
        let long_concurrency_window = self.long_concurrency_window.then_some(LONG_WINDOW);
        Ok(Policy { routing: self.routing, long_concurrency_window, ..Policy::of(self.autoscaler) })
    }

    /// Refuses choices that do not go together.
    pub(super) fn check(self) -> Result<(), CommandError> {
        if self.long_concurrency_window && self.autoscaler == AutoscalerKind::Knative {
            return Err(CommandError::Usage(
                "--long-concurrency-window: Knative's autoscaler has no such window\n\nhint: leave it out, or choose \
                 --autoscaler cloud-run"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// The same on the command line of `tidegate platform`.
    pub(super) fn arguments(self) -> Vec<&'static str> {
        let mut arguments = vec!["--autoscaler", self.autoscaler.name()];
        arguments.extend(self.routing.into_iter().flat_map(|routing| ["--routing", routing.name()]));
        arguments.extend(self.long_concurrency_window.then_some("--long-concurrency-window"));
        arguments
    }

    /// The same as a study keeps it.
    pub(super) fn record(self) -> Scaling {
        Scaling {
            autoscaler: self.autoscaler.to_string(),
            routing: match (self.routing, self.autoscaler) {
                (Some(routing), _) => routing.to_string(),
                (None, AutoscalerKind::CloudRun) => Routing::LeastLoaded.to_string(),
                (None, AutoscalerKind::Knative) => "fill-first up to max concurrency 3, else round-robin".to_owned(),
            },
            long_concurrency_window: self.long_concurrency_window,
        }
    }

    /// What the platform takes for granted under these choices, as a study keeps it.
    pub(super) fn assumed(self) -> Result<Assumed, CommandError> {
        let policy = self.policy()?;
        let constant = |(what, value): (&str, String)| Constant { what: what.to_owned(), value };
        let assumption =
            |it: crate::autoscaler::Assumption| Assumption { what: it.what.to_owned(), basis: it.basis.to_owned() };
        Ok(Assumed {
            constants: policy.constants().into_iter().map(constant).collect(),
            assumptions: policy.assumptions().into_iter().map(assumption).collect(),
        })
    }

    /// Refuses a choice for a service on Cloud Run, which scales as Google has it.
    pub(super) fn refuse_in_cloud(self) -> Result<(), CommandError> {
        if self == Self::default() {
            return Ok(());
        }
        Err(CommandError::Usage(
            "--autoscaler, --routing and --long-concurrency-window are for the local platform: a service on Cloud Run \
             scales as Google has it\n\nhint: leave them out, or leave --project, --region and --service out"
                .to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_started_and_recorded() {
        let chosen = ScalingOptions {
            autoscaler: AutoscalerKind::Knative,
            routing: Some(Routing::TwoChoices),
            long_concurrency_window: false,
        };
        let policy = chosen.policy().unwrap();
        assert_eq!((policy.autoscaler, policy.routing_of(80)), (AutoscalerKind::Knative, Routing::TwoChoices));
        assert_eq!(policy.tick, Duration::from_secs(2));
        assert_eq!(chosen.arguments(), ["--autoscaler", "knative", "--routing", "two-choices"]);
        assert_eq!(chosen.record().routing, "two-choices");
        let own = ScalingOptions { routing: None, ..chosen };
        assert_eq!(
            (own.policy().unwrap().routing_of(3), own.policy().unwrap().routing_of(4)),
            (Routing::FillFirst, Routing::RoundRobin)
        );
        assert_eq!(ScalingOptions::default().record(), Scaling::default());
        let long = ScalingOptions { long_concurrency_window: true, ..ScalingOptions::default() };
        assert_eq!(long.policy().unwrap().long_concurrency_window, Some(Duration::from_mins(10)));
        assert_eq!(long.arguments().last(), Some(&"--long-concurrency-window"));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let both = ScalingOptions {
            autoscaler: AutoscalerKind::Knative,
            long_concurrency_window: true,
            ..ScalingOptions::default()
        };
        assert!(both.policy().unwrap_err().to_string().contains("--long-concurrency-window"));
        assert!(both.refuse_in_cloud().unwrap_err().to_string().contains("scales as Google has it"));
        ScalingOptions::default().refuse_in_cloud().unwrap();
    }
}
