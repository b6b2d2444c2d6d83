//! Plans as they are: a change to any of them changes every load that was ever sent with its seed, and must be meant.

use super::*;

/// How many arrivals, a few of them, and a hash of all.
fn told(plan: &Plan) -> String {
    let mut text = String::new();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let arrivals: Vec<Arrival> = plan.arrivals().collect();
    for (place, arrival) in arrivals.iter().enumerate() {
        let line = format!("{} {} {} {}", arrival.index, arrival.due.as_nanos(), arrival.journey, arrival.stage);
        hash = line.bytes().fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        if place < 3 || place + 1 == arrivals.len() {
            text.push_str(&(line + "\n"));
        }
    }
    format!("{text}{} arrivals, hash {hash:016x}", arrivals.len())
}

const STAGES: [&str; 4] = [
    "{name: up, ramp: {from: 0, to: 50}, duration: 4s}",
    "{name: steady, hold: 50, duration: 4s, mix: {a: 1, b: 1}}",
    "{name: sale, spike: 200, duration: 1s}",
    "{name: day, sine: {mean: 30, amplitude: 20, period: 5s, phase: 1s}, duration: 10s}",
];

#[test]
fn open_plans() {
    insta::assert_snapshot!(told(&plan(&open("poisson"), &STAGES, 7)), @r"
    0 165762784 0 0
    1 238543307 0 0
    2 501832212 0 0
    832 18992864845 0 3
    833 arrivals, hash 8f64b475fd0a4728
    ");
    insta::assert_snapshot!(told(&plan(&open("poisson"), &STAGES, 8)), @r"
    0 109647112 0 0
    1 476205261 0 0
    2 717379483 0 0
    802 18971990282 0 3
    803 arrivals, hash 6e60102f8d5a01b6
    ");
    insta::assert_snapshot!(told(&plan(&open("constant"), &STAGES, 7)), @r"
    0 0 0 0
    1 400000000 0 0
    2 565685425 0 0
    799 18979566690 0 3
    800 arrivals, hash f005ff3ae55b6c47
    ");
    insta::assert_snapshot!(told(&plan(&open("poisson"), &STAGES, 7).shard(2, 8)), @r"
    1 238543307 0 0
    9 1342884237 1 0
    17 1536591650 0 0
    825 18761921894 0 3
    104 arrivals, hash 3e500f61202bac38
    ");
}

#[test]
fn replayed_plans() {
    let times: Vec<u64> =
        (0..500).map(|index: u64| index * 10_000_000 + (index % 7) * (index % 5) * 1_000_000).collect();
    let sorted = || {
        let mut times = times.clone();
        times.sort_unstable();
        times
    };
    insta::assert_snapshot!(told(&replay(sorted(), 7, 1.0, |_| {})), @r"
    0 0 0 0
    1 11000000 0 0
    2 24000000 0 0
    499 4998000000 1 0
    500 arrivals, hash 31fe75b29b292020
    ");
    insta::assert_snapshot!(told(&replay(sorted(), 7, 1.0, |replay| (replay.speed, replay.multiply) = (2.0, 2.5))), @r"
    0 0 0 0
    1 2308910 0 0
    2 5500000 0 0
    1240 2499999999 0 0
    1241 arrivals, hash 9f298802301f683f
    ");
    insta::assert_snapshot!(told(&replay(sorted(), 7, 4.0, |replay| replay.spread = Duration::from_secs(1))), @r"
    0 36383344 0 0
    1 37483881 0 0
    2 40339984 0 0
    122 1238465628 1 0
    123 arrivals, hash 24a6366ef88b1a02
    ");
}

#[test]
fn sessions_of_virtual_users() {
    let plan = plan("{paced: {every: 2s}}", &STAGES, 7);
    let journeys: String = (0..10)
        .map(|virtual_user| {
            let of = |index| plan.iteration(virtual_user, index, Duration::from_secs(index)).journey.to_string();
            (0..18).map(of).collect::<String>() + "\n"
        })
        .collect();
    insta::assert_snapshot!(journeys, @r"
    000010110011000110
    100010010011000000
    000100000000000000
    001010110000000110
    000110110010010000
    000010110000000001
    000010110000100001
    010000000100101110
    000000100100010000
    000011010010000011
    ");
    let on: Vec<String> = [0, 10, 40]
        .map(|virtual_user| format!("{:?}", plan.virtual_user_on_from(virtual_user, Duration::ZERO)))
        .to_vec();
    insta::assert_snapshot!(on.join("\n"), @r"
    Some(40ms)
    Some(840ms)
    Some(3.24s)
    ");
}
