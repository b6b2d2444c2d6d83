//! `tidegate tune`: one command finds the best max-concurrency setting, on the local platform or on Cloud Run. This is
//! its beginning and its end: the question, the record, the report; `tuning` is what lies between.

use super::connection::ConnectionOptions;
use super::delivery;
use super::error::CommandError;
use super::exit::ExitStatus;
use super::folder;
use super::host;
use super::interrupt::Interrupt;
use super::platform::LimitOptions;
use super::progress::Progress;
use super::scaling::ScalingOptions;
use super::tuning::Tuning;
use crate::cost::{InstanceShape, PriceBook};
use crate::driver::TargetOptions;
use crate::report;
use crate::scenario::{Candidate, Scenario, Service, System, Tune};
use crate::trial::{Limiter, Outcome, Place, SCHEMA_VERSION, Scale, Study, TrialResult};
use std::path::{Path, PathBuf};

/// What `tune` is asked.
#[derive(Clone, Debug)]
pub struct TuneOptions {
    /// The scenario file.
    pub scenario: PathBuf,
    /// The quick set of candidates, one block.
    pub quick: bool,
    /// Seed of the study.
    pub seed: u64,
    /// Candidates instead of the scenario's; empty for those.
    pub candidates: Vec<u32>,
    /// Blocks instead of the scenario's.
    pub blocks: Option<u32>,
    /// The study's folder; `None` for `reports/<scenario>-<time>`.
    pub out: Option<PathBuf>,
    /// A study's folder to go on with.
    pub resume: bool,
    /// Price file instead of the embedded one.
    pub prices: Option<PathBuf>,
    /// How instances of the local platform are limited.
    pub limits: LimitOptions,
    /// How the local platform scales and routes.
    pub scaling: ScalingOptions,
    /// `HOST:PORT` of a Pub/Sub to use instead of the local broker.
    pub pubsub: Option<String>,
    /// A service on Cloud Run instead of the local platform.
    pub cloud: Option<CloudTarget>,
    /// How candidates are reached.
    pub connection: ConnectionOptions,
    /// The command line, for the record.
    pub command: String,
}

/// A service on Cloud Run.
#[derive(Clone, Debug)]
pub struct CloudTarget {
    /// Project.
    pub project: String,
    /// Region.
    pub region: String,
    /// Service.
    pub service: String,
    /// Base address of both APIs instead of Google's own.
    pub endpoint: Option<String>,
}

/// What the user is told at the first Ctrl-C.
const STOPPING: &str = "stopping: what was measured is saved, what was changed is put back (again to end at once)";

/// What `--quick` leaves of every stage: enough to see the spike, and four candidates within two minutes.
const QUICK_STAGE_SHARE: f64 = 0.75;

/// Runs or goes on with a study, and renders its report.
///
/// # Errors
/// When the scenario or an option is not valid, the platform cannot be asked, or nothing can be saved. What was measured
/// until then is in the study's folder, and what was changed on a service is put back.
pub async fn tune(options: TuneOptions) -> Result<ExitStatus, CommandError> {
    let scenario = Scenario::load(&options.scenario)?;
    let service = service_of(&options, &scenario)?;
    delivery::check_pubsub(options.pubsub.as_ref(), options.cloud.is_none() && scenario.system.is_some())?;
    let target = connection_of(&options)?;
    match &options.cloud {
        Some(_) => {
            options.scaling.refuse_in_cloud()?;
            options.limits.refuse("leave --project, --region and --service out")?;
        }
        None => options.scaling.check()?,
    }
    let started = jiff::Timestamp::now();
    let mut study = new_study(&options, scenario, &service, started)?;
    let dir = options.out.clone().unwrap_or_else(|| Path::new("reports").join(&study.name));
    let (dir, _lock) = folder::prepare(&dir, &mut study, options.resume)?;
    let progress = Progress::new();
    let interrupt = Interrupt::listen({
        let progress = progress.clone();
        move |_| progress.say(STOPPING)
    })
    .map_err(|cause| CommandError::System { action: "listen for signals", cause })?;

    progress.announce(&study, &dir);
    options.connection.announce(&progress);
    let mut tuning =
        Tuning { service: &service, study: &mut study, dir: &dir, progress: &progress, interrupt: &interrupt, target };
    let ran = Box::pin(trials(&mut tuning, &options)).await;
    progress.clear();
    // What was lost is told first, whatever else goes wrong.
    let lost = lost(&study, &progress);
    study.finished_at = study.decision.is_some().then(|| jiff::Timestamp::now().to_string());
    // Whatever ended the study, what was measured is saved and rendered before the error is told.
    study.save(&dir).map_err(|error| folder::rescue(&study, error))?;
    if !study.trials.is_empty() {
        report::render(&study, &dir)?;
    }
    if let Err(error) = ran {
        if !study.trials.is_empty() {
            progress.say(&format!("the trials until here are saved; go on with: {}", resume_line(&options, &dir)));
        }
        let Some(lost) = lost else { return Err(error) };
        progress.insist(&format!("error: {error}"));
        return Ok(lost);
    }
    if let Some(status) = interrupt.status() {
        progress.say(&format!("interrupted; go on with: {}", resume_line(&options, &dir)));
        return Ok(lost.unwrap_or(status));
    }
    super::print(&report::summary(&study, &page(&dir)))?;
    Ok(lost.unwrap_or_else(|| status_of(&study)))
}

/// Runs the trials where the options say.
async fn trials(tuning: &mut Tuning<'_>, options: &TuneOptions) -> Result<(), CommandError> {
    if let Some(target) = &options.cloud {
        return tuning.in_cloud(target).await;
    }
    let Scenario { system: Some(system), delivery: Some(asked), tune: Some(tune), .. } = tuning.study.scenario.clone()
    else {
        return tuning.locally(options.limits, options.scaling).await;
    };
    let system = tuned_system(system, &tune);
    let pubsub = delivery::pubsub(options.pubsub.as_ref());
    tuning.of_system((&system, &asked), (options.limits, options.scaling), pubsub).await
}

/// The service that the journeys are sent to, with the time factor of a tuning.
fn service_of(options: &TuneOptions, scenario: &Scenario) -> Result<Service, CommandError> {
    let mut service = match &scenario.system {
        None => scenario.service.clone().ok_or_else(|| missing(&options.scenario, "service"))?,
        Some(_) if options.cloud.is_some() => {
            return Err(CommandError::Usage(format!(
                "{}: a system of several services is tuned on the local platform only\n\nhint: leave --project, --region and \
                 --service out",
                options.scenario.display()
            )));
        }
        Some(_) if scenario.delivery.is_none() => return Err(missing(&options.scenario, "deliver")),
        Some(system) => {
            let front = system.services.get(&system.front).ok_or_else(|| missing(&options.scenario, "services"))?;
            front.service.clone()
        }
    };
    if let (Some(tune), None) = (&scenario.tune, &options.cloud) {
        service.time_factor = tune.time_factor.unwrap_or(service.time_factor);
        service.host_cores_per_vcpu = tune.host_cores_per_vcpu.unwrap_or(service.host_cores_per_vcpu);
    }
    Ok(service)
}

/// The system as a tuning starts it.
fn tuned_system(mut system: System, tune: &Tune) -> System {
    system.time_factor = tune.time_factor.unwrap_or(system.time_factor);
    system.host_cores_per_vcpu = tune.host_cores_per_vcpu.unwrap_or(system.host_cores_per_vcpu);
    for (_, member) in system.services.iter_mut().filter(|(name, _)| tune.services.contains(name)) {
        member.service.max_instances = tune.max_instances.unwrap_or(member.service.max_instances);
    }
    system
}

/// Says what was lost, and how that ends the command whatever else happened.
fn lost(study: &Study, progress: &Progress) -> Option<ExitStatus> {
    let losing: Vec<&TrialResult> = study.trials.iter().filter(|trial| trial.lost() > 0).collect();
    let trials: Vec<String> =
        losing.iter().map(|trial| format!("trial {} ({})", trial.number, trial.candidate)).collect();
    let lost: u64 = losing.iter().map(|trial| trial.lost()).sum();
    (lost > 0).then(|| {
        let queued: u64 = losing.iter().map(|trial| trial.queued()).sum();
        let gone = if queued == lost { "all of them may".to_owned() } else { format!("{queued} of them may") };
        let text = format!(
            "LOST: {lost} reports were acknowledged and not delivered within the drain limit, in {}; {gone} have been waiting still",
            trials.join(", ")
        );
        progress.insist(&text);
        let first = losing.first().and_then(|trial| trial.recording.delivery.as_ref());
        first.map(report::loss_hints).iter().flatten().for_each(|hint| progress.insist(hint));
        ExitStatus::Lost
    })
}

/// The command line that goes on with the study.
fn resume_line(options: &TuneOptions, dir: &Path) -> String {
    let mut line = options.command.clone();
    if options.out.is_none() {
        line = format!("{line} --out '{}'", dir.display());
    }
    if options.resume { line } else { format!("{line} --resume") }
}

/// The report's page, from the working directory when it is below it.
fn page(dir: &Path) -> PathBuf {
    let page = dir.join(report::PAGE);
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    page.strip_prefix(here).map(Path::to_owned).unwrap_or(page)
}

/// How a study that ran to its end ends the command.
fn status_of(study: &Study) -> ExitStatus {
    match study.decision.as_ref().map(|decision| &decision.outcome) {
        Some(Outcome::Chosen(_)) => ExitStatus::Success,
        Some(Outcome::Infeasible { .. }) => ExitStatus::Unmet,
        Some(Outcome::Untrusted { .. }) | None => ExitStatus::Untrusted,
    }
}

/// How candidates are reached. The local platform asks nobody who they are, so a token for it is a mistake.
fn connection_of(options: &TuneOptions) -> Result<TargetOptions, CommandError> {
    if options.cloud.is_none() && options.connection.google_id_token.is_some() {
        return Err(CommandError::Usage(
            "--google-id-token: the local platform asks for none\n\nhint: name the service on Cloud Run by --project, \
             --region and --service"
                .to_owned(),
        ));
    }
    options.connection.load()
}

fn missing(path: &Path, section: &str) -> CommandError {
    CommandError::Usage(format!(
        "{}: `tune` needs a `{section}` section\n\nhint: scenarios/shopping.yaml (one service) and scenarios/lab-report.yaml (a \
         system) show what is needed, scenarios/README.md explains it",
        path.display()
    ))
}

/// The record of a study before its first trial.
fn new_study(
    options: &TuneOptions,
    scenario: Scenario,
    service: &Service,
    started: jiff::Timestamp,
) -> Result<Study, CommandError> {
    let tune = scenario.tune.clone().ok_or_else(|| missing(&options.scenario, "tune"))?;
    let book = options.prices.as_deref().map_or_else(|| Ok(PriceBook::embedded()), PriceBook::load)?;
    if options.cloud.is_none() {
        super::service::check(&options.scenario, &scenario, &book)?;
    }
    let region = options.cloud.as_ref().map_or(&service.region, |target| &target.region);
    let place = match &options.cloud {
        Some(target) => Place::CloudRun {
            project: target.project.clone(),
            region: target.region.clone(),
            service: target.service.clone(),
        },
        None => Place::Local(Scale {
            limiter: Limiter {
                kind: "unknown".to_owned(),
                note: "the platform was not started".to_owned(),
                self_test_set_cores: None,
                self_test_measured_cores: None,
                cpu_idle: None,
            },
            host_cores_per_vcpu: service.host_cores_per_vcpu,
            time_factor: service.time_factor,
            scaling: options.scaling.record(),
            pubsub: scenario.system.as_ref().and_then(|_| delivery::pubsub(options.pubsub.as_ref())),
            assumed: None,
        }),
    };
    Ok(Study {
        schema_version: SCHEMA_VERSION,
        name: format!("{}-{}", scenario.name, started.strftime("%Y%m%d-%H%M%S")),
        tidegate_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: options.command.clone(),
        commit: host::commit(),
        started_at: started.to_string(),
        finished_at: None,
        candidates: candidates_of(options, &tune)?,
        blocks: options.blocks.unwrap_or(if options.quick { 1 } else { tune.blocks }),
        stage_share: if options.quick { QUICK_STAGE_SHARE } else { 1.0 },
        seed: options.seed,
        place,
        host: host::describe(),
        prices: book.prices(region)?,
        shape: InstanceShape { vcpu: service.vcpu, memory: service.memory, billing: service.billing },
        trials: Vec::new(),
        decision: None,
        scenario,
    })
}

/// The candidates of the command line, else the quick ones, else the scenario's.
fn candidates_of(options: &TuneOptions, tune: &Tune) -> Result<Vec<Candidate>, CommandError> {
    if options.candidates.is_empty() {
        return Ok(if options.quick { tune.quick.clone() } else { tune.candidates.clone() });
    }
    let mut candidates = Vec::new();
    for max_concurrency in &options.candidates {
        let candidate = Candidate { max_concurrency: *max_concurrency };
        if !(1..=1000).contains(max_concurrency) || candidates.contains(&candidate) {
            return Err(CommandError::Usage(format!(
                "--candidates: {max_concurrency} is out of range or given twice\n\nhint: name each max concurrency once, from 1 to 1000, such as --candidates 1,4,16"
            )));
        }
        candidates.push(candidate);
    }
    candidates.sort_unstable();
    Ok(candidates)
}
