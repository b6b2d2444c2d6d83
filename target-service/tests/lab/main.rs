//! The laboratory from outside: the real binary, real sockets, a Pub/Sub on this machine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own helper functions too")]

mod deploy;
mod emulator;
mod faults;
mod observer;
#[path = "../process/mod.rs"]
mod process;
mod pubsub;
mod report;
mod service;
mod wire;
