//! The v1 API in Knative's words, as gcloud calls it: the same service as v2 shows.

use super::{SHOP, Stand, template};
use serde_json::{Value, json};

const SERVICES: &str = "/apis/serving.knative.dev/v1/namespaces/demo/services";
const REVISIONS: &str = "/apis/serving.knative.dev/v1/namespaces/demo/revisions";

/// A service as a user writes it for `gcloud run services replace`.
fn written() -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": "shop",
            "labels": {"cloud.googleapis.com/location": "europe-west1", "team": "a"},
            "annotations": {"run.googleapis.com/ingress": "internal", "mine": "x"},
        },
        "spec": {
            "template": {
                "metadata": {
                    "labels": {"client.knative.dev/nonce": "abc"},
                    "annotations": {
                        "autoscaling.knative.dev/maxScale": "7",
                        "run.googleapis.com/startup-cpu-boost": "false",
                    },
                },
                "spec": {
                    "containerConcurrency": 4,
                    "timeoutSeconds": 20,
                    "containers": [{
                        "image": "tidegate/command",
                        "command": ["shop"],
                        "env": [{"name": "KNOB", "value": "7"}],
                        "resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
                    }],
                },
            },
            "traffic": [{"latestRevision": true, "percent": 100}],
        },
    })
}

/// Waits until the service is ready, as gcloud does.
async fn ready(stand: &Stand, name: &str) -> Value {
    for _ in 0..500 {
        let service = stand.get(&format!("{SERVICES}/{name}")).await;
        let status = &service["status"];
        if status["observedGeneration"] == service["metadata"]["generation"]
            && status["conditions"][0]["status"] == "True"
        {
            return service;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{name} never became ready");
}

#[tokio::test]
async fn a_service_is_created_in_one_version_and_read_in_both() {
    let stand = Stand::start(1.0).await;
    let (status, created) = stand.call("POST", SERVICES, &written()).await;
    assert_eq!((status, &created["status"]["conditions"][0]["status"]), (200, &json!("Unknown")), "{created}");
    let v1 = ready(&stand, "shop").await;
    let spec = stand.fake.specs.lock().unwrap()[0].clone();
    assert_eq!((spec.max_concurrency, spec.max_instances, spec.request_timeout.as_secs()), (4, 7, 20));
    assert_eq!((spec.vcpu.0, spec.memory.0, spec.billing), (2.0, 1.0, crate::scenario::Billing::Request));
    assert_eq!(spec.env["KNOB"], "7");
    let v2 = stand.get(&format!("/v2/{SHOP}")).await;
    assert_eq!(v2["ingress"], "INGRESS_TRAFFIC_INTERNAL_ONLY");
    assert_eq!((&v2["labels"], &v2["annotations"]), (&json!({"team": "a"}), &json!({"mine": "x"})));
    assert_eq!(v2["template"]["scaling"]["maxInstanceCount"], 7);
    assert_eq!(v1["spec"]["template"]["spec"]["containerConcurrency"], 4);
    assert_eq!(v1["metadata"]["annotations"]["run.googleapis.com/ingress"], "internal");
    assert_eq!(v1["metadata"]["labels"]["cloud.googleapis.com/location"], "europe-west1");
    assert_eq!(v1["status"]["url"], "http://127.0.0.1:9001");
    let traffic = &v1["status"]["traffic"][0];
    assert_eq!(traffic["revisionName"], v1["status"]["latestReadyRevisionName"]);
    assert_eq!((&traffic["percent"], &traffic["latestRevision"]), (&json!(100), &json!(true)));
}

#[tokio::test]
async fn what_was_read_may_be_changed_and_sent_back() {
    let stand = Stand::start(1.0).await;
    stand.call("POST", SERVICES, &written()).await;
    let read = ready(&stand, "shop").await;
    let path = format!("{SERVICES}/shop");
    let (status, same) = stand.call("PUT", &path, &read).await;
    assert_eq!((status, &same["metadata"]["generation"]), (200, &json!(2)), "{same}");
    let read = ready(&stand, "shop").await;
    assert_eq!(stand.fake.specs.lock().unwrap().len(), 1, "an unchanged template makes no revision");
    let mut changed = read.clone();
    changed["spec"]["template"]["spec"]["containerConcurrency"] = json!(9);
    let (status, _) = stand.call("PUT", &format!("{path}?dryRun=all"), &changed).await;
    assert_eq!((status, stand.fake.specs.lock().unwrap().len()), (200, 1), "a dry run changes nothing");
    stand.call("PUT", &path, &changed).await;
    ready(&stand, "shop").await;
    assert_eq!(stand.fake.specs.lock().unwrap()[1].max_concurrency, 9);
    let (status, refused) = stand.call("PUT", &path, &changed).await;
    assert_eq!((status, &refused["error"]["status"]), (409, &json!("ABORTED")), "the version is stale: {refused}");
}

#[tokio::test]
async fn what_only_v2_says_survives_v1() {
    let stand = Stand::with_shop(1.0).await;
    let patch = json!({"customAudiences": ["x"]});
    stand.change("PATCH", &format!("/v2/{SHOP}?updateMask=customAudiences"), &patch).await;
    let read = stand.get(&format!("{SERVICES}/shop")).await;
    stand.call("PUT", &format!("{SERVICES}/shop"), &read).await;
    ready(&stand, "shop").await;
    assert_eq!(stand.get(&format!("/v2/{SHOP}")).await["customAudiences"], json!(["x"]));
    assert_eq!(stand.fake.specs.lock().unwrap().len(), 1, "the template is the same in either version");
}

#[tokio::test]
async fn revisions_routes_and_configurations_are_listed_and_read() {
    let stand = Stand::with_shop(1.0).await;
    let listed = stand.get(&format!("{REVISIONS}?labelSelector=serving.knative.dev%2Fservice%20%3D%20shop")).await;
    assert_eq!((&listed["kind"], listed["items"].as_array().unwrap().len()), (&json!("RevisionList"), 1));
    let none = stand.get(&format!("{REVISIONS}?labelSelector=serving.knative.dev%2Fservice%20%3D%20stall")).await;
    assert_eq!(none["items"], json!([]));
    let revision = stand.get(&format!("{REVISIONS}/shop-a")).await;
    assert_eq!(revision, listed["items"][0]);
    assert_eq!(revision["metadata"]["labels"]["serving.knative.dev/service"], "shop");
    assert_eq!(revision["spec"]["containerConcurrency"], 16);
    assert_eq!(revision["status"]["conditions"][0]["status"], "True");
    for (kind, collection) in [("Route", "routes"), ("Configuration", "configurations")] {
        let path = format!("/apis/serving.knative.dev/v1/namespaces/demo/{collection}");
        let one = stand.get(&format!("{path}/shop")).await;
        assert_eq!((&one["kind"], &one["status"]["conditions"][0]["status"]), (&json!(kind), &json!("True")));
        assert_eq!(stand.get(&path).await["items"], json!([one]));
    }
    let mut next = template();
    next["revision"] = "shop-b".into();
    stand.change("PATCH", &format!("/v2/{SHOP}?updateMask=template"), &json!({"template": next})).await;
    assert_eq!(stand.call("DELETE", &format!("{REVISIONS}/shop-b"), &Value::Null).await.0, 400, "it has the traffic");
    assert_eq!(stand.call("DELETE", &format!("{REVISIONS}/shop-a"), &Value::Null).await.0, 200);
    assert_eq!(stand.call("GET", &format!("{REVISIONS}/shop-a"), &Value::Null).await.0, 404);
    let pages = stand.get("/v1/projects/demo/locations/-/services?limit=1").await;
    assert_eq!(pages["items"][0]["metadata"]["name"], "shop");
    assert_eq!(stand.get("/v1/projects/demo/locations").await["locations"][0]["locationId"], "europe-west1");
}

#[tokio::test]
async fn the_host_of_a_call_names_its_region() {
    let stand = Stand::with_shop(1.0).await;
    let status = async |host: &str| {
        let request = stand.http.get(format!("{}{SERVICES}/shop", stand.endpoint)).header("host", host);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("europe-west1-run.googleapis.com").await, 200);
    assert_eq!(status("us-central1-run.googleapis.com").await, 404, "it is not there");
}

#[tokio::test]
async fn a_deleted_service_is_gone() {
    let stand = Stand::with_shop(1.0).await;
    let path = format!("{SERVICES}/shop");
    assert_eq!(stand.call("DELETE", &path, &Value::Null).await.1["status"], "Success");
    for _ in 0..500 {
        if stand.call("GET", &path, &Value::Null).await.0 == 404 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it is still there");
}

#[tokio::test]
async fn wrong_services_are_refused_by_their_field() {
    let stand = Stand::with_shop(1.0).await;
    let path = format!("{SERVICES}/shop");
    let read = stand.get(&path).await;
    for (pointer, value, part) in [
        ("/apiVersion", json!("v9"), "apiVersion"),
        ("/metadata/name", json!("other"), "metadata.name"),
        ("/metadata/namespace", json!("other"), "metadata.namespace"),
        ("/metadata/labels", json!({"a": 1}), "metadata.labels.a"),
        ("/metadata/annotations", json!({"run.googleapis.com/ingress": "everywhere"}), "run.googleapis.com/ingress"),
        ("/metadata/annotations", json!({"run.googleapis.com/minScale": "x"}), "run.googleapis.com/minScale"),
        ("/spec/template/spec/containerConcurrency", json!("x"), "containerConcurrency"),
        ("/spec/template/spec/containers", json!([1]), "spec.template.spec.containers[0]"),
        ("/spec/traffic", json!([1]), "spec.traffic[0]"),
        ("/spec/traffic", json!([{"latestRevision": true, "revisionName": "x", "percent": 100}]), "exclude each other"),
        ("/spec", json!(7), "spec"),
    ] {
        let mut wrong = read.clone();
        *wrong.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} in {read}")) = value;
        let (status, refused) = stand.call("PUT", &path, &wrong).await;
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(part), "{pointer}: {status} {refused}");
    }
    assert_eq!(stand.call("GET", &format!("{SERVICES}/none"), &Value::Null).await.0, 404);
    assert_eq!(stand.call("GET", &format!("{SERVICES}?labelSelector=a%20in%20(b)"), &Value::Null).await.0, 400);
    assert_eq!(stand.call("PUT", &format!("{path}?dryRun=some"), &read).await.0, 400);
}
