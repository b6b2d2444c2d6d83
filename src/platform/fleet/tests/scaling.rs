//! How many instances there are, with real processes.

use super::routing::two_by_hand;
use super::{Operate, get_text, one_under, spec, to, until};
use crate::autoscaler::Policy;
use crate::platform::spec::{RevisionSpec, ServiceScaling};
use crate::scenario::Billing;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn manual_scaling_starts_and_stops_what_it_says() {
    let (fleet, url) = two_by_hand(Policy::cloud_run(), spec("shop-1", 1, 1)).await;
    for count in [4, 1, 0, 2] {
        let scaling = ServiceScaling { manual_instances: Some(count), ..ServiceScaling::default() };
        fleet.scale("shop", scaling).await;
        fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap();
        if count == 0 {
            let off = async {
                while get_text(&url).await.0 != 503 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(super::PATIENCE, off).await.expect("it is switched off");
        } else {
            until(&fleet, |sample| sample.instances_idle == u64::from(count)).await;
        }
    }
    assert_eq!(get_text(&url).await.0, 200);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_minimum_is_divided_by_traffic() {
    let (fleet, _) = one_under(Policy::cloud_run(), spec("shop-1", 1, 9)).await;
    fleet.create_revision(spec("shop-2", 1, 9)).await.unwrap();
    fleet.scale("shop", ServiceScaling { min_instances: 4, ..ServiceScaling::default() }).await;
    fleet.route("shop", &[to("shop-1", 75, None), to("shop-2", 25, None)]).await.unwrap();
    let counted = async {
        loop {
            let idle: Vec<_> = fleet.sample().await.iter().map(|sample| sample.instances_idle).collect();
            if idle == [3, 1] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, counted).await.expect("three and one");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn knatives_last_instance_goes_and_a_request_brings_it_back() {
    let mut policy = Policy::knative();
    policy.window = Duration::from_secs(2);
    policy.knative.scale_to_zero_grace = Duration::from_secs(1);
    let (fleet, url) = one_under(policy, spec("shop-1", 10, 9)).await;
    assert_eq!(get_text(&url).await.0, 200);
    // Nothing is left to be sampled when it is gone.
    let gone = async {
        while !fleet.sample().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, gone).await.expect("it goes");
    assert_eq!(get_text(&url).await.0, 200, "the first request starts one");
    let sample = fleet.sample().await.remove(0);
    assert_eq!((sample.startup_latencies_ms.count, sample.requests[&200]), (1, 1));
    assert_eq!(sample.pending_ms[&200].count, 1);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_instance_that_lived_shorter_is_billed_a_minute_under_instance_based_billing() {
    let short = RevisionSpec { billing: Billing::Instance, ..spec("shop-1", 1, 1) };
    let (fleet, url) = one_under(Policy::cloud_run(), short).await;
    assert_eq!(get_text(&url).await.0, 200);
    fleet.create_revision(spec("shop-2", 1, 1)).await.unwrap();
    fleet.route("shop", &[to("shop-2", 100, None)]).await.unwrap();
    let mut billed = 0.0;
    let ended = async {
        loop {
            let samples = fleet.sample().await;
            let of_it = samples.iter().find(|sample| sample.revision == "shop-1");
            billed += of_it.map_or(0.0, |sample| sample.billable_instance_time_s);
            if of_it.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(super::PATIENCE, ended).await.expect("it ends without traffic");
    // Should the host have been so slow that it lived longer, its own life is billed.
    assert!((billed - 60.0).abs() < 1e-6 || billed > 60.0, "{billed}");
    fleet.shutdown().await;
}
