//! Cloud Run Admin v2 that refuses, is down, or is none: what is asked again, and what is said in the end.

use crate::admin::service;
use crate::google::{self, Google, SERVICE};
use serde_json::json;
use std::time::Duration;
use tidegate::cloud::{Cloud, CloudError, Endpoint, Pace};

#[tokio::test]
async fn services_that_cannot_be_taken_over_are_refused_unchanged() {
    let mut busy = service();
    busy["reconciling"] = json!(true);
    let mut empty = service();
    empty["latestReadyRevision"] = json!("");
    let mut broken = service();
    broken["latestCreatedRevision"] = json!(format!("{SERVICE}/revisions/shop-00008-bad"));
    for service in [&mut empty, &mut broken] {
        service["terminalCondition"] =
            json!({"type": "Ready", "state": "CONDITION_FAILED", "message": "failed to listen on PORT=8080"});
    }
    for (service, text) in [
        (busy, "service \"shop\" is being changed right now; wait until it is ready, then try again"),
        (
            empty,
            "service \"shop\" has no ready revision (failed to listen on PORT=8080); deploy one that starts, then try again",
        ),
        (
            broken,
            "the newest revision \"shop-00008-bad\" of service \"shop\" is not ready (failed to listen on PORT=8080)",
        ),
    ] {
        let google = Google::start(service).await;
        let error = google.client().await.take_over().await.unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!(google.changes(), []);
    }
}

#[tokio::test]
async fn refusals_say_what_where_and_how_to_mend() {
    let place = "service \"shop\" (project \"demo\", region \"europe-west1\")";
    for (trouble, text) in [
        (
            (403, "PERMISSION_DENIED", "Permission 'run.services.get' denied"),
            format!("failed to read {place}: permission denied (PERMISSION_DENIED: Permission 'run.services.get' denied); grant the role roles/run.developer to the account you signed in with"),
        ),
        (
            (404, "NOT_FOUND", "Resource 'shop' was not found"),
            format!("failed to read {place}: not found (NOT_FOUND: Resource 'shop' was not found); check project, region and service"),
        ),
        (
            (401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
            "failed to sign in to Google Cloud: UNAUTHENTICATED: Request had invalid authentication credentials.; run `gcloud auth application-default login`, or let GOOGLE_APPLICATION_CREDENTIALS name a credentials file".to_owned(),
        ),
    ] {
        let google = Google::start(service()).await;
        google.trouble("/services/shop", 1, trouble);
        let error = google.client().await.take_over().await.unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(google.asked().len(), 1, "what cannot pass is not asked again");
    }
}

#[tokio::test]
async fn a_403_names_the_role_or_the_api_that_is_missing() {
    let google = Google::start(service()).await;
    let act_as = "Permission 'iam.serviceaccounts.actAs' denied on service account shop@demo.iam.gserviceaccount.com";
    google.trouble("PATCH", 1, (403, "PERMISSION_DENIED", act_as));
    let error = google.client().await.take_over().await.unwrap_err();
    assert!(
        error.to_string().ends_with("grant the role roles/iam.serviceAccountUser to the account you signed in with")
    );

    let disabled = json!({"error": {
        "code": 403, "status": "PERMISSION_DENIED",
        "message": "Cloud Run Admin API has not been used in project 1234 before or it is disabled.",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED",
            "domain": "googleapis.com", "metadata": {"service": "run.googleapis.com"}}]
    }});
    google.trouble_with("/services/shop", 1, 403, disabled.to_string());
    let error = google.client().await.take_over().await.unwrap_err();
    assert!(matches!(error, CloudError::ApiDisabled { .. }), "{error}");
}

#[tokio::test]
async fn an_operation_that_does_not_end_is_given_up() {
    let google = Google::start(service()).await;
    let pace = Pace { operation_limit: Duration::ZERO, ..google::PACE };
    let cloud = Cloud::connect_at(google.endpoint(), pace, google.clock.clone()).await.unwrap();
    let error = cloud.take_over().await.unwrap_err();
    assert!(matches!(error, CloudError::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_api_and_an_address_where_nobody_listens_are_told_apart() {
    let google = Google::start(service()).await;
    google.trouble_with("/services/shop", 1, 200, "<html>Welcome to our hotel</html>".to_owned());
    let error = google.client().await.take_over().await.unwrap_err();
    assert!(matches!(error, CloudError::Unintelligible { .. }), "{error}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let endpoint = Endpoint { local: Some(address.clone()), ..google.endpoint() };
    let cloud = Cloud::connect_at(endpoint, google::PACE, google.clock.clone()).await.unwrap();
    let error = cloud.take_over().await.unwrap_err();
    assert!(matches!(&error, CloudError::Unreachable { endpoint, .. } if *endpoint == address), "{error}");
}

#[tokio::test]
async fn quota_and_outages_are_ridden_out_and_given_up_after_a_bounded_number_of_attempts() {
    for trouble in
        [(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), (503, "UNAVAILABLE", "down"), (500, "INTERNAL", "oops")]
    {
        let google = Google::start(service()).await;
        google.trouble("PATCH", 2, trouble);
        google.client().await.take_over().await.unwrap();
        assert_eq!(google.changes().len(), 3);
        google.trouble("/services/shop", usize::MAX, trouble);
        let error = google.client().await.take_over().await.unwrap_err();
        assert_eq!(google.asked().len(), 4, "as many attempts as the pace allows");
        assert_eq!(matches!(error, CloudError::Quota { .. }), trouble.0 == 429, "{error}");
        assert_eq!(matches!(error, CloudError::Unavailable { .. }), trouble.0 != 429, "{error}");
    }
}
