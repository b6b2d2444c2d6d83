//! The services under test that tidegate carries: a shop on the wire of Avocano, and the laboratory of Pet Theory. Knows
//! nothing of tidegate.
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
mod lab;
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
mod traces;
mod validate;
mod wire;
mod work;

use std::cell::RefCell;
use std::collections::BTreeSet;
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
    // A password is of use to a server only; alone it would be refused beside the default file.
    let is_password = name.starts_with("DATABASE_PASSWORD");
    let lookup = |asked: &str| match asked {
        _ if asked == name => Some(OsString::from(value)),
        "DATABASE_URL" if is_password => Some(OsString::from("postgres://localhost/shop")),
        _ => None,
    };
    let shop = settings::Settings::read(lookup).err();
    shop.or_else(|| lab::refused_setting(name, value)).map(|error| error.to_string())
}

/// The names of all variables that the services look at.
#[must_use]
pub fn settings() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        // What lets them ask for more.
        let value = match name {
            "DATABASE_URL" => "postgres://localhost/shop",
            "OTEL_EXPORTER_OTLP_ENDPOINT" => "http://localhost",
            "GOOGLE_CLOUD_PROJECT" => "project",
            _ => return None,
        };
        Some(OsString::from(value))
    };
    // What they would make of the answers does not matter.
    let _ = settings::Settings::read(lookup);
    lab::ask_for_settings(lookup);
    asked.into_inner()
}

#[cfg(test)]
mod tests {
    use super::{refused_setting, settings};

    #[test]
    fn every_setting_that_the_documents_tell_is_looked_at() {
        let known = settings();
        let mut told = 0;
        for text in [include_str!("../README.md"), include_str!("../LAB.md")] {
            // Of a table the first cell: | `NAME` | …
            for name in text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()) {
                if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
                    assert!(known.contains(name), "{name} is not among {known:?}");
                    told += 1;
                }
            }
        }
        assert!(told > 10, "{told}");
    }

    #[test]
    fn a_setting_is_judged_by_itself() {
        assert_eq!(refused_setting("DATABASE_PASSWORD", "hunter2"), None);
        assert_eq!(refused_setting("STOCK_UPDATES", "racy"), None);
        assert_eq!(refused_setting("SOMETHING_ELSE", "x"), None);
        assert_eq!(refused_setting("FAULT", "share:0.2"), None);
        assert_eq!(refused_setting("PUBSUB_TOPIC", "new-lab-report"), None);
        assert!(refused_setting("FAULT", "sometimes").is_some_and(|refusal| refusal.starts_with("FAULT")));
        assert!(refused_setting("PUBSUB_EMULATOR_HOST", "here").is_some());
        assert!(refused_setting("WORKERS", "many").is_some_and(|refusal| refusal.starts_with("WORKERS")));
        assert!(refused_setting("DATABASE_URL", "mysql://x:hunter2@db").is_some_and(|text| !text.contains("hunter2")));
    }
}
