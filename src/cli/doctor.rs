//! `tidegate doctor` as it is typed.

use crate::commands::DoctorOptions;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Look for a quarter of a minute instead of a whole one, and less finely
    #[arg(long)]
    quick: bool,
    /// Write what was found as JSON to this file, or to standard output instead of the text
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
}

impl From<DoctorArgs> for DoctorOptions {
    fn from(DoctorArgs { quick, json }: DoctorArgs) -> Self {
        Self { quick, json }
    }
}
