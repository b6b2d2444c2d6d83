//! The endpoints under Google's official crates and under plain HTTP, over real sockets, with a platform that only
//! keeps record and a clock that stands still.

mod deploying;
mod failing;
mod iam;
mod knative;
mod metering;
mod refusing;
mod retiring;
mod scaling;

use super::admin::Admin;
use super::clock::Clock;
use super::journal::Journal;
use super::monitoring::Monitoring;
use super::place::Place;
use super::sample::RevisionSample;
use super::server::router;
use super::spec::{Access, Addresses, Operate, OperateError, RevisionSpec, Route, ServiceScaling};
use crate::port;
use google_cloud_auth::credentials::{Credentials, anonymous};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Where the services of these tests live.
const PARENT: &str = "projects/demo/locations/europe-west1";
const SHOP: &str = "projects/demo/locations/europe-west1/services/shop";

/// A platform that runs nothing and remembers what it was asked.
pub(super) struct Fake {
    specs: Mutex<Vec<RevisionSpec>>,
    routes: Mutex<Vec<Vec<Route>>>,
    scalings: Mutex<Vec<ServiceScaling>>,
    pub(super) deleted: Mutex<Vec<String>>,
    admitted: Mutex<Vec<Access>>,
    knows_callers: AtomicBool,
    /// Why the next revisions do not become ready.
    failure: Mutex<Option<String>>,
    /// A revision starts, or something is deleted, when there is a permit.
    starts: Semaphore,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            specs: Mutex::default(),
            routes: Mutex::default(),
            scalings: Mutex::default(),
            deleted: Mutex::default(),
            admitted: Mutex::default(),
            knows_callers: AtomicBool::new(false),
            failure: Mutex::default(),
            starts: Semaphore::new(1000),
        }
    }
}

impl Operate for Fake {
    async fn create_revision(&self, spec: RevisionSpec) -> Result<(), OperateError> {
        self.starts.acquire().await.unwrap().forget();
        let revision = spec.revision.clone();
        self.specs.lock().unwrap().push(spec);
        match self.failure.lock().unwrap().clone() {
            Some(cause) => Err(OperateError::NotReady { revision, cause }),
            None => Ok(()),
        }
    }

    async fn route(&self, _: &str, routes: &[Route]) -> Result<Addresses, OperateError> {
        self.routes.lock().unwrap().push(routes.to_vec());
        let tags = routes.iter().filter_map(|route| route.tag.clone());
        let tags = tags.map(|tag| (tag.clone(), format!("http://127.0.0.1/{tag}"))).collect();
        Ok(Addresses { service: "http://127.0.0.1:9001".into(), tags })
    }

    async fn scale(&self, _: &str, scaling: ServiceScaling) {
        self.scalings.lock().unwrap().push(scaling);
    }

    fn knows_callers(&self) -> bool {
        self.knows_callers.load(Ordering::Relaxed)
    }

    fn admit(&self, service: &str, access: Access) {
        assert_eq!(service, "shop");
        self.admitted.lock().unwrap().push(access);
    }

    async fn delete_service(&self, service: &str) {
        self.starts.acquire().await.unwrap().forget();
        self.deleted.lock().unwrap().push(service.to_owned());
    }

    async fn delete_revision(&self, service: &str, revision: &str) {
        self.starts.acquire().await.unwrap().forget();
        self.deleted.lock().unwrap().push(format!("{service}/{revision}"));
    }

    async fn sample(&self) -> Vec<RevisionSample> {
        Vec::new()
    }
}

/// A served platform.
struct Stand {
    endpoint: String,
    fake: Arc<Fake>,
    monitoring: Arc<Monitoring>,
    http: reqwest::Client,
    now: Arc<Mutex<Timestamp>>,
}

impl Stand {
    async fn start(time_factor: f64) -> Self {
        let now = Arc::new(Mutex::new("2026-11-22T12:00:00Z".parse().unwrap()));
        let hand = Arc::clone(&now);
        let clock = Clock::new(move || *hand.lock().unwrap());
        let fake = Arc::new(Fake::default());
        let admin = Admin::new(Arc::clone(&fake), clock.clone(), Journal::default());
        let monitoring = Monitoring::new(clock, time_factor);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = router(&fake, &admin, &monitoring);
        tokio::spawn(port::serve(listener, router, std::future::pending(), Duration::ZERO));
        Self { endpoint, fake, monitoring, http: reqwest::Client::new(), now }
    }

    fn pass(&self, seconds: i64) {
        let mut now = self.now.lock().unwrap();
        *now += SignedDuration::from_secs(seconds);
    }

    /// One more sample period passes, in which this was sampled.
    fn sampled(&self, seconds: i64, samples: Vec<RevisionSample>) {
        self.pass(seconds);
        let place = Place { project: "demo".into(), location: "europe-west1".into() };
        self.monitoring.record(samples.into_iter().map(|sample| (place.clone(), sample)).collect());
    }

    async fn services(&self) -> google_cloud_run_v2::client::Services {
        let backoff = google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder::new()
            .with_initial_delay(std::time::Duration::from_millis(5))
            .with_maximum_delay(std::time::Duration::from_millis(5));
        google_cloud_run_v2::client::Services::builder()
            .with_endpoint(&self.endpoint)
            .with_credentials(nobody())
            .with_polling_backoff_policy(backoff.clamp())
            .build()
            .await
            .unwrap()
    }

    /// Any call; the status and the answer.
    async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.endpoint);
        let request = self.http.request(method.parse().unwrap(), url);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call("GET", path, &Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Makes a change and waits until its operation is done.
    async fn change(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, operation) = self.call(method, path, body).await;
        assert_eq!(status, 200, "{operation}");
        let wait = format!("/v2/{}:wait", operation["name"].as_str().unwrap());
        let (status, operation) = self.call("POST", &wait, &json!({})).await;
        assert_eq!((status, &operation["done"]), (200, &json!(true)), "{operation}");
        operation
    }

    /// A service `shop` with the revision `shop-a`, ready.
    async fn with_shop(time_factor: f64) -> Self {
        let stand = Self::start(time_factor).await;
        let mut template = template();
        template["revision"] = "shop-a".into();
        let path = format!("/v2/{PARENT}/services?serviceId=shop");
        let operation = stand.change("POST", &path, &json!({"template": template})).await;
        assert_eq!(operation["error"], Value::Null);
        stand
    }
}

fn template() -> Value {
    json!({
        "maxInstanceRequestConcurrency": 16,
        "containers": [{
            "image": "tidegate/command",
            "command": ["tidegate"],
            "args": ["target-service", "shop"],
            "env": [{"name": "SHOP_WAIT", "value": "90ms"}],
            "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "cpuIdle": true},
        }],
    })
}

fn nobody() -> Credentials {
    anonymous::Builder::new().build()
}
