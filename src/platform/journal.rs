//! What happens on the platform, told to whoever wants to log it.

use std::fmt;
use std::sync::Arc;

/// How grave an event is, in Cloud Logging's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody should look at it.
    Warning,
    /// It failed.
    Error,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How grave.
    pub severity: Severity,
    /// What, in a sentence without the names below.
    pub message: String,
    /// The service it happened to.
    pub service: Option<String>,
    /// The revision it happened to.
    pub revision: Option<String>,
    /// The number of the instance it happened to.
    pub instance: Option<u64>,
}

impl Event {
    /// Something that happened to the platform as a whole.
    #[must_use]
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self { severity, message: message.into(), service: None, revision: None, instance: None }
    }

    /// It happened to this service.
    #[must_use]
    pub fn of_service(self, service: &str) -> Self {
        Self { service: Some(service.to_owned()), ..self }
    }

    /// It happened to this revision.
    #[must_use]
    pub fn of_revision(self, revision: &str) -> Self {
        Self { revision: Some(revision.to_owned()), ..self }
    }

    /// It happened to this instance.
    #[must_use]
    pub fn of_instance(self, instance: u64) -> Self {
        Self { instance: Some(instance), ..self }
    }
}

type Listener = dyn Fn(&Event) + Send + Sync;

/// Where events go. A clone goes to the same place.
#[derive(Clone, Default)]
pub struct Journal(Option<Arc<Listener>>);

impl Journal {
    /// Hands every event to `listener`, on the thread where it happened: it should not wait.
    #[must_use]
    pub fn new(listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Tells of an event; its text is made only if somebody listens.
    pub fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(listener) = &self.0 {
            listener(&event());
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Journal" } else { "Journal (nobody listens)" })
    }
}
