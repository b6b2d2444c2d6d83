//! That shards are parts of one plan: together the whole, each thing once.

use super::*;
use proptest::prelude::*;
use rand::Rng;
use std::collections::BTreeSet;

fn any_plan() -> impl Strategy<Value = Plan> {
    let stages = "{name: up, ramp: {from: 0, to: 40}, duration: 3s}";
    let wave = "{name: wave, sine: {mean: 20, amplitude: 15, period: 2s}, duration: 5s, mix: {a: 1, b: 3}}";
    (0..6_u8, any::<u64>()).prop_map(move |(model, seed)| match model {
        0 => plan(&open("constant"), &[stages, wave], seed),
        1 => plan(&open("poisson"), &[stages, wave], seed),
        2 => plan("closed", &[stages, wave], seed),
        3 => plan("{paced: {every: 1s}}", &[stages, wave], seed),
        4 => plan("in_flight", &[stages, wave], seed),
        _ => replay((0..200).map(|index| index * index * 1000).collect(), seed, 1.0, |replay| replay.multiply = 1.5),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shards_together_are_the_whole_plan(plan in any_plan(), of in 1..12_u32) {
        let whole: Vec<Arrival> = plan.arrivals().collect();
        let mut together = Vec::new();
        let mut virtual_users = BTreeSet::new();
        let mut room = 0;
        for number in 1..=of {
            let shard = plan.clone().shard(number, of);
            let arrivals: Vec<Arrival> = shard.arrivals().collect();
            // Dealt out in turn: no shard has more than one more than another.
            prop_assert!((arrivals.len() as u64).abs_diff(whole.len() as u64 / u64::from(of)) <= 1);
            prop_assert!(arrivals.windows(2).all(|pair| pair[0].due <= pair[1].due));
            together.extend(arrivals);
            for virtual_user in shard.virtual_user_numbers() {
                prop_assert!(virtual_users.insert(virtual_user), "{virtual_user} is in two shards");
            }
            room += shard.max_in_flight().unwrap_or_default();
            // What an arrival or a session draws is the same in its shard.
            prop_assert_eq!(shard.draws_of_arrival(5).random::<u64>(), plan.draws_of_arrival(5).random::<u64>());
            prop_assert_eq!(shard.virtual_user_on_from(3, Duration::ZERO), plan.virtual_user_on_from(3, Duration::ZERO));
            prop_assert_eq!((shard.stages(), shard.shard_of()), (plan.stages(), (number, of)));
        }
        together.sort_by_key(|arrival| arrival.index);
        prop_assert_eq!(together, whole);
        prop_assert_eq!(virtual_users.len(), plan.virtual_users() as usize);
        prop_assert_eq!(room, plan.max_in_flight().map_or(0, |whole| whole.max(of)));
    }
}

#[test]
fn plans_are_the_same_on_every_thread() {
    let plan = plan(&open("poisson"), &["{name: n, hold: 200, duration: 10s}"], 5);
    let here: Vec<Arrival> = plan.arrivals().collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=4)
            .map(|number| {
                let shard = plan.clone().shard(number, 4);
                scope.spawn(move || shard.arrivals().collect::<Vec<Arrival>>())
            })
            .collect();
        let mut there: Vec<Arrival> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        there.sort_by_key(|arrival| arrival.index);
        assert_eq!(there, here);
    });
}
