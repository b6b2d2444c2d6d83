//! The way of one drive: resolve, set up, load on a thread of its own, conclude.

use super::authorization::Credentials;
use super::connection::Connector;
use super::headers::Headers;
use super::load::{Load, conduct};
use super::observe::{Observations, observe};
use super::off_path::Client;
use super::progress::Progress;
use super::recorder::Recorder;
use super::set_up::SetUp;
use super::shape::Shape;
use super::target::Target;
use super::target_options::{TargetError, TargetOptions};
use super::timer::Timer;
use super::trace::TraceIds;
use super::{host, set_up};
use crate::scenario::Plan;
use crate::trial::{Observed, Recording};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// What a drive needs besides its plan.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where requests go: scheme, host and port, without a trailing slash.
    pub base_url: String,
    /// How it is reached, and who the load says it is.
    pub target: TargetOptions,
    /// How long after the end of the plan answers are waited for.
    pub drain: Duration,
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
    /// The target, or the proxy before it, is there and refuses every connection.
    #[error("no connection to {url}: {cause}; nothing was sent")]
    Refused {
        /// The target.
        url: String,
        /// Why.
        cause: String,
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
    /// The operating system refused what the driver needs.
    #[error(
        "the driver cannot run: {cause}; close other programs, or raise the limits of threads and open files (`ulimit -a`)"
    )]
    Driver {
        /// What happened.
        cause: String,
    },
}

/// Sends the set-up steps, then the plan, and records what becomes of every arrival.
///
/// `stop` ends the set-up or the load early: nothing new is started, what is under way is awaited for `options.drain`, and the
/// recording says that it was interrupted. Dropping the returned future stops the load in the same way.
///
/// # Errors
/// When the address is none, a set-up step fails, or the operating system gives no thread. A target that fails under
/// load is not an error but a recording.
pub async fn drive(
    plan: &Plan,
    options: &Options,
    progress: watch::Sender<Progress>,
    stop: watch::Receiver<bool>,
) -> Result<Recording, DriveError> {
    let road = Road::to(options).await?;
    let mut set_up = SetUp::default();
    let mut client = road.client();
    tokio::select! {
        sent = set_up::send(plan, &mut client, &mut set_up) => sent?,
        // The load then ends before it began, and the recording says so.
        () = told(stop.clone()) => {}
    }
    let mut recorder = Recorder::new(Shape::of(plan));
    recorder.set_up(&set_up);
    let interrupted = *stop.borrow();
    let before = if interrupted { Observations::default() } else { observe(plan, &mut client).await? };
    recorder.set_up(&before.sent);
    drop(client);
    let mut recording = load(plan.clone(), road.clone(), recorder, options.drain, (progress, stop)).await?;
    // A service that no longer answers has lost nothing that was measured: only the check is missing.
    if !recording.interrupted
        && let Ok(after) = observe(plan, &mut road.client()).await
    {
        enter(&mut recording, &before, &after);
    }
    road.enter(&mut recording);
    Ok(recording)
}

/// The way to the target, for what goes there on the measured path and off it.
#[derive(Clone)]
struct Road {
    base_url: String,
    connector: Arc<Connector>,
    credentials: Credentials,
    traceparent: bool,
}

impl Road {
    /// Resolves the target, learns whether it takes connections, and obtains the credentials.
    async fn to(options: &Options) -> Result<Self, DriveError> {
        let target = Target::resolve(&options.base_url, &options.target).await?;
        target.probe().await?;
        let credentials = Credentials::obtain(&options.target.authorization, &target.base_url).await?;
        Ok(Self {
            base_url: target.base_url.clone(),
            connector: Arc::new(Connector::network(target)),
            credentials,
            traceparent: options.target.traceparent,
        })
    }

    /// A client off the measured path: it reaches the target as the load does, and is not traced.
    fn client(&self) -> Client {
        Client::new(Arc::clone(&self.connector), self.headers(None), &self.base_url)
    }

    fn headers(&self, traces: Option<TraceIds>) -> Headers {
        Headers::new(self.connector.authority(), self.credentials.clone(), traces)
    }

    /// Enters how the target was reached.
    fn enter(&self, recording: &mut Recording) {
        recording.target = self.connector.recording();
        let refreshes = self.credentials.refreshes();
        recording.target.token_refreshes = refreshes.done;
        recording.target.token_refresh_failures = refreshes.failed;
        recording.target.token_refresh_failure = refreshes.failure;
    }
}

/// Enters what was observed before and after the load, and the requests of the second round.
fn enter(recording: &mut Recording, before: &Observations, after: &Observations) {
    recording.set_up_requests += after.sent.statuses.len() as u64;
    recording.service_time_sum_s += after.sent.service_time.as_secs_f64();
    for status in &after.sent.statuses {
        *recording.answers.entry(status.to_string()).or_default() += 1;
    }
    let both = before.numbers.iter().filter_map(|(name, number)| Some((name, *number, *after.numbers.get(name)?)));
    recording.observed = both.map(|(name, before, after)| (name.clone(), Observed { before, after })).collect();
}

/// Sends the plan on a thread of its own, with an event loop of its own: whatever else this process does, it does not
/// delay a sending more than the scheduler must.
async fn load(
    plan: Plan,
    road: Road,
    recorder: Recorder,
    drain: Duration,
    (progress, stop): (watch::Sender<Progress>, watch::Receiver<bool>),
) -> Result<Recording, DriveError> {
    // The sender lives in this future: when the caller drops it, the load ends as if it were stopped.
    let (_abandon, abandoned) = watch::channel(());
    let (answer, recording) = oneshot::channel();
    let run = move || {
        let outcome = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
            runtime.block_on(async move {
                let before = host::Usage::read();
                let started_at = jiff::Timestamp::now();
                let traces = road.traceparent.then(|| TraceIds::new(plan.seed(), started_at.as_microsecond()));
                let load = Arc::new(Load {
                    plan,
                    headers: road.headers(traces),
                    base_url: road.base_url,
                    connector: road.connector,
                    timer: Timer::precise(),
                    recorder: std::sync::Mutex::new(recorder),
                    start: Instant::now(),
                    closing: watch::Sender::new(false),
                });
                let interrupted = conduct(&load, drain, progress, stopped(stop, abandoned)).await;
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
    match recording.await {
        Ok(Ok(recording)) => Ok(recording),
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
