//! The lives of instances with real processes, the bad ones above all. In each no request is unaccounted for: what the
//! clients were answered is what the platform counted, status by status.

use super::*;
use crate::platform::probe::{Check, Probe};
use crate::platform::{CpuIdle, Ending, InstancePhase};
use crate::units::Gib;

/// Clients' answers by status.
type Answers = BTreeMap<u16, u64>;

/// What the platform counted: requests that reached an instance and ended, and those that it refused.
fn counted(samples: &[RevisionSample]) -> Answers {
    let mut answers = Answers::new();
    for sample in samples {
        for (status, count) in &sample.requests {
            *answers.entry(*status).or_default() += count;
        }
        // Who waited and then reached an instance is counted there; nobody here waits for one and is answered 429 or 503
        // by it, or times out in it.
        for status in [429, 503, 504] {
            let reached = sample.requests.get(&status).copied().unwrap_or_default();
            let pending = sample.pending_ms.get(&status).map_or(0, |waits| waits.count);
            *answers.entry(status).or_default() += pending.saturating_sub(reached);
        }
    }
    answers.retain(|_, count| *count > 0);
    answers
}

pub(super) fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn endings(fleet: &Fleet) -> BTreeMap<Ending, u64> {
    fleet.endings().remove(&("shop".to_owned(), "shop-1".to_owned())).unwrap_or_default()
}

/// A fleet under a limiter, with its launcher.
pub(super) async fn limited(kind: LimiterChoice, directory: &std::path::Path, policy: Policy) -> Fleet {
    let options = FleetOptions {
        policy,
        time_factor: 10.0,
        host_cores_per_vcpu: 0.25,
        limiter: kind,
        cpu_idle: CpuIdle::Frozen,
        launcher: Some(launcher(directory)),
        logs_dir: Some(directory.to_owned()),
    };
    Fleet::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_zero_a_request_waits_for_an_instance_to_start() {
    let quick =
        Policy { idle_timeout: Duration::from_millis(500), tick: Duration::from_millis(500), ..Policy::cloud_run() };
    let (fleet, url) = one_under(quick, spec("shop-1", 4, 2)).await;
    let mut samples = Vec::new();
    wait_until_ended(&fleet, &mut samples, Ending::Stopped).await;
    assert_eq!(get_text(&url).await.0, 200);
    samples.extend(fleet.sample().await);
    assert_eq!(counted(&samples), Answers::from([(200, 1)]));
    assert_eq!(samples.iter().map(|sample| sample.startup_latencies_ms.count).sum::<u64>(), 2);
    let waits = &samples.last().unwrap().pending_ms[&200];
    let startup = &samples.last().unwrap().startup_latencies_ms;
    assert!(waits.count == 1 && waits.sum >= startup.sum, "it waited for the whole start-up: {waits:?} {startup:?}");
    fleet.shutdown().await;
}

/// Waits until the only revision is so, and keeps what is sampled meanwhile.
async fn until_kept(fleet: &Fleet, samples: &mut Vec<RevisionSample>, is_so: impl Fn(&RevisionSample) -> bool) {
    let seen = async {
        loop {
            let now = fleet.sample().await;
            let found = now.first().is_some_and(&is_so);
            samples.extend(now);
            if found {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, seen).await.expect("it is so in time");
}

/// Waits until the first instance has ended so.
async fn wait_until_ended(fleet: &Fleet, samples: &mut Vec<RevisionSample>, ending: Ending) {
    while !endings(fleet).contains_key(&ending) {
        samples.extend(fleet.sample().await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_is_slowed_down_and_ends_when_the_program_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    let crashing = RevisionSpec { env: env(&[("CRASH_WHILE", broken.to_str().unwrap())]), ..spec("shop-1", 4, 1) };
    let (fleet, url) = one(crashing).await;
    std::fs::write(&broken, "").unwrap();
    let mut answers = Answers::new();
    let begun = tokio::time::Instant::now();
    *answers.entry(get_text(&format!("{url}/die")).await.0).or_default() += 1;
    assert_eq!(answers, Answers::from([(500, 1)]));
    while endings(&fleet).get(&Ending::NeverReady).copied().unwrap_or_default() < 3 {
        *answers.entry(get_text(&url).await.0).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // After the first failed start a second's pause, after the second two.
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    std::fs::remove_file(&broken).unwrap();
    let status = loop {
        let status = get_text(&url).await.0;
        *answers.entry(status).or_default() += 1;
        if status != 503 {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(status, 200);
    assert!(answers[&503] > 3, "{answers:?}");
    assert_eq!(counted(&fleet.sample().await), answers);
    // On a slow host one more may have been started before it was mended.
    let endings = endings(&fleet);
    assert!(endings[&Ending::Exited] == 1 && endings[&Ending::NeverReady] >= 3 && endings.len() == 2, "{endings:?}");
    fleet.shutdown().await;
}

/// A limit of memory that the instance keeps unless it is asked to eat.
async fn runs_out_of_memory(kind: LimiterChoice) {
    let directory = tempfile::tempdir().unwrap();
    let fleet = limited(kind, directory.path(), Policy::cloud_run()).await;
    if fleet.limiter_report().measured_cores.is_none() {
        skip_limits(&fleet.limiter_report().note);
        return fleet.shutdown().await;
    }
    // At a quarter of a slow host's core so many pages take their time.
    let request_timeout = Duration::from_mins(5);
    let small = RevisionSpec { memory: Gib(0.125), request_timeout, ..spec("shop-1", 4, 1) };
    fleet.create_revision(small).await.unwrap();
    let url = fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
    assert_eq!(get_text(&format!("{url}/eat/1")).await, (200, "1".to_owned()));
    let mut samples = Vec::new();
    let beside = tokio::spawn({
        let url = format!("{url}/sleep/60000");
        async move { get_text(&url).await.0 }
    });
    until_kept(&fleet, &mut samples, |sample| sample.instances_active == 1).await;
    // The sigstop watch looks ten times per second: what is held for less it does not see.
    let eaten = get_text(&format!("{url}/eat/400")).await.0;
    assert_eq!((eaten, beside.await.unwrap()), (500, 500), "its requests end in 500");
    assert_eq!(get_text(&url).await.0, 200, "another instance has taken its place");
    assert_eq!(endings(&fleet), BTreeMap::from([(Ending::OutOfMemory, 1)]));
    samples.extend(fleet.sample().await);
    assert_eq!(counted(&samples), Answers::from([(200, 2), (500, 2)]), "no request is unaccounted for");
    let glance = fleet.glance().remove(0);
    assert_eq!(glance.endings, endings(&fleet));
    assert!(glance.last_ending.unwrap().message.contains("exit 137"));
    let log = std::fs::read_to_string(directory.path().join("shop-1-1.log")).unwrap();
    assert!(log.contains("Memory limit of 128 MiB exceeded") && log.contains("exit 137"), "{log}");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_more_memory_than_its_limit_is_killed_and_replaced() {
    runs_out_of_memory(LimiterChoice::Auto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cgroups_the_memory_is_watched() {
    runs_out_of_memory(LimiterChoice::Only(LimiterKind::Sigstop)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_instance_times_out_its_requests_and_is_replaced_if_a_liveness_probe_watches_it() {
    let second = Duration::from_secs(1);
    let check = Check::Http { path: "/".to_owned(), headers: Vec::new() };
    let probe = Probe { check, initial_delay: Duration::ZERO, timeout: second, period: second, failure_threshold: 2 };
    let hanging = RevisionSpec { request_timeout: Duration::from_millis(500), ..spec("shop-1", 4, 1) };
    // Unwatched it stays as it is: each of its requests times out, as on Cloud Run.
    let (fleet, url) = one(hanging.clone()).await;
    for _ in 0..3 {
        assert_eq!(get_text(&format!("{url}/hang")).await.0, 504);
    }
    assert_eq!(counted(&fleet.sample().await), Answers::from([(504, 3)]));
    assert_eq!(endings(&fleet), BTreeMap::new());
    fleet.shutdown().await;

    let watched = RevisionSpec { liveness_probe: Some(probe), request_timeout: Duration::from_mins(5), ..hanging };
    let (fleet, url) = one(watched).await;
    assert_eq!(get_text(&format!("{url}/hang")).await.0, 503, "killed under its request by the probe");
    assert_eq!(get_text(&url).await.0, 200);
    assert_eq!(endings(&fleet), BTreeMap::from([(Ending::Unhealthy, 1)]));
    assert_eq!(counted(&fleet.sample().await), Answers::from([(200, 1), (503, 1)]));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_grpc_an_instance_is_asked_whether_it_has_started_and_whether_it_lives() {
    let directory = tempfile::tempdir().unwrap();
    let sick = directory.path().join("sick");
    std::fs::write(&sick, "").unwrap();
    let check = Check::Grpc { service: "shop".to_owned() };
    let (often, long) = (Duration::from_millis(50), Duration::from_secs(20));
    let startup =
        Probe { check, initial_delay: Duration::ZERO, timeout: long, period: often, failure_threshold: u32::MAX };
    let liveness = Probe { failure_threshold: 2, ..startup.clone() };
    let fleet = fleet(Policy::cloud_run(), None).await;
    let watched = RevisionSpec {
        env: env(&[("SICK_WHILE", &sick.to_string_lossy())]),
        startup_probe: startup,
        liveness_probe: Some(liveness),
        ..spec("shop-1", 4, 1)
    };
    let (deployed, mended) = tokio::join!(fleet.create_revision(watched), async {
        // It listens, and is asked again and again while it does not serve.
        while !fleet.sample().await.iter().flat_map(|sample| sample.probes.keys()).any(|end| !end.is_healthy) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::fs::remove_file(&sick)
    });
    deployed.unwrap();
    mended.unwrap();
    let url = fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
    let first = get_text(&format!("{url}/sleep/0")).await.1;
    std::fs::write(&sick, "").unwrap();
    wait_until(|| endings(&fleet).contains_key(&Ending::Unhealthy)).await;
    std::fs::remove_file(&sick).unwrap();
    let (status, second) = get_text(&format!("{url}/sleep/0")).await;
    assert!(status == 200 && second != first, "another instance has taken its place");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ignores_sigterm_is_killed_after_the_grace_with_its_requests() {
    let directory = tempfile::tempdir().unwrap();
    let hasty = Policy { shutdown_grace: Duration::from_millis(300), ..Policy::cloud_run() };
    let fleet = fleet(hasty, Some(directory.path().to_owned())).await;
    fleet.create_revision(RevisionSpec { env: env(&[("IGNORE_TERM", "1")]), ..spec("shop-1", 4, 1) }).await.unwrap();
    let url = fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
    let pid = get_text(&format!("{url}/sleep/0")).await.1;
    let held = tokio::spawn({
        let url = format!("{url}/sleep/60000");
        async move { get_text(&url).await.0 }
    });
    let mut samples = Vec::new();
    until_kept(&fleet, &mut samples, |sample| sample.instances_active == 1).await;
    let revision = fleet.revision("shop", "shop-1").unwrap();
    fleet.delete_service("shop").await;
    assert_eq!(held.await.unwrap(), 500);
    assert_eq!(revision.endings(), BTreeMap::from([(Ending::Killed, 1)]));
    samples.extend(revision.sample());
    assert_eq!(counted(&samples), Answers::from([(200, 1), (500, 1)]), "no request is unaccounted for");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let log = std::fs::read_to_string(directory.path().join("shop-1-1.log")).unwrap();
    assert!(log.contains("did not end within 0.3 s after SIGTERM"), "{log}");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_heeds_sigterm_ends_its_requests_first_and_the_books_have_them() {
    let directory = tempfile::tempdir().unwrap();
    let released = directory.path().join("released");
    let env = env(&[("RELEASED", &released.to_string_lossy())]);
    let patient = Policy { shutdown_grace: Duration::from_mins(1), ..Policy::cloud_run() };
    let (fleet, url) = one_under(patient, RevisionSpec { env, ..spec("shop-1", 4, 1) }).await;
    let held: Vec<_> = (0..3).map(|_| tokio::spawn(get_owned(format!("{url}/held")))).collect();
    let begun = directory.path().join("released.begun");
    wait_until(|| std::fs::read_to_string(&begun).is_ok_and(|lines| lines.lines().count() == 3)).await;
    let revision = fleet.revision("shop", "shop-1").unwrap();
    let ((), released) = tokio::join!(fleet.delete_service("shop"), async {
        // Told to stop, it still holds its requests.
        wait_until(|| revision.glance().is_some_and(|it| it.instances[0].phase == InstancePhase::Stopping)).await;
        std::fs::write(&released, "")
    });
    released.unwrap();
    for request in held {
        assert_eq!(request.await.unwrap().0, 200);
    }
    assert_eq!(revision.endings(), BTreeMap::from([(Ending::Stopped, 1)]));
    assert_eq!(counted(&revision.sample().into_iter().collect::<Vec<_>>()), Answers::from([(200, 3)]));
    fleet.shutdown().await;
}

async fn get_owned(url: String) -> (u16, String) {
    get_text(&url).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_never_listens_is_given_up() {
    let impatient = Probe { timeout: Duration::from_millis(400), ..Probe::default_startup() };
    let silent = |name: &str, variable: &str| RevisionSpec {
        env: env(&[(variable, "1")]),
        startup_probe: impatient.clone(),
        ..spec(name, 4, 1)
    };
    let fleet = fleet(Policy::cloud_run(), None).await;
    let error = fleet.create_revision(silent("shop-1", "NEVER_LISTEN")).await.unwrap_err().to_string();
    for part in ["startup probe failed on port", "from PORT", "nothing came within 0.4 s"] {
        assert!(error.contains(part), "{error}");
    }
    let hasty = Policy { startup_limit: Duration::from_millis(400), ..Policy::cloud_run() };
    let (other, error) = {
        let other = super::fleet(hasty, None).await;
        let patient = RevisionSpec { startup_probe: Probe::default_startup(), ..silent("shop-1", "NEVER_LISTEN") };
        let error = other.create_revision(patient).await.unwrap_err().to_string();
        (other, error)
    };
    assert!(error.contains("did not listen on port"), "{error}");
    other.shutdown().await;
    fleet.shutdown().await;
}
