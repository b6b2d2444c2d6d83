//! The platform as a program of its own: what it logs, and how it does under Google's own clients, programs too: Python's `google-cloud-run` over REST and
//! `google-cloud-monitoring` over gRPC, and `gcloud run`. Each is skipped where it is not installed; the first is not if
//! the environment says that everything real must be here. Nothing leaves the machine: there are no credentials, and every
//! call goes to the loopback address.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "tidegate/announced.rs"]
mod announced;
mod served;
mod tidegate;

use serde_json::Value;
use served::Platform;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tidegate::{repository, told};

/// Names the Python whose packages are those of `tests/conformance/requirements.txt`.
const PYTHON: &str = "TIDEGATE_TEST_PYTHON";

/// Skips what is not here, unless everything must be.
fn skip(what: &str) {
    assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "{what} is required");
    // Not by a macro: what those print is hidden unless the test fails.
    let _ = writeln!(std::io::stderr(), "skipped: {what} is not installed");
}

fn succeeded(output: &Output) -> String {
    let (code, out, error) = told(output);
    assert_eq!(code, Some(0), "{out}\n{error}");
    out
}

#[test]
fn it_listens_where_it_is_told_to_and_logs_json() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--listen", "127.0.0.2", "--log-format", "json"];
    let mut platform = Platform::start(dir.path(), &arguments, Stdio::piped());
    let address = platform.endpoint.strip_prefix("http://").unwrap().to_owned();
    assert!(address.starts_with("127.0.0.2:"), "{address}");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(status["services"], serde_json::json!([]), "{answer}");
    let log = platform.child.stderr.take().unwrap();
    drop(platform);
    let lines: Vec<String> = BufReader::new(log).lines().map(Result::unwrap).collect();
    let entries: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = entries.iter().map(|entry| entry["message"].as_str().unwrap()).collect();
    assert_eq!(messages, [&format!("the platform serves at http://{address}"), "the platform stops its instances"]);
    assert!(entries.iter().all(|entry| entry["severity"] == "INFO" && entry["time"].is_string()), "{lines:?}");
}

/// Whoever has told gcloud to use the platform as a proxy, by the environment, has told every other program too.
#[test]
fn a_service_that_is_asked_for_through_the_platform_as_a_proxy_is_not_answered_for() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Platform::start(dir.path(), &[], Stdio::inherit());
    let address = platform.endpoint.strip_prefix("http://").unwrap();
    let ask = |url: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {url} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    for url in ["http://127.0.0.1:1/", "http://localhost:1/status", "http://[::1]:1/"] {
        let answer = ask(url);
        assert!(answer.starts_with("HTTP/1.1 421") && answer.contains("no_proxy="), "{answer}");
    }
    let services = "/v2/projects/p/locations/l/services";
    for url in [&format!("{}/status", platform.endpoint), &format!("http://run.googleapis.com{services}"), services] {
        assert!(ask(url).starts_with("HTTP/1.1 200"), "{url}");
    }
}

/// Whoever reads no more than the first lines knows that an instance that leaks will not be ended for it.
#[test]
fn without_a_limiter_it_says_that_memory_is_not_limited() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["platform", "--port", "0", "--limiter", "none"];
    let mut platform =
        tidegate::tidegate(dir.path()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(platform.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.take_while(|line| !line.contains("Ctrl-C")).collect::<Vec<_>>().join("\n");
    let pid = rustix::process::Pid::from_child(&platform);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(platform.wait().unwrap().code(), Some(143));
    for part in ["limiter none", "instances are not limited", "none is ended for its memory (as asked for)"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn pythons_clients_deploy_change_and_measure() {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let imports = "import google.cloud.run_v2, google.cloud.monitoring_v3";
    let here = Command::new(&python).args(["-c", imports]).output().is_ok_and(|output| output.status.success());
    if !here {
        return skip(&format!("a Python ({PYTHON}) with the packages of tests/conformance/requirements.txt"));
    }
    let dir = tempfile::tempdir().unwrap();
    let platform = Platform::start(dir.path(), &[], Stdio::inherit());
    let output = Command::new(&python)
        .arg(repository("tests/conformance/clients.py"))
        .args([&platform.endpoint, env!("CARGO_BIN_EXE_tidegate")])
        .output()
        .unwrap();
    assert!(succeeded(&output).contains("as on Cloud Run"));
}

/// gcloud without credentials and without a configuration of the user's. It puts the region before the host of the
/// endpoint, so the calls are sent through the platform as through a proxy: in absolute form, on its one port.
struct Gcloud {
    program: PathBuf,
    dir: PathBuf,
    endpoint: String,
}

impl Gcloud {
    fn command(&self, arguments: &[&str]) -> Command {
        let token = self.dir.join("token");
        fs::write(&token, "nobody").unwrap();
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .args(["--project", "demo", "--quiet", "--access-token-file"])
            .arg(token)
            .current_dir(&self.dir)
            .env("CLOUDSDK_CONFIG", self.dir.join("config"))
            .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
            // Which APIs a project has enabled is asked of another service.
            .env("CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API", "false")
            .env("CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true")
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", "http://run.googleapis.com/")
            .env("http_proxy", &self.endpoint)
            // Whatever else it might call ends at the platform too, and is refused there.
            .env("https_proxy", &self.endpoint);
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        succeeded(&self.command(arguments).output().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}

/// The program, wherever `PATH` has it.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// A service as a user of `gcloud run services replace` writes it.
fn service_yaml(concurrency: u32) -> String {
    format!(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  template:\n    metadata:\n      \
         annotations: {{autoscaling.knative.dev/maxScale: '3'}}\n    spec:\n      containerConcurrency: {concurrency}\n      \
         containers:\n      - image: tidegate/command\n        command: ['{}']\n        args: [target-service, shop]\n        \
         resources: {{limits: {{cpu: '1', memory: 512Mi}}}}\n",
        env!("CARGO_BIN_EXE_tidegate")
    )
}

#[test]
fn gcloud_deploys_replaces_describes_updates_lists_and_deletes() {
    let Some(program) = found("gcloud") else {
        // No package manager has it: where it is not installed it is not required either.
        let _ = writeln!(std::io::stderr(), "skipped: gcloud is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let platform = Platform::start(dir.path(), &[], Stdio::inherit());
    let gcloud = Gcloud { program, dir: dir.path().to_owned(), endpoint: platform.endpoint.clone() };
    let region = ["--region", "europe-west1"];
    let at = |arguments: &[&'static str]| [arguments, &region].concat();
    fs::write(dir.path().join("service.yaml"), service_yaml(8)).unwrap();
    gcloud.run(&at(&["run", "services", "replace", "service.yaml"]));
    let described = gcloud.json(&at(&["run", "services", "describe", "shop"]));
    assert_eq!(described["spec"]["template"]["spec"]["containerConcurrency"], 8);
    assert_eq!(described["status"]["conditions"][0]["status"], "True");
    let text = gcloud.run(&at(&["run", "services", "describe", "shop"]));
    assert!(text.contains("Concurrency:") && text.contains("Max instances:"), "{text}");
    gcloud.run(&at(&["run", "services", "update", "shop", "--concurrency", "5", "--tag", "now"]));
    let updated = gcloud.json(&at(&["run", "services", "describe", "shop"]));
    assert_eq!(updated["spec"]["template"]["spec"]["containerConcurrency"], 5);
    assert_ne!(updated["status"]["latestReadyRevisionName"], described["status"]["latestReadyRevisionName"]);
    let listed = gcloud.json(&["run", "services", "list"]);
    assert_eq!(listed[0]["metadata"]["name"], "shop");
    let revisions = gcloud.json(&at(&["run", "revisions", "list", "--service", "shop"]));
    let names = |listed: &Value| -> Vec<String> {
        let names = listed.as_array().unwrap().iter().map(|revision| revision["metadata"]["name"].as_str().unwrap());
        names.map(str::to_owned).collect()
    };
    let [newest, oldest] = &names(&revisions)[..] else { panic!("{revisions}") };
    let delete = |name| gcloud.command(&[&at(&["run", "revisions", "delete"])[..], &[name]].concat()).output().unwrap();
    let (code, _, error) = told(&delete(newest));
    assert!(code != Some(0) && error.contains("can receive traffic"), "{error}");
    succeeded(&delete(oldest));
    let left = names(&gcloud.json(&at(&["run", "revisions", "list", "--service", "shop"])));
    assert_eq!(left, std::slice::from_ref(newest));
    let missing = gcloud.command(&at(&["run", "services", "describe", "stall"])).output().unwrap();
    let (code, _, error) = told(&missing);
    assert!(code != Some(0) && error.contains("Cannot find service [stall]"), "{error}");
    let program = env!("CARGO_BIN_EXE_tidegate");
    let image = ["--image", "tidegate/command", "--command", program, "--args", "target-service,shop"];
    let deploy = |more: &[&'static str]| gcloud.run(&[&at(&["run", "deploy", "stall"])[..], &image, more].concat());
    // As the README has it: whether everybody may call it is not said, and gcloud asks what it may set.
    deploy(&[]);
    deploy(&["--allow-unauthenticated", "--max-instances", "2"]);
    let stall = at(&["run", "services", "get-iam-policy", "stall"]);
    assert_eq!(gcloud.json(&stall)["bindings"][0]["members"][0], "allUsers");
    deploy(&["--no-allow-unauthenticated"]);
    assert_eq!(gcloud.json(&stall).get("bindings"), None, "it is private");
    let invoker = "--member=serviceAccount:invoker@demo.iam.gserviceaccount.com";
    gcloud.run(&at(&["run", "services", "add-iam-policy-binding", "stall", invoker, "--role=roles/run.invoker"]));
    assert_eq!(gcloud.json(&stall)["bindings"][0]["role"], "roles/run.invoker");
    deploy(&["--no-traffic", "--tag", "next", "--concurrency", "3"]);
    gcloud.run(&at(&["run", "services", "update-traffic", "stall", "--to-tags", "next=20"]));
    let split = gcloud.json(&at(&["run", "services", "describe", "stall"]));
    let targets = split["status"]["traffic"].as_array().unwrap();
    let percents: Vec<_> = targets.iter().filter_map(|target| target["percent"].as_u64()).collect();
    assert_eq!(percents, [80, 20], "{split}");
    assert!(targets.iter().any(|target| target["tag"] == "next" && target["url"].is_string()), "{split}");
    gcloud.run(&at(&["run", "services", "delete", "stall"]));
    gcloud.run(&at(&["run", "services", "delete", "shop"]));
    assert_eq!(gcloud.json(&["run", "services", "list"]), serde_json::json!([]));
}
