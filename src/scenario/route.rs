//! Which recorded requests are reported together: those of one method whose paths differ only in what stands for one thing
//! among many. Their number is bounded: what comes less often than the others is reported as one.

use std::collections::{BTreeMap, BTreeSet};

/// Stands in a route where paths differ.
const PLACEHOLDER: &str = "{id}";

/// Bytes of a route, and of a name, at most.
const ROUTE_BYTES_MAX: usize = 200;
const NAME_BYTES_MAX: usize = 60;

/// The route of what belongs to none of the others.
const OTHER: &str = "/other";

/// Recorded requests that are reported together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Letters, digits, `_` and `-`; unique.
    pub(super) name: String,
    pub(super) method: String,
    /// A path with placeholders.
    pub(super) route: String,
    /// How many arrivals it has.
    pub(super) count: u64,
}

/// The route of a path and query: segments that are numbers, UUIDs, hashes or tokens become a placeholder, the query is left
/// out.
pub(super) fn route(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let mut route = String::new();
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            route.push('/');
        }
        let segment = if is_one_of_many(segment) { PLACEHOLDER } else { segment };
        if route.len() + segment.len() > ROUTE_BYTES_MAX {
            route.push('…');
            break;
        }
        route.push_str(segment);
    }
    route
}

/// Whether a segment stands for one thing among many: it is a number, hexadecimal digits as in a UUID or a hash, or long and
/// with digits, as tokens are.
fn is_one_of_many(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let hex = segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    match segment.len() {
        0 => false,
        length if digits == length => true,
        8.. if hex && digits > 0 => true,
        length => length >= 24 && digits > 0,
    }
}

/// Groups requests, given as method, path and how often it comes: at most `most` groups and one more for each method that
/// has others. The groups come in the order of their counts; beside them, which group each request belongs to.
pub(super) fn grouped(requests: &[(&str, &str, u64)], most: usize) -> (Vec<Group>, Vec<usize>) {
    let routes: Vec<(&str, String)> = requests.iter().map(|(method, path, _)| (*method, route(path))).collect();
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for ((method, route), (_, _, count)) in routes.iter().zip(requests) {
        *counts.entry((method, route)).or_default() += count;
    }
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_by(|(one, count), (other, more)| more.cmp(count).then(one.cmp(other)));
    let mut others: BTreeMap<&str, u64> = BTreeMap::new();
    for ((method, _), count) in ranked.iter().skip(most) {
        *others.entry(method).or_default() += count;
    }
    ranked.truncate(most);
    ranked.extend(others.into_iter().map(|(method, count)| ((method, OTHER), count)));
    let place = |method: &str, route: &str| {
        let known =
            |wanted: &str, upto: usize| ranked[..upto].iter().position(|((m, r), _)| *m == method && *r == wanted);
        // The last ones are those of what belongs to none of the others, which a route may be called like.
        let of_others = || ranked.iter().rposition(|((m, r), _)| *m == method && *r == OTHER);
        known(route, most.min(ranked.len())).or_else(of_others).unwrap_or_default()
    };
    let places: BTreeMap<(&str, &str), usize> =
        routes.iter().map(|(method, route)| ((*method, route.as_str()), place(method, route))).collect();
    let of_requests = routes.iter().map(|(method, route)| places[&(*method, route.as_str())]).collect();
    let mut taken = BTreeSet::new();
    let groups = ranked.iter().map(|((method, route), count)| Group {
        name: name(method, route, &mut taken),
        method: (*method).to_owned(),
        route: (*route).to_owned(),
        count: *count,
    });
    (groups.collect(), of_requests)
}

/// A name for what a promise may speak of: `get_api_products_id`.
fn name(method: &str, route: &str, taken: &mut BTreeSet<String>) -> String {
    let mut words = method.to_ascii_lowercase();
    for segment in route.split('/').filter(|segment| !segment.is_empty()) {
        let kept = segment.chars().filter(|c| *c != '{' && *c != '}');
        words.push('_');
        words.extend(kept.map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }));
    }
    if route == "/" {
        words.push_str("_root");
    }
    words = words.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    words.truncate(NAME_BYTES_MAX);
    let mut name = words.clone();
    let mut number = 1;
    while !taken.insert(name.clone()) {
        number += 1;
        name = format!("{words}_{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_one_of_many_becomes_a_placeholder() {
        for (path, expected) in [
            ("/", "/"),
            ("/api/products/17/?page=2", "/api/products/{id}/"),
            ("/v2/users/9b2d7f5e-4a63-4b57-9d6e-0e9b1a1c2d3f/orders", "/v2/users/{id}/orders"),
            ("/static/app.js", "/static/app.js"),
            ("/commit/deadbeef01", "/commit/{id}"),
            ("/facade/decade", "/facade/decade"),
            ("/reset/kYw3nT5rQ0pVx8LmZc2Jb7Hd", "/reset/{id}"),
            ("//evil.example/x", "//evil.example/x"),
            ("?q=1", ""),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
        assert!(route(&"/a".repeat(5000)).len() <= ROUTE_BYTES_MAX + 4);
    }

    #[test]
    fn groups_are_bounded_and_the_rest_is_one() {
        let requests = [
            ("GET", "/a/1", 5),
            ("GET", "/a/2", 5),
            ("GET", "/b", 7),
            ("HEAD", "/a/3", 2),
            ("GET", "/c", 1),
            ("GET", "/other", 1),
        ];
        let (groups, places) = grouped(&requests, 2);
        let told: Vec<_> =
            groups.iter().map(|g| (g.name.as_str(), g.method.as_str(), g.route.as_str(), g.count)).collect();
        assert_eq!(
            told,
            [
                ("get_a_id", "GET", "/a/{id}", 10),
                ("get_b", "GET", "/b", 7),
                ("get_other", "GET", "/other", 2),
                ("head_other", "HEAD", "/other", 2)
            ]
        );
        assert_eq!(places, [0, 0, 1, 3, 2, 2]);
    }

    #[test]
    fn names_are_words_and_unique() {
        let requests = [("GET", "/a-b.c", 3), ("GET", "/a-b_c", 2), ("GET", "/", 1), ("X-Y!", "/é", 1)];
        let names: Vec<String> = grouped(&requests, 9).0.into_iter().map(|group| group.name).collect();
        assert_eq!(names, ["get_a-b_c", "get_a-b_c_2", "get_root", "x-y___"]);
    }

    proptest! {
        #[test]
        fn every_request_is_in_a_group_of_its_method(
            paths in prop::collection::vec(("(GET|POST|HEAD)", "(/[a-c0-9]{0,2}){1,3}", 1..5_u64), 0..40), most in 1..6_usize,
        ) {
            let requests: Vec<_> = paths.iter().map(|(method, path, count)| (method.as_str(), path.as_str(), *count)).collect();
            let (groups, places) = grouped(&requests, most);
            prop_assert!(groups.len() <= most + 3);
            prop_assert_eq!(places.len(), requests.len());
            let mut counts = vec![0; groups.len()];
            for ((method, _, count), place) in requests.iter().zip(&places) {
                prop_assert_eq!(&groups[*place].method, method);
                counts[*place] += count;
            }
            prop_assert_eq!(counts, groups.iter().map(|group| group.count).collect::<Vec<_>>());
            let names: BTreeSet<_> = groups.iter().map(|group| &group.name).collect();
            prop_assert_eq!(names.len(), groups.len());
        }
    }
}
