//! The checkout and its token, byte by byte as recorded from the genuine shop.

use crate::place::{Place, on_both};
use crate::service::{checkout, client, stock, token};
use serde_json::Value;

const CUSTOMER: &str = r#""customer":{"email":"foo@bar.com"}"#;
const COLLECT: &str = r#""payment":{"method":"collect"}"#;

fn cart(items: &str) -> String {
    format!("{{{CUSTOMER},{COLLECT},\"items\":[{items}]}}")
}

/// Body of the request, status and body of the answer.
fn recorded_cases() -> Vec<(String, u16, &'static str)> {
    let credit = r#""payment":{"method":"credit"}"#;
    vec![
        (
            cart(r#"{"id":4,"countRequested":2}"#),
            200,
            r#"{"items": [{"id": 4, "countRequested": 2, "countFulfilled": 2}], "status": "complete"}"#,
        ),
        (
            cart(r#"{"id":2,"countRequested":100}"#),
            400,
            r#"{"status": "insufficient_product", "errors": {"items": [{"status": ["insufficient_product"], "items": {"id": "2", "countRequested": "100", "countFulfilled": "4"}}]}}"#,
        ),
        (
            cart(r#"{"id":4,"countRequested":1},{"id":2,"countRequested":5}"#),
            400,
            r#"{"status": "insufficient_product", "errors": {"items": [{}, {"status": ["insufficient_product"], "items": {"id": "2", "countRequested": "5", "countFulfilled": "4"}}]}}"#,
        ),
        (
            format!(r#"{{{CUSTOMER},{credit},"items":[{{"id":4,"countRequested":2}}]}}"#),
            501,
            r#"{"status": "invalid_choice", "errors": {"payment": {"method": ["\"credit\" is not a valid choice."]}}}"#,
        ),
        (
            format!(r#"{{{CUSTOMER},{credit},"items":[{{"id":2,"countRequested":9}}]}}"#),
            501,
            r#"{"status": "insufficient_product", "errors": {"payment": {"method": ["\"credit\" is not a valid choice."]}, "items": [{"status": ["insufficient_product"], "items": {"id": "2", "countRequested": "9", "countFulfilled": "4"}}]}}"#,
        ),
        (
            format!(r#"{{"customer":{{"email":"foo"}},{COLLECT},"items":[{{"id":4,"countRequested":1}}]}}"#),
            400,
            r#"{"status": "validation_error", "errors": {"customer": {"email": ["Enter a valid email address."]}}}"#,
        ),
        (
            cart(r#"{"id":99,"countRequested":1}"#),
            400,
            r#"{"status": "product_not_found", "errors": {"items": [{"status": ["product_not_found"]}]}}"#,
        ),
        (
            cart(r#"{"id":"x","countRequested":1}"#),
            400,
            r#"{"status": "", "errors": {"items": [{"id": ["A valid integer is required."]}]}}"#,
        ),
        (
            format!("{{{CUSTOMER},{COLLECT}}}"),
            400,
            r#"{"status": "", "errors": {"items": ["This field is required."]}}"#,
        ),
        (
            "[]".to_owned(),
            400,
            r#"{"status": "validation_error", "errors": {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}}"#,
        ),
        (cart(""), 200, r#"{"items": [], "status": "complete"}"#),
        (
            cart(r#"{"id":4,"countRequested":0}"#),
            200,
            r#"{"items": [{"id": 4, "countRequested": 0, "countFulfilled": 0}], "status": "complete"}"#,
        ),
        (
            cart(r#"{"id":1,"countRequested":9223372036854775807}"#),
            400,
            r#"{"status": "insufficient_product", "errors": {"items": [{"status": ["insufficient_product"], "items": {"id": "1", "countRequested": "9223372036854775807", "countFulfilled": "27"}}]}}"#,
        ),
    ]
}

async fn every_recorded_case_answers_as_recorded(place: Place) {
    let service = place.start(&[]);
    let client = client();
    let token = token(&client, &service).await;
    for (body, status, expected) in recorded_cases() {
        let response = checkout(&client, &service, &token, body.clone()).send().await.unwrap();
        let head = response.headers().clone();
        assert_eq!(
            (response.status().as_u16(), response.text().await.unwrap().as_str()),
            (status, expected),
            "to {body}"
        );
        assert_eq!(head["vary"], "Cookie, origin");
        assert_eq!(head["content-type"], "application/json");
        assert!(head["set-cookie"].to_str().unwrap().starts_with(&token.0), "the same secret is sent again");
    }
    assert_eq!(stock(&client, &service, 4).await, 40);
    assert_eq!(stock(&client, &service, 2).await, 4, "a refused cart takes nothing");
}

async fn bodies_the_genuine_service_fails_on_are_500(place: Place) {
    let service = place.start(&[]);
    let client = client();
    let token = token(&client, &service).await;
    let line = r#""items":[{"id":4,"countRequested":1}]"#;
    let bodies = [
        String::new(),
        "{}".to_owned(),
        "not json".to_owned(),
        format!("{{{CUSTOMER},{line}}}"),
        format!(r#"{{{CUSTOMER},"payment":null,{line}}}"#),
        format!(r#"{{{CUSTOMER},"payment":"collect",{line}}}"#),
        cart(r#"{"id":4,"countRequested":-9223372036854775808}"#),
        "[".repeat(100_000),
    ];
    for body in bodies {
        let response = checkout(&client, &service, &token, body.clone()).send().await.unwrap();
        assert_eq!(response.status(), 500, "to {}", &body[..body.len().min(80)]);
        assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(response.text().await.unwrap().len(), 145);
    }
    assert_eq!(stock(&client, &service, 4).await, 42);
}

async fn the_quirks_of_lines_are_kept(place: Place) {
    let service = place.start(&[]);
    let client = client();
    let token = token(&client, &service).await;
    let send = async |items: &str| checkout(&client, &service, &token, cart(items)).send().await.unwrap().status();

    assert_eq!(send(r#"{"id":3,"countRequested":-1}"#).await, 200);
    assert_eq!(stock(&client, &service, 3).await, 72, "a negative count raises the stock");

    let twice = r#"{"id":2,"countRequested":3},{"id":2,"countRequested":3}"#;
    assert_eq!(send(twice).await, 200);
    assert_eq!(stock(&client, &service, 2).await, -2, "each line is checked alone");
    let spurious = service.log_line(|line| line["error"] == "INSUFFICIENT_PRODUCT_ERROR");
    assert_eq!((&spurious["product"], &spurious["countFulfilled"]), (&Value::from(2), &Value::from(-2)));

    let several = r#"{"id":1,"countRequested":27},{"id":"4","countRequested":"2"},{"id":3,"countRequested":72.0}"#;
    assert_eq!(send(several).await, 200);
    assert_eq!(stock(&client, &service, 4).await, 40);
    let soldout = service.log_line(|line| line["error"] == "INVENTORY_SOLDOUT_ERROR");
    assert_eq!((&soldout["severity"], &soldout["product"]), (&Value::from("ERROR"), &Value::from(1)));
}

async fn a_checkout_needs_its_token(place: Place) {
    let service = place.start(&[]);
    let client = client();
    let good = token(&client, &service).await;
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    let post = |token: &(String, String)| checkout(&client, &service, token, cart(""));
    let secret = good.0.strip_prefix("csrftoken=").unwrap().to_owned();
    assert_eq!((secret.len(), good.1.len()), (32, 64));
    assert!(good.1.bytes().all(|byte| byte.is_ascii_alphanumeric()));

    assert_eq!(status(post(&good)).await, 200);
    assert_eq!(status(post(&(good.0.clone(), secret.clone()))).await, 200, "the cookie's own value is a token");
    assert_eq!(status(post(&(good.0.clone(), "x".repeat(64)))).await, 403);
    assert_eq!(status(post(&(String::new(), good.1.clone()))).await, 403);
    assert_eq!(status(client.post(service.url("/api/checkout")).body(cart(""))).await, 403);
    assert_eq!(status(client.put(service.url("/api/checkout"))).await, 403);

    let origin = service.url("");
    assert_eq!(status(post(&good).header("origin", &origin)).await, 200);
    assert_eq!(status(post(&good).header("origin", "http://localhost:8081")).await, 200);
    assert_eq!(status(post(&good).header("origin", "http://evil.example")).await, 403);

    let https = |request: reqwest::RequestBuilder| request.header("x-forwarded-proto", "https");
    let own = format!("https://{}/", service.address);
    assert_eq!(status(https(post(&good))).await, 403, "https needs a referer");
    assert_eq!(status(https(post(&good)).header("referer", &own)).await, 200);
    assert_eq!(status(https(post(&good)).header("referer", service.url("/"))).await, 403);
    assert_eq!(status(https(post(&good)).header("referer", "https://evil.example/")).await, 403);
    assert_eq!(status(https(post(&good)).header("origin", own.trim_end_matches('/'))).await, 200);

    let response = client.post(service.url("/api/csrf_token")).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
}

async fn tokens_and_the_checkouts_other_methods(place: Place) {
    let service = place.start(&[]);
    let client = client();
    let response = client.get(service.url("/api/checkout")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"POST".parse().unwrap()));
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("csrftoken=") && cookie.ends_with("; Max-Age=31449600; Path=/; SameSite=Lax"));
    assert!(cookie.contains("; expires="));

    let (cookie, first) = token(&client, &service).await;
    let again = client.get(service.url("/api/csrf_token")).header("cookie", &cookie).send().await.unwrap();
    assert!(again.headers()["set-cookie"].to_str().unwrap().starts_with(&cookie), "the secret stays");
    assert_eq!(again.headers()["vary"], "Cookie, origin");
    let body = again.text().await.unwrap();
    assert!(body.starts_with(r#"{"csrfToken": ""#) && !body.contains(&first), "masked anew: {body}");
    assert_eq!(client.get(service.url("/api/checkout/")).send().await.unwrap().status(), 404);
}

on_both! {
    every_recorded_case_answers_as_recorded,
    bodies_the_genuine_service_fails_on_are_500,
    the_quirks_of_lines_are_kept,
    a_checkout_needs_its_token,
    tokens_and_the_checkouts_other_methods,
}
