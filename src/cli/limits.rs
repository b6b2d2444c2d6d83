//! How instances of the local platform are limited, as it is typed.

use crate::commands::LimitOptions;
use crate::platform::{CpuIdle, LimiterChoice};
use clap::Args;

/// Limits of the local platform's instances.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// How instances are limited: auto takes the first of the others that works here
    #[arg(long, default_value = "auto", value_parser = ["auto", "cgroup2", "cgroup1", "systemd", "sigstop", "none"])]
    limiter: String,
    /// What CPU an instance has between requests under request-based billing: none, as on Cloud Run, or all
    #[arg(long, default_value = "frozen", value_parser = CpuIdle::NAMES)]
    cpu_idle: String,
}

impl From<LimitArgs> for LimitOptions {
    fn from(LimitArgs { limiter, cpu_idle }: LimitArgs) -> Self {
        // The parser has accepted these names only.
        Self {
            limiter: LimiterChoice::from_name(&limiter).unwrap_or_default(),
            cpu_idle: CpuIdle::from_name(&cpu_idle).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn parsed(line: &str) -> LimitOptions {
        Line::try_parse_from(line.split(' ')).unwrap().limits.into()
    }

    #[test]
    fn every_name_that_is_offered_is_understood() {
        let limiters = ["auto", "cgroup2", "cgroup1", "systemd", "sigstop", "none"];
        for name in limiters {
            assert_eq!(parsed(&format!("x --limiter {name}")).limiter.name(), name);
        }
        for name in CpuIdle::NAMES {
            assert_eq!(parsed(&format!("x --cpu-idle {name}")).cpu_idle.name(), name);
        }
        assert_eq!(parsed("x").cpu_idle, CpuIdle::Frozen);
        assert!(Line::try_parse_from(["x", "--limiter", "docker"]).is_err());
    }
}
