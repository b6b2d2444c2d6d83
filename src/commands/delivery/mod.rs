//! A run whose reports must be delivered beyond the answer: `tidegate run scenarios/lab-report.yaml`. Starts the system
//! where no target is named, breaks it as the scenario says, drives the posts, waits for the deliveries, and judges.

mod access;
mod afterwards;
mod arena;
mod broker;
mod conclude;
mod drain;
mod faults;
mod looks;
mod observer;
mod site;
mod tuning;
mod works;

use super::connection;
use super::error::CommandError;
use super::exit::ExitStatus;
use super::exports::Exports;
use super::interrupt::Interrupt;
use super::output::Sink;
use super::progress::Progress;
use super::run::{DRAIN, RunOptions};
use super::{folder, service, view};
use crate::cost::PriceBook;
use crate::driver::{self, DriveError, Options, Posts};
use crate::scenario::{Plan, Scenario};
use crate::trial::{FaultRecording, Recording};
use arena::Arena;
use conclude::Concluded;
use drain::{Drained, Waiting, drain};
use jiff::SignedDuration;
use looks::Looks;
use observer::Observer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// What a run with deliveries is asked beside what every run is.
#[derive(Clone, Debug, Default)]
pub struct DeliveryOptions {
    /// `HOST:PORT` of a Pub/Sub to use instead of the local broker.
    pub pubsub: Option<String>,
    /// Where consumers of a target tell what was delivered to them: (consumer, address).
    pub observers: Vec<(String, String)>,
    /// Folder of the run's record and report.
    pub out: Option<PathBuf>,
    /// Whether what Cloud Monitoring tells after the verdict is not waited for.
    pub no_wait: bool,
    /// How instances of the local platform are limited.
    pub limits: super::LimitOptions,
}

/// What the user is told at the first Ctrl-C, before the verdict and after it.
const STOPPING: &str = "stopping: answers under way are awaited (again to end at once)";
const SKIPPING: &str = "not waiting any longer; what stands above is saved (again to end at once)";

/// The project that everything local belongs to: platform and broker take any.
const PROJECT: &str = "local";

/// Whether this is a run of that kind: the system is to be started here, or its consumers are observed elsewhere.
pub(super) fn concerns(options: &RunOptions, scenario: &Scenario) -> bool {
    scenario.delivery.is_some() && (starts_it(options, scenario) || !options.delivery.observers.is_empty())
}

/// Whether the system is started here.
pub(super) fn starts_it(options: &RunOptions, scenario: &Scenario) -> bool {
    options.target.is_none() && scenario.system.is_some()
}

/// The Pub/Sub that the user has, if any: that of the command line, else that of the environment.
pub(super) fn pubsub(asked: Option<&String>) -> Option<String> {
    let host = || std::env::var(works::EMULATOR).ok().filter(|host| !host.is_empty());
    asked.cloned().or_else(host)
}

/// A Pub/Sub on the command line is a mistake where nothing that is started here would use it.
pub(super) fn check_pubsub(asked: Option<&String>, starts_system: bool) -> Result<(), CommandError> {
    match asked {
        Some(host) if !starts_system => Err(CommandError::Usage(format!(
            "--pubsub {host}: no system is started here whose messages could go through it\n\nhint: leave it out, or name a \
             scenario with `services`, `topics` and `subscriptions` and no target, such as scenarios/lab-report.yaml"
        ))),
        _ => Ok(()),
    }
}

/// So are limits of instances.
pub(super) fn check_limits(limits: super::LimitOptions, starts_system: bool) -> Result<(), CommandError> {
    const MEND: &str = "name a scenario with `services` and no target, such as scenarios/lab-report.yaml";
    if starts_system { Ok(()) } else { limits.refuse(MEND) }
}

/// Options for runs with deliveries are a mistake in one without.
pub(super) fn check_without(options: &RunOptions, scenario: &Scenario) -> Result<(), CommandError> {
    let DeliveryOptions { out, no_wait, .. } = &options.delivery;
    let given = match (out, no_wait) {
        (Some(out), _) => format!("--out {}: only a run with deliveries writes a folder", out.display()),
        (None, true) => "--no-wait: only a run with deliveries waits for Cloud Monitoring".to_owned(),
        (None, false) => return Ok(()),
    };
    let path = options.scenario.display();
    let (why, mend) = if scenario.delivery.is_some() {
        (
            "no --observer tells what is delivered behind this target".to_owned(),
            "name each consumer by --observer CONSUMER=URL, or ",
        )
    } else {
        (format!("{path} expects none"), "")
    };
    let json = if out.is_some() { "; --json FILE saves the recording" } else { "" };
    Err(CommandError::Usage(format!("{given}, and {why}\n\nhint: {mend}leave it out{json}")))
}

/// A run under way.
struct Run<'a> {
    options: &'a RunOptions,
    plan: &'a Plan,
    arena: &'a Arena,
    progress: &'a Progress,
    interrupt: &'a Interrupt,
    posts: &'a Posts,
    /// Turns true when the verdict is told: what is stopped from then on is a wait.
    judged: &'a AtomicBool,
}

/// What was measured and is not judged yet.
struct Measured {
    recording: Recording,
    faults: Vec<FaultRecording>,
    /// Why what was delivered is not known, if it is not.
    unobserved: Option<String>,
    looked_until: Duration,
    /// What subscriptions still held in the end, by consumer.
    queued: BTreeMap<String, u64>,
    drain_limit: Duration,
}

/// Runs it. Everything that was started is ended, and everything that was made is deleted, however it ends.
pub(super) async fn run(options: RunOptions, scenario: Arc<Scenario>) -> Result<ExitStatus, CommandError> {
    if options.schedule.shard.is_some_and(|shard| shard.of > 1) {
        return Err(CommandError::Usage(
            "--shard: deliveries are counted by one ledger\n\nhint: run the whole plan on one machine".to_owned(),
        ));
    }
    check_observers(&options, &scenario)?;
    if starts_it(&options, &scenario) {
        service::check(&options.scenario, &scenario, &PriceBook::embedded())?;
    }
    let now = jiff::Timestamp::now();
    let factor = arena::time_factor(&options, &scenario);
    let plan = options.schedule.apply(Plan::new(Arc::clone(&scenario), options.seed, factor), now)?;
    let dir = options.delivery.out.clone().unwrap_or_else(|| {
        PathBuf::from("reports").join(format!("{}-{}", scenario.name, now.strftime("%Y%m%d-%H%M%S")))
    });
    if let Some(path) = &options.json {
        Sink::from(path.clone()).check()?;
    }
    let mut folder = folder::of_run(&dir)?;
    let dir = folder.path.clone();
    let progress =
        Progress::of_run(options.display, &scenario.name, options.target.as_deref().unwrap_or("the local system"));
    let (stopping, judged) = (progress.clone(), Arc::new(AtomicBool::new(false)));
    let is_judged = Arc::clone(&judged);
    let interrupt = Interrupt::listen_to_the_last(
        move |_| stopping.say(if is_judged.load(Ordering::Relaxed) { SKIPPING } else { STOPPING }),
        view::give_back,
    )
    .map_err(|cause| CommandError::System { action: "listen for signals", cause })?;
    let posts = Posts::of(&plan).ok_or_else(|| CommandError::Usage("the scenario expects no deliveries".to_owned()))?;
    let mut arena = Arena::start(&options, &scenario, &dir, &progress).await?;
    let looks = arena.looks();
    let run = Run {
        options: &options,
        plan: &plan,
        arena: &arena,
        progress: &progress,
        interrupt: &interrupt,
        posts: &posts,
        judged: &judged,
    };
    let measured = Box::pin(run.measure()).await;
    if measured.as_ref().is_ok_and(|measured| !measured.recording.is_of_nothing())
        || posts.with(|ledger| ledger.fates().next().is_some())
    {
        folder.keep();
    }
    let concluded = match measured {
        Ok(measured) => Box::pin(run.conclude((measured, looks), &dir)).await,
        Err(error) => Err(error),
    };
    progress.clear();
    let stopped = arena.stop().await;
    // A platform that died is why it could not be reached: that is told first.
    let concluded = match (concluded, stopped) {
        (Err(_), Err(died)) => return Err(died),
        (concluded, stopped) => concluded.and_then(|concluded| stopped.map(|()| concluded))?,
    };
    concluded.clear(&dir);
    Ok(concluded.status)
}

impl Run<'_> {
    /// Drives the posts with the faults beside them, then waits for what is still to be delivered.
    async fn measure(&self) -> Result<Measured, CommandError> {
        let exports = Exports::open(&self.options.exports, self.plan.scenario(), &self.arena.front).await?;
        let mut extras = exports.extras(true);
        extras.posts = Some(self.posts.clone());
        let target = self.options.connection.load()?;
        self.progress.announce_load(&self.plan.scenario().name, self.plan.duration(), &self.arena.front);
        let (sender, receiver) = watch::channel(driver::Progress::default());
        let options = Options {
            base_url: self.arena.front.clone(),
            target,
            must_connect: true,
            drain: DRAIN,
            start_at: self.options.schedule.start_at,
            extras,
        };
        let driving = driver::drive(self.plan, &options, sender, self.interrupt.stop());
        let stop = self.interrupt.stop();
        let (recording, faults) = tokio::join!(
            self.told(driving, receiver.clone()),
            self.arena.break_and_mend(receiver, &stop, self.progress)
        );
        // The terminal is as it was from here on: a verdict that is told on another screen goes with that.
        self.progress.clear();
        let recording = recording?;
        connection::tell(&recording.target, self.progress);
        let started = started_at(&recording)?;
        let faults = faults?.into_iter().map(|fault| fault.since(started)).collect();
        let say = |text: &str| self.progress.awaiting(text);
        let (limit, stop) = (self.arena.drain_limit, self.interrupt.stop());
        let works = self.arena.works();
        let waiting = Waiting { started, posts: self.posts, limit, stop, works, say: &say };
        let Drained { unobserved, looked_until, queued } =
            drain(self.arena.observers(self.plan.scenario()), &waiting, recording.interrupted).await;
        self.progress.clear();
        exports.finish(&recording, |text| self.progress.say(text)).await?;
        Ok(Measured { recording, faults, unobserved, looked_until, queued, drain_limit: limit })
    }

    /// Judges, saves and tells what was measured, then adds what is told later. Who does not wait for that is no less told how the
    /// run ended.
    async fn conclude(
        &self,
        (measured, looks): (Measured, Option<Looks>),
        dir: &Path,
    ) -> Result<Concluded, CommandError> {
        if let (true, Some(interrupted)) = (measured.recording.is_of_nothing(), self.interrupt.status()) {
            let concluded = Concluded::of_nothing(measured.recording, interrupted);
            concluded.tell_nothing(self.options, self.plan, self.progress)?;
            return Ok(concluded);
        }
        let counted = self.arena.counted().await;
        let counts = conclude::Counts { counted, looks: looks.map(Looks::end).unwrap_or_default() };
        let started = started_at(&measured.recording);
        let looked_until = measured.looked_until;
        let mut concluded =
            conclude::conclude(self.options, self.plan, self.posts, (measured, counts), (dir, self.progress))?;
        self.judged.store(true, Ordering::Relaxed);
        if let Some(interrupted) = self.interrupt.status() {
            concluded.status = interrupted;
        }
        if let Ok(started) = started {
            let until = SignedDuration::try_from(looked_until).unwrap_or_default();
            let until = started.checked_add(until).unwrap_or(started);
            let wait = (self.interrupt.stop(), self.options.delivery.no_wait);
            let activity = self.arena.activity(until, wait, self.progress).await;
            concluded.add_instances(&activity, started);
            concluded.save(self.options, dir)?;
        }
        concluded.hand_over(self.options)?;
        Ok(concluded)
    }

    /// The drive, with its progress shown.
    async fn told(
        &self,
        driving: impl Future<Output = Result<Recording, DriveError>>,
        mut receiver: watch::Receiver<driver::Progress>,
    ) -> Result<Recording, CommandError> {
        tokio::pin!(driving);
        loop {
            tokio::select! {
                recording = &mut driving => return Ok(recording?),
                Ok(()) = receiver.changed() => self.progress.load(&receiver.borrow_and_update(), None),
            }
        }
    }
}

/// What nobody tells of would count as lost: a target's consumers are observed all, and nobody else is.
fn check_observers(options: &RunOptions, scenario: &Scenario) -> Result<(), CommandError> {
    let consumers = scenario.delivery.iter().flat_map(|delivery| &delivery.consumers);
    let observed = |name: &String| options.delivery.observers.iter().any(|(consumer, _)| consumer == name);
    if options.target.is_some()
        && let Some(silent) = consumers.clone().find(|name| !observed(name))
    {
        return Err(CommandError::Usage(format!(
            "nothing tells what is delivered to `{silent}`\n\nhint: name each consumer of the scenario: --observer {silent}=URL"
        )));
    }
    let known = |name: &String| consumers.clone().any(|consumer| consumer == name);
    if let Some((stranger, _)) = options.delivery.observers.iter().find(|(name, _)| !known(name)) {
        let names: Vec<&str> = consumers.map(String::as_str).collect();
        return Err(CommandError::Usage(format!(
            "--observer: the scenario delivers nothing to `{stranger}`\n\nhint: it delivers to {}",
            names.join(", ")
        )));
    }
    Ok(())
}

/// When the load started, by the host's clock.
fn started_at(recording: &Recording) -> Result<jiff::Timestamp, CommandError> {
    recording
        .started_at
        .parse()
        .map_err(|_| CommandError::Usage("the load did not start: nothing was posted".to_owned()))
}

/// What became of each report, one by one, in a run's folder.
pub(super) const DELIVERIES: &str = "deliveries.csv";
/// Name of a run's record in its folder.
pub(super) const RECORD: &str = "recording.json";

/// Whether a folder holds a run and not a study.
pub(super) fn is_run(dir: &Path) -> bool {
    dir.join(RECORD).is_file() && !dir.join(crate::trial::STUDY_FILE).exists()
}
