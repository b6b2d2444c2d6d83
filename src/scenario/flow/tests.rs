//! That journeys go where their groups say, and that the books of any flow balance.

use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

fn group(first: usize, count: usize, condition: Option<&str>, repeat: impl Into<Option<Repeat>>) -> Group {
    Group { first, count, condition: condition.map(|text| Condition(text.to_owned())), repeat: repeat.into() }
}

fn times(from: u32, to: u32) -> Repeat {
    Repeat::Times { from, to }
}

fn until(condition: &str, at_most: u32) -> Repeat {
    Repeat::Until { condition: Condition(condition.to_owned()), at_most }
}

/// The turns of a journey of `steps` steps, where `answer` sets the one variable after each sending.
fn turns(steps: usize, groups: &[Group], mut answer: impl FnMut(usize, usize) -> Value) -> Vec<Turn> {
    let mut compile = |condition: &Condition| Compiled::new(condition, &mut |_| 0);
    let mut draws = ChaCha8Rng::seed_from_u64(5);
    let flow = Flow::new(steps, groups, &mut compile);
    let mut position = flow.as_ref().map(|flow| flow.start(&mut draws)).unwrap_or_default();
    let (mut values, mut turns, mut sent) = (vec![Value::Null], Vec::new(), 0);
    loop {
        let turn = match &flow {
            Some(flow) => flow.turn(&mut position, &values),
            None => position.straight_on(steps),
        };
        if turn == Turn::End {
            return turns;
        }
        if let Turn::Send(step) = turn {
            sent += 1;
            values[0] = answer(step, sent);
        }
        turns.push(turn);
    }
}

fn sent(turns: &[Turn]) -> Vec<usize> {
    turns.iter().filter_map(|turn| if let Turn::Send(step) = turn { Some(*step) } else { None }).collect()
}

#[test]
fn without_groups_it_goes_straight_on() {
    assert_eq!(sent(&turns(3, &[], |_, _| Value::Null)), [0, 1, 2]);
}

#[test]
fn a_condition_that_does_not_hold_skips_its_steps() {
    let groups = [group(1, 2, Some("${x} > 0"), None)];
    assert_eq!(turns(4, &groups, |_, _| json!(0)), [Turn::Send(0), Turn::Skip(1..3), Turn::Send(3)]);
    assert_eq!(sent(&turns(4, &groups, |_, _| json!(1))), [0, 1, 2, 3]);
    // Asked once, before the first of its steps: what those answer does not matter any more.
    assert_eq!(sent(&turns(4, &groups, |step, _| json!(i32::from(step == 0)))), [0, 1, 2, 3]);
}

#[test]
fn repeats_come_as_often_as_they_say() {
    let thrice = [group(1, 1, None, times(3, 3))];
    let expected = [Turn::Send(0), Turn::Send(1), Turn::Again(1..2), Turn::Send(1), Turn::Again(1..2), Turn::Send(1)];
    assert_eq!(turns(2, &thrice, |_, _| Value::Null), expected);
    let drawn = sent(&turns(1, &[group(0, 1, None, times(2, 4))], |_, _| Value::Null)).len();
    assert!((2..=4).contains(&drawn), "{drawn}");
    assert_eq!(turns(2, &[group(0, 1, None, times(0, 0))], |_, _| Value::Null), [Turn::Skip(0..1), Turn::Send(1)]);
}

#[test]
fn until_is_asked_after_each_round_and_bounded() {
    let poll = [group(0, 2, None, until("${x} == done", 5))];
    assert_eq!(sent(&turns(2, &poll, |_, sent| json!(if sent < 4 { "waiting" } else { "done" }))), [0, 1, 0, 1]);
    assert_eq!(sent(&turns(2, &poll, |_, _| json!("waiting"))).len(), 10);
    assert_eq!(sent(&turns(2, &poll, |_, _| json!("done"))), [0, 1]);
}

#[test]
fn groups_nest() {
    // (0 (1)x2 [2 if x > 0])x2 3
    let groups = [group(0, 3, None, times(2, 2)), group(1, 1, None, times(2, 2)), group(2, 1, Some("${x} > 4"), None)];
    assert_eq!(sent(&turns(4, &groups, |_, sent| json!(sent))), [0, 1, 1, 0, 1, 1, 2, 3]);
    let both = [group(0, 1, Some("${x} exists"), times(2, 2))];
    assert_eq!(turns(1, &both, |_, _| Value::Null), [Turn::Skip(0..1)]);
}

#[test]
fn numbers_of_rounds_come_from_the_seed_alone() {
    let groups = [group(0, 1, None, times(0, 1000)), group(1, 1, None, times(0, 1000))];
    let mut compile = |condition: &Condition| Compiled::new(condition, &mut |_| 0);
    let flow = Flow::new(2, &groups, &mut compile).unwrap();
    let drawn = |seed| flow.start(&mut ChaCha8Rng::seed_from_u64(seed)).drawn;
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
}

#[test]
fn groups_that_were_not_checked_make_no_panic() {
    for groups in [
        vec![group(0, 9, None, times(2, 2))],
        vec![group(5, 2, None, None)],
        vec![group(0, 0, Some("x"), None)],
        vec![group(1, usize::MAX, Some("nonsense"), until("nonsense", 2)), group(0, 1, None, None)],
        vec![group(0, 2, None, None), group(1, 2, None, None)],
    ] {
        let sent = sent(&turns(2, &groups, |_, _| Value::Null));
        assert!(sent.len() <= 8, "{sent:?}");
    }
}

/// Groups as a file can hold them: nested or side by side, outer ones first.
fn any_groups(steps: Range<usize>, depth: u32) -> BoxedStrategy<Vec<Group>> {
    if steps.is_empty() || depth == 0 {
        return Just(Vec::new()).boxed();
    }
    let Range { start, end } = steps;
    (start..end, 1..=end - start, any::<bool>(), prop::option::of((0u32..3, 0u32..3, any::<bool>())))
        .prop_flat_map(move |(first, count, conditional, repeat)| {
            let count = count.min(end - first);
            let repeat = repeat
                .map(|(from, more, polls)| if polls { until("${x} > 2", from + 1) } else { times(from, from + more) });
            let outer = group(first, count, conditional.then_some("${x} != 1"), repeat);
            (any_groups(first..first + count, depth - 1), any_groups(first + count..end, depth))
                .prop_map(move |(inner, behind)| [vec![outer.clone()], inner, behind].concat())
        })
        .boxed()
}

proptest! {
    /// At every moment what is planned and neither sent nor given up are the steps from the present one on: so whatever
    /// ends a journey, dropping those makes its books balance.
    #[test]
    fn what_is_planned_is_what_was_sent_and_what_lies_ahead(
        groups in any_groups(0..5, 3), answers in prop::collection::vec(0i64..4, 1..20),
    ) {
        let turns = turns(5, &groups, |_, sent| json!(answers[sent % answers.len()]));
        let (mut planned, mut sent, mut next) = ([1_i64; 5], [0_i64; 5], 0);
        for turn in turns {
            match turn {
                Turn::Send(step) => {
                    prop_assert_eq!(step, next);
                    sent[step] += 1;
                    next = step + 1;
                }
                Turn::Skip(steps) => {
                    prop_assert_eq!(steps.start, next);
                    next = steps.end;
                    steps.for_each(|step| planned[step] -= 1);
                }
                Turn::Again(steps) => {
                    prop_assert_eq!(steps.end, next);
                    next = steps.start;
                    steps.for_each(|step| planned[step] += 1);
                }
                Turn::End => {}
            }
            for step in 0..5 {
                prop_assert_eq!(planned[step], sent[step] + i64::from(step >= next), "step {} before {}", step, next);
            }
        }
        prop_assert_eq!(next, 5);
    }
}
