//! Rows of a CSV file that give variables their values, and which row a journey gets.

use super::Occasion;
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The rows of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// The path of the file as written.
    pub file: String,
    /// Which row a journey gets.
    pub order: DataOrder,
    /// The names of the columns; `${name.column}` is a journey's value.
    pub columns: Vec<String>,
    /// Tells whether the file is still the same: FNV-1a of its bytes.
    pub digest: u64,
    /// The rows, each as long as `columns`; never saved, as they may hold secrets.
    #[serde(skip)]
    #[schemars(skip)]
    pub rows: Vec<Vec<Value>>,
}

/// Which row a journey gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataOrder {
    /// The next row with each arrival, or with each session of the closed model; after the last the first again.
    Sequential,
    /// Any row, drawn for each journey.
    Random,
    /// Each virtual user keeps a row of its own.
    UniquePerVirtualUser,
}

impl DataSet {
    /// The row of a journey; `None` when there are no rows.
    pub(super) fn row(&self, occasion: &Occasion, draws: &mut impl Rng) -> Option<&[Value]> {
        let rows = self.rows.len() as u64;
        if rows == 0 {
            return None;
        }
        let number = match self.order {
            DataOrder::Sequential => occasion.index % rows,
            DataOrder::Random => draws.random_range(0..rows),
            DataOrder::UniquePerVirtualUser => u64::from(occasion.virtual_user.unwrap_or_default()) % rows,
        };
        self.rows.get(usize::try_from(number).ok()?).map(Vec::as_slice)
    }
}

/// 64 bits that tell one content from another (FNV-1a, Fowler, Noll and Vo): no proof against malice, none is needed.
pub(super) fn digest(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
