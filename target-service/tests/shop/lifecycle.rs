//! The life of the process: readiness, settings, logs, abandoned requests, and the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::service::{Service, checkout, client, command, stock, token};
use serde_json::Value;

/// A connection that has sent `request`.
fn send(service: &Service, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The answer to a request whose body ends with `end`.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&answer).ends_with(end) {
        let length = stream.read(&mut buffer).unwrap();
        assert_ne!(length, 0, "closed early: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8(answer).unwrap()
}

const HEALTHY: &str = "GET /healthy HTTP/1.1\r\nhost: shop\r\n\r\n";

#[tokio::test]
async fn idle_connections_do_not_hold_the_end_up() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]);
    let mut used = send(&service, HEALTHY);
    read_until(&mut used, "0\r\n\r\n");
    let mut fresh = send(&service, "");
    // A second answer on a connection made later proves that the fresh one has been accepted.
    read_until(&mut send(&service, HEALTHY), "0\r\n\r\n");
    service.terminate();
    let stopped = service.log_line(|line| line["message"] == "stopped");
    assert_eq!(stopped["process"]["requests"], 2);
    assert_eq!(stopped["severity"], "INFO");
    assert_eq!(service.wait().code(), Some(0));
    assert_eq!(used.read(&mut [0; 16]).unwrap(), 0, "the connection is closed");
    assert_eq!(fresh.read(&mut [0; 16]).unwrap(), 0);
}

#[tokio::test]
async fn the_signal_lets_requests_in_flight_finish() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("WAIT_MS", "700")]);
    let mut slow = send(&service, "GET /api/active/site_config/ HTTP/1.1\r\nhost: shop\r\n\r\n");
    // The health check on a later connection proves that the slow request is being served.
    read_until(&mut send(&service, HEALTHY), "0\r\n\r\n");
    service.terminate();
    assert!(read_until(&mut slow, "}").starts_with("HTTP/1.1 200 OK"));
    let line = service.log_line(|line| line["httpRequest"]["requestUrl"] == "http://shop/api/active/site_config/");
    assert_eq!(line["httpRequest"]["status"], 200);
    service.log_line(|line| line["message"] == "stopped");
    assert!(TcpStream::connect(&service.address).is_err(), "nothing is accepted any more");
    assert_eq!(service.wait().code(), Some(0));
}

#[tokio::test]
async fn an_abandoned_request_holds_no_lock_and_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("WAIT_MS", "300")]);
    let other = Service::start(folder.path(), &[]);
    let client = client();
    let token = token(&client, &service).await;
    let body =
        r#"{"customer":{"email":"a@b.cd"},"payment":{"method":"collect"},"items":[{"id":3,"countRequested":1}]}"#;
    let request = format!(
        "POST /api/checkout HTTP/1.1\r\nhost: shop\r\ncookie: {}\r\nx-csrftoken: {}\r\ncontent-length: {}\r\n\r\n{body}",
        token.0,
        token.1,
        body.len()
    );
    for _ in 0..5 {
        drop(send(&service, &request));
    }
    let line = service.log_line(|line| line["httpRequest"]["status"] == 499);
    assert_eq!((&line["abandoned"], &line["severity"]), (&Value::from(true), &Value::from("WARNING")));
    // Another process can write at once, and the sums are right whatever became of the abandoned ones.
    let before = stock(&client, &other, 3).await;
    let token = crate::service::token(&client, &other).await;
    assert_eq!(checkout(&client, &other, &token, body).send().await.unwrap().status(), 200);
    let after = stock(&client, &other, 3).await;
    assert!(after < before);
    let line = other.log_line(|line| line["httpRequest"]["requestMethod"] == "POST");
    assert!(line["lock_wait_ms"].as_f64().unwrap() < 5000.0);
}

#[tokio::test]
async fn work_and_wait_are_spent_on_the_api_only() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("WAIT_MS", "40"), ("CPU_WORK_US", "20000")]);
    let client = client();
    for path in ["/api/products/", "/", "/healthy", "/ready"] {
        client.get(service.url(path)).header("user-agent", path).send().await.unwrap();
        let line = service.log_line(|line| line["httpRequest"]["userAgent"] == path);
        let latency = line["httpRequest"]["latency"].as_str().unwrap().strip_suffix('s').unwrap().to_owned();
        let spends = matches!(path, "/api/products/" | "/");
        assert!(latency.parse::<f64>().unwrap() >= 0.060 || !spends, "{path} took {latency}");
    }
    // CPU time used by the process, in clock ticks of 10 ms: two requests burnt 20 ms each, the checks nothing.
    let ticks = service.cpu_ticks();
    for _ in 0..20 {
        client.get(service.url("/healthy")).send().await.unwrap();
    }
    assert!(service.cpu_ticks() - ticks < 20, "a health check must not burn");
    for _ in 0..20 {
        client.get(service.url("/api/csrf_token")).send().await.unwrap();
    }
    assert!(service.cpu_ticks() - ticks >= 38, "20 requests burn 400 ms");
}

#[tokio::test]
async fn log_lines_have_cloud_loggings_shape() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("GOOGLE_CLOUD_PROJECT", "shop-1"), ("EXECUTOR_THREADS", "2")]);
    let client = client();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    client
        .get(service.url("/api/products/9/?a=b"))
        .header("user-agent", "probe")
        .header("x-forwarded-for", "203.0.113.9, 10.0.0.1")
        .header("x-cloud-trace-context", format!("{trace}/1;o=1"))
        .send()
        .await
        .unwrap();
    let line = service.log_line(|line| line.get("httpRequest").is_some());
    let request = &line["httpRequest"];
    assert_eq!(line["severity"], "WARNING");
    assert_eq!(request["requestMethod"], "GET");
    assert_eq!(request["requestUrl"], service.url("/api/products/9/?a=b"));
    assert_eq!((&request["status"], &request["responseSize"]), (&Value::from(404), &Value::from("48")));
    assert_eq!((&request["userAgent"], &request["remoteIp"]), (&Value::from("probe"), &Value::from("203.0.113.9")));
    assert_eq!(request["protocol"], "HTTP/1.1");
    assert_eq!(line["logging.googleapis.com/trace"], format!("projects/shop-1/traces/{trace}"));
    assert_eq!(line["logging.googleapis.com/spanId"], "0000000000000001");
    let time = |name: &str| line[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let latency: f64 = request["latency"].as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap();
    let between = time("time").duration_since(time("startTime")).as_secs_f64();
    assert!((between - latency).abs() < 3e-6, "the end is the start and the latency: {between} and {latency}");
}

#[test]
fn the_signal_ends_a_delayed_start_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut child = command("shop", folder.path())
        .env("STARTUP_DELAY_MS", "600000")
        .stdout(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    // The handler is in place once the kernel says that the process catches SIGTERM (bit 14).
    let status = format!("/proc/{}/status", child.id());
    let catches = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & (1 << 14) != 0
    };
    while !catches() {
        std::thread::sleep(Duration::from_millis(5));
    }
    crate::service::terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "", "it was never ready");
}

#[tokio::test]
async fn requests_can_go_unlogged_but_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[("LOG_REQUESTS", "false")]);
    client().get(service.url("/")).send().await.unwrap();
    service.terminate();
    let next = service.log_line(|_| true);
    assert_eq!((&next["message"], &next["process"]["requests"]), (&Value::from("stopped"), &Value::from(1)));
}

#[test]
fn wrong_settings_and_usage_end_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let output = command("shop", folder.path()).env("WAIT_MS", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: WAIT_MS is \"soon\", which is not a whole number from 0 to 600000; set it so or unset it for the default\n"
    );
    assert_eq!(command("shpo", folder.path()).output().unwrap().status.code(), Some(2));
    let help = command("--help", folder.path()).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    for name in ["PORT", "HOST", "DATABASE_URL", "DATABASE_POOL_SIZE", "CPU_WORK_US", "WAIT_MS", "EXECUTOR_THREADS"] {
        assert!(help.contains(name), "{name} is not in the help");
    }
}

#[test]
fn a_taken_port_and_a_bad_folder_end_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]);
    let port = service.address.rsplit(':').next().unwrap();
    let output = command("shop", folder.path()).env("PORT", port).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&format!("failed to listen on 127.0.0.1:{port}")));
    let output =
        command("migrate", folder.path()).env("DATABASE_URL", "sqlite://no/such/folder/x.db").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("sqlite://no/such/folder/x.db"));
}
