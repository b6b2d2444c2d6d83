//! Where the values of variables come from, as it is typed.

use crate::scenario::located::Located;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where a variable's value comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(in crate::scenario) enum VariableFile {
    /// Always this value.
    Constant(serde_json::Value),
    /// One of these, each as likely as the others.
    Choice(Vec<serde_json::Value>),
    /// One of these, by weight.
    Weighted(Vec<WeightedFile>),
    /// A whole number between the two, both included.
    Integer(IntegerFile),
    /// A number between the two, both included, with so many digits after the point.
    Decimal(DecimalFile),
    /// Random letters and digits.
    Alphanumeric(AlphanumericFile),
    /// from, from + step, …: the next one with each arrival, or with each session of the closed model.
    Counter(CounterFile),
    /// When the journey is due: the start of the load plus the due time of its first step.
    Timestamp(TimestampFile),
    /// An e-mail address of the form `user-<8 hex digits>@example.com`.
    Email,
    /// A random (version 4) UUID.
    Uuid,
}

/// A value and its weight.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct WeightedFile {
    /// The value.
    pub(in crate::scenario) value: serde_json::Value,
    /// Its relative frequency.
    pub(in crate::scenario) weight: Located<f64>,
}

/// A range of whole numbers, both ends included.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct IntegerFile {
    /// Smallest.
    pub(in crate::scenario) from: i64,
    /// Largest.
    pub(in crate::scenario) to: i64,
}

/// A range of numbers, both ends included.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct DecimalFile {
    /// Smallest.
    pub(in crate::scenario) from: f64,
    /// Largest.
    pub(in crate::scenario) to: f64,
    /// Digits after the point, at most 9; 2 if left out.
    pub(in crate::scenario) digits: Option<u32>,
}

/// Random letters and digits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct AlphanumericFile {
    /// How many, at most 10000.
    pub(in crate::scenario) length: u32,
}

/// A sequence of whole numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct CounterFile {
    /// The first; 1 if left out.
    pub(in crate::scenario) from: Option<i64>,
    /// From one to the next; 1 if left out.
    pub(in crate::scenario) step: Option<i64>,
}

/// How an instant is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum TimestampFile {
    /// `2026-11-22T16:40:00.000Z`.
    Rfc3339,
    /// Milliseconds since 1970.
    UnixMs,
}

/// Rows of a CSV file whose first line names the columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct DataFile {
    /// Path of the file, from the folder of the scenario file.
    pub(in crate::scenario) file: Located<String>,
    /// Which row a journey gets; `sequential` if left out.
    pub(in crate::scenario) order: Option<Located<DataOrderFile>>,
    /// Columns that hold numbers; the others are text.
    #[serde(default)]
    pub(in crate::scenario) numbers: Vec<Located<String>>,
}

/// Which row a journey gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum DataOrderFile {
    /// The next row with each arrival, or with each session of the closed model; after the last the first again.
    Sequential,
    /// Any row, drawn for each journey.
    Random,
    /// Each virtual user of the closed model keeps a row of its own.
    UniquePerVirtualUser,
}
