//! The platform with real processes: the test binary itself plays the service and the launcher.

mod accounts;
mod actors;
mod boost;
mod bursting;
mod deletion;
mod idle;
mod killed;
mod law;
mod leaks;
mod life;
mod memory;
mod routing;
mod scaling;
mod scaling_laws;
mod shares;
mod sigterm;
mod sizes;

use super::*;
use crate::platform::sample::RevisionSample;
use crate::platform::spec::{Operate, Route};
use crate::platform::{LimiterKind, ProbeAction, ProbeOutcome, ProbeType, fixture};
use actors::launcher;
use std::time::Duration;

fn spec(revision: &str, max_concurrency: u32, max_instances: u32) -> RevisionSpec {
    let program = std::env::current_exe().unwrap().to_string_lossy().into_owned();
    let args = ["platform::fleet::tests::actors::serve_as_instance", "--exact", "--ignored", "--nocapture"];
    RevisionSpec {
        revision: revision.to_owned(),
        max_concurrency,
        max_instances,
        command: std::iter::once(program).chain(args.map(str::to_owned)).collect(),
        ..fixture::spec()
    }
}

async fn fleet(policy: Policy, logs_dir: Option<PathBuf>) -> Fleet {
    let options = FleetOptions {
        policy,
        time_factor: 10.0,
        host_cores_per_vcpu: 1.0,
        limiter: LimiterChoice::Only(LimiterKind::None),
        cpu_idle: CpuIdle::Frozen,
        launcher: None,
        logs_dir,
    };
    Fleet::start(options).await.unwrap()
}

#[tokio::test]
async fn an_option_that_makes_no_sense_is_named_with_its_value() {
    for (time_factor, host_cores_per_vcpu, parts) in
        [(0.0, 1.0, ["time factor is 0", "--time-factor"]), (1.0, f64::NAN, ["is NaN", "--host-cores-per-vcpu"])]
    {
        let options = FleetOptions {
            policy: Policy::cloud_run(),
            time_factor,
            host_cores_per_vcpu,
            limiter: LimiterChoice::Only(LimiterKind::None),
            cpu_idle: CpuIdle::Frozen,
            launcher: None,
            logs_dir: None,
        };
        let message = Fleet::start(options).await.err().unwrap().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

fn to(revision: &str, percent: u32, tag: Option<&str>) -> Route {
    Route { revision: revision.to_owned(), percent, tag: tag.map(str::to_owned) }
}

async fn get_text(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A fleet with one revision that has all traffic, and its address.
async fn one(spec: RevisionSpec) -> (Fleet, String) {
    one_under(Policy::cloud_run(), spec).await
}

/// The same under another policy.
async fn one_under(policy: Policy, spec: RevisionSpec) -> (Fleet, String) {
    let fleet = fleet(policy, None).await;
    let name = spec.revision.clone();
    fleet.create_revision(spec).await.unwrap();
    let url = fleet.route("shop", &[to(&name, 100, None)]).await.unwrap().service;
    (fleet, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_through_a_real_instance_and_is_metered() {
    let (fleet, url) = one(spec("shop-1", 4, 3)).await;
    assert_eq!(get_text(&url).await, (200, "shop-1".to_owned()));
    assert_eq!(get_text(&format!("{url}/teapot")).await.0, 418);
    let big = "x".repeat(3_000_000);
    let echoed = reqwest::Client::new().post(format!("{url}/echo")).body(big.clone()).send().await.unwrap();
    assert_eq!(echoed.text().await.unwrap(), big);

    let sample = fleet.sample().await.remove(0);
    assert_eq!(sample.requests, BTreeMap::from([(200, 2), (418, 1)]));
    assert_eq!(sample.request_latencies_ms[&200].count, 2);
    assert_eq!(sample.startup_latencies_ms.count, 1);
    assert_eq!((sample.instances_active, sample.instances_idle), (0, 1));
    assert_eq!(sample.max_request_concurrencies.sum, 1.0);
    // At least the start-up's slices; the slices are never less than the raw integral.
    assert!(sample.billable_instance_time_s >= sample.startup_latencies_ms.sum / 1e3);
    assert!(sample.billable_instance_time_s >= sample.busy_instance_time_s);
    assert!(sample.pending_ms.is_empty());
    // The big body went both ways, with some heads.
    for bytes in [sample.network_bytes.received, sample.network_bytes.sent] {
        assert!((3_000_000..3_100_000).contains(&bytes), "{:?}", sample.network_bytes);
    }
    let default =
        ProbeOutcome { probe_type: ProbeType::Startup, action: ProbeAction::Tcp, is_default: true, is_healthy: true };
    assert_eq!(sample.probes.keys().collect::<Vec<_>>(), [&default]);
    assert_eq!((sample.probes[&default].attempts_ms.count, sample.probes[&default].probes_ms.count), (1, 1));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_instance_holds_more_than_max_concurrency_and_a_burst_starts_instances() {
    let (fleet, url) = one(spec("shop-1", 2, 3)).await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let url = format!("{url}/sleep/300");
        requests.spawn(async move { get_text(&url).await });
    }
    let answers = requests.join_all().await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
    let pids: std::collections::BTreeSet<_> = answers.iter().map(|(_, pid)| pid).collect();
    assert!(pids.len() >= 2, "the burst was served by {pids:?}");
    let sample = fleet.sample().await.remove(0);
    assert_eq!(sample.requests[&200], 12);
    assert!(sample.pending_ms[&200].count >= 6, "ten of twelve waited unless an instance started at once");
    for _ in 0..9 {
        let most: u32 = get_text(&format!("{url}/most")).await.1.parse().unwrap();
        assert!(most <= 2);
    }
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_under_a_request_is_500_and_the_next_request_gets_a_new_instance() {
    let (fleet, url) = one(spec("shop-1", 4, 1)).await;
    assert_eq!(get_text(&format!("{url}/die")).await.0, 500);
    let (status, _) = get_text(&url).await;
    assert_eq!(status, 200);
    let sample = fleet.sample().await.remove(0);
    assert_eq!(sample.requests, BTreeMap::from([(200, 1), (500, 1)]));
    assert_eq!(sample.startup_latencies_ms.count, 2);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_takes_too_long_is_504_and_its_slot_is_free_again() {
    let (fleet, url) = one(RevisionSpec { request_timeout: Duration::from_millis(300), ..spec("shop-1", 1, 1) }).await;
    let mut timed_out = 0;
    let slow = get_text(&format!("{url}/sleep/60000")).await.0;
    assert_eq!(slow, 504);
    // On a busy host even a short request may take longer than the time-out; were the slot not free, all of them would.
    let answered = async {
        while get_text(&url).await.0 != 200 {
            timed_out += 1;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("the slot is free again");
    let sample = fleet.sample().await.remove(0);
    assert_eq!(sample.requests[&200], 1);
    assert!((1..=1 + timed_out).contains(&sample.requests[&504]), "{sample:?} after {timed_out} more");
    fleet.shutdown().await;
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the only revision is so. Samples take away what they count: ask only for what is now.
async fn until(fleet: &Fleet, is_so: impl Fn(&RevisionSample) -> bool) {
    let seen = async {
        while !fleet.sample().await.first().is_some_and(&is_so) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("it is so in time");
}

/// Waits until the world is so.
async fn wait_until(is_so: impl Fn() -> bool) {
    let seen = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("it is so in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_its_slot_and_is_counted() {
    let (fleet, url) = one(spec("shop-1", 1, 1)).await;
    let client = tokio::spawn(reqwest::get(format!("{url}/sleep/60000")));
    until(&fleet, |sample| sample.instances_active == 1).await;
    client.abort();
    // The only slot: this waits until the platform has noticed.
    assert_eq!(get_text(&url).await.0, 200);
    let sample = fleet.sample().await.remove(0);
    assert_eq!(sample.requests, BTreeMap::from([(200, 1), (499, 1)]));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_the_queue() {
    let directory = tempfile::tempdir().unwrap();
    let released = directory.path().join("released");
    let env = BTreeMap::from([("RELEASED".to_owned(), released.to_string_lossy().into_owned())]);
    // So patient a queue gives nobody up: who is not in it any more has left it.
    let patient = Policy { pending_min: Duration::from_hours(10), ..Policy::cloud_run() };
    let (fleet, url) = one_under(patient, RevisionSpec { env, ..spec("shop-1", 1, 1) }).await;
    let held = tokio::spawn({
        let url = format!("{url}/held");
        async move { get_text(&url).await.0 }
    });
    until(&fleet, |sample| sample.instances_active == 1).await;
    let client = tokio::spawn(reqwest::get(url));
    until(&fleet, |sample| sample.pending_requests == 1).await;
    client.abort();
    until(&fleet, |sample| sample.pending_requests == 0).await;
    std::fs::write(released, "").unwrap();
    assert_eq!(held.await.unwrap(), 200);
    let sample = fleet.sample().await.remove(0);
    assert_eq!(sample.requests, BTreeMap::from([(200, 1)]), "the one that left never reached an instance");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_502() {
    let garbage = RevisionSpec { env: BTreeMap::from([("GARBAGE".into(), "1".into())]), ..spec("shop-1", 1, 1) };
    let (fleet, url) = one(garbage).await;
    let (status, page) = get_text(&url).await;
    assert_eq!(status, 502);
    assert!(page.contains("<title>502 Server Error</title>"), "{page}");
    assert_eq!(fleet.sample().await[0].requests, BTreeMap::from([(502, 1)]));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_closes_its_connection_does_not_close_the_clients() {
    let (fleet, url) = one(spec("shop-1", 1, 1)).await;
    let client = reqwest::Client::new();
    for _ in 0..3 {
        let bye = client.get(format!("{url}/bye")).send().await.unwrap();
        assert!(bye.headers().get("connection").is_none());
        assert_eq!(bye.text().await.unwrap(), "bye");
    }
    assert_eq!(fleet.sample().await[0].requests, BTreeMap::from([(200, 3)]));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_an_instance_are_kept_alive() {
    let (fleet, url) = one(spec("shop-1", 4, 1)).await;
    let mut peers = std::collections::BTreeSet::new();
    for _ in 0..20 {
        // A client of its own each time: only the connection behind the ingress can be the same.
        let client = reqwest::Client::new();
        let echoed = client.post(format!("{url}/echo")).body("x".repeat(100_000)).send().await.unwrap();
        assert_eq!(echoed.bytes().await.unwrap().len(), 100_000);
        assert_eq!(client.head(format!("{url}/teapot")).send().await.unwrap().status(), 418);
        peers.insert(client.get(format!("{url}/peer")).send().await.unwrap().text().await.unwrap());
    }
    assert_eq!(peers.len(), 1, "{peers:?}");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_gets_its_environment_and_no_more_and_requests_get_their_headers() {
    let (fleet, url) =
        one(RevisionSpec { env: BTreeMap::from([("KNOB".into(), "1".into())]), ..spec("shop-1", 9, 1) }).await;
    let (_, names) = get_text(&format!("{url}/env")).await;
    for name in ["PORT", "HOST", "K_SERVICE", "K_REVISION", "K_CONFIGURATION", "KNOB", "PATH"] {
        assert!(names.lines().any(|line| line == name), "{name} is missing in {names}");
    }
    assert!(!names.contains("CARGO"), "{names}");
    let (_, headers) = get_text(&format!("{url}/headers")).await;
    for part in ["\"host\": \"127.0.0.1:", "\"x-forwarded-for\": \"127.0.0.1\"", "x-cloud-trace-context", "traceparent"]
    {
        assert!(headers.contains(part), "{part} is missing in {headers}");
    }
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_dies_at_once_tells_its_last_words() {
    let fleet = fleet(Policy::cloud_run(), None).await;
    let dying =
        RevisionSpec { env: BTreeMap::from([("LAST_WORDS".into(), "no database".into())]), ..spec("shop-1", 1, 1) };
    let error = fleet.create_revision(dying).await.unwrap_err().to_string();
    assert!(error.contains("exit status: 3") && error.contains("no database"), "{error}");
    let missing = RevisionSpec { command: vec!["/nowhere/program".into()], ..spec("shop-2", 1, 1) };
    let error = fleet.create_revision(missing).await.unwrap_err().to_string();
    assert!(error.contains("could not be started"), "{error}");
    assert!(fleet.sample().await.is_empty());
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_tags_and_deletion() {
    let logs = tempfile::tempdir().unwrap();
    let fleet = fleet(Policy::cloud_run(), Some(logs.path().to_owned())).await;
    fleet.create_revision(spec("shop-1", 4, 2)).await.unwrap();
    fleet.create_revision(spec("shop-2", 4, 2)).await.unwrap();
    let both = [to("shop-1", 75, None), to("shop-2", 25, None), to("shop-2", 0, Some("c4"))];
    let addresses = fleet.route("shop", &both).await.unwrap();
    assert_eq!(get_text(&addresses.tags["c4"]).await.1, "shop-2");
    let mut seconds = 0;
    for _ in 0..100 {
        seconds += u32::from(get_text(&addresses.service).await.1 == "shop-2");
    }
    assert_eq!(seconds, 25);
    let moved = fleet.route("shop", &[to("shop-2", 100, None)]).await.unwrap();
    assert_eq!(moved.service, addresses.service, "the service keeps its address");
    assert!(reqwest::get(&addresses.tags["c4"]).await.is_err(), "the tag's port is closed");
    assert_eq!(get_text(&moved.service).await.1, "shop-2");
    assert!(matches!(fleet.route("shop", &[to("shop-9", 100, None)]).await, Err(OperateError::NoRevision(_))));
    assert_eq!(get_text(&moved.service).await.1, "shop-2", "a wrong route changes nothing");

    let pid: i32 = get_text(&format!("{}/sleep/0", moved.service)).await.1.parse().unwrap();
    fleet.delete_service("shop").await;
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "the process is gone");
    assert!(reqwest::get(&moved.service).await.is_err());
    assert!(logs.path().join("shop-1-1.log").exists() && logs.path().join("shop-2-1.log").exists());
    fleet.shutdown().await;
}

/// Says, past the capture of tests' output, that limits were not tested. Where real components are required that is a
/// failure, unless this host offers no cgroups to whom the tests run as: a permission cannot be installed.
fn skip_limits(note: &str) {
    use std::io::Write as _;
    let offered = crate::platform::limiter::offered();
    if std::env::var_os("TIDEGATE_REQUIRE_REAL").is_some()
        && let Ok(kind) = &offered
    {
        panic!("this host offers {kind} with permission to make groups, but the platform does not limit by it: {note}");
    }
    let offer = offered.map_or_else(|why| why, |kind| format!("{kind} should have worked"));
    writeln!(std::io::stderr(), "SKIPPED: limits by cgroups are not tested here: {note} ({offer})").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launched_instance_is_in_its_group_and_nothing_is_left_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let options = FleetOptions {
        policy: Policy::cloud_run(),
        time_factor: 10.0,
        host_cores_per_vcpu: 0.25,
        limiter: LimiterChoice::Auto,
        cpu_idle: CpuIdle::Frozen,
        launcher: Some(launcher(directory.path())),
        logs_dir: Some(directory.path().to_owned()),
    };
    let fleet = Fleet::start(options).await.unwrap();
    let report = fleet.limiter_report().clone();
    fleet.create_revision(spec("shop-1", 4, 2)).await.unwrap();
    let url = fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
    let pid = get_text(&format!("{url}/sleep/0")).await.1;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    match report.measured_cores.filter(|_| report.kind != LimiterKind::Sigstop) {
        // Where groups cannot be made the report says why, and the instance is in none.
        None => {
            assert!(report.note.contains("cgroup") && !groups.contains("shop-1-1"), "{report:?} {groups}");
            skip_limits(&report.note);
        }
        Some(measured) => {
            assert!(measured > 0.0 && measured <= 0.25 * 1.1, "{report:?}");
            assert!(groups.contains("shop-1-1"), "{groups}");
            let sample = fleet.sample().await.remove(0);
            assert_eq!((sample.cpu_utilizations.count, sample.memory_utilizations.count), (1, 1));
            assert!(sample.memory_utilizations.sum > 0.0 && sample.memory_utilizations.sum < 1.0);
            let many = fleet.create_revision(spec("shop-2", 4, 4000)).await.unwrap_err().to_string();
            assert!(many.contains("max instances fit"), "{many}");
        }
    }
    fleet.shutdown().await;
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for line in groups.lines().filter(|line| line.contains("shop-1-1")) {
        let group = line.rsplit(':').next().unwrap();
        for point in
            mounts.lines().filter(|mount| mount.contains(" - cgroup")).filter_map(|mount| mount.split(' ').nth(4))
        {
            assert!(!std::path::Path::new(&format!("{point}{group}")).exists(), "{point}{group} is left");
        }
    }
}
