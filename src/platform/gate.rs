//! Who may call a service: the check before a request is let to a revision, by the ID token that it carries
//! (docs.cloud.google.com/run/docs/authenticating/service-to-service, read 2026-11-30).

use super::forward::{Answer, forbidden};
use super::journal::{Event, Journal, Severity};
use super::keyring::Keyring;
use super::revision::lock;
use super::spec::{Access, Invokers};
use crate::identity::{Audiences, Claims, TokenError};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// Looked at instead of `Authorization` where there are both.
static X_SERVERLESS_AUTHORIZATION: HeaderName = HeaderName::from_static("x-serverless-authorization");
/// What is said of every token that is not valid, whatever is wrong with it: so Cloud Run was seen to answer.
const INVALID: HeaderValue = HeaderValue::from_static(
    "Bearer error=\"invalid_token\" error_description=\"The access token could not be verified\"",
);

/// The gates of all services.
pub(super) struct Gates {
    keyring: Option<Arc<Keyring>>,
    journal: Journal,
    of_services: Mutex<BTreeMap<String, Arc<Gate>>>,
}

impl Gates {
    /// With these keys tokens are checked; without any no token is valid.
    pub(super) fn new(keyring: Option<Keyring>, journal: Journal) -> Self {
        Self { keyring: keyring.map(Arc::new), journal, of_services: Mutex::default() }
    }

    /// Whether there are keys to check tokens with.
    pub(super) fn have_keys(&self) -> bool {
        self.keyring.is_some()
    }

    /// The gate of a service; an open one if it has had none.
    pub(super) fn of(&self, service: &str) -> Arc<Gate> {
        let new = || {
            Arc::new(Gate {
                service: service.to_owned(),
                address: OnceLock::new(),
                is_open: AtomicBool::new(true),
                invokers: Mutex::default(),
                keyring: self.keyring.clone(),
                journal: self.journal.clone(),
            })
        };
        Arc::clone(lock(&self.of_services).entry(service.to_owned()).or_insert_with(new))
    }

    /// Sets who may call a service, at once.
    pub(super) fn admit(&self, service: &str, access: Access) {
        self.of(service).admit(access);
    }

    /// Forgets a service that is deleted.
    pub(super) fn remove(&self, service: &str) {
        lock(&self.of_services).remove(service);
    }
}

/// The gate of a service, with its tags.
pub(super) struct Gate {
    service: String,
    /// The service's own address: tokens are for it, those for a tag too.
    address: OnceLock<String>,
    is_open: AtomicBool,
    invokers: Mutex<Arc<Invokers>>,
    keyring: Option<Arc<Keyring>>,
    journal: Journal,
}

/// Why a request is not let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Denied {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("{0} may not call the service")]
    Stranger(String),
}

impl Gate {
    /// Where the service answers.
    pub(super) fn stands_at(&self, address: String) {
        let _ = self.address.set(address);
    }

    fn admit(&self, access: Access) {
        match access {
            Access::Everyone => self.is_open.store(true, Ordering::Release),
            Access::Only(invokers) => {
                *lock(&self.invokers) = Arc::new(invokers);
                self.is_open.store(false, Ordering::Release);
            }
        }
    }

    /// Whether everybody may pass.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// The answer to a request that may not pass a gate which is not open.
    pub(super) async fn refuse(&self, headers: &HeaderMap, path: &str) -> Option<Response<Answer>> {
        let denied = self.check(headers).await.err()?;
        self.journal.tell(|| Event::new(Severity::Warning, format!("refused: {denied}")).of_service(&self.service));
        Some(match denied {
            // Cloud Run takes a request without a token for one of somebody who may not call.
            Denied::Stranger(_) | Denied::Token(TokenError::Missing) => forbidden(StatusCode::FORBIDDEN, path),
            Denied::Token(_) => {
                let mut answer = forbidden(StatusCode::UNAUTHORIZED, path);
                answer.headers_mut().insert(WWW_AUTHENTICATE, INVALID);
                answer
            }
        })
    }

    async fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let header = headers.get(&X_SERVERLESS_AUTHORIZATION).or_else(|| headers.get(AUTHORIZATION));
        let header = header.ok_or(TokenError::Missing)?.to_str().ok();
        let Some(keyring) = &self.keyring else {
            return Err(TokenError::Invalid("the platform has no --identity-keys to check it with".to_owned()).into());
        };
        let invokers = Arc::clone(&lock(&self.invokers));
        let address = self.address.get().map(String::as_str);
        let claims = keyring.check(header, Audiences { address, custom: &invokers.custom_audiences }).await?;
        if may_call(&invokers, &claims) { Ok(()) } else { Err(Denied::Stranger(claims.email)) }
    }
}

/// Whether a policy's members hold this account. Groups and domains are not known here and hold nobody.
fn may_call(invokers: &Invokers, claims: &Claims) -> bool {
    let member = |kind: &str| invokers.members.contains(&format!("{kind}:{}", claims.email));
    let named = claims.email_verified && (member("serviceAccount") || member("user"));
    named || invokers.members.contains("allAuthenticatedUsers")
}
