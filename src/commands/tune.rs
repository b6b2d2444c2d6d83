//! `tidegate tune`: one command finds the best max-concurrency setting, on the local platform or on Cloud Run.

use super::bundled;
use super::error::CommandError;
use super::exit::ExitStatus;
use super::host;
use super::interrupt::Interrupt;
use super::local::{LocalOptions, LocalPlatform};
use super::progress::Progress;
use crate::cloud::{Clock, Cloud, Endpoint, Original, SteadyClock};
use crate::cost::{InstanceShape, PriceBook};
use crate::report;
use crate::scenario::{Candidate, Scenario, Service, ServiceSource, Tune};
use crate::study::{self, CloudSite, Context, SiteOptions};
use crate::trial::{Limiter, Outcome, Place, SCHEMA_VERSION, STUDY_FILE, Scale, Study};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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
    /// `auto`, `cgroup2`, `cgroup1` or `none`.
    pub limiter: String,
    /// A service on Cloud Run instead of the local platform.
    pub cloud: Option<CloudTarget>,
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

/// Answers under way at the end of a plan are awaited this long: longer than any SLO worth having, shorter than a night.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs or goes on with a study, and renders its report.
///
/// # Errors
/// When the scenario or an option is not valid, the platform cannot be asked, or nothing can be saved. What was measured
/// until then is in the study's folder, and what was changed on a service is put back.
pub async fn tune(options: TuneOptions) -> Result<ExitStatus, CommandError> {
    let scenario = Scenario::load(&options.scenario)?;
    let service = scenario.service.clone().ok_or_else(|| missing(&options.scenario, "service"))?;
    let started = jiff::Timestamp::now();
    let mut study = new_study(&options, scenario, &service, started)?;
    let dir = options.out.clone().unwrap_or_else(|| Path::new("reports").join(&study.name));
    let dir = prepare_dir(&dir, &mut study, options.resume)?;
    let progress = Progress::new();
    let interrupt = Interrupt::listen({
        let progress = progress.clone();
        move |_| {
            progress.say("stopping: what was measured is saved, what was changed is put back (again to end at once)")
        }
    })
    .map_err(|cause| CommandError::System { action: "listen for signals", cause })?;

    progress.announce(&study, &dir);
    let ran = match &options.cloud {
        None => tune_locally(&options, &service, &mut study, &dir, &progress, &interrupt).await,
        Some(target) => tune_in_cloud(target, &service, &mut study, &dir, &progress, &interrupt).await,
    };
    progress.clear();
    study.finished_at = Some(jiff::Timestamp::now().to_string());
    // Whatever ended the study, what was measured is saved and rendered before the error is told.
    study.save(&dir)?;
    if !study.trials.is_empty() {
        report::render(&study, &dir)?;
    }
    ran?;
    if let Some(status) = interrupt.status() {
        progress.say(&format!(
            "interrupted; go on with: tidegate tune {} --out {} --resume",
            options.scenario.display(),
            dir.display()
        ));
        return Ok(status);
    }
    progress.say(&report::summary(&study));
    Ok(status_of(&study))
}

/// How a study that ran to its end ends the command.
fn status_of(study: &Study) -> ExitStatus {
    match study.decision.as_ref().map(|decision| &decision.outcome) {
        Some(Outcome::Chosen(_)) => ExitStatus::Success,
        Some(Outcome::Infeasible { .. }) => ExitStatus::Unmet,
        Some(Outcome::Untrusted { .. }) | None => ExitStatus::Untrusted,
    }
}

fn missing(path: &Path, section: &str) -> CommandError {
    CommandError::Usage(format!(
        "{}: `tune` needs a `{section}` section\n\nhint: scenarios/shopping.yaml shows one, scenarios/README.md explains it",
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
            },
            host_cores_per_vcpu: service.host_cores_per_vcpu,
            time_factor: service.time_factor,
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

/// Makes the study's folder, or loads the study that is in it. Returns its absolute path.
fn prepare_dir(dir: &Path, study: &mut Study, resume: bool) -> Result<PathBuf, CommandError> {
    let there = dir.join(STUDY_FILE).exists();
    match (resume, there) {
        (true, true) => resume_study(dir, study)?,
        (true, false) => {
            return Err(CommandError::Usage(format!(
                "--resume: there is no study in {}\n\nhint: name its folder with --out",
                dir.display()
            )));
        }
        (false, true) => {
            return Err(CommandError::Usage(format!(
                "{} already holds a study\n\nhint: go on with it by --resume, or choose another folder by --out",
                dir.display()
            )));
        }
        (false, false) => {}
    }
    std::fs::create_dir_all(dir).map_err(|cause| CommandError::File {
        action: "create the folder",
        path: dir.to_owned(),
        cause,
    })?;
    study.save(dir)?;
    dir.canonicalize().map_err(|cause| CommandError::File { action: "find", path: dir.to_owned(), cause })
}

/// Takes the trials of the saved study, which must have asked the same question.
fn resume_study(dir: &Path, study: &mut Study) -> Result<(), CommandError> {
    let saved = Study::load(dir)?;
    let same = saved.scenario == study.scenario
        && saved.candidates == study.candidates
        && saved.blocks == study.blocks
        && saved.seed == study.seed;
    if !same {
        return Err(CommandError::Usage(format!(
            "--resume: the study in {} asked something else (scenario, candidates, blocks or seed differ)\n\nhint: repeat its command line: {}",
            dir.display(),
            saved.command
        )));
    }
    *study = saved;
    Ok(())
}

/// Runs the study on a local platform that is started for it and ended with it.
async fn tune_locally(
    options: &TuneOptions,
    service: &Service,
    study: &mut Study,
    dir: &Path,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let tidegate = std::env::current_exe()
        .map_err(|cause| CommandError::System { action: "find tidegate's own program", cause })?;
    let mut env = service.env.clone();
    if matches!(service.source, ServiceSource::Bundled(_)) {
        prepare_database(&tidegate, dir, &mut env).await?;
    }
    let logs = dir.join("logs");
    let local = LocalOptions {
        limiter: &options.limiter,
        time_factor: service.time_factor,
        host_cores_per_vcpu: service.host_cores_per_vcpu,
        logs: &logs,
    };
    let platform = LocalPlatform::start(&tidegate, &local).await?;
    progress.say(&platform.ready.describe());
    if let Place::Local(scale) = &mut study.place {
        scale.limiter = platform.ready.limiter.clone();
    }
    let endpoint = Endpoint {
        local: Some(platform.ready.endpoint.clone()),
        project: "local".to_owned(),
        region: service.region.clone(),
        service: service_name(study),
    };
    let command = bundled::command_of(&service.source, &tidegate);
    let ran = async {
        let cloud = Arc::new(Cloud::connect(endpoint, clock()).await?);
        cloud.create(service, &command, &env).await?;
        run_study(&cloud, service, service.time_factor, study, dir, (progress, interrupt)).await
    }
    .await;
    let stopped = platform.stop().await;
    ran?;
    stopped
}

/// The service that is tuned: locally it is named like the scenario.
fn service_name(study: &Study) -> String {
    match &study.place {
        Place::Local(_) => study.scenario.name.clone(),
        Place::CloudRun { service, .. } => service.clone(),
    }
}

/// The host's clock, for a client of the APIs.
fn clock() -> Arc<dyn Clock> {
    Arc::new(SteadyClock::starting_at(jiff::Timestamp::now()))
}

/// One fresh database for the study, migrated before the first instance starts.
async fn prepare_database(
    tidegate: &Path,
    dir: &Path,
    env: &mut std::collections::BTreeMap<String, String>,
) -> Result<(), CommandError> {
    if env.contains_key("DATABASE_URL") {
        return Ok(());
    }
    let file = dir.join("shop.db");
    for leftover in ["shop.db", "shop.db-wal", "shop.db-shm"] {
        // A resumed study starts with a fresh database too; a file that is not there need not be removed.
        let _ = std::fs::remove_file(dir.join(leftover));
    }
    let database_url = format!("sqlite://{}", file.display());
    bundled::migrate(tidegate, &database_url)
        .await
        .map_err(|cause| CommandError::Migrate { database_url: database_url.clone(), cause })?;
    env.insert("DATABASE_URL".to_owned(), database_url);
    Ok(())
}

/// Runs the study on a service of Cloud Run.
async fn tune_in_cloud(
    target: &CloudTarget,
    service: &Service,
    study: &mut Study,
    dir: &Path,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(), CommandError> {
    let endpoint = Endpoint {
        local: target.endpoint.clone(),
        project: target.project.clone(),
        region: target.region.clone(),
        service: target.service.clone(),
    };
    let cloud = Arc::new(Cloud::connect(endpoint, clock()).await?);
    run_study(&cloud, service, 1.0, study, dir, (progress, interrupt)).await
}

/// Takes the service over, runs the study, and puts back what was changed, whatever happened.
async fn run_study(
    cloud: &Arc<Cloud>,
    service: &Service,
    time_factor: f64,
    study: &mut Study,
    dir: &Path,
    (progress, interrupt): (&Progress, &Interrupt),
) -> Result<(), CommandError> {
    let original = take_over(cloud, dir).await?;
    let stamp = stamp_of(&study.started_at, study.trials.len());
    let site_options = SiteOptions {
        scenario: Arc::new(study.scenario.clone()),
        time_factor,
        service: service_name(study),
        billing: service.billing,
        stamp,
        drain: DRAIN,
    };
    let site = Arc::new(CloudSite::new(Arc::clone(cloud), original.clone(), site_options));
    let context = Context { dir, time_factor, watch: progress, stop: interrupt.stop() };
    let ran = study::run(site, study, &context).await;
    let undone = cloud.undo(&original).await;
    ran?;
    undone?;
    // Only now is nothing left to put back.
    let _ = std::fs::remove_file(dir.join(ORIGINAL));
    Ok(())
}

/// What the service was, kept beside the study until it is put back: a crash in between can then be mended.
const ORIGINAL: &str = "original-service.json";

async fn take_over(cloud: &Cloud, dir: &Path) -> Result<Original, CommandError> {
    let path = dir.join(ORIGINAL);
    if let Ok(text) = std::fs::read_to_string(&path)
        && let Ok(original) = serde_json::from_str::<Original>(&text)
    {
        // An earlier session of this study died before it could put the service back.
        cloud.undo(&original).await?;
    }
    let original = cloud.take_over().await?;
    let text = serde_json::to_string_pretty(&original)
        .map_err(|error| CommandError::Usage(format!("the service cannot be remembered: {error}")))?;
    std::fs::write(&path, text).map_err(|cause| CommandError::File { action: "write", path, cause })?;
    Ok(original)
}

/// A letter, then letters and digits, that tell this session's revisions from any other's.
fn stamp_of(started_at: &str, trials: usize) -> String {
    let seconds = started_at.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second);
    format!("s{:x}{}", seconds & 0x00ff_ffff, if trials == 0 { String::new() } else { format!("r{trials}") })
}
