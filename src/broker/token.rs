//! The tokens of authenticated pushes: made here as Google makes them, checked by whoever runs a private service with
//! `identity` (cloud.google.com/pubsub/docs/authenticate-push-subscriptions).

use crate::autoscaler::Micros;
use crate::identity::{Claims, ISSUER};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Seconds that a token is valid.
const VALID: u64 = 3_600;
/// A token is used again until it has fewer seconds left than the longest ack deadline.
const LEAST_LEFT: u64 = 600;

/// Makes tokens with a key of its own.
pub(super) struct Signer {
    key: KeyPair,
    kid: String,
    /// The last token of each audience and service account.
    made: Mutex<BTreeMap<(String, String), (u64, String)>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// No key could be made, or nothing signed with it.
#[derive(Debug, thiserror::Error)]
#[error("the cryptographic library could not {0}")]
pub(super) struct SignError(&'static str);

impl Signer {
    /// Makes a new key.
    pub(super) fn new() -> Result<Self, SignError> {
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| SignError("make an RSA key"))?;
        let der = key.public_key().as_der().map_err(|_| SignError("write down its public key"))?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der.as_ref());
        let kid = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..20]);
        Ok(Self { key, kid, made: Mutex::default() })
    }

    /// The public key as a set of JSON Web Keys, as `www.googleapis.com/oauth2/v3/certs` gives Google's.
    pub(super) fn certs(&self) -> Value {
        let public: &PublicKey = self.key.public_key();
        let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
        let n = encode(public.modulus().big_endian_without_leading_zero());
        let e = encode(public.exponent().big_endian_without_leading_zero());
        json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid, "n": n, "e": e}]})
    }

    /// A token for an audience; the same one as before while it is valid for long enough.
    pub(super) fn token(&self, audience: &str, email: &str, now: Micros) -> Result<String, SignError> {
        let now = now.0 / 1_000_000;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let id = (audience.to_owned(), email.to_owned());
        if let Some((until, token)) = made.get(&id)
            && *until > now + LEAST_LEFT
        {
            return Ok(token.clone());
        }
        // Those of subscriptions that are gone go with their time.
        made.retain(|_, (until, _)| *until > now);
        let token = self.sign(&claims(audience, email, now))?;
        made.insert(id, (now + VALID, token.clone()));
        Ok(token)
    }

    /// A token of its own, with an email as `iamcredentials.googleapis.com` makes it when asked for one.
    pub(super) fn fresh(&self, audience: &str, email: &str, now: Micros) -> Result<String, SignError> {
        self.sign(&claims(audience, email, now.0 / 1_000_000))
    }

    fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        let header = json!({"alg": "RS256", "kid": self.kid, "typ": "JWT"});
        let part = |json: String| URL_SAFE_NO_PAD.encode(json);
        let message = format!("{}.{}", part(header.to_string()), part(json!(claims).to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
        signed.map_err(|_| SignError("sign a token"))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn claims(audience: &str, email: &str, now: u64) -> Claims {
    // Google numbers service accounts with 21 digits; any number that stays the same does.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, email.as_bytes());
    let number = digest.as_ref().iter().take(8).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
    let number = format!("1{number:020}");
    Claims {
        aud: audience.to_owned(),
        azp: number.clone(),
        email: email.to_owned(),
        email_verified: true,
        exp: now + VALID,
        iat: now,
        iss: ISSUER.to_owned(),
        sub: number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Audiences, TokenError, Verifier};
    use jiff::Timestamp;

    const AUDIENCE: &str = "https://email-service.example/";
    const OF_SERVICE: Audiences<'_> = Audiences { address: Some(AUDIENCE), custom: &[] };
    const EMAIL: &str = "pubsub-cloud-run-invoker@demo.iam.gserviceaccount.com";
    const NOON: Micros = Micros(1_795_000_000_000_000);

    fn after(seconds: u64) -> Micros {
        NOON + Micros(seconds * 1_000_000)
    }

    fn at(time: Micros) -> Timestamp {
        Timestamp::from_microsecond(i64::try_from(time.0).unwrap()).unwrap()
    }

    #[test]
    fn a_token_says_what_googles_say_and_is_checked_by_its_key() {
        let signer = Signer::new().unwrap();
        let token = signer.token(AUDIENCE, EMAIL, NOON).unwrap();
        assert_eq!(signer.token(AUDIENCE, EMAIL, after(60)).unwrap(), token, "it is used again");
        assert_ne!(signer.token(AUDIENCE, EMAIL, after(3_001)).unwrap(), token, "until it is about to expire");
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
        assert_eq!((&header["alg"], &header["typ"]), (&json!("RS256"), &json!("JWT")));
        assert_eq!(header["kid"], signer.certs()["keys"][0]["kid"]);
        let verifier = Verifier::new(&signer.certs().to_string()).unwrap();
        let bearer = format!("Bearer {token}");
        let claims = verifier.check(Some(&bearer), OF_SERVICE, at(after(10))).unwrap();
        assert_eq!((claims.aud.as_str(), claims.email.as_str(), claims.iss.as_str()), (AUDIENCE, EMAIL, ISSUER));
        assert!(claims.email_verified && claims.exp == claims.iat + 3_600 && claims.azp == claims.sub);
        assert_eq!(claims.sub.len(), 21);
    }

    #[test]
    fn without_a_valid_token_nobody_is_let_in() {
        let (signer, other) = (Signer::new().unwrap(), Signer::new().unwrap());
        let verifier = Verifier::new(&signer.certs().to_string()).unwrap();
        let token = signer.token(AUDIENCE, EMAIL, NOON).unwrap();
        let check = |value: &str| verifier.check(Some(value), OF_SERVICE, at(after(10)));
        assert_eq!(verifier.check(None, OF_SERVICE, at(NOON)), Err(TokenError::Missing));
        assert_eq!(check(&format!("Basic {token}")), Err(TokenError::Missing));
        let expired = verifier.check(Some(&format!("bearer {token}")), OF_SERVICE, at(after(3_660)));
        assert_eq!(expired, Err(TokenError::Expired));
        let other_service = Audiences { address: Some("https://other.example/"), ..OF_SERVICE };
        let elsewhere = verifier.check(Some(&format!("bearer {token}")), other_service, at(NOON));
        assert_eq!(elsewhere, Err(TokenError::Audience(AUDIENCE.to_owned())));
        let forged = other.token(AUDIENCE, EMAIL, NOON).unwrap();
        let (mut parts, claims) = (token.split('.').collect::<Vec<_>>(), claims(AUDIENCE, "root@evil.example", 1));
        let swapped = URL_SAFE_NO_PAD.encode(json!(claims).to_string());
        parts[1] = &swapped;
        // The forger's own key under the true key's name, a signature that was cut off, an algorithm without a key.
        let renamed = {
            let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
            header["alg"] = json!("none");
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1])
        };
        let theirs: Vec<&str> = forged.split('.').collect();
        let mixed = [parts[0], theirs[1], theirs[2]].join(".");
        for token in ["", "x", "a.b.c", &forged, &parts.join("."), &renamed, &mixed, &token[..token.len() - 9]] {
            let refused = check(&format!("Bearer {token}"));
            assert!(matches!(refused, Err(TokenError::Invalid(_) | TokenError::UnknownKey)), "{token}: {refused:?}");
        }
    }
}
