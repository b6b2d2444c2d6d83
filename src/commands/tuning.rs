//! What lies between the question and the report of `tidegate tune`: the platform, the take-over of the service, the
//! trials, and putting back what was changed.

use super::bundled;
use super::error::CommandError;
use super::interrupt::Interrupt;
use super::local::{LocalOptions, LocalPlatform, Ready};
use super::lock_wait;
use super::platform::LimitOptions;
use super::progress::Progress;
use super::scaling::ScalingOptions;
use super::tune::CloudTarget;
use crate::cloud::{self, Cloud, CloudError, Endpoint, Original, SteadyClock, Undone};
use crate::cost::InstanceShape;
use crate::driver::{Authorization, TargetOptions};
use crate::scenario::{Scenario, Service, ServiceSource};
use crate::study::{self, CloudSite, Context, SiteOptions};
use crate::trial::{Place, Study};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A study under way.
pub(super) struct Tuning<'a> {
    pub(super) service: &'a Service,
    pub(super) study: &'a mut Study,
    /// The study's folder, absolute.
    pub(super) dir: &'a Path,
    pub(super) progress: &'a Progress,
    pub(super) interrupt: &'a Interrupt,
    /// How candidates are reached.
    pub(super) target: TargetOptions,
}

/// Answers under way at the end of a plan are awaited this long: longer than any SLO worth having, shorter than a night.
pub(super) const DRAIN: Duration = Duration::from_secs(10);
/// What the service was, kept beside the study until it is put back: a crash in between can then be mended.
const ORIGINAL: &str = "original-service.json";
/// The platform takes any project.
const LOCAL_PROJECT: &str = "local";

impl Tuning<'_> {
    /// Runs the study on a local platform that is started for it and ended with it.
    pub(super) async fn locally(&mut self, limits: LimitOptions, scaling: ScalingOptions) -> Result<(), CommandError> {
        let tidegate = std::env::current_exe()
            .map_err(|cause| CommandError::System { action: "find tidegate's own program", cause })?;
        let mut env = self.service.env.clone();
        if matches!(self.service.source, ServiceSource::Bundled(_)) {
            prepare_database(&tidegate, self.dir, &mut env).await?;
        }
        let local = LocalOptions {
            limits,
            time_factor: self.service.time_factor,
            host_cores_per_vcpu: self.service.host_cores_per_vcpu,
            scaling,
            identity_keys: None,
            logs: &self.dir.join("logs"),
        };
        let platform = LocalPlatform::start(&tidegate, &local).await?;
        self.progress.say(&platform.ready.describe());
        let endpoint = Endpoint {
            local: Some(platform.ready.endpoint.clone()),
            project: LOCAL_PROJECT.to_owned(),
            region: self.service.region.clone(),
            service: self.study.scenario.name.clone(),
        };
        let command = bundled::command_of(&self.service.source, &tidegate);
        let ran = async {
            self.note_platform(&platform.ready)?;
            let cloud = connect(endpoint).await?;
            cloud.create(self.service, &command, &env).await?;
            // Nothing is left to put back on a platform that ends with the study.
            let original = cloud.take_over().await?;
            self.trials(&cloud, &original).await
        }
        .await;
        // A platform that died is why its endpoints could not be reached: that is told first.
        let stopped = platform.stop().await;
        for trial in self.study.trials.iter_mut().filter(|trial| trial.lock_wait_s.is_none()) {
            trial.lock_wait_s = lock_wait::of_revision(&self.dir.join("logs"), &trial.revision);
        }
        match (stopped, ran) {
            (Err(died), Err(_)) => Err(died),
            (_, Err(error)) => Err(error),
            (stopped, Ok(())) => stopped,
        }
    }

    /// A resumed study goes on under the limiter it began with, or not at all.
    pub(super) fn note_platform(&mut self, Ready { limiter, assumed, .. }: &Ready) -> Result<(), CommandError> {
        let Place::Local(scale) = &mut self.study.place else { return Ok(()) };
        if !self.study.trials.is_empty() && scale.limiter.kind != limiter.kind {
            return Err(CommandError::Usage(format!(
                "--resume: the study began with limiter {}, and now it is {}\n\nhint: choose --limiter {}, or begin a new study",
                scale.limiter.kind, limiter.kind, scale.limiter.kind
            )));
        }
        scale.limiter = limiter.clone();
        scale.assumed = Some(assumed.clone());
        Ok(())
    }

    /// Runs the study on a service of Cloud Run, and puts back what was changed, whatever happened.
    pub(super) async fn in_cloud(&mut self, target: &CloudTarget) -> Result<(), CommandError> {
        let endpoint = Endpoint {
            local: target.endpoint.clone(),
            project: target.project.clone(),
            region: target.region.clone(),
            service: target.service.clone(),
        };
        let cloud = connect(endpoint).await?;
        let original = self.remember(&cloud).await?;
        self.same_shape(&original)?;
        let ran = async {
            cloud.pin(&original).await?;
            self.trials(&cloud, &original).await
        }
        .await;
        let undone = self.undo(&cloud, &original).await;
        let path = self.dir.join(ORIGINAL);
        match (ran, undone) {
            (ran, Ok(())) => {
                ran?;
                std::fs::remove_file(&path).map_err(|cause| CommandError::File { action: "remove", path, cause })
            }
            (Ok(()), Err(error)) => Err(CommandError::NotUndone { error, path, before: None }),
            (Err(before), Err(error)) => Err(CommandError::NotUndone { error, path, before: Some(Box::new(before)) }),
        }
    }

    /// Candidates are made from the service's own template: prices hold only when the scenario says what that is.
    fn same_shape(&self, original: &Original) -> Result<(), CommandError> {
        let (kept, asked) = (original.min_instances(), self.service.min_instances);
        if kept != asked {
            return Err(CommandError::Usage(format!(
                "the service keeps {kept} instances warm, and the scenario's `service` section says {asked}: idle time would \
                 be priced wrongly\n\nhint: set `min_instances: {kept}` in the scenario"
            )));
        }
        let Some(shape) = original.shape() else { return Ok(()) };
        let asked = self.study.shape;
        if shape == asked {
            return Ok(());
        }
        let words = |shape: InstanceShape| {
            format!("{} vCPU, {} GiB, {:?}-based billing", shape.vcpu.0, shape.memory.0, shape.billing).to_lowercase()
        };
        Err(CommandError::Usage(format!(
            "the service has {}, and the scenario's `service` section says {}: it would be priced wrongly\n\nhint: change \
             `vcpu`, `memory` and `billing` in the scenario to what the service has",
            words(shape),
            words(asked)
        )))
    }

    /// Writes down what the service is before anything is changed. When an earlier session of this study died before it
    /// could put the service back, that is done first.
    async fn remember(&self, cloud: &Cloud) -> Result<Original, CommandError> {
        let path = self.dir.join(ORIGINAL);
        if let Ok(text) = std::fs::read_to_string(&path) {
            let original: Original = serde_json::from_str(&text).map_err(|error| {
                CommandError::Usage(format!(
                    "{}: {error}: this file says what the service was before an earlier session changed it, and cannot be \
                     read\n\nhint: put the service's template and traffic back by hand, then remove the file",
                    path.display()
                ))
            })?;
            self.progress.say("putting back what an earlier session left changed");
            self.undo(cloud, &original).await?;
        }
        let original = cloud.original().await?;
        let text = serde_json::to_string_pretty(&original).expect("what was read as JSON can be written as JSON");
        write_privately(&path, &text).map_err(|cause| CommandError::File { action: "write", path, cause })?;
        Ok(original)
    }

    /// Puts the service back, and says what was left because somebody else had changed it.
    async fn undo(&self, cloud: &Cloud, original: &Original) -> Result<(), CloudError> {
        if let Undone::LeftToOthers { change } = cloud.undo(original).await? {
            self.progress.say(&format!(
                "somebody else changed the service meanwhile ({change}), and that was left as it is; the rest was put back"
            ));
        }
        Ok(())
    }

    async fn trials(&mut self, cloud: &Arc<Cloud>, original: &Original) -> Result<(), CommandError> {
        let options = SiteOptions {
            // Half a trial is no evidence: whatever happens, it goes on to its end.
            scenario: Arc::new(Scenario { abort: Vec::new(), ..self.study.scenario.clone() }),
            stage_divisor: self.study.stage_divisor(),
            billing: self.service.billing,
            service: self.service_name(),
            stamp: cloud::stamp(jiff::Timestamp::now().as_second()),
            sample_period: cloud.sampling().await?.period,
            target: self.target(cloud).await?,
            drain: DRAIN,
            keeps_usage: matches!(self.study.place, Place::CloudRun { .. }),
        };
        let site = Arc::new(CloudSite::new(Arc::clone(cloud), original.clone(), options));
        let context = Context { dir: self.dir, watch: self.progress, stop: self.interrupt.stop() };
        // Boxed: the future of a whole study is large.
        Box::pin(study::run(site, self.study, &context)).await.map_err(CommandError::from)
    }

    /// How candidates are reached. A token is for the service: Cloud Run takes none that is for a tag's address.
    async fn target(&self, cloud: &Cloud) -> Result<TargetOptions, CommandError> {
        let mut target = self.target.clone();
        if target.authorization == Authorization::GoogleIdToken(None) {
            target.authorization = Authorization::GoogleIdToken(Some(cloud.service_url().await?));
        }
        Ok(target)
    }

    fn service_name(&self) -> String {
        match &self.study.place {
            Place::Local(_) => self.study.scenario.name.clone(),
            Place::CloudRun { service, .. } => service.clone(),
        }
    }
}

async fn connect(endpoint: Endpoint) -> Result<Arc<Cloud>, CommandError> {
    let clock = Arc::new(SteadyClock::starting_at(jiff::Timestamp::now()));
    Ok(Arc::new(Cloud::connect(endpoint, clock).await?))
}

/// A service's template may hold secrets in its environment: only the user may read it.
fn write_privately(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// One fresh database for the study, migrated before the first instance starts.
async fn prepare_database(tidegate: &Path, dir: &Path, env: &mut BTreeMap<String, String>) -> Result<(), CommandError> {
    if ["DATABASE_URL", "DATABASE_URL_FILE"].iter().any(|name| env.contains_key(*name)) {
        return Ok(());
    }
    for leftover in ["shop.db", "shop.db-wal", "shop.db-shm"] {
        // A resumed study starts with a fresh database too; a file that is not there need not be removed.
        let _ = std::fs::remove_file(dir.join(leftover));
    }
    let database_url = format!("sqlite://{}", dir.join("shop.db").display());
    bundled::migrate(tidegate, &database_url)
        .await
        .map_err(|cause| CommandError::Migrate { database_url: database_url.clone(), cause })?;
    env.insert("DATABASE_URL".to_owned(), database_url);
    Ok(())
}
