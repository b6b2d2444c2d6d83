//! Where a redirect leads, and how it is followed (RFC 9110 section 15.4).

use super::fields::text;
use url::{Position, Url};

const NO_ADDRESS: &str = "its location is no address";
const OTHER_ORIGIN: &str = "its location is at another origin";

/// Whether an answer with this status and a location sends its client elsewhere.
pub(super) fn is_one(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// The path and query that `location` means in the answer to a request for `path` of the target at `base`.
pub(super) fn path(base: &str, path: &str, location: &[u8]) -> Result<String, &'static str> {
    let location = text(location).ok_or(NO_ADDRESS)?;
    let base = Url::parse(base).map_err(|_| NO_ADDRESS)?;
    let target = base.join(path).and_then(|asked| asked.join(location)).map_err(|_| NO_ADDRESS)?;
    if target.origin() != base.origin() {
        return Err(OTHER_ORIGIN);
    }
    Ok(target[Position::BeforePath..Position::AfterQuery].to_owned())
}

/// The method that a redirect changes a request to, if it does: as every browser, a POST becomes a GET where the status
/// does not forbid it.
pub(super) fn method(status: u16, method: &str) -> Option<&'static str> {
    match (status, method) {
        (303, "GET" | "HEAD") => None,
        (303, _) | (301 | 302, "POST") => Some("GET"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leads(location: &str) -> Result<String, &'static str> {
        path("http://shop:8080", "/a/b?c=d", location.as_bytes())
    }

    #[test]
    fn a_location_is_resolved_against_the_request() {
        for (location, expected) in [
            ("/x", "/x"),
            ("x", "/a/x"),
            ("../x/?y=1#z", "/x/?y=1"),
            ("?y=1", "/a/b?y=1"),
            ("http://shop:8080/x", "/x"),
            ("HTTP://SHOP:8080", "/"),
            ("//shop:8080/x", "/x"),
            ("/a b", "/a%20b"),
        ] {
            assert_eq!(leads(location).as_deref(), Ok(expected), "{location}");
        }
        assert_eq!(path("http://shop:8080", "/", "/\u{e4}".as_bytes()), Err(NO_ADDRESS));
    }

    #[test]
    fn another_origin_is_refused() {
        for location in
            ["https://shop:8080/x", "http://shop/x", "http://shop:8081/", "//evil/x", "http://shop.evil:8080/"]
        {
            assert_eq!(leads(location), Err(OTHER_ORIGIN), "{location}");
        }
        for location in ["http://", "http://[", "javascript:alert(1)"] {
            assert!(leads(location).is_err(), "{location}");
        }
    }

    #[test]
    fn a_post_becomes_a_get_where_the_status_lets_it() {
        let changed: Vec<_> = [301, 302, 303, 307, 308].iter().map(|status| method(*status, "POST")).collect();
        assert_eq!(changed, [Some("GET"), Some("GET"), Some("GET"), None, None]);
        assert_eq!([301, 303].map(|status| method(status, "HEAD")), [None, None]);
        assert_eq!([302, 303].map(|status| method(status, "PUT")), [None, Some("GET")]);
    }

    proptest! {
        #[test]
        fn wherever_it_leads_is_a_path_of_http(location in "[ -~]{0,40}", from in "/[a-z/?=%.]{0,20}") {
            if let Ok(path) = path("http://shop:8080", &from, location.as_bytes()) {
                prop_assert!(path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok(), "{path}");
            }
        }
    }
}
