//! W3C trace context: which trace a journey belongs to, and the `traceparent` of each of its requests.
//!
//! A trace id is a pure function of the plan's seed, the instant at which the load started (to the microsecond) and the
//! arrival or session: the same three give the same ids, two runs of one seed do not meet in a tracing backend, and no two
//! journeys of a run share one. The instant comes from layer 3; nothing here has a clock.

use crate::scenario::Draws;

/// Length of a `traceparent`: version, trace id, span id and flags in hexadecimal digits, with hyphens between.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// Gives each journey of a run its trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct TraceIds {
    run: u64,
}

/// The trace of one journey.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    /// Which a tracing backend shows as 32 hexadecimal digits.
    pub(super) id: u128,
    spans: u64,
    /// Whether the request that was prepared last carries it.
    carried: bool,
}

impl TraceIds {
    /// Those of the plan with `seed` in a run that started at `started_at_us`, microseconds since 1970.
    pub(super) fn new(seed: u64, started_at_us: i64) -> Self {
        Self { run: scattered(scattered(seed) ^ started_at_us.cast_unsigned()) }
    }

    /// The trace of the journey with these draws, whose stream is the journey's own in its plan.
    pub(super) fn of(self, draws: &Draws) -> Trace {
        // Scattering is one to one, so journeys of a run differ in the lower half already.
        let low = scattered(draws.stream() ^ self.run);
        let high = scattered(low ^ self.run);
        Trace { id: (u128::from(high) << 64 | u128::from(low)).max(1), spans: 0, carried: false }
    }
}

impl Trace {
    /// The id, if the request that was prepared last carries it.
    pub(super) fn carried(&self) -> Option<u128> {
        self.carried.then_some(self.id)
    }

    /// Another request is prepared, which carries nothing yet.
    pub(super) fn begin_request(&mut self) {
        self.carried = false;
    }

    /// The `traceparent` of the journey's next request, unless its step has `set` one.
    pub(super) fn next_unless(&mut self, set: impl FnOnce() -> bool) -> Option<[u8; LENGTH]> {
        self.carried = !set();
        self.carried.then(|| self.next())
    }

    /// The `traceparent` of the journey's next request: version 00, a span of its own, and the flag that asks for the trace
    /// to be kept.
    fn next(&mut self) -> [u8; LENGTH] {
        self.spans += 1;
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is meant")]
        let span = scattered((self.id as u64).wrapping_add(self.spans)).max(1);
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        #[expect(clippy::cast_possible_truncation, reason = "the halves of 128 bits are meant")]
        let (high, low) = ((self.id >> 64) as u64, self.id as u64);
        for (place, number) in [(3, high), (19, low), (36, span)] {
            text[place..place + 16].copy_from_slice(&hex(number));
        }
        text
    }
}

/// The hexadecimal digits of `number`, in lower case: all sixteen at once, each in a byte of its own.
fn hex(number: u64) -> [u8; 16] {
    const ONES: u128 = u128::MAX / 0xff;
    let mut digits = u128::from(number);
    digits = (digits | digits << 32) & 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff;
    digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff;
    digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff;
    digits = (digits | digits << 4) & (ONES * 0x0f);
    // Adding 6 carries a digit above 9 into the upper half of its byte.
    let letters = ((digits + ONES * 6) >> 4) & ONES;
    (digits + ONES * u128::from(b'0') + letters * u128::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// Spreads a number over all 64 bits, one to one (the finaliser of `SplitMix64`: Steele, Lea and Flood, 2014).
fn scattered(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::fixture::five_arrivals_of_two_steps;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn text(traceparent: [u8; LENGTH]) -> String {
        String::from_utf8(traceparent.to_vec()).unwrap()
    }

    #[test]
    fn ids_are_a_pure_function_of_seed_start_and_journey() {
        let plan = five_arrivals_of_two_steps("20s");
        let ids = TraceIds::new(7, 1_795_000_000_000_000);
        let mut trace = ids.of(&plan.draws_of_arrival(3));
        // Golden: what a reader of a trace recomputes must not change between versions.
        assert_eq!(
            [text(trace.next()), text(trace.next())],
            [
                "00-dde6ed5ec1fc4ec8ec1c9807a3e070e9-777e3b810efd5649-01",
                "00-dde6ed5ec1fc4ec8ec1c9807a3e070e9-ba39b1b09562cb28-01"
            ]
        );
        assert_eq!(ids.of(&plan.draws_of_arrival(3)).id, trace.id);
        let others = [
            TraceIds::new(7, 1_795_000_000_000_001).of(&plan.draws_of_arrival(3)),
            TraceIds::new(8, 1_795_000_000_000_000).of(&plan.draws_of_arrival(3)),
            ids.of(&plan.draws_of_arrival(4)),
            ids.of(&plan.draws_of_iteration(0, 3)),
        ];
        assert!(others.iter().all(|other| other.id != trace.id));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_two_journeys_of_a_run_share_a_trace_and_no_two_requests_a_span(seed: u64, started: i64) {
            let plan = five_arrivals_of_two_steps("20s");
            let ids = TraceIds::new(seed, started);
            let arrivals = (0..200).map(|index| ids.of(&plan.draws_of_arrival(index)));
            let sessions = (0..200).map(|index| ids.of(&plan.draws_of_iteration(index % 10, u64::from(index / 10))));
            let mut traces = BTreeSet::new();
            let mut spans = BTreeSet::new();
            for mut trace in arrivals.chain(sessions) {
                traces.insert(trace.id);
                for _ in 0..5 {
                    let line = text(trace.next());
                    let parts: Vec<&str> = line.split('-').collect();
                    prop_assert_eq!((parts[0], parts[1].len(), parts[2].len(), parts[3]), ("00", 32, 16, "01"));
                    prop_assert_eq!(u128::from_str_radix(parts[1], 16).unwrap(), trace.id);
                    spans.insert(parts[2].to_owned());
                }
            }
            prop_assert_eq!((traces.len(), spans.len()), (400, 2000));
        }
    }
}
