//! What is large, and what is streamed: Cloud Run's limits of a request and of an answer, and that nothing is held back
//! that could go on already.

use super::*;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MOST: u64 = 32 << 20;

/// What the instances of these tests serve besides.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/large/{bytes}", get(|Path(left): Path<u64>| async move { Body::new(Bulk { left, told: true }) }))
        .route("/streamed/{bytes}", get(|Path(left): Path<u64>| async move { Body::new(Bulk { left, told: false }) }))
        .route("/length", post(|body: Body| async move { length(body).await }))
}

/// So many bytes, whether or not it is told how many they are.
struct Bulk {
    left: u64,
    told: bool,
}

impl hyper::body::Body for Bulk {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 1 << 16] = [b'x'; 1 << 16];
        let length = self.left.min(1 << 16);
        self.left -= length;
        let piece = Bytes::from_static(&PIECE[..usize::try_from(length).unwrap()]);
        Poll::Ready((length > 0).then(|| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.told { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}

/// Reads all of it.
async fn length(body: Body) -> String {
    use http_body_util::BodyExt as _;
    let (mut body, mut length) = (body, 0);
    while let Some(frame) = body.frame().await {
        length += frame.map_or(0, |frame| frame.data_ref().map_or(0, Bytes::len));
    }
    length.to_string()
}

/// Answers of the platform to this request, sent as it stands; `body` is sent in pieces until it ends or nobody takes it.
async fn exchange(url: &str, head: &str, mut body: u64) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        let piece = vec![b'x'; 1 << 16];
        let chunked = head.contains("chunked");
        while body > 0 {
            let length = body.min(1 << 16);
            let piece = &piece[..usize::try_from(length).unwrap()];
            let framed = [format!("{length:x}\r\n").as_bytes(), piece, b"\r\n"].concat();
            if write.write_all(if chunked { &framed } else { piece }).await.is_err() {
                return;
            }
            body -= length;
        }
        if chunked {
            let _ = write.write_all(b"0\r\n\r\n").await;
        }
    };
    let ((), read) = tokio::join!(send, read.read_to_end(&mut answer));
    read.unwrap();
    String::from_utf8(answer).unwrap()
}

fn post_head(framing: &str) -> String {
    format!("POST /length HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{framing}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_refused_beyond_32_mib_and_told_so_even_while_it_is_still_sent() {
    let (fleet, url) = one(spec("shop-1", 4, 1)).await;
    let _ = fleet.sample().await;
    let most = exchange(&url, &post_head(&format!("content-length: {MOST}")), MOST).await;
    assert!(most.starts_with("HTTP/1.1 200 ") && most.ends_with(&MOST.to_string()), "{most}");
    let chunked = exchange(&url, &post_head("transfer-encoding: chunked"), MOST).await;
    assert!(chunked.starts_with("HTTP/1.1 200 "), "{chunked}");
    assert_eq!(fleet.sample().await[0].requests, BTreeMap::from([(200, 2)]));

    let beyond = exchange(&url, &post_head(&format!("content-length: {}", MOST + 1)), MOST + 1).await;
    assert!(beyond.starts_with("HTTP/1.1 413 "), "{beyond}");
    assert!(beyond.contains("<title>413 Request Entity Too Large</title>"), "{beyond}");
    assert!(beyond.contains("Your client issued a request that was too large."), "{beyond}");
    let asked = exchange(&url, &post_head(&format!("expect: 100-continue\r\ncontent-length: {}", MOST + 1)), 0).await;
    assert!(asked.starts_with("HTTP/1.1 413 "), "who asks first need not send it: {asked}");
    assert!(fleet.sample().await[0].requests.is_empty(), "no instance has seen it");

    let beyond = exchange(&url, &post_head("transfer-encoding: chunked"), 3 * MOST).await;
    assert!(beyond.starts_with("HTTP/1.1 413 "), "{beyond}");
    let sample = fleet.sample().await.remove(0);
    assert_eq!(sample.requests, BTreeMap::from([(413, 1)]), "that it is too large was seen in the middle of it");
    assert_eq!(sample.instances_active, 0, "its place is free again");
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_32_mib_must_be_streamed() {
    let (fleet, url) = one(spec("shop-1", 1, 1)).await;
    let received = async |path: String| {
        let answer = reqwest::get(format!("{url}{path}")).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().len() as u64)
    };
    assert_eq!(received(format!("/large/{MOST}")).await, (200, MOST));
    assert_eq!(received(format!("/streamed/{}", 2 * MOST)).await, (200, 2 * MOST));
    assert_eq!(received(format!("/large/{}", MOST + 1)).await.0, 500);
    assert_eq!(received("/streamed/9".to_owned()).await, (200, 9), "the only place is free again");
    let sample = fleet.sample().await.remove(0);
    assert_eq!(sample.requests, BTreeMap::from([(200, 3), (500, 1)]));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_are_streamed_at_the_same_time() {
    let (fleet, url) = one(spec("shop-1", 1, 1)).await;
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // Each piece comes back before the next one is sent.
    for word in ["first", "again", "there"] {
        stream.write_all(format!("5\r\n{word}\r\n").as_bytes()).await.unwrap();
        while !answer.ends_with(format!("{word}\r\n").as_bytes()) {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{answer:?}");
        }
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"0\r\n\r\n"));
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_its_request_off_is_no_fault_of_the_instance() {
    let (fleet, url) = one(spec("shop-1", 1, 1)).await;
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(post_head("content-length: 1000").as_bytes()).await.unwrap();
    stream.write_all(b"a part").await.unwrap();
    until(&fleet, |sample| sample.instances_active == 1).await;
    drop(stream);
    let mut requests = BTreeMap::new();
    while requests.is_empty() {
        let sample = fleet.sample().await.pop();
        requests = sample.map(|sample| sample.requests).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(requests, BTreeMap::from([(499, 1)]));
    fleet.shutdown().await;
}
