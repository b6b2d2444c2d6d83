//! The guard against forged requests of the plain views: a secret in a cookie, the same secret masked in a header.

use axum::http::header::{COOKIE, ORIGIN, REFERER, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use crate::shop::Call;
use crate::wire;

const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const SECRET_LENGTH: usize = 32;
const TOKEN_LENGTH: usize = 2 * SECRET_LENGTH;
/// 52 weeks.
const MAX_AGE_S: i64 = 31_449_600;
/// Origins that are trusted besides the service's own.
const TRUSTED_ORIGINS: [&str; 2] = ["http://localhost:8000", "http://localhost:8081"];

/// The secret of one client, as it stands in its cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The secret the request brought, or a new one.
    pub(crate) fn of(request: &Parts, rng: &mut impl Rng) -> Self {
        Self::from_cookie(request).unwrap_or_else(|| Self(random(rng)))
    }

    fn from_cookie(request: &Parts) -> Option<Self> {
        request
            .headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix("csrftoken="))
            .next_back()
            .and_then(Self::from_token)
    }

    /// Reads a bare secret or a masked token.
    fn from_token(token: &str) -> Option<Self> {
        let places: Vec<usize> = token.bytes().map(place).collect::<Option<_>>()?;
        match places.len() {
            SECRET_LENGTH => Some(Self(token.to_owned())),
            TOKEN_LENGTH => {
                let (mask, cipher) = places.split_at(SECRET_LENGTH);
                Some(Self(mask.iter().zip(cipher).map(|(mask, cipher)| letter(cipher + 62 - mask)).collect()))
            }
            _ => None,
        }
    }

    /// The secret under a mask of its own: different each time, so that compressed pages give nothing away.
    pub(crate) fn token(&self, rng: &mut impl Rng) -> String {
        let mask = random(rng);
        let cipher = self
            .0
            .bytes()
            .zip(mask.bytes())
            .map(|(secret, mask)| letter(place(secret).unwrap_or_default() + place(mask).unwrap_or_default()));
        let cipher: String = cipher.collect();
        mask + &cipher
    }

    /// Sends the cookie along with the answer.
    pub(crate) fn set_cookie(&self, now: Timestamp, response: &mut Response) {
        let expires = now.saturating_add(SignedDuration::from_secs(MAX_AGE_S)).ok();
        let expires = expires
            .and_then(|expires| DateTimePrinter::new().timestamp_to_rfc9110_string(&expires).ok())
            .map(|expires| format!("expires={expires}; "))
            .unwrap_or_default();
        let cookie = format!("csrftoken={}; {expires}Max-Age={MAX_AGE_S}; Path=/; SameSite=Lax", self.0);
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// The 403 for a request that changes something and cannot show that it comes from the shop's own pages.
pub(crate) fn refusal(call: &Call) -> Option<Response> {
    let request = &call.request;
    if [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(&request.method) {
        return None;
    }
    let header = |name| request.headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let trusted = if let Some(origin) = header(ORIGIN) {
        origin == call.origin() || is_trusted(origin)
    } else if call.is_https() {
        header(REFERER).is_some_and(|referer| is_good_referer(referer, call))
    } else {
        true
    };
    let secret = Secret::from_cookie(request);
    let token = request.headers.get("x-csrftoken").and_then(|value| value.to_str().ok()).and_then(Secret::from_token);
    if trusted && secret.is_some() && secret == token {
        return None;
    }
    let mut response = wire::page(
        StatusCode::FORBIDDEN,
        "403 Forbidden",
        "CSRF verification failed: send the csrftoken cookie, its token in X-CSRFToken, and a Referer of this site.",
    );
    response.headers_mut().insert(axum::http::header::VARY, wire::VARY_COOKIE);
    Some(response)
}

fn is_trusted(origin: &str) -> bool {
    let cloud_shell = origin.strip_prefix("https://").is_some_and(|host| host.ends_with(".cloudshell.dev"));
    TRUSTED_ORIGINS.contains(&origin) || cloud_shell
}

/// On https the referer must be https too, and the service itself or a trusted host.
fn is_good_referer(referer: &str, call: &Call) -> bool {
    let Ok(referer) = referer.parse::<Uri>() else { return false };
    let Some(authority) = referer.authority() else { return false };
    if referer.scheme_str() != Some("https") {
        return false;
    }
    let own = call.host();
    authority.as_str() == own
        || own.strip_suffix(":443") == Some(authority.as_str())
        || authority.as_str().ends_with(".cloudshell.dev")
        || TRUSTED_ORIGINS.iter().any(|origin| origin.strip_prefix("http://") == Some(authority.as_str()))
}

fn random(rng: &mut impl Rng) -> String {
    (0..SECRET_LENGTH).map(|_| letter(rng.random_range(0..ALPHABET.len()))).collect()
}

fn place(byte: u8) -> Option<usize> {
    ALPHABET.iter().position(|letter| *letter == byte)
}

fn letter(place: usize) -> char {
    char::from(ALPHABET[place % ALPHABET.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn tokens_differ_but_hold_the_same_secret() {
        let mut rng = StdRng::seed_from_u64(1);
        let secret = Secret(random(&mut rng));
        let (first, second) = (secret.token(&mut rng), secret.token(&mut rng));
        assert_ne!(first, second);
        assert_eq!(first.len(), TOKEN_LENGTH);
        assert_eq!(Secret::from_token(&first), Some(secret.clone()));
        assert_eq!(Secret::from_token(&second), Some(secret.clone()));
        assert_eq!(Secret::from_token(&secret.0), Some(secret));
    }

    #[test]
    fn malformed_tokens_hold_nothing() {
        assert_eq!(Secret::from_token("short"), None);
        assert_eq!(Secret::from_token(&"-".repeat(SECRET_LENGTH)), None);
        assert_eq!(Secret::from_token(&"é".repeat(SECRET_LENGTH)), None);
    }

    #[test]
    fn the_cookie_is_sent_as_recorded() {
        let mut response = Response::new(axum::body::Body::empty());
        let now: Timestamp = "2026-11-22T13:00:00Z".parse().unwrap();
        Secret("a".repeat(32)).set_cookie(now, &mut response);
        assert_eq!(
            response.headers()[SET_COOKIE],
            "csrftoken=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; expires=Sun, 21 Nov 2027 13:00:00 GMT; Max-Age=31449600; \
             Path=/; SameSite=Lax"
        );
    }
}
