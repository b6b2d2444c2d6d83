//! The broker's calls: topics, subscriptions, publishing and pulling, whichever way they came in.

use super::config::{self, Settings};
use super::context::{Context, exists, missing};
use super::handle::{Event, Handle};
use super::limits::check_messages;
use super::name::{self, DELETED_TOPIC, Kind};
use super::proto;
use super::refusal::Refusal;
use super::store::{Contents, NewMessage, Signal, SubscriptionId, SubscriptionRecord, TopicId};
use super::subscription::start;
use super::tally::Tally;
use prost_types::FieldMask;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tonic::Code;

/// The topics and subscriptions of a running broker.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) context: Arc<Context>,
    books: RwLock<Books>,
}

#[derive(Debug, Default)]
struct Books {
    topics: BTreeMap<String, Topic>,
    subscriptions: BTreeMap<String, Subscription>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Topic {
    id: TopicId,
    config: proto::Topic,
}

#[derive(Debug)]
struct Subscription {
    id: SubscriptionId,
    config: proto::Subscription,
    /// None once it is detached.
    handle: Option<Handle>,
}

impl Registry {
    /// Begins with what the store holds.
    pub(super) fn start(context: Arc<Context>, contents: Contents) -> Self {
        let mut books = Books::default();
        for topic in contents.topics {
            context.set_topic(&topic.config.name, Some(topic.id));
            books.topics.insert(topic.config.name.clone(), Topic { id: topic.id, config: topic.config });
        }
        for SubscriptionRecord { id, config, signal } in contents.subscriptions {
            let handle = (!config.detached).then(|| books.start(&context, (id, signal), &config));
            books.subscriptions.insert(config.name.clone(), Subscription { id, config, handle });
        }
        Self { context, books: RwLock::new(books) }
    }

    /// Ends the subscriptions' tasks; what they know is with the store afterwards.
    pub(super) async fn stop(&self) {
        let mut books = self.books.write().await;
        for subscription in std::mem::take(&mut books.subscriptions).into_values() {
            stop(subscription.handle).await;
        }
        let mut tasks = std::mem::take(&mut books.tasks);
        drop(books);
        while tasks.join_next().await.is_some() {}
    }

    pub(super) async fn create_topic(&self, topic: proto::Topic) -> Result<proto::Topic, Refusal> {
        let topic = config::topic(topic)?;
        let mut books = self.books.write().await;
        if books.topics.contains_key(&topic.name) {
            return Err(exists(Kind::Topic, &topic.name));
        }
        let id = self.context.store.create_topic(topic.clone()).await?;
        self.context.set_topic(&topic.name, Some(id));
        books.topics.insert(topic.name.clone(), Topic { id, config: topic.clone() });
        Ok(topic)
    }

    pub(super) async fn topic(&self, name: &str) -> Result<proto::Topic, Refusal> {
        name::check(Kind::Topic, name)?;
        let books = self.books.read().await;
        books.topics.get(name).map(|topic| topic.config.clone()).ok_or_else(|| missing(name))
    }

    pub(super) async fn update_topic(&self, request: proto::UpdateTopicRequest) -> Result<proto::Topic, Refusal> {
        let sent = request.topic.ok_or_else(|| Refusal::invalid("The topic to update is not given (topic)."))?;
        let mut books = self.books.write().await;
        let topic = books.topics.get_mut(&sent.name).ok_or_else(|| missing(&sent.name))?;
        let mut config = topic.config.clone();
        for path in paths(request.update_mask.as_ref())? {
            match path {
                "labels" => config.labels.clone_from(&sent.labels),
                "message_retention_duration" => config.message_retention_duration = sent.message_retention_duration,
                "message_storage_policy" => config.message_storage_policy.clone_from(&sent.message_storage_policy),
                "kms_key_name" => config.kms_key_name.clone_from(&sent.kms_key_name),
                "schema_settings" => config.schema_settings.clone_from(&sent.schema_settings),
                other => return Err(unchangeable("topic", other)),
            }
        }
        let config = config::topic(config)?;
        self.context.store.update_topic(topic.id, config.clone()).await?;
        topic.config = config.clone();
        Ok(config)
    }

    /// Its subscriptions stay, and deliver what they have.
    pub(super) async fn delete_topic(&self, name: &str) -> Result<(), Refusal> {
        name::check(Kind::Topic, name)?;
        let mut books = self.books.write().await;
        let id = books.topics.get(name).ok_or_else(|| missing(name))?.id;
        let orphans = books.subscriptions.values().filter(|it| it.config.topic == name);
        let orphan =
            |config: &proto::Subscription| proto::Subscription { topic: DELETED_TOPIC.to_owned(), ..config.clone() };
        let orphans = orphans.map(|it| (it.id, orphan(&it.config))).collect();
        self.context.store.delete_topic(id, orphans).await?;
        self.context.set_topic(name, None);
        books.topics.remove(name);
        for subscription in books.subscriptions.values_mut().filter(|it| it.config.topic == name) {
            DELETED_TOPIC.clone_into(&mut subscription.config.topic);
        }
        Ok(())
    }

    pub(super) async fn topics(&self, request: &proto::ListRequest) -> Result<(Vec<proto::Topic>, String), Refusal> {
        let prefix = format!("{}/topics/", name::project(&request.parent)?);
        let books = self.books.read().await;
        let all = books.topics.iter().filter(|(name, _)| name.starts_with(&prefix));
        page(all.map(|(name, topic)| (name.as_str(), &topic.config)), request)
    }

    pub(super) async fn subscriptions(
        &self,
        request: &proto::ListRequest,
    ) -> Result<(Vec<proto::Subscription>, String), Refusal> {
        let prefix = format!("{}/subscriptions/", name::project(&request.parent)?);
        let books = self.books.read().await;
        let all = books.subscriptions.iter().filter(|(name, _)| name.starts_with(&prefix));
        page(all.map(|(name, subscription)| (name.as_str(), &subscription.config)), request)
    }

    pub(super) async fn topic_subscriptions(
        &self,
        request: &proto::ListRequest,
    ) -> Result<(Vec<String>, String), Refusal> {
        name::check(Kind::Topic, &request.parent)?;
        let books = self.books.read().await;
        if !books.topics.contains_key(&request.parent) {
            return Err(missing(&request.parent));
        }
        let all = books.subscriptions.values().filter(|it| it.config.topic == request.parent);
        page(all.map(|it| (it.config.name.as_str(), &it.config.name)), request)
    }

    pub(super) async fn create_subscription(
        &self,
        mut subscription: proto::Subscription,
    ) -> Result<proto::Subscription, Refusal> {
        // Detached is what a subscription becomes, never what it begins as.
        subscription.detached = false;
        let config = config::subscription(subscription)?;
        name::check(Kind::Topic, &config.topic)?;
        let mut books = self.books.write().await;
        if books.subscriptions.contains_key(&config.name) {
            return Err(exists(Kind::Subscription, &config.name));
        }
        let topic = books.topics.get(&config.topic).ok_or_else(|| missing(&config.topic))?.id;
        let signal = Arc::new(Signal::default());
        let id = self.context.store.create_subscription(topic, config.clone(), Arc::clone(&signal)).await?;
        let handle = Some(books.start(&self.context, (id, signal), &config));
        books.subscriptions.insert(config.name.clone(), Subscription { id, config: config.clone(), handle });
        Ok(config)
    }

    pub(super) async fn subscription(&self, name: &str) -> Result<proto::Subscription, Refusal> {
        name::check(Kind::Subscription, name)?;
        let books = self.books.read().await;
        books.subscriptions.get(name).map(|it| it.config.clone()).ok_or_else(|| missing(name))
    }

    pub(super) async fn update_subscription(
        &self,
        request: proto::UpdateSubscriptionRequest,
    ) -> Result<proto::Subscription, Refusal> {
        let sent = request.subscription;
        let sent = sent.ok_or_else(|| Refusal::invalid("The subscription to update is not given (subscription)."))?;
        name::check(Kind::Subscription, &sent.name)?;
        // Under one lock from reading to writing: of two changes at a time, neither takes the other back.
        let mut books = self.books.write().await;
        let mut config = books.subscriptions.get(&sent.name).ok_or_else(|| missing(&sent.name))?.config.clone();
        for path in paths(request.update_mask.as_ref())? {
            match path {
                "ack_deadline_seconds" => config.ack_deadline_seconds = sent.ack_deadline_seconds,
                "dead_letter_policy" => config.dead_letter_policy.clone_from(&sent.dead_letter_policy),
                "enable_exactly_once_delivery" => {
                    config.enable_exactly_once_delivery = sent.enable_exactly_once_delivery;
                }
                "expiration_policy" | "expiration_policy.ttl" => {
                    config.expiration_policy.clone_from(&sent.expiration_policy);
                }
                "labels" => config.labels.clone_from(&sent.labels),
                "message_retention_duration" => config.message_retention_duration = sent.message_retention_duration,
                "push_config" => config.push_config.clone_from(&sent.push_config),
                "retain_acked_messages" => config.retain_acked_messages = sent.retain_acked_messages,
                "retry_policy" => config.retry_policy.clone_from(&sent.retry_policy),
                other => return Err(unchangeable("subscription", other)),
            }
        }
        self.configure(&mut books, config).await
    }

    pub(super) async fn modify_push_config(&self, request: proto::ModifyPushConfigRequest) -> Result<(), Refusal> {
        name::check(Kind::Subscription, &request.subscription)?;
        let mut books = self.books.write().await;
        let config = books.subscriptions.get(&request.subscription).ok_or_else(|| missing(&request.subscription))?;
        let config = proto::Subscription { push_config: request.push_config, ..config.config.clone() };
        self.configure(&mut books, config).await.map(drop)
    }

    /// Gives a subscription that is there new settings.
    async fn configure(&self, books: &mut Books, config: proto::Subscription) -> Result<proto::Subscription, Refusal> {
        let config = config::subscription(config)?;
        let subscription = books.subscriptions.get_mut(&config.name).ok_or_else(|| missing(&config.name))?;
        self.context.store.update_subscription(subscription.id, config.clone()).await?;
        subscription.config = config.clone();
        if let Some(handle) = &mut subscription.handle {
            let settings = Settings::of(config.clone(), self.context.time_factor);
            handle.settings = Arc::new(settings.clone());
            // A task that has ended is one of a subscription that is being deleted.
            let _ = handle.events.send(Event::Configured(Box::new(settings))).await;
        }
        Ok(config)
    }

    pub(super) async fn delete_subscription(&self, name: &str) -> Result<(), Refusal> {
        name::check(Kind::Subscription, name)?;
        let mut books = self.books.write().await;
        let id = books.subscriptions.get(name).ok_or_else(|| missing(name))?.id;
        self.context.store.drop_backlog(id, None).await?;
        stop(books.subscriptions.remove(name).and_then(|it| it.handle)).await;
        Ok(())
    }

    /// Its backlog is dropped, and nothing is delivered to it any more; only its name stays.
    pub(super) async fn detach_subscription(&self, name: &str) -> Result<(), Refusal> {
        name::check(Kind::Subscription, name)?;
        let mut books = self.books.write().await;
        let subscription = books.subscriptions.get_mut(name).ok_or_else(|| missing(name))?;
        let mut config = subscription.config.clone();
        config.detached = true;
        self.context.store.drop_backlog(subscription.id, Some(config.clone())).await?;
        subscription.config = config;
        stop(subscription.handle.take()).await;
        Ok(())
    }

    /// Keeps the messages for every subscription of the topic; once this has answered, no crash loses them. A refusal is counted.
    pub(super) async fn publish(&self, request: proto::PublishRequest) -> Result<Vec<String>, Refusal> {
        let kept = self.keep(request).await;
        kept.inspect_err(|refusal| self.context.publishes.refused(refusal))
    }

    async fn keep(&self, request: proto::PublishRequest) -> Result<Vec<String>, Refusal> {
        name::check(Kind::Topic, &request.topic)?;
        let topic = self.context.topic(&request.topic).ok_or_else(|| missing(&request.topic))?;
        check_messages(&request)?;
        let messages = request.messages.into_iter().map(|mut message| {
            // Both are the broker's to give.
            message.message_id.clear();
            message.publish_time = None;
            NewMessage::of(&message)
        });
        let ids = self.context.store.publish(topic, self.context.now(), messages.collect()).await?;
        Ok(ids.into_iter().map(|id| id.0.to_string()).collect())
    }

    /// The handle of a subscription that delivers.
    pub(super) async fn handle(&self, name: &str) -> Result<Handle, Refusal> {
        name::check(Kind::Subscription, name)?;
        let books = self.books.read().await;
        let subscription = books.subscriptions.get(name).ok_or_else(|| missing(name))?;
        subscription.handle.clone().ok_or_else(|| {
            Refusal::new(Code::FailedPrecondition, format!("The subscription {name:?} is detached from its topic."))
        })
    }

    /// Every subscription that delivers, by name.
    pub(super) async fn handles(&self) -> Vec<(String, Handle)> {
        let books = self.books.read().await;
        let handles = books.subscriptions.iter();
        handles.filter_map(|(name, it)| Some((name.clone(), it.handle.clone()?))).collect()
    }
}

impl Books {
    fn start(
        &mut self,
        context: &Arc<Context>,
        record: (SubscriptionId, Arc<Signal>),
        config: &proto::Subscription,
    ) -> Handle {
        // Tasks that have ended are those of subscriptions that are gone.
        while self.tasks.try_join_next().is_some() {}
        let settings = Arc::new(Settings::of(config.clone(), context.time_factor));
        start(Arc::clone(context), record, settings, Arc::new(Tally::since(context.now())), &mut self.tasks)
    }
}

/// Ends a subscription's task.
async fn stop(handle: Option<Handle>) {
    if let Some(handle) = handle {
        // One that has ended needs not be told.
        let _ = handle.events.send(Event::Stop).await;
    }
}

fn paths(mask: Option<&FieldMask>) -> Result<impl Iterator<Item = &str>, Refusal> {
    let mask = mask.filter(|mask| !mask.paths.is_empty());
    let mask = mask.ok_or_else(|| Refusal::invalid("The fields to update are not named (updateMask)."))?;
    Ok(mask.paths.iter().map(String::as_str))
}

fn unchangeable(kind: &str, path: &str) -> Refusal {
    Refusal::invalid(format!(
        "Invalid update_mask provided in the UpdateRequest: {path:?} is no field of a {kind} that can be changed."
    ))
}

/// Resources of one page unless the request says otherwise.
const PAGE: usize = 100;
/// Resources of one page, at most.
const PAGE_MAX: usize = 1_000;

/// One page of sorted resources, and the token of the next: the last name of this one.
fn page<'a, T: Clone + 'a>(
    all: impl Iterator<Item = (&'a str, &'a T)>,
    request: &proto::ListRequest,
) -> Result<(Vec<T>, String), Refusal> {
    let size = match usize::try_from(request.page_size) {
        Ok(0) => PAGE,
        Ok(size) => size.min(PAGE_MAX),
        Err(_) => return Err(Refusal::invalid(format!("Invalid page size given: {} (pageSize).", request.page_size))),
    };
    let mut rest = all.filter(|(name, _)| *name > request.page_token.as_str()).peekable();
    let (mut page, mut last) = (Vec::new(), String::new());
    for (name, resource) in rest.by_ref().take(size) {
        page.push(resource.clone());
        name.clone_into(&mut last);
    }
    let token = if rest.peek().is_some() { last } else { String::new() };
    Ok((page, token))
}
