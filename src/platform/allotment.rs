//! What falls to each revision of its service's own instance counts.

use super::spec::{Route, ServiceScaling};
use std::collections::BTreeMap;

/// A revision's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Allotment {
    /// Kept warm.
    pub(super) min: u32,
    /// At most.
    pub(super) max: Option<u32>,
    /// Always, whatever the load.
    pub(super) manual: Option<u32>,
}

/// Divides a service's instance counts among its revisions by their percent of the traffic. A revision without a share
/// (reached by its tag alone) is not in the answer: it keeps its own scaling.
pub(super) fn divide(scaling: ServiceScaling, routes: &[Route]) -> BTreeMap<String, Allotment> {
    let mut shares = BTreeMap::<&str, u32>::new();
    for route in routes.iter().filter(|route| route.percent > 0) {
        *shares.entry(&route.revision).or_default() += route.percent;
    }
    let shares: Vec<_> = shares.into_iter().collect();
    let min = parts(scaling.min_instances, &shares);
    // A revision with traffic must be able to serve it.
    let max =
        scaling.max_instances.map(|max| parts(max, &shares).into_iter().map(|part| part.max(1)).collect::<Vec<_>>());
    let manual = scaling.manual_instances.map(|manual| parts(manual, &shares));
    let at = |parts: &Option<Vec<u32>>, place: usize| parts.as_ref().map(|parts| parts[place]);
    let of = |place: usize| Allotment { min: min[place], max: at(&max, place), manual: at(&manual, place) };
    shares.iter().enumerate().map(|(place, (revision, _))| ((*revision).to_owned(), of(place))).collect()
}

/// Whole parts of `total` that add up to it, by largest remainder; the larger share first among equal remainders.
fn parts(total: u32, shares: &[(&str, u32)]) -> Vec<u32> {
    let sum: u64 = shares.iter().map(|(_, percent)| u64::from(*percent)).sum::<u64>().max(1);
    let exact = |percent: u32| u64::from(total) * u64::from(percent);
    let mut parts: Vec<_> =
        shares.iter().map(|(_, percent)| u32::try_from(exact(*percent) / sum).unwrap_or(total)).collect();
    let mut order: Vec<_> = (0..shares.len()).collect();
    order.sort_by_key(|place| {
        let percent = shares[*place].1;
        std::cmp::Reverse((exact(percent) % sum, percent))
    });
    let left = total.saturating_sub(parts.iter().sum());
    for place in order.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        parts[place] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(revision: &str, percent: u32) -> Route {
        Route { revision: revision.to_owned(), percent, tag: None }
    }

    fn minima(total: u32, shares: &[u32]) -> Vec<u32> {
        let names: Vec<_> = (0..shares.len()).map(|place| format!("shop-{place}")).collect();
        let routes: Vec<_> = names.iter().zip(shares).map(|(name, share)| route(name, *share)).collect();
        let scaling = ServiceScaling { min_instances: total, ..ServiceScaling::default() };
        divide(scaling, &routes).into_values().map(|allotment| allotment.min).collect()
    }

    #[test]
    fn a_count_is_divided_by_the_shares_and_adds_up() {
        assert_eq!(minima(10, &[50, 50]), [5, 5]);
        assert_eq!(minima(5, &[50, 50]), [3, 2]);
        assert_eq!(minima(10, &[90, 10]), [9, 1]);
        assert_eq!(minima(1, &[40, 60]), [0, 1]);
        assert_eq!(minima(7, &[33, 33, 34]), [2, 2, 3]);
        assert_eq!(minima(0, &[100]), [0]);
        assert_eq!(minima(4, &[]), [] as [u32; 0]);
    }

    #[test]
    fn every_count_is_divided_and_a_tag_alone_gets_nothing() {
        let scaling = ServiceScaling { min_instances: 2, max_instances: Some(4), manual_instances: Some(8) };
        let mut tagged = route("shop-c", 0);
        tagged.tag = Some("c".to_owned());
        // A revision may have several routes: its shares add up.
        let routes = [route("shop-a", 25), route("shop-b", 50), route("shop-a", 25), tagged];
        let each = Allotment { min: 1, max: Some(2), manual: Some(4) };
        assert_eq!(divide(scaling, &routes), BTreeMap::from([("shop-a".into(), each), ("shop-b".into(), each)]));
        let few = ServiceScaling { max_instances: Some(1), ..ServiceScaling::default() };
        let most: Vec<_> = divide(few, &routes).into_values().map(|allotment| allotment.max).collect();
        assert_eq!(most, [Some(1), Some(1)], "who has traffic may have an instance");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nobody_is_off_by_one(total in 0_u32..2000, shares in prop::collection::vec(1_u32..100, 1..8)) {
            let parts = minima(total, &shares);
            prop_assert_eq!(parts.iter().sum::<u32>(), total);
            let sum = shares.iter().sum::<u32>();
            for (part, share) in parts.iter().zip(&shares) {
                let exact = f64::from(total) * f64::from(*share) / f64::from(sum);
                prop_assert!((f64::from(*part) - exact).abs() < 1.0, "{} for {}", part, exact);
            }
        }
    }
}
