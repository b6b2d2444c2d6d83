//! A probe over gRPC: one call of the health-checking protocol (`grpc.health.v1.Health/Check`,
//! github.com/grpc/grpc/blob/master/doc/health-checking.md) on a connection of its own, HTTP/2 without TLS.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

/// `grpc.health.v1.HealthCheckRequest`
#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`
#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`, by number.
const STATES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: i32 = 1;

/// Before each message: a byte that tells whether it is compressed, and its length.
const PREFIX: usize = 5;

/// An answer takes a few bytes; whoever sends more does not speak this protocol.
const ANSWER_BYTES_MOST: usize = 64 << 10;

/// Asks whether a service serves, the program as a whole if it is empty; what was said instead if not.
pub(super) async fn check(stream: TcpStream, service: &str) -> Result<(), String> {
    let authority = stream.peer_addr().map_err(|error| error.to_string())?;
    let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, "GoogleHC/1.0")
        .body(Full::new(framed(&HealthCheckRequest { service: service.to_owned() })))
        .map_err(|error| error.to_string())?;
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(|error| not_grpc(&error))?;
    let mut exchange = std::pin::pin!(exchange(sender, request));
    tokio::select! {
        biased;
        judged = &mut exchange => judged,
        // It may have closed its connection behind a whole answer.
        _ = connection => exchange.await,
    }
}

async fn exchange(mut sender: SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<(), String> {
    let answer = sender.send_request(request).await.map_err(|error| not_grpc(&error))?;
    judge(answer).await
}

fn not_grpc(error: &hyper::Error) -> String {
    format!("it does not speak gRPC over HTTP/2 without TLS ({error})")
}

async fn judge(answer: Response<Incoming>) -> Result<(), String> {
    let (head, body) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("the answer was {} and not gRPC's", head.status));
    }
    let whole = Limited::new(body, ANSWER_BYTES_MOST).collect().await;
    let whole = whole.map_err(|error| format!("its answer broke off: {error}"))?;
    let trailers = whole.trailers().unwrap_or(&head.headers);
    match text(trailers, "grpc-status") {
        "0" => {}
        "12" => return Err("it does not offer grpc.health.v1.Health (status 12, unimplemented)".to_owned()),
        "5" => return Err("it does not know this service (status 5, not found)".to_owned()),
        "" => return Err("its answer has no grpc-status".to_owned()),
        other => return Err(format!("it answered with gRPC status {other}: {}", text(trailers, "grpc-message"))),
    }
    let bytes = whole.to_bytes();
    let message = bytes.get(PREFIX..).filter(|_| bytes[0] == 0);
    let answer = message.and_then(|message| HealthCheckResponse::decode(message).ok());
    let status = answer.ok_or("its answer is no HealthCheckResponse")?.status;
    let state = usize::try_from(status).ok().and_then(|number| STATES.get(number)).copied().unwrap_or(STATES[0]);
    if status == SERVING { Ok(()) } else { Err(format!("the answer was {state}")) }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::probe::{Check, Probe};
    use super::super::probe_book::ProbeBook;
    use super::*;
    use crate::port;
    use axum::Router;
    use axum::routing::post;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::net::TcpListener;
    use tonic::server::{Grpc, UnaryService};
    use tonic_prost::ProstCodec;

    /// A server of the health-checking protocol, as programs have it: `shop` has the state that is given when it is
    /// asked, nobody knows another.
    #[derive(Clone)]
    struct Health<F>(F);

    impl<F: Fn() -> i32> UnaryService<HealthCheckRequest> for Health<F> {
        type Response = HealthCheckResponse;
        type Future = std::future::Ready<Result<tonic::Response<HealthCheckResponse>, tonic::Status>>;

        fn call(&mut self, request: tonic::Request<HealthCheckRequest>) -> Self::Future {
            std::future::ready(match request.get_ref().service.as_str() {
                "" | "shop" => Ok(tonic::Response::new(HealthCheckResponse { status: self.0() })),
                other => Err(tonic::Status::not_found(other)),
            })
        }
    }

    /// The route of the protocol, for the service that the tests start.
    pub(in crate::platform) fn health(state: impl Fn() -> i32 + Clone + Send + Sync + 'static) -> Router {
        let check = async move |request: axum::extract::Request| {
            let mut grpc = Grpc::new(ProstCodec::<HealthCheckResponse, HealthCheckRequest>::default());
            grpc.unary(Health(state), request).await.map(axum::body::Body::new)
        };
        Router::new().route("/grpc.health.v1.Health/Check", post(check))
    }

    async fn served(router: Router) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(port::serve(listener, router, std::future::pending(), Duration::ZERO));
        port
    }

    async fn asked(port: u16, service: &str) -> Result<(), String> {
        check(TcpStream::connect(("127.0.0.1", port)).await.unwrap(), service).await
    }

    #[tokio::test]
    async fn only_who_serves_is_well() {
        let state = Arc::new(AtomicU32::new(1));
        let told = Arc::clone(&state);
        let port = served(health(move || i32::try_from(told.load(Ordering::SeqCst)).unwrap())).await;
        assert_eq!((asked(port, "").await, asked(port, "shop").await), (Ok(()), Ok(())));
        for (number, said) in [(0, "UNKNOWN"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN"), (77, "UNKNOWN")] {
            state.store(number, Ordering::SeqCst);
            assert_eq!(asked(port, "shop").await, Err(format!("the answer was {said}")));
        }
        let unknown = asked(port, "stall").await.unwrap_err();
        assert!(unknown.contains("does not know this service"), "{unknown}");
    }

    #[tokio::test]
    async fn what_is_no_health_service_is_said_to_be_none() {
        let port = served(Router::new()).await;
        let refused = asked(port, "").await.unwrap_err();
        assert_eq!(refused, "the answer was 404 Not Found and not gRPC's");
        let other = || async { tonic::Status::unimplemented("no").into_http::<axum::body::Body>() };
        let port = served(Router::new().fallback(other)).await;
        assert!(asked(port, "").await.unwrap_err().contains("does not offer grpc.health.v1.Health"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let http1 = Router::new().route("/", post(|| async { "hello" }));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(http1.clone());
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        let refused = asked(port, "").await.unwrap_err();
        assert!(refused.contains("does not speak gRPC over HTTP/2"), "{refused}");
    }

    #[tokio::test]
    async fn a_startup_probe_asks_until_the_service_serves() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let port = served(health(move || if counted.fetch_add(1, Ordering::SeqCst) < 2 { 2 } else { 1 })).await;
        let soon = Duration::from_millis(20);
        let check = Check::Grpc { service: "shop".to_owned() };
        let minute = Duration::from_mins(1);
        let probe = Probe { check, initial_delay: Duration::ZERO, timeout: minute, period: soon, failure_threshold: 3 };
        assert!(probe.until_success(port, &ProbeBook::default()).await.unwrap().is_none());
        assert_eq!(count.load(Ordering::SeqCst), 3);
        let never = Probe { check: Check::Grpc { service: "stall".to_owned() }, ..probe };
        let cause = never.until_success(port, &ProbeBook::default()).await.unwrap_err();
        assert!(cause.starts_with("an attempt to be told over gRPC that \"stall\" serves failed 3 times"), "{cause}");
    }
}
