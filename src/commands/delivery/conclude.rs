//! From what was measured to the verdict: the record, the report, the exit status.

use super::arena::Activity;
use super::{CommandError, ExitStatus, Measured, Progress, RECORD, RunOptions, Sink};
use crate::driver::Posts;
use crate::scenario::{Plan, Scenario, ServiceSource, System};
use crate::trial::{DeliveryRecording, InstanceLevel, Recording, Terms, judge_promises};
use crate::{report, study, tuner};
use std::collections::BTreeMap;
use std::path::Path;

/// Tells, saves and judges.
pub(super) fn conclude(
    options: &RunOptions,
    plan: &Plan,
    posts: &Posts,
    (measured, activity): (Measured, Activity),
    (dir, progress): (&Path, &Progress),
) -> Result<ExitStatus, CommandError> {
    let Measured { mut recording, faults, unobserved, looked_until } = measured;
    let scenario = plan.scenario();
    let Some(delivery) = &scenario.delivery else { return Ok(ExitStatus::Failure) };
    let factor = super::arena::time_factor(options, scenario);
    let terms = Terms {
        step: delivery.step.clone(),
        within: delivery.within.div_f64(factor.max(1.0)),
        drain_limit: super::arena::drain_limit(scenario, factor),
        looked_until,
        time_factor: factor,
        faults,
        seed: options.seed,
    };
    let mut told = posts.with(|ledger| ledger.conclude(terms));
    enter_activity(&mut told, &activity, &recording);
    told.services = scenario.system.as_ref().map(services).unwrap_or_default();
    told.assumptions = assumptions(options, factor);
    told.promises = judge_promises(delivery, &told);
    if let Some(cause) = &unobserved {
        recording.warnings.push(cause.clone());
    }
    recording.delivery = Some(told);
    save(options, scenario, &recording, (dir, progress))?;
    Ok(status_of(plan, &recording, unobserved.as_deref(), progress))
}

/// Saves the record, then tells it.
fn save(
    options: &RunOptions,
    scenario: &Scenario,
    recording: &Recording,
    (dir, progress): (&Path, &Progress),
) -> Result<(), CommandError> {
    Sink::from(dir.join(RECORD)).write_json(recording)?;
    let sink = options.json.clone().map(Sink::from);
    sink.iter().filter(|sink| **sink != Sink::StandardOutput).try_for_each(|sink| sink.write_json(recording))?;
    let page = report::render_delivery(recording, dir)?;
    let text = format!(
        "{}{}report: {}\n",
        report::run_summary(recording, scenario),
        report::ledger(recording),
        page.display()
    );
    if sink == Some(Sink::StandardOutput) {
        progress.say(text.trim_end());
        Sink::StandardOutput.write_json(recording)?;
    } else {
        super::super::print(&text)?;
    }
    if recording.delivery.as_ref().is_some_and(|delivery| delivery.lost() == 0) {
        // What was published and delivered is evidence only as long as something is missing.
        let _ = std::fs::remove_dir_all(dir.join("state"));
    }
    recording.warnings.iter().for_each(|warning| progress.say(&format!("warning: {warning}")));
    Ok(())
}

/// What was lost comes first, then whether the rest can be trusted, then the promises.
fn status_of(plan: &Plan, recording: &Recording, unobserved: Option<&str>, progress: &Progress) -> ExitStatus {
    for caution in study::cautions(recording) {
        progress.say(&format!("caution: {caution}"));
    }
    let mut reasons: Vec<String> = study::distrust(plan, recording).iter().map(ToString::to_string).collect();
    reasons.extend(unobserved.map(str::to_owned));
    let Some(delivery) = &recording.delivery else { return ExitStatus::Failure };
    if !delivery.balances() {
        reasons.push(
            "the books of the deliveries do not balance; this is a fault of tidegate, please report it".to_owned(),
        );
    }
    for reason in &reasons {
        progress.insist(&format!("INVALID: {reason}"));
    }
    // What an interrupted run or a silent observer did not tell of is unknown, not lost.
    if delivery.lost() > 0 && unobserved.is_none() && !recording.interrupted {
        progress.insist(&format!("LOST: {} reports were acknowledged and never delivered", delivery.lost()));
        return ExitStatus::Lost;
    }
    let broken = recording.aborted.is_some()
        || !tuner::broken_slos(&plan.scenario().slos, recording).is_empty()
        || delivery.promises.iter().any(|promise| !promise.kept);
    match (reasons.is_empty(), broken) {
        (false, _) => ExitStatus::Untrusted,
        (true, true) => ExitStatus::Unmet,
        (true, false) => ExitStatus::Success,
    }
}

/// What Monitoring and the broker told.
fn enter_activity(told: &mut DeliveryRecording, activity: &Activity, recording: &Recording) {
    let Ok(started) = recording.started_at.parse::<jiff::Timestamp>() else { return };
    for consumer in &mut told.consumers {
        let figures = activity.subscriptions.get(&consumer.name);
        (consumer.redeliveries, consumer.dead_lettered) =
            (figures.map(|figures| figures.redelivered), figures.map(|figures| figures.dead_lettered));
        let Some(activity) = activity.services.get(&consumer.name) else { continue };
        consumer.instances = activity
            .instances
            .iter()
            .map(|(end, (length_s, active, idle))| InstanceLevel {
                end_s: end.duration_since(started).as_secs_f64(),
                length_s: *length_s,
                active: *active,
                idle: *idle,
            })
            .filter(|level| level.end_s > 0.0)
            .collect();
    }
}

/// The services in words.
pub(super) fn services(system: &System) -> BTreeMap<String, String> {
    let words = |member: &crate::scenario::Member| {
        let what = match &member.service.source {
            ServiceSource::Bundled(name) => format!("bundled {name}"),
            ServiceSource::Command(words) => words.first().cloned().unwrap_or_default(),
        };
        let concurrency = member.max_concurrency.map_or_else(|| "Google’s default".to_owned(), |most| most.to_string());
        format!(
            "{what}, max concurrency {concurrency}, {} to {} instances of {} vCPU and {} GiB",
            member.service.min_instances, member.service.max_instances, member.service.vcpu.0, member.service.memory.0
        )
    };
    system.services.iter().map(|(name, member)| (name.clone(), words(member))).collect()
}

fn assumptions(options: &RunOptions, factor: f64) -> Vec<String> {
    let mut told = vec![match options.target {
        None => "Posts and deliveries are timed by the clock of one host.".to_owned(),
        Some(_) => "Posts are timed by this host’s clock, deliveries by the consumers’ hosts’: what those clocks differ by is in \
                    the delivery times."
            .to_owned(),
    }];
    if factor > 1.0 {
        told.push(format!(
            "A time factor of {factor} divides stage lengths, the times of faults, Pub/Sub’s backoffs, `within` and `heal`; \
             no rate, no service time and no other promise."
        ));
    }
    if options.target.is_none() {
        let whose = super::arena::pubsub(options).map_or_else(
            || "Pub/Sub is tidegate’s local broker".to_owned(),
            |host| format!("Pub/Sub is what serves at {host}, which no time factor reaches"),
        );
        told.push(format!(
            "{whose}; services run on the local platform, where a vCPU is a stated share of a host core."
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Display;
    use crate::trial::{Books, ConsumerRecording, DeliveryBooks, PostBooks};
    use std::sync::Arc;
    use std::time::Duration;

    fn status(lost: u64, unobserved: Option<&str>, more: impl Fn(&mut Recording)) -> ExitStatus {
        let text = "name: small
journeys: [{name: one, steps: [{name: get, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: up, ramp: {from: 20, to: 20}, duration: 1s}]
slos: [p95 < 50ms]";
        let scenario = Scenario::from_yaml(Path::new("small.yaml"), text).unwrap();
        let plan = Plan::new(Arc::new(scenario), 1, 1.0);
        let mut recording = Recording::default();
        recording.overall.response_time.record(Duration::from_millis(10));
        recording.arrivals = Books { planned: 20, completed: 20, ..Books::default() };
        let books = DeliveryBooks { deliveries: 20 - lost, delivered: 20 - lost, lost, ..DeliveryBooks::default() };
        recording.delivery = Some(DeliveryRecording {
            posts: PostBooks { posted: 20, acknowledged: 20, failed: 0 },
            consumers: vec![ConsumerRecording { name: "email".to_owned(), books, ..ConsumerRecording::default() }],
            ..DeliveryRecording::default()
        });
        more(&mut recording);
        status_of(&plan, &recording, unobserved, &Progress::of_run(Display::Quiet, "", ""))
    }

    #[test]
    fn loss_is_told_whatever_else_is_wrong() {
        assert_eq!(status(0, None, |_| {}), ExitStatus::Success);
        let slow = |recording: &mut Recording| recording.overall.response_time.record(Duration::from_secs(9));
        assert_eq!(status(0, None, slow), ExitStatus::Unmet);
        assert_eq!(status(1, None, |_| {}), ExitStatus::Lost);
        assert_eq!(status(1, None, slow), ExitStatus::Lost);
    }

    #[test]
    fn what_could_not_be_observed_is_unknown_and_not_lost() {
        assert_eq!(status(20, Some("nobody told"), |_| {}), ExitStatus::Untrusted);
        assert_eq!(
            status(0, None, |recording| recording.delivery.as_mut().unwrap().posts.posted = 21),
            ExitStatus::Untrusted
        );
    }
}
