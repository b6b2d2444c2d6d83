//! Deleting revisions with the official crate: only what can receive no request goes, and then the platform lets go of it.

use super::{PARENT, SHOP, Stand, nobody, template};
use google_cloud_lro::Poller as _;
use google_cloud_run_v2::client::Revisions;
use serde_json::{Value, json};

const REVISION: &str = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION";

async fn revisions(stand: &Stand) -> Revisions {
    let revisions = Revisions::builder().with_endpoint(&stand.endpoint).with_credentials(nobody());
    let backoff = google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder::new()
        .with_initial_delay(std::time::Duration::from_millis(5))
        .with_maximum_delay(std::time::Duration::from_millis(5));
    revisions.with_polling_backoff_policy(backoff.clamp()).build().await.unwrap()
}

/// `shop` with the revisions `shop-a` and `shop-b`, and this traffic.
async fn stand_with(traffic: Value) -> Stand {
    let stand = Stand::with_shop(1.0).await;
    let mut next = template();
    next["revision"] = "shop-b".into();
    let path = format!("/v2/{SHOP}?updateMask=template,traffic");
    stand.change("PATCH", &path, &json!({"template": next, "traffic": traffic})).await;
    stand
}

fn latest() -> Value {
    json!([{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}])
}

#[tokio::test]
async fn a_deleted_revision_is_gone_from_the_platform_and_its_name_is_free() {
    let stand = stand_with(latest()).await;
    let (client, name) = (revisions(&stand).await, format!("{SHOP}/revisions/shop-a"));
    let valid = client.delete_revision().set_name(&name).set_validate_only(true).poller().until_done().await.unwrap();
    assert_eq!(valid.name, name);
    assert_eq!(*stand.fake.deleted.lock().unwrap(), Vec::<String>::new(), "it was only asked whether it could be");
    let deleted = client.delete_revision().set_name(&name).poller().until_done().await.unwrap();
    assert_eq!(deleted.name, name);
    assert!(deleted.delete_time.is_some(), "{deleted:?}");
    assert_eq!(*stand.fake.deleted.lock().unwrap(), ["shop/shop-a"]);
    let missing = client.get_revision().set_name(&name).send().await.unwrap_err();
    assert_eq!(missing.http_status_code(), Some(404));
    assert_eq!(client.list_revisions().set_parent(SHOP).send().await.unwrap().revisions.len(), 1);
    let missing = client.delete_revision().set_name(&name).poller().until_done().await.unwrap_err();
    assert_eq!(missing.http_status_code(), Some(404));
    let mut again = template();
    again["revision"] = "shop-a".into();
    let operation =
        stand.change("PATCH", &format!("/v2/{SHOP}?updateMask=template"), &json!({"template": again})).await;
    assert_eq!(operation["error"], Value::Null, "{operation}");
}

#[tokio::test]
async fn what_can_receive_requests_or_is_the_latest_stays() {
    let pinned = json!([{"type": REVISION, "revision": "shop-a", "percent": 100}]);
    let tagged = json!([{"type": REVISION, "revision": "shop-b", "percent": 100},
                        {"type": REVISION, "revision": "shop-a", "tag": "old"}]);
    for (traffic, revision, part) in [
        (latest(), "shop-b", "can receive traffic"),
        (pinned.clone(), "shop-a", "can receive traffic"),
        (tagged, "shop-a", "can receive traffic: give its share and its tags"),
        (pinned, "shop-b", "is the latest one"),
    ] {
        let stand = stand_with(traffic).await;
        let client = revisions(&stand).await;
        let name = format!("{SHOP}/revisions/{revision}");
        let refused = client.delete_revision().set_name(&name).poller().until_done().await.unwrap_err();
        assert_eq!(refused.http_status_code(), Some(400), "{refused}");
        let status = refused.status().unwrap();
        assert_eq!(status.code, google_cloud_gax::error::rpc::Code::FailedPrecondition);
        assert!(status.message.contains(part), "{status:?}");
        assert!(client.get_revision().set_name(&name).send().await.is_ok());
        assert_eq!(*stand.fake.deleted.lock().unwrap(), Vec::<String>::new());
    }
    let stand = stand_with(latest()).await;
    let path = format!("/v2/{SHOP}/revisions/shop-a?etag=old");
    let (status, stale) = stand.call("DELETE", &path, &Value::Null).await;
    assert_eq!((status, &stale["error"]["status"]), (409, &json!("ABORTED")), "{stale}");
}

#[tokio::test]
async fn while_it_is_being_deleted_it_is_shown_so_and_gets_no_traffic() {
    let stand = stand_with(latest()).await;
    stand.fake.starts.forget_permits(1000);
    let path = format!("/v2/{SHOP}/revisions/shop-a");
    let (_, operation) = stand.call("DELETE", &path, &Value::Null).await;
    assert_eq!((&operation["done"], &operation["error"]), (&json!(false), &Value::Null), "{operation}");
    let shown = stand.get(&path).await;
    assert_eq!((&shown["reconciling"], &shown["deleteTime"]), (&json!(true), &json!("2026-11-22T12:00:00Z")));
    let v1 = stand.get("/apis/serving.knative.dev/v1/namespaces/demo/revisions/shop-a").await;
    assert_eq!(v1["metadata"]["deletionTimestamp"], shown["deleteTime"]);
    let (status, twice) = stand.call("DELETE", &path, &Value::Null).await;
    assert_eq!(status, 400);
    assert!(twice["error"]["message"].as_str().unwrap().contains("being deleted already"), "{twice}");
    let back = json!({"traffic": [{"type": REVISION, "revision": "shop-a", "percent": 100}]});
    let (status, refused) = stand.call("PATCH", &format!("/v2/{SHOP}?updateMask=traffic"), &back).await;
    assert_eq!(status, 400, "{refused}");
    stand.fake.starts.add_permits(1);
    let wait = format!("/v2/{}:wait", operation["name"].as_str().unwrap());
    let (_, operation) = stand.call("POST", &wait, &json!({})).await;
    assert_eq!(operation["response"]["@type"], "type.googleapis.com/google.cloud.run.v2.Revision");
    assert_eq!(stand.call("GET", &path, &Value::Null).await.0, 404);
}

/// The change that takes the revision's traffic away is accepted and has not been tried yet: the traffic is in force.
#[tokio::test]
async fn traffic_that_is_still_in_force_or_only_asked_for_keeps_it() {
    let stand = stand_with(json!([{"type": REVISION, "revision": "shop-a", "percent": 100}])).await;
    stand.fake.starts.forget_permits(1000);
    let mut next = template();
    next["revision"] = "shop-c".into();
    let path = format!("/v2/{SHOP}?updateMask=template,traffic");
    let (_, change) = stand.call("PATCH", &path, &json!({"template": next, "traffic": latest()})).await;
    let delete = async |revision: &str| {
        let (status, answer) = stand.call("DELETE", &format!("/v2/{SHOP}/revisions/{revision}"), &Value::Null).await;
        (status, answer["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    assert!(delete("shop-a").await.1.contains("can receive traffic"));
    stand.fake.starts.add_permits(1);
    let wait = format!("/v2/{}:wait", change["name"].as_str().unwrap());
    stand.call("POST", &wait, &json!({})).await;
    // Asked back for, and not in force: the change before it waits for its revision.
    let mut last = template();
    last["revision"] = "shop-d".into();
    let back = json!({"template": last, "traffic": [{"type": REVISION, "revision": "shop-b", "percent": 100}]});
    stand.call("PATCH", &path, &back).await;
    assert!(delete("shop-b").await.1.contains("can receive traffic"));
    assert_eq!(delete("shop-a").await, (200, String::new()));
    assert_eq!(stand.call("GET", &format!("/v2/{PARENT}/operations"), &Value::Null).await.0, 200);
}

/// Two changes that were accepted before it: the first gives it the traffic, the second, which would take it away, fails.
#[tokio::test]
async fn who_gets_traffic_before_its_turn_comes_stays_and_its_operation_says_so() {
    let stand = stand_with(latest()).await;
    stand.fake.starts.forget_permits(1000);
    let to_a = json!([{"type": REVISION, "revision": "shop-a", "percent": 100}]);
    let path = format!("/v2/{SHOP}?updateMask=template,traffic");
    for (name, traffic) in [("shop-c", to_a), ("shop-d", latest())] {
        let mut next = template();
        next["revision"] = name.into();
        stand.call("PATCH", &path, &json!({"template": next, "traffic": traffic})).await;
    }
    let (_, operation) = stand.call("DELETE", &format!("/v2/{SHOP}/revisions/shop-a"), &Value::Null).await;
    stand.fake.starts.add_permits(1);
    while stand.fake.routes.lock().unwrap().len() < 3 {
        tokio::task::yield_now().await;
    }
    *stand.fake.failure.lock().unwrap() = Some("it is broken".to_owned());
    stand.fake.starts.add_permits(2);
    let wait = format!("/v2/{}:wait", operation["name"].as_str().unwrap());
    let (_, operation) = stand.call("POST", &wait, &json!({})).await;
    assert_eq!(operation["error"]["code"], 9, "{operation}");
    assert!(operation["error"]["message"].as_str().unwrap().contains("can receive traffic"), "{operation}");
    assert_eq!(*stand.fake.deleted.lock().unwrap(), Vec::<String>::new());
    let kept = stand.get(&format!("/v2/{SHOP}/revisions/shop-a")).await;
    assert_eq!((&kept["deleteTime"], &kept["reconciling"]), (&Value::Null, &Value::Null));
}
