//! What the local platform took for granted, as it told when it served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model behind a local study's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// The constants that were in force, none divided by the time factor.
    pub constants: Vec<Constant>,
    /// What of them nobody publishes.
    pub assumptions: Vec<Assumption>,
}

/// A constant in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// What it is.
    pub what: String,
    /// Its value, with its unit.
    pub value: String,
}

/// Something that is not published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assumption {
    /// What is assumed.
    pub what: String,
    /// Where it comes from.
    pub basis: String,
}
