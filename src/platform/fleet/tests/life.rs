//! The lives of instances with real processes, the bad ones above all. In each no request is unaccounted for: what the
//! clients were answered is what the platform counted, status by status.

use super::accounts::{Answers, counted, endings, env, wait_until_ended};
use super::*;
use crate::platform::Ending;
use crate::platform::probe::{Check, Probe};

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
