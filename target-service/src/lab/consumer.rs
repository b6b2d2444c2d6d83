//! The services that tell of a report, by e-mail or by SMS: what Pub/Sub pushes is told, written down, and acknowledged.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::deliveries::Deliveries;
use super::express::{self, Thrown};
use super::fault::Fault;
use super::push::{self, Push};
use super::report::spent;
use super::settings::ConsumerSettings;
use crate::load::Load;
use crate::log::Log;

/// What the observer of deliveries asks for, when they are kept.
const DELIVERIES: &str = "/deliveries";
/// How long the last line may take to reach stdout before a crash.
const LAST_LINE: Duration = Duration::from_millis(300);

/// The service of one process.
pub(crate) struct Service {
    /// What log lines begin with: `Email Service`.
    title: String,
    /// What is sent: `email`.
    what: String,
    /// What is down in an outage: `Email server`.
    server: String,
    deliveries: Option<Deliveries>,
    fault: Option<Fault>,
    draws: Mutex<StdRng>,
    load: Load,
    log: Log,
}

impl Service {
    pub(crate) fn new(settings: &ConsumerSettings, deliveries: Option<Deliveries>, log: Log) -> Self {
        let (title, what, server) = words(&settings.name);
        Self {
            title,
            what,
            server,
            deliveries,
            fault: settings.fault,
            draws: Mutex::new(settings.fault_seed.map_or_else(StdRng::from_os_rng, StdRng::seed_from_u64)),
            load: Load::new(settings.common.knobs),
            log,
        }
    }

    /// One delivery, from its first log line to its answer.
    async fn deliver(&self, push: &Push) -> Result<Response, Thrown> {
        let _held = self.load.bear().await.map_err(|error| spent(&error))?;
        self.say(push, "trying...");
        let told = self.tell(push).await;
        match told {
            Ok(()) => {
                self.say(push, "success :-)");
                Ok(express::empty(StatusCode::NO_CONTENT))
            }
            Err(error) => {
                self.say(push, &format!("failure: {error}"));
                Ok(express::empty(StatusCode::INTERNAL_SERVER_ERROR))
            }
        }
    }

    /// Tells of a report. It has been written down when this returns without an error.
    async fn tell(&self, push: &Push) -> Result<(), String> {
        match self.fault {
            Some(Fault::Down) => return Err(format!("{} is down", self.server)),
            Some(Fault::Share(share)) if self.draws(share) => return Err(format!("{} is down", self.server)),
            Some(Fault::Slow(time)) => sleep(time).await,
            Some(Fault::Crash) => self.crash(),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Share(_)) | None => {}
        }
        self.log.say(&format!("Sending {}", self.what));
        match &self.deliveries {
            Some(deliveries) => deliveries.keep(push, Timestamp::now().as_microsecond()).await,
            None => Ok(()),
        }
    }

    fn draws(&self, share: f64) -> bool {
        self.draws.lock().unwrap_or_else(PoisonError::into_inner).random_bool(share)
    }

    /// Ends the process as a fault in its own code would. A closed stderr leaves nobody to tell.
    fn crash(&self) -> ! {
        self.log.wait(LAST_LINE);
        let _ = writeln!(std::io::stderr(), "error: crashed at a delivery, as FAULT asks");
        std::process::abort();
    }

    fn say(&self, push: &Push, what: &str) {
        self.log.say(&format!("{}: Report {} {what}", self.title, push.id));
    }

    /// What the observer gets: the deliveries after a number.
    async fn observe(&self, deliveries: &Deliveries, query: Option<&str>) -> Response {
        let after = match after(query) {
            Ok(after) => after,
            Err(message) => {
                let body = serde_json::json!({"error": message}).to_string();
                return express::json(StatusCode::BAD_REQUEST, body, None);
            }
        };
        let page = deliveries.page(after).await.map_err(|error| error.to_string());
        match page.and_then(|page| serde_json::to_string(&page).map_err(|error| error.to_string())) {
            Ok(body) => express::json(StatusCode::OK, body, None),
            Err(message) => {
                let body = serde_json::json!({"error": message}).to_string();
                express::json(StatusCode::INTERNAL_SERVER_ERROR, body, None)
            }
        }
    }
}

/// What a service of this name says of itself: the laboratory's own two as they do, any other by its name.
fn words(name: &str) -> (String, String, String) {
    match name {
        "email" | "email-service" => ("Email Service".to_owned(), "email".to_owned(), "Email server".to_owned()),
        "sms" | "sms-service" => ("SMS Service".to_owned(), "SMS".to_owned(), "SMS server".to_owned()),
        other => (other.to_owned(), other.to_owned(), format!("{other} server")),
    }
}

/// The number after which deliveries are asked for: all of them without one.
fn after(query: Option<&str>) -> Result<i64, String> {
    let written = query.unwrap_or_default().split('&').find_map(|part| part.strip_prefix("after="));
    match written.map(str::parse) {
        None => Ok(0),
        Some(Ok(number)) if number >= 0 => Ok(number),
        _ => Err("after is not a whole number; ask with the `next` of the page before, or without it".to_owned()),
    }
}

pub(crate) fn router(service: Service) -> Router {
    Router::new().fallback(serve).with_state(Arc::new(service))
}

async fn serve(State(service): State<Arc<Service>>, request: Request) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    if let Some(deliveries) = &service.deliveries
        && method == Method::GET
        && uri.path() == DELIVERIES
    {
        return service.observe(deliveries, uri.query()).await;
    }
    if method != Method::POST || !express::is_home(uri.path()) {
        return match express::json_body(request).await {
            Ok(_) => express::no_route(method.as_str(), uri.path()),
            Err(thrown) => thrown.page(),
        };
    }
    let answered = match pushed(request).await {
        Ok(push) => service.deliver(&push).await,
        Err(thrown) => Err(thrown),
    };
    answered.unwrap_or_else(|thrown| thrown.page())
}

/// The push that a request is, in either form.
async fn pushed(request: Request) -> Result<Push, Thrown> {
    if push::is_unwrapped(request.headers()) {
        let headers = request.headers().clone();
        let data = express::body(request.into_body()).await?.ok_or_else(express::too_large)?;
        return push::unwrapped(&headers, &data);
    }
    push::enveloped(express::json_body(request).await?.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_laboratorys_own_services_keep_their_words() {
        for (name, words_of_it) in [
            ("email-service", ["Email Service", "email", "Email server"]),
            ("email", ["Email Service", "email", "Email server"]),
            ("sms-service", ["SMS Service", "SMS", "SMS server"]),
            ("archive", ["archive", "archive", "archive server"]),
        ] {
            assert_eq!(words(name), words_of_it.map(str::to_owned).into(), "{name}");
        }
    }

    #[test]
    fn pages_are_asked_for_by_number() {
        assert_eq!((after(None), after(Some("")), after(Some("x=1&after=12"))), (Ok(0), Ok(0), Ok(12)));
        for wrong in ["after=", "after=-1", "after=x", "after=9223372036854775808"] {
            assert!(after(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
