//! What can go wrong with Google's APIs, in words that say what, where and how to mend it. Messages are made of what the
//! servers said and of names; headers, and with them credentials and tokens, never get here.

use google_cloud_gax::client_builder::Error as BuildError;
use google_cloud_gax::error::Error as ApiError;
use google_cloud_gax::error::rpc::{Code, StatusDetails};
use std::time::Duration;

/// Longest part of a server's message that is shown.
const MESSAGE_CHARS_MAX: usize = 400;

/// Role that allows deploying a service that runs as another account; granted on that account.
const ACT_AS_ROLE: &str = "roles/iam.serviceAccountUser";

/// Why the cloud could not do what was asked. `what` names the action, the object and its place.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CloudError {
    /// There are no credentials, or they cannot be used.
    #[error(
        "failed to sign in to Google Cloud: {cause}; run `gcloud auth application-default login`, or let GOOGLE_APPLICATION_CREDENTIALS name a credentials file"
    )]
    Credentials {
        /// What the credentials library said.
        cause: String,
    },
    /// A client could not be built.
    #[error("failed to prepare the client of {endpoint}: {cause}; check the address")]
    Client {
        /// Address.
        endpoint: String,
        /// Why.
        cause: String,
    },
    /// 403: the account lacks a role.
    #[error("failed to {what}: permission denied ({message}); grant the role {role} to the account you signed in with")]
    PermissionDenied {
        /// The action.
        what: String,
        /// The role that allows it.
        role: &'static str,
        /// What the server said.
        message: String,
    },
    /// 403: the API is not switched on.
    #[error("failed to {what}: the API is not enabled ({message}); run `gcloud services enable {api}`")]
    ApiDisabled {
        /// The action.
        what: String,
        /// The API's name.
        api: String,
        /// What the server said.
        message: String,
    },
    /// 404.
    #[error("failed to {what}: not found ({message}); check project, region and service")]
    NotFound {
        /// The action.
        what: String,
        /// What the server said.
        message: String,
    },
    /// 409: the name is in use.
    #[error("failed to {what}: the name is taken ({message}); choose another")]
    NameTaken {
        /// The action.
        what: String,
        /// What the server said.
        message: String,
    },
    /// 429, after every retry.
    #[error("failed to {what}: quota exhausted ({message}); wait a minute, or ask for a higher quota of the project")]
    Quota {
        /// The action.
        what: String,
        /// What the server said.
        message: String,
    },
    /// 500, 503 or 504, after every retry.
    #[error("failed to {what}: the service is unavailable ({message}); try again later")]
    Unavailable {
        /// The action.
        what: String,
        /// What the server said.
        message: String,
    },
    /// No answer at all, after every retry.
    #[error("failed to {what}: {endpoint} cannot be reached ({cause}); check the address, the network and any proxy")]
    Unreachable {
        /// The action.
        what: String,
        /// Address.
        endpoint: String,
        /// Why.
        cause: String,
    },
    /// An answer that is none.
    #[error("failed to {what}: the answer cannot be understood ({cause}); is there really a Google API at {endpoint}?")]
    Unintelligible {
        /// The action.
        what: String,
        /// Address.
        endpoint: String,
        /// Why.
        cause: String,
    },
    /// Any other refusal.
    #[error("failed to {what}: refused ({message})")]
    Refused {
        /// The action.
        what: String,
        /// What the server said.
        message: String,
    },
    /// An operation that did not end in time.
    #[error("failed to {what}: the operation did not end within {limit:?}; see the service's page in the console")]
    TooLong {
        /// The action.
        what: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The service is being changed.
    #[error("service {service:?} is being changed right now; wait until it is ready, then try again")]
    Reconciling {
        /// The service.
        service: String,
    },
    /// Nothing serves.
    #[error("service {service:?} has no ready revision ({message}); deploy one that starts, then try again")]
    NoReadyRevision {
        /// The service.
        service: String,
        /// What its condition says.
        message: String,
    },
    /// The newest revision, whose template every candidate would copy, does not start.
    #[error(
        "the newest revision {revision:?} of service {service:?} is not ready ({message}); candidates would copy its template: deploy one that starts, then try again"
    )]
    NewestNotReady {
        /// The service.
        service: String,
        /// Its newest revision.
        revision: String,
        /// What its condition says.
        message: String,
    },
    /// A candidate's revision did not start.
    #[error("revision {revision:?} did not become ready: {message}")]
    NotReady {
        /// The revision.
        revision: String,
        /// What the operation or the revision's condition says.
        message: String,
    },
    /// A tag without an address.
    #[error("tag {tag:?} of revision {revision:?} has no address; look at the traffic of the service")]
    NoAddress {
        /// The revision.
        revision: String,
        /// The tag.
        tag: String,
    },
    /// Template or traffic are neither what they were nor what tidegate made of them.
    #[error(
        "service {service:?} was changed by somebody else during the study: {change}; what was measured is saved, and nothing of theirs was overwritten: begin a new study when they are done"
    )]
    ChangedByOthers {
        /// The service.
        service: String,
        /// What they changed.
        change: String,
    },
    /// Undoing was accepted, yet the service is not what it was.
    #[error(
        "service {service:?} was not put back: {difference}; compare it with the saved original and mend it by hand"
    )]
    NotRestored {
        /// The service.
        service: String,
        /// What differs.
        difference: String,
    },
    /// Monitoring holds nothing about the revision.
    #[error(
        "Cloud Monitoring holds no billed time of revision {revision:?} {waited:?} after the end of the load; check project, region and service, and that requests reached the revision"
    )]
    NoPoints {
        /// The revision.
        revision: String,
        /// Since the end of the load.
        waited: Duration,
    },
    /// Billing goes on and on.
    #[error(
        "revision {revision:?} was still billed {waited:?} after the end of the load; something else sends requests to it"
    )]
    Unsettled {
        /// The revision.
        revision: String,
        /// Since the end of the load.
        waited: Duration,
    },
}

/// What was asked of which API: all that an error needs besides the API's own words.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    /// Action, object and place, to stand after "failed to".
    pub(super) what: String,
    /// Address of the API.
    pub(super) endpoint: &'a str,
    /// Role that allows the action.
    pub(super) role: &'static str,
    /// How long an operation is waited for.
    pub(super) limit: Duration,
}

impl CloudError {
    /// True when the same question may well be answered a little later.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Quota { .. } | Self::Unavailable { .. })
    }

    /// From an error while a client was built.
    pub(super) fn from_build(error: &BuildError, endpoint: &str) -> Self {
        let cause = chain(error);
        if error.is_default_credentials() {
            Self::Credentials { cause }
        } else {
            Self::Client { endpoint: endpoint.to_owned(), cause }
        }
    }

    /// From an API's answer, or from the lack of one.
    pub(super) fn from_api(error: &ApiError, asked: Asked<'_>) -> Self {
        let Asked { what, endpoint, role, limit } = asked;
        let endpoint = endpoint.to_owned();
        if error.is_authentication() {
            return Self::Credentials { cause: root(error) };
        }
        if error.is_exhausted() {
            return Self::TooLong { what, limit };
        }
        if error.is_deserialization() {
            return Self::Unintelligible { what, endpoint, cause: chain(error) };
        }
        let Some(kind) = kind_of(error) else {
            return Self::Unreachable { what, endpoint, cause: chain(error) };
        };
        let message = message_of(error);
        match kind {
            Kind::Denied if disabled(error) => {
                let api = endpoint.trim_start_matches("https://").to_owned();
                Self::ApiDisabled { what, api, message }
            }
            // Deploying acts as the service's own account, which is a right of its own.
            Kind::Denied if message.contains("iam.serviceaccounts.actAs") => {
                Self::PermissionDenied { what, role: ACT_AS_ROLE, message }
            }
            Kind::Denied => Self::PermissionDenied { what, role, message },
            Kind::SignIn => Self::Credentials { cause: message },
            Kind::Missing => Self::NotFound { what, message },
            Kind::Taken => Self::NameTaken { what, message },
            Kind::Quota => Self::Quota { what, message },
            Kind::Down => Self::Unavailable { what, message },
            Kind::Refused => Self::Refused { what, message },
        }
    }
}

/// The families of refusals that a reader mends in different ways.
enum Kind {
    Denied,
    SignIn,
    Missing,
    Taken,
    Quota,
    Down,
    Refused,
}

/// The family of an answer; `None` when there was no answer.
fn kind_of(error: &ApiError) -> Option<Kind> {
    if error.is_binding() {
        return Some(Kind::Refused);
    }
    // The body's own code is more exact than the status line: 409 is both "exists" and "aborted".
    let by_code = error.status().and_then(|status| match status.code {
        Code::PermissionDenied => Some(Kind::Denied),
        Code::Unauthenticated => Some(Kind::SignIn),
        Code::NotFound => Some(Kind::Missing),
        Code::AlreadyExists => Some(Kind::Taken),
        Code::ResourceExhausted => Some(Kind::Quota),
        Code::Unavailable | Code::Internal | Code::DeadlineExceeded => Some(Kind::Down),
        Code::Unknown => None,
        _ => Some(Kind::Refused),
    });
    by_code.or_else(|| {
        error.http_status_code().map(|status| match status {
            401 => Kind::SignIn,
            403 => Kind::Denied,
            404 => Kind::Missing,
            409 => Kind::Taken,
            429 => Kind::Quota,
            500..=599 => Kind::Down,
            _ => Kind::Refused,
        })
    })
}

/// Whether a refusal means that the project has not switched the API on.
fn disabled(error: &ApiError) -> bool {
    let details = error.status().map(|status| status.details.as_slice()).unwrap_or_default();
    details.iter().any(|detail| matches!(detail, StatusDetails::ErrorInfo(info) if info.reason == "SERVICE_DISABLED"))
}

/// What the server said, else the status line.
pub(super) fn message_of(error: &ApiError) -> String {
    if let Some(status) = error.status() {
        return brief(&format!("{}: {}", status.code.name(), status.message));
    }
    match error.http_status_code() {
        Some(status) => format!("HTTP status {status}"),
        None => chain(error),
    }
}

/// An error with its causes, without repeating a cause that the text above it already quotes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    brief(&text)
}

/// The cause at the bottom of an error. Above it the credentials library only tells its layers, which a reader cannot
/// mend; the request that failed is one of them, and it names the server.
fn root(error: &dyn std::error::Error) -> String {
    let causes: Vec<_> = std::iter::successors(Some(error), |inner| inner.source()).map(ToString::to_string).collect();
    let request = causes.iter().find(|text| text.starts_with("error sending request"));
    let bottom = causes.last().map(String::as_str).unwrap_or_default();
    match request {
        Some(request) if request != bottom => brief(&format!("{request}: {bottom}")),
        _ => brief(bottom),
    }
}

/// One line of bounded length: a proxy may answer with a whole page.
pub(super) fn brief(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with another below it.
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn of_a_failed_sign_in_only_the_request_and_its_cause_are_told() {
        let layers = ["token cache: no token", "error sending request for url (http://a/token)", "connect", "refused"];
        let error = layers.into_iter().rev().fold(None, |below, text| Some(Box::new(Layer(text, below)))).unwrap();
        assert_eq!(root(&*error), "error sending request for url (http://a/token): refused");
        assert_eq!(root(&Layer("no such file", None)), "no such file");
        assert_eq!(chain(&*error), layers.join(": "));
    }

    #[test]
    fn a_page_instead_of_a_message_becomes_one_short_line() {
        let page = format!("<html>\n  <body>{}</body>\n</html>", "ü".repeat(5000));
        let line = brief(&page);
        assert!(line.starts_with("<html> <body>ü"));
        assert_eq!(line.chars().count(), MESSAGE_CHARS_MAX + 1);
        assert_eq!(brief("quota  exceeded\n"), "quota exceeded");
    }
}
