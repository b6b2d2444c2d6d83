//! Deploying with the official crate: create, read, patch by mask, split traffic, delete.

use super::{PARENT, SHOP, Stand, template};
use crate::platform::spec::Route;
use crate::scenario::Billing;
use crate::units::{Gib, Vcpu};
use google_cloud_lro::Poller as _;
use google_cloud_run_v2::model::{
    Condition, Container, EnvVar, ResourceRequirements, RevisionScaling, RevisionTemplate, Service, TrafficTarget,
    TrafficTargetAllocationType, condition,
};
use google_cloud_wkt::FieldMask;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

fn shop() -> Service {
    let container = Container::new()
        .set_image("tidegate/command")
        .set_command(["shop"])
        .set_args(["--fast"])
        .set_env([EnvVar::new().set_name("KNOB").set_value("7")])
        .set_resources(ResourceRequirements::new().set_limits([("cpu", "2"), ("memory", "1Gi")]).set_cpu_idle(true));
    Service::new().set_template(
        RevisionTemplate::new()
            .set_revision("shop-a")
            .set_containers([container])
            .set_scaling(RevisionScaling::new().set_min_instance_count(1).set_max_instance_count(30))
            .set_timeout(google_cloud_wkt::Duration::clamp(20, 0)),
    )
}

fn is_ready(service: &Service) -> bool {
    let succeeded = |it: &Condition| it.r#type == "Ready" && it.state == condition::State::ConditionSucceeded;
    service.terminal_condition.as_ref().is_some_and(succeeded)
        && !service.reconciling
        && service.generation == service.observed_generation
        && service.latest_ready_revision == service.latest_created_revision
}

fn route(revision: &str, percent: u32, tag: Option<&str>) -> Route {
    Route { revision: revision.into(), percent, tag: tag.map(str::to_owned) }
}

#[tokio::test]
async fn a_service_is_created_polled_and_read() {
    let stand = Stand::start(1.0).await;
    let services = stand.services().await;
    let created = services.create_service().set_parent(PARENT).set_service_id("shop").set_service(shop());
    let created = created.poller().until_done().await.unwrap();
    let read = services.get_service().set_name(SHOP).send().await.unwrap();
    assert_eq!(created, read);
    assert!(is_ready(&read), "{read:?}");
    assert_eq!((read.uri.as_str(), read.generation), ("http://127.0.0.1:9001", 1));
    assert_eq!(read.latest_ready_revision, format!("{SHOP}/revisions/shop-a"));
    assert_eq!(read.template.unwrap().max_instance_request_concurrency, 80, "Google's default is written down");
    let specs = stand.fake.specs.lock().unwrap();
    let [spec] = specs.as_slice() else { panic!("one revision: {specs:?}") };
    assert_eq!((spec.service.as_str(), spec.revision.as_str(), spec.max_concurrency), ("shop", "shop-a", 80));
    assert_eq!((spec.vcpu, spec.memory, spec.billing), (Vcpu(2.0), Gib(1.0), Billing::Request));
    assert_eq!((spec.min_instances, spec.max_instances), (1, 30));
    assert_eq!(spec.command, ["shop", "--fast"]);
    assert_eq!(spec.env, BTreeMap::from([("KNOB".to_owned(), "7".to_owned())]));
    assert_eq!(spec.request_timeout, Duration::from_secs(20));
    assert_eq!(*stand.fake.routes.lock().unwrap(), [[route("shop-a", 100, None)]]);
}

#[tokio::test]
async fn an_operation_is_not_done_before_the_revision_is_ready() {
    let stand = Stand::start(1.0).await;
    stand.fake.starts.forget_permits(1000);
    let body = json!({"template": template()});
    let path = format!("/v2/{PARENT}/services?serviceId=shop");
    let (_, operation) = stand.call("POST", &path, &body).await;
    let name = operation["name"].as_str().unwrap().to_owned();
    assert_eq!((&operation["done"], &operation["response"]), (&json!(false), &Value::Null));
    assert_eq!(operation["metadata"]["@type"], "type.googleapis.com/google.cloud.run.v2.Service");
    let (_, waited) = stand.call("POST", &format!("/v2/{name}:wait"), &json!({"timeout": "0.01s"})).await;
    assert_eq!(waited["done"], false);
    let service = stand.get(&format!("/v2/{SHOP}")).await;
    assert_eq!((&service["reconciling"], &service["observedGeneration"]), (&json!(true), &json!("0")));
    assert_eq!(service["terminalCondition"]["state"], "CONDITION_RECONCILING");
    stand.fake.starts.add_permits(1);
    let (_, waited) = stand.call("POST", &format!("/v2/{name}:wait"), &json!({})).await;
    assert_eq!((&waited["done"], &waited["response"]["uri"]), (&json!(true), &json!("http://127.0.0.1:9001")));
    assert_eq!(stand.get(&format!("/v2/{name}")).await, waited);
}

#[tokio::test]
async fn a_stale_revision_name_is_a_conflict_unless_the_mask_clears_it() {
    let stand = Stand::with_shop(1.0).await;
    let services = stand.services().await;
    let wish = || {
        let template = RevisionTemplate::new().set_max_instance_request_concurrency(33);
        services.update_service().set_service(Service::new().set_name(SHOP).set_template(template))
    };
    let alone = FieldMask::default().set_paths(["template.maxInstanceRequestConcurrency"]);
    let refused = wish().set_update_mask(alone).poller().until_done().await.unwrap_err();
    assert_eq!(refused.http_status_code(), Some(409), "{refused}");
    let both = FieldMask::default().set_paths(["template.max_instance_request_concurrency", "template.revision"]);
    let patched = wish().set_update_mask(both).poller().until_done().await.unwrap();
    assert!(is_ready(&patched) && patched.generation == 2);
    let made = patched.latest_ready_revision.rsplit('/').next().unwrap().to_owned();
    assert!(made.starts_with("shop-00002-") && made.len() == "shop-00002-xyz".len(), "{made}");
    let specs = stand.fake.specs.lock().unwrap().clone();
    assert_eq!((specs[1].max_concurrency, &specs[1].revision), (33, &made));
    assert_eq!((&specs[1].command, &specs[1].env), (&specs[0].command, &specs[0].env), "the rest stays");
    assert_eq!(stand.fake.routes.lock().unwrap().last().unwrap(), &[route(&made, 100, None)]);
}

#[tokio::test]
async fn a_candidate_gets_an_address_by_tag_and_no_share() {
    let stand = Stand::with_shop(1.0).await;
    let services = stand.services().await;
    let target =
        |revision: &str| TrafficTarget::new().set_type(TrafficTargetAllocationType::Revision).set_revision(revision);
    let service = Service::new()
        .set_name(SHOP)
        .set_template(RevisionTemplate::new().set_revision("shop-c4").set_max_instance_request_concurrency(4))
        .set_traffic([target("shop-a").set_percent(100), target("shop-c4").set_tag("c4")]);
    let paths = ["template.revision", "template.maxInstanceRequestConcurrency", "traffic"];
    let mask = FieldMask::default().set_paths(paths);
    let patched =
        services.update_service().set_service(service).set_update_mask(mask).poller().until_done().await.unwrap();
    let routes = [route("shop-a", 100, None), route("shop-c4", 0, Some("c4"))];
    assert_eq!(stand.fake.routes.lock().unwrap().last().unwrap(), &routes);
    let status = &patched.traffic_statuses[1];
    assert_eq!((status.tag.as_str(), status.uri.as_str(), status.percent), ("c4", "http://127.0.0.1/c4", 0));
    let name = format!("{SHOP}/revisions/shop-c4");
    let revisions = google_cloud_run_v2::client::Revisions::builder().with_endpoint(&stand.endpoint);
    let revisions = revisions.with_credentials(super::nobody()).build().await.unwrap();
    let revision = revisions.get_revision().set_name(&name).send().await.unwrap();
    assert_eq!((revision.max_instance_request_concurrency, revision.observed_generation), (4, 1));
    let listed = revisions.list_revisions().set_parent(SHOP).send().await.unwrap();
    assert_eq!(listed.revisions.len(), 2);
}

#[tokio::test]
async fn the_whole_service_may_be_read_modified_and_sent_back() {
    let stand = Stand::with_shop(1.0).await;
    let mut service = stand.get(&format!("/v2/{SHOP}")).await;
    service["template"]["futureField"] = json!({"a": [1]});
    service["template"].as_object_mut().unwrap().remove("revision");
    stand.change("PATCH", &format!("/v2/{SHOP}"), &service).await;
    let read = stand.get(&format!("/v2/{SHOP}")).await;
    assert_eq!(read["template"]["futureField"], json!({"a": [1]}), "unknown fields are kept");
    let (status, refused) = stand.call("PATCH", &format!("/v2/{SHOP}"), &service).await;
    assert_eq!((status, &refused["error"]["status"]), (409, &json!("ABORTED")), "the etag is stale now");
    stand.change("PATCH", &format!("/v2/{SHOP}"), &read).await;
    assert_eq!(stand.fake.specs.lock().unwrap().len(), 2, "an unchanged template makes no revision");
    stand.change("PATCH", &format!("/v2/{SHOP}?forceNewRevision=true&updateMask=labels"), &json!({})).await;
    assert_eq!(stand.fake.specs.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_service_that_the_crate_sends_back_whole_keeps_its_revision() {
    let stand = Stand::with_shop(1.0).await;
    let mut plain = template();
    plain["revision"] = "shop-b".into();
    plain["sessionAffinity"] = false.into();
    plain["containers"][0]["env"] = json!([{"name": "EMPTY", "value": ""}]);
    stand.change("PATCH", &format!("/v2/{SHOP}?updateMask=template"), &json!({"template": plain})).await;
    let services = stand.services().await;
    let read = services.get_service().set_name(SHOP).send().await.unwrap();
    let latest = TrafficTarget::new().set_type(TrafficTargetAllocationType::Latest);
    let service = read.set_traffic([latest.clone().set_percent(60), latest.set_percent(40).set_tag("now")]);
    services.update_service().set_service(service).poller().until_done().await.unwrap();
    assert_eq!(stand.fake.specs.lock().unwrap().len(), 2, "the template is the same: no revision, no conflict");
    let routes = [route("shop-b", 60, None), route("shop-b", 40, Some("now"))];
    assert_eq!(stand.fake.routes.lock().unwrap().last().unwrap(), &routes);
}

#[tokio::test]
async fn validate_only_changes_nothing_and_allow_missing_creates() {
    let stand = Stand::start(1.0).await;
    let body = json!({"template": template()});
    let (status, _) = stand.call("PATCH", &format!("/v2/{SHOP}"), &body).await;
    assert_eq!(status, 404);
    let path = format!("/v2/{SHOP}?allowMissing=true");
    let (status, valid) = stand.call("PATCH", &format!("{path}&validateOnly=true"), &body).await;
    assert_eq!((status, &valid["done"], &valid["response"]["generation"]), (200, &json!(true), &json!("1")));
    assert_eq!(stand.get(&format!("/v2/{PARENT}/services")).await["services"], json!([]));
    stand.change("PATCH", &path, &body).await;
    let listed = stand.get("/v2/projects/demo/locations/-/services").await;
    assert_eq!(listed["services"][0]["name"], SHOP);
    let path = "/v2/projects/other/locations/europe-west1/services?serviceId=shop";
    let (status, refused) = stand.call("POST", path, &body).await;
    assert_eq!(status, 409, "{refused}");
}

#[tokio::test]
async fn a_deleted_service_is_gone_and_its_name_is_free() {
    let stand = Stand::with_shop(1.0).await;
    let services = stand.services().await;
    let deleted = services.delete_service().set_name(SHOP).poller().until_done().await.unwrap();
    assert!(deleted.delete_time.is_some() && deleted.expire_time.is_none(), "{deleted:?}");
    assert_eq!(*stand.fake.deleted.lock().unwrap(), ["shop"]);
    let missing = services.get_service().set_name(SHOP).send().await.unwrap_err();
    assert_eq!(missing.http_status_code(), Some(404));
    let path = "/v2/projects/other/locations/l/services?serviceId=shop";
    stand.change("POST", path, &json!({"template": template()})).await;
}

#[tokio::test]
async fn while_a_service_is_being_deleted_both_versions_tell_since_when() {
    let stand = Stand::with_shop(1.0).await;
    let path = format!("/v2/{SHOP}");
    let (_, valid) = stand.call("DELETE", &format!("{path}?validateOnly=true"), &Value::Null).await;
    assert_eq!((&valid["done"], &valid["response"]["deleteTime"]), (&json!(true), &Value::Null), "{valid}");
    stand.fake.starts.forget_permits(1000);
    stand.pass(5);
    let (_, operation) = stand.call("DELETE", &path, &Value::Null).await;
    let since = json!("2026-11-22T12:00:05Z");
    assert_eq!((&operation["done"], &operation["metadata"]["deleteTime"]), (&json!(false), &since), "{operation}");
    stand.pass(5);
    let shown = stand.get(&path).await;
    assert_eq!((&shown["reconciling"], &shown["deleteTime"]), (&json!(true), &since), "{shown}");
    for kind in ["services", "routes", "configurations"] {
        let shown = stand.get(&format!("/apis/serving.knative.dev/v1/namespaces/demo/{kind}/shop")).await;
        assert_eq!(shown["metadata"]["deletionTimestamp"], since, "{shown}");
    }
    let (status, twice) = stand.call("DELETE", &path, &Value::Null).await;
    assert_eq!(status, 400);
    assert!(twice["error"]["message"].as_str().unwrap().contains("is being deleted"), "{twice}");
    stand.fake.starts.add_permits(1);
    let wait = format!("/v2/{}:wait", operation["name"].as_str().unwrap());
    let (_, operation) = stand.call("POST", &wait, &json!({})).await;
    assert_eq!(operation["response"]["deleteTime"], since, "{operation}");
    assert_eq!(stand.call("GET", &path, &Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_service_reads_as_google_writes_it() {
    let stand = Stand::with_shop(1.0).await;
    let service = stand.get(&format!("/v2/{SHOP}")).await;
    let golden: Value = serde_json::from_str(include_str!("service.json")).unwrap();
    assert_eq!(service, golden, "{service:#}");
}
