//! A server that plays Google: Cloud Run Admin v2 and Cloud Monitoring v3 with the JSON their pages document, on a real
//! socket. It keeps what it was asked, so that tests can hold the client's requests to the letter.

mod admin;
mod clock;
mod metrics;

pub(crate) use admin::{Admin, SERVICE};
pub(crate) use clock::FakeClock;
pub(crate) use metrics::{Metrics, billed, counted, distribution, gauge};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tidegate::cloud::{Clock, Cloud, Endpoint, Pace};
use tokio::net::TcpListener;

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// `GET`, `PATCH`, ….
    pub(crate) method: String,
    /// Path, percent-encoded as it came.
    pub(crate) path: String,
    /// Query, decoded, in order.
    pub(crate) query: Vec<(String, String)>,
    /// JSON body; null when empty.
    pub(crate) body: Value,
    /// Whether it carried an `Authorization` header.
    pub(crate) authorized: bool,
}

/// A trouble that meets requests instead of their answers.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// Requests whose path contains this.
    pub(crate) path: String,
    /// How many of them; `usize::MAX` for all.
    pub(crate) times: usize,
    /// Status.
    pub(crate) status: u16,
    /// Body.
    pub(crate) body: String,
    /// The request is carried out all the same: only its answer is lost.
    pub(crate) carried_out: bool,
}

/// What the server holds.
#[derive(Debug)]
pub(crate) struct World {
    /// The service and its operations.
    pub(crate) admin: Admin,
    /// The points.
    pub(crate) metrics: Metrics,
    /// Troubles, first match first.
    pub(crate) troubles: Vec<Trouble>,
    /// Everything that was asked.
    pub(crate) asked: Vec<Asked>,
}

/// The server and the time it shares with its client.
#[derive(Debug)]
pub(crate) struct Google {
    /// Base address.
    pub(crate) address: String,
    /// What it holds.
    pub(crate) world: Arc<Mutex<World>>,
    /// The time.
    pub(crate) clock: Arc<FakeClock>,
}

/// Quick enough that no test waits on the wall clock for what a policy decides.
pub(crate) const PACE: Pace = Pace {
    attempts: 4,
    retry_delay: std::time::Duration::from_millis(1),
    retry_delay_max: std::time::Duration::from_millis(2),
    operation_delay: std::time::Duration::from_millis(1),
    operation_delay_max: std::time::Duration::from_millis(2),
    ..Pace::LOCAL
};

impl Google {
    /// Starts it with this service.
    pub(crate) async fn start(service: Value) -> Self {
        let clock = Arc::new(FakeClock::default());
        let world = Arc::new(Mutex::new(World {
            admin: Admin::new(service),
            metrics: Metrics::default(),
            troubles: Vec::new(),
            asked: Vec::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state((Arc::clone(&world), Arc::clone(&clock)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, world, clock }
    }

    /// A client of it.
    pub(crate) async fn client(&self) -> Cloud {
        let clock: Arc<dyn Clock> = Arc::<FakeClock>::clone(&self.clock);
        Cloud::connect_at(self.endpoint(), PACE, clock).await.unwrap()
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            local: Some(self.address.clone()),
            project: "demo".to_owned(),
            region: "europe-west1".to_owned(),
            service: "shop".to_owned(),
        }
    }

    /// Adds a trouble that Google describes with this status, code and message.
    pub(crate) fn trouble(&self, path: &str, times: usize, (status, code, message): (u16, &str, &str)) {
        self.trouble_with(path, times, status, error(status, code, message).to_string());
    }

    /// Adds a trouble with any body.
    pub(crate) fn trouble_with(&self, path: &str, times: usize, status: u16, body: String) {
        self.world.lock().unwrap().troubles.push(Trouble {
            path: path.to_owned(),
            times,
            status,
            body,
            carried_out: false,
        });
    }

    /// Takes what was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.world.lock().unwrap().asked)
    }

    /// Takes the changes that were asked for since the last call: everything but reads.
    pub(crate) fn changes(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.method != "GET").collect()
    }
}

impl Asked {
    /// A query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Google's error body.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Value {
    let mut error = json!({"error": {"code": status, "message": message, "status": code}});
    if status == 429 {
        error["error"]["details"] = json!([{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": {"quota_metric": "monitoring.googleapis.com/query_requests", "quota_limit_value": "6000",
                "quota_limit": "QueryRequestsPerMinutePerProject", "consumer": "projects/123456789"}
        }]);
    }
    error
}

type Shared = (Arc<Mutex<World>>, Arc<FakeClock>);

async fn answer(
    State((world, clock)): State<Shared>,
    method: Method,
    uri: Uri,
    headers: header::HeaderMap,
    body: Bytes,
) -> Response {
    let mut world = world.lock().unwrap();
    let asked = Asked {
        method: method.to_string(),
        path: uri.path().to_owned(),
        query: form(uri.query().unwrap_or_default()),
        body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() },
        authorized: headers.contains_key(header::AUTHORIZATION),
    };
    world.asked.push(asked.clone());
    let text = format!("{} {} {:?}", asked.method, asked.path, asked.query);
    let trouble = world.troubles.iter_mut().find(|trouble| trouble.times > 0 && text.contains(&trouble.path));
    let trouble = trouble.map(|trouble| {
        trouble.times -= 1;
        trouble.clone()
    });
    if let Some(Trouble { status, body, carried_out: false, .. }) = trouble {
        return json_response(status, body);
    }
    let (status, body) = if asked.path.starts_with("/v3/") {
        world.metrics.answer(&asked, clock.now())
    } else {
        world.admin.answer(&asked)
    };
    match trouble {
        Some(lost) => json_response(lost.status, lost.body),
        None => json_response(status, body.to_string()),
    }
}

fn json_response(status: u16, body: String) -> Response {
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body)
        .into_response()
}

/// Decodes a query string.
fn form(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            pair.split_once('=').map_or((decode(pair), String::new()), |(key, value)| (decode(key), decode(value)))
        })
        .collect()
}
