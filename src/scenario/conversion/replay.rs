//! Recorded arrivals: the log is read where the scenario is, and becomes the only stage.

use super::super::error::Problems;
use super::super::load_file::{LogFormatFile, OnBadLineFile, ReplayFile, TimeUnitFile};
use super::super::located::Located;
use super::super::log::{BadLine, Column, Log, LogError, LogFormat, LogOptions, TimeUnit, read_log};
use super::super::route::Group;
use super::super::{Replay, Stage, StageKind, notation};
use super::load::{LEVEL_MAX, room};
use super::{parsed, recorded};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::time::Duration;

/// Name of the only stage of a replay.
pub(super) const STAGE: &str = "replay";

/// Faster, or more often, is a mistake.
const FACTOR_MAX: f64 = 1e6;

/// Longer replays are mistakes, such as a log with one line of another year.
const LENGTH_MAX: Duration = Duration::from_hours(1000);

/// The replay with its recorded times, its stage, and the groups of its requests where those are sent; `None` only with a
/// problem noted.
pub(super) fn replay(
    written: &ReplayFile,
    scenario: &Path,
    problems: &mut Problems,
) -> Option<(Replay, Stage, Option<Vec<Group>>)> {
    let mut options = options(written, problems);
    let most = recorded::groups_max(written, problems);
    options.requests = recorded::options(written, problems);
    let speed = factor("speed", written.speed.as_ref(), problems);
    let multiply = factor("multiply", written.multiply.as_ref(), problems);
    let max_in_flight = room(written.max_in_flight.as_ref(), problems);
    let duration = |written: Option<&Located<String>>, problems: &mut Problems| match written {
        Some(written) => parsed(notation::duration(&written.value), written.at, problems),
        None => Some(Duration::ZERO),
    };
    let whole_seconds = matches!(written.format, LogFormatFile::Common | LogFormatFile::Combined);
    let spread = match &written.spread {
        None if whole_seconds => Some(Duration::from_secs(1)),
        spread => duration(spread.as_ref(), problems),
    };
    let warm_up = duration(written.warm_up.as_ref(), problems);
    if recorded::are_sent(written) && options.requests.is_none() {
        return None;
    }
    let mut log = read(written, scenario, &options, problems)?;
    let methods = options.requests.take().map(|requests| requests.methods).unwrap_or_default();
    let (requests, groups) = log.requests.take().map(|requests| recorded::sent(requests, methods, most)).unzip();
    let (speed, multiply, spread, warm_up) = (speed?, multiply?, spread?, warm_up?);
    let replay = Replay {
        file: written.file.value.clone(),
        format: options.format,
        speed,
        multiply,
        spread,
        max_in_flight,
        skipped: log.bad,
        recorded: log.times.0.len() as u64,
        fingerprint: log.times.fingerprint_with(requests.as_ref()),
        times: log.times,
        requests,
    };
    let stage = stage(written, &replay, warm_up, problems)?;
    Some((replay, stage, groups))
}

fn options(written: &ReplayFile, problems: &mut Problems) -> LogOptions {
    let format = match written.format {
        LogFormatFile::Csv => LogFormat::Csv,
        LogFormatFile::CloudLogging => LogFormat::CloudLogging,
        LogFormatFile::Common => LogFormat::Common,
        LogFormatFile::Combined => LogFormat::Combined,
    };
    let of_csv = [
        ("column", written.column.as_ref().map(|column| column.at)),
        ("unit", written.unit.as_ref().map(|unit| unit.at)),
    ];
    for (key, at) in of_csv {
        if let Some(at) = at
            && format != LogFormat::Csv
        {
            problems.add(
                at,
                format!("`{key}` speaks of columns, and this log has none"),
                "take it out, or write `format: csv`",
            );
        }
    }
    let column = written.column.as_ref().map_or(Column::Number(0), |written| column(written, problems));
    let unit = match written.unit.as_ref().map(|unit| unit.value) {
        None | Some(TimeUnitFile::S) => TimeUnit::Seconds,
        Some(TimeUnitFile::Ms) => TimeUnit::Milliseconds,
        Some(TimeUnitFile::Us) => TimeUnit::Microseconds,
        Some(TimeUnitFile::Ns) => TimeUnit::Nanoseconds,
    };
    let skip_bad_lines = matches!(written.on_bad_line, Some(OnBadLineFile::Skip));
    LogOptions { format, skip_bad_lines, column, unit, requests: None }
}

/// A column by its number from 1, or by its name.
pub(super) fn column(written: &Located<String>, problems: &mut Problems) -> Column {
    match written.value.parse::<usize>() {
        Ok(0) => {
            problems.add(written.at, "there is no column 0", "the first column is number 1");
            Column::Number(0)
        }
        Ok(number) => Column::Number(number - 1),
        Err(_) => Column::Name(written.value.clone()),
    }
}

/// A factor above 0; 1 where it is left out.
fn factor(key: &str, written: Option<&Located<f64>>, problems: &mut Problems) -> Option<f64> {
    let Some(written) = written else { return Some(1.0) };
    if written.value > 0.0 && written.value <= FACTOR_MAX {
        return Some(written.value);
    }
    let message = format!("`{key}: {}` is out of range", written.value);
    problems.add(written.at, message, format!("give a number above 0 and at most {FACTOR_MAX}, such as 2 or 0.5"));
    None
}

/// Reads the log, which is named relative to the scenario file.
fn read(written: &ReplayFile, scenario: &Path, options: &LogOptions, problems: &mut Problems) -> Option<Log> {
    let file = &written.file;
    let path = scenario.parent().unwrap_or(Path::new("")).join(&file.value);
    let opened = std::fs::metadata(&path).and_then(|metadata| {
        // Reading a device or a pipe might never end.
        if metadata.is_file() { File::open(&path) } else { Err(io::Error::other("it is not a file")) }
    });
    let error = match opened.map_err(LogError::from).and_then(|opened| read_log(BufReader::new(opened), options)) {
        Ok(log) => return Some(log),
        Err(error) => error,
    };
    let path = path.display();
    let (message, hint) = match &error {
        LogError::Read(_) => {
            (format!("the log {path} {error}"), "give its path relative to the scenario file".to_owned())
        }
        LogError::Bad { count, more, .. } => {
            let others = match (count, more) {
                (1, false) => String::new(),
                (count, false) => format!(" ({count} lines cannot be used)"),
                (count, true) => format!(" ({count} lines cannot be used, and perhaps more)"),
            };
            let hint = "mend the log (a compressed one wants unpacking), check `format`, or write `on_bad_line: skip` to leave such lines out";
            (format!("{path}:{error}{others}"), hint.to_owned())
        }
        LogError::Empty { bad, first, others } => (
            format!("the log {path} {error}{}", what_instead(*bad, first.as_ref(), *others)),
            "check `file` and `format`".to_owned(),
        ),
        LogError::NothingToSend { .. } => (
            format!("the log {path} {error}"),
            "list their methods under `methods`, if they may be sent; GET and HEAD are if it is left out".to_owned(),
        ),
        LogError::TooLarge | LogError::TooMany => {
            (format!("the log {path} {error}"), "cut it, or give a log of a shorter time".to_owned())
        }
        LogError::NoColumn { name, columns } => {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            (format!("the log {path} {error}"), super::offer(name, &columns))
        }
    };
    let at = match &error {
        LogError::NoColumn { name, .. } => {
            let columns = [&written.column, &written.path_column, &written.method_column, &written.agent_column];
            columns.into_iter().flatten().find(|column| column.value == *name).map_or(file.at, |column| column.at)
        }
        _ => file.at,
    };
    problems.add(at, message, hint);
    None
}

/// What a log without an arrival holds.
fn what_instead(bad: u64, first: Option<&BadLine>, others: u64) -> String {
    let others = match others {
        0 => String::new(),
        others => format!("; {} no request (without `httpRequest`)", plural(others, "entry is", "entries are")),
    };
    let Some(BadLine { line, column, cause }) = first else { return others };
    format!("{others}; {} cannot be used, the first is {line}:{column}: {cause}", plural(bad, "line", "lines"))
}

fn plural(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// The stage that the recording makes.
fn stage(written: &ReplayFile, replay: &Replay, warm_up: Duration, problems: &mut Problems) -> Option<Stage> {
    let seconds = replay.times.length(replay.spread).as_secs_f64() / replay.speed;
    if seconds > LENGTH_MAX.as_secs_f64() {
        problems.add(
            written.file.at,
            format!("the replay would take {:.0} h", seconds / 3600.0),
            format!(
                "at most {} h: cut the log, look for a line of another year in it, or give a `speed`",
                LENGTH_MAX.as_secs() / 3600
            ),
        );
        return None;
    }
    let level = replay.recorded as f64 * replay.multiply / seconds;
    if level > LEVEL_MAX {
        problems.add(
            written.file.at,
            format!("the replay would be {level:.0} arrivals per second"),
            format!("at most {LEVEL_MAX}: give a smaller `speed` or `multiply`"),
        );
        return None;
    }
    let duration = Duration::from_secs_f64(seconds);
    if let Some(written) = &written.warm_up
        && warm_up >= duration
    {
        problems.add(
            written.at,
            format!(
                "nothing would be measured: the warm-up ({}) is not shorter than the replay ({seconds:.1} s)",
                written.value
            ),
            "shorten the warm_up",
        );
        return None;
    }
    let kind = StageKind::Replay;
    Some(Stage { name: STAGE.to_owned(), kind, from: level, to: level, duration, warm_up, mix: Vec::new() })
}
