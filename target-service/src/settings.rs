//! The settings, all from the environment, checked once at the start.

use std::ffi::OsString;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Uri};
use thiserror::Error;

use crate::knobs::{Crash, Knobs};
use crate::secret::{self, SecretError};
use crate::store::{Database, DatabaseUrlError, Sales};
use crate::traces::Collector;

/// The part of `--help` that lists the environment.
pub(crate) const HELP: &str = "\
Environment:
  PORT                port to listen on [8080]
  HOST                address to listen on [0.0.0.0]
  DATABASE_URL        SQLite file, created when it is missing, or PostgreSQL database [sqlite://shop.db]
  DATABASE_PASSWORD   password of the PostgreSQL user, instead of one in DATABASE_URL [none]
  DATABASE_POOL_SIZE  connections of this process to the database [2]
  STOCK_UPDATES       exact, or racy: loses updates as the genuine shop does [exact]
  CPU_WORK_US         CPU time each request to / and /api/ spends, in microseconds [0]
  WAIT_MS             time each request to / and /api/ waits as for another service, in milliseconds [0]
  WORKERS             such requests worked on at once; others wait in order [0: no limit]
  MUTEX_HOLD_MS       time each then waits with the process's one mutex held, in milliseconds [0]
  MEMORY_PER_REQUEST_KIB  memory each holds until its answer, in KiB [0]
  TEMP_FILE_KIB       temporary file each leaves in TMPDIR for ever, in KiB [0]
  FIRST_REQUEST_WORK_MS  CPU time the first one spends, which others wait for, in milliseconds [0]
  BACKGROUND_WORK_MS  CPU time spent after each answer, in milliseconds [0]
  CRASH_AFTER_REQUESTS  the process aborts at this request, counted from 1 [0: never]
  CRASH_PROBABILITY   the process aborts at each request with this probability [0]
  CRASH_SEED          where the draws for it begin [drawn]
  EXECUTOR_THREADS    threads that run requests; waiting requests need none [1]
  STARTUP_DELAY_MS    time to wait before listening, in milliseconds [0]
  LOG_REQUESTS        one log line per request: true or false [true]
  K_REVISION          revision named in the first log line; a platform sets it [none]
  GOOGLE_CLOUD_PROJECT  project in the trace field of the log lines [none: the bare trace id]
  K_SERVICE           service named in traces, unless OTEL_SERVICE_NAME is set [target-service]
  OTEL_EXPORTER_OTLP_ENDPOINT  collector that traces are sent to, such as http://localhost:4318 [none: no traces]
  OTEL_EXPORTER_OTLP_HEADERS   headers of each sending, such as authorization=x,tenant=y [none]
  OTEL_TRACES_SAMPLER  what is sampled, as OpenTelemetry defines it [parentbased_always_on]

DATABASE_URL, DATABASE_PASSWORD and OTEL_EXPORTER_OTLP_HEADERS can come from a file: set the name with _FILE behind it,
such as DATABASE_URL_FILE, to the file's path.

Exit codes: 0 ended cleanly, 1 the service or its surroundings failed, 2 wrong usage or settings";

/// Everything that can be set. The defaults are those of [`HELP`].
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) database: Database,
    pub(crate) sales: Sales,
    pub(crate) knobs: Knobs,
    pub(crate) collector: Option<Collector>,
    pub(crate) executor_threads: usize,
    pub(crate) startup_delay: Duration,
    pub(crate) log_requests: bool,
    pub(crate) project: Option<String>,
    /// The platform's name for what this instance is of; shown at the start.
    pub(crate) revision: Option<String>,
}

/// A setting that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    #[error("{name} is {value:?}, which is not {expected}; set it so or unset it for the default")]
    Invalid { name: &'static str, value: String, expected: String },
    #[error("DATABASE_URL cannot be used: {0}")]
    Database(#[from] DatabaseUrlError),
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is no address such as http://localhost:4318; traces go to a collector beside the service, without TLS or a password"
    )]
    Collector,
    #[error("OTEL_EXPORTER_OTLP_HEADERS holds something that is no header; write name=value,name=value")]
    Headers,
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{0} is not set; set it to {1}")]
    Missing(&'static str, &'static str),
}

impl Settings {
    /// Reads all settings through `lookup`, which is the process environment except in tests.
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, SettingsError> {
        let text = |name: &'static str| text(&lookup, name);
        let integer = |name, default, range| integer(&lookup, name, default, range);
        let (host, port) = address(&lookup)?;
        let connections = u32::try_from(integer("DATABASE_POOL_SIZE", 2, (1, 1000))?).expect("the range ends at 1000");
        let sales = match text("STOCK_UPDATES")?.as_deref() {
            None | Some("exact") => Sales::Exact,
            Some("racy") => Sales::Racy,
            Some(other) => return Err(invalid("STOCK_UPDATES", other, "exact or racy")),
        };
        let password = secret::read(&lookup, "DATABASE_PASSWORD")?;
        let url = secret::read(&lookup, "DATABASE_URL")?.unwrap_or_else(|| "sqlite://shop.db".to_owned());
        let log_requests = match text("LOG_REQUESTS")?.as_deref() {
            None | Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(other) => return Err(invalid("LOG_REQUESTS", other, "true or false")),
        };
        Ok(Self {
            host,
            port,
            database: Database::parse(&url, password.as_deref(), connections)?,
            sales,
            knobs: knobs(&lookup)?,
            collector: collector(&lookup)?,
            executor_threads: executor_threads(&lookup)?,
            startup_delay: startup_delay(&lookup)?,
            log_requests,
            project: text("GOOGLE_CLOUD_PROJECT")?,
            revision: text("K_REVISION")?,
        })
    }
}

/// Where to listen.
pub(crate) fn address(lookup: &impl Fn(&str) -> Option<OsString>) -> Result<(IpAddr, u16), SettingsError> {
    let host = match text(lookup, "HOST")? {
        None => IpAddr::from([0, 0, 0, 0]),
        Some(value) => value.parse().map_err(|_| invalid("HOST", &value, "an IP address such as 127.0.0.1"))?,
    };
    let port = u16::try_from(integer(lookup, "PORT", 8080, (0, 65_535))?).expect("the range ends at 65535");
    Ok((host, port))
}

pub(crate) fn executor_threads(lookup: &impl Fn(&str) -> Option<OsString>) -> Result<usize, SettingsError> {
    let threads = integer(lookup, "EXECUTOR_THREADS", 1, (1, 256))?;
    Ok(usize::try_from(threads).expect("the range ends at 256"))
}

pub(crate) fn startup_delay(lookup: &impl Fn(&str) -> Option<OsString>) -> Result<Duration, SettingsError> {
    Ok(Duration::from_millis(integer(lookup, "STARTUP_DELAY_MS", 0, (0, 600_000))?))
}

/// Where traces go, from OpenTelemetry's own variables.
fn collector(lookup: &impl Fn(&str) -> Option<OsString>) -> Result<Option<Collector>, SettingsError> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let text = |name| text(lookup, name);
    let Some(endpoint) = text(NAME)? else { return Ok(None) };
    let address = endpoint.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http"));
    let Some(authority) =
        address.as_ref().and_then(Uri::authority).filter(|authority| !authority.as_str().contains('@'))
    else {
        // It may hold a password, so it is not shown.
        return Err(SettingsError::Collector);
    };
    let path = address.as_ref().map_or("", Uri::path).trim_end_matches('/');
    let headers = secret::read(lookup, "OTEL_EXPORTER_OTLP_HEADERS")?.unwrap_or_default();
    let headers = headers.split(',').map(str::trim).filter(|header| !header.is_empty()).map(|header| {
        let (name, value) = header.split_once('=').ok_or(SettingsError::Headers)?;
        let is_good = HeaderName::from_str(name.trim()).is_ok() && HeaderValue::from_str(value.trim()).is_ok();
        if is_good { Ok((name.trim().to_owned(), value.trim().to_owned())) } else { Err(SettingsError::Headers) }
    });
    let service = text("OTEL_SERVICE_NAME")?.or(text("K_SERVICE")?);
    Ok(Some(Collector {
        endpoint: format!("http://{authority}{path}/v1/traces"),
        headers: headers.collect::<Result<_, _>>()?,
        service: service.unwrap_or_else(|| "target-service".to_owned()),
        revision: text("K_REVISION")?,
    }))
}

pub(crate) fn knobs(lookup: &impl Fn(&str) -> Option<OsString>) -> Result<Knobs, SettingsError> {
    let integer = |name, range| integer(lookup, name, 0, range);
    let milliseconds = |name| Ok::<_, SettingsError>(Duration::from_millis(integer(name, (0, 600_000))?));
    // A GiB at most.
    let bytes = |name| Ok::<_, SettingsError>(1024 * usize::try_from(integer(name, (0, 1 << 20))?).unwrap_or(0));
    let workers = usize::try_from(integer("WORKERS", (0, 1000))?).expect("the range ends at 1000");
    let probability = match text(lookup, "CRASH_PROBABILITY")? {
        None => 0.0,
        Some(value) => match value.parse::<f64>() {
            Ok(number) if (0.0..=1.0).contains(&number) => number,
            _ => return Err(invalid("CRASH_PROBABILITY", &value, "a number from 0 to 1")),
        },
    };
    let seed = text(lookup, "CRASH_SEED")?.is_some();
    Ok(Knobs {
        workers: (workers > 0).then_some(workers),
        cpu_work: Duration::from_micros(integer("CPU_WORK_US", (0, 60_000_000))?),
        wait: milliseconds("WAIT_MS")?,
        mutex_hold: milliseconds("MUTEX_HOLD_MS")?,
        memory: bytes("MEMORY_PER_REQUEST_KIB")?,
        temporary_file: bytes("TEMP_FILE_KIB")?,
        first_request_work: milliseconds("FIRST_REQUEST_WORK_MS")?,
        background_work: milliseconds("BACKGROUND_WORK_MS")?,
        crash: Crash {
            at_request: Some(integer("CRASH_AFTER_REQUESTS", (0, u64::MAX))?).filter(|request| *request > 0),
            probability,
            seed: if seed { Some(integer("CRASH_SEED", (0, u64::MAX))?) } else { None },
        },
    })
}

/// The variable's value; an empty one counts as unset, as shells and container tools leave it.
pub(crate) fn text(
    lookup: &impl Fn(&str) -> Option<OsString>,
    name: &'static str,
) -> Result<Option<String>, SettingsError> {
    match lookup(name) {
        None => Ok(None),
        Some(value) if value.is_empty() => Ok(None),
        Some(value) => {
            value.into_string().map(Some).map_err(|value| invalid(name, &value.to_string_lossy(), "valid UTF-8"))
        }
    }
}

pub(crate) fn integer(
    lookup: &impl Fn(&str) -> Option<OsString>,
    name: &'static str,
    default: u64,
    (least, most): (u64, u64),
) -> Result<u64, SettingsError> {
    let Some(value) = text(lookup, name)? else { return Ok(default) };
    match value.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(invalid(name, &value, &format!("a whole number from {least} to {most}"))),
    }
}

pub(crate) fn invalid(name: &'static str, value: &str, expected: &str) -> SettingsError {
    SettingsError::Invalid { name, value: value.to_owned(), expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(*value)))
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.port, settings.host.to_string().as_str()), (8080, "0.0.0.0"));
        assert_eq!((settings.executor_threads, settings.log_requests), (1, true));
        let knobs = &settings.knobs;
        let spent = [knobs.cpu_work, knobs.wait, knobs.mutex_hold, knobs.first_request_work, knobs.background_work];
        assert_eq!(spent.iter().sum::<Duration>() + settings.startup_delay, Duration::ZERO);
        assert_eq!((knobs.workers, knobs.memory, knobs.temporary_file), (None, 0, 0));
        assert_eq!(knobs.crash, Crash { at_request: None, probability: 0.0, seed: None });
    }

    #[test]
    fn every_setting_has_its_unit() {
        let settings = read(&[
            ("CPU_WORK_US", "1500"),
            ("WAIT_MS", "90"),
            ("STARTUP_DELAY_MS", "300"),
            ("MEMORY_PER_REQUEST_KIB", "2"),
            ("CRASH_PROBABILITY", "0.25"),
            ("CRASH_SEED", "0"),
        ])
        .unwrap();
        assert_eq!(settings.knobs.memory, 2048);
        assert_eq!(settings.knobs.crash, Crash { at_request: None, probability: 0.25, seed: Some(0) });
        assert_eq!(settings.knobs.cpu_work, Duration::from_micros(1500));
        assert_eq!(settings.knobs.wait, Duration::from_millis(90));
        assert_eq!(settings.startup_delay, Duration::from_millis(300));
    }

    #[test]
    fn traces_go_to_the_collector_if_there_is_one() {
        let collector = |pairs: &[(&str, &str)]| read(pairs).map(|settings| settings.collector);
        assert!(collector(&[]).unwrap().is_none());
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/");
        let found = collector(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "a=b, c=d=e"), ("K_SERVICE", "shop")]);
        let found = found.unwrap().unwrap();
        assert_eq!(found.endpoint, "http://localhost:4318/v1/traces");
        assert_eq!(found.headers, [("a", "b"), ("c", "d=e")].map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(found.service, "shop");
        for wrong in ["localhost:4318", "https://collector", "http://user:hunter2@collector", "hunter2"] {
            let error = collector(&[("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)]).unwrap_err().to_string();
            assert!(error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT") && !error.contains("hunter2"), "{error}");
        }
        let error = collector(&[endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2")]).unwrap_err().to_string();
        assert!(error.starts_with("OTEL_EXPORTER_OTLP_HEADERS") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn wrong_values_name_the_variable_and_the_mend() {
        for (name, value) in [
            ("PORT", "http"),
            ("PORT", "70000"),
            ("HOST", "localhost"),
            ("WAIT_MS", "-1"),
            ("CPU_WORK_US", "1.5"),
            ("EXECUTOR_THREADS", "0"),
            ("DATABASE_POOL_SIZE", "0"),
            ("LOG_REQUESTS", "maybe"),
            ("STOCK_UPDATES", "lossy"),
            ("WORKERS", "many"),
            ("MEMORY_PER_REQUEST_KIB", "1048577"),
            ("CRASH_PROBABILITY", "1.5"),
            ("CRASH_PROBABILITY", "NaN"),
            ("CRASH_SEED", "x"),
            ("DATABASE_URL", "sqlite::memory:"),
        ] {
            let message = read(&[(name, value)]).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
            assert!(message.contains(value), "{message}");
        }
    }
}
