//! `tidegate tune` of a whole system: the local platform and the local broker, started for the study and ended with it.

use super::super::LimitOptions;
use super::super::scaling::ScalingOptions;
use super::super::tuning::Tuning;
use super::arena::{Ground, Local};
use super::site::SystemSite;
use super::{CommandError, PathBuf, Scenario};
use crate::scenario::{Delivery, System};
use crate::study::{self, Context};
use crate::trial::Place;
use std::sync::Arc;

impl Tuning<'_> {
    /// Runs the study of a system.
    pub(in crate::commands) async fn of_system(
        &mut self,
        (system, delivery): (&System, &Delivery),
        (limits, scaling): (LimitOptions, ScalingOptions),
        pubsub: Option<String>,
    ) -> Result<(), CommandError> {
        for fault in &system.faults {
            self.progress.say(&format!("{}: not done: a tuning asks for steady traffic", fault.text));
        }
        // What an earlier session of the study kept is never taken for this one's.
        let state = self.dir.join("state");
        let session = state.join(jiff::Timestamp::now().as_second().to_string());
        // A study that is gone on with may find it elsewhere.
        if let Place::Local(scale) = &mut self.study.place {
            scale.pubsub.clone_from(&pubsub);
        }
        let ground = Ground { limits, scaling, pubsub, state: session.clone(), logs: self.dir.join("logs") };
        let local = Box::pin(Local::start(&ground, system, self.progress)).await?;
        let ran = self.trials_of_system(&local, (system, delivery), session).await;
        // A platform that died is why its endpoints could not be reached: that is told first.
        let stopped = local.stop().await;
        if self.study.trials.iter().all(|trial| trial.lost() == 0) {
            // What was published and delivered is evidence only as long as something is missing.
            let _ = std::fs::remove_dir_all(&state);
        }
        match (stopped, ran) {
            (Err(died), Err(_)) => Err(died),
            (_, Err(error)) => Err(error),
            (stopped, Ok(())) => stopped,
        }
    }

    async fn trials_of_system(
        &mut self,
        local: &Local,
        (system, delivery): (&System, &Delivery),
        state: PathBuf,
    ) -> Result<(), CommandError> {
        self.note_platform(&local.platform.ready)?;
        let front = local.works.clouds.get(&system.front);
        let front = front.ok_or_else(|| CommandError::Usage(format!("there is no service `{}`", system.front)))?;
        let site = SystemSite {
            works: local.works.clone(),
            // Half a trial is no evidence: whatever happens, it goes on to its end.
            scenario: Arc::new(Scenario { abort: Vec::new(), ..self.study.scenario.clone() }),
            system: system.clone(),
            delivery: delivery.clone(),
            tuned: self.study.scenario.tune.iter().flat_map(|tune| tune.services.clone()).collect(),
            stage_divisor: self.study.stage_divisor(),
            state,
            sample_period: front.sampling().await?.period,
            target: self.target.clone(),
        };
        let context = Context { dir: self.dir, watch: self.progress, stop: self.interrupt.stop() };
        // Boxed: the future of a whole study is large.
        Box::pin(study::run(Arc::new(site), self.study, &context)).await.map_err(CommandError::from)
    }
}
