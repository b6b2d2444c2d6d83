//! From what was measured to the verdict: the record, the report, the exit status.

use super::super::run::NOTHING_SENT;
use super::looks::{self, Seen};
use super::works::Counted;
use super::{CommandError, DELIVERIES, ExitStatus, Measured, Progress, RECORD, RunOptions, Sink, folder};
use crate::cloud::RevisionActivity;
use crate::driver::Posts;
use crate::scenario::{Plan, ServiceSource, System};
use crate::trial::{DeliveryRecording, InstanceLevel, Recording, Terms, judge_promises};
use crate::{report, study, tuner};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the local broker counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// In the end; `None` where nobody counts.
    pub(super) counted: Option<Counted>,
    /// Meanwhile.
    pub(super) looks: Seen,
}

/// A run that was judged.
#[derive(Debug)]
pub(super) struct Concluded {
    recording: Recording,
    pub(super) status: ExitStatus,
}

/// Judges, saves and tells.
pub(super) fn conclude(
    options: &RunOptions,
    plan: &Plan,
    posts: &Posts,
    (measured, counts): (Measured, Counts),
    (dir, progress): (&Path, &Progress),
) -> Result<Concluded, CommandError> {
    let Measured { mut recording, faults, unobserved, looked_until, queued, drain_limit } = measured;
    let scenario = plan.scenario();
    let Some(delivery) = &scenario.delivery else {
        return Ok(Concluded { recording, status: ExitStatus::Failure });
    };
    let factor = super::arena::time_factor(options, scenario);
    let terms = Terms {
        step: delivery.step.clone(),
        within: delivery.within.div_f64(factor.max(1.0)),
        drain_limit,
        looked_until,
        time_factor: factor,
        faults,
    };
    let mut told = posts.with(|ledger| ledger.conclude(terms));
    enter_counts(&mut told, counts, &recording);
    told.enter_queued(&queued);
    told.services = scenario.system.as_ref().map(services).unwrap_or_default();
    told.assumptions = assumptions(options, factor);
    told.promises = judge_promises(delivery, &told);
    told.response_promises = report::judge_responses(&recording, scenario);
    recording.warnings.extend(unobserved.clone());
    told.unobserved = unobserved;
    told.distrust = distrust(plan, &recording, &told);
    recording.delivery = Some(told);
    let status = status_of(plan, &recording);
    let concluded = Concluded { recording, status };
    if let Some(ids) = scenario.report_ids() {
        let table = posts.with(|ledger| report::deliveries_csv(&delivery.consumers, ids, ledger.fates()))?;
        Sink::from(dir.join(DELIVERIES)).write(&table)?;
    }
    concluded.tell(options, plan, (dir, progress))?;
    Ok(concluded)
}

impl Concluded {
    /// A run that was stopped before anything was sent: there is nothing to judge and nothing to save.
    pub(super) fn of_nothing(recording: Recording, status: ExitStatus) -> Self {
        Self { recording, status }
    }

    /// Tells one that is of nothing.
    pub(super) fn tell_nothing(
        &self,
        options: &RunOptions,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<(), CommandError> {
        let text = report::run_summary(&self.recording, plan.scenario());
        match options.json.clone().map(Sink::from) {
            Some(Sink::StandardOutput) => progress.say(text.trim_end()),
            _ => super::super::print(&text)?,
        }
        progress.say(NOTHING_SENT);
        self.hand_over(options)
    }

    /// Saves the record and its report, and tells it.
    fn tell(&self, options: &RunOptions, plan: &Plan, (dir, progress): (&Path, &Progress)) -> Result<(), CommandError> {
        let recording = &self.recording;
        let page = self.save(options, dir)?;
        let text = format!(
            "{}{}report: {}\n",
            report::run_summary(recording, plan.scenario()),
            report::ledger(recording),
            page.display()
        );
        match options.json.clone().map(Sink::from) {
            Some(Sink::StandardOutput) => progress.say(text.trim_end()),
            _ => super::super::print(&text)?,
        }
        recording.warnings.iter().for_each(|warning| progress.say(&format!("warning: {warning}")));
        for caution in study::cautions(recording) {
            progress.say(&format!("caution: {caution}"));
        }
        let Some(delivery) = &recording.delivery else { return Ok(()) };
        for reason in delivery.distrust.iter().chain(&delivery.unobserved) {
            progress.insist(&format!("INVALID: {reason}"));
        }
        if self.status == ExitStatus::Lost {
            progress.insist(&format!("LOST: {}", delivery.losses().join("; ")));
        }
        Ok(())
    }

    /// Adds the instances of a load that started then.
    pub(super) fn add_instances(&mut self, activity: &BTreeMap<String, RevisionActivity>, started: Timestamp) {
        let Some(delivery) = &mut self.recording.delivery else { return };
        for (service, activity) in activity {
            let levels = levels(activity, started);
            match delivery.consumers.iter_mut().find(|consumer| consumer.name == *service) {
                Some(consumer) => consumer.instances = levels,
                None if levels.is_empty() => {}
                None => _ = delivery.other_instances.insert(service.clone(), levels),
            }
        }
    }

    /// Saves record and report as they are now, the record also in the file that the user wants it in; gives the page.
    pub(super) fn save(&self, options: &RunOptions, dir: &Path) -> Result<PathBuf, CommandError> {
        Sink::from(dir.join(RECORD)).write_json(&self.recording)?;
        let file = options.json.clone().map(Sink::from).filter(|sink| *sink != Sink::StandardOutput);
        file.map_or(Ok(()), |sink| sink.write_json(&self.recording))?;
        Ok(report::render_delivery(&self.recording, dir)?)
    }

    /// Gives the record to the program that reads standard output, if one does: once, when nothing is added to it any more.
    pub(super) fn hand_over(&self, options: &RunOptions) -> Result<(), CommandError> {
        let sink = options.json.clone().map(Sink::from).filter(|sink| *sink == Sink::StandardOutput);
        sink.map_or(Ok(()), |sink| sink.write_json(&self.recording))
    }

    /// What was published and delivered is evidence only as long as something is missing.
    pub(super) fn clear(&self, dir: &Path) {
        if self.recording.delivery.as_ref().is_some_and(|delivery| delivery.lost() == 0) {
            let _ = std::fs::remove_dir_all(dir.join(folder::STATE));
        }
    }
}

/// Why the measurement cannot be trusted.
fn distrust(plan: &Plan, recording: &Recording, delivery: &DeliveryRecording) -> Vec<String> {
    let mut reasons: Vec<String> = study::distrust(plan, recording).iter().map(ToString::to_string).collect();
    reasons.extend(delivery.wrong_clocks());
    if !delivery.balances() {
        reasons.push(
            "the books of the deliveries do not balance; this is a fault of tidegate, please report it".to_owned(),
        );
    }
    reasons
}

/// What was lost comes first, then whether the rest can be trusted, then the promises.
fn status_of(plan: &Plan, recording: &Recording) -> ExitStatus {
    let Some(delivery) = &recording.delivery else { return ExitStatus::Failure };
    // What an interrupted run or a silent observer did not tell of is unknown, not lost.
    if delivery.lost() > 0 && delivery.unobserved.is_none() && !recording.interrupted {
        return ExitStatus::Lost;
    }
    let broken = recording.aborted.is_some()
        || !tuner::broken_slos(&plan.scenario().slos, recording).is_empty()
        || delivery.all_promises().any(|promise| !promise.kept);
    match (delivery.distrust.is_empty() && delivery.unobserved.is_none(), broken) {
        (false, _) => ExitStatus::Untrusted,
        (true, true) => ExitStatus::Unmet,
        (true, false) => ExitStatus::Success,
    }
}

/// What the broker counted, over the load's own time.
fn enter_counts(told: &mut DeliveryRecording, counts: Counts, recording: &Recording) {
    let Counts { counted: Some(Counted { subscriptions, publishes_refused }), mut looks } = counts else { return };
    told.enter_subscriptions(subscriptions);
    told.publishes_refused = Some(publishes_refused);
    let Ok(started) = recording.started_at.parse::<Timestamp>() else { return };
    for consumer in &mut told.consumers {
        let Some(redeliveries) = consumer.redeliveries else { continue };
        looks::enter(&mut looks, &consumer.name, (Timestamp::now(), redeliveries));
        let since = |(at, count): &(Timestamp, u64)| (at.duration_since(started).as_secs_f64(), *count);
        consumer.enter_redeliveries(&looks[&consumer.name].iter().map(since).collect::<Vec<_>>());
    }
}

/// What Monitoring told, over the load's own time.
fn levels(activity: &RevisionActivity, started: Timestamp) -> Vec<InstanceLevel> {
    let level = |(end, (length_s, active, idle)): (&Timestamp, &(f64, u64, u64))| InstanceLevel {
        end_s: end.duration_since(started).as_secs_f64(),
        length_s: *length_s,
        active: *active,
        idle: *idle,
    };
    activity.instances.iter().map(level).filter(|level| level.end_s > 0.0).collect()
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
        let whose = super::pubsub(options.delivery.pubsub.as_ref()).map_or_else(
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
    use crate::scenario::Scenario;
    use crate::trial::{
        Books, ConsumerRecording, DeliveryBooks, DeliveryInterval, PostBooks, PublishRefusals, SubscriptionRecording,
    };
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
        let mut delivery = recording.delivery.take().unwrap();
        delivery.unobserved = unobserved.map(str::to_owned);
        delivery.distrust = distrust(&plan, &recording, &delivery);
        recording.delivery = Some(delivery);
        status_of(&plan, &recording)
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

    #[test]
    fn a_clock_that_is_behind_makes_no_run_a_success() {
        let behind = |recording: &mut Recording| {
            let consumers = &mut recording.delivery.as_mut().unwrap().consumers;
            consumers[0].early = Some(crate::trial::EarlyDeliveries { deliveries: 3, behind_s: 5.0 });
        };
        assert_eq!(status(0, None, behind), ExitStatus::Untrusted);
        assert_eq!(status(1, None, behind), ExitStatus::Lost, "what was lost needs no clock");
    }

    #[test]
    fn what_was_told_of_a_service_is_entered_over_the_time_of_the_load() {
        let at = |second: i64| Timestamp::from_second(1_795_348_800 + second).unwrap();
        let consumer = |name: &str| ConsumerRecording {
            name: name.to_owned(),
            series: vec![DeliveryInterval { length_s: 10.0, ..DeliveryInterval::default() }],
            ..ConsumerRecording::default()
        };
        let mut recording = Recording { started_at: at(0).to_string(), ..Recording::default() };
        let consumers = vec![consumer("email"), consumer("fax")];
        let mut told = DeliveryRecording { consumers, ..DeliveryRecording::default() };
        let subscription = SubscriptionRecording {
            push_to: "email".to_owned(),
            redeliveries: 7,
            dead_lettered: 2,
            ..SubscriptionRecording::default()
        };
        let publishes_refused = PublishRefusals { full: 3, ..PublishRefusals::default() };
        let counted = Some(Counted { subscriptions: vec![subscription.clone()], publishes_refused });
        let looks = Seen::from([("email".to_owned(), vec![(at(-1), 0), (at(3), 5)])]);
        enter_counts(&mut told, Counts { counted, looks }, &recording);
        assert_eq!(
            (told.subscriptions.as_slice(), told.publishes_refused),
            (&[subscription][..], Some(publishes_refused))
        );
        let [email, fax] = told.consumers.as_slice() else { panic!("{told:?}") };
        assert_eq!(
            (email.redeliveries, email.dead_lettered, email.series[0].redeliveries),
            (Some(7), Some(2), Some(7))
        );
        assert_eq!(
            (fax.redeliveries, fax.dead_lettered, fax.series[0].redeliveries),
            (None, None, None),
            "nobody told"
        );
        recording.delivery = Some(told);
        let mut concluded = Concluded { recording, status: ExitStatus::Success };
        let activity = |active: u64| RevisionActivity {
            instances: BTreeMap::from([(at(-5), (60.0, 9, 9)), (at(55), (60.0, active, 1))]),
            ..RevisionActivity::default()
        };
        let told = BTreeMap::from([("email".to_owned(), activity(2)), ("lab".to_owned(), activity(3))]);
        concluded.add_instances(&told, at(0));
        let delivery = concluded.recording.delivery.unwrap();
        let level = |active: u64| [InstanceLevel { end_s: 55.0, length_s: 60.0, active, idle: 1 }];
        assert_eq!(delivery.consumers[0].instances, level(2), "what was before the load is left out");
        assert_eq!(delivery.other_instances["lab"], level(3));
    }
}
