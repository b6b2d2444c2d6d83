//! What a run shows while it goes on, as it is typed.

use crate::commands::Display;

#[derive(Debug, clap::Args)]
pub(super) struct DisplayArgs {
    /// Show nothing but the result, and why it cannot be trusted if it cannot
    #[arg(long, short, conflicts_with = "plain")]
    quiet: bool,
    /// Show plain lines on a terminal too, instead of the live view
    #[arg(long)]
    plain: bool,
}

impl From<DisplayArgs> for Display {
    fn from(DisplayArgs { quiet, plain }: DisplayArgs) -> Self {
        match (quiet, plain) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Plain,
            (false, false) => Self::Live,
        }
    }
}
