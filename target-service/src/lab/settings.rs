//! The settings of the laboratory's services, all from the environment, checked once at the start.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::uri::Authority;

use super::fault::Fault;
use crate::knobs::Knobs;
use crate::settings::{self, SettingsError, integer, invalid, text};

/// The part of `lab-report --help` that lists the environment.
pub(crate) const HELP_REPORT: &str = "\
Environment:
  PORT                  port to listen on [8080]
  HOST                  address to listen on [0.0.0.0]
  GOOGLE_CLOUD_PROJECT  project of the topic [none: needed unless PUBSUB_TOPIC names one]
  PUBSUB_TOPIC          topic that reports are published to, or projects/PROJECT/topics/TOPIC [new-lab-report]
  PUBSUB_EMULATOR_HOST  HOST:PORT of a Pub/Sub on this machine, without TLS and credentials [none: Google's]
  PUBLISH_TIMEOUT_MS    time after which a report that could not be published is answered 500, in milliseconds [10000]
  EXECUTOR_THREADS      threads that run requests [1]
  STARTUP_DELAY_MS      time to wait before listening, in milliseconds [0]
The knobs of `shop --help` from CPU_WORK_US to CRASH_SEED apply to POST /.

Exit codes: 0 ended cleanly, 1 the service or its surroundings failed, 2 wrong usage or settings";

/// The part of `email --help` and `sms --help` that lists the environment.
pub(crate) const HELP_CONSUMER: &str = "\
Environment:
  PORT              port to listen on [8080]
  HOST              address to listen on [0.0.0.0]
  K_SERVICE         service named in the log lines; a platform sets it [email-service or sms-service]
  DELIVERIES        SQLite file that deliveries are kept in, for GET /deliveries?after=N [none: not kept]
  FAULT             down, slow:2s, crash, hang or share:0.2: what is wrong with every delivery, or a share of them [none]
  FAULT_SEED        where the draws for share begin [drawn]
  EXECUTOR_THREADS  threads that run requests [1]
  STARTUP_DELAY_MS  time to wait before listening, in milliseconds [0]
The knobs of `shop --help` from CPU_WORK_US to CRASH_SEED apply to POST /.

Exit codes: 0 ended cleanly, 1 the service or its surroundings failed, 2 wrong usage or settings";

/// What every service of the laboratory can be told.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) executor_threads: usize,
    pub(crate) startup_delay: Duration,
    pub(crate) knobs: Knobs,
}

/// Where reports are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// `projects/PROJECT/topics/TOPIC`.
    pub(crate) name: String,
    /// Host and port of a Pub/Sub without TLS and credentials.
    pub(crate) emulator: Option<String>,
    /// How long a publish is tried, retries included.
    pub(crate) timeout: Duration,
}

/// What the lab-report service can be told.
#[derive(Debug, Clone)]
pub(crate) struct ReportSettings {
    pub(crate) common: Common,
    pub(crate) topic: TopicSettings,
}

/// What the e-mail and the SMS service can be told.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerSettings {
    pub(crate) common: Common,
    /// The service's own name.
    pub(crate) name: String,
    pub(crate) deliveries: Option<PathBuf>,
    pub(crate) fault: Option<Fault>,
    /// Where the draws of the fault begin; drawn themselves if nothing is given.
    pub(crate) fault_seed: Option<u64>,
}

impl Common {
    fn read(lookup: &impl Fn(&str) -> Option<OsString>) -> Result<Self, SettingsError> {
        let (host, port) = settings::address(lookup)?;
        Ok(Self {
            host,
            port,
            executor_threads: settings::executor_threads(lookup)?,
            startup_delay: settings::startup_delay(lookup)?,
            knobs: settings::knobs(lookup)?,
        })
    }
}

impl ReportSettings {
    /// Reads all settings through `lookup`, which is the process environment except in tests.
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, SettingsError> {
        let topic = text(&lookup, "PUBSUB_TOPIC")?.unwrap_or_else(|| "new-lab-report".to_owned());
        let name = match topic.split('/').collect::<Vec<_>>().as_slice() {
            [name] if is_topic(name) => match text(&lookup, "GOOGLE_CLOUD_PROJECT")? {
                Some(project) => format!("projects/{project}/topics/{name}"),
                None => return Err(SettingsError::Missing("GOOGLE_CLOUD_PROJECT", "the project that the topic is in")),
            },
            ["projects", project, "topics", name] if !project.is_empty() && is_topic(name) => topic,
            _ => {
                let expected = "a topic such as new-lab-report or projects/my-project/topics/new-lab-report";
                return Err(invalid("PUBSUB_TOPIC", &topic, expected));
            }
        };
        let timeout = Duration::from_millis(integer(&lookup, "PUBLISH_TIMEOUT_MS", 10_000, (1, 600_000))?);
        let topic = TopicSettings { name, emulator: emulator(&lookup)?, timeout };
        Ok(Self { common: Common::read(&lookup)?, topic })
    }
}

/// Pub/Sub's rule for names: a letter first, then letters, digits and `-_.~+%`, 3 to 255 of them.
fn is_topic(name: &str) -> bool {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || "-_.~+%".contains(letter);
    (3..=255).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(is_good)
}

/// Host and port, as all clients of Pub/Sub read them; some write `http://` before them.
fn emulator(lookup: &impl Fn(&str) -> Option<OsString>) -> Result<Option<String>, SettingsError> {
    const NAME: &str = "PUBSUB_EMULATOR_HOST";
    let Some(value) = text(lookup, NAME)? else { return Ok(None) };
    let address = value.strip_prefix("http://").unwrap_or(&value).trim_end_matches('/');
    let is_good = |address: &Authority| address.port_u16().is_some() && !address.host().is_empty();
    match address.parse::<Authority>() {
        Ok(parsed) if is_good(&parsed) && !address.contains('@') => Ok(Some(address.to_owned())),
        _ => Err(invalid(NAME, &value, "an address such as localhost:8085")),
    }
}

impl ConsumerSettings {
    /// Reads all settings through `lookup`. `program` is the subcommand: the name when a platform gives none.
    pub(crate) fn read(program: &str, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, SettingsError> {
        let fault = match text(&lookup, "FAULT")? {
            None => None,
            Some(value) => Some(value.parse().map_err(|expected| invalid("FAULT", &value, expected))?),
        };
        let seed = text(&lookup, "FAULT_SEED")?.is_some();
        Ok(Self {
            common: Common::read(&lookup)?,
            name: text(&lookup, "K_SERVICE")?.unwrap_or_else(|| program.to_owned()),
            deliveries: text(&lookup, "DELIVERIES")?.map(PathBuf::from),
            fault,
            fault_seed: if seed { Some(integer(&lookup, "FAULT_SEED", 0, (0, u64::MAX))?) } else { None },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(*value))
    }

    fn topic(pairs: &[(&str, &str)]) -> Result<TopicSettings, String> {
        ReportSettings::read(lookup(pairs)).map(|settings| settings.topic).map_err(|error| error.to_string())
    }

    #[test]
    fn a_topic_is_named_shortly_or_whole() {
        let project = ("GOOGLE_CLOUD_PROJECT", "pets");
        let found = topic(&[project]).unwrap();
        assert_eq!(found.name, "projects/pets/topics/new-lab-report");
        assert_eq!((found.emulator, found.timeout), (None, Duration::from_secs(10)));
        assert_eq!(topic(&[project, ("PUBSUB_TOPIC", "abc")]).unwrap().name, "projects/pets/topics/abc");
        assert_eq!(topic(&[("PUBSUB_TOPIC", "projects/p/topics/abc")]).unwrap().name, "projects/p/topics/abc");
        let missing = topic(&[]).unwrap_err();
        assert_eq!(missing, "GOOGLE_CLOUD_PROJECT is not set; set it to the project that the topic is in");
        for wrong in ["ab", "1abc", "a/b/c", "projects//topics/abc", "projects/p/topics/", "a b c"] {
            let error = topic(&[project, ("PUBSUB_TOPIC", wrong)]).unwrap_err();
            assert!(error.starts_with("PUBSUB_TOPIC is \""), "{error}");
        }
    }

    #[test]
    fn the_emulator_is_a_host_and_a_port() {
        let project = ("GOOGLE_CLOUD_PROJECT", "pets");
        let emulator = |value| topic(&[project, ("PUBSUB_EMULATOR_HOST", value)]).map(|topic| topic.emulator);
        assert_eq!(emulator("localhost:8085").unwrap().as_deref(), Some("localhost:8085"));
        assert_eq!(emulator("http://[::1]:8085/").unwrap().as_deref(), Some("[::1]:8085"));
        for wrong in ["localhost", "https://localhost:1", ":8085", "user:word@host:1", "host:port"] {
            assert!(emulator(wrong).unwrap_err().starts_with("PUBSUB_EMULATOR_HOST is"), "{wrong}");
        }
    }

    #[test]
    fn a_consumer_is_named_by_its_platform() {
        let read = |pairs: &[(&str, &str)]| ConsumerSettings::read("sms", lookup(pairs)).unwrap();
        assert_eq!(read(&[]).name, "sms");
        let settings = read(&[("K_SERVICE", "archive"), ("FAULT", "share:0.25"), ("FAULT_SEED", "7")]);
        assert_eq!((settings.name.as_str(), settings.fault_seed), ("archive", Some(7)));
        assert_eq!(settings.fault, Some(Fault::Share(0.25)));
        let error = ConsumerSettings::read("sms", lookup(&[("FAULT", "slow")])).unwrap_err().to_string();
        assert!(error.starts_with("FAULT is \"slow\", which is not one of down, slow:2s"), "{error}");
    }
}
