//! The service under test that tidegate carries: a shop on the wire of Avocano. Knows nothing of tidegate.
//!
//! The whole contract is a container's: an HTTP port in `PORT`, settings in the environment, JSON log lines on
//! stdout, and SIGTERM to stop. README.md lists the settings and the routes.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod afterwards;
mod cart;
mod checkout;
mod cli;
mod cors;
mod csrf;
mod drf;
mod health;
mod knobs;
mod load;
mod log;
mod products;
mod route;
mod secret;
mod serve;
mod settings;
mod shop;
mod site_config;
mod store;
mod testimonials;
mod validate;
mod wire;
mod work;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the service named by `args` (the first one is the program's name, as in `std::env::args_os`) until it ends.
///
/// Blocks, and builds its own runtime: call it outside of any. The settings come from the process environment.
/// The code is 0 after a clean end, 1 when the service or its surroundings failed, 2 for wrong usage or settings.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    cli::run(args)
}

/// Why the service would not start with this variable in its environment, what is wrong first and the mend after it; nothing
/// when it would.
#[must_use]
pub fn refused_setting(name: &str, value: &str) -> Option<String> {
    let lookup = |asked: &str| (asked == name).then(|| OsString::from(value));
    settings::Settings::read(lookup).err().map(|error| error.to_string())
}
