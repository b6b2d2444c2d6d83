//! What the platform logs on standard error: lines of text, or of JSON in the form that Cloud Logging reads
//! (docs.cloud.google.com/logging/docs/structured-logging, read 2026-11-22).

use crate::platform::{Event, IdentityKeys, Journal, Severity};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// So many lines wait for whoever reads them. Further ones are left out and counted.
const WAITING_MOST: usize = 1024;

/// At the end whoever reads has so long for what is waiting.
const END_MOST: Duration = Duration::from_secs(1);
/// How often it is looked at then whether there is room for one more line.
const ROOM_EVERY: Duration = Duration::from_millis(10);

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

/// What is logged, on its way to whoever reads it. A reader that is slow, or has stopped, does not hold up the platform:
/// a full pipe blocks the thread that writes to it, which is one of its own.
pub(super) struct Log {
    lines: SyncSender<Line>,
    journal: Journal,
}

enum Line {
    Text(String),
    /// Everything before it is written.
    End(oneshot::Sender<()>),
}

impl Log {
    /// Logs on standard error from now on.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn start(format: LogFormat) -> io::Result<Self> {
        Self::to(anstream::stderr(), format)
    }

    fn to(reader: impl Write + Send + 'static, format: LogFormat) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(WAITING_MOST);
        let left_out = Arc::new(AtomicU64::new(0));
        let (sender, count) = (lines.clone(), Arc::clone(&left_out));
        let journal = Journal::new(move |event| {
            if sender.try_send(Line::Text(line(format, event, Timestamp::now()))).is_err() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(reader, format, &waiting, &left_out))?;
        Ok(Self { lines, journal })
    }

    /// Where events go.
    pub(super) fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// Waits until all is written, a second at most.
    pub(super) async fn end(self) {
        let (written, told) = oneshot::channel();
        let ended = async {
            let mut end = Line::End(written);
            while let Err(TrySendError::Full(line)) = self.lines.try_send(end) {
                end = line;
                tokio::time::sleep(ROOM_EVERY).await;
            }
            told.await
        };
        // Who has not read it by then does not read.
        let _ = tokio::time::timeout(END_MOST, ended).await;
    }
}

/// Writes lines as they come.
fn write(mut reader: impl Write, format: LogFormat, waiting: &Receiver<Line>, left_out: &AtomicU64) {
    for next in waiting {
        let text = match next {
            Line::Text(text) => text,
            Line::End(written) => {
                // Who waited for it may have given up.
                let _ = written.send(());
                return;
            }
        };
        // Who cannot be told is not told: the platform goes on.
        let _ = reader.write_all(text.as_bytes());
        let missing = left_out.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let message = format!("{missing} events are missing somewhere here: whoever reads this did not keep up");
            let event = Event::new(Severity::Warning, message);
            let _ = reader.write_all(line(format, &event, Timestamp::now()).as_bytes());
        }
    }
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

    /// Keeps what is written, once the first write is let through.
    struct Reader {
        opened: Option<std::sync::mpsc::Receiver<()>>,
        read: Arc<std::sync::Mutex<Vec<u8>>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(opened) = self.opened.take() {
                let _ = opened.recv();
            }
            self.read.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_reader_that_stops_holds_nobody_up_and_is_told_what_is_missing() {
        let (open, opened) = std::sync::mpsc::channel();
        let read = Arc::default();
        let log = Log::to(Reader { opened: Some(opened), read: Arc::clone(&read) }, LogFormat::Text).unwrap();
        for number in 0..2 * WAITING_MOST {
            log.journal().tell(|| Event::new(Severity::Info, format!("event {number}")));
        }
        open.send(()).unwrap();
        for _ in 0..6000 {
            let text = String::from_utf8(read.lock().unwrap().clone()).unwrap();
            let events = text.lines().filter(|line| line.contains("INFO event ")).count();
            let counts =
                text.lines().filter_map(|line| line.split_once("WARNING ")?.1.split_once(" events are missing"));
            let missing: usize = counts.map(|(count, _)| count.parse::<usize>().unwrap()).sum();
            if events + missing == 2 * WAITING_MOST {
                assert!(events >= WAITING_MOST && missing > 0, "{events} and {missing}");
                return log.end().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("lines are neither read nor counted: {:?}", read.lock().unwrap().len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_never_reads_does_not_keep_the_platform_from_ending() {
        let (_never, opened) = std::sync::mpsc::channel();
        let log = Log::to(Reader { opened: Some(opened), read: Arc::default() }, LogFormat::Text).unwrap();
        log.journal().tell(|| Event::new(Severity::Info, "the platform serves"));
        log.end().await;
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
