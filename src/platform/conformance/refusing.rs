//! Refusals, all in Google's shape.

use super::{PARENT, SHOP, Stand, template};
use crate::platform::request::BODY_TIME_MOST;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn every_refusal_has_googles_shape() {
    let stand = Stand::with_shop(1.0).await;
    let create = format!("/v2/{PARENT}/services?serviceId=");
    let service = format!("/v2/{SHOP}");
    let body = || json!({"template": template()});
    let traffic = |targets: Value| json!({"traffic": targets});
    let cases = [
        ("GET", "/v2/nothing".to_owned(), Value::Null, 404, "has no path"),
        ("GET", "/%ff/%00".to_owned(), Value::Null, 404, "has no path"),
        ("GET", "/v2/projects/%ff/locations/l/services".to_owned(), Value::Null, 400, "the path"),
        ("PUT", service.clone(), Value::Null, 405, "does not take PUT"),
        ("GET", format!("{service}?x=1"), Value::Null, 400, "unknown query parameter \"x\""),
        ("PATCH", format!("{service}?updatemask=a"), json!({}), 400, "unknown query parameter"),
        ("PATCH", format!("{service}?updateMask=template.concurency"), json!({}), 400, "template.concurency"),
        ("PATCH", format!("{service}?validateOnly=maybe"), json!({}), 400, "validateOnly"),
        ("PATCH", service.clone(), json!([1]), 400, "an object is expected"),
        ("PATCH", service.clone(), json!({"etag": "\"old\""}), 409, "is stale"),
        ("PATCH", format!("{service}?updateMask=template"), json!({}), 400, "needs a container"),
        ("PATCH", format!("{service}?updateMask=ingress"), json!({"ingress": 77}), 400, "ingress"),
        (
            "PATCH",
            format!("{service}?updateMask=scaling"),
            json!({"scaling": {"scalingMode": 2}}),
            400,
            "needs the number of instances",
        ),
        (
            "PATCH",
            format!("{service}?updateMask=traffic"),
            traffic(json!([{"type": 2, "revision": "shop-x", "percent": 100}])),
            400,
            "no revision \"shop-x\"",
        ),
        (
            "PATCH",
            format!("{service}?updateMask=template.revision"),
            json!({"template": {"revision": "stall-1"}}),
            400,
            "must begin with \"shop-\"",
        ),
        ("PATCH", service.clone(), json!({"tmplate": {}}), 400, "did you mean template?"),
        (
            "PATCH",
            format!("{service}?updateMask=traffic"),
            traffic(json!([{"percent": 100}])),
            400,
            "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST or",
        ),
        ("POST", format!("{create}shop"), body(), 409, "already exists"),
        ("POST", format!("{create}Shop"), body(), 400, "cannot name a service"),
        ("POST", create.clone(), body(), 400, "it must be given"),
        ("GET", format!("/v2/{PARENT}/operations/none"), Value::Null, 404, "was not found"),
        ("POST", format!("/v2/{PARENT}/operations/none:cancel"), json!({}), 404, "OPERATION:wait"),
        ("DELETE", format!("{service}?etag=old"), Value::Null, 409, "is stale"),
    ];
    for (method, path, body, expected, part) in cases {
        let (status, answer) = stand.call(method, &path, &body).await;
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (expected, &json!(expected)), "{method} {path}: {answer}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(part)), "{method} {path}: {answer}");
        assert!(error["status"].is_string() && error["details"].is_array(), "{answer}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_json_are_refused_with_their_place() {
    let stand = Stand::with_shop(1.0).await;
    let url = format!("{}/v2/{SHOP}", stand.endpoint);
    let send = |body: Vec<u8>| stand.http.patch(&url).body(body).send();
    let answer = send(b"{\"template\":\n  nonsense}".to_vec()).await.unwrap();
    assert_eq!(answer.status(), 400);
    let text = answer.text().await.unwrap();
    assert!(text.contains("line 2 column"), "{text}");
    for garbage in [vec![0xff; 100], vec![b'['; 100_000], b"{\"a\":1e999}".to_vec()] {
        assert_eq!(send(garbage).await.unwrap().status(), 400);
    }
    let answer = send(vec![b' '; (4 << 20) + 1]).await.unwrap();
    assert_eq!(answer.status(), 413);
    let error: Value = answer.json().await.unwrap();
    assert_eq!(error["error"]["code"], 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_refused_in_googles_shape() {
    let stand = Stand::start(1.0).await;
    let mut stream = tokio::net::TcpStream::connect(stand.endpoint.strip_prefix("http://").unwrap()).await.unwrap();
    let started = tokio::time::Instant::now();
    let head = format!(
        "POST /v2/{PARENT}/services?serviceId=shop HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"DEADLINE_EXCEEDED\""), "{answer}");
    assert!(started.elapsed() >= BODY_TIME_MOST, "{:?}", started.elapsed());
}

#[tokio::test]
async fn bytes_that_are_no_http_harm_nobody() {
    let stand = Stand::with_shop(1.0).await;
    let address = stand.endpoint.strip_prefix("http://").unwrap();
    let path = format!("PATCH /v2/{SHOP}");
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        vec![0; 10_000],
        format!("{path} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n").into_bytes(),
        format!("{path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        // Refused or cut off, both are well: the next caller must be served.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert_eq!(stand.get(&format!("/v2/{SHOP}")).await["generation"], "1");
}

#[tokio::test]
async fn a_web_page_may_look_and_change_nothing() {
    let stand = Stand::with_shop(1.0).await;
    let url = format!("{}/v2/{SHOP}", stand.endpoint);
    let from_a_page = |request: reqwest::RequestBuilder| request.header("origin", "http://evil.example").send();
    let refused = from_a_page(stand.http.delete(&url)).await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["status"], "PERMISSION_DENIED");
    assert_eq!(from_a_page(stand.http.get(&url)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_root_shows_a_person_what_runs_and_the_status_a_program() {
    let stand = Stand::with_shop(1.0).await;
    let page = stand.http.get(&stand.endpoint).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let page = page.text().await.unwrap();
    assert!(page.contains("<h2>shop</h2>") && page.contains("<td>shop-a</td>"), "{page}");
    let status = stand.get("/status").await;
    assert_eq!(status["service"], "tidegate local platform");
    assert_eq!(status["services"][0]["revisions"][0]["name"], "shop-a");
}
