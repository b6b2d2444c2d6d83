//! Reads what a consumer says was delivered to it, page by page, into the ledger.

use super::access::{Issuer, Pass};
use crate::driver::Posts;
use crate::scenario::{Ids, Scenario};
use crate::trial::Arrived;
use jiff::Timestamp;
use serde::Deserialize;
use std::time::Duration;

/// How often is looked while deliveries are waited for: often enough to end soon, seldom enough not to be a load.
pub(super) const EVERY: Duration = Duration::from_millis(500);
/// How long after the last delivery further ones are still counted, as duplicates.
pub(super) const AFTERWARDS: Duration = Duration::from_millis(1500);
/// A page that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pages in a row: more is an observer that goes in circles.
const PAGES_MAX: u32 = 10_000;

/// Those of the scenario's consumers whose observers are at these addresses, as (consumer, address); `issuer` makes the tokens
/// that private ones are asked with.
pub(super) fn all(scenario: &Scenario, addresses: &[(String, String)], issuer: Option<&Issuer>) -> Vec<Observer> {
    let (Some(delivery), Some(ids)) = (&scenario.delivery, scenario.report_ids()) else { return Vec::new() };
    // Nothing between a host and itself.
    let client = reqwest::Client::builder().no_proxy().build().unwrap_or_default();
    let observer = |(place, name): (usize, &String)| {
        let (_, address) = addresses.iter().find(|(consumer, _)| consumer == name)?;
        let pass = issuer.map(|issuer| issuer.pass(address));
        Some(Observer::new((place, name), (address.clone(), pass), client.clone(), ids))
    };
    delivery.consumers.iter().enumerate().filter_map(observer).collect()
}

/// One consumer's.
#[derive(Debug)]
pub(super) struct Observer {
    /// Index in the ledger.
    consumer: usize,
    pub(super) name: String,
    address: String,
    /// How a private consumer is asked.
    pass: Option<Pass>,
    client: reqwest::Client,
    ids: Ids,
    next: i64,
}

#[derive(Deserialize)]
struct Page {
    next: i64,
    deliveries: Vec<Told>,
}

/// One delivery; what else the page says of it is not needed.
#[derive(Deserialize)]
struct Told {
    id: String,
    key: Option<String>,
    done_unix_us: i64,
}

impl Observer {
    pub(super) fn new(
        (consumer, name): (usize, &str),
        (address, pass): (String, Option<Pass>),
        client: reqwest::Client,
        ids: Ids,
    ) -> Self {
        Self { consumer, name: name.to_owned(), address, pass, client, ids, next: 0 }
    }

    /// Reads what is new, and tells `posts`, whose load started at `started`.
    ///
    /// # Errors
    /// In words, when the consumer does not tell. What was read before is told.
    pub(super) async fn read(&mut self, started: Timestamp, posts: &Posts) -> Result<(), String> {
        for _ in 0..PAGES_MAX {
            let page = self.page().await.map_err(|cause| {
                format!("what was delivered to {} could not be read from {}: {cause}", self.name, self.address)
            })?;
            if page.deliveries.is_empty() {
                return Ok(());
            }
            if page.next <= self.next {
                return Err(format!("{} goes in circles: after {} comes {}", self.address, self.next, page.next));
            }
            self.next = page.next;
            let origin = started.as_microsecond();
            posts.with(|ledger| {
                for told in &page.deliveries {
                    // Before the load: another clock, or another run's.
                    let since = u64::try_from(told.done_unix_us.saturating_sub(origin)).unwrap_or(0);
                    let (number, key) = (self.ids.number(&told.id), told.key.as_deref());
                    ledger.deliver(self.consumer, &Arrived { number, at: Duration::from_micros(since), key });
                }
            });
        }
        Err(format!("{} has more than {PAGES_MAX} pages", self.address))
    }

    async fn page(&mut self) -> Result<Page, String> {
        let joint = if self.address.contains('?') { '&' } else { '?' };
        let request = self.client.get(format!("{}{joint}after={}", self.address, self.next)).timeout(PATIENCE);
        let request = match &mut self.pass {
            Some(pass) => request.bearer_auth(pass.token().await?),
            None => request,
        };
        let answer = request.send().await.map_err(|error| told(&error))?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        answer.json().await.map_err(|error| format!("it answers something else than deliveries ({})", told(&error)))
    }
}

/// An error with its cause, which says more.
fn told(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
