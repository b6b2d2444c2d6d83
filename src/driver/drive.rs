//! The way of one drive: resolve, set up, load on a thread of its own, conclude.

use super::abort::Guards;
use super::connection::Http1Client;
use super::health::Monitor;
use super::live::{Extras, Telling};
use super::load::{Load, conduct};
use super::observe::{Observations, observe};
use super::progress::Progress;
use super::recorder::Recorder;
use super::road::Road;
use super::set_up::SetUp;
use super::shape::Shape;
use super::target_options::{TargetError, TargetOptions};
use super::timer::Timer;
use super::trace::TraceIds;
use super::{health, host, limits, set_up, start};
use crate::scenario::{Plan, Session};
use crate::trial::{Observed, Recording, Shard};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// What a drive needs besides its plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where requests go: scheme, host and port, without a trailing slash.
    pub base_url: String,
    /// How it is reached, and who the load says it is.
    pub target: TargetOptions,
    /// Whether a target that takes no connection before anything is sent is an error; left out, that is measured as any failure is.
    pub must_connect: bool,
    /// How long after the end of the plan answers are waited for.
    pub drain: Duration,
    /// When the load starts; as soon as the set-up is done, if left out.
    pub start_at: Option<Timestamp>,
    /// What is kept and told beside what every recording holds.
    pub extras: Extras,
}

/// Why a drive could not begin, or gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The address is not one.
    #[error("{url:?} is not an address to send load to: {cause}; write it as http://host:port")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// An option that says how the target is reached cannot be used.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The target's host has no address.
    #[error("no connection to {url}: the name {host} was not resolved: {cause}; nothing was sent\n\nhint: {hint}")]
    Unnamed {
        /// The target.
        url: String,
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
        /// What the resolver said.
        cause: String,
        /// How to mend it.
        hint: String,
    },
    /// The target, or the proxy before it, takes no connection, or refuses every one.
    #[error("no connection to {url}: {cause} (tried {tried}); nothing was sent\n\nhint: {hint}")]
    Unreachable {
        /// The target.
        url: String,
        /// The addresses that were tried.
        tried: String,
        /// Why not.
        cause: String,
        /// How to mend it.
        hint: String,
    },
    /// What requests are to be authorised by could not be obtained.
    #[error("the load cannot be authorised: {cause}; nothing was sent")]
    Authorization {
        /// Why.
        cause: String,
    },
    /// A set-up step failed.
    #[error(
        "set-up step {step:?} failed: {cause}; check that the service runs at the target's address and answers this step as the scenario expects"
    )]
    SetUp {
        /// The step.
        step: String,
        /// What happened.
        cause: String,
    },
    /// The service does not tell a number that the scenario observes.
    #[error(
        "observation {observation:?} failed: {cause}; check its path and its `sum` against what the service answers"
    )]
    Observation {
        /// The observation.
        observation: String,
        /// What happened.
        cause: String,
    },
    /// The set-up took until after the time that the load was to start at.
    #[error(
        "the set-up ended {late_s:.1} s after {start_at}, when the load was to start; give a later --start-at, to every shard"
    )]
    StartMissed {
        /// When it was to start.
        start_at: Timestamp,
        /// How much later it would have started, in seconds.
        late_s: f64,
    },
    /// The load may need more open files than this process may have.
    #[error(
        "the load may hold {connections} connections, with which tidegate needs {needed} open files, and it may open {limit}\n\nhint: raise the limit (`ulimit -n {needed}`, where root or /etc/security/limits.conf allows it), lower {what}, or split the load over several machines"
    )]
    Files {
        /// Connections that may be open at once.
        connections: u64,
        /// Files that may be open at once, these included.
        needed: u64,
        /// The hard limit.
        limit: u64,
        /// What of the scenario asks for so many.
        what: &'static str,
    },
    /// The load needs more local ports than the host has.
    #[error(
        "the load holds {connections} connections, and this host has {ports} local ports to open them from\n\nhint: widen the range (`sysctl net.ipv4.ip_local_port_range='1024 65535'`), lower the number of virtual users, or split the load over several machines"
    )]
    Ports {
        /// Connections that are open at once.
        connections: u64,
        /// The size of the ephemeral range.
        ports: u64,
    },
    /// The operating system refused what the driver needs.
    #[error(
        "the driver cannot run: {cause}; close other programs, or raise the limits of threads and open files (`ulimit -a`)"
    )]
    Driver {
        /// What happened.
        cause: String,
    },
}

/// Sends the set-up steps, then the plan, then the tear-down steps, and records what becomes of every arrival. Of several
/// shards only the first sends the set-up and tear-down steps, and none observes: what it saw would be of all shards, and
/// its own counters only of its part.
///
/// `stop` ends the look at the target, the set-up or the load early: nothing new is started, what is under way is awaited for
/// `options.drain`, and the recording says that it was interrupted; the tear-down steps are sent all the same, unless the target
/// was only looked at. Dropping the returned future stops the load in the same way.
///
/// # Errors
/// When the address is none, an option for the target cannot be used, the target or the proxy refuses or must connect and does
/// not, a set-up step fails, or the operating system gives no thread. A target that fails under load is not an error but a recording.
pub async fn drive(
    plan: &Plan,
    options: &Options,
    progress: watch::Sender<Progress>,
    stop: watch::Receiver<bool>,
) -> Result<Recording, DriveError> {
    drive_with(Http1Client::default(), plan, options, progress, stop).await
}

/// The same as [`drive`], over a chosen client: for comparing one with the other.
pub async fn drive_with(
    client: Http1Client,
    plan: &Plan,
    options: &Options,
    progress: watch::Sender<Progress>,
    stop: watch::Receiver<bool>,
) -> Result<Recording, DriveError> {
    limits::make_room(plan)?;
    let road = tokio::select! {
        road = Road::to(options, client) => road?,
        // A target that answers nothing is tried for many seconds.
        () = told(stop.clone()) => return Ok(never_begun(plan)),
    };
    let (shard, of) = plan.shard_of();
    let mut set_up = SetUp::default();
    let mut session = Session::set_up(plan, &road.base_url);
    let mut client = road.client();
    if shard == 1 {
        tokio::select! {
            sent = set_up::send(plan, &mut client, &mut session, &mut set_up) => sent?,
            // The load then ends before it began, and the recording says so.
            () = told(stop.clone()) => {}
        }
    }
    let mut recorder = Recorder::new(Shape::of(plan));
    recorder.set_up(&set_up);
    recorder.guard(Guards::of(plan));
    let interrupted = *stop.borrow();
    let observes = of == 1;
    let before = if interrupted || !observes { Observations::default() } else { observe(plan, &mut client).await? };
    recorder.set_up(&before.sent);
    drop(client);
    if let Some(start_at) = options.start_at {
        start::wait(start_at, told(stop.clone())).await?;
    }
    options.extras.prepare(&mut recorder);
    let mut recording = load(plan.clone(), road.clone(), recorder, options, (progress, stop)).await?;
    enter_plan(&mut recording, plan);
    let mut client = road.client();
    // A service that no longer answers has lost nothing that was measured: only the check is missing.
    if observes
        && !recording.interrupted
        && let Ok(after) = observe(plan, &mut client).await
    {
        enter_requests(&mut recording, &after.sent);
        enter(&mut recording, &before, &after);
    }
    if shard == 1 {
        let mut tear_down = SetUp::default();
        if let Err(warning) = set_up::tear_down(plan, &mut client, session, &mut tear_down).await {
            recording.warnings.push(warning);
        }
        enter_requests(&mut recording, &tear_down);
    }
    road.enter(&mut recording);
    Ok(recording)
}

/// The recording of a load that was stopped while its target was tried: all that was planned is dropped.
fn never_begun(plan: &Plan) -> Recording {
    let mut recorder = Recorder::new(Shape::of(plan));
    for arrival in plan.arrivals() {
        recorder.never_begun(arrival.journey, arrival.due, Duration::ZERO);
    }
    let mut recording = recorder.conclude(true);
    recording.started_at = Timestamp::now().to_string();
    enter_plan(&mut recording, plan);
    recording
}

/// Enters what was planned.
fn enter_plan(recording: &mut Recording, plan: &Plan) {
    let (number, of) = plan.shard_of();
    recording.scenario = Some(plan.scenario().name.clone());
    recording.seed = Some(plan.seed());
    recording.shard = (of > 1).then_some(Shard { number, of });
}

/// Enters requests that were sent after the load.
fn enter_requests(recording: &mut Recording, sent: &SetUp) {
    recording.set_up_requests += sent.statuses.len() as u64;
    recording.service_time_sum_s += sent.service_time.as_secs_f64();
    for status in &sent.statuses {
        *recording.answers.entry(status.to_string()).or_default() += 1;
    }
}

/// Enters what was observed before and after the load.
fn enter(recording: &mut Recording, before: &Observations, after: &Observations) {
    let both = before.numbers.iter().filter_map(|(name, number)| Some((name, *number, *after.numbers.get(name)?)));
    recording.observed = both.map(|(name, before, after)| (name.clone(), Observed { before, after })).collect();
}

/// Sends the plan on a thread of its own, with an event loop of its own: whatever else this process does, it does not
/// delay a sending more than the scheduler must.
async fn load(
    plan: Plan,
    road: Road,
    recorder: Recorder,
    options: &Options,
    (progress, stop): (watch::Sender<Progress>, watch::Receiver<bool>),
) -> Result<Recording, DriveError> {
    let (drain, start_at, watcher) = (options.drain, options.start_at, options.extras.live.clone());
    let posts = options.extras.posts.clone();
    // The sender lives in this future: when the caller drops it, the load ends as if it were stopped.
    let (_abandon, abandoned) = watch::channel(());
    let (answer, recording) = oneshot::channel();
    let (began, beginning) = oneshot::channel();
    let run = move || {
        let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
            runtime.block_on(async move {
                let timer = Timer::precise();
                // Whoever watches this thread is gone only when the drive was abandoned.
                let _ = began.send(Monitor::new(health::this_thread(), timer.kind()));
                let before = host::Usage::read();
                let start = start_at.map_or_else(Instant::now, start::instant);
                let started_at = start_at.unwrap_or_else(Timestamp::now);
                let traces = road.traceparent.then(|| TraceIds::new(plan.seed(), started_at.as_microsecond()));
                let load = Arc::new(Load {
                    plan,
                    headers: road.headers(traces),
                    base_url: road.base_url,
                    connector: road.connector,
                    timer,
                    recorder: std::sync::Mutex::new(recorder),
                    posts,
                    start,
                    started_at,
                    closing: watch::Sender::new(false),
                });
                let telling = watcher.map(|watcher| Telling::begin(&load, started_at.to_string(), watcher));
                let interrupted = conduct(&load, drain, progress, stopped(stop, abandoned)).await;
                if let Some(telling) = telling {
                    telling.end(&load).await;
                }
                let mut recording = load.record(|recorder| recorder.conclude(interrupted));
                host::Usage::read().since(&before).enter(&mut recording);
                recording.started_at = started_at.to_string();
                recording
            })
        });
        // Nobody listens any more when the drive was abandoned.
        let _ = answer.send(outcome);
    };
    let driver = |cause: String| DriveError::Driver { cause };
    std::thread::Builder::new()
        .name("driver".to_owned())
        .spawn(run)
        .map_err(|error| driver(format!("no thread for it: {error}")))?;
    let (outcome, health) = health::watched(recording, beginning).await;
    match outcome {
        Ok(Ok(recording)) => Ok(Recording { drivers: health.into_iter().collect(), ..recording }),
        Ok(Err(error)) => Err(driver(format!("no event loop for it: {error}"))),
        Err(_) => Err(driver("its thread ended without a recording".to_owned())),
    }
}

/// Resolves when the caller says stop or no longer waits for the drive.
async fn stopped(stop: watch::Receiver<bool>, mut abandoned: watch::Receiver<()>) {
    tokio::select! {
        () = told(stop) => {}
        _ = abandoned.changed() => {}
    }
}

/// Resolves when the caller says stop.
async fn told(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could say it.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{assert_balance, plan};
    use super::*;
    use crate::trial::Books;

    #[tokio::test(start_paused = true)]
    async fn a_target_that_is_tried_in_vain_is_given_up_at_once_by_who_stops() {
        // It takes connections, by its backlog, and never speaks.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("https://{}", silent.local_addr().unwrap());
        let four = plan(
            "journeys: [{name: one, steps: [{name: first, get: /}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 20, duration: 200ms}]",
        );
        let options = Options { base_url, must_connect: true, ..Options::default() };
        let (stop, stopping) = watch::channel(true);
        let began = Instant::now();
        let recording = drive(&four, &options, watch::Sender::new(Progress::default()), stopping).await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "nothing was waited for");
        assert!(recording.interrupted && recording.requests_sent() == 0 && recording.seed == Some(four.seed()));
        assert_eq!(recording.arrivals, Books { planned: 4, dropped: 4, ..Books::default() });
        assert_balance(&recording);
        drop(stop);
    }
}
