//! Quantities with their units in the type, so that a vCPU is never mistaken for a dollar. Durations are
//! `std::time::Duration` everywhere; this module holds what the standard library lacks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount of money in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Usd(pub f64);

/// A number of vCPUs, as Cloud Run counts them (0.08 to 8).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Vcpu(pub f64);

/// An amount of memory in GiB (2^30 bytes).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Gib(pub f64);

impl Usd {
    /// The smaller of two amounts.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

/// What is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Billing {
    /// Request-based billing: CPU only during requests (`cpuIdle: true`).
    Request,
    /// Instance-based billing: the whole life of an instance (`cpuIdle: false`).
    Instance,
}

impl fmt::Display for Usd {
    /// Four significant digits below a dollar, cents above: `$0.01234`, `$12.30`, `-$0.5000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0.0 { "-" } else { "" };
        let amount = self.0.abs();
        // What four digits round up to a dollar is shown as a dollar: 0.99997 is $1.00, not $1.0000.
        if amount == 0.0 || amount >= 0.999_95 {
            write!(f, "{sign}${amount:.2}")
        } else {
            // 0.0123 has its first digit two places behind the point: two more places than digits wanted.
            let places = (3.0 - amount.log10().floor()).clamp(2.0, 12.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 2..=12")]
            let places = places as usize;
            write!(f, "{sign}${amount:.places$}")
        }
    }
}

impl std::ops::Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl std::ops::Sub for Usd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl std::ops::Mul<f64> for Usd {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl std::iter::Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self(0.0), |sum, amount| sum + amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_shows_four_digits_below_a_dollar_and_cents_above() {
        assert_eq!(Usd(0.0).to_string(), "$0.00");
        assert_eq!(Usd(12.3).to_string(), "$12.30");
        assert_eq!(Usd(0.012_34).to_string(), "$0.01234");
        assert_eq!(Usd(0.000_024).to_string(), "$0.00002400");
        assert_eq!(Usd(0.999_9).to_string(), "$0.9999");
        assert_eq!(Usd(0.999_97).to_string(), "$1.00");
        assert_eq!(Usd(104.2).to_string(), "$104.20");
    }

    #[test]
    fn the_sign_stands_before_the_dollar() {
        assert_eq!(Usd(-1.2).to_string(), "-$1.20");
        assert_eq!(Usd(-0.5).to_string(), "-$0.5000");
    }
}
