//! What the instances of a revision are doing at this moment: for the page that shows it.

use super::ending::{Ending, LastEnding};
use std::collections::BTreeMap;
use std::time::Duration;

/// How far an instance has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstancePhase {
    /// Its process runs, its port is not open yet.
    Starting,
    /// Holds at least one request.
    Active,
    /// Holds none.
    Idle,
    /// Was told to stop.
    Stopping,
}

/// One instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceGlance {
    /// Its number, unique in its revision.
    pub number: u64,
    /// How far it has come.
    pub phase: InstancePhase,
    /// Requests it holds.
    pub in_flight: u32,
    /// Since its process was started.
    pub age: Duration,
}

/// One revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevisionGlance {
    /// Service.
    pub service: String,
    /// Revision, short name.
    pub revision: String,
    /// Requests an instance may hold at once.
    pub max_concurrency: u32,
    /// Requests waiting for an instance.
    pub pending: u64,
    /// Instances, oldest first.
    pub instances: Vec<InstanceGlance>,
    /// How many have ended, by how.
    pub endings: BTreeMap<Ending, u64>,
    /// The last that did not end as it should.
    pub last_ending: Option<LastEnding>,
}
