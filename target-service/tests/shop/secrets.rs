//! Secrets: they come from the environment or from files, and are never seen in logs or messages.

use crate::place::{PASSWORD, Place};
use crate::service::{checkout, client, token};

/// The address without its password.
fn bare(place: &Place) -> String {
    place.url.replace(&format!(":{PASSWORD}"), "")
}

#[tokio::test]
async fn a_password_comes_from_a_mounted_file_and_stays_secret() {
    let Some(place) = Place::server().await else { return };
    let file = place.folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let url = bare(&place);
    let service = place.start(&[("DATABASE_URL", &url), ("DATABASE_PASSWORD_FILE", file.to_str().unwrap())]);
    let client = client();
    let token = token(&client, &service).await;
    let body =
        r#"{"customer":{"email":"a@b.cd"},"payment":{"method":"collect"},"items":[{"id":3,"countRequested":1}]}"#;
    assert_eq!(checkout(&client, &service, &token, body).send().await.unwrap().status(), 200);
    // A failure of the database is where addresses use to be told.
    place.limit_connections(0).await;
    let other = place.start(&[]);
    assert_eq!(client.get(other.url("/api/products/")).send().await.unwrap().status(), 503);
    for service in [service, other] {
        service.terminate();
        let mut lines = Vec::new();
        service.log_line(|line| {
            lines.push(line.to_string());
            line["message"] == "stopped"
        });
        assert!(lines.len() >= 2, "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("hunter2")), "{lines:?}");
    }
}

#[tokio::test]
async fn a_refused_password_is_not_told() {
    let Some(place) = Place::server().await else { return };
    for (name, value) in
        [("DATABASE_PASSWORD", "wrong-hunter2"), ("DATABASE_URL", &place.url.replace("hunter2", "hunter2x"))]
    {
        let mut command = place.command("shop");
        let output = command.env(name, value).output().unwrap();
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("failed to set up the database postgres:///shop_"), "{told}");
        assert!(told.contains("password authentication failed") && !told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn the_address_can_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, "sqlite://other.db\n").unwrap();
    let service = crate::service::Service::start(folder.path(), &[("DATABASE_URL_FILE", file.to_str().unwrap())]);
    assert_eq!(client().get(service.url("/ready")).send().await.unwrap().status(), 200);
    assert!(folder.path().join("other.db").is_file());
    let output =
        crate::service::command("shop", folder.path()).env("DATABASE_URL_FILE", "/no/such/file").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("error: DATABASE_URL_FILE is \"/no/such/file\", which cannot be read"), "{told}");
}
