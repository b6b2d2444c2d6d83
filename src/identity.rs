//! Who a request comes from: the ID tokens of Google's accounts, and the check that whoever runs a private service makes
//! of them. Pure: keys and time of day are given.

use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};

/// Who issues Google's tokens.
pub const ISSUER: &str = "https://accounts.google.com";
/// A checker's clock may be behind by so many seconds.
const LEEWAY_S: i64 = 60;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Whom it is for: the address of the service, or another word on which both sides agree.
    pub aud: String,
    /// The account's number.
    pub azp: String,
    /// The account.
    pub email: String,
    /// Whether Google knows that the account has this address: true of every service account.
    pub email_verified: bool,
    /// Valid until then, in seconds since 1970.
    pub exp: u64,
    /// Made then, in seconds since 1970.
    pub iat: u64,
    /// Who made it: [`ISSUER`].
    pub iss: String,
    /// The account's number.
    pub sub: String,
}

/// Whom a token may be for.
#[derive(Clone, Copy, Debug)]
pub struct Audiences<'a> {
    /// The service's own address, once it is known; a path behind it does not matter.
    pub address: Option<&'a str>,
    /// Other words on which both sides agree: a token names one of them as it is.
    pub custom: &'a [String],
}

/// Checks tokens by a set of public keys.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: JwkSet,
}

/// Why a request is not taken for who it says it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no `Authorization: Bearer TOKEN`.
    #[error("the request was not authenticated: it has no token")]
    Missing,
    /// It is signed with a key that is not in the set, perhaps because that is older than the key.
    #[error("the token is not valid: it is signed with an unknown key")]
    UnknownKey,
    /// It is no token, or nobody's who may make them.
    #[error("the token is not valid: {0}")]
    Invalid(String),
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It is for somebody else.
    #[error("the token is for {0:?}")]
    Audience(String),
}

impl Verifier {
    /// Of a set of JSON Web Keys, as `https://www.googleapis.com/oauth2/v3/certs` gives Google's.
    ///
    /// # Errors
    /// When it is no set of keys.
    pub fn new(certs: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(certs).map(|keys| Self { keys })
    }

    /// Checks the value of an `Authorization` header.
    ///
    /// # Errors
    /// When it holds no token that is valid now for one of the audiences.
    pub fn check(
        &self,
        authorization: Option<&str>,
        audiences: Audiences<'_>,
        now: Timestamp,
    ) -> Result<Claims, TokenError> {
        let token = authorization.and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let token = token.ok_or(TokenError::Missing)?;
        let invalid = |why: &dyn std::fmt::Display| TokenError::Invalid(why.to_string());
        let header = decode_header(token).map_err(|error| invalid(&error))?;
        let key = header.kid.as_deref().and_then(|kid| self.keys.find(kid)).ok_or(TokenError::UnknownKey)?;
        let key = DecodingKey::from_jwk(key).map_err(|error| invalid(&error))?;
        let mut validation = Validation::new(Algorithm::RS256);
        // Google's tokens have been issued under both names.
        validation.set_issuer(&[ISSUER, "accounts.google.com"]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Both are checked here: by a clock that was given, and with an answer of their own.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = decode::<Claims>(token, &key, &validation).map_err(|error| invalid(&error))?.claims;
        if i64::try_from(claims.exp).is_ok_and(|until| until.saturating_add(LEEWAY_S) <= now.as_second()) {
            return Err(TokenError::Expired);
        }
        if !audiences.hold(&claims.aud) {
            return Err(TokenError::Audience(claims.aud));
        }
        Ok(claims)
    }
}

impl Audiences<'_> {
    /// Whether a token for `named` is for one of them; one for nobody never is. Custom audiences are compared as they are ("must match",
    /// Google's page of custom audiences, read 2026-12-01).
    fn hold(self, named: &str) -> bool {
        let custom = || self.custom.iter().any(|audience| audience == named);
        !named.is_empty() && (self.address.is_some_and(|address| is_behind(named, address)) || custom())
    }
}

/// Whether `named` is a service's address or a path behind it: Pub/Sub's tokens name the whole push endpoint unless told
/// otherwise, and Google's tutorials push to `SERVICE-URL/` and to paths with them. A query or a fragment is answered 401
/// (googleapis/python-tasks, issue 137).
fn is_behind(named: &str, address: &str) -> bool {
    let origin = address.trim_end_matches('/');
    let behind = named.strip_prefix(origin).filter(|_| !origin.is_empty());
    behind.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') && !rest.contains(['?', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_for_a_path_of_the_service_is_for_the_service_and_one_for_a_neighbour_is_not() {
        let of = |address: &str, named: &str| Audiences { address: Some(address), custom: &[] }.hold(named);
        for named in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/push/a"] {
            assert!(of("http://127.0.0.1:8080", named) && of("http://127.0.0.1:8080/", named), "{named}");
        }
        for named in [
            "",
            "/",
            "http://127.0.0.1:80801",
            "http://127.0.0.1:808",
            "https://127.0.0.1:8080",
            "http://127.0.0.1:8080?a=b",
            "http://127.0.0.1:8080/push?a=b",
            "http://127.0.0.1:8080/push#a",
            "x",
        ] {
            assert!(!of("http://127.0.0.1:8080", named), "{named}");
        }
        assert!(!of("", "") && !of("", "/push") && !of("/", "/push"), "no address holds nothing");
    }

    #[test]
    fn a_custom_audience_is_named_as_it_is() {
        let custom = ["32555940559.apps.googleusercontent.com", "https://reports.example", ""].map(str::to_owned);
        let audiences = Audiences { address: None, custom: &custom };
        assert!(audiences.hold(&custom[0]) && audiences.hold("https://reports.example"));
        for named in ["", "/", "/push", "https://reports.example/", "https://reports.example/push", "x"] {
            assert!(!audiences.hold(named), "{named}");
        }
    }

    #[test]
    fn what_is_no_set_of_keys_is_refused() {
        for text in ["", "{}", "[]", r#"{"keys": 1}"#] {
            assert!(Verifier::new(text).is_err(), "{text}");
        }
        let none = Verifier::new(r#"{"keys": []}"#).unwrap();
        assert_eq!(
            none.check(None, Audiences { address: Some("x"), custom: &[] }, Timestamp::UNIX_EPOCH),
            Err(TokenError::Missing)
        );
    }
}
