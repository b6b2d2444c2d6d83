//! A served Pub/Sub, Google's own clients of it, and endpoints that it pushes to.

#[path = "../tidegate/announced.rs"]
pub(crate) mod announced;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use google_cloud_auth::credentials::{Credentials, anonymous};
use google_cloud_pubsub::client::{Publisher, Subscriber, SubscriptionAdmin, TopicAdmin};
use google_cloud_pubsub::model::{Message, PushConfig, Subscription};
use serde_json::Value;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How long a condition may take on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A broker in a process of its own. Dropping it ends it in order.
pub(crate) struct Broker {
    child: Child,
    /// Base address.
    pub(crate) endpoint: String,
}

impl Broker {
    /// Starts it on its own port.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_at(data, 0, more)
    }

    /// Starts it on a port.
    pub(crate) fn start_at(data: &Path, port: u16, more: &[&str]) -> Self {
        let port = port.to_string();
        Self::start_under(data, &[&["--port", &port], more].concat(), &[])
    }

    /// Starts it with these variables in its environment.
    pub(crate) fn start_under(data: &Path, more: &[&str], variables: &[(&str, &Path)]) -> Self {
        let mut command = crate::tidegate::tidegate(data);
        command
            .args(["broker", "--announce", "--data"])
            .arg(data.join("broker"))
            .args(if more.contains(&"--port") { &[][..] } else { &["--port", "0"] })
            .args(more)
            .envs(variables.iter().copied());
        let (child, endpoint) = announced::start(&mut command);
        Self { child, endpoint }
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.endpoint.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// SIGKILL: it can do nothing more.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Everything that it counts.
    pub(crate) async fn figures(&self) -> Value {
        reqwest::get(format!("{}/stats", self.endpoint)).await.unwrap().json().await.unwrap()
    }

    /// The figures of a subscription.
    pub(crate) async fn stats(&self, subscription: &str) -> Value {
        self.figures().await["subscriptions"][subscription].clone()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Google's clients of an endpoint.
pub(crate) struct Clients {
    endpoint: String,
    /// Topics, over REST.
    pub(crate) topics: TopicAdmin,
    /// Subscriptions, over REST.
    pub(crate) subscriptions: SubscriptionAdmin,
}

/// Nobody's.
pub(crate) fn credentials() -> Credentials {
    anonymous::Builder::new().build()
}

/// A topic's name in the tests' project.
pub(crate) fn topic(id: &str) -> String {
    format!("projects/demo/topics/{id}")
}

/// A subscription's name in the tests' project.
pub(crate) fn subscription(id: &str) -> String {
    format!("projects/demo/subscriptions/{id}")
}

impl Clients {
    pub(crate) async fn of(endpoint: &str) -> Self {
        let topics = TopicAdmin::builder().with_endpoint(endpoint).with_credentials(credentials()).build();
        let subscriptions =
            SubscriptionAdmin::builder().with_endpoint(endpoint).with_credentials(credentials()).build();
        Self {
            endpoint: endpoint.to_owned(),
            topics: topics.await.unwrap(),
            subscriptions: subscriptions.await.unwrap(),
        }
    }

    /// A new topic and its publisher, which sends each message at once.
    pub(crate) async fn topic(&self, id: &str) -> Publisher {
        self.topics.create_topic().set_name(topic(id)).send().await.unwrap();
        self.publisher(id).await
    }

    /// A publisher that sends each message at once.
    pub(crate) async fn publisher(&self, id: &str) -> Publisher {
        Publisher::builder(topic(id))
            .with_endpoint(&self.endpoint)
            .with_credentials(credentials())
            .set_message_count_threshold(1)
            .build()
            .await
            .unwrap()
    }

    /// A new subscription that pushes, changed by `with`.
    pub(crate) async fn push(&self, id: &str, of: &str, to: &str, with: impl FnOnce(Subscription) -> Subscription) {
        let config = Subscription::new().set_push_config(PushConfig::new().set_push_endpoint(to));
        self.pull(id, of, |_| with(config)).await;
    }

    /// A new subscription, changed by `with`.
    pub(crate) async fn pull(&self, id: &str, of: &str, with: impl FnOnce(Subscription) -> Subscription) {
        let config = with(Subscription::new()).set_name(subscription(id)).set_topic(topic(of));
        self.subscriptions.create_subscription().with_request(config).send().await.unwrap();
    }

    /// A client that takes messages over a stream.
    pub(crate) async fn subscriber(&self) -> Subscriber {
        Subscriber::builder().with_endpoint(&self.endpoint).with_credentials(credentials()).build().await.unwrap()
    }
}

/// A message of text.
pub(crate) fn text(data: &str) -> Message {
    Message::new().set_data(data.to_owned())
}

/// One push as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Pushed {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    pub(crate) status: u16,
}

impl Pushed {
    /// The envelope.
    pub(crate) fn envelope(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The message's data as text.
    pub(crate) fn data(&self) -> String {
        use base64::Engine as _;
        let data = self.envelope()["message"]["data"].as_str().unwrap().to_owned();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(data).unwrap()).unwrap()
    }
}

/// How an endpoint answers: a status, after a while.
type Answer = dyn Fn(&Pushed) -> (u16, Duration) + Send + Sync;

/// An endpoint that is pushed to.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// Its address.
    pub(crate) url: String,
    pushed: Arc<Mutex<Vec<Pushed>>>,
}

impl Endpoint {
    /// Answers as it is told.
    pub(crate) async fn start(answer: impl Fn(&Pushed) -> (u16, Duration) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let pushed = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let router = Router::new().fallback(take).with_state((Arc::clone(&pushed), answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, pushed }
    }

    /// Acknowledges everything.
    pub(crate) async fn willing() -> Self {
        Self::start(|_| (204, Duration::ZERO)).await
    }

    /// What has arrived.
    pub(crate) fn pushed(&self) -> Vec<Pushed> {
        self.pushed.lock().unwrap().clone()
    }

    /// What has arrived once a condition holds of it.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&[Pushed]) -> bool) -> Vec<Pushed> {
        let started = Instant::now();
        loop {
            let pushed = self.pushed();
            if holds(&pushed) {
                return pushed;
            }
            assert!(started.elapsed() < PATIENCE, "{what}: {} pushes came", pushed.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What has arrived, and how it is answered.
type Taking = (Arc<Mutex<Vec<Pushed>>>, Arc<Answer>);

async fn take(State((all, answer)): State<Taking>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut pushed = Pushed { headers, body: body.to_vec(), at: Instant::now(), status: 0 };
    let (status, after) = answer(&pushed);
    pushed.status = status;
    all.lock().unwrap().push(pushed);
    tokio::time::sleep(after).await;
    StatusCode::from_u16(status).unwrap()
}
