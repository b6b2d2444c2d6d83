//! What the Admin API tells when a revision never becomes ready.

use super::{SHOP, Stand};
use google_cloud_lro::Poller as _;
use google_cloud_run_v2::model::{RevisionTemplate, Service};
use google_cloud_wkt::FieldMask;
use serde_json::json;

#[tokio::test]
async fn a_revision_that_never_listens_fails_its_operation_and_serves_nobody() {
    let stand = Stand::with_shop(1.0).await;
    *stand.fake.failure.lock().unwrap() = Some("it exited with code 3".into());
    let services = stand.services().await;
    let template = RevisionTemplate::new().set_revision("shop-b").set_max_instance_request_concurrency(2);
    let failed = services
        .update_service()
        .set_service(Service::new().set_name(SHOP).set_template(template))
        .set_update_mask(
            FieldMask::default().set_paths(["template.revision", "template.maxInstanceRequestConcurrency"]),
        )
        .poller()
        .until_done()
        .await
        .unwrap_err();
    assert!(failed.to_string().contains("it exited with code 3"), "{failed}");
    let service = stand.get(&format!("/v2/{SHOP}")).await;
    let terminal = &service["terminalCondition"];
    assert_eq!((&terminal["type"], &terminal["state"]), (&json!("Ready"), &json!("CONDITION_FAILED")));
    assert!(terminal["message"].as_str().unwrap().contains("'shop-b' is not ready and cannot serve traffic: "));
    assert_eq!(service["latestReadyRevision"], format!("{SHOP}/revisions/shop-a"));
    assert_eq!(service["latestCreatedRevision"], format!("{SHOP}/revisions/shop-b"));
    assert_eq!((&service["generation"], &service["observedGeneration"]), (&json!("2"), &json!("2")));
    assert_eq!(service.get("reconciling"), None);
    assert_eq!(stand.fake.routes.lock().unwrap().len(), 1, "the routes stay as they were");
    let revision = stand.get(&format!("/v2/{SHOP}/revisions/shop-b")).await;
    assert_eq!(revision["conditions"][0]["state"], "CONDITION_FAILED");
    let traffic = json!([{"type": 2, "revision": "shop-b", "percent": 100}]);
    let path = format!("/v2/{SHOP}?updateMask=traffic");
    let (status, refused) = stand.call("PATCH", &path, &json!({"traffic": traffic})).await;
    assert_eq!((status, &refused["error"]["status"]), (400, &json!("FAILED_PRECONDITION")));
}

#[tokio::test]
async fn changes_are_carried_out_in_the_order_of_their_acceptance() {
    let stand = Stand::with_shop(1.0).await;
    stand.fake.starts.forget_permits(1000);
    let path = format!("/v2/{SHOP}?updateMask=template.revision,template.maxInstanceRequestConcurrency");
    let mut operations = Vec::new();
    for number in 1..=9 {
        let template = json!({"revision": format!("shop-{number}"), "maxInstanceRequestConcurrency": number});
        operations.push(stand.call("PATCH", &path, &json!({"template": template})).await.1);
    }
    stand.fake.starts.add_permits(9);
    let last = operations.pop().unwrap()["name"].as_str().unwrap().to_owned();
    stand.call("POST", &format!("/v2/{last}:wait"), &json!({})).await;
    let order: Vec<u32> = stand.fake.specs.lock().unwrap().iter().skip(1).map(|spec| spec.max_concurrency).collect();
    assert_eq!(order, (1..=9).collect::<Vec<_>>());
    assert_eq!(stand.get(&format!("/v2/{SHOP}")).await["latestReadyRevision"], format!("{SHOP}/revisions/shop-9"));
}
