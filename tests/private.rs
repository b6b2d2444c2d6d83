//! A private service on the local platform, as a process of its own: who has no valid token of an account that may call it
//! is refused as Cloud Run refuses, and never reaches an instance.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_methods, reason = "real processes take real time")]

#[expect(dead_code, reason = "not every test needs all of it")]
mod pubsub;
mod served;
#[expect(dead_code, reason = "not every test needs all of it")]
mod tidegate;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use google_cloud_pubsub::model::PushConfig;
use google_cloud_pubsub::model::push_config::OidcToken;
use pubsub::{Broker, PATIENCE, announced};
use serde_json::{Value, json};
use served::Platform;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const INVOKER: &str = "pubsub-cloud-run-invoker@demo.iam.gserviceaccount.com";
const SERVICES: &str = "v2/projects/demo/locations/europe-west1/services";
const UNVERIFIED: &str = "Bearer error=\"invalid_token\" error_description=\"The access token could not be verified\"";

/// Somebody who signs tokens.
struct Key {
    pair: KeyPair,
    name: &'static str,
}

impl Key {
    fn new(name: &'static str) -> Self {
        Self { pair: KeyPair::generate(KeySize::Rsa2048).unwrap(), name }
    }

    /// The public half.
    fn public(&self) -> Value {
        let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
        let public = self.pair.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.name,
            "n": encode(n.big_endian_without_leading_zero()), "e": encode(e.big_endian_without_leading_zero())})
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "kid": self.name, "typ": "JWT"}).to_string();
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token of this account for this audience, made so many seconds ago.
    fn token(&self, email: &str, audience: &str, age: i64) -> String {
        let made = jiff::Timestamp::now().as_second() - age;
        self.sign(&json!({"aud": audience, "azp": "1", "email": email, "email_verified": true, "exp": made + 3_600,
            "iat": made, "iss": "https://accounts.google.com", "sub": "1"}))
    }
}

/// A platform with one service that takes pushes.
struct Stand {
    platform: Platform,
    client: reqwest::Client,
    url: String,
}

impl Stand {
    /// The service is made with `fields` beside its template.
    async fn start(dir: &Path, more: &[&str], fields: Value) -> Self {
        let platform = Platform::start(dir, more, Stdio::inherit());
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let mut stand = Self { platform, client, url: String::new() };
        let container = json!({"image": "tidegate/command", "command": [env!("CARGO_BIN_EXE_tidegate")],
            "args": ["target-service", "email"]});
        let mut service = json!({"template": {"containers": [container]}});
        service.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let operation = stand.admin("POST", &format!("{SERVICES}?serviceId=email"), &service).await.1;
        let wait = format!("v2/{}:wait", operation["name"].as_str().unwrap());
        let made = stand.admin("POST", &wait, &json!({})).await.1;
        made["response"]["uri"].as_str().unwrap_or_else(|| panic!("{made}")).clone_into(&mut stand.url);
        stand
    }

    async fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.request(method.parse().unwrap(), format!("{}/{path}", self.platform.endpoint));
        let answer = request.json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Gives the role of an invoker to these members only.
    async fn admit(&self, members: &[&str]) {
        let policy = json!({"policy": {"bindings": [{"role": "roles/run.invoker", "members": members}]}});
        let (status, answer) = self.admin("POST", &format!("{SERVICES}/email:setIamPolicy"), &policy).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// A push with these headers: the status, the challenge and the body.
    async fn push(&self, url: &str, headers: &[(&str, String)]) -> (u16, Option<String>, String) {
        let body = json!({"message": {"data": "eyJpZCI6MX0=", "messageId": "1"}, "subscription": "s"});
        let request = headers
            .iter()
            .fold(self.client.post(url).json(&body), |request, (name, value)| request.header(*name, value));
        let answer = request.send().await.unwrap();
        let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), challenge, answer.text().await.unwrap())
    }

    async fn status(&self, token: &str) -> u16 {
        self.push(&self.url, &[("authorization", format!("Bearer {token}"))]).await.0
    }
}

/// How many pushes the instances say that they took.
fn served(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir.join("logs")).unwrap();
    let logs = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    logs.map(|log| log.matches("trying...").count()).sum()
}

fn keys_file(dir: &Path, keys: &[&Key]) -> PathBuf {
    let path = dir.join("keys.json");
    let keys: Vec<Value> = keys.iter().map(|key| key.public()).collect();
    std::fs::write(&path, json!({"keys": keys}).to_string()).unwrap();
    path
}

#[tokio::test]
async fn only_a_valid_token_of_an_account_that_may_call_reaches_the_service() {
    let dir = tempfile::tempdir().unwrap();
    let (key, forger) = (Key::new("trusted"), Key::new("trusted"));
    let keys = keys_file(dir.path(), &[&key]);
    let custom = json!({"customAudiences": ["https://reports.example"]});
    let arguments = ["--logs", "logs", "--identity-keys", keys.to_str().unwrap()];
    let stand = Stand::start(dir.path(), &arguments, custom).await;
    let right = key.token(INVOKER, &stand.url, 0);
    assert_eq!(stand.status(&right).await, 403, "nobody may call yet: on Cloud Run a service is private");
    stand.admit(&[&format!("serviceAccount:{INVOKER}")]).await;

    let (status, challenge, body) = stand.push(&format!("{}/a<b", stand.url), &[]).await;
    assert_eq!((status, challenge), (403, None), "without a token");
    assert!(body.contains("<title>403 Forbidden</title>") && body.contains("get URL <code>/a"), "{body}");
    assert!(!body.contains("a<b"), "{body}");
    for header in ["Bearer", "Basic eDp5"] {
        assert_eq!(
            stand.push(&stand.url, &[("authorization", header.to_owned())]).await.0,
            403,
            "{header} is no token"
        );
    }
    let mut swapped: Vec<String> = right.split('.').map(str::to_owned).collect();
    swapped[1] = key.token("root@evil.example", &stand.url, 0).split('.').nth(1).unwrap().to_owned();
    for (what, token) in [
        ("expired", key.token(INVOKER, &stand.url, 3_700)),
        ("signed by another's key under the trusted one's name", forger.token(INVOKER, &stand.url, 0)),
        ("signed by a key that nobody trusts", Key::new("stranger").token(INVOKER, &stand.url, 0)),
        ("another's claims under a true signature", swapped.join(".")),
        ("for another service", key.token(INVOKER, "https://sms-service.example", 0)),
        ("no token", "ya29.an-access-token".to_owned()),
    ] {
        let (status, challenge, body) = stand.push(&stand.url, &[("authorization", format!("Bearer {token}"))]).await;
        assert_eq!((status, challenge.as_deref()), (401, Some(UNVERIFIED)), "{what}: {body}");
        assert!(
            body.contains("<title>401 Unauthorized</title>") && body.contains("requested URL <code>/</code>"),
            "{body}"
        );
    }
    let stranger = key.token("somebody@demo.iam.gserviceaccount.com", &stand.url, 0);
    let (status, challenge, _) = stand.push(&stand.url, &[("authorization", format!("Bearer {stranger}"))]).await;
    assert_eq!((status, challenge), (403, None), "a valid token of an account that may not call");

    assert_eq!(served(dir.path()), 0, "nobody has reached the instance");
    assert_eq!(stand.status(&right).await, 204);
    assert_eq!(served(dir.path()), 1);
    for audience in [format!("{}/", stand.url), format!("{}/push", stand.url), "https://reports.example".to_owned()] {
        assert_eq!(stand.status(&key.token(INVOKER, &audience, 0)).await, 204, "{audience}");
    }
    for audience in ["https://reports.example/push".to_owned(), format!("{}/push?a=b", stand.url), String::new()] {
        assert_eq!(stand.status(&key.token(INVOKER, &audience, 0)).await, 401, "{audience:?}");
    }
    let both = [("x-serverless-authorization", format!("Bearer {right}")), ("authorization", "Bearer x".to_owned())];
    assert_eq!(stand.push(&stand.url, &both).await.0, 204, "that header is looked at instead");
    stand.admit(&["allAuthenticatedUsers"]).await;
    assert_eq!((stand.status(&stranger).await, stand.push(&stand.url, &[]).await.0), (204, 403));
    stand.admit(&["allUsers"]).await;
    assert_eq!(stand.push(&stand.url, &[]).await.0, 204, "a public service asks nobody");
    stand.admit(&[]).await;
    assert_eq!(stand.status(&right).await, 403, "a policy is in force at once");
    let path = format!("{SERVICES}/email?updateMask=invokerIamDisabled");
    let operation = stand.admin("PATCH", &path, &json!({"invokerIamDisabled": true})).await.1;
    stand.admin("POST", &format!("v2/{}:wait", operation["name"].as_str().unwrap()), &json!({})).await;
    assert_eq!(stand.push(&stand.url, &[]).await.0, 204, "the check is switched off");
}

#[tokio::test]
async fn a_key_that_is_new_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (Key::new("old"), Key::new("new"));
    let keys = keys_file(dir.path(), &[&old]);
    let stand = Stand::start(dir.path(), &["--identity-keys", keys.to_str().unwrap()], json!({})).await;
    stand.admit(&[&format!("serviceAccount:{INVOKER}")]).await;
    let (before, after) = (old.token(INVOKER, &stand.url, 0), new.token(INVOKER, &stand.url, 0));
    assert_eq!((stand.status(&before).await, stand.status(&after).await), (204, 401));
    keys_file(dir.path(), &[&new]);
    let started = Instant::now();
    // It is not looked for at every request.
    while stand.status(&after).await != 204 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stand.status(&before).await, 401, "what is not among the keys any more is not trusted any more");
}

/// The platform trusts another's key at first: the broker's tokens are forged in its eyes, and their pushes come again.
#[tokio::test]
async fn a_brokers_pushes_are_refused_and_counted_until_its_key_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys_file(dir.path(), &[&Key::new("other")]);
    let broker = Broker::start(dir.path(), &["--time-factor", "100"]);
    let stand = Stand::start(dir.path(), &["--identity-keys", keys.to_str().unwrap()], json!({})).await;
    stand.admit(&[&format!("serviceAccount:{INVOKER}")]).await;
    let clients = pubsub::Clients::of(&broker.endpoint).await;
    let publisher = clients.topic("reports").await;
    let token = OidcToken::new().set_service_account_email(INVOKER);
    let config = PushConfig::new().set_push_endpoint(&stand.url).set_oidc_token(token);
    clients.pull("private", "reports", |it| it.set_push_config(config)).await;
    let config = PushConfig::new().set_push_endpoint(&stand.url);
    clients.pull("anonymous", "reports", |it| it.set_push_config(config)).await;
    publisher.publish(pubsub::text("{\"id\": 1}")).await.unwrap();
    let stats = async |id: &str| broker.stats(&pubsub::subscription(id)).await;
    let started = Instant::now();
    while stats("private").await["push_request_count"]["client_error"].as_u64().unwrap() < 2 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let certs = reqwest::get(format!("{}/oauth2/v3/certs", broker.endpoint)).await.unwrap();
    std::fs::write(&keys, certs.text().await.unwrap()).unwrap();
    while stats("private").await["num_undelivered_messages"] != 0 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stats("private").await["push_request_count"]["ack"], 1);
    let anonymous = stats("anonymous").await;
    assert!(anonymous["push_request_count"]["client_error"].as_u64().unwrap() > 0, "{anonymous}");
    assert_eq!(anonymous["num_undelivered_messages"], 1, "without a token it is refused whatever the keys are");
}

#[tokio::test]
async fn without_keys_a_service_is_open_until_a_policy_says_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let stand = Stand::start(dir.path(), &[], json!({})).await;
    assert_eq!(stand.push(&stand.url, &[]).await.0, 204);
    stand.admit(&[&format!("serviceAccount:{INVOKER}")]).await;
    let token = Key::new("k").token(INVOKER, &stand.url, 0);
    assert_eq!((stand.push(&stand.url, &[]).await.0, stand.status(&token).await), (403, 401));
}

#[test]
fn keys_that_cannot_be_read_are_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("none.json"), "{}").unwrap();
    for place in ["missing.json", "none.json", "http://127.0.0.1:1/certs"] {
        let arguments = ["platform", "--port", "0", "--limiter", "none", "--identity-keys", place];
        let output = tidegate::tidegate(dir.path()).args(arguments).output().unwrap();
        let (code, _, error) = tidegate::told(&output);
        assert_eq!(code, Some(1), "{error}");
        assert!(
            error.contains(&format!("the keys of ID tokens from {place}")) && error.contains("oauth2/v3/certs"),
            "{error}"
        );
    }
}
