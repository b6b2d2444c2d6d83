//! Google's other clients against the broker: Python's `google-cloud-pubsub`, over gRPC and over REST, and `gcloud`.

use crate::pubsub::Broker;
use crate::tidegate::{repository, told};
use std::io::Write as _;
use std::process::Command;

/// Names the Python whose packages are those of `tests/conformance/requirements.txt`.
const PYTHON: &str = "TIDEGATE_TEST_PYTHON";

/// Skips what is not here, unless everything must be.
fn skip(what: &str, required: bool) {
    assert!(!required || std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "{what} is required");
    // Not by a macro: what those print is hidden unless the test fails.
    let _ = writeln!(std::io::stderr(), "skipped: {what} is not installed");
}

#[test]
fn pythons_client_publishes_pulls_and_acknowledges() {
    let python = std::env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
    let here = Command::new(&python).args(["-c", "import google.cloud.pubsub_v1"]).output();
    if !here.is_ok_and(|output| output.status.success()) {
        return skip(&format!("a Python ({PYTHON}) with the packages of tests/conformance/requirements.txt"), true);
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let script = repository("tests/conformance/pubsub.py");
    let output = Command::new(&python).arg(script).arg(&broker.endpoint).output().unwrap();
    let (code, out, error) = told(&output);
    assert_eq!((code, out.contains("as Pub/Sub does")), (Some(0), true), "{out}\n{error}");
}

#[test]
fn gcloud_administers_publishes_and_pulls() {
    if Command::new("gcloud").arg("--version").output().is_err() {
        return skip("gcloud", false);
    }
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(dir.path(), &[]);
    let token = dir.path().join("token");
    std::fs::write(&token, "nobody").unwrap();
    let gcloud = |arguments: &[&str]| {
        let output = Command::new("gcloud")
            .arg("pubsub")
            .args(arguments)
            .args(["--project", "demo", "--quiet", "--format", "json", "--access-token-file"])
            .arg(&token)
            .current_dir(dir.path())
            .env("CLOUDSDK_CONFIG", dir.path().join("config"))
            .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
            .env("CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API", "false")
            .env("CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true")
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB", format!("{}/", broker.endpoint))
            // Whatever else it might call ends at the broker too, and is refused there.
            .env("https_proxy", &broker.endpoint)
            .output()
            .unwrap();
        let (code, out, error) = told(&output);
        assert_eq!(code, Some(0), "gcloud {arguments:?}\n{out}\n{error}");
        serde_json::from_str::<serde_json::Value>(&out).unwrap_or_default()
    };
    gcloud(&["topics", "create", "new-lab-report"]);
    gcloud(&["subscriptions", "create", "pulled", "--topic", "new-lab-report", "--ack-deadline", "20"]);
    let push =
        ["--push-endpoint=https://email.example/", "--push-auth-service-account=invoker@demo.iam.gserviceaccount.com"];
    gcloud(&[&["subscriptions", "create", "email-service-sub", "--topic", "new-lab-report"], &push[..]].concat());
    let described = gcloud(&["subscriptions", "describe", "email-service-sub"]);
    assert_eq!(described["pushConfig"]["oidcToken"]["serviceAccountEmail"], "invoker@demo.iam.gserviceaccount.com");
    assert_eq!(described["ackDeadlineSeconds"], 10);
    let published = gcloud(&["topics", "publish", "new-lab-report", "--message", "hello", "--attribute", "origin=lab"]);
    assert_eq!(published["messageIds"].as_array().map(Vec::len), Some(1), "{published}");
    let pulled = gcloud(&["subscriptions", "pull", "pulled", "--auto-ack"]);
    assert_eq!(pulled[0]["message"]["data"], "aGVsbG8=", "{pulled}");
    gcloud(&["subscriptions", "update", "pulled", "--ack-deadline", "30"]);
    assert_eq!(gcloud(&["subscriptions", "describe", "pulled"])["ackDeadlineSeconds"], 30);
    gcloud(&["subscriptions", "delete", "pulled"]);
    assert_eq!(gcloud(&["subscriptions", "list"]).as_array().map(Vec::len), Some(1));
    gcloud(&["topics", "delete", "new-lab-report"]);
    let orphan = gcloud(&["subscriptions", "describe", "email-service-sub"]);
    assert_eq!(orphan["topic"], "_deleted-topic_");
}
