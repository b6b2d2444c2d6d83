//! One script for any Pub/Sub: what is published, handed back, left to its deadline, given up, pushed and refused; and what
//! was seen of it, in words that do not depend on how fast the machine is. Publishing, administration and streaming go
//! through Google's client; what that does not offer (pulling once, modifying a deadline, raw refusals) over REST.

use crate::pubsub::{Clients, Endpoint, Pushed, subscription, text, topic};
use crate::refusals;
use axum::http::HeaderName;
use google_cloud_pubsub::model::push_config::{NoWrapper, OidcToken};
use google_cloud_pubsub::model::{DeadLetterPolicy, PushConfig, RetryPolicy, Subscription};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

/// What was seen, by what was looked at.
pub(crate) type Seen = BTreeMap<String, String>;

/// How long something that must come may take on the busiest machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long nothing must come for it to be taken for not coming: six of the longest pauses between pushes.
const QUIET: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(50);

/// A Pub/Sub under the script.
pub(crate) struct Stage {
    clients: Clients,
    endpoint: String,
    http: reqwest::Client,
    seen: Mutex<Seen>,
}

/// A message as a pull over REST gives it.
struct Received {
    ack_id: String,
    data: String,
    attempt: Option<i64>,
    attributes: BTreeMap<String, String>,
}

/// Plays the whole script, its scenes side by side: each has topics and subscriptions of its own.
pub(crate) async fn play(endpoint: &str) -> Seen {
    let stage = Stage {
        clients: Clients::of(endpoint).await,
        endpoint: endpoint.to_owned(),
        http: reqwest::Client::builder().no_proxy().build().unwrap(),
        seen: Mutex::default(),
    };
    tokio::join!(
        stage.statuses(),
        stage.retries(),
        stage.dead_letters_of_pushes(),
        stage.dead_letters_of_pulls(),
        stage.deadlines(),
        stage.late_answers(),
        stage.order(),
        stage.filters(),
        stage.seeking(),
        stage.envelopes(),
        stage.in_flight(),
        stage.streaming(),
        stage.refusals(),
        stage.descriptions(),
    );
    stage.seen.into_inner().unwrap()
}

impl Stage {
    fn see(&self, what: impl Into<String>, seen: impl Into<String>) {
        let what = what.into();
        assert_eq!(self.seen.lock().unwrap().insert(what.clone(), seen.into()), None, "{what} is seen twice");
    }

    async fn rest(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.endpoint);
        let answer = self.http.request(method.parse().unwrap(), url).json(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// What is there to pull now.
    async fn pull(&self, id: &str) -> Vec<Received> {
        let body = json!({"maxMessages": 100, "returnImmediately": true});
        let (status, answer) = self.rest("POST", &format!("{}:pull", subscription(id)), &body).await;
        assert_eq!(status, 200, "{answer}");
        let received = answer["receivedMessages"].as_array().into_iter().flatten();
        let received = received.map(|one| Received {
            ack_id: one["ackId"].as_str().unwrap().to_owned(),
            data: decoded(&one["message"]["data"]),
            attempt: one["deliveryAttempt"].as_i64(),
            attributes: serde_json::from_value(one["message"]["attributes"].clone()).unwrap_or_default(),
        });
        received.collect()
    }

    /// The next message, and how long it took to come.
    async fn next(&self, id: &str) -> (Received, Duration) {
        let started = Instant::now();
        loop {
            if let Some(one) = self.pull(id).await.into_iter().next() {
                return (one, started.elapsed());
            }
            assert!(started.elapsed() < PATIENCE, "{}: nothing came to {id}", self.endpoint);
            sleep(LOOK).await;
        }
    }

    async fn acknowledge(&self, id: &str, ack_id: &str) -> u16 {
        self.rest("POST", &format!("{}:acknowledge", subscription(id)), &json!({"ackIds": [ack_id]})).await.0
    }

    async fn modify(&self, id: &str, ack_id: &str, seconds: u32) -> u16 {
        let body = json!({"ackIds": [ack_id], "ackDeadlineSeconds": seconds});
        self.rest("POST", &format!("{}:modifyAckDeadline", subscription(id)), &body).await.0
    }

    /// Each status as the answer to a push: acknowledged, or sent again.
    async fn statuses(&self) {
        let publisher = self.clients.topic("statuses").await;
        let mut endpoints = Vec::new();
        for status in [200, 201, 202, 203, 204, 205, 301, 400, 403, 404, 429, 500, 503] {
            let endpoint = Endpoint::start(move |_| (status, Duration::ZERO)).await;
            self.clients.push(&format!("status-{status}"), "statuses", &endpoint.url, |it| it).await;
            endpoints.push((status, endpoint));
        }
        let (processing, arrived) = interim("").await;
        self.clients.push("status-102", "statuses", &processing, |it| it).await;
        let (changing, arrived_too) = interim("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
        self.clients.push("status-102-500", "statuses", &changing, |it| it).await;
        publisher.publish(text("x")).await.unwrap();
        for (_, endpoint) in &endpoints {
            endpoint.until("a push", |pushed| !pushed.is_empty()).await;
        }
        while arrived.load(Ordering::Relaxed) == 0 || arrived_too.load(Ordering::Relaxed) == 0 {
            sleep(LOOK).await;
        }
        sleep(QUIET).await;
        let see = |status: &str, pushes: usize| {
            self.see(format!("push answered {status}"), if pushes > 1 { "sent again" } else { "acknowledged" });
        };
        see("102", arrived.load(Ordering::Relaxed));
        see("102, and 500 a second later", arrived_too.load(Ordering::Relaxed));
        for (status, endpoint) in &endpoints {
            see(&status.to_string(), endpoint.pushed().len());
        }
    }

    /// Pauses before a message is pushed again, without a retry policy and with one.
    async fn retries(&self) {
        let publisher = self.clients.topic("retries").await;
        let at_once = refusing(4).await;
        let backing = refusing(2).await;
        self.clients.push("retry-at-once", "retries", &at_once.url, |it| it).await;
        let seconds = |seconds| google_cloud_wkt::Duration::clamp(seconds, 0);
        let policy = RetryPolicy::new().set_minimum_backoff(seconds(4)).set_maximum_backoff(seconds(40));
        self.clients.push("retry-backing", "retries", &backing.url, |it| it.set_retry_policy(policy)).await;
        publisher.publish(text("x")).await.unwrap();
        let gaps = gaps(&at_once.until("an acknowledgement", |pushed| pushed.len() == 5).await);
        let fixed = gaps.iter().all(|gap| *gap > 0.9);
        self.see(
            "pause before a push is repeated",
            if fixed { "a second each" } else { "grows from a tenth of a second" },
        );
        let gaps = self::gaps(&backing.until("an acknowledgement", |pushed| pushed.len() == 3).await);
        let first = if gaps[0] >= 3.9 { "not before it" } else { "before it" };
        self.see("first retry and the policy's least backoff", first);
        self.see("later retries under a policy", if gaps[1] > gaps[0] { "later and later" } else { "not later" });
    }

    /// A poison message that is pushed: it goes to the dead letter topic, and the others go on.
    async fn dead_letters_of_pushes(&self) {
        let publisher = self.clients.topic("poisoned").await;
        self.clients.topic("dead").await;
        self.clients.pull("dead-sub", "dead", |it| it).await;
        let endpoint = Endpoint::start(|pushed| (if pushed.data() == "poison" { 500 } else { 204 }, Duration::ZERO));
        let endpoint = endpoint.await;
        self.clients.push("poisoned-sub", "poisoned", &endpoint.url, |it| it.set_dead_letter_policy(dead(5))).await;
        for data in ["poison", "one", "two"] {
            publisher.publish(text(data).set_attributes([("kind", data)])).await.unwrap();
        }
        let (dead, _) = self.next("dead-sub").await;
        let healthy = |pushed: &[Pushed]| pushed.iter().filter(|one| one.status == 204).count() >= 2;
        let pushed = endpoint.until("the others", healthy).await;
        let poison: Vec<&Pushed> = pushed.iter().filter(|one| one.data() == "poison").collect();
        self.see("pushes of a poison message", poison.len().to_string());
        let attempts: Vec<Value> = poison.iter().map(|one| one.envelope()["deliveryAttempt"].clone()).collect();
        self.see("deliveryAttempt of its pushes", json!(attempts).to_string());
        let healthy: BTreeSet<String> = pushed.iter().map(Pushed::data).filter(|data| data != "poison").collect();
        self.see("beside a poison message is delivered", format!("{healthy:?}"));
        self.see("data of the dead letter", dead.data);
        let names: Vec<&String> = dead.attributes.keys().collect();
        self.see("attributes of the dead letter", format!("{names:?}"));
        let time = &dead.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"];
        let form: String = time.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
        self.see("dead letter's TopicPublishTime is written", form);
        for name in ["DeliveryCount", "Subscription", "SubscriptionProject"] {
            let value = &dead.attributes[&format!("CloudPubSubDeadLetterSource{name}")];
            self.see(format!("dead letter's {name}"), value);
        }
    }

    /// A message that is handed back each time it is pulled.
    async fn dead_letters_of_pulls(&self) {
        let publisher = self.clients.topic("handed-back").await;
        self.clients.topic("given-up").await;
        self.clients.pull("given-up-sub", "given-up", |it| it).await;
        let policy = DeadLetterPolicy::new().set_dead_letter_topic(topic("given-up")).set_max_delivery_attempts(5);
        self.clients.pull("handed-back-sub", "handed-back", |it| it.set_dead_letter_policy(policy)).await;
        publisher.publish(text("x")).await.unwrap();
        let mut attempts = Vec::new();
        for _ in 0..5 {
            let (one, _) = self.next("handed-back-sub").await;
            attempts.push(one.attempt);
            assert_eq!(self.modify("handed-back-sub", &one.ack_id, 0).await, 200);
        }
        self.see("deliveryAttempt of pulls", format!("{attempts:?}"));
        let started = Instant::now();
        let (mut dead, mut pulls) = (self.pull("given-up-sub").await, 0);
        while dead.is_empty() {
            if started.elapsed() > QUIET {
                pulls += 1;
                assert!(started.elapsed() < PATIENCE, "{}: no dead letter after {pulls} pulls", self.endpoint);
                assert_eq!(self.pull("handed-back-sub").await.len(), 0, "a sixth attempt");
            }
            sleep(LOOK).await;
            dead = self.pull("given-up-sub").await;
        }
        self.see("after five pulls that were handed back", format!("{:?} is a dead letter", dead[0].data));
        self.see("it is one", if pulls == 0 { "at once" } else { "when somebody pulls" });
        self.see("and the subscription has", format!("{} messages", self.pull("handed-back-sub").await.len()));
    }

    /// A deadline that passes, one that is lengthened, and an acknowledgement that comes too late.
    async fn deadlines(&self) {
        let publisher = self.clients.topic("deadlines").await;
        let ids = ["deadline-passes", "deadline-longer", "deadline-handed-back", "deadline-late"];
        for id in ids {
            let seconds = if id == "deadline-handed-back" { 600 } else { 10 };
            self.clients.pull(id, "deadlines", |it| it.set_ack_deadline_seconds(seconds)).await;
        }
        publisher.publish(text("x")).await.unwrap();
        let [passes, longer, back, late] = ids;
        let again = async |id| {
            let (first, _) = self.next(id).await;
            (first, Instant::now())
        };
        let passing = async {
            let (first, pulled) = again(passes).await;
            let (second, _) = self.next(passes).await;
            self.see("a message that nobody acknowledges comes again", within(pulled.elapsed(), 10));
            self.see("its second ack id is another", (first.ack_id != second.ack_id).to_string());
            self.see("acknowledging it", self.acknowledge(passes, &second.ack_id).await.to_string());
            sleep(Duration::from_secs(11)).await;
            self.see("after it was acknowledged there are", format!("{} messages", self.pull(passes).await.len()));
        };
        let lengthening = async {
            let (first, pulled) = again(longer).await;
            self.see("lengthening a deadline", self.modify(longer, &first.ack_id, 16).await.to_string());
            let (_, _) = self.next(longer).await;
            self.see("a message whose deadline is lengthened to 16 s comes again", within(pulled.elapsed(), 16));
        };
        let handing = async {
            let (first, _) = again(back).await;
            self.see("a deadline of no seconds", self.modify(back, &first.ack_id, 0).await.to_string());
            let (second, _) = self.next(back).await;
            self.see("before its deadline of ten minutes comes again what is handed back", second.data);
        };
        let being_late = async {
            let (first, _) = again(late).await;
            sleep(Duration::from_millis(10_500)).await;
            self.see("an acknowledgement after the deadline", self.acknowledge(late, &first.ack_id).await.to_string());
        };
        tokio::join!(passing, lengthening, handing, being_late);
    }

    /// An endpoint that acknowledges after the deadline.
    async fn late_answers(&self) {
        let publisher = self.clients.topic("late").await;
        let answered = AtomicUsize::new(0);
        let endpoint = Endpoint::start(move |_| {
            (204, Duration::from_secs(if answered.fetch_add(1, Ordering::Relaxed) == 0 { 14 } else { 0 }))
        });
        let endpoint = endpoint.await;
        self.clients.push("late-sub", "late", &endpoint.url, |it| it.set_ack_deadline_seconds(10)).await;
        publisher.publish(text("x")).await.unwrap();
        endpoint.until("a push", |pushed| !pushed.is_empty()).await;
        sleep(Duration::from_secs(14)).await;
        let again = endpoint.pushed().len() > 1 || waited(|| endpoint.pushed().len() > 1).await;
        self.see("a push that is answered after the deadline", if again { "sent again" } else { "acknowledged" });
        if again {
            let gap = gaps(&endpoint.pushed())[0];
            self.see("and it is sent again", within(Duration::from_secs_f64(gap), 10));
        }
    }

    /// Messages with a key, one of which fails at first.
    async fn order(&self) {
        let publisher = self.clients.topic("ordered").await;
        let failed = AtomicUsize::new(0);
        let endpoint = Endpoint::start(move |pushed| {
            let fails = pushed.data() == "2" && failed.fetch_add(1, Ordering::Relaxed) == 0;
            (if fails { 500 } else { 204 }, Duration::ZERO)
        });
        let endpoint = endpoint.await;
        self.clients.push("ordered-push", "ordered", &endpoint.url, |it| it.set_enable_message_ordering(true)).await;
        self.clients.pull("ordered-pull", "ordered", |it| it.set_enable_message_ordering(true)).await;
        for number in 0..6 {
            publisher.publish(text(&number.to_string()).set_ordering_key("k")).await.unwrap();
        }
        let done = |pushed: &[Pushed]| pushed.iter().filter(|one| one.status == 204).count() >= 6;
        let pushed = endpoint.until("all", done).await;
        let order: Vec<String> = pushed.iter().filter(|one| one.status == 204).map(Pushed::data).collect();
        self.see("order of pushes with a key", order.join(" "));
        self.see("orderingKey of a push", pushed[0].envelope()["message"]["orderingKey"].to_string());
        let mut order = Vec::new();
        while order.len() < 6 {
            let mut batch = self.pull("ordered-pull").await;
            for one in batch.drain(..) {
                assert_eq!(self.acknowledge("ordered-pull", &one.ack_id).await, 200);
                order.push(one.data);
            }
            sleep(LOOK).await;
        }
        self.see("order of pulls with a key", order.join(" "));
    }

    /// What comes through a filter.
    async fn filters(&self) {
        let publisher = self.clients.topic("filtered").await;
        for (id, filter) in [
            ("equal", r#"attributes.kind = "good""#),
            ("unequal", r#"attributes.kind != "bad""#),
            ("prefixed", r#"hasPrefix(attributes.kind, "go") OR NOT attributes:kind"#),
        ] {
            self.clients.pull(&format!("filtered-{id}"), "filtered", |it| it.set_filter(filter)).await;
        }
        publisher.publish(text("bad").set_attributes([("kind", "bad")])).await.unwrap();
        publisher.publish(text("none")).await.unwrap();
        publisher.publish(text("good").set_attributes([("kind", "good")])).await.unwrap();
        for id in ["equal", "unequal", "prefixed"] {
            let (id, mut came) = (format!("filtered-{id}"), BTreeSet::new());
            while !came.contains("good") {
                let (one, _) = self.next(&id).await;
                assert_eq!(self.acknowledge(&id, &one.ack_id).await, 200);
                came.insert(one.data);
            }
            let rest = self.pull(&id).await.into_iter().map(|one| one.data);
            came.extend(rest);
            self.see(format!("through {id} comes"), format!("{came:?}"));
        }
    }

    /// A subscription that is set back to before what was acknowledged, and forward to after what was not.
    async fn seeking(&self) {
        let publisher = self.clients.topic("sought").await;
        self.clients.pull("sought-sub", "sought", |it| it.set_retain_acked_messages(true)).await;
        let seek = async |time: &str| {
            let path = format!("{}:seek", subscription("sought-sub"));
            self.rest("POST", &path, &json!({"time": time})).await.0
        };
        let there = async || {
            sleep(Duration::from_secs(2)).await;
            self.pull("sought-sub").await.into_iter().map(|one| one.data).collect::<BTreeSet<_>>()
        };
        publisher.publish(text("one")).await.unwrap();
        let (one, _) = self.next("sought-sub").await;
        assert_eq!(self.acknowledge("sought-sub", &one.ack_id).await, 200);
        self.see("set back to a time", seek("2026-01-01T00:00:00Z").await.to_string());
        self.see("it has what was acknowledged", format!("{:?}", there().await));
        publisher.publish(text("two")).await.unwrap();
        self.see("set forward to a time", seek("2096-01-01T00:00:00Z").await.to_string());
        self.see("it has", format!("{:?}", there().await));
    }

    /// What a push consists of, wrapped and not.
    async fn envelopes(&self) {
        let publisher = self.clients.topic("envelopes").await;
        let (wrapped, bare) = (Endpoint::willing().await, Endpoint::willing().await);
        let token = OidcToken::new().set_service_account_email("pusher@demo.iam.gserviceaccount.com");
        let config = PushConfig::new().set_push_endpoint(&wrapped.url).set_oidc_token(token);
        self.clients.pull("wrapped", "envelopes", |it| it.set_push_config(config)).await;
        let config = PushConfig::new().set_push_endpoint(&bare.url);
        let config = config.set_no_wrapper(NoWrapper::new().set_write_metadata(true));
        self.clients.pull("bare", "envelopes", |it| it.set_push_config(config)).await;
        let message = text("hello").set_attributes([("written-by", "lab")]).set_ordering_key("k");
        publisher.publish(message).await.unwrap();
        let pushed = wrapped.until("a push", |pushed| !pushed.is_empty()).await.remove(0);
        let envelope = pushed.envelope();
        let names = |value: &Value| format!("{:?}", value.as_object().unwrap().keys().collect::<BTreeSet<_>>());
        self.see("envelope", names(&envelope));
        self.see("its message", names(&envelope["message"]));
        self.see("its subscription", envelope["subscription"].as_str().unwrap());
        self.see("its attributes", envelope["message"]["attributes"].to_string());
        self.see("its data", envelope["message"]["data"].as_str().unwrap());
        let same = |one: &str, other: &str| envelope["message"][one] == envelope["message"][other];
        let twice = same("messageId", "message_id") && same("publishTime", "publish_time");
        self.see("its id and time in both spellings", twice.to_string());
        self.see("its content type", header(&pushed, "content-type"));
        let token = pushed.headers.get("authorization").is_some();
        self.see("push with a service account", if token { "has a token" } else { "has no token" });
        let pushed = bare.until("a push", |pushed| !pushed.is_empty()).await.remove(0);
        self.see("body of a push that is not wrapped", String::from_utf8_lossy(&pushed.body));
        let names = pushed.headers.keys().map(HeaderName::as_str).filter(|name| name.starts_with("x-goog"));
        self.see("its headers", format!("{:?}", names.collect::<BTreeSet<_>>()));
        self.see("its attribute as a header", header(&pushed, "written-by"));
        self.see("its content type, unwrapped", header(&pushed, "content-type"));
    }

    /// How many pushes are under way before the first is answered.
    async fn in_flight(&self) {
        let publisher = self.clients.topic("crowd").await;
        let endpoint = Endpoint::start(|_| (204, QUIET)).await;
        self.clients.push("crowd-sub", "crowd", &endpoint.url, |it| it).await;
        for number in 0..6 {
            publisher.publish(text(&number.to_string())).await.unwrap();
        }
        let first = endpoint.until("a push", |pushed| !pushed.is_empty()).await[0].at;
        sleep(QUIET.saturating_sub(first.elapsed())).await;
        let most = endpoint.pushed().iter().filter(|one| one.at - first < QUIET).count();
        self.see("pushes under way at a time", if most <= 2 { "2" } else { "more than 2" });
    }

    /// Google's own subscriber: everything once, what is handed back again.
    async fn streaming(&self) {
        let publisher = self.clients.topic("stream").await;
        self.clients.pull("stream-sub", "stream", |it| it).await;
        let mut stream = self.clients.subscriber().await.subscribe(subscription("stream-sub")).build();
        for number in 0..20 {
            publisher.publish(text(&number.to_string())).await.unwrap();
        }
        let (mut acknowledged, mut handed_back, mut came) = (BTreeSet::new(), false, 0);
        while acknowledged.len() < 20 {
            let next = tokio::time::timeout(PATIENCE, stream.next()).await;
            let (message, handler) = next.expect("a message").unwrap().unwrap();
            came += 1;
            let data = String::from_utf8(message.data.to_vec()).unwrap();
            if data == "7" && !handed_back {
                handed_back = true;
                handler.nack();
            } else {
                acknowledged.insert(data);
                handler.ack();
            }
        }
        self.see("a stream of 20, one of them handed back, gives", format!("{came} deliveries"));
    }

    /// What is refused, and with which code.
    async fn refusals(&self) {
        self.clients.topic("refusing").await;
        self.clients.pull("refusing-sub", "refusing", |it| it).await;
        let (topic, pulled) = (topic("refusing"), subscription("refusing-sub"));
        let cases = refusals::of_publishing(&topic).into_iter().chain(refusals::of_subscribing(&topic, &pulled));
        for (what, method, path, body) in cases.chain(refusals::of_receiving(&pulled)) {
            let (status, answer) = self.rest(method, &path, &body).await;
            let code = answer["error"]["status"].as_str().unwrap_or("taken");
            self.see(format!("{what}:"), format!("{status} {code}"));
        }
    }

    /// What a subscription is said to be when it was made with defaults.
    async fn descriptions(&self) {
        self.clients.topic("described").await;
        self.clients.pull("described-sub", "described", |it: Subscription| it).await;
        let (_, told) = self.rest("GET", &subscription("described-sub"), &Value::Null).await;
        for (name, value) in told.as_object().unwrap() {
            self.see(format!("subscription's {name}"), value.to_string());
        }
    }
}

fn dead(attempts: i32) -> DeadLetterPolicy {
    DeadLetterPolicy::new().set_dead_letter_topic(topic("dead")).set_max_delivery_attempts(attempts)
}

fn decoded(data: &Value) -> String {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.decode(data.as_str().unwrap_or_default()).unwrap();
    String::from_utf8(data).unwrap()
}

fn header(pushed: &Pushed, name: &str) -> String {
    pushed.headers.get(name).map_or_else(|| "none".to_owned(), |value| value.to_str().unwrap().to_owned())
}

/// Seconds between pushes.
fn gaps(pushed: &[Pushed]) -> Vec<f64> {
    pushed.windows(2).map(|two| (two[1].at - two[0].at).as_secs_f64()).collect()
}

/// Whether something came after so many seconds, or much earlier.
fn within(came: Duration, seconds: u64) -> String {
    // A Pub/Sub counts from when it sent, looks for deadlines that have passed now and then, and a busy machine is late: the
    // emulator was seen to be a second early.
    if came < Duration::from_secs(seconds - 3) { format!("before {seconds} s") } else { format!("after {seconds} s") }
}

/// Whether a condition holds soon.
async fn waited(holds: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while started.elapsed() < QUIET {
        if holds() {
            return true;
        }
        sleep(LOOK).await;
    }
    holds()
}

/// Refuses so many pushes, then acknowledges.
async fn refusing(times: usize) -> Endpoint {
    let answered = AtomicUsize::new(0);
    let status = move || if answered.fetch_add(1, Ordering::Relaxed) < times { 500 } else { 204 };
    Endpoint::start(move |_| (status(), Duration::ZERO)).await
}

/// An endpoint that answers 102, and this a second later: its address, and how often it was asked.
async fn interim(then: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let arrived = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&arrived);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut bytes = vec![0; 65_536];
                if matches!(stream.read(&mut bytes).await, Ok(read) if read > 0) {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.write_all(b"HTTP/1.1 102 Processing\r\ncontent-length: 0\r\n\r\n").await;
                    sleep(Duration::from_secs(1)).await;
                    let _ = stream.write_all(then.as_bytes()).await;
                }
            });
        }
    });
    (url, arrived)
}
