//! Whether something happens more often in one sample than in another.

/// The probability that, were what happened to `one.0` of `one.1` and to `other.0` of `other.1` spread over both by chance alone,
/// `one` had as many of it or more: Fisher's exact test, one-sided (Fisher, 1935). 1 when there is nothing to compare.
///
/// The trials must be independent of each other. Failures of neighbouring requests are not: count the seconds that held any.
#[must_use]
pub fn excess(one: (u64, u64), other: (u64, u64)) -> f64 {
    let (all, hits) = (one.1 + other.1, one.0 + other.0);
    if one.0 == 0 || one.0 > one.1 || other.0 > other.1 || other.1 == 0 {
        return 1.0;
    }
    let ways = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let whole = ways(all, one.1);
    let most = hits.min(one.1);
    (one.0..=most)
        .filter(|hit| one.1 - hit <= all - hits)
        .map(|hit| (ways(hits, hit) + ways(all - hits, one.1 - hit) - whole).exp())
        .sum::<f64>()
        .min(1.0)
}

/// Stirling's series, whose error is below 1e-9 from 10 on; below that the product itself.
fn ln_factorial(n: u64) -> f64 {
    if n < 10 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    let n = n as f64;
    let series = 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3)) + 1.0 / (1260.0 * n.powi(5));
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(told: f64, wanted: f64) {
        assert!((told - wanted).abs() < 1e-6, "{told} is not {wanted}");
    }

    #[test]
    fn it_is_fisher_s_exact_test() {
        // The lady tasting tea: 3 of 4 and 4 of 4.
        is_near(excess((3, 4), (1, 4)), 17.0 / 70.0);
        is_near(excess((4, 4), (0, 4)), 1.0 / 70.0);
        // One second of thirty, against none of forty-five.
        is_near(excess((1, 30), (0, 45)), 30.0 / 75.0);
        is_near(excess((2, 30), (0, 45)), 30.0 / 75.0 * 29.0 / 74.0);
    }

    #[test]
    fn nothing_to_compare_is_no_excess_and_large_numbers_are_no_trouble() {
        for (one, other) in [((0, 30), (5, 45)), ((0, 0), (0, 0)), ((3, 3), (0, 0)), ((0, 0), (1, 9))] {
            is_near(excess(one, other), 1.0);
        }
        assert!(excess((30, 30), (0, 45)) < 1e-9);
        is_near(excess((2, 2), (3, 3)), 1.0);
        assert!((0.4..0.6).contains(&excess((1_000, 1_000_000), (1_000, 1_000_000))), "as many in both");
    }
}
