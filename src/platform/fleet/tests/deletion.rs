//! Revisions that are deleted, with real processes: nothing runs any more, no address leads there, and the books have all
//! that they did.

use super::accounts::{Answers, counted};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_revision_is_stopped_with_what_it_still_does_and_its_name_is_free() {
    let hasty = Policy { shutdown_grace: Duration::from_millis(300), ..Policy::cloud_run() };
    let fleet = fleet(hasty, None).await;
    fleet.create_revision(spec("shop-1", 4, 1)).await.unwrap();
    fleet.create_revision(spec("shop-2", 4, 1)).await.unwrap();
    let split = [to("shop-1", 100, None), to("shop-2", 0, Some("next"))];
    let tagged = fleet.route("shop", &split).await.unwrap().tags["next"].clone();
    let pid = get_text(&format!("{tagged}/sleep/0")).await.1;
    let held = tokio::spawn({
        let url = format!("{tagged}/sleep/60000");
        async move { get_text(&url).await.0 }
    });
    let revision = fleet.revision("shop", "shop-2").unwrap();
    wait_until(|| revision.glance().is_some_and(|it| it.instances[0].in_flight == 1)).await;
    // Without its tag it ends what it holds, which would take a minute.
    let url = fleet.route("shop", &split[..1]).await.unwrap().service;
    assert!(reqwest::get(&tagged).await.is_err(), "its address is closed");
    fleet.delete_revision("shop", "shop-2").await;
    assert_eq!(held.await.unwrap(), 500);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(fleet.revision("shop", "shop-2").is_none());
    assert!(matches!(fleet.route("shop", &split).await, Err(OperateError::NoRevision(_))));
    assert_eq!(get_text(&url).await, (200, "shop-1".to_owned()), "the other one has not noticed");
    let mut samples = fleet.sample().await;
    let of_it: Vec<_> = samples.extract_if(.., |sample| sample.revision == "shop-2").collect();
    assert_eq!(counted(&of_it), Answers::from([(200, 1), (500, 1)]), "no request is unaccounted for");
    assert!(fleet.sample().await.iter().all(|sample| sample.revision != "shop-2"), "it has been told to its end");
    fleet.create_revision(spec("shop-2", 4, 1)).await.unwrap();
    fleet.shutdown().await;
}
