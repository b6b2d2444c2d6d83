//! Who may call the services of a local system, and how tidegate itself proves to a private one who it is.

use super::PROJECT;
use crate::scenario::{Member, System};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// The account that reads what was delivered.
const OBSERVER: &str = "tidegate-observer";
/// Who makes tokens must answer by then.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A token is valid for an hour; one that is older than this is not used again.
const TOKEN_AGE_MAX: Duration = Duration::from_mins(30);

/// Who makes the tokens of this run: the Pub/Sub that pushes.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    host: String,
    client: reqwest::Client,
}

/// The full name of a service account that a scenario may call by its short one.
pub(super) fn account(name: &str) -> String {
    if name.contains('@') { name.to_owned() } else { format!("{name}@{PROJECT}.iam.gserviceaccount.com") }
}

/// The accounts that may call a service; `None` for everybody.
pub(super) fn callers(member: &Member) -> Option<Vec<String>> {
    let named = member.invokers.as_ref()?.iter().map(|name| account(name));
    Some(named.chain(member.observer.as_ref().map(|_| account(OBSERVER))).collect())
}

/// The services that should be private, one behind the other; `None` if none should.
pub(super) fn opened(system: &System) -> Option<String> {
    let private = system.services.iter().filter(|(_, member)| member.invokers.is_some());
    let names: Vec<&str> = private.map(|(name, _)| name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

impl Issuer {
    /// The Pub/Sub at `HOST:PORT`, if it makes tokens that can be checked. A broker of ours tells its keys; Google's emulator
    /// sends no tokens.
    pub(super) async fn find(host: &str) -> Option<Self> {
        // Nothing between a host and itself.
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build().ok()?;
        let issuer = Self { host: host.to_owned(), client };
        let answer = issuer.client.get(issuer.keys()).send().await.ok()?.error_for_status().ok()?;
        crate::identity::Verifier::new(&answer.text().await.ok()?).ok().map(|_| issuer)
    }

    /// Where its public keys are.
    pub(super) fn keys(&self) -> String {
        format!("http://{}/oauth2/v3/certs", self.host)
    }

    /// tidegate's own way to a service at this address.
    pub(super) fn pass(&self, address: &str) -> Pass {
        Pass { issuer: self.clone(), audience: address.to_owned(), token: None }
    }
}

/// The right to read from one private service.
#[derive(Debug)]
pub(super) struct Pass {
    issuer: Issuer,
    audience: String,
    token: Option<(Instant, String)>,
}

#[derive(Deserialize)]
struct Made {
    token: String,
}

impl Pass {
    /// A token that is valid now, asked for as `iamcredentials.googleapis.com` is
    /// (`projects.serviceAccounts.generateIdToken`, docs.cloud.google.com/iam/docs, read 2026-11-30).
    ///
    /// # Errors
    /// In words, when nobody makes one.
    pub(super) async fn token(&mut self) -> Result<String, String> {
        if let Some((made, token)) = &self.token
            && made.elapsed() < TOKEN_AGE_MAX
        {
            return Ok(token.clone());
        }
        let Issuer { host, client } = &self.issuer;
        let url = format!("http://{host}/v1/projects/-/serviceAccounts/{}:generateIdToken", account(OBSERVER));
        let asked = client.post(url).json(&json!({"audience": self.audience, "includeEmail": true})).send().await;
        let answer = asked.and_then(reqwest::Response::error_for_status).map_err(|error| error.to_string())?;
        let Made { token } = answer.json().await.map_err(|error| error.to_string())?;
        self.token = Some((Instant::now(), token.clone()));
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_full_name_or_is_of_this_project() {
        assert_eq!(account("invoker"), "invoker@local.iam.gserviceaccount.com");
        assert_eq!(account("me@else.iam.gserviceaccount.com"), "me@else.iam.gserviceaccount.com");
    }
}
