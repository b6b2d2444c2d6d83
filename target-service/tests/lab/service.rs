//! A running service of the laboratory: the real binary on a port of its own, and what it logs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, ExitStatus};

use base64::Engine as _;
use rustix::process::Signal;
use serde_json::Value;

pub(crate) use crate::process::PATIENCE;
use crate::process::{self, Process};

pub(crate) struct Service {
    process: Process,
    pub(crate) port: u16,
}

/// What a service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in small letters, in alphabetical order, without `date`.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

impl Service {
    /// Starts `target-service NAME` with an environment that holds nothing but these settings, and waits until it is ready.
    pub(crate) fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let process = Process::spawn(command(name, settings));
        let line = process.line();
        let port = line.strip_prefix("Listening on port ").unwrap_or_else(|| panic!("the first line is {line:?}"));
        let port = port.parse().expect("a port");
        Self { process, port }
    }

    /// The next line of its log.
    pub(crate) fn line(&self) -> String {
        self.process.line()
    }

    /// A connection that has sent these bytes.
    pub(crate) fn send(&self, request: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the service listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
        stream.write_all(request).expect("the service reads");
        stream
    }

    /// The answer to these bytes, sent on a connection of their own.
    pub(crate) fn ask(&self, request: &[u8]) -> Answer {
        let has_no_body = request.starts_with(b"HEAD ");
        read(&mut self.send(request), has_no_body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n").as_bytes())
    }

    /// Posts JSON to `/`.
    pub(crate) fn post(&self, body: &str) -> Answer {
        self.ask(&posted(body))
    }

    /// Pushes a report in Pub/Sub's envelope.
    pub(crate) fn push(&self, report: &str, message_id: &str) -> Answer {
        self.post(&envelope(report, message_id))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end.
    pub(crate) fn wait(self) -> ExitStatus {
        self.process.wait()
    }
}

/// The binary with an environment that holds nothing but what a test sets.
pub(crate) fn command(name: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = process::command(name);
    command.envs(settings.iter().copied());
    command
}

/// A request that posts JSON to `/`.
pub(crate) fn posted(body: &str) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: lab\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Pub/Sub's envelope around a report.
pub(crate) fn envelope(report: &str, message_id: &str) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(report);
    format!(
        r#"{{"message":{{"data":"{data}","messageId":"{message_id}","message_id":"{message_id}","attributes":{{}}}},"subscription":"projects/p/subscriptions/s"}}"#
    )
}

/// Reads one answer.
pub(crate) fn read(stream: &mut TcpStream, has_no_body: bool) -> Answer {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).expect("an answer");
        assert_ne!(length, 0, "closed early: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&buffer[..length]);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status").parse().expect("a number");
    let mut headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").expect("a header"))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .filter(|(name, _)| name != "date")
        .collect();
    headers.sort();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    if !has_no_body {
        let mut rest = vec![0; length - body.len()];
        stream.read_exact(&mut rest).expect("the whole body");
        body.extend(rest);
    }
    Answer { status, headers, body: String::from_utf8(body).expect("UTF-8") }
}
