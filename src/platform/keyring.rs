//! The public keys of those who may make ID tokens: read at the start, and again when a token names a key that is not
//! among them, because whoever signs changes keys from time to time.

use super::revision::lock;
use crate::identity::{Audiences, Claims, TokenError, Verifier};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Where the keys are, as a set of JSON Web Keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityKeys {
    /// In a file.
    File(PathBuf),
    /// At an address, such as `https://www.googleapis.com/oauth2/v3/certs`.
    Url(String),
}

impl IdentityKeys {
    /// An address if it looks like one, else a file.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let is_address = text.starts_with("http://") || text.starts_with("https://");
        if is_address { Self::Url(text.to_owned()) } else { Self::File(PathBuf::from(text)) }
    }
}

impl fmt::Display for IdentityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// Keys that are looked up again no more often than this, whatever callers send.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who has the keys must tell them by then: a request waits for it.
const TELL_MOST: Duration = Duration::from_secs(5);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to read the keys of ID tokens from {place}: {cause}; --identity-keys takes a file or an address of JSON Web Keys, \
     such as a running broker's http://HOST:PORT/oauth2/v3/certs"
)]
pub struct KeysError {
    /// Where they should be.
    place: IdentityKeys,
    /// Why they cannot be read from there.
    cause: String,
}

/// The keys that are trusted.
pub(super) struct Keyring {
    source: IdentityKeys,
    client: reqwest::Client,
    verifier: Mutex<Arc<Verifier>>,
    /// When the keys were last read; held while they are.
    looked: tokio::sync::Mutex<Instant>,
}

impl Keyring {
    /// Reads the keys for the first time, if there are to be any.
    pub(super) async fn read(source: Option<IdentityKeys>) -> Result<Option<Self>, KeysError> {
        let Some(source) = source else { return Ok(None) };
        // Nothing between a host and itself, and nothing is read from the environment.
        let client = reqwest::Client::builder().no_proxy().timeout(TELL_MOST).build();
        let client = client.map_err(|error| KeysError { place: source.clone(), cause: error.to_string() })?;
        match look(&source, &client).await {
            Ok(verifier) => {
                let (verifier, looked) = (Mutex::new(Arc::new(verifier)), tokio::sync::Mutex::new(Instant::now()));
                Ok(Some(Self { source, client, verifier, looked }))
            }
            Err(cause) => Err(KeysError { place: source, cause }),
        }
    }

    /// Checks the value of an `Authorization` header; a key that is not known is looked for.
    pub(super) async fn check(
        &self,
        authorization: Option<&str>,
        audiences: Audiences<'_>,
    ) -> Result<Claims, TokenError> {
        let before = Arc::clone(&lock(&self.verifier));
        let checked = before.check(authorization, audiences, jiff::Timestamp::now());
        if checked != Err(TokenError::UnknownKey) {
            return checked;
        }
        let mut looked = self.looked.lock().await;
        if Arc::ptr_eq(&before, &lock(&self.verifier)) && looked.elapsed() >= LOOK_EVERY {
            *looked = Instant::now();
            // Who does not tell leaves the keys as they were, and the token unknown.
            if let Ok(verifier) = look(&self.source, &self.client).await {
                *lock(&self.verifier) = Arc::new(verifier);
            }
        }
        drop(looked);
        let now = Arc::clone(&lock(&self.verifier));
        now.check(authorization, audiences, jiff::Timestamp::now())
    }
}

async fn look(source: &IdentityKeys, client: &reqwest::Client) -> Result<Verifier, String> {
    let text = match source {
        IdentityKeys::File(path) => tokio::fs::read_to_string(path).await.map_err(|error| error.to_string())?,
        IdentityKeys::Url(url) => {
            let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
            answer.map_err(|error| error.to_string())?.text().await.map_err(|error| error.to_string())?
        }
    };
    Verifier::new(&text).map_err(|error| format!("it holds no JSON Web Keys: {error}"))
}
