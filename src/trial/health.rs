//! How a driver and its host fared while driving. One entry for each process that drove, so that the recordings of
//! shards keep what each of them says of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a driver tells of itself beside its lateness. What the operating system does not tell is left empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriverHealth {
    /// How due times are waited for: `timerfd`, or `coarse` (whole milliseconds).
    pub timer: String,
    /// CPU-seconds of the thread that sends.
    pub thread_cpu_s: Option<f64>,
    /// Share (0 to 1) of the busiest five seconds in which that thread was on a core or waited for one: at 1 it had no
    /// moment left in which it could have been early.
    pub thread_busy_share_max: Option<f64>,
    /// Most files, connections among them, that the process had open at once.
    pub open_files_max: Option<u64>,
    /// How many it may have open at once.
    pub open_files_limit: Option<u64>,
    /// Most TCP sockets in use on the host at once, other programs' included.
    pub tcp_sockets_max: Option<u64>,
    /// Most closed connections whose local port was still held back (`TIME_WAIT`), other programs' included.
    pub time_wait_max: Option<u64>,
    /// Local ports that the host gives to connections.
    pub local_ports: Option<u64>,
}

/// A run that ended before its plan did, because a rule of the scenario's `abort` said so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aborted {
    /// When, in seconds since the start of the load.
    pub at_s: f64,
    /// The rule, as the scenario has it.
    pub rule: String,
    /// What broke it, in words.
    pub cause: String,
    /// True when the driver itself, and not the service, kept the rate from being reached.
    pub driver_at_fault: bool,
}
