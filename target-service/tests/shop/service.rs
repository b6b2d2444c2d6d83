//! A running shop for tests: the real binary on a port of its own, and what it logs.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{self, Process};

pub(crate) struct Service {
    process: Process,
    pub(crate) address: String,
}

impl Service {
    /// Starts `target-service shop` on `folder/shop.db` with further settings.
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = command("shop", folder);
        command.envs(settings.iter().copied());
        Self::spawn(command)
    }

    /// Starts a command that becomes a shop, and waits until it is ready.
    pub(crate) fn spawn(command: Command) -> Self {
        let mut service = Self { process: Process::spawn(command), address: String::new() };
        let ready = service.log_line(|line| line["message"] == "ready");
        ready["process"]["address"].as_str().expect("an address").clone_into(&mut service.address);
        service
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next log line for which `wanted` holds; those before it are passed over.
    pub(crate) fn log_line(&self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.process.line()).expect("each line is JSON");
            if wanted(&line) {
                return line;
            }
        }
    }

    /// CPU time the process has used, in clock ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields after the name").split_whitespace().collect();
        [fields[11], fields[12]].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    /// A file of the process's folder under `/proc`.
    pub(crate) fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).expect("the process runs")
    }

    /// A line of the process's status.
    pub(crate) fn status(&self, name: &str) -> String {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line of it");
        line.trim().to_owned()
    }

    /// A line of the process's status that is in KiB.
    pub(crate) fn kib(&self, name: &str) -> u64 {
        self.status(name).trim_end_matches(" kB").parse().expect("a number")
    }

    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits for the end.
    pub(crate) fn wait(self) -> ExitStatus {
        self.process.wait()
    }
}

/// Sends SIGTERM.
pub(crate) fn terminate(child: &Child) {
    process::send(child.id(), Signal::TERM);
}

/// The binary with an environment that holds nothing but what a test sets.
pub(crate) fn command(subcommand: &str, folder: &Path) -> Command {
    let mut command = process::command(subcommand);
    command.current_dir(folder);
    command
}

/// A client that follows no redirect and keeps its connections.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client without options")
}

/// A token of the service: what goes into the cookie and what into the header.
pub(crate) async fn token(client: &reqwest::Client, service: &Service) -> (String, String) {
    let response = client.get(service.url("/api/csrf_token")).send().await.expect("the service answers");
    let cookie = response.headers()["set-cookie"].to_str().expect("ASCII").to_owned();
    let body: Value = response.json().await.expect("JSON");
    let cookie = cookie.split(';').next().expect("a first part").to_owned();
    (cookie, body["csrfToken"].as_str().expect("a token").to_owned())
}

/// A checkout with the token of [`token`].
pub(crate) fn checkout(
    client: &reqwest::Client,
    service: &Service,
    (cookie, token): &(String, String),
    body: impl Into<reqwest::Body>,
) -> reqwest::RequestBuilder {
    client
        .post(service.url("/api/checkout"))
        .header("cookie", cookie)
        .header("x-csrftoken", token)
        .header("content-type", "text/plain;charset=UTF-8")
        .body(body)
}

/// The stock of a product.
pub(crate) async fn stock(client: &reqwest::Client, service: &Service, product: u32) -> i64 {
    let url = service.url(&format!("/api/products/{product}/"));
    let product: Value = client.get(url).send().await.expect("an answer").json().await.expect("JSON");
    product["inventory_count"].as_i64().expect("a count")
}
