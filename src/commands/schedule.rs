//! Which part of a plan a run sends, and when.

use super::error::CommandError;
use crate::scenario::Plan;
use crate::trial::Shard;
use jiff::Timestamp;

/// Which part of a plan a run sends, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Schedule {
    /// One of several shards; the whole plan if left out.
    pub shard: Option<Shard>,
    /// When the load starts; at once if left out.
    pub start_at: Option<Timestamp>,
}

impl Schedule {
    /// The part of `plan` that is sent.
    ///
    /// # Errors
    /// When the start has passed, or the shards would begin before the set-up steps were sent.
    pub(super) fn apply(&self, plan: Plan, now: Timestamp) -> Result<Plan, CommandError> {
        if let Some(start_at) = self.start_at
            && start_at <= now
        {
            let ago = now.duration_since(start_at).as_secs_f64();
            return Err(CommandError::Usage(format!(
                "--start-at: {start_at} was {ago:.0} s ago\n\nhint: give a time to come (now it is {now:.0}), or leave --start-at out"
            )));
        }
        let Some(Shard { number, of }) = self.shard else { return Ok(plan) };
        if of > 1 && self.start_at.is_none() && !plan.scenario().set_up.is_empty() {
            return Err(CommandError::Usage(
                "--shard: the scenario has set-up steps, which shard 1 alone sends, and the other shards would not wait \
                 for it\n\nhint: give every shard the same --start-at, late enough for the set-up"
                    .to_owned(),
            ));
        }
        Ok(plan.shard(number, of))
    }

    /// What is waited for and what is left out, in words; nothing to tell for a whole plan that starts at once.
    pub(super) fn told(&self, now: Timestamp) -> Vec<String> {
        let mut told = Vec::new();
        if let Some(Shard { number, of }) = self.shard {
            told.push(format!("shard {number} of {of}: its own share of the load, and of `max_in_flight`"));
        }
        if let Some(start_at) = self.start_at {
            let wait = start_at.duration_since(now).as_secs_f64();
            told.push(format!("the load starts at {start_at}, in {wait:.1} s"));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use std::path::Path;
    use std::sync::Arc;

    fn plan(set_up: &str) -> Plan {
        let text = format!(
            "name: s\n{set_up}journeys: [{{name: a, steps: [{{name: x, get: /}}]}}]\nload: closed\nstages: [{{name: n, hold: 3, duration: 1s}}]\n"
        );
        Plan::new(Arc::new(Scenario::from_yaml(Path::new("s"), &text).unwrap()), 1, 1.0)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_start_in_the_past_is_refused_with_the_mend() {
        let schedule = Schedule { shard: None, start_at: Some(at("2026-11-22T16:00:00Z")) };
        let error = schedule.apply(plan(""), at("2026-11-22T16:01:30Z")).unwrap_err();
        insta::assert_snapshot!(error, @r"
        --start-at: 2026-11-22T16:00:00Z was 90 s ago

        hint: give a time to come (now it is 2026-11-22T16:01:30Z), or leave --start-at out
        ");
        let told = schedule.told(at("2026-11-22T15:59:58.5Z")).join("\n");
        insta::assert_snapshot!(told, @"the load starts at 2026-11-22T16:00:00Z, in 1.5 s");
    }

    #[test]
    fn shards_wait_for_the_set_up_at_a_common_start() {
        let shard = Some(Shard { number: 2, of: 3 });
        let set_up = "set_up: [{name: s, post: /}]\n";
        let now = at("2026-11-22T16:00:00Z");
        let error = Schedule { shard, start_at: None }.apply(plan(set_up), now).unwrap_err();
        insta::assert_snapshot!(error, @r"
        --shard: the scenario has set-up steps, which shard 1 alone sends, and the other shards would not wait for it

        hint: give every shard the same --start-at, late enough for the set-up
        ");
        let start_at = Some(at("2026-11-22T16:00:10Z"));
        let sharded = Schedule { shard, start_at }.apply(plan(set_up), now).unwrap();
        assert_eq!(sharded.shard_of(), (2, 3));
        assert_eq!(sharded.virtual_user_numbers().collect::<Vec<_>>(), [1]);
        assert!(Schedule { shard, start_at: None }.apply(plan(""), now).is_ok());
        assert!(Schedule { shard: Some(Shard { number: 1, of: 1 }), start_at: None }.apply(plan(set_up), now).is_ok());
    }
}
