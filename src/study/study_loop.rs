//! The loop of a study: propose → drive → save → read the usage while the next trial runs → conclude → save.

use super::conclude;
use super::site::{Driven, Site, StudyError, Tenure, TrialProgress, Usages, Watch};
use crate::cloud::CloudError;
use crate::scenario::Plan;
use crate::trial::{Study, TrialResult};
use crate::tuner::{Aims, Proposal, Search, decide};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a study needs besides its place and its record.
pub struct Context<'a> {
    /// Folder of the study: its record is saved there after every step.
    pub dir: &'a Path,
    /// Who is told.
    pub watch: &'a dyn Watch,
    /// Turns true when the user wants to stop.
    pub stop: watch::Receiver<bool>,
}

/// Usages being read, each with the trial it belongs to.
type Readings = JoinSet<(Proposal, u32, Result<Usages, CloudError>)>;

/// Runs every trial that `study` still lacks, then decides. Returns early, with everything saved, when stopped.
///
/// # Errors
/// When the platform cannot be asked, the load cannot be sent, or the record cannot be saved. What was measured until
/// then is in the study's folder.
pub async fn run<S: Site>(site: Arc<S>, study: &mut Study, context: &Context<'_>) -> Result<(), StudyError> {
    let mut search = resume(study, site.keeps_usage());
    let mut readings = Readings::new();
    for trial in study.trials.iter().filter(|trial| conclude::unread(trial)) {
        read(&mut readings, &site, trial);
    }
    let mut failure = None;
    loop {
        while let Some(read) = readings.try_join_next() {
            conclude_read(study, &mut search, context, read)?;
        }
        if *context.stop.borrow() {
            break;
        }
        let Some(proposal) = search.propose() else {
            context.watch.reading_usage(readings.len());
            let mut stop = context.stop.clone();
            tokio::select! {
                read = readings.join_next() => {
                    let Some(read) = read else { break };
                    conclude_read(study, &mut search, context, read)?;
                }
                // The trials whose usage is still to come are saved. It is read when the study goes on, if it is kept.
                Ok(_) = stop.wait_for(|stop| *stop) => break,
            }
            continue;
        };
        let driven = match drive(&site, study, &search, proposal, context).await {
            Ok(driven) => driven,
            Err(StudyError::Stopped) => break,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        let trial = conclude::driven(&plan_of(study, proposal), driven);
        search.record(proposal, !conclude::spoiled(&trial));
        context.watch.trial_driven(&trial);
        read(&mut readings, &site, &trial);
        study.trials.push(trial);
        study.save(context.dir)?;
    }
    if *context.stop.borrow() {
        return Ok(());
    }
    if let Some(error) = failure {
        // The trials before the one that failed are whole: what they were billed is still read.
        context.watch.reading_usage(readings.len());
        let mut stop = context.stop.clone();
        loop {
            tokio::select! {
                read = readings.join_next() => {
                    let Some(read) = read else { break };
                    conclude_read(study, &mut search, context, read)?;
                }
                Ok(_) = stop.wait_for(|stop| *stop) => break,
            }
        }
        return Err(error);
    }
    study.decision = Some(decide(&study.candidates, Aims::of(&study.scenario), &study.trials));
    study.save(context.dir)?;
    Ok(())
}

/// The search as it was after the trials that `study` already holds. A trial that was driven and never read counts as
/// long as its usage can still be read; where it cannot, the trial is driven anew. One that lost a report stays whatever
/// else: that is never forgotten.
fn resume(study: &mut Study, keeps_usage: bool) -> Search {
    let readable = |trial: &TrialResult| {
        trial.usage.is_some() || keeps_usage && conclude::unread(trial) && Tenure::of(trial).is_some()
    };
    study.trials.retain(|trial| trial.lost() > 0 || readable(trial));
    study.decision = None;
    let recorded = study.trials.iter().map(|trial| (trial, readable(trial) && !conclude::spoiled(trial)));
    Search::resume(&study.candidates, study.blocks, study.seed, recorded)
}

/// Starts to read what a trial was billed.
fn read<S: Site>(readings: &mut Readings, site: &Arc<S>, trial: &TrialResult) {
    let TrialResult { candidate, block, seed, attempt, number, .. } = *trial;
    let Some(tenure) = Tenure::of(trial) else { return };
    let site = Arc::clone(site);
    readings.spawn(async move {
        let usage = site.usage(&tenure).await;
        (Proposal { candidate, block, seed, attempt }, number, usage)
    });
}

fn plan_of(study: &Study, proposal: Proposal) -> Plan {
    Plan::new(Arc::new(study.scenario.clone()), proposal.seed, study.stage_divisor())
}

async fn drive<S: Site>(
    site: &Arc<S>,
    study: &Study,
    search: &Search,
    proposal: Proposal,
    context: &Context<'_>,
) -> Result<Driven, StudyError> {
    let number = study.trials.iter().map(|trial| trial.number).max().unwrap_or(0) + 1;
    context.watch.trial_started(number, search.remaining(), &proposal);
    let (sender, mut receiver) = watch::channel(TrialProgress::default());
    let driving = site.drive(number, proposal, sender, context.stop.clone());
    tokio::pin!(driving);
    loop {
        tokio::select! {
            driven = &mut driving => return driven,
            Ok(()) = receiver.changed() => context.watch.trial_progress(&receiver.borrow_and_update()),
        }
    }
}

/// Takes note of a usage that was read (or could not be).
fn conclude_read(
    study: &mut Study,
    search: &mut Search,
    context: &Context<'_>,
    read: Result<(Proposal, u32, Result<Usages, CloudError>), tokio::task::JoinError>,
) -> Result<(), StudyError> {
    let (proposal, number, usage) = read.map_err(|_| StudyError::ReaderDied)?;
    let plan = plan_of(study, proposal);
    let (prices, shape) = (study.prices.clone(), study.shape);
    let Some(trial) = study.trials.iter_mut().find(|trial| trial.number == number) else { return Ok(()) };
    let was_spoiled = conclude::spoiled(trial);
    conclude::billed(trial, &plan, usage, &shape, &prices);
    if !was_spoiled && !trial.is_valid() {
        search.repeat(proposal);
    }
    context.watch.trial_concluded(trial);
    study.save(context.dir)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::site::Silent;
    use super::*;
    use crate::driver::DriveError;
    use crate::scenario::Candidate;
    use crate::trial::{Invalid, MemberUsage, Outcome, Recording, Validity, fixtures};
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// A place where a trial takes no time: its requests all take 10 ms per max concurrency and are billed less, the
    /// higher it is.
    #[derive(Default)]
    struct Fake {
        /// Trials, by number, whose usage cannot be read.
        unreadable: Vec<u32>,
        /// The trial that cannot be driven.
        broken: Option<u32>,
        /// Stops the study while this trial is driven.
        stops_at: Option<(u32, watch::Sender<bool>)>,
        driven: Mutex<Vec<(u32, Proposal)>>,
        keeps_usage: bool,
        /// The trial whose usage takes for ever to be read.
        slow_to_read: Option<u32>,
        /// Whether it is a system whose reports are delivered.
        delivers: bool,
        /// The max concurrency under which one report of each trial is lost.
        losing: Option<u32>,
    }

    impl Site for Fake {
        async fn drive(
            &self,
            number: u32,
            proposal: Proposal,
            _: watch::Sender<TrialProgress>,
            _: watch::Receiver<bool>,
        ) -> Result<Driven, StudyError> {
            if self.broken == Some(number) {
                let (url, cause) = ("nowhere".to_owned(), "it is nowhere".to_owned());
                return Err(StudyError::Drive(DriveError::Address { url, cause }));
            }
            self.driven.lock().unwrap().push((number, proposal));
            let mut recording = Recording::default();
            let times = fixtures::times(100, f64::from(10 * proposal.candidate.max_concurrency));
            recording.overall = times;
            recording.arrivals.planned = 100;
            recording.arrivals.completed = 100;
            recording.answers = BTreeMap::from([("200".to_owned(), 100)]);
            if self.delivers {
                let lost = u64::from(self.losing == Some(proposal.candidate.max_concurrency));
                recording.delivery = Some(fixtures::deliveries(100, lost));
            }
            if let Some((at, sender)) = &self.stops_at
                && *at == number
            {
                recording.interrupted = true;
                sender.send(true).unwrap();
            }
            let now = jiff::Timestamp::UNIX_EPOCH;
            let revision = format!("revision-{number}-{}", proposal.candidate.max_concurrency);
            let others = ["email", "sms"].into_iter().filter(|_| self.delivers);
            let others = others.map(|name| (name.to_owned(), format!("{name}-{number}"))).collect();
            let tenure = Tenure { revision, others, deployed_at: now, started_at: now, ended_at: now };
            Ok(Driven { number, proposal, tenure, recording })
        }

        async fn usage(&self, tenure: &Tenure) -> Result<Usages, CloudError> {
            let mut parts = tenure.revision.split('-').skip(1).map(|part| part.parse::<u32>().unwrap());
            let (number, max_concurrency) = (parts.next().unwrap(), parts.next().unwrap());
            if self.slow_to_read == Some(number) {
                std::future::pending::<()>().await;
            }
            if self.unreadable.contains(&number) {
                return Err(CloudError::NoPoints {
                    revision: tenure.revision.clone(),
                    waited: std::time::Duration::ZERO,
                });
            }
            let others = tenure.others.keys().map(|name| (name.clone(), fixtures::usage(&[(100, 10.0)]))).collect();
            Ok(Usages { front: fixtures::usage(&[(100, 100.0 / f64::from(max_concurrency))]), others })
        }

        fn keeps_usage(&self) -> bool {
            self.keeps_usage
        }
    }

    fn study_of(max_concurrencies: &[u32], blocks: u32) -> Study {
        let mut study = fixtures::study(Vec::new());
        study.candidates =
            max_concurrencies.iter().map(|max_concurrency| Candidate { max_concurrency: *max_concurrency }).collect();
        study.blocks = blocks;
        study
    }

    const LAB: &str = include_str!("../../scenarios/lab-report.yaml");

    /// A study of the laboratory.
    fn study_of_the_lab(max_concurrencies: &[u32]) -> Study {
        let mut study = study_of(max_concurrencies, 1);
        let text = LAB
            .replace("to: [email-service, sms-service]", "to: [email, sms]")
            .replace("email-service", "email")
            .replace("sms-service", "sms");
        study.scenario = crate::scenario::Scenario::from_yaml(Path::new("lab.yaml"), &text).unwrap();
        // Its step is not in these recordings.
        study.scenario.slos.clear();
        study
    }

    #[tokio::test]
    async fn every_service_of_a_system_is_priced_and_paid_for_by_what_it_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of_the_lab(&[1, 4]);
        run_on(Arc::new(Fake { delivers: true, ..Fake::default() }), &mut study, dir.path()).await.unwrap();
        let trial = study.trials.iter().find(|trial| trial.candidate.max_concurrency == 4).unwrap();
        assert!(trial.is_valid(), "{}", trial.invalid_reasons());
        assert_eq!(trial.billable_instance_time_s(), Some(25.0 + 10.0 + 10.0));
        let cost = trial.cost.unwrap();
        assert_eq!(cost.request_count, 300);
        let behind: f64 = trial.others.values().map(|other| other.cost.unwrap().total().0).sum();
        let rates = 45.0 * (0.000_024 + 0.5 * 0.000_002_5) + 300.0 * 0.4e-6;
        assert!((cost.total().0 - rates).abs() < 1e-9 && behind > 0.0, "{cost:?}");
        let standing = &study.decision.as_ref().unwrap().standings[1];
        assert!((standing.cost_per_thousand_delivered.unwrap().0 - rates * 10.0).abs() < 1e-9);
        assert!(Study::load(dir.path()).unwrap().trials == study.trials, "what is saved is what is loaded");
    }

    #[tokio::test]
    async fn a_service_without_a_price_or_a_bill_is_not_free() {
        let plan =
            |study: &Study| plan_of(study, Proposal { candidate: study.candidates[0], block: 1, seed: 1, attempt: 1 });
        let mut study = study_of_the_lab(&[1]);
        let mut trial = fixtures::trial(1, 1, 10.0, 100.0);
        trial.others = ["email", "sms"].map(|name| (name.to_owned(), MemberUsage::default())).into();
        let (prices, shape) = (study.prices.clone(), study.shape);
        let billed = |study: &Study, of: &[&str]| {
            let of = of.iter().map(|name| ((*name).to_owned(), fixtures::usage(&[(100, 10.0)])));
            let usages = Usages { front: fixtures::usage(&[(100, 1.0)]), others: of.collect() };
            let mut trial = trial.clone();
            conclude::billed(&mut trial, &plan(study), Ok(usages), &shape, &prices);
            (trial.cost, trial.invalid_reasons())
        };
        let (cost, reasons) = billed(&study, &["email", "sms"]);
        assert!(cost.is_some() && !reasons.contains("usage is missing"), "{reasons}");
        let (cost, reasons) = billed(&study, &["email"]);
        assert!(cost.is_none() && reasons.contains("nothing was told of what `sms` was billed"), "{reasons}");
        study.scenario.system.as_mut().unwrap().services.remove("sms");
        let (cost, reasons) = billed(&study, &["email", "sms"]);
        assert!(cost.is_none() && reasons.contains("`sms` was billed and has no price"), "{reasons}");
    }

    #[tokio::test]
    async fn a_candidate_that_loses_is_never_chosen_and_its_loss_is_never_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of_the_lab(&[1, 4]);
        let losing = Fake { delivers: true, losing: Some(4), slow_to_read: Some(2), ..Fake::default() };
        let (sender, stop) = watch::channel(false);
        let context = Context { dir: dir.path(), watch: &Silent, stop };
        // The study is stopped while what the second trial was billed is still awaited.
        let stopping = async {
            while !matches!(Study::load(dir.path()), Ok(saved) if saved.trials.len() == 2) {
                tokio::task::yield_now().await;
            }
            sender.send(true).unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ran = run(Arc::new(losing), &mut study, &context) => ran.unwrap(),
            () = stopping => unreachable!("it waits for ever"),
        }
        let mut saved = Study::load(dir.path()).unwrap();
        let lost = saved.trials.iter().find(|trial| trial.lost() > 0).map(|trial| trial.number);
        assert!(lost.is_some());
        // It goes on where nothing is lost any more: the trial whose usage is gone is tried again, and stays known.
        run_on(Arc::new(Fake { delivers: true, ..Fake::default() }), &mut saved, dir.path()).await.unwrap();
        assert!(saved.trials.iter().any(|trial| Some(trial.number) == lost && trial.lost() == 1));
        let Outcome::Chosen(choice) = &saved.decision.as_ref().unwrap().outcome else { panic!("{:?}", saved.decision) };
        assert_eq!(choice.candidate.max_concurrency, 1, "4 costs less, and lost a report");
        let standing = &saved.decision.as_ref().unwrap().standings[1];
        assert!(standing.lost == 1 && !standing.feasible());
    }

    #[tokio::test]
    async fn deliveries_that_nobody_told_of_or_that_do_not_add_up_are_no_evidence() {
        let mut recording = Recording { delivery: Some(fixtures::deliveries(100, 0)), ..Recording::default() };
        let reasons = |recording: &Recording| super::super::validity::distrust_deliveries(recording);
        assert_eq!(reasons(&recording), []);
        let delivery = recording.delivery.as_mut().unwrap();
        delivery.unobserved = Some("sms answers 500".to_owned());
        delivery.posts.posted = 101;
        delivery.consumers[0].books.foreign = 1;
        delivery.consumers[0].early = Some(crate::trial::EarlyDeliveries { deliveries: 2, behind_s: 0.5 });
        let told = reasons(&recording);
        assert!(matches!(
            told.as_slice(),
            [Invalid::Unobserved { .. }, Invalid::Books { .. }, Invalid::Books { .. }, Invalid::ClockBehind { .. }]
        ));
        let counted = |count: u64| fixtures::usage(&[(count, 1.0)]);
        let judge = |count| super::super::validity::judge_other(&recording, "sms", &counted(count));
        assert!(judge(100).is_none() && judge(140).is_none(), "the observer's own questions are counted too");
        assert!(judge(98).is_some_and(|reason| reason.to_string().contains("sms told of 100 deliveries")));
    }

    async fn run_on(site: Arc<Fake>, study: &mut Study, dir: &Path) -> Result<(), StudyError> {
        let (_keep, stop) = watch::channel(false);
        run(site, study, &Context { dir, watch: &Silent, stop }).await
    }

    #[tokio::test]
    async fn every_candidate_is_tried_in_every_block_saved_and_decided() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of(&[1, 2, 4], 2);
        run_on(Arc::default(), &mut study, dir.path()).await.unwrap();
        assert_eq!(study.trials.len(), 6);
        assert!(study.trials.iter().all(|trial| trial.is_valid() && trial.cost.is_some()));
        let Outcome::Chosen(choice) = &study.decision.as_ref().unwrap().outcome else { panic!("{study:?}") };
        assert_eq!(choice.candidate.max_concurrency, 4, "the cheapest that keeps every promise");
        assert!(Study::load(dir.path()).unwrap() == study, "what is saved is what is loaded");
    }

    #[tokio::test]
    async fn a_trial_whose_usage_is_missing_is_repeated_and_never_evidence() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of(&[1, 2], 1);
        run_on(Arc::new(Fake { unreadable: vec![1], ..Fake::default() }), &mut study, dir.path()).await.unwrap();
        assert_eq!(study.trials.len(), 3);
        assert!(
            matches!(&study.trials[0].validity, Validity::Invalid(reasons) if matches!(reasons[..], [Invalid::UsageMissing { .. }]))
        );
        assert_eq!((study.trials[2].candidate, study.trials[2].attempt), (study.trials[0].candidate, 2));
        assert!(matches!(study.decision.unwrap().outcome, Outcome::Chosen(_)));
    }

    #[tokio::test]
    async fn there_is_no_verdict_when_a_candidate_has_no_valid_trial() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of(&[1], 1);
        run_on(Arc::new(Fake { unreadable: vec![1, 2], ..Fake::default() }), &mut study, dir.path()).await.unwrap();
        assert_eq!(study.trials.len(), 2);
        assert!(matches!(study.decision.unwrap().outcome, Outcome::Untrusted { .. }));
    }

    #[tokio::test]
    async fn a_failure_loses_nothing_and_the_study_goes_on_from_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of(&[1, 2, 4], 1);
        let failing = Arc::new(Fake { broken: Some(3), ..Fake::default() });
        run_on(failing, &mut study, dir.path()).await.unwrap_err();
        let mut saved = Study::load(dir.path()).unwrap();
        assert_eq!(saved.trials.iter().filter(|trial| trial.is_valid()).count(), 2);

        let site = Arc::new(Fake::default());
        run_on(Arc::clone(&site), &mut saved, dir.path()).await.unwrap();
        assert_eq!(site.driven.lock().unwrap().len(), 1, "only what was missing is tried");
        assert_eq!(saved.trials.len(), 3);
        assert!(saved.decision.is_some());
    }

    #[tokio::test]
    async fn a_stop_is_heard_while_usage_is_awaited_after_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of(&[1, 2, 4], 1);
        let site = Arc::new(Fake { broken: Some(2), slow_to_read: Some(1), keeps_usage: true, ..Fake::default() });
        let (sender, stop) = watch::channel(false);
        let context = Context { dir: dir.path(), watch: &Silent, stop };
        let stopping = async {
            tokio::task::yield_now().await;
            sender.send(true).unwrap();
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            ran = run(Arc::clone(&site), &mut study, &context) => ran.unwrap_err(),
            () = stopping => unreachable!("it waits for ever"),
        };
        assert!(matches!(error, StudyError::Drive(_)), "the failure is what is told: {error}");
        let saved = Study::load(dir.path()).unwrap();
        assert!(saved.trials.len() == 1 && conclude::unread(&saved.trials[0]));
    }

    #[tokio::test]
    async fn a_stop_saves_what_was_measured_and_decides_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of(&[1, 2, 4], 1);
        let (sender, stop) = watch::channel(false);
        let site = Arc::new(Fake { stops_at: Some((2, sender)), ..Fake::default() });
        let context = Context { dir: dir.path(), watch: &Silent, stop };
        run(site, &mut study, &context).await.unwrap();
        let saved = Study::load(dir.path()).unwrap();
        assert_eq!((saved.trials.len(), saved.decision.is_none()), (2, true));
        assert!(saved.trials[1].invalid_reasons().contains("interrupted"));
    }

    /// A study that was stopped in its second trial while the usage of the first was still being read, gone on with on
    /// another site. Gives the trials that were driven then, and the study.
    async fn gone_on_with(keeps_usage: bool) -> (usize, Study) {
        let dir = tempfile::tempdir().unwrap();
        let mut study = study_of(&[1, 2], 1);
        let (sender, stop) = watch::channel(false);
        let stopping = Fake { stops_at: Some((2, sender)), slow_to_read: Some(1), keeps_usage, ..Fake::default() };
        run(Arc::new(stopping), &mut study, &Context { dir: dir.path(), watch: &Silent, stop }).await.unwrap();
        let mut saved = Study::load(dir.path()).unwrap();
        assert!(conclude::unread(&saved.trials[0]));
        let site = Arc::new(Fake { keeps_usage, ..Fake::default() });
        run_on(Arc::clone(&site), &mut saved, dir.path()).await.unwrap();
        let driven = site.driven.lock().unwrap().len();
        (driven, saved)
    }

    #[tokio::test]
    async fn a_trial_that_was_driven_is_read_when_the_study_goes_on_if_its_usage_is_kept() {
        let (driven, study) = gone_on_with(true).await;
        assert_eq!(driven, 1, "only the trial that was interrupted is driven again");
        assert!(study.trials[0].is_valid() && study.trials[0].usage.is_some());
        assert!(matches!(study.decision.unwrap().outcome, Outcome::Chosen(_)));

        let (driven, study) = gone_on_with(false).await;
        assert_eq!(driven, 2, "what a local platform knew has ended with it");
        assert!(matches!(study.decision.unwrap().outcome, Outcome::Chosen(_)));
    }
}
