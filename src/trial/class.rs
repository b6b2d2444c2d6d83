//! The class of an answer, so that quick failures hide in no percentile of the answers that were of use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Classes of answers, by the first digit of the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum StatusClass {
    /// 200 to 299.
    #[default]
    #[serde(rename = "2xx")]
    Success,
    /// 300 to 399.
    #[serde(rename = "3xx")]
    Redirection,
    /// 400 to 499.
    #[serde(rename = "4xx")]
    ClientError,
    /// 500 to 599.
    #[serde(rename = "5xx")]
    ServerError,
    /// A status that HTTP gives no final class.
    #[serde(rename = "other")]
    Other,
    /// No whole answer: timed out, refused, broken.
    #[serde(rename = "none")]
    NoAnswer,
}

impl StatusClass {
    /// All of them, in their order.
    pub const ALL: [Self; 6] =
        [Self::Success, Self::Redirection, Self::ClientError, Self::ServerError, Self::Other, Self::NoAnswer];

    /// The class of an answer with this status, or of none.
    #[must_use]
    pub fn of(status: Option<u16>) -> Self {
        match status {
            Some(200..=299) => Self::Success,
            Some(300..=399) => Self::Redirection,
            Some(400..=499) => Self::ClientError,
            Some(500..=599) => Self::ServerError,
            Some(_) => Self::Other,
            None => Self::NoAnswer,
        }
    }

    /// `2xx`, …, `other`, `none`: its name in records, logs and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        ["2xx", "3xx", "4xx", "5xx", "other", "none"][self as usize]
    }
}

impl fmt::Display for StatusClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_class_and_names_are_the_saved_ones() {
        let of = |status| StatusClass::of(status).name();
        assert_eq!(
            [Some(200), Some(299), Some(300), Some(404), Some(599)].map(of),
            ["2xx", "2xx", "3xx", "4xx", "5xx"]
        );
        assert_eq!([Some(101), Some(700), None].map(of), ["other", "other", "none"]);
        for class in StatusClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
        }
    }
}
