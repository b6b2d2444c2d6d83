//! How tidegate ends: the exit status as a type. README.md documents the codes.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Done, every promise kept.
    Success,
    /// tidegate or its environment failed.
    Failure,
    /// Wrong usage, or a file that is not valid.
    Usage,
    /// An SLO was not met, or no candidate meets it.
    Unmet,
    /// The measurement cannot be trusted: no verdict.
    Untrusted,
    /// Messages were lost: acknowledged, and not delivered within the drain limit.
    Lost,
    /// Interrupted by this signal; what was measured is saved, what was changed is put back.
    Interrupted(Signal),
}

/// A signal that ends tidegate cleanly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal went away.
    Hangup,
}

impl ExitStatus {
    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Unmet => 3,
            Self::Untrusted => 5,
            Self::Lost => 6,
            Self::Interrupted(Signal::Hangup) => 129,
            Self::Interrupted(Signal::Interrupt) => 130,
            Self::Interrupted(Signal::Terminate) => 143,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
