//! Google ID tokens: a metadata server gives them, and a private service takes one.

#[path = "../tidegate/announced.rs"]
mod announced;

use crate::program::{repository, tidegate, told};
use crate::{assert_sent, private_service, run, scenario, server};
use ::tidegate::cloud::{Cloud, Endpoint, SteadyClock};
use ::tidegate::scenario::Scenario;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};

/// A token that lives for an hour, signed by nobody.
fn token() -> String {
    let exp = jiff::Timestamp::now().as_second() + 3600;
    let part = |claims: String| URL_SAFE_NO_PAD.encode(claims);
    format!("{}.{}.signature", part("{\"alg\":\"RS256\"}".to_owned()), part(format!("{{\"exp\":{exp}}}")))
}

#[test]
fn a_private_service_is_reached_with_a_google_id_token_for_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let (token, asked) = (token(), Arc::new(Mutex::new(Vec::new())));
    let url = private_service(&token);
    let (given, heads) = (token.clone(), Arc::clone(&asked));
    let metadata = server(move |head| {
        heads.lock().unwrap().push(head.to_owned());
        (200, given.clone())
    });
    for (option, audience) in
        [("--google-id-token", url.as_str()), ("--google-id-token=https://a.run.app", "https://a.run.app")]
    {
        asked.lock().unwrap().clear();
        let output = run(dir.path(), &scenario(dir.path()), &url, &metadata).arg(option).output().unwrap();
        let (code, text, error) = told(&output);
        assert_sent(dir.path(), code, &error);
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "one token for the whole run: {asked:?}");
        let audience = audience.replace(':', "%3a").replace('/', "%2f");
        let asked = asked[0].replace("%3A", "%3a").replace("%2F", "%2f");
        assert!(asked.contains("/identity?") && asked.contains(&format!("audience={audience}")), "{asked}");
        let recording = fs::read_to_string(dir.path().join("recording.json")).unwrap();
        assert!(recording.contains("\"Google ID token\""), "the recording says how requests were authorised");
        for told in [&text, &error, &recording] {
            assert!(!told.contains(&token), "the token is nowhere: {told}");
        }
    }
}

#[test]
fn a_token_that_cannot_be_obtained_ends_the_run_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let url = private_service("none");
    let scenario = repository("scenarios/minimal.yaml").display().to_string();
    let metadata = server(|_| (404, "no such account".to_owned()));
    let (code, _, error) =
        told(&run(dir.path(), &scenario, &url, &metadata).arg("--google-id-token").output().unwrap());
    assert_eq!(code, Some(1), "{error}");
    for word in ["the load cannot be authorised", &format!("no Google ID token for {url}"), "nothing was sent"] {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

/// A platform that ends with the test.
struct Platform(Child);

impl Drop for Platform {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Starts a platform that serves a quick shop, and gives its endpoint and the address of the service.
fn platform_with_shop(dir: &Path, scenario: &str) -> (Platform, String, String) {
    let database_url = format!("sqlite://{}", dir.join("shop.db").display());
    let migrated =
        tidegate(dir).args(["target-service", "migrate"]).env("DATABASE_URL", &database_url).status().unwrap();
    assert!(migrated.success());
    let arguments = ["platform", "--announce", "--port", "0", "--limiter", "none", "--time-factor", "60"];
    let (platform, endpoint) = announced::start(tidegate(dir).args(arguments));
    let platform = Platform(platform);
    let name = |text: &str| text.to_owned();
    let place = Endpoint {
        local: Some(endpoint.clone()),
        project: name("p"),
        region: name("us-central1"),
        service: name("shop"),
    };
    let service = Scenario::load(Path::new(scenario)).unwrap().service.unwrap();
    let program = env!("CARGO_BIN_EXE_tidegate");
    let command = [program, "target-service", "shop"].map(str::to_owned);
    let env = BTreeMap::from([("DATABASE_URL".to_owned(), database_url)]);
    let url = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let clock = Arc::new(SteadyClock::starting_at(jiff::Timestamp::now()));
        let cloud = Cloud::connect(place, clock).await.unwrap();
        cloud.create(&service, &command, &env).await.unwrap();
        cloud.service_url().await.unwrap()
    });
    (platform, endpoint, url)
}

#[test]
fn candidates_on_cloud_run_are_reached_with_a_token_for_the_service_and_not_for_their_tags() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("brief.yaml");
    let minimal = fs::read_to_string(repository("scenarios/minimal.yaml")).unwrap();
    fs::write(&path, minimal.replace("duration: 36s, warm_up: 12s", "duration: 2s")).unwrap();
    let path = path.display().to_string();
    let (_platform, endpoint, url) = platform_with_shop(dir.path(), &path);
    let (token, asked) = (token(), Arc::new(Mutex::new(Vec::new())));
    let heads = Arc::clone(&asked);
    let metadata = server(move |head| {
        heads.lock().unwrap().push(head.to_owned());
        (200, token.clone())
    });
    let mut command = tidegate(dir.path());
    command.args(["tune", &path, "--out", "study", "--candidates", "4", "--google-id-token", "--endpoint", &endpoint]);
    command.args(["--project", "p", "--region", "us-central1", "--service", "shop"]);
    command.env("HOME", dir.path()).env_remove("GOOGLE_APPLICATION_CREDENTIALS").env("GCE_METADATA_HOST", metadata);
    let (_, _, error) = told(&command.output().unwrap());
    let study = fs::read_to_string(dir.path().join("study/study.json")).unwrap_or_else(|_| panic!("{error}"));
    let study: serde_json::Value = serde_json::from_str(&study).unwrap();
    let recording = &study["trials"][0]["recording"];
    assert_eq!(recording["target"]["authorization"], "Google ID token", "{error}");
    assert!(recording["answers"]["200"].as_u64() > Some(0), "{error}");
    let audience = format!("audience={}&", url.replace(':', "%3a").replace('/', "%2f"));
    let asked = asked.lock().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|head| head.contains(&audience)), "{audience}: {asked:?}");
}

#[test]
fn a_token_for_the_local_platform_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = repository("scenarios/minimal.yaml").display().to_string();
    let (code, _, error) = told(&tidegate(dir.path()).args(["tune", &scenario, "--google-id-token"]).output().unwrap());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("--google-id-token") && error.contains("--project"), "{error}");
    assert!(!dir.path().join("reports").exists());
}
