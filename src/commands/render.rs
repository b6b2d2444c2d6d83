//! `tidegate report`: renders a saved study again.

use super::delivery;
use super::error::CommandError;
use super::exit::ExitStatus;
use crate::report;
use crate::trial::{Recording, Study};
use std::path::Path;

/// Renders the study in `dir` again, from its record alone.
///
/// # Errors
/// When the record cannot be loaded or the report cannot be written.
pub fn render(dir: &Path) -> Result<ExitStatus, CommandError> {
    if delivery::is_run(dir) {
        let page = report::render_delivery(&Recording::load(&dir.join(delivery::RECORD))?, dir)?;
        super::print(&format!("report: {}\n", page.display()))?;
        return Ok(ExitStatus::Success);
    }
    let study = Study::load(dir)?;
    let rendered = report::render(&study, dir)?;
    super::print(&report::summary(&study, &rendered.page))?;
    Ok(ExitStatus::Success)
}
