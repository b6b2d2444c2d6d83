//! Session affinity: a cookie leads a client back to the instance that served it, best effort
//! (docs.cloud.google.com/run/docs/configuring/session-affinity, 2026-11-22: a cookie with a life of 30 days; if the
//! instance is gone or takes no more, another one serves and a new cookie is set).

use super::spec::RevisionSpec;
use super::world::InstanceId;
use http::{HeaderMap, HeaderValue, header};

/// Google's name for it.
const COOKIE: &str = "GAESA";
const MAX_AGE_S: u32 = 30 * 24 * 60 * 60;

/// The instance to which a request's cookie leads, if the revision has session affinity and the cookie is one of its own.
pub(super) fn wanted(headers: &HeaderMap, spec: &RevisionSpec) -> Option<InstanceId> {
    if !spec.session_affinity {
        return None;
    }
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| if name == COOKIE { read(value, key_of(spec)) } else { None })
}

/// The header that leads a client to this instance, unless its `session` does already.
pub(super) fn set_cookie(spec: &RevisionSpec, id: InstanceId, session: Option<InstanceId>) -> Option<HeaderValue> {
    if !spec.session_affinity || session == Some(id) {
        return None;
    }
    let key = key_of(spec);
    HeaderValue::from_str(&format!("{COOKIE}={key:016x}{id:016x}; Max-Age={MAX_AGE_S}; Path=/; HttpOnly")).ok()
}

fn read(value: &str, key: u64) -> Option<InstanceId> {
    let (revision, instance) = value.split_at_checked(16)?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    (number(revision)? == key).then(|| number(instance))?
}

/// Tells the cookies of one revision from those of every other (FNV-1a over its names).
fn key_of(spec: &RevisionSpec) -> u64 {
    let bytes = spec.service.bytes().chain([0]).chain(spec.revision.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fixture;
    use proptest::prelude::*;

    fn sent(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|text| (header::COOKIE, HeaderValue::from_bytes(text.as_bytes()).unwrap())).collect()
    }

    fn spec(service: &str, revision: &str) -> RevisionSpec {
        let (service, revision) = (service.to_owned(), revision.to_owned());
        RevisionSpec { service, revision, session_affinity: true, ..fixture::spec() }
    }

    #[test]
    fn a_cookie_leads_back_to_its_instance_and_to_no_other_revision() {
        let first = spec("shop", "shop-1");
        let set = set_cookie(&first, 7, Some(6)).unwrap();
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(wanted(&sent(&[&pair]), &first), Some(7));
        assert_eq!(wanted(&sent(&["a=b", &format!("c=d;{pair}; e")]), &first), Some(7));
        assert_eq!(wanted(&sent(&[&pair]), &spec("shop", "shop-2")), None);
        assert_ne!(key_of(&first), key_of(&spec("shopshop-", "1")));
        assert_eq!(set_cookie(&first, 7, Some(7)), None, "the client has it");
        let without = RevisionSpec { session_affinity: false, ..first };
        assert_eq!((wanted(&sent(&[&pair]), &without), set_cookie(&without, 7, None)), (None, None));
    }

    proptest! {
        #[test]
        fn no_cookie_panics(text in "\\PC{0,60}", hex in "GAESA=[0-9a-fA-F+é]{0,40}") {
            for text in [text, hex] {
                let _ = wanted(&sent(&[&text]), &spec("shop", "shop-1"));
            }
        }
    }
}
