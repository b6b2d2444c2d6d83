//! Instances that hold more memory than they may, with real processes.

use super::accounts::{Answers, counted, endings, limited, until_kept, wait_until_ended};
use super::*;
use crate::platform::Ending;
use crate::units::Gib;

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
    // A request that comes before its end has been seen still goes to it, and ends in 500 as well.
    wait_until_ended(&fleet, &mut samples, Ending::OutOfMemory).await;
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
