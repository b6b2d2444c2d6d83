//! The header `authorization` that requests carry: obtained before the load, then renewed by a task off the measured path
//! into a cell that journeys read. The token itself is in no log, no recording and no error.

use super::DriveError;
use super::target_options::{Authorization, Secret};
use super::user_token;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use google_cloud_auth::credentials::idtoken;
use http::HeaderValue;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How long before its end a token is renewed. Google's own clients and its metadata server take the same four minutes.
const SLACK: Duration = Duration::from_mins(4);
/// Between two attempts, after one failed or gave a token that is about to end.
const RETRY: Duration = Duration::from_secs(10);
/// How often a file is read again: whoever renews it does so well before its end.
const FILE_LOOK: Duration = Duration::from_secs(30);
/// A source that has not answered after this long has failed.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// Who the load says it is, now. Clones share it, and the task that renews it ends with the last of them.
#[derive(Clone)]
pub(super) struct Credentials {
    current: Option<watch::Receiver<HeaderValue>>,
    refreshes: Arc<Mutex<Refreshes>>,
    task: Option<Arc<Task>>,
}

/// How the renewing went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refreshes {
    pub(super) done: u64,
    pub(super) failed: u64,
    /// Why the latest one failed.
    pub(super) failure: Option<String>,
}

/// What a source gave.
struct Token {
    header: HeaderValue,
    /// When it is to be renewed.
    renew_in: Duration,
}

/// Gives a token, now.
type Fetch = Box<dyn FnMut() -> Pin<Box<dyn Future<Output = Result<Token, String>> + Send>> + Send>;

/// A task that is ended when nobody needs it any more.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Credentials {
    /// None at all.
    pub(super) fn none() -> Self {
        Self { current: None, refreshes: Arc::default(), task: None }
    }

    /// Obtains what `authorization` asks for. A Google ID token without an audience is for `base_url`.
    pub(super) async fn obtain(authorization: &Authorization, base_url: &str) -> Result<Self, DriveError> {
        let failed = |cause: String| DriveError::Authorization { cause };
        match authorization {
            Authorization::None => Ok(Self::none()),
            Authorization::Basic(user, password) => {
                let pair = STANDARD.encode(format!("{user}:{}", password.text()));
                Ok(Self::lasting(header("Basic", &pair).map_err(failed)?))
            }
            Authorization::Bearer(token) => Ok(Self::lasting(header("Bearer", token.text()).map_err(failed)?)),
            Authorization::BearerFile(path) => {
                let path: Arc<Path> = Arc::from(path.as_path());
                let look = move || -> Pin<Box<dyn Future<Output = _> + Send>> {
                    Box::pin(std::future::ready(from_file(&path)))
                };
                Self::renewed(Box::new(look)).await.map_err(failed)
            }
            Authorization::GoogleIdToken(audience) => {
                let audience = audience.clone().unwrap_or_else(|| base_url.to_owned());
                let ask = {
                    let audience = audience.clone();
                    move || -> Pin<Box<dyn Future<Output = _> + Send>> { Box::pin(google_id_token(audience.clone())) }
                };
                let credentials = Self::renewed(Box::new(ask)).await;
                credentials.map_err(|cause| failed(format!("no Google ID token for {audience}: {cause}")))
            }
        }
    }

    fn lasting(header: HeaderValue) -> Self {
        // A receiver keeps the last value after its sender is gone.
        Self { current: Some(watch::channel(header).1), ..Self::none() }
    }

    /// Fetches the first token, and from then on a new one whenever it is time.
    async fn renewed(mut fetch: Fetch) -> Result<Self, String> {
        let first = fetched(&mut fetch).await?;
        let (cell, current) = watch::channel(first.header);
        let refreshes = Arc::new(Mutex::new(Refreshes::default()));
        let task = tokio::spawn(keep_fresh(fetch, first.renew_in, cell, Arc::clone(&refreshes)));
        Ok(Self { current: Some(current), refreshes, task: Some(Arc::new(Task(task.abort_handle()))) })
    }

    /// What requests carry now.
    pub(super) fn current(&self) -> Option<HeaderValue> {
        self.current.as_ref().map(|current| current.borrow().clone())
    }

    /// Whether what requests carry may change.
    pub(super) fn are_refreshed(&self) -> bool {
        self.task.is_some()
    }

    /// How the renewing went so far.
    pub(super) fn refreshes(&self) -> Refreshes {
        lock(&self.refreshes).clone()
    }
}

fn lock(refreshes: &Mutex<Refreshes>) -> MutexGuard<'_, Refreshes> {
    refreshes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Renews the token for ever. When that fails the old one stays, the failure is counted, and it is tried again soon.
async fn keep_fresh(
    mut fetch: Fetch,
    renew_in: Duration,
    cell: watch::Sender<HeaderValue>,
    refreshes: Arc<Mutex<Refreshes>>,
) {
    let mut wait = renew_in;
    loop {
        tokio::time::sleep(wait).await;
        wait = match fetched(&mut fetch).await {
            Ok(token) => {
                // A file that nobody renewed is not news.
                let renewed = cell.send_if_modified(|current| {
                    let differs = *current != token.header;
                    *current = token.header;
                    differs
                });
                lock(&refreshes).done += u64::from(renewed);
                token.renew_in
            }
            Err(cause) => {
                let mut refreshes = lock(&refreshes);
                refreshes.failed += 1;
                refreshes.failure = Some(cause);
                RETRY
            }
        };
    }
}

async fn fetched(fetch: &mut Fetch) -> Result<Token, String> {
    let late = |_| Err(format!("no answer within {} s", FETCH_TIMEOUT.as_secs()));
    timeout(FETCH_TIMEOUT, fetch()).await.unwrap_or_else(late)
}

/// When a token that lives for so long is renewed.
fn renewal(lives: Duration) -> Duration {
    lives.saturating_sub(SLACK).max(RETRY)
}

fn header(scheme: &str, credentials: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(format!("{scheme} {credentials}"))
        .map_err(|_| "it holds characters that no header can carry, such as a line end".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn from_file(path: &Path) -> Result<Token, String> {
    let text = Secret::in_file(path)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(Token { header: header("Bearer", token)?, renew_in: FILE_LOOK })
}

/// Asks Google anew, by Application Default Credentials: the client's own cache would hide that a refresh failed until the
/// old token has ended.
async fn google_id_token(audience: String) -> Result<Token, String> {
    let credentials = match (idtoken::Builder::new(audience).build(), user_token::credentials()) {
        (Ok(credentials), _) => credentials,
        (Err(error), Ok(Some(user))) if error.is_not_supported() => user,
        (Err(error), Err(cause)) if error.is_not_supported() => return Err(cause),
        (Err(error), Ok(None)) if error.is_not_supported() => {
            return Err(format!(
                "{error}; ID tokens come from a service account or a person: set GOOGLE_APPLICATION_CREDENTIALS to a \
                 service account's key, run where one is attached, borrow one by `gcloud auth application-default login \
                 --impersonate-service-account=EMAIL`, or log in by `gcloud auth application-default login`"
            ));
        }
        (Err(error), _) => return Err(because(&error)),
    };
    let token = credentials.id_token().await.map_err(|error| because(&error))?;
    let lives = life_of(&token, jiff::Timestamp::now()).ok_or("the answer holds no token that says when it ends")?;
    Ok(Token { header: header("Bearer", &token)?, renew_in: renewal(lives) })
}

/// An error with the errors behind it, where the cause often is.
pub(super) fn because(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// How long a JSON Web Token still lives, as it says itself; nothing for one that has ended.
fn life_of(token: &str, now: jiff::Timestamp) -> Option<Duration> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let left = claims.get("exp")?.as_i64()?.saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(left).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const MINUTE: Duration = Duration::from_mins(1);

    /// A source whose n-th answer, from 0, is what `answer` says.
    fn source(answer: impl Fn(u64) -> Result<(String, Duration), String> + Send + 'static) -> (Fetch, Arc<AtomicU64>) {
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        let fetch = move || -> Pin<Box<dyn Future<Output = _> + Send>> {
            let given = answer(counter.fetch_add(1, Ordering::Relaxed))
                .map(|(token, lives)| Token { header: header("Bearer", &token).unwrap(), renew_in: renewal(lives) });
            Box::pin(std::future::ready(given))
        };
        (Box::new(fetch), asked)
    }

    fn carried(credentials: &Credentials) -> String {
        credentials.current().unwrap().to_str().unwrap().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_four_minutes_before_it_ends_without_anybody_asking() {
        let (fetch, asked) = source(|n| Ok((format!("token-{n}"), 60 * MINUTE)));
        let credentials = Credentials::renewed(fetch).await.unwrap();
        assert_eq!(carried(&credentials), "Bearer token-0");
        tokio::time::sleep(55 * MINUTE + Duration::from_secs(59)).await;
        assert_eq!((carried(&credentials).as_str(), asked.load(Ordering::Relaxed)), ("Bearer token-0", 1));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((carried(&credentials).as_str(), asked.load(Ordering::Relaxed)), ("Bearer token-1", 2));
        tokio::time::sleep(10 * 56 * MINUTE).await;
        assert_eq!((carried(&credentials).as_str(), asked.load(Ordering::Relaxed)), ("Bearer token-11", 12));
        assert_eq!(credentials.refreshes(), Refreshes { done: 11, ..Refreshes::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_refresh_keeps_the_old_token_is_counted_and_tried_again() {
        let (fetch, _) = source(|n| {
            if (1..4).contains(&n) { Err(format!("refused {n}")) } else { Ok((format!("token-{n}"), 60 * MINUTE)) }
        });
        let credentials = Credentials::renewed(fetch).await.unwrap();
        tokio::time::sleep(56 * MINUTE + Duration::from_secs(25)).await;
        assert_eq!(carried(&credentials), "Bearer token-0");
        let failure = Some("refused 3".to_owned());
        assert_eq!(credentials.refreshes(), Refreshes { done: 0, failed: 3, failure: failure.clone() });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(carried(&credentials), "Bearer token-4");
        assert_eq!(credentials.refreshes(), Refreshes { done: 1, failed: 3, failure });
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_never_answers_fails_in_the_end() {
        let fetch: Fetch = Box::new(|| Box::pin(std::future::pending()));
        let Err(cause) = Credentials::renewed(fetch).await else { panic!("taken") };
        assert_eq!(cause, "no answer within 30 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_and_the_renewing_ends_with_the_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let authorization = Authorization::BearerFile(path.clone());
        let credentials = Credentials::obtain(&authorization, "http://a").await.unwrap();
        assert_eq!(carried(&credentials), "Bearer first");
        std::fs::write(&path, "second").unwrap();
        tokio::time::sleep(FILE_LOOK + Duration::from_secs(1)).await;
        assert_eq!((carried(&credentials).as_str(), credentials.refreshes().done), ("Bearer second", 1));
        std::fs::remove_file(&path).unwrap();
        tokio::time::sleep(FILE_LOOK).await;
        assert_eq!((carried(&credentials).as_str(), credentials.refreshes().failed), ("Bearer second", 1));
        assert!(credentials.refreshes().failure.unwrap().contains("token"));

        let cell = credentials.current.clone().unwrap();
        drop(credentials);
        tokio::task::yield_now().await;
        assert!(cell.has_changed().is_err(), "the task is gone, and with it the sender");
    }

    #[tokio::test]
    async fn basic_is_what_rfc_7617_says_and_the_secret_is_never_printed() {
        let secret = Secret::from("open sesame".to_owned());
        let authorization = Authorization::Basic("Aladdin".to_owned(), secret);
        let credentials = Credentials::obtain(&authorization, "http://a").await.unwrap();
        assert_eq!(carried(&credentials), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let printed = format!("{authorization:?} {:?}", credentials.current());
        assert!(!printed.contains("sesame") && !printed.contains("QWxh"), "{printed}");
        let wrong = Authorization::Bearer(Secret::from("two\nlines".to_owned()));
        let Err(error) = Credentials::obtain(&wrong, "http://a").await else { panic!("taken") };
        assert!(error.to_string().contains("no header can carry") && !error.to_string().contains("two"), "{error}");
    }

    #[test]
    fn the_life_of_a_token_is_what_it_says_itself() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let token = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let noon = 1_795_348_800;
        assert_eq!(life_of(&token(&format!("{{\"exp\":{}}}", noon + 3600)), now), Some(60 * MINUTE));
        assert_eq!(life_of(&token(&format!("{{\"exp\":{}}}", noon - 1)), now), Some(Duration::ZERO));
        for wrong in ["", "a", "a.b.c", &token("{}"), &token("{\"exp\":\"soon\"}"), &token("nothing")] {
            assert_eq!(life_of(wrong, now), None, "{wrong}");
        }
        assert_eq!([60, 5, 4, 0].map(|minutes| renewal(minutes * MINUTE).as_secs()), [56 * 60, 60, 10, 10]);
    }
}
