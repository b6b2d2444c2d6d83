//! The record: what one trial was, what it measured, what that cost, and whether it can be trusted. Studies are saved
//! after every trial and loaded again; nothing here measures or decides.

mod assumed;
mod class;
mod contrast;
mod decision;
mod delivery;
mod due;
mod early;
mod exemplar;
#[cfg(test)]
pub(crate) mod fixtures;
mod health;
mod ledger;
mod live;
mod loss;
mod merge;
mod month;
mod phase_times;
mod promises;
mod recording;
mod recording_file;
mod result;
mod store;
mod study;
mod subscription;
mod target;
mod usage;

pub use assumed::{Assumed, Assumption, Constant};
pub use class::StatusClass;
pub use contrast::{Contrast, Shortfall, Shortfalls};
pub use decision::{Choice, Decision, Outcome, Standing};
pub use delivery::{
    Claim, ConsumerRecording, DeliveryBooks, DeliveryInterval, DeliveryRecording, FaultRecording, InstanceLevel,
    OrderBooks, PostBooks, PromiseRecording, UNAFFECTED_MARGIN,
};
pub use early::EarlyDeliveries;
pub use exemplar::{EXEMPLARS_MAX, Exemplar};
pub use health::{Aborted, DriverHealth};
pub use ledger::{Arrived, Fate, Ledger, Terms};
pub use live::{Live, LiveStep};
pub use merge::{MergeError, Part, merge};
pub use phase_times::PhaseTimes;
pub use promises::judge_promises;
pub use recording::{
    Books, Failure, Interval, JourneyRecording, JourneyTimes, Observed, Recording, Shard, StageRecording,
    StepRecording, Times,
};
pub use recording_file::{RecordingError, RecordingVersion, recording_schema};
pub use result::{Invalid, MemberUsage, StockCheck, TrialResult, Validity};
pub use store::{STUDY_FILE, StoreError};
pub use study::{Host, Limiter, Place, SCHEMA_VERSION, Scale, Scaling, Study, redacted_scenario, value_is_saved};
pub use subscription::{FORBIDDEN, PublishRefusals, PushBooks, SubscriptionRecording, UNAUTHORIZED};
pub use target::TargetRecording;
pub use usage::{Usage, UsageSample};
