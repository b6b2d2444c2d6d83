//! Sends a plan and gives back a recording: open and closed models, one connection per virtual user, journeys. Knows
//! nothing of platforms, prices or decisions, and never hides what it could not send.
//!
//! The measured path runs on a thread and a runtime of its own, so that nothing else the process does delays a sending.
//! An arrival, or a session of a virtual user, starts a journey. Its first step is due when the arrival is, a later
//! one when the previous answer plus think time has passed. A request counts as *sent* the moment the driver turns to
//! its connection: opening one, where none is idle, is part of the service time, never of the lateness.

mod abort;
mod alarm;
mod answer;
mod authorization;
mod closed;
mod connection;
mod detail;
#[cfg(any(test, fuzzing))]
mod differential;
mod drive;
mod durations;
mod exchange;
mod failures;
mod headers;
mod health;
mod host;
mod http1;
mod http2;
mod journey;
mod limits;
mod live;
mod load;
mod observe;
mod off_path;
mod open;
mod outcome;
mod phases;
mod posts;
mod progress;
mod proxy;
mod recorder;
mod road;
mod series;
mod set_up;
mod shape;
mod start;
mod target;
mod target_options;
mod timer;
mod tls;
mod trace;
mod user_token;
mod window;
mod wire;

#[cfg(test)]
mod aborting;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod merging;
#[cfg(test)]
mod pacing;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod secure;
#[cfg(test)]
mod virtual_time;

pub use connection::Http1Client;
#[cfg(any(test, fuzzing))]
pub use differential::{Case, Verdict};
pub use drive::{DriveError, Options, drive, drive_with};
pub use durations::JourneyEnd;
pub use limits::{OpenFiles, local_ports, open_files};
pub use live::Extras;
pub use outcome::{OWN_FAILURES, Outcome};
pub use phases::Phases;
pub use posts::Posts;
pub use progress::Progress;
pub use recorder::{Flight, Recorder};
pub use shape::Shape;
pub use target_options::{
    AddressOverride, Authorization, Identity, Protocol, Proxy, Secret, TargetError, TargetOptions, TlsOptions,
};
pub use timer::DriverTimer;
