//! Where the APIs are, how patient their client is, and what time it is: everything that differs between Google and a
//! local platform, and nothing else does.

use jiff::Timestamp;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// Google's address of Cloud Run Admin v2.
const ADMIN: &str = "https://run.googleapis.com";
/// Google's address of Cloud Monitoring v3.
const MONITORING: &str = "https://monitoring.googleapis.com";

/// Where the APIs are, and which service is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Base address of both APIs on the local platform, such as `http://127.0.0.1:8089`, asked without credentials;
    /// `None` for Google's own, with Application Default Credentials.
    pub local: Option<String>,
    /// Project.
    pub project: String,
    /// Region.
    pub region: String,
    /// Service.
    pub service: String,
}

/// How patient the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How often a request is sent at most while the answer is 429, 500, 503, 504 or none.
    pub attempts: u32,
    /// Before the second attempt, at most; doubles from attempt to attempt. Above zero.
    pub retry_delay: Duration,
    /// Between two attempts, at most; not below `retry_delay`.
    pub retry_delay_max: Duration,
    /// An attempt without an answer for this long has failed.
    pub attempt_timeout: Duration,
    /// Between the first two looks at an operation, at most; doubles from look to look. Above zero.
    pub operation_delay: Duration,
    /// Between two looks at an operation, at most; not below `operation_delay`.
    pub operation_delay_max: Duration,
    /// An operation that has not ended after this long is given up.
    pub operation_limit: Duration,
}

/// Time as the client sees it, so that a test of minutes takes none.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Comes back after `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The host's clock: a time of day read once by whoever may, then moved on by the runtime's steady clock.
#[derive(Clone, Copy, Debug)]
pub struct SteadyClock {
    origin: Timestamp,
    started: tokio::time::Instant,
}

impl SteadyClock {
    /// A clock that shows `now` at this moment.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self { origin: now, started: tokio::time::Instant::now() }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        // Saturates in the year 9999.
        self.origin.checked_add(self.started.elapsed()).unwrap_or(Timestamp::MAX)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

impl Pace {
    /// For Google's own APIs.
    pub const GOOGLE: Self = Self {
        attempts: 6,
        retry_delay: Duration::from_secs(1),
        retry_delay_max: Duration::from_secs(20),
        attempt_timeout: Duration::from_mins(1),
        operation_delay: Duration::from_secs(1),
        operation_delay_max: Duration::from_secs(5),
        // A container may take 4 minutes to listen, and more than one may be tried.
        operation_limit: Duration::from_mins(15),
    };

    /// For a platform on the same machine.
    pub const LOCAL: Self = Self {
        attempts: 5,
        retry_delay: Duration::from_millis(50),
        retry_delay_max: Duration::from_secs(1),
        attempt_timeout: Duration::from_mins(1),
        operation_delay: Duration::from_millis(20),
        operation_delay_max: Duration::from_millis(500),
        operation_limit: Duration::from_mins(5),
    };
}

impl Endpoint {
    /// How patient a client of this endpoint should be.
    #[must_use]
    pub fn pace(&self) -> Pace {
        if self.local.is_some() { Pace::LOCAL } else { Pace::GOOGLE }
    }

    /// Address of Cloud Run Admin.
    pub(super) fn admin(&self) -> &str {
        self.local.as_deref().unwrap_or(ADMIN)
    }

    /// Address of Cloud Monitoring.
    pub(super) fn monitoring(&self) -> &str {
        self.local.as_deref().unwrap_or(MONITORING)
    }

    /// Full name of the project.
    pub(super) fn project_name(&self) -> String {
        format!("projects/{}", self.project)
    }

    /// Full name of the region in the project.
    pub(super) fn location_name(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.region)
    }

    /// Full name of the service.
    pub(super) fn service_name(&self) -> String {
        format!("{}/services/{}", self.location_name(), self.service)
    }

    /// Full name of a revision.
    pub(super) fn revision_name(&self, revision: &str) -> String {
        format!("{}/revisions/{revision}", self.service_name())
    }

    /// The service and its place, for messages.
    pub(super) fn place(&self) -> String {
        format!("service {:?} (project {:?}, region {:?})", self.service, self.project, self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_steady_clock_moves_on_from_the_time_it_was_given() {
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let clock = SteadyClock::starting_at(noon);
        clock.sleep(Duration::from_mins(10)).await;
        assert_eq!(clock.now(), noon + Duration::from_mins(10));
    }

    #[test]
    fn names_are_google_s() {
        let name = |text: &str| text.to_owned();
        let endpoint = Endpoint { local: None, project: name("p"), region: name("r"), service: name("s") };
        assert_eq!(endpoint.revision_name("s-1"), "projects/p/locations/r/services/s/revisions/s-1");
        assert_eq!((endpoint.admin(), endpoint.monitoring()), (ADMIN, MONITORING));
        assert_eq!(endpoint.pace(), Pace::GOOGLE);
        let local = Endpoint { local: Some(name("http://127.0.0.1:1")), ..endpoint };
        assert_eq!((local.admin(), local.monitoring()), ("http://127.0.0.1:1", "http://127.0.0.1:1"));
        assert_eq!(local.pace(), Pace::LOCAL);
    }
}
