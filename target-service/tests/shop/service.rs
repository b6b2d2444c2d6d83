//! A running shop for tests: the real binary on a port of its own, and what it logs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing a test waits for takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Service {
    child: Child,
    /// In a lock so that several buyers can share the service.
    lines: Mutex<Receiver<String>>,
    pub(crate) address: String,
}

impl Service {
    /// Starts `target-service shop` on `folder/shop.db` with further settings.
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut child = command("shop", folder)
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary is built with the tests");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut service = Self { child, lines: Mutex::new(lines), address: String::new() };
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
            let line = self.lines.lock().unwrap().recv_timeout(PATIENCE).expect("the wanted line is logged");
            let line: Value = serde_json::from_str(&line).expect("each line is JSON");
            if wanted(&line) {
                return line;
            }
        }
    }

    /// CPU time the process has used, in clock ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the process runs");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields after the name").split_whitespace().collect();
        [fields[11], fields[12]].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    /// A line of the process's status that is in KiB.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line of it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub(crate) fn terminate(&self) {
        terminate(&self.child);
    }

    /// Waits for the end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("the child can be waited for")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGTERM.
pub(crate) fn terminate(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child has a process id");
    kill_process(pid, Signal::TERM).expect("the child is not reaped yet");
}

/// The binary with an environment that holds nothing but what a test sets.
pub(crate) fn command(subcommand: &str, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_target-service"));
    command.arg(subcommand).current_dir(folder).env_clear().env("HOST", "127.0.0.1").env("PORT", "0");
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
