//! A Pub/Sub of one method: it takes what is published, or does not, as a test asks.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::service::PATIENCE;

/// What happens to a publish.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode {
    Take,
    /// It is refused with gRPC's code and words.
    Refuse(u32, &'static str),
    /// It is never answered.
    Ignore,
}

/// A running one. It ends when it is dropped, and all its connections with it.
pub(crate) struct Pubsub {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// Topic and data of each message, in the order in which they came.
    published: Vec<(String, String)>,
    requests: usize,
}

#[derive(Clone, PartialEq, Message)]
struct PublishRequest {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(message, repeated, tag = "2")]
    messages: Vec<PubsubMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct PubsubMessage {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PublishResponse {
    #[prost(string, repeated, tag = "1")]
    message_ids: Vec<String>,
}

impl Pubsub {
    pub(crate) fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts one at an address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let state = Arc::new(Mutex::new(State { mode: Mode::Take, published: Vec::new(), requests: 0 }));
        let (stop, mut stopped) = oneshot::channel();
        let (bound, is_bound) = std::sync::mpsc::channel();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(address).await.expect("the address is free");
                bound.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let accepted = tokio::select! {
                        accepted = listener.accept() => accepted,
                        // Dropped: nobody sends.
                        _ = &mut stopped => return,
                    };
                    let Ok((stream, _)) = accepted else { continue };
                    let shared = Arc::clone(&shared);
                    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
                }
            });
        });
        Self { address: is_bound.recv_timeout(PATIENCE).expect("it is bound"), state, _stop: stop }
    }

    /// What a service needs to publish here.
    pub(crate) fn settings(address: &str) -> [(&'static str, &str); 2] {
        [("GOOGLE_CLOUD_PROJECT", "pets"), ("PUBSUB_EMULATOR_HOST", address)]
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    pub(crate) fn published(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap().published.clone()
    }

    /// Waits until this many requests have come.
    pub(crate) fn wait_for_requests(&self, count: usize) {
        let begin = Instant::now();
        while self.state.lock().unwrap().requests < count {
            assert!(begin.elapsed() < PATIENCE, "{count} requests never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    assert_eq!(request.uri().path(), "/google.pubsub.v1.Publisher/Publish");
    let body = request.into_body().collect().await?.to_bytes();
    // One byte that says whether it is compressed, and four of length.
    let publish = PublishRequest::decode(&body[5..]).expect("a publish");
    let mode = {
        let mut state = state.lock().unwrap();
        state.requests += 1;
        state.mode
    };
    let (status, words, message) = match mode {
        Mode::Take => {
            let mut state = state.lock().unwrap();
            let first = state.published.len();
            let message_ids = (0..publish.messages.len()).map(|index| (first + index + 1).to_string()).collect();
            let data = publish.messages.into_iter().map(|message| String::from_utf8(message.data).expect("UTF-8"));
            let taken: Vec<_> = data.map(|data| (publish.topic.clone(), data)).collect();
            state.published.extend(taken);
            (0, "", framed(&PublishResponse { message_ids }))
        }
        Mode::Refuse(status, words) => (status, words, Bytes::new()),
        Mode::Ignore => std::future::pending().await,
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    trailers.insert("grpc-message", HeaderValue::from_static(words));
    let body = Full::new(message).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}
