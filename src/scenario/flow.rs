//! Stretches of a journey that are sent on a condition or several times. Compiled once, they are a short program; a
//! journey without them has none and goes straight on.

use super::Condition;
use super::condition::Compiled;
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::Range;

/// How often a step may be sent at most in one journey, all the repeats around it multiplied.
pub(super) const ROUNDS_MAX: u64 = 10_000;

/// A stretch of a journey's steps that is sent on a condition, several times, or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Index of its first step in the journey.
    pub first: usize,
    /// How many steps it holds, at least one.
    pub count: usize,
    /// Asked once before the first round: unless it holds, the steps are skipped.
    pub condition: Option<Condition>,
    /// How often the steps are sent.
    pub repeat: Option<Repeat>,
}

/// How often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Repeat {
    /// A number drawn once for each journey, both ends included; 0 skips the steps.
    Times {
        /// Fewest.
        from: u32,
        /// Most.
        to: u32,
    },
    /// Until a condition holds, which is asked after each round.
    Until {
        /// The condition.
        condition: Condition,
        /// After so many rounds the journey goes on all the same; at least 1.
        at_most: u32,
    },
}

impl Group {
    /// Whether `step` is one of its steps.
    pub(super) fn holds(&self, step: usize) -> bool {
        (self.first..self.first.saturating_add(self.count)).contains(&step)
    }

    /// Mean number of rounds, 1 where answers decide.
    pub(super) fn rounds_mean(&self) -> f64 {
        match self.repeat {
            Some(Repeat::Times { from, to }) => f64::midpoint(f64::from(from), f64::from(to)),
            _ => 1.0,
        }
    }
}

/// Where a journey goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// These steps are not sent now: their condition does not hold. The journey is behind them.
    Skip(Range<usize>),
    /// These steps come due once more. The journey is before them.
    Again(Range<usize>),
    /// This step is next.
    Send(usize),
    /// There is no further step.
    End,
}

/// The program of a journey.
#[derive(Debug)]
pub(super) struct Flow {
    ops: Vec<Op>,
    /// The bounds of the numbers of rounds that are drawn, by loop.
    rounds: Vec<(u32, u32)>,
}

#[derive(Debug)]
enum Op {
    Send(usize),
    /// Goes on at `otherwise`, and skips the steps, unless the condition holds.
    If {
        condition: Compiled,
        steps: Range<usize>,
        otherwise: usize,
    },
    /// Begins a loop; without a round it goes on at `otherwise`.
    Begin {
        number: usize,
        steps: Range<usize>,
        otherwise: usize,
    },
    /// Ends a round; another one begins at `body`.
    Round {
        number: usize,
        steps: Range<usize>,
        body: usize,
        until: Option<Compiled>,
    },
}

/// How far a session is in its flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    at: usize,
    /// Rounds that each loop has when it begins.
    drawn: Vec<u32>,
    /// Rounds that are left to each loop.
    left: Vec<u32>,
}

impl Position {
    /// Goes on where there is no program: step after step.
    pub(super) fn straight_on(&mut self, steps: usize) -> Turn {
        if self.at >= steps {
            return Turn::End;
        }
        self.at += 1;
        Turn::Send(self.at - 1)
    }
}

impl Flow {
    /// The program of a journey of `steps` steps; `None` for a straight one. `compile` turns conditions into what a
    /// session can ask. Groups that reach beyond the journey, which a checked scenario never has, are cut.
    pub(super) fn new(
        steps: usize,
        groups: &[Group],
        compile: &mut impl FnMut(&Condition) -> Compiled,
    ) -> Option<Self> {
        if groups.is_empty() {
            return None;
        }
        let mut flow = Self { ops: Vec::new(), rounds: Vec::new() };
        flow.append(0..steps, groups, compile);
        Some(flow)
    }

    fn append(&mut self, steps: Range<usize>, groups: &[Group], compile: &mut impl FnMut(&Condition) -> Compiled) {
        let mut next = steps.start;
        let mut rest = groups;
        while next < steps.end {
            let Some(at) = rest.iter().position(|group| group.first == next && group.count > 0) else {
                self.ops.push(Op::Send(next));
                next += 1;
                continue;
            };
            let group = &rest[at];
            // The groups that follow are those inside this one, then those behind it.
            rest = &rest[at + 1..];
            let range = next..next.saturating_add(group.count).min(steps.end);
            self.group(group, range.clone(), rest, compile);
            rest = &rest[rest.iter().take_while(|inner| range.contains(&inner.first)).count()..];
            next = range.end;
        }
    }

    fn group(
        &mut self,
        group: &Group,
        steps: Range<usize>,
        inner: &[Group],
        compile: &mut impl FnMut(&Condition) -> Compiled,
    ) {
        let guard = group.condition.as_ref().map(|condition| {
            self.ops.push(Op::If { condition: compile(condition), steps: steps.clone(), otherwise: 0 });
            self.ops.len() - 1
        });
        match &group.repeat {
            None => self.append(steps, inner, compile),
            Some(repeat) => {
                let number = self.rounds.len();
                let (bounds, until) = match repeat {
                    Repeat::Times { from, to } => ((*from, *to), None),
                    Repeat::Until { condition, at_most } => ((*at_most, *at_most), Some(compile(condition))),
                };
                self.rounds.push(bounds);
                let begin = self.ops.len();
                self.ops.push(Op::Begin { number, steps: steps.clone(), otherwise: 0 });
                self.append(steps.clone(), inner, compile);
                self.ops.push(Op::Round { number, steps, body: begin + 1, until });
                self.close(begin);
            }
        }
        if let Some(guard) = guard {
            self.close(guard);
        }
    }

    /// Tells the operation at `at` where the group behind it ends: here.
    fn close(&mut self, at: usize) {
        let here = self.ops.len();
        if let Op::If { otherwise, .. } | Op::Begin { otherwise, .. } = &mut self.ops[at] {
            *otherwise = here;
        }
    }

    /// The start of a journey, its numbers of rounds drawn.
    pub(super) fn start(&self, draws: &mut impl Rng) -> Position {
        let round = |(from, to): &(u32, u32)| if from < to { draws.random_range(*from..=*to) } else { *from };
        Position { at: 0, left: vec![0; self.rounds.len()], drawn: self.rounds.iter().map(round).collect() }
    }

    /// Goes on to whatever comes next, by the values as they are now.
    pub(super) fn turn(&self, position: &mut Position, values: &[Value]) -> Turn {
        loop {
            let Some(op) = self.ops.get(position.at) else { return Turn::End };
            position.at += 1;
            match op {
                Op::Send(step) => return Turn::Send(*step),
                Op::If { condition, steps, otherwise } => {
                    if !condition.holds(values) {
                        position.at = *otherwise;
                        return Turn::Skip(steps.clone());
                    }
                }
                Op::Begin { number, steps, otherwise } => {
                    let rounds = position.drawn[*number];
                    position.left[*number] = rounds;
                    if rounds == 0 {
                        position.at = *otherwise;
                        return Turn::Skip(steps.clone());
                    }
                }
                Op::Round { number, steps, body, until } => {
                    let left = &mut position.left[*number];
                    *left = left.saturating_sub(1);
                    if *left > 0 && !until.as_ref().is_some_and(|until| until.holds(values)) {
                        position.at = *body;
                        return Turn::Again(steps.clone());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
