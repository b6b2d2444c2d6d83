//! Usage × dated price list → itemised cost. Prices, rounding and free tiers live only here, with source and date.
//! Billable time arrives already rounded by the platform and is never rounded again.

mod bill;
mod book;
#[cfg(test)]
mod documented;
mod error;
mod month;
mod prices;

use crate::units::Billing;

pub use bill::{Consumption, Cost, InstanceShape};
pub use book::PriceBook;
pub use error::PriceError;
pub use month::{MONTH_S, MonthBasis, MonthCost, MonthUse, StageUse};
pub use prices::{ModePrices, Prices};
