//! The names of candidates' revisions: made here, and known again here after a crash.

use crate::scenario::Candidate;

/// Cloud Run's limit of a revision's name.
const REVISION_NAME_MAX: usize = 63;
/// Hexadecimal digits of a stamp.
const STAMP_DIGITS: usize = 6;

/// Tells the revisions of a session that began at `second` (of the Unix epoch) from those of any other of the last half
/// year: a letter and six hexadecimal digits.
#[must_use]
pub fn stamp(second: i64) -> String {
    format!("s{:06x}", second & 0x00ff_ffff)
}

/// `<service>-<stamp>-t<number>-c<max concurrency>`, without the last part where that would be too long.
#[must_use]
pub fn candidate_name(service: &str, stamp: &str, number: u32, candidate: Candidate) -> String {
    let name = format!("{service}-{stamp}-t{number}");
    let told = format!("{name}-c{}", candidate.max_concurrency);
    if told.len() <= REVISION_NAME_MAX { told } else { name }
}

/// Whether a session of tidegate's may have given `service` a revision of this name.
pub(super) fn is_candidate_name(service: &str, name: &str) -> bool {
    let stamped = name.strip_prefix(service).and_then(|rest| rest.strip_prefix("-s"));
    let Some((digits, rest)) = stamped.and_then(|rest| rest.split_at_checked(STAMP_DIGITS)) else { return false };
    let numbered = rest.strip_prefix("-t").is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()));
    numbered && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_named_here_is_known_again_and_nothing_else() {
        let four = Candidate { max_concurrency: 4 };
        for service in ["shop", "shop-s123456-t1", "a-service-whose-name-is-as-long-as-cloud-run-lets"] {
            for second in [0, 1_795_000_000, i64::MAX] {
                let name = candidate_name(service, &stamp(second), 12, four);
                assert!(name.len() <= REVISION_NAME_MAX && is_candidate_name(service, &name), "{name}");
            }
        }
        for other in
            ["shop-00007-abc", "shop", "", "shop-s12345-t1", "shop-s12345g-t1", "shop-s123456-x1", "cart-s123456-t1"]
        {
            assert!(!is_candidate_name("shop", other), "{other}");
        }
    }
}
