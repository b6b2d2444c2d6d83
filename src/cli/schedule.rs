//! Which part of a plan `run` sends, and when.

use crate::commands::Schedule;
use crate::trial::Shard;
use clap::Args;
use jiff::Timestamp;

/// More shards than this are a mistake.
const SHARDS_MAX: u32 = 10_000;

#[derive(Debug, Args)]
pub(super) struct ScheduleArgs {
    /// Send one of several shards of the plan, such as 2/8: together they send all of it, each once
    #[arg(long, value_name = "NUMBER/OF", value_parser = shard)]
    shard: Option<Shard>,
    /// Start the load at this time, such as 2026-11-22T16:00:00Z; the set-up steps are sent before it
    #[arg(long, value_name = "TIME", value_parser = time)]
    start_at: Option<Timestamp>,
}

impl From<ScheduleArgs> for Schedule {
    fn from(arguments: ScheduleArgs) -> Self {
        let ScheduleArgs { shard, start_at } = arguments;
        Self { shard, start_at }
    }
}

/// `2/8`.
fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    let Some((number, of)) = parsed else {
        return Err("a shard is its number, from 1, and how many there are, such as 2/8".to_owned());
    };
    if !(1..=SHARDS_MAX).contains(&of) {
        return Err(format!("there can be 1 to {SHARDS_MAX} shards"));
    }
    if !(1..=of).contains(&number) {
        return Err(format!("there is no shard {number} of {of}; they are numbered from 1 to {of}"));
    }
    Ok(Shard { number, of })
}

/// RFC 3339, with its offset.
fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "a time is written with its date and offset, such as 2026-11-22T16:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_those_there_are() {
        assert_eq!(shard("2/8"), Ok(Shard { number: 2, of: 8 }));
        assert_eq!(shard("1/1"), Ok(Shard { number: 1, of: 1 }));
        insta::assert_snapshot!(shard("2").unwrap_err(), @"a shard is its number, from 1, and how many there are, such as 2/8");
        insta::assert_snapshot!(shard("0/8").unwrap_err(), @"there is no shard 0 of 8; they are numbered from 1 to 8");
        insta::assert_snapshot!(shard("9/8").unwrap_err(), @"there is no shard 9 of 8; they are numbered from 1 to 8");
        insta::assert_snapshot!(shard("1/0").unwrap_err(), @"there can be 1 to 10000 shards");
        for wrong in ["", "/", "a/b", "1/2/3", "-1/8", "1/99999999999", "+1"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_has_a_date_and_an_offset() {
        assert!(time("2026-11-22T16:00:00.5+01:00").is_ok());
        for wrong in ["16:00", "tomorrow", "2026-11-22T16:00:00", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        insta::assert_snapshot!(time("16:00").unwrap_err(), @"a time is written with its date and offset, such as 2026-11-22T16:00:00Z");
    }
}
