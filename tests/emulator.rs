//! Google's Pub/Sub emulator beside the local broker, where gcloud has it: the same script of publishes, refusals, deadlines
//! and dead letters against both, and a laboratory run through it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

#[path = "emulator/process.rs"]
mod process;
#[expect(dead_code, reason = "not every test needs all of it")]
mod pubsub;
#[path = "emulator/refusals.rs"]
mod refusals;
#[path = "emulator/script.rs"]
mod script;
mod tidegate;

use process::Emulator;

/// One after the other: a machine that does both at a time is slow enough to be seen.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What is looked at, what the local broker does, what Google's emulator (0.8.20, seen 2026-11-30) does, and why they differ.
/// Everything else is the same. Google's pages were read 2026-11-22 and 2026-11-30.
const DIFFERENCES: [(&str, &str, &str, &str); 24] = [
    // The emulator is not the service; the broker does what the service's pages say.
    (
        "push answered 202",
        ACKED,
        AGAIN,
        "102, 200, 201, 202 and 204 acknowledge (docs.cloud.google.com/pubsub/docs/push)",
    ),
    ("push answered 203", AGAIN, ACKED, "as above: 203 is not among them"),
    (
        "pause before a push is repeated",
        "grows from a tenth of a second",
        "a second each",
        "push backoff is 100 ms to 60 s by the share of failures (the same page); the emulator's is fixed",
    ),
    (
        "first retry and the policy's least backoff",
        "not before it",
        "before it",
        "a retry policy delays each retry (docs.cloud.google.com/pubsub/docs/handling-failures); the emulator begins with a second",
    ),
    (
        "pushes under way at a time",
        "more than 2",
        "2",
        "slow start grows with acknowledgements; the emulator's window does not",
    ),
    ("push with a service account", "has a token", "has no token", "the emulator knows no accounts"),
    (
        "deliveryAttempt of its pushes",
        "[1,2,3,4,5]",
        "[null,null,null,null,null]",
        "told where there is a dead letter topic",
    ),
    ("orderingKey of a push", "\"k\"", "null", "the emulator pushes none"),
    (
        "its message",
        r#"{"attributes", "data", "messageId", "message_id", "orderingKey", "publishTime", "publish_time"}"#,
        r#"{"attributes", "data", "messageId", "message_id", "publishTime", "publish_time"}"#,
        "as above",
    ),
    (
        "its headers",
        r#"{"x-goog-pubsub-message-id", "x-goog-pubsub-ordering-key", "x-goog-pubsub-publish-time", "x-goog-pubsub-subscription-name"}"#,
        r#"{"x-goog-ordering-key", "x-goog-pubsub-message-id", "x-goog-pubsub-publish-time", "x-goog-pubsub-subscription-name"}"#,
        "the first name is that of docs.cloud.google.com/pubsub/docs/payload-unwrapping",
    ),
    ("its content type, unwrapped", "none", "application/x-www-form-urlencoded", "what Java's client says of itself"),
    ("it is one", "at once", "when somebody pulls", "the emulator looks when it is asked for messages"),
    (
        "ack deadline of 9 s:",
        INVALID,
        "200 taken",
        "10 to 600 s (pubsub.proto); the emulator checks the upper bound only",
    ),
    ("publish a key of 1,025 bytes:", INVALID, "200 taken", "1 KB at most (docs.cloud.google.com/pubsub/quotas)"),
    ("publish more than 10 MB:", INVALID, "200 taken", "10 MB at most (the same page)"),
    (
        "4 attempts before a dead letter:",
        INVALID,
        "400 OUT_OF_RANGE",
        "both refuse; which code the service gives is not known",
    ),
    ("subscription's state", "\"ACTIVE\"", "not there", "a field of the service's"),
    (
        "through filtered-equal comes",
        r#"{"good"}"#,
        EVERYTHING,
        "the emulator keeps filters and does nothing by them (docs.cloud.google.com/pubsub/docs/subscription-message-filter)",
    ),
    ("through filtered-unequal comes", r#"{"good", "none"}"#, EVERYTHING, "as above"),
    ("through filtered-prefixed comes", r#"{"good", "none"}"#, EVERYTHING, "as above"),
    ("a filter that is none:", INVALID, "200 taken", "nor does it read them"),
    ("AND and OR without parentheses:", INVALID, "200 taken", "as above"),
    (
        "dead letter's TopicPublishTime is written",
        "0000-00-00T00:00:00.000+00:00",
        "0000-00-00T00:00:00.000Z",
        "as dead letters of the service that others published have it; Google's pages show none",
    ),
    (
        "subscription's expirationPolicy",
        "{\"ttl\":\"2678400s\"}",
        "not there",
        "31 days unless told otherwise (pubsub.proto)",
    ),
];

const ACKED: &str = "acknowledged";
const AGAIN: &str = "sent again";
const INVALID: &str = "400 INVALID_ARGUMENT";
const EVERYTHING: &str = r#"{"bad", "good", "none"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_does_what_googles_emulator_does_but_for_what_is_written_down() {
    let _alone = ALONE.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let Some(emulator) = Emulator::start(dir.path()) else { return };
    let broker = pubsub::Broker::start(dir.path(), &[]);
    let google = emulator.endpoint();
    let (ours, theirs) = tokio::join!(script::play(&broker.endpoint), script::play(&google));
    let mut found = Vec::new();
    for what in ours.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>() {
        let seen = |of: &script::Seen| of.get(what).map_or_else(|| "not there".to_owned(), Clone::clone);
        if seen(&ours) != seen(&theirs) {
            found.push((what.clone(), seen(&ours), seen(&theirs)));
        }
    }
    let mut written: Vec<_> = DIFFERENCES
        .iter()
        .map(|(what, ours, theirs, _)| ((*what).to_owned(), (*ours).to_owned(), (*theirs).to_owned()))
        .collect();
    written.sort();
    assert!(ours.len() > 80, "{} things were looked at", ours.len());
    assert_eq!(found, written, "what was seen of the broker: {ours:#?}");
}

/// The committed laboratory, shorter and slower: the emulator has two pushes of a subscription under way at a time.
fn shortened() -> String {
    let text = std::fs::read_to_string(tidegate::repository("scenarios/lab-report.yaml")).unwrap();
    [
        ("ramp: {from: 40, to: 40}, duration: 95s", "ramp: {from: 8, to: 8}, duration: 12s"),
        ("email-service down from 20s for 30s", "email-service down from 8s for 4s"),
    ]
    .into_iter()
    .fold(text, |text, (from, to)| {
        assert!(text.contains(from), "the scenario has no {from}");
        text.replace(from, to)
    })
}

#[tokio::test]
async fn a_laboratory_through_googles_emulator_delivers_every_report() {
    let _alone = ALONE.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let Some(emulator) = Emulator::start(dir.path()) else { return };
    std::fs::write(dir.path().join("lab.yaml"), shortened()).unwrap();
    // Instances over time are not looked at.
    let arguments = ["run", "lab.yaml", "--out", "out", "--pubsub", &emulator.host, "--no-wait"];
    let (code, output, error) = tidegate::told(&tidegate::tidegate(dir.path()).args(arguments).output().unwrap());
    // A busy machine may be late or break a promise of response time, which is told; nothing is lost on it either.
    assert!(matches!(code, Some(0 | 3 | 5)), "{code:?} {output} {error}");
    assert!(error.contains("email-service, sms-service: everybody may call"), "{error}");
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("out/recording.json")).unwrap()).unwrap();
    let delivery = &record["delivery"];
    let acknowledged = delivery["posts"]["acknowledged"].as_u64().unwrap();
    assert!(acknowledged >= 90, "{output} {error}");
    assert_eq!(delivery["faults"].as_array().unwrap().len(), 1, "{output} {error}");
    for consumer in delivery["consumers"].as_array().unwrap() {
        let books = &consumer["books"];
        assert_eq!((books["delivered"].as_u64(), books["lost"].as_u64()), (Some(acknowledged), Some(0)), "{consumer}");
    }
    assert!(output.contains("promise lost == 0: kept"), "{output}");
}
