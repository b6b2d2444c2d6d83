//! What is pushed to: an endpoint that acknowledges everything at once, and notes which message came when.

use super::Outcome;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// What has come.
#[derive(Default)]
pub(super) struct Arrivals {
    ids: BTreeSet<u64>,
    /// Pushes of messages that had come before.
    pub(super) again: u64,
    /// From the sending of each message to its first arrival, in microseconds.
    pub(super) times_us: Vec<u64>,
    /// When the last new one came.
    last: Option<Instant>,
}

/// The endpoint, which serves until the process ends.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) url: String,
    arrivals: Arc<Mutex<Arrivals>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    data: &'a str,
    #[serde(rename = "messageId")]
    id: &'a str,
}

/// The time of day in microseconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0)
}

impl Endpoint {
    pub(super) async fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let arrivals = Arc::default();
        let router = Router::new().fallback(take).with_state(Arc::clone(&arrivals));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, arrivals })
    }

    /// How many different messages came, once it is all of them, or the time is over; and in how many seconds since then.
    pub(super) async fn until(&self, count: u64, begun: Instant, most: Duration) -> (u64, f64) {
        loop {
            let (came, last) = self.look(|arrivals| (arrivals.ids.len() as u64, arrivals.last));
            let over = begun.elapsed() > most;
            if came >= count || over {
                let end = if over { begun.elapsed() } else { last.map_or(Duration::ZERO, |last| last - begun) };
                return (came, end.as_secs_f64());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Looks at what has come.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Arrivals) -> T) -> T {
        look(&mut self.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn take(State(arrivals): State<Arc<Mutex<Arrivals>>>, body: Bytes) -> StatusCode {
    let Some((id, sent)) = read(&body) else { return StatusCode::BAD_REQUEST };
    let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
    if arrivals.ids.insert(id) {
        arrivals.times_us.push(now().saturating_sub(sent));
        arrivals.last = Some(Instant::now());
    } else {
        arrivals.again += 1;
    }
    StatusCode::NO_CONTENT
}

/// The message's id, and when it was sent.
fn read(body: &[u8]) -> Option<(u64, u64)> {
    let Envelope { message } = serde_json::from_slice(body).ok()?;
    // 28 letters of base64 hold the 20 digits.
    let data = STANDARD.decode(message.data.get(..28)?).ok()?;
    let sent = std::str::from_utf8(data.get(..20)?).ok()?.parse().ok()?;
    Some((message.id.parse().ok()?, sent))
}
