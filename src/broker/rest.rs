//! The same calls over REST: Google's clients administer topics and subscriptions so, and `gcloud` publishes so.

use super::json;
use super::proto::{self, ListRequest};
use super::refusal::Refusal;
use super::registry::Registry;
use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;

/// A body may be this large: ten million bytes are a third more in base64.
const BODY_BYTES_MAX: usize = 16 << 20;
/// And must have arrived by then.
const BODY_TIME_MOST: Duration = Duration::from_secs(30);

/// `/v1/projects/...`
pub(super) fn router(registry: Arc<Registry>) -> Router {
    Router::new().route("/v1/{*path}", routing::any(call)).with_state(registry)
}

async fn call(
    State(registry): State<Arc<Registry>>,
    Path(path): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let method = request.method().clone();
    let body = match body(request).await {
        Ok(body) => body,
        Err((refusal, too_large)) => {
            if too_large && path.ends_with(":publish") {
                registry.context.publishes.not_read();
            }
            return refusal;
        }
    };
    let call = Call { registry: &registry, path: &path, query: &query, body };
    call.answer(&method).await.map_or_else(IntoResponse::into_response, |value| Json(value).into_response())
}

/// The body, or the refusal of one that is not read, and whether it was too large.
async fn body(request: Request) -> Result<Bytes, (Response, bool)> {
    match tokio::time::timeout(BODY_TIME_MOST, to_bytes(request.into_body(), BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let too_large = std::error::Error::source(&error)
                .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
            let message = if too_large {
                format!("Request payload size exceeds the limit: {BODY_BYTES_MAX} bytes.")
            } else {
                format!("The body could not be read: {error}.")
            };
            Err((Refusal::invalid(message).into_response(), too_large))
        }
        Err(_) => {
            let message = format!("The body did not arrive within {} s.", BODY_TIME_MOST.as_secs());
            let refusal = Refusal::new(Code::DeadlineExceeded, message);
            Err(((StatusCode::REQUEST_TIMEOUT, refusal).into_response(), false))
        }
    }
}

/// The body of `generateIdToken`. Tokens always have the email, asked for or not, and there are no delegates.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GenerateIdToken {
    #[serde(default)]
    audience: String,
    #[serde(default)]
    #[expect(dead_code, reason = "taken, and always true")]
    include_email: bool,
}

struct Call<'a> {
    registry: &'a Registry,
    path: &'a str,
    query: &'a BTreeMap<String, String>,
    body: Bytes,
}

impl Call<'_> {
    async fn answer(&self, method: &Method) -> Result<Value, Refusal> {
        let (name, verb) = self.path.rsplit_once(':').unwrap_or((self.path, ""));
        let parts: Vec<&str> = name.split('/').collect();
        match (parts.as_slice(), verb) {
            (["projects", _, "topics"], "") if method == Method::GET => {
                let (topics, next_page_token) = self.registry.topics(&self.list("/topics")?).await?;
                Ok(json::write(&proto::ListTopicsResponse { topics, next_page_token }))
            }
            (["projects", _, "subscriptions"], "") if method == Method::GET => {
                let (subscriptions, next_page_token) =
                    self.registry.subscriptions(&self.list("/subscriptions")?).await?;
                Ok(json::write(&proto::ListSubscriptionsResponse { subscriptions, next_page_token }))
            }
            (["projects", _, "topics", _, "subscriptions"], "") if method == Method::GET => {
                let (subscriptions, next_page_token) =
                    self.registry.topic_subscriptions(&self.list("/subscriptions")?).await?;
                Ok(json::write(&proto::ListTopicSubscriptionsResponse { subscriptions, next_page_token }))
            }
            (["projects", _, "topics", _], _) => self.topic(method, name, verb).await,
            (["projects", _, "subscriptions", _], _) => self.subscription(method, name, verb).await,
            (["projects", _, "serviceAccounts", email], "generateIdToken") if method == Method::POST => {
                self.id_token(email)
            }
            (["projects", _, "snapshots", ..] | ["projects", _, "topics", _, "snapshots"], _) => {
                Err(Refusal::not_offered("snapshots"))
            }
            (["projects", _, "schemas", ..], _) => Err(Refusal::not_offered("schemas")),
            _ => Err(Refusal::not_found(format!("The broker has no path {:?}.", self.path))),
        }
    }

    /// What `iamcredentials.googleapis.com` is asked by whoever calls a private service as a service account. Everybody who
    /// reaches the broker may be any of them here: the tokens open nothing but what trusts this broker's keys.
    fn id_token(&self, email: &str) -> Result<Value, Refusal> {
        let GenerateIdToken { audience, .. } = self.read()?;
        if audience.is_empty() || !email.contains('@') {
            return Err(Refusal::invalid("A token needs an audience, and the email of a service account.".to_owned()));
        }
        let context = &self.registry.context;
        let made = context.signer.fresh(&audience, email, context.now());
        made.map(|token| json!({"token": token})).map_err(|error| Refusal::new(Code::Internal, error.to_string()))
    }

    async fn topic(&self, method: &Method, name: &str, verb: &str) -> Result<Value, Refusal> {
        match (method.as_str(), verb) {
            ("PUT", "") => {
                let topic = proto::Topic { name: name.to_owned(), ..self.read()? };
                self.registry.create_topic(topic).await.map(|topic| json::write(&topic))
            }
            ("GET", "") => self.registry.topic(name).await.map(|topic| json::write(&topic)),
            ("PATCH", "") => {
                let mut request: proto::UpdateTopicRequest = self.read()?;
                name.clone_into(&mut request.topic.get_or_insert_default().name);
                self.registry.update_topic(request).await.map(|topic| json::write(&topic))
            }
            ("DELETE", "") => self.registry.delete_topic(name).await.map(empty),
            ("POST", "publish") => {
                let publishes = &self.registry.context.publishes;
                let read = self.read().inspect_err(|refusal| publishes.refused(refusal))?;
                let request = proto::PublishRequest { topic: name.to_owned(), ..read };
                let message_ids = self.registry.publish(request).await?;
                Ok(json::write(&proto::PublishResponse { message_ids }))
            }
            _ => Err(unoffered(method, verb)),
        }
    }

    async fn subscription(&self, method: &Method, name: &str, verb: &str) -> Result<Value, Refusal> {
        let subscription = name.to_owned();
        match (method.as_str(), verb) {
            ("PUT", "") => {
                let config = proto::Subscription { name: subscription, ..self.read()? };
                self.registry.create_subscription(config).await.map(|config| json::write(&config))
            }
            ("GET", "") => self.registry.subscription(name).await.map(|config| json::write(&config)),
            ("PATCH", "") => {
                let mut request: proto::UpdateSubscriptionRequest = self.read()?;
                request.subscription.get_or_insert_default().name = subscription;
                self.registry.update_subscription(request).await.map(|config| json::write(&config))
            }
            ("DELETE", "") => self.registry.delete_subscription(name).await.map(empty),
            ("POST", "pull") => {
                let request = proto::PullRequest { subscription, ..self.read()? };
                self.registry.pull(&request).await.map(|response| json::write(&response))
            }
            ("POST", "acknowledge") => {
                let request = proto::AcknowledgeRequest { subscription, ..self.read()? };
                self.registry.acknowledge(&request).await.map(empty)
            }
            ("POST", "modifyAckDeadline") => {
                let request = proto::ModifyAckDeadlineRequest { subscription, ..self.read()? };
                self.registry.modify_ack_deadline(&request).await.map(empty)
            }
            ("POST", "modifyPushConfig") => {
                let request = proto::ModifyPushConfigRequest { subscription, ..self.read()? };
                self.registry.modify_push_config(request).await.map(empty)
            }
            ("POST", "detach") => self.registry.detach_subscription(name).await.map(empty),
            ("POST", "seek") => {
                let request = proto::SeekRequest { subscription, ..self.read()? };
                self.registry.seek(&request).await.map(|response| json::write(&response))
            }
            _ => Err(unoffered(method, verb)),
        }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        json::read(&self.body)
    }

    fn list(&self, collection: &str) -> Result<ListRequest, Refusal> {
        let query = |camel: &str, snake: &str| self.query.get(camel).or_else(|| self.query.get(snake));
        let size = query("pageSize", "page_size").filter(|size| !size.is_empty());
        let page_size = size.map_or(Ok(0), |size| {
            size.parse().map_err(|_| Refusal::invalid(format!("Invalid page size given: {size:?} (pageSize).")))
        })?;
        let page_token = query("pageToken", "page_token").cloned().unwrap_or_default();
        let parent = self.path.strip_suffix(collection).unwrap_or(self.path).to_owned();
        Ok(ListRequest { parent, page_size, page_token })
    }
}

fn empty((): ()) -> Value {
    json!({})
}

fn unoffered(method: &Method, verb: &str) -> Refusal {
    let verb = if verb.is_empty() { String::new() } else { format!(" with :{verb}") };
    Refusal::new(Code::Unimplemented, format!("The broker does not take {method}{verb} here."))
}
