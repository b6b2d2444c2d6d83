//! What an instance may do between requests: nothing where it is billed by request, unless the platform is told otherwise.

use super::accounts::env;
use super::*;
use crate::platform::{CpuIdle, Ending};
use crate::scenario::Billing;

#[tokio::test(flavor = "multi_thread")]
async fn between_requests_an_instance_that_is_billed_by_request_stands_still() {
    let directory = tempfile::tempdir().unwrap();
    let released = directory.path().join("released");
    let env = env(&[("BACKGROUND", "1"), ("RELEASED", &released.to_string_lossy())]);
    let (fleet, url) = one(RevisionSpec { env, ..spec("shop-1", 4, 1) }).await;
    let (_, text) = get_text(&format!("{url}/ticks")).await;
    let pid: u32 = text.split_once(' ').unwrap().0.parse().unwrap();
    let stands_still = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    let used = || crate::platform::family::cpu_clock(pid);
    for _ in 0..3 {
        wait_until(stands_still).await;
        // The first thread stands still; on a busy host the others have yet to hear of it.
        let no_cpu = async {
            loop {
                let before = used();
                tokio::time::sleep(Duration::from_millis(300)).await;
                if stands_still() && used() == before {
                    return;
                }
            }
        };
        tokio::time::timeout(super::PATIENCE, no_cpu).await.expect("its background work stands still too");
        // As long as it holds a request it goes on.
        let request = tokio::spawn({
            let url = format!("{url}/held");
            async move { get_text(&url).await.0 }
        });
        let before = used().unwrap();
        wait_until(|| used().unwrap() > before + Duration::from_millis(5)).await;
        assert!(!stands_still());
        std::fs::write(&released, "").unwrap();
        assert_eq!(request.await.unwrap(), 200);
        std::fs::remove_file(&released).unwrap();
    }
    wait_until(stands_still).await;
    // It is thawed to hear SIGTERM, and ends by itself.
    let revision = fleet.revision("shop", "shop-1").unwrap();
    fleet.delete_service("shop").await;
    assert_eq!(revision.endings(), BTreeMap::from([(Ending::Stopped, 1)]));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn billed_by_instance_or_told_so_it_never_stands_still() {
    let by_instance =
        RevisionSpec { billing: Billing::Instance, env: env(&[("BACKGROUND", "1")]), ..spec("shop-1", 4, 1) };
    let (first, url) = one(by_instance.clone()).await;
    let options = FleetOptions {
        policy: Policy::cloud_run(),
        time_factor: 10.0,
        host_cores_per_vcpu: 1.0,
        limiter: LimiterChoice::Only(LimiterKind::None),
        cpu_idle: CpuIdle::Full,
        launcher: None,
        logs_dir: None,
    };
    let second = Fleet::start(options).await.unwrap();
    second.create_revision(RevisionSpec { billing: Billing::Request, ..by_instance }).await.unwrap();
    let other = second.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
    for url in [url, other] {
        let ticks =
            async || get_text(&format!("{url}/ticks")).await.1.split_once(' ').unwrap().1.parse::<u32>().unwrap();
        let before = ticks().await;
        tokio::time::sleep(Duration::from_millis(800)).await;
        let after = ticks().await;
        assert!(after >= before + 100, "{before} {after}");
    }
    first.shutdown().await;
    second.shutdown().await;
}
