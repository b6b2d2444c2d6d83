//! Session affinity: a cookie leads a client back to the instance that served it, best effort
//! (docs.cloud.google.com/run/docs/configuring/session-affinity, 2026-11-22: a cookie with a life of 30 days; if the
//! instance is gone or takes no more, another one serves and a new cookie is set).

use super::world::InstanceId;
use http::{HeaderMap, HeaderValue, header};

/// Google's name for it.
const COOKIE: &str = "GAESA";
const MAX_AGE_S: u32 = 30 * 24 * 60 * 60;

/// Tells the cookies of one revision from those of every other (FNV-1a over its names).
pub(super) fn key_of(service: &str, revision: &str) -> u64 {
    let bytes = service.bytes().chain([0]).chain(revision.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The instance that a request's cookie names, if it is one of this revision's.
pub(super) fn wanted(headers: &HeaderMap, key: u64) -> Option<InstanceId> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| if name == COOKIE { read(value, key) } else { None })
}

fn read(value: &str, key: u64) -> Option<InstanceId> {
    let (revision, instance) = value.split_at_checked(16)?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    (number(revision)? == key).then(|| number(instance))?
}

/// The header that names this instance.
pub(super) fn set_cookie(key: u64, id: InstanceId) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{COOKIE}={key:016x}{id:016x}; Max-Age={MAX_AGE_S}; Path=/; HttpOnly")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|text| (header::COOKIE, HeaderValue::from_bytes(text.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn a_cookie_leads_back_to_its_instance_and_to_no_other_revision() {
        let key = key_of("shop", "shop-1");
        let set = set_cookie(key, 7).unwrap();
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(wanted(&sent(&[&pair]), key), Some(7));
        assert_eq!(wanted(&sent(&["a=b", &format!("c=d;{pair}; e")]), key), Some(7));
        assert_eq!(wanted(&sent(&[&pair]), key_of("shop", "shop-2")), None);
        assert_ne!(key_of("shop", "shop-1"), key_of("shopshop-", "1"));
    }

    proptest! {
        #[test]
        fn no_cookie_panics(text in "\\PC{0,60}", hex in "GAESA=[0-9a-fA-F+é]{0,40}") {
            for text in [text, hex] {
                let _ = wanted(&sent(&[&text]), 1);
            }
        }
    }
}
