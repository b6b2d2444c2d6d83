//! Cloud Run Admin v2: what is asked when a service is made, taken over, given candidates, and put back.

use crate::google::{self, Google, SERVICE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tidegate::cloud::{Cloud, CloudError, Deployed, Endpoint, Original, Undone};
use tidegate::scenario::{Billing, Candidate, Service, ServiceSource};
use tidegate::units::{Gib, Vcpu};

/// A version of the service; every change of it must name the version it means.
const ETAG: &str = "\"CL\"";
const FOUR: Candidate = Candidate { max_concurrency: 4 };

/// A service as `GET` gives it, with everything to the latest revision and fields that no crate knows yet.
pub(crate) fn service() -> Value {
    json!({
        "name": SERVICE, "uid": "0b4f6d0e-1", "generation": "7", "observedGeneration": "7", "etag": ETAG,
        "template": {
            "revision": "shop-00007-abc",
            "scaling": {"minInstanceCount": 1, "maxInstanceCount": 20, "concurrencyUtilization": 0.7},
            "timeout": "300s", "serviceAccount": "shop@demo.iam.gserviceaccount.com",
            "containers": [{"image": "europe-docker.pkg.dev/demo/shop@sha256:1", "env": [{"name": "KEY", "value": "s3cret"}],
                "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "cpuIdle": true, "startupCpuBoost": true}}],
            "maxInstanceRequestConcurrency": 80
        },
        "traffic": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}],
        "trafficStatuses": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}],
        "latestReadyRevision": format!("{SERVICE}/revisions/shop-00007-abc"),
        "latestCreatedRevision": format!("{SERVICE}/revisions/shop-00007-abc"),
        "terminalCondition": {"type": "Ready", "state": "CONDITION_SUCCEEDED"},
        "uri": "https://shop-abc-ew.a.run.app"
    })
}

/// Traffic split between two revisions, with a tag that follows the latest.
fn split() -> Value {
    json!([
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 90},
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "shop-00005-old", "percent": 10, "tag": "stable"},
        {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "tag": "next"}
    ])
}

fn with_traffic(traffic: Value) -> Value {
    let mut service = service();
    service["traffic"] = traffic;
    service
}

/// A target as the crates write it: enums are integers, 2 is "by revision"; zero percent is left out.
fn target(revision: &str, percent: u32) -> Value {
    let mut target = json!({"type": 2, "revision": revision});
    if percent > 0 {
        target["percent"] = json!(percent);
    }
    target
}

fn tagged(revision: &str, percent: u32, tag: &str) -> Value {
    let mut target = target(revision, percent);
    target["tag"] = json!(tag);
    target
}

#[tokio::test]
async fn taking_over_pins_the_latest_revision_by_name_and_asks_without_credentials() {
    let google = Google::start(service()).await;
    google.client().await.take_over().await.unwrap();
    let asked = google.asked();
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("GET", format!("/v2/{SERVICE}").as_str()));
    assert_eq!(asked[1].method, "GET", "looked at again: whatever changed since is not overwritten");
    assert_eq!((asked[2].method.as_str(), asked[2].path.as_str()), ("PATCH", format!("/v2/{SERVICE}").as_str()));
    assert_eq!(asked[2].query("updateMask"), Some("traffic"));
    assert_eq!(asked[2].body, json!({"name": SERVICE, "etag": ETAG, "traffic": [target("shop-00007-abc", 100)]}));
    let looks = asked.iter().filter(|asked| asked.path.contains("/operations/op-1")).count();
    assert_eq!(looks, 2, "the operation is done at the second look");
    assert!(asked.iter().all(|asked| !asked.authorized));
}

#[tokio::test]
async fn a_split_keeps_its_shares_and_tags_and_a_tag_of_the_latest_stays_where_it_is() {
    let google = Google::start(with_traffic(split())).await;
    google.client().await.take_over().await.unwrap();
    let pinned = json!([
        target("shop-00007-abc", 90),
        tagged("shop-00005-old", 10, "stable"),
        tagged("shop-00007-abc", 0, "next")
    ]);
    assert_eq!(google.changes()[0].body["traffic"], pinned);
}

#[tokio::test]
async fn a_service_whose_traffic_goes_by_name_already_is_left_alone() {
    let by_name =
        json!([{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "shop-00005-old", "percent": 100}]);
    let google = Google::start(with_traffic(by_name)).await;
    google.client().await.take_over().await.unwrap();
    assert_eq!(google.changes(), []);
}

#[tokio::test]
async fn a_candidate_is_one_patch_of_template_and_a_tag_without_traffic() {
    let google = Google::start(service()).await;
    let cloud = google.client().await;
    let original = cloud.take_over().await.unwrap();
    google.asked();
    let deployed = cloud.deploy(&original, FOUR, "shop-s0a1b2c-t1-c4", "s0a1b2c-t1-c4").await.unwrap();
    let url = "https://s0a1b2c-t1-c4---shop-abc-ew.a.run.app".to_owned();
    assert_eq!(deployed, Deployed { revision: "shop-s0a1b2c-t1-c4".to_owned(), url });
    let changes = google.changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].query("updateMask"), Some("template,traffic"));
    let mut template = service()["template"].clone();
    template["revision"] = json!("shop-s0a1b2c-t1-c4");
    template["maxInstanceRequestConcurrency"] = json!(4);
    assert_eq!(changes[0].body["template"], template, "unknown fields come back too");
    assert_eq!(
        changes[0].body["traffic"],
        json!([target("shop-00007-abc", 100), tagged("shop-s0a1b2c-t1-c4", 0, "s0a1b2c-t1-c4")])
    );

    cloud.retire(&original).await.unwrap();
    let changes = google.changes();
    assert_eq!(changes[0].query("updateMask"), Some("traffic"));
    assert_eq!(changes[0].body, json!({"name": SERVICE, "etag": ETAG, "traffic": [target("shop-00007-abc", 100)]}));
}

#[tokio::test]
async fn a_deployment_whose_answer_is_lost_is_repeated_without_a_second_revision() {
    let google = Google::start(service()).await;
    let cloud = google.client().await;
    let original = cloud.take_over().await.unwrap();
    google.trouble("PATCH", 1, (503, "UNAVAILABLE", "lost"));
    google.world.lock().unwrap().troubles[0].carried_out = true;
    google.asked();
    cloud.deploy(&original, FOUR, "shop-s0a1b2c-t1", "s0a1b2c-t1").await.unwrap();
    let changes = google.changes();
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[0], changes[1]);
    assert_eq!(google.world.lock().unwrap().admin.revisions.len(), 2);
}

#[tokio::test]
async fn a_candidate_that_does_not_start_says_why() {
    let why = "Revision 'shop-s0a1b2c-t1' is not ready and cannot serve traffic. The user-provided container failed to start.";
    for only_in_revision in [false, true] {
        let google = Google::start(service()).await;
        let cloud = google.client().await;
        let original = cloud.take_over().await.unwrap();
        {
            let mut world = google.world.lock().unwrap();
            world.admin.start_failure = why.to_owned();
            world.admin.start_failure_only_in_revision = only_in_revision;
        }
        let error = cloud.deploy(&original, FOUR, "shop-s0a1b2c-t1", "s0a1b2c-t1").await.unwrap_err();
        assert!(matches!(&error, CloudError::NotReady { revision, .. } if revision == "shop-s0a1b2c-t1"), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_used_revision_name_is_refused_and_not_tried_again() {
    let google = Google::start(service()).await;
    let cloud = google.client().await;
    let original = cloud.take_over().await.unwrap();
    google.world.lock().unwrap().admin.revisions.insert("shop-s0a1b2c-t1".to_owned());
    google.asked();
    let error = cloud.deploy(&original, FOUR, "shop-s0a1b2c-t1", "s0a1b2c-t1").await.unwrap_err();
    assert!(matches!(error, CloudError::NameTaken { .. }), "{error}");
    assert_eq!(google.changes().len(), 1);
}

#[tokio::test]
async fn undo_restores_template_and_traffic_exactly_once_even_from_a_saved_original() {
    for traffic in [service()["traffic"].clone(), split()] {
        let google = Google::start(with_traffic(traffic.clone())).await;
        let cloud = google.client().await;
        let original = cloud.take_over().await.unwrap();
        cloud.deploy(&original, FOUR, "shop-s0a1b2c-t1", "s0a1b2c-t1").await.unwrap();
        cloud.deploy(&original, Candidate { max_concurrency: 16 }, "shop-s0a1b2c-t2", "s0a1b2c-t2").await.unwrap();
        google.asked();

        // The study crashed here; another process reads what was saved.
        let saved = serde_json::to_string(&original).unwrap();
        let original: Original = serde_json::from_str(&saved).unwrap();
        let cloud = google.client().await;
        cloud.undo(&original).await.unwrap();
        let changes = google.changes();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].query("updateMask"), Some("template,template.revision,traffic"));
        let mut template = service()["template"].clone();
        template.as_object_mut().unwrap().remove("revision");
        assert_eq!(changes[0].body["template"], template);
        let stored = google.world.lock().unwrap().admin.service.clone();
        assert_eq!(stored["template"], template);
        let shares = |traffic: &Value| -> Vec<(bool, Value, Value, Value)> {
            let latest =
                |target: &Value| target["type"] == 1 || target["type"] == "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST";
            let targets = traffic.as_array().unwrap().iter();
            targets
                .map(|one| (latest(one), one["revision"].clone(), one["percent"].clone(), one["tag"].clone()))
                .collect()
        };
        assert_eq!(shares(&stored["traffic"]), shares(&traffic));

        cloud.undo(&original).await.unwrap();
        assert_eq!(google.changes(), [], "the second time there is nothing left to do");
    }
}

#[tokio::test]
async fn what_was_saved_of_one_service_is_not_laid_over_another() {
    let google = Google::start(service()).await;
    let original = google.client().await.take_over().await.unwrap();
    google.asked();
    let other = Endpoint { service: "cart".to_owned(), ..google.endpoint() };
    let cloud = Cloud::connect_at(other, google::PACE, google.clock.clone()).await.unwrap();
    let error = cloud.undo(&original).await.unwrap_err();
    assert!(error.to_string().contains("what was saved belongs to service \"shop\""), "{error}");
    assert_eq!(google.asked(), []);
}

/// Somebody else deploys in the middle of a study.
async fn deployed_by_others(traffic: Option<Value>) -> (Google, Cloud, Original) {
    let google = Google::start(service()).await;
    let cloud = google.client().await;
    let original = cloud.take_over().await.unwrap();
    cloud.deploy(&original, FOUR, "shop-s0a1b2c-t1-c4", "s0a1b2c-t1").await.unwrap();
    {
        let theirs = &mut google.world.lock().unwrap().admin.service;
        theirs["template"]["revision"] = json!("shop-00008-fix");
        theirs["template"]["containers"][0]["image"] = json!("europe-docker.pkg.dev/demo/shop@sha256:2");
        if let Some(traffic) = traffic {
            theirs["traffic"] = traffic;
        }
    }
    google.asked();
    (google, cloud, original)
}

#[tokio::test]
async fn what_others_deployed_meanwhile_is_never_overwritten() {
    let (google, cloud, original) = deployed_by_others(None).await;
    let error = cloud.deploy(&original, FOUR, "shop-s0a1b2c-t2-c4", "s0a1b2c-t2").await.unwrap_err();
    assert!(matches!(error, CloudError::ChangedByOthers { .. }), "{error}");
    assert!(error.to_string().contains("shop-00008-fix"), "{error}");
    assert_eq!(google.changes(), []);

    let change = "its template now has revision \"shop-00008-fix\"".to_owned();
    let left = Undone::LeftToOthers { change };
    assert_eq!(cloud.undo(&original).await.unwrap(), left);
    let changes = google.changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].query("updateMask"), Some("traffic"), "the template is theirs");
    assert_eq!(changes[0].body["traffic"], json!([{"type": 1, "percent": 100}]), "pinned by tidegate, put back");
    assert_eq!(cloud.undo(&original).await.unwrap(), left);
    assert_eq!(google.changes(), []);
}

#[tokio::test]
async fn traffic_that_others_directed_elsewhere_loses_the_candidates_tag_only() {
    let tag = tagged("shop-s0a1b2c-t1-c4", 0, "s0a1b2c-t1");
    let (google, cloud, original) = deployed_by_others(Some(json!([target("shop-00008-fix", 100), tag]))).await;
    cloud.undo(&original).await.unwrap();
    assert_eq!(google.changes()[0].body["traffic"], json!([target("shop-00008-fix", 100)]));
}

#[tokio::test]
async fn a_rollback_in_the_middle_of_a_study_stands() {
    let google = Google::start(service()).await;
    let cloud = google.client().await;
    let original = cloud.take_over().await.unwrap();
    cloud.deploy(&original, FOUR, "shop-s0a1b2c-t1-c4", "s0a1b2c-t1").await.unwrap();
    let tag = tagged("shop-s0a1b2c-t1-c4", 0, "s0a1b2c-t1");
    google.world.lock().unwrap().admin.service["traffic"] = json!([target("shop-00005-old", 100), tag]);
    google.asked();
    for error in [
        cloud.retire(&original).await.unwrap_err(),
        cloud.deploy(&original, FOUR, "shop-s0a1b2c-t2-c4", "s0a1b2c-t2").await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("its traffic now goes 100 % to shop-00005-old"), "{error}");
    }
    assert_eq!(google.changes(), []);
    assert!(matches!(cloud.undo(&original).await.unwrap(), Undone::LeftToOthers { .. }));
    let stored = google.world.lock().unwrap().admin.service.clone();
    assert_eq!(stored["traffic"], json!([target("shop-00005-old", 100)]));
    assert_eq!(stored["template"]["maxInstanceRequestConcurrency"], json!(80), "the template was tidegate's: put back");
}

#[tokio::test]
async fn a_service_that_changes_between_reading_and_patching_is_read_anew() {
    let google = Google::start(service()).await;
    let cloud = google.client().await;
    let original = cloud.take_over().await.unwrap();
    google.trouble(
        "PATCH",
        2,
        (409, "ABORTED", "Conflict for resource 'shop': version '1' was specified but current is '2'."),
    );
    google.asked();
    cloud.deploy(&original, FOUR, "shop-s0a1b2c-t1-c4", "s0a1b2c-t1").await.unwrap();
    assert_eq!(google.changes().len(), 3);
    google.trouble(
        "PATCH",
        1,
        (409, "ABORTED", "Conflict for resource 'shop': version '2' was specified but current is '3'."),
    );
    assert_eq!(cloud.undo(&original).await.unwrap(), Undone::Restored);
}

#[tokio::test]
async fn undo_without_a_candidate_touches_the_traffic_only() {
    let google = Google::start(service()).await;
    let cloud = google.client().await;
    let original = cloud.take_over().await.unwrap();
    google.asked();
    cloud.undo(&original).await.unwrap();
    let changes = google.changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].query("updateMask"), Some("traffic"));
    assert_eq!(changes[0].body["traffic"], json!([{"type": 1, "percent": 100}]));
}

#[tokio::test]
async fn what_is_shown_of_an_original_holds_no_secret() {
    let google = Google::start(service()).await;
    let original = google.client().await.take_over().await.unwrap();
    assert!(!format!("{original:?}").contains("s3cret"));
    assert!(serde_json::to_string(&original).unwrap().contains("s3cret"), "what is saved restores everything");
}

#[tokio::test]
async fn a_local_service_is_created_from_its_command() {
    let google = Google::start(service()).await;
    let shop = Service {
        source: ServiceSource::Bundled("shop".to_owned()),
        env: BTreeMap::from([("CPU_MS".to_owned(), "1.5".to_owned()), ("LEVEL".to_owned(), "low".to_owned())]),
        vcpu: Vcpu(1.0),
        memory: Gib(0.5),
        min_instances: 0,
        max_instances: 30,
        billing: Billing::Request,
        host_cores_per_vcpu: 0.05,
        time_factor: 12.0,
        region: "europe-west1".to_owned(),
    };
    let command = ["/bin/tidegate", "target-service", "shop"].map(str::to_owned);
    let env = BTreeMap::from([("LEVEL".to_owned(), "high".to_owned())]);
    google.client().await.create(&shop, &command, &env).await.unwrap();
    let created = &google.changes()[0];
    assert_eq!(created.path, "/v2/projects/demo/locations/europe-west1/services");
    assert_eq!(created.query("serviceId"), Some("shop"));
    assert_eq!(
        created.body,
        json!({"template": {
            "scaling": {"maxInstanceCount": 30},
            "timeout": "300s",
            "containers": [{
                "image": "tidegate/command",
                "command": ["/bin/tidegate"],
                "args": ["target-service", "shop"],
                "env": [{"name": "CPU_MS", "value": "1.5"}, {"name": "LEVEL", "value": "high"}],
                "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "cpuIdle": true},
                "ports": [{"name": "http1", "containerPort": 8080}]
            }]
        }})
    );
}

#[tokio::test]
async fn the_service_s_own_address_is_told_and_not_a_tag_s() {
    let google = Google::start(service()).await;
    let url = google.client().await.service_url().await.unwrap();
    assert_eq!(url, "https://shop-abc-ew.a.run.app");
}
