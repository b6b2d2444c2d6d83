//! Recorded arrivals, read from logs of several formats. Whatever a log holds, reading it takes no more memory than 8
//! bytes for each arrival and one line: lines that cannot be used are told with their place, or counted and left out.

mod cloud;
mod common;
mod csv;
mod input;
mod requests;
mod time;

#[cfg(test)]
mod tests;

use super::RecordedTimes;
use input::{Input, Item};
use requests::{Gathered, Told};
pub use requests::{LogRequest, LogRequests, RequestOptions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::sync::Arc;

/// Arrivals that a log may hold: 160 MB of times.
pub const LOG_ARRIVALS_MAX: usize = 20_000_000;

/// A log that is refused is not read further than this many bad lines.
const BAD_LINES_MAX: u64 = 100;

/// What a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Comma-separated values with a column of times.
    Csv,
    /// Entries of Cloud Logging as JSON; those with `httpRequest` are arrivals.
    CloudLogging,
    /// Common Log Format.
    Common,
    /// Combined Log Format.
    Combined,
}

/// How a log is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// What the log is.
    pub format: LogFormat,
    /// Whether lines that cannot be used are left out; else they refuse the log.
    pub skip_bad_lines: bool,
    /// Of CSV: where the times are.
    pub column: Column,
    /// Of CSV: what a time that is a plain number counts.
    pub unit: TimeUnit,
    /// What is kept of the requests; nothing but their times if left out.
    pub requests: Option<RequestOptions>,
}

/// A column of CSV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// By its number, from 0.
    Number(usize),
    /// By its name in the first line.
    Name(String),
}

/// What a plain number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

/// What a log held.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// When the arrivals came.
    pub times: RecordedTimes,
    /// Lines that were left out because they cannot be used.
    pub bad: u64,
    /// The requests, where they were asked for: one for each of the times.
    pub requests: Option<LogRequests>,
}

/// A line, or an entry of a JSON array, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1, in characters.
    pub column: u64,
    /// What is wrong.
    pub cause: String,
}

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It has lines that cannot be used, and was to be refused for them.
    #[error("{}:{}: {}", first.line, first.column, first.cause)]
    Bad {
        /// The first of them.
        first: BadLine,
        /// How many, that one included.
        count: u64,
        /// Whether the rest of the log was not looked at.
        more: bool,
    },
    /// It holds no arrival.
    #[error("holds no arrival")]
    Empty {
        /// How many lines cannot be used.
        bad: u64,
        /// The first of them.
        first: Option<BadLine>,
        /// Entries that are no requests.
        others: u64,
    },
    /// It holds requests, and none that can be sent.
    #[error("holds no request that is sent: {}", left_out_told(left_out))]
    NothingToSend {
        /// How many were left out, by why.
        left_out: BTreeMap<String, u64>,
    },
    /// Its different requests take too much memory.
    #[error("holds more different requests than can be kept")]
    TooLarge,
    /// It holds too many arrivals.
    #[error("holds more than {LOG_ARRIVALS_MAX} arrivals")]
    TooMany,
    /// Its first line has no such column.
    #[error("has no column `{name}`")]
    NoColumn {
        /// What was looked for.
        name: String,
        /// What there is.
        columns: Vec<String>,
    },
}

/// What is wrong with an item, and where in it.
#[derive(Debug, PartialEq, Eq)]
struct Flaw {
    /// Bytes into the item.
    at: usize,
    cause: String,
}

/// What a line or entry is, if nothing is wrong with it.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    /// An arrival at this time, in nanoseconds since 1970 or whatever else the log counts from.
    Arrival(i64, Option<Told>),
    /// Nothing that is counted: a header.
    Nothing,
    /// An entry that is no request.
    Other,
}

/// Reads a log. Arrivals need not be in order: logs are written when answers end, by several writers.
///
/// # Errors
/// When the log cannot be read, holds no arrival or too many, or has lines that cannot be used and is refused for them.
pub fn read_log(input: impl BufRead, options: &LogOptions) -> Result<Log, LogError> {
    let mut input = Input::new(input);
    let mut csv = csv::Reader::new(options);
    let mut gathered = options.requests.as_ref().map(Gathered::new);
    let requests = gathered.is_some();
    let as_array = options.format == LogFormat::CloudLogging && input.begins_array()?;
    let mut item = Item::default();
    let mut times: Vec<i64> = Vec::new();
    let (mut bad, mut others, mut first) = (0, 0, None);
    while if as_array { input.next_element(&mut item)? } else { input.next_line(&mut item)? } {
        let content = match (item.flaw.take(), options.format) {
            (Some(flaw), _) => Err(flaw),
            (None, LogFormat::Csv) => csv.arrival(&item.bytes)?,
            (None, LogFormat::CloudLogging) => cloud::arrival(&item.bytes, requests),
            (None, LogFormat::Common) => common::arrival(&item.bytes, false, requests),
            (None, LogFormat::Combined) => common::arrival(&item.bytes, true, requests),
        };
        match content {
            Ok(Content::Nothing) => {}
            Ok(Content::Other) => others += 1,
            Ok(Content::Arrival(time, Some(told))) => {
                gathered.as_mut().map_or(Ok(()), |gathered| gathered.take(time, &told))?;
            }
            Ok(Content::Arrival(..)) if times.len() == LOG_ARRIVALS_MAX => return Err(LogError::TooMany),
            Ok(Content::Arrival(time, None)) => times.push(time),
            Err(flaw) => {
                bad += 1;
                first.get_or_insert_with(|| item.place(&flaw));
                if bad == BAD_LINES_MAX && !options.skip_bad_lines {
                    break;
                }
            }
        }
    }
    let left_out = gathered.as_ref().map(Gathered::left_out).filter(|left_out| !left_out.is_empty()).cloned();
    let requests = gathered.map(Gathered::finish).map(|(sent, requests)| {
        times = sent;
        requests
    });
    match (first, left_out) {
        (Some(first), _) if !options.skip_bad_lines => {
            Err(LogError::Bad { first, count: bad, more: bad == BAD_LINES_MAX })
        }
        (_, Some(left_out)) if times.is_empty() => Err(LogError::NothingToSend { left_out }),
        (first, _) if times.is_empty() => Err(LogError::Empty { bad, first, others }),
        _ => Ok(Log { times: since_first(times), bad, requests }),
    }
}

/// How many requests were left out, by why, in words.
#[must_use]
pub fn left_out_told(left_out: &BTreeMap<String, u64>) -> String {
    left_out.iter().map(|(why, count)| format!("{count} {why}")).collect::<Vec<_>>().join(", ")
}

/// The times in order, since the first of them.
fn since_first(mut times: Vec<i64>) -> RecordedTimes {
    times.sort_unstable();
    let first = times.first().copied().unwrap_or_default();
    // Of the same size, so that the vector is turned into the other where it stands.
    let times: Vec<u64> = times.into_iter().map(|time| time.abs_diff(first)).collect();
    RecordedTimes(Arc::new(times))
}

/// What a log holds where something else should be, short enough for a message.
fn shortened(text: &str) -> String {
    const LENGTH_MAX: usize = 40;
    let mut shortened: String = text.chars().take(LENGTH_MAX).collect();
    if shortened.len() < text.len() {
        shortened.push('…');
    }
    shortened
}
