//! Instances that are told to stop, and heed it or not.

use super::accounts::{Answers, counted, env, until_kept};
use super::*;
use crate::platform::{Ending, InstancePhase};

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
