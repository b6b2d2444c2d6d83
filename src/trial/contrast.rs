//! Whether somebody who had no fault noticed that of another: a stretch of a run beside the rest of it.

use super::delivery::{Claim, ConsumerRecording, DeliveryRecording};
use crate::stats::{QuantileRatio, excess};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Excess that chance alone would bring with no more than this probability is shown: as the upper end of a 95 % interval.
const SHOWN: f64 = 0.025;

/// What is missing of the reports due in a stretch: posts that failed, or acknowledged reports that were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shortfall {
    /// Reports that are missing.
    pub missing: u64,
    /// Of so many.
    pub of: u64,
    /// Seconds in which a report was due that is missing.
    pub seconds: u64,
    /// Of so many in which any was due.
    pub of_seconds: u64,
}

/// What is missing, by when it was due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shortfalls {
    /// While a fault lasted.
    pub inside: Shortfall,
    /// While it healed.
    pub healing: Shortfall,
    /// Otherwise.
    pub outside: Shortfall,
}

/// A stretch of a run beside the rest of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Contrast {
    /// What is missing in the stretch and in the rest; `None` where it was not kept.
    pub missing: Option<(Shortfall, Shortfall)>,
    /// The ratio of p95 in the stretch to that in the rest, what is missing taking for ever; `None` when there is too little to tell, or
    /// too much is missing for a p95.
    pub ratio: Option<QuantileRatio>,
}

impl Shortfall {
    fn share(&self) -> f64 {
        if self.of == 0 { 0.0 } else { self.missing as f64 / self.of as f64 }
    }

    /// Whether so much is missing that the `q`-quantile of all times is infinite.
    #[must_use]
    pub fn reaches(&self, q: f64) -> bool {
        self.missing > 0 && q * self.of as f64 > (self.of - self.missing.min(self.of)) as f64
    }
}

impl Contrast {
    /// What is missing in the stretch and in the rest, when its share is larger in the stretch.
    #[must_use]
    pub fn excess(&self) -> Option<(Shortfall, Shortfall)> {
        self.missing.filter(|(stretch, rest)| rest.of > 0 && stretch.share() > rest.share())
    }

    /// What is shown: affected when more is missing in the stretch than chance explains, counted by seconds because failures come in
    /// bursts, or when the ratio says so; unaffected only when no larger share is missing and the ratio says so. `None` when there is
    /// too little to tell.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        let of_ratio = self.ratio.map(Claim::of);
        let Some((stretch, rest)) = self.excess() else { return of_ratio };
        let chance = excess((stretch.seconds, stretch.of_seconds), (rest.seconds, rest.of_seconds));
        let is_shown = chance <= SHOWN || of_ratio == Some(Claim::Affected);
        Some(if is_shown { Claim::Affected } else { Claim::Undecided })
    }
}

impl ConsumerRecording {
    /// The time while faults lasted beside the rest.
    #[must_use]
    pub fn while_it_lasted(&self) -> Contrast {
        Contrast { missing: self.missing.map(|missing| (missing.inside, missing.outside)), ratio: self.ratio }
    }

    /// The time while faults healed beside the rest.
    #[must_use]
    pub fn while_it_healed(&self) -> Contrast {
        Contrast { missing: self.missing.map(|missing| (missing.healing, missing.outside)), ratio: self.healing_ratio }
    }

    /// Whether it noticed, while faults lasted, those of others; `None` when there is too little to tell.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        self.while_it_lasted().claim()
    }
}

impl DeliveryRecording {
    /// The posts while faults lasted beside the rest.
    #[must_use]
    pub fn posts_while_it_lasted(&self) -> Contrast {
        Contrast { missing: self.post_missing.map(|missing| (missing.inside, missing.outside)), ratio: self.post_ratio }
    }

    /// The posts while faults healed beside the rest.
    #[must_use]
    pub fn posts_while_it_healed(&self) -> Contrast {
        let missing = self.post_missing.map(|missing| (missing.healing, missing.outside));
        Contrast { missing, ratio: self.post_healing_ratio }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: QuantileRatio = QuantileRatio { ratio: 1.0, low: 0.98, high: 1.02 };

    /// Forty reports a second.
    fn shortfall(missing: u64, seconds: u64, of_seconds: u64) -> Shortfall {
        Shortfall { missing, of: of_seconds * 40, seconds, of_seconds }
    }

    fn claim(stretch: Shortfall, rest: Shortfall, ratio: Option<QuantileRatio>) -> Option<Claim> {
        Contrast { missing: Some((stretch, rest)), ratio }.claim()
    }

    #[test]
    fn nobody_is_unaffected_of_whom_more_is_missing() {
        let rest = shortfall(0, 0, 45);
        assert_eq!(claim(shortfall(0, 0, 30), rest, Some(SAME)), Some(Claim::Unaffected));
        assert_eq!(claim(shortfall(1200, 30, 30), rest, None), Some(Claim::Affected), "all of it");
        assert_eq!(
            claim(shortfall(6, 6, 30), rest, Some(SAME)),
            Some(Claim::Affected),
            "half a per cent, again and again"
        );
        // What happened once may have happened by chance.
        assert_eq!(claim(shortfall(1, 1, 30), rest, Some(SAME)), Some(Claim::Undecided));
        assert_eq!(claim(shortfall(25, 1, 30), rest, Some(SAME)), Some(Claim::Undecided), "a burst is one event");
        let slower = QuantileRatio { ratio: 2.0, low: 1.8, high: 2.2 };
        assert_eq!(claim(shortfall(1, 1, 30), rest, Some(slower)), Some(Claim::Affected));
    }

    #[test]
    fn what_is_missing_as_often_otherwise_is_nothing_to_notice() {
        assert_eq!(claim(shortfall(4, 4, 30), shortfall(6, 6, 45), Some(SAME)), Some(Claim::Unaffected));
        assert_eq!(claim(shortfall(0, 0, 30), shortfall(6, 6, 45), Some(SAME)), Some(Claim::Unaffected));
        assert_eq!(claim(shortfall(600, 30, 30), shortfall(900, 45, 45), None), None, "half of all: no p95");
        assert_eq!(claim(shortfall(30, 30, 30), Shortfall::default(), None), None, "nothing to compare with");
        assert_eq!(
            Contrast { missing: None, ratio: Some(SAME) }.claim(),
            Some(Claim::Unaffected),
            "a record of before"
        );
    }

    #[test]
    fn a_quantile_is_infinite_once_too_little_is_left_for_it() {
        let of = |missing: u64| Shortfall { missing, of: 100, ..Shortfall::default() };
        assert!(!of(0).reaches(0.95) && !of(5).reaches(0.95) && of(6).reaches(0.95) && of(100).reaches(0.95));
        assert!(!Shortfall::default().reaches(0.95));
    }
}
