//! What can be chosen of a platform's scaling, by the names that the command line and the records use.

use std::fmt;

/// Whose autoscaler decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoscalerKind {
    /// Cloud Run's metrics drivers and on-demand starts.
    #[default]
    CloudRun,
    /// Knative's pod autoscaler.
    Knative,
}

impl AutoscalerKind {
    /// Every name that [`AutoscalerKind::from_name`] takes.
    pub const NAMES: [&'static str; 2] = ["cloud-run", "knative"];

    /// The autoscaler of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::CloudRun, Self::Knative].into_iter().find(|kind| kind.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudRun => "cloud-run",
            Self::Knative => "knative",
        }
    }
}

impl fmt::Display for AutoscalerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of the instances that have room gets a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// The one with the fewest requests, the oldest among equals.
    #[default]
    LeastLoaded,
    /// Each in its turn, by age.
    RoundRobin,
    /// The one with fewer requests of two that are drawn at random.
    TwoChoices,
    /// The oldest.
    FillFirst,
}

impl Routing {
    /// Every name that [`Routing::from_name`] takes.
    pub const NAMES: [&'static str; 4] = ["least-loaded", "round-robin", "two-choices", "fill-first"];

    /// The routing of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::LeastLoaded, Self::RoundRobin, Self::TwoChoices, Self::FillFirst]
            .into_iter()
            .find(|routing| routing.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeastLoaded => "least-loaded",
            Self::RoundRobin => "round-robin",
            Self::TwoChoices => "two-choices",
            Self::FillFirst => "fill-first",
        }
    }

    /// Knative's own: the first available of pods that hold up to three requests, each in its turn of larger ones
    /// (knative/serving @98e5ef90, `pkg/activator/net/throttler.go`).
    #[must_use]
    pub fn of_knative(max_concurrency: u32) -> Self {
        if max_concurrency <= 3 { Self::FillFirst } else { Self::RoundRobin }
    }
}

impl fmt::Display for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for name in AutoscalerKind::NAMES {
            assert_eq!(AutoscalerKind::from_name(name).unwrap().to_string(), name);
        }
        for name in Routing::NAMES {
            assert_eq!(Routing::from_name(name).unwrap().to_string(), name);
        }
        assert_eq!((AutoscalerKind::from_name("kpa"), Routing::from_name("random")), (None, None));
    }
}
