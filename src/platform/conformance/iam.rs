//! Who may call a service, in both versions of the API.

use super::{SHOP, Stand};
use crate::platform::spec::{Access, Invokers};
use google_cloud_iam_v1::model::{Binding, Policy};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const ACCOUNT: &str = "serviceAccount:invoker@demo.iam.gserviceaccount.com";
/// The services of a project in both versions' paths.
const VERSIONS: [&str; 2] =
    ["/v1/projects/demo/locations/europe-west1/services", "/v2/projects/demo/locations/europe-west1/services"];

fn policy(members: &[&str]) -> Value {
    json!({"policy": {"bindings": [{"role": "roles/run.invoker", "members": members}]}})
}

fn only(members: &[&str]) -> Access {
    Access::Only(Invokers { members: members.iter().map(|it| (*it).to_owned()).collect(), ..Invokers::default() })
}

impl Stand {
    fn access(&self) -> Access {
        self.fake.admitted.lock().unwrap().last().unwrap().clone()
    }
}

#[tokio::test]
async fn a_policy_is_read_and_set_in_both_versions_and_in_force_at_once() {
    let stand = Stand::with_shop(1.0).await;
    assert_eq!(stand.access(), Access::Everyone, "a platform that cannot tell who calls is open");
    for services in VERSIONS {
        let (get, set) = (format!("{services}/shop:getIamPolicy"), format!("{services}/shop:setIamPolicy"));
        for (members, access) in [
            (&["allUsers"][..], Access::Everyone),
            (&[ACCOUNT, "user:me@example.com"], only(&[ACCOUNT, "user:me@example.com"])),
            (&["group:all@example.com", "allUsers"], Access::Everyone),
            (&[], only(&[])),
        ] {
            let (status, answer) = stand.call("POST", &set, &policy(members)).await;
            assert_eq!((status, &answer["bindings"]), (200, &policy(members)["policy"]["bindings"]), "{answer}");
            assert_eq!(stand.access(), access);
            assert_eq!(stand.get(&get).await, answer);
        }
        let viewers = json!({"policy": {"bindings": [{"role": "roles/run.viewer", "members": ["allUsers"]}]}});
        assert_eq!(stand.call("POST", &set, &viewers).await.0, 200);
        assert_eq!(stand.access(), only(&[]), "that role lets nobody call");
    }
}

/// gcloud asks whether it may set the policy before it creates the service.
#[tokio::test]
async fn what_one_may_do_with_a_service_is_told_before_there_is_one() {
    let stand = Stand::start(1.0).await;
    let asked = json!({"permissions": ["run.services.setIamPolicy"]});
    for services in VERSIONS {
        let path = format!("{services}/shop:testIamPermissions");
        assert_eq!(stand.call("POST", &path, &asked).await, (200, asked.clone()));
        assert_eq!(stand.call("POST", &format!("{services}/shop:setIamPolicy"), &policy(&[])).await.0, 404);
    }
}

#[tokio::test]
async fn a_policy_that_is_none_is_refused_and_the_old_one_stays() {
    let stand = Stand::with_shop(1.0).await;
    let set = format!("/v2/{SHOP}:setIamPolicy");
    let old = stand.get(&format!("/v2/{SHOP}:getIamPolicy")).await;
    let binding = |more: Value| {
        let mut binding = json!({"role": "roles/run.invoker", "members": [ACCOUNT]});
        binding.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"policy": {"bindings": [binding]}})
    };
    for (body, status, words) in [
        (json!({}), 400, "policy: "),
        (json!({"policy": {"bindings": ["x"]}}), 400, "policy.bindings[0]"),
        (policy(&["invoker@demo.iam.gserviceaccount.com"]), 400, "is no member"),
        (policy(&["serviceAccount:"]), 400, "is no member"),
        (binding(json!({"role": "invoker"})), 400, "policy.bindings[0].role"),
        (binding(json!({"condition": {"expression": "false"}})), 501, "knows no conditions"),
        (json!({"policy": {"etag": "BwWWja0YfJA=", "bindings": []}}), 409, "concurrent policy changes"),
    ] {
        let (found, answer) = stand.call("POST", &set, &body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(found == status && message.contains(words), "{body}: {found} {message}");
    }
    assert_eq!(stand.get(&format!("/v2/{SHOP}:getIamPolicy")).await, old);
    assert_eq!(stand.access(), Access::Everyone);
    assert_eq!(
        stand.call("GET", "/v2/projects/demo/locations/x/services/shop:getIamPolicy", &Value::Null).await.0,
        404
    );
    assert_eq!(stand.call("GET", &format!("/v2/{SHOP}:setIamPolicy"), &Value::Null).await.0, 404);
    assert_eq!(stand.call("POST", &format!("/v2/{SHOP}:undelete"), &json!({})).await.0, 404);
}

#[tokio::test]
async fn on_a_platform_that_knows_callers_a_service_is_private_unless_it_says_otherwise() {
    let stand = Stand::start(1.0).await;
    stand.fake.knows_callers.store(true, Ordering::Relaxed);
    let service = json!({"template": super::template(), "customAudiences": ["https://shop.example"]});
    stand.change("POST", &format!("/v2/{}/services?serviceId=shop", super::PARENT), &service).await;
    let private = Invokers { custom_audiences: vec!["https://shop.example".to_owned()], ..Invokers::default() };
    assert_eq!(stand.access(), Access::Only(private.clone()));
    let path = format!("/v2/{SHOP}?updateMask=invokerIamDisabled");
    let open = stand.change("PATCH", &path, &json!({"invokerIamDisabled": true})).await;
    assert_eq!(open["response"]["invokerIamDisabled"], true);
    assert_eq!(stand.access(), Access::Everyone);
    stand.change("PATCH", &path, &json!({})).await;
    assert_eq!(stand.access(), Access::Only(private));
}

#[tokio::test]
async fn googles_client_reads_changes_and_writes_a_policy() {
    let stand = Stand::with_shop(1.0).await;
    let services = stand.services().await;
    let read = services.get_iam_policy().set_resource(SHOP).send().await.unwrap();
    assert_eq!(read.bindings[0].members, ["allUsers"]);
    let wanted = Policy::new()
        .set_etag(read.etag.clone())
        .set_bindings([Binding::new().set_role("roles/run.invoker").set_members([ACCOUNT])]);
    let set = services.set_iam_policy().set_resource(SHOP).set_policy(wanted.clone()).send().await.unwrap();
    assert_eq!(set.bindings, wanted.bindings);
    assert_ne!(set.etag, read.etag);
    assert_eq!(stand.access(), only(&[ACCOUNT]));
    let stale = services.set_iam_policy().set_resource(SHOP).set_policy(wanted).send().await.unwrap_err();
    assert_eq!(stale.http_status_code(), Some(409), "{stale:?}");
}
