//! The loop of a study: propose → drive → save → read the usage while the next trial runs → conclude → save.

use super::conclude;
use super::site::{Driven, Site, StudyError, Watch};
use crate::cloud::CloudError;
use crate::driver::Progress;
use crate::scenario::Plan;
use crate::trial::{Study, Usage};
use crate::tuner::{Proposal, Search, decide};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a study needs besides its place and its record.
pub struct Context<'a> {
    /// Folder of the study: its record is saved there after every step.
    pub dir: &'a Path,
    /// What stage lengths are divided by.
    pub time_factor: f64,
    /// Who is told.
    pub watch: &'a dyn Watch,
    /// Turns true when the user wants to stop.
    pub stop: watch::Receiver<bool>,
}

/// Usages being read, each with the trial it belongs to.
type Readings = JoinSet<(Proposal, u32, Result<Usage, CloudError>)>;

/// Runs every trial that `study` still lacks, then decides. Returns early, with everything saved, when stopped.
///
/// # Errors
/// When the platform cannot be asked, the load cannot be sent, or the record cannot be saved. What was measured until
/// then is in the study's folder.
pub async fn run<S: Site>(site: Arc<S>, study: &mut Study, context: &Context<'_>) -> Result<(), StudyError> {
    let mut search = resume(study);
    let mut readings = Readings::new();
    loop {
        while let Some(read) = readings.try_join_next() {
            conclude_read(study, &mut search, context, read)?;
        }
        if *context.stop.borrow() {
            break;
        }
        match search.propose() {
            Some(proposal) => {
                let driven = drive(&site, study, &search, proposal, context).await?;
                let trial = conclude::driven(&plan_of(study, proposal, context), driven.clone());
                search.record(proposal, !conclude::spoiled(&trial));
                context.watch.trial_driven(&trial);
                study.trials.push(trial);
                study.save(context.dir)?;
                let site = Arc::clone(&site);
                readings.spawn(async move {
                    let usage = site.usage(&driven).await;
                    (driven.proposal, driven.number, usage)
                });
            }
            None => {
                context.watch.reading_usage(readings.len());
                let Some(read) = readings.join_next().await else { break };
                conclude_read(study, &mut search, context, read)?;
            }
        }
    }
    if *context.stop.borrow() {
        return Ok(());
    }
    study.decision = Some(decide(&study.candidates, &study.scenario.slos, &study.trials));
    study.save(context.dir)?;
    Ok(())
}

/// The search as it was after the trials that `study` already holds.
fn resume(study: &mut Study) -> Search {
    // A trial whose usage was never read is no evidence and cannot become any: its revision is gone.
    study.trials.retain(|trial| trial.usage.is_some());
    study.decision = None;
    Search::resume(&study.candidates, study.blocks, study.seed, &study.trials)
}

fn plan_of(study: &Study, proposal: Proposal, context: &Context<'_>) -> Plan {
    Plan::new(Arc::new(study.scenario.clone()), proposal.seed, context.time_factor)
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
    let (sender, mut receiver) = watch::channel(Progress::default());
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
    read: Result<(Proposal, u32, Result<Usage, CloudError>), tokio::task::JoinError>,
) -> Result<(), StudyError> {
    let (proposal, number, usage) = read.map_err(|_| StudyError::ReaderDied)?;
    let plan = plan_of(study, proposal, context);
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
