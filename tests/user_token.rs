//! A person's own login (`gcloud auth application-default login`) gives the ID token that a load carries.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::process::Command;
use tokio::sync::mpsc;

const SCENARIO: &str = "name: small
journeys: [{name: one, steps: [{name: get, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: up, hold: 20, duration: 1s}]
";

#[tokio::test]
async fn a_persons_login_gives_the_token_that_requests_carry() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let end = jiff::Timestamp::now().as_second() + 3600;
    let claims = URL_SAFE_NO_PAD
        .encode(format!("{{\"aud\":\"client\",\"iss\":\"i\",\"sub\":\"s\",\"iat\":{},\"exp\":{end}}}", end - 3600));
    let head = URL_SAFE_NO_PAD.encode("{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k\"}");
    let token = format!("{head}.{claims}.c2ln");
    let answer =
        format!("{{\"access_token\":\"a\",\"id_token\":\"{token}\",\"expires_in\":3600,\"token_type\":\"Bearer\"}}");
    let (sender, mut carried) = mpsc::unbounded_channel();
    let take = move |headers: HeaderMap| async move {
        sender.send(headers.get("authorization").map(|value| value.to_str().unwrap().to_owned())).unwrap();
        "{}"
    };
    let router = Router::new()
        .route("/token", post(async move || ([("content-type", "application/json")], answer)))
        .route("/", get(take));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("small.yaml"), SCENARIO).unwrap();
    let login = format!(
        "{{\"type\":\"authorized_user\",\"client_id\":\"client\",\"client_secret\":\"secret\",\"refresh_token\":\"refresh\",\"token_uri\":\"{url}/token\"}}"
    );
    std::fs::write(dir.path().join("login.json"), login).unwrap();
    let run = |login: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.current_dir(dir.path()).env("GOOGLE_APPLICATION_CREDENTIALS", login);
        command.args(["run", "small.yaml", "--target", &url, "--google-id-token", "--json", "run.json"]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    };
    let output = run("login.json").await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // A machine too busy to trust the figures (5) still sends.
    assert!(matches!(output.status.code(), Some(0 | 5)), "{told}");
    let mut count = 0;
    while let Ok(header) = carried.try_recv() {
        assert_eq!(header.as_deref(), Some(format!("Bearer {token}").as_str()));
        count += 1;
    }
    assert_eq!(count, 20);
    assert!(
        !told.contains("refresh") && !std::fs::read_to_string(dir.path().join("run.json")).unwrap().contains(&token)
    );

    // A login that lacks something says where it is and how to mend it.
    std::fs::write(dir.path().join("half.json"), "{\"type\":\"authorized_user\",\"client_id\":\"client\"}").unwrap();
    let output = run("half.json").await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("half.json: ") && told.contains("gcloud auth application-default login"), "{told}");
}
