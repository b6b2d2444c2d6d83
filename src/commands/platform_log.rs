//! What the platform logs on standard error: lines of text, or of JSON in the form that Cloud Logging reads
//! (docs.cloud.google.com/logging/docs/structured-logging, read 2026-11-22).

use crate::platform::{Event, IdentityKeys, Journal, Severity};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::net::IpAddr;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object on each line.
    Json,
}

/// What the platform is told about those outside.
#[derive(Clone, Debug)]
pub struct OutsideOptions {
    /// Where the APIs and the services listen.
    pub listen: IpAddr,
    /// The keys of those who may make ID tokens; without any, services are open until a policy says otherwise.
    pub identity: Option<IdentityKeys>,
    /// How to log; none logs text, or nothing if another program started the platform.
    pub log_format: Option<LogFormat>,
}

/// Writes every event on standard error, as soon as it happens.
pub(super) fn journal(format: LogFormat) -> Journal {
    Journal::new(move |event| {
        let line = line(format, event, Timestamp::now());
        // Who cannot be told is not told: the platform goes on.
        let _ = anstream::stderr().write_all(line.as_bytes());
    })
}

fn line(format: LogFormat, event: &Event, now: Timestamp) -> String {
    let severity = match event.severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
    };
    match format {
        LogFormat::Text => {
            let number = event.instance.map(|number| format!("instance {number}"));
            let names = [&event.service, &event.revision, &number];
            let names: Vec<_> = names.into_iter().flatten().map(|name| name.escape_debug().to_string()).collect();
            let names = if names.is_empty() { String::new() } else { format!("{}: ", names.join(" / ")) };
            // What an instance said last may hold line breaks and control characters.
            let message = event.message.replace('\n', " | ").replace(char::is_control, "");
            format!("{now:.3} {severity} {names}{message}\n")
        }
        LogFormat::Json => {
            let mut labels = Map::new();
            let number = event.instance.map(|number| number.to_string());
            for (label, value) in
                [("service_name", &event.service), ("revision_name", &event.revision), ("instance", &number)]
            {
                labels.extend(value.as_ref().map(|value| (label.to_owned(), Value::from(value.as_str()))));
            }
            let mut entry = json!({"time": now.to_string(), "severity": severity, "message": event.message});
            if !labels.is_empty() {
                entry["logging.googleapis.com/labels"] = labels.into();
            }
            format!("{entry}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died() -> Event {
        let event = Event::new(Severity::Error, "it exited\n\u{1b}[31mred \"x\"");
        event.of_service("shop").of_revision("shop-a").of_instance(3)
    }

    #[test]
    fn an_event_is_one_line_in_either_format() {
        let now: Timestamp = "2026-11-22T12:00:00.25Z".parse().unwrap();
        let text = line(LogFormat::Text, &died(), now);
        assert_eq!(text, "2026-11-22T12:00:00.250Z ERROR shop / shop-a / instance 3: it exited | [31mred \"x\"\n");
        let json = line(LogFormat::Json, &died(), now);
        assert_eq!(json.lines().count(), 1);
        let entry: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&entry["severity"], &entry["message"]),
            (&json!("ERROR"), &json!("it exited\n\u{1b}[31mred \"x\""))
        );
        assert_eq!(entry["logging.googleapis.com/labels"]["instance"], "3");
        let plain = line(LogFormat::Json, &Event::new(Severity::Info, "it serves"), now);
        assert_eq!(plain, "{\"time\":\"2026-11-22T12:00:00.25Z\",\"severity\":\"INFO\",\"message\":\"it serves\"}\n");
    }
}
