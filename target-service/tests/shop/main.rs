//! The shop from outside: the real binary, real sockets, a real database file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own helper functions too")]

mod api;
mod checkout;
mod container;
mod deploy;
mod knobs;
mod lifecycle;
mod page;
mod place;
#[path = "../process/mod.rs"]
mod process;
mod secrets;
mod service;
mod stock;
mod tls;
mod traces;
