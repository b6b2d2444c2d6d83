//! Where the service time of a step goes: opening the connection, waiting for the first byte, reading the body.

use crate::stats::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Histograms of the phases of measured requests. A phase that never came about is left out: connections that stay open
/// are opened once, and plain HTTP has no TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseTimes {
    /// Opening the connection, of the requests that had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Box<Histogram>>,
    /// TLS handshake, of the requests that had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<Histogram>>,
    /// From the write that took the last of the request to the first byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Box<Histogram>>,
    /// From the first byte of the answer to its last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<Histogram>>,
}

impl PhaseTimes {
    /// True when no phase came about.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The phases that came about, in their order, by name.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        [("connect", &self.connect), ("tls", &self.tls), ("first byte", &self.first_byte), ("body", &self.body)]
            .into_iter()
            .filter_map(|(name, histogram)| Some((name, histogram.as_deref()?)))
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        let pairs = [
            (&mut self.connect, &other.connect),
            (&mut self.tls, &other.tls),
            (&mut self.first_byte, &other.first_byte),
            (&mut self.body, &other.body),
        ];
        for (own, others) in pairs {
            if let Some(others) = others {
                own.get_or_insert_default().merge(others);
            }
        }
    }
}
