//! TLS to a real PostgreSQL server, which lets nobody in from the network without.

use crate::place::{PASSWORD, Place};
use crate::service::client;
use std::process::Stdio;

/// What a shop that cannot use its database says when it gives up.
fn refusal(place: &Place, url: &str) -> String {
    let shop = place.command("migrate").env("DATABASE_URL", url).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&shop.stderr).into_owned();
    assert_eq!(shop.status.code(), Some(1), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
    said
}

#[tokio::test]
async fn a_shop_serves_over_tls_and_is_not_let_in_without() {
    let Some(place) = Place::server().await else { return };
    let Some(tls) = Place::tls() else { return };
    let verified = format!("sslmode=verify-full&sslrootcert={}", tls.authority.display());
    let require = "sslmode=require".to_owned();
    // What is said of nothing is `prefer`: TLS, as the server offers it.
    for parameters in [require, verified, String::new()] {
        let shop = place.start(&[("DATABASE_URL", &place.url_at(tls.named, &parameters))]);
        let products = client().get(shop.url("/api/products/")).send().await.unwrap();
        assert_eq!(products.status(), 200, "{parameters}");
    }
    let refused = refusal(&place, &place.url_at(tls.named, "sslmode=disable"));
    assert!(refused.contains("no encryption"), "{refused}");
}

#[tokio::test]
async fn a_server_that_nobody_trusted_has_certified_is_refused() {
    let Some(place) = Place::server().await else { return };
    let Some(tls) = Place::tls() else { return };
    let stranger = tls.stranger.display();
    for parameters in [
        "sslmode=verify-full".to_owned(),
        format!("sslmode=verify-full&sslrootcert={stranger}"),
        format!("sslmode=verify-ca&sslrootcert={stranger}"),
        format!("sslmode=require&sslrootcert={stranger}"),
    ] {
        let refused = refusal(&place, &place.url_at(tls.named, &parameters));
        assert!(refused.contains("invalid peer certificate"), "{parameters}: {refused}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_by_who_looks_at_names() {
    let Some(place) = Place::server().await else { return };
    let Some(tls) = Place::tls() else { return };
    let at = |mode: &str| place.url_at(tls.unnamed, &format!("sslmode={mode}&sslrootcert={}", tls.authority.display()));
    let refused = refusal(&place, &at("verify-full"));
    assert!(refused.contains("not valid for name"), "{refused}");
    drop(place.start(&[("DATABASE_URL", &at("verify-ca"))]));
}

#[tokio::test]
async fn through_a_socket_there_is_no_tls_to_ask_for() {
    let Some(place) = Place::server().await else { return };
    drop(place.start(&[("DATABASE_URL", &format!("{}&sslmode=verify-full", place.url))]));
}
