//! The services of an asynchronous system, how messages go between them, and what goes wrong.

use super::super::error::{Problems, offer};
use super::super::file::{ScenarioFile, ServiceFile};
use super::super::located::Located;
use super::super::system_file::{DeadLetterFile, MemberFile, RetryFile, SubscriptionFile};
use super::super::{DeadLetter, Fault, Member, Retry, Scenario, Subscription, System, delivery_notation, notation};
use super::{known, parsed, service};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The services that tidegate carries for such systems.
const BUNDLED: [&str; 3] = ["lab-report", "email", "sms"];
/// What the run itself sets in an instance's environment, beside the platform.
const RESERVED: [&str; 5] = ["PUBSUB_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT", "PUBSUB_TOPIC", "DELIVERIES", "FAULT"];
/// Cloud Run's bound of a service's name.
const SERVICE_NAME_MAX: usize = 49;
/// Pub/Sub's bounds (docs.cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1, read 2026-11-22).
const ACK_DEADLINE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));
const BACKOFF_MAX: Duration = Duration::from_mins(10);
const BACKOFF_MIN_DEFAULT: Duration = Duration::from_secs(10);
const ATTEMPTS: (u32, u32) = (5, 100);
const ATTEMPTS_DEFAULT: u32 = 5;
const RESOURCE_NAME: (usize, usize) = (3, 255);
const ACCOUNT_NAME: (usize, usize) = (6, 30);

pub(super) fn system(file: &ScenarioFile, scenario: &Scenario, problems: &mut Problems) -> Option<System> {
    let Some((_, first)) = file.services.first_key_value() else {
        without_services(file, problems);
        return None;
    };
    if let Some(service) = &file.service {
        problems.add(service.at, "`service` and `services` stand together", "keep one of the two");
    }
    let topics = topics(&file.topics, problems);
    let names: Vec<&str> = file.services.keys().map(String::as_str).collect();
    let (host_cores_per_vcpu, time_factor) = service::scale(file.local.as_ref(), problems);
    let services = file
        .services
        .iter()
        .filter_map(|(name, written)| Some((name.clone(), member(name, written, &topics, problems)?)))
        .map(|(name, mut member)| {
            (member.service.host_cores_per_vcpu, member.service.time_factor) = (host_cores_per_vcpu, time_factor);
            (name, member)
        })
        .collect();
    let subscriptions = file
        .subscriptions
        .iter()
        .map(|(name, written)| (name.clone(), subscription(name, written, (&topics, &names), problems)))
        .collect();
    let faults = faults(&file.faults, &names, scenario, problems);
    let Some(front) = &file.front else {
        let hint = "add `front: …` with the service that the journeys are sent to";
        problems.add(first.at, "beside `services` the key `front` is missing", hint);
        return None;
    };
    known("service", front, &names, problems);
    let closed = file.services.get(&front.value).and_then(|written| written.value.invokers.as_ref());
    if closed.is_some() {
        let message = format!("the journeys are sent to `{}` without a token", front.value);
        problems.add(front.at, message, "leave out its `invokers`: everybody may call it then");
    }
    let front = front.value.clone();
    let topics = topics.into_iter().map(str::to_owned).collect();
    Some(System { services, front, topics, subscriptions, faults, host_cores_per_vcpu, time_factor })
}

/// What only has a meaning beside `services`.
fn without_services(file: &ScenarioFile, problems: &mut Problems) {
    let strays = [
        ("front", file.front.as_ref().map(|front| front.at)),
        ("topics", file.topics.first().map(|topic| topic.at)),
        ("subscriptions", file.subscriptions.values().next().map(|subscription| subscription.at)),
        ("faults", file.faults.first().map(|fault| fault.at)),
    ];
    for (key, at) in strays {
        if let Some(at) = at {
            problems.add(
                at,
                format!("`{key}` stands here without `services`"),
                "name the services it speaks of in `services`",
            );
        }
    }
}

fn topics<'a>(written: &'a [Located<String>], problems: &mut Problems) -> Vec<&'a str> {
    let mut topics = Vec::new();
    for topic in written {
        check_resource_name(topic, "topic", problems);
        if topics.contains(&topic.value.as_str()) {
            problems.add(topic.at, format!("the topic `{}` stands here twice", topic.value), "keep one of the two");
        } else {
            topics.push(topic.value.as_str());
        }
    }
    topics
}

/// Pub/Sub's rule of names.
fn check_resource_name(name: &Located<String>, noun: &str, problems: &mut Problems) {
    let text = name.value.as_str();
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.~+%".contains(c);
    let (least, most) = RESOURCE_NAME;
    if !text.starts_with(|c: char| c.is_ascii_alphabetic())
        || !text.chars().all(legal)
        || !(least..=most).contains(&text.len())
        || text.starts_with("goog")
    {
        problems.add(
            name.at,
            format!("`{text}` cannot be the name of a {noun}"),
            format!("use {least} to {most} letters, digits and `-_.~+%`, starting with a letter and not with `goog`"),
        );
    }
}

/// Google's rule of service accounts' names (docs.cloud.google.com/iam/docs/service-accounts-create, read 2026-11-30); an email
/// is taken as it is.
fn check_account(account: &Located<String>, problems: &mut Problems) {
    let (least, most) = ACCOUNT_NAME;
    let text = account.value.as_str();
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(legal)
        && !text.ends_with('-')
        && (least..=most).contains(&text.len());
    let is_email = text.chars().all(|c| c.is_ascii_graphic())
        && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if !is_name && !is_email {
        let hint = format!("use {least} to {most} lower-case letters, digits and hyphens, or the account's email");
        problems.add(account.at, format!("`{text}` cannot be the name of a service account"), hint);
    }
}

fn member(name: &str, written: &Located<MemberFile>, topics: &[&str], problems: &mut Problems) -> Option<Member> {
    let file = &written.value;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(legal)
        || name.ends_with('-')
        || name.len() > SERVICE_NAME_MAX
    {
        problems.add(
            written.at,
            format!("`{name}` cannot be the name of a service"),
            format!("use lower-case letters, digits and hyphens, starting with a letter, at most {SERVICE_NAME_MAX}"),
        );
    }
    for (variable, value) in &file.env {
        if RESERVED.contains(&variable.as_str()) {
            let hint = "leave it out; `publishes`, `subscriptions` and `faults` say what it stands for";
            problems.add(value.at, format!("the run itself sets `{variable}`"), hint);
        }
    }
    if let Some(most) = &file.max_concurrency
        && !(1..=service::MAX_CONCURRENCY_LIMIT).contains(&most.value)
    {
        problems.add(
            most.at,
            format!("an instance cannot hold {} requests at once", most.value),
            "Cloud Run's max concurrency is 1 to 1000",
        );
    }
    if let Some(topic) = &file.publishes {
        known("topic", topic, topics, problems);
    }
    if let Some(path) = &file.observer
        && !path.value.starts_with('/')
    {
        problems.add(path.at, format!("`{}` is not a path", path.value), "begin it with `/`, such as `/deliveries`");
    }
    for account in file.invokers.iter().flatten() {
        check_account(account, problems);
    }
    let invokers = file.invokers.as_ref().map(|all| all.iter().map(|account| account.value.clone()).collect());
    let text = |written: &Option<Located<String>>| written.as_ref().map(|written| written.value.clone());
    let service = service::service_among(&written.at.with(as_service(file)), &BUNDLED, problems)?;
    Some(Member {
        service,
        max_concurrency: file.max_concurrency.as_ref().map(|most| most.value),
        invokers,
        publishes: text(&file.publishes),
        observer: text(&file.observer),
    })
}

/// What a service says that stands alone in its file.
fn as_service(file: &MemberFile) -> ServiceFile {
    ServiceFile {
        bundled: file.bundled.clone(),
        command: file.command.clone(),
        env: file.env.clone(),
        vcpu: file.vcpu.clone(),
        memory: file.memory.clone(),
        min_instances: file.min_instances.clone(),
        max_instances: file.max_instances.clone(),
        billing: file.billing,
        region: None,
        local: None,
    }
}

fn subscription(
    name: &str,
    written: &Located<SubscriptionFile>,
    (topics, services): (&[&str], &[&str]),
    problems: &mut Problems,
) -> Subscription {
    let SubscriptionFile { topic, push_to, push_as, ack_deadline, retry: again, dead_letter: dead, .. } =
        &written.value;
    check_resource_name(&written.at.with(name.to_owned()), "subscription", problems);
    known("topic", topic, topics, problems);
    known("service", push_to, services, problems);
    if let Some(account) = push_as {
        check_account(account, problems);
    }
    let (least, most) = ACK_DEADLINE;
    let deadline = ack_deadline.as_ref().map_or(least, |deadline| {
        let told = parsed(notation::duration(&deadline.value), deadline.at, problems);
        if told.is_some_and(|told| !(least..=most).contains(&told) || told.subsec_nanos() != 0) {
            let message = format!("Pub/Sub has no ack deadline of {}", deadline.value);
            problems.add(deadline.at, message, "give whole seconds from 10s to 600s");
        }
        told.unwrap_or(least)
    });
    Subscription {
        topic: topic.value.clone(),
        push_to: push_to.value.clone(),
        push_as: push_as.as_ref().map(|account| account.value.clone()),
        ack_deadline: deadline,
        retry: again.as_ref().map(|file| retry(file, problems)),
        dead_letter: dead.as_ref().map(|file| dead_letter(file, topic, topics, problems)),
        ordered: written.value.ordered,
        unwrapped: written.value.unwrapped,
    }
}

fn retry(file: &RetryFile, problems: &mut Problems) -> Retry {
    let mut backoff = |written: &Option<Located<String>>, default: Duration| {
        let Some(written) = written else { return default };
        let told = parsed(notation::duration(&written.value), written.at, problems);
        if told.is_some_and(|told| told > BACKOFF_MAX) {
            problems.add(written.at, format!("Pub/Sub has no backoff of {}", written.value), "give 0s to 600s");
        }
        told.unwrap_or(default)
    };
    let (min, max) = (backoff(&file.min_backoff, BACKOFF_MIN_DEFAULT), backoff(&file.max_backoff, BACKOFF_MAX));
    if min > max
        && let Some(written) = file.max_backoff.as_ref().or(file.min_backoff.as_ref())
    {
        problems.add(written.at, "the longest backoff is shorter than the first", "raise the one or lower the other");
    }
    Retry { min_backoff: min, max_backoff: max }
}

fn dead_letter(file: &DeadLetterFile, own: &Located<String>, topics: &[&str], problems: &mut Problems) -> DeadLetter {
    known("topic", &file.topic, topics, problems);
    if file.topic.value == own.value {
        let message = "dead letters would come back to the subscription that gave them up";
        problems.add(file.topic.at, message, "name another topic for them");
    }
    let (least, most) = ATTEMPTS;
    if let Some(attempts) = &file.max_attempts
        && !(least..=most).contains(&attempts.value)
    {
        let message = format!("Pub/Sub cannot give up after {} attempts", attempts.value);
        problems.add(attempts.at, message, format!("give {least} to {most}"));
    }
    let max_attempts = file.max_attempts.as_ref().map_or(ATTEMPTS_DEFAULT, |attempts| attempts.value);
    DeadLetter { topic: file.topic.value.clone(), max_attempts }
}

fn faults(written: &[Located<String>], services: &[&str], scenario: &Scenario, problems: &mut Problems) -> Vec<Fault> {
    let load: Duration = scenario.stages.iter().map(|stage| stage.duration).sum();
    let mut faults: Vec<Fault> = Vec::new();
    for text in written {
        let Some(told) = parsed(delivery_notation::fault(&text.value), text.at, problems) else { continue };
        let fault = Fault {
            text: text.value.split_whitespace().collect::<Vec<_>>().join(" "),
            service: told.service,
            kind: told.kind,
            from: told.from,
            length: told.length,
        };
        if !services.contains(&fault.service.as_str()) {
            problems.add(text.at, format!("there is no service `{}`", fault.service), offer(&fault.service, services));
        }
        // Without stages there is a problem already.
        if fault.from >= load && !load.is_zero() {
            let message = format!("`{}` begins when the load has ended, after {} s", fault.text, load.as_secs_f64());
            problems.add(text.at, message, "begin it earlier, or lengthen the stages");
        }
        let overlaps = |other: &&Fault| {
            other.service == fault.service
                && other.from < fault.from.saturating_add(fault.length)
                && fault.from < other.from.saturating_add(other.length)
        };
        if let Some(other) = faults.iter().find(overlaps) {
            let message = format!("`{}` and `{}` happen at the same time", fault.text, other.text);
            problems.add(text.at, message, "a service has one fault at a time: let the first end before the second");
        }
        faults.push(fault);
    }
    faults
}

/// The services that a subscription pushes to and that tell what was delivered.
pub(super) fn observed<'a>(
    services: &'a BTreeMap<String, Located<MemberFile>>,
    subscriptions: &BTreeMap<String, Located<SubscriptionFile>>,
) -> Vec<&'a str> {
    let pushed: BTreeSet<&str> = subscriptions.values().map(|written| written.value.push_to.value.as_str()).collect();
    let observed = services.iter().filter(|(_, written)| written.value.observer.is_some());
    observed.map(|(name, _)| name.as_str()).filter(|name| pushed.contains(name)).collect()
}
