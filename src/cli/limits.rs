//! How instances of the local platform are limited, as it is typed.

use crate::commands::LimitOptions;
use crate::platform::{CpuIdle, LimiterChoice};
use clap::Args;

/// Limits of the local platform's instances.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// How instances are limited: auto takes the first of the others that works here [default: auto]
    #[arg(long, value_parser = ["auto", "cgroup2", "cgroup1", "systemd", "sigstop", "none"])]
    limiter: Option<String>,
    /// What CPU an instance has between requests under request-based billing: none, as on Cloud Run, or all [default: frozen]
    #[arg(long, value_parser = CpuIdle::NAMES)]
    cpu_idle: Option<String>,
}

impl From<LimitArgs> for LimitOptions {
    fn from(LimitArgs { limiter, cpu_idle }: LimitArgs) -> Self {
        // The parser has accepted these names only.
        Self {
            limiter: limiter.as_deref().and_then(LimiterChoice::from_name),
            cpu_idle: cpu_idle.as_deref().and_then(CpuIdle::from_name),
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
            assert_eq!(parsed(&format!("x --limiter {name}")).limiter.unwrap().name(), name);
        }
        for name in CpuIdle::NAMES {
            assert_eq!(parsed(&format!("x --cpu-idle {name}")).cpu_idle.unwrap().name(), name);
        }
        assert!(parsed("x").limiter.is_none() && parsed("x").cpu_idle.is_none());
        assert_eq!(
            (LimiterChoice::default().name(), CpuIdle::default().name()),
            ("auto", "frozen"),
            "as the help says"
        );
        assert!(Line::try_parse_from(["x", "--limiter", "docker"]).is_err());
    }
}
