//! The record: what one trial was, what it measured, what that cost, and whether it can be trusted. Studies are saved
//! after every trial and loaded again; nothing here measures or decides.

mod decision;
#[cfg(test)]
pub(crate) mod fixtures;
mod month;
mod recording;
mod result;
mod store;
mod study;
mod target;
mod usage;

pub use decision::{Choice, Decision, Outcome, Standing};
pub use recording::{
    Books, Failure, Interval, JourneyRecording, Observed, Recording, StageRecording, StepRecording, Times,
};
pub use result::{Invalid, StockCheck, TrialResult, Validity};
pub use store::{STUDY_FILE, StoreError};
pub use study::{Host, Limiter, Place, SCHEMA_VERSION, Scale, Study, redacted_scenario, value_is_saved};
pub use target::TargetRecording;
pub use usage::{Usage, UsageSample};
