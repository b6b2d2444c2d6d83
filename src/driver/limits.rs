//! Whether this machine has room for a load: open files and local ports, looked at before anything is sent. A load that
//! meets a limit half-way measures the limit, not the service.

use super::DriveError;
use crate::scenario::{LoadModel, Plan};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files open beside the connections: standard streams, event loops, timers, signals, name resolution, what is saved,
/// and the connections of the set-up.
const FILES_BESIDE: u64 = 64;

/// A limit of this process; `None` where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenFiles {
    /// What holds now.
    pub soft: Option<u64>,
    /// What this process may raise it to.
    pub hard: Option<u64>,
}

/// How many files this process may open.
#[must_use]
pub fn open_files() -> OpenFiles {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    OpenFiles { soft: current, hard: maximum }
}

/// How many local ports this host gives to connections, less those that are reserved.
#[must_use]
pub fn local_ports() -> Option<u64> {
    parse_ports(&std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

/// Two numbers, both included.
fn parse_ports(text: &str) -> Option<u64> {
    let mut fields = text.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (last + 1).checked_sub(first)
}

/// Sees to it that `plan` finds room on this machine: raises the limit of open files as far as this process may.
///
/// # Errors
/// When the plan may need more connections than there can be.
pub(super) fn make_room(plan: &Plan) -> Result<(), DriveError> {
    let (connections, what) = connections(plan);
    let needed = connections + FILES_BESIDE;
    match room(needed, open_files()) {
        Room::Enough => {}
        Room::Raise(limit) => {
            let hard = open_files().hard;
            setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: hard })
                .map_err(|error| DriveError::Driver { cause: format!("the limit of open files stays: {error}") })?;
        }
        Room::Short(limit) => return Err(DriveError::Files { connections, needed, limit, what }),
    }
    match local_ports() {
        // An arrival that waits for room needs none, so only virtual users are sure to hold a port each.
        Some(ports) if plan.virtual_users() > 0 && connections > ports => Err(DriveError::Ports { connections, ports }),
        _ => Ok(()),
    }
}

/// What a limit means for a load.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Room {
    Enough,
    /// Enough once the soft limit is raised to this.
    Raise(u64),
    /// Even the hard limit, this one, is too low.
    Short(u64),
}

fn room(needed: u64, limits: OpenFiles) -> Room {
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed);
    match limits {
        OpenFiles { soft, .. } if enough(soft) => Room::Enough,
        // As far as it goes: what else the process opens is not known here.
        OpenFiles { hard, .. } if enough(hard) => Room::Raise(hard.unwrap_or(needed)),
        OpenFiles { hard, .. } => Room::Short(hard.unwrap_or_default()),
    }
}

/// The most connections that `plan` holds at once, and the key of the scenario that says so.
fn connections(plan: &Plan) -> (u64, &'static str) {
    // A short plan has not as many arrivals as the room that nobody thought about.
    let arrivals = |max_in_flight: u32| plan.arrivals().take(max_in_flight as usize).count() as u64;
    match &plan.scenario().load {
        LoadModel::Open { max_in_flight, .. } => (arrivals(*max_in_flight), "`max_in_flight`"),
        LoadModel::Replay(replay) => (arrivals(replay.max_in_flight), "`max_in_flight`"),
        LoadModel::Closed | LoadModel::Paced { .. } | LoadModel::InFlight => {
            (plan.virtual_user_numbers().count() as u64, "the number of virtual users")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::plan;
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one_when_that_is_enough() {
        let limits = |soft, hard| OpenFiles { soft, hard };
        assert_eq!(room(1000, limits(Some(1000), Some(1000))), Room::Enough);
        assert_eq!(room(1000, limits(None, None)), Room::Enough);
        assert_eq!(room(1001, limits(Some(1000), Some(4096))), Room::Raise(4096));
        assert_eq!(room(1001, limits(Some(1000), None)), Room::Raise(1001));
        assert_eq!(room(5000, limits(Some(1000), Some(4096))), Room::Short(4096));
    }

    #[test]
    fn a_plan_needs_a_connection_for_each_journey_that_may_be_under_way() {
        let journeys = "journeys: [{name: one, steps: [{name: first, get: /}]}]";
        let open = |rate: u32| {
            plan(&format!(
                "{journeys}
load: {{open: {{arrivals: constant, unit: arrivals_per_second, max_in_flight: 50}}}}
stages: [{{name: steady, hold: {rate}, duration: 2s}}]"
            ))
        };
        assert_eq!(connections(&open(100)).0, 50);
        assert_eq!(connections(&open(10)).0, 20, "it has no more arrivals");
        let closed = plan(&format!("{journeys}\nload: closed\nstages: [{{name: steady, hold: 7, duration: 2s}}]"));
        assert_eq!(connections(&closed), (7, "the number of virtual users"));
    }

    #[test]
    fn a_load_beyond_the_local_ports_or_files_is_refused_with_the_numbers_and_the_mend() {
        let crowd = plan(
            "journeys: [{name: one, steps: [{name: first, get: /}]}]
load: closed
stages: [{name: steady, hold: 1000000, duration: 2s}]",
        );
        let text = make_room(&crowd).unwrap_err().to_string();
        assert!(text.contains("1000000 connections") && text.contains("lower the number of virtual users"), "{text}");
    }

    #[test]
    fn the_range_of_ports_holds_both_ends() {
        assert_eq!(parse_ports("32768\t60999\n"), Some(28_232));
        assert_eq!(parse_ports("9 5"), None);
        assert_eq!(parse_ports("none"), None);
    }
}
