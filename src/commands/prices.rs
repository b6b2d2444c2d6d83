//! `tidegate prices`: the price file that tidegate carries, to look at and to start one's own from.

use super::error::CommandError;
use super::exit::ExitStatus;
use crate::cost::PriceBook;

/// Prints the built-in price file as it is: its day, its sources, its tiers with their regions.
///
/// # Errors
/// When standard output cannot be written.
pub fn prices() -> Result<ExitStatus, CommandError> {
    super::print(PriceBook::embedded_text())?;
    Ok(ExitStatus::Success)
}
