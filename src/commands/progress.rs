//! What a person sees while a study or a run goes on: one live line on a terminal, plain lines when piped.

use super::view::View;
use crate::driver::Progress as Load;
use crate::scenario::{Objective, Scenario};
use crate::study::{TrialProgress, Watch};
use crate::trial::{Invalid, Place, Recording, Study, TrialResult, Validity};
use crate::tuner::Proposal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is shown while a load goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// A live view on a terminal, else plain lines.
    #[default]
    Live,
    /// One live line on a terminal, else plain lines.
    Plain,
    /// Nothing.
    Quiet,
}

/// Says how things go, on standard error: standard output is for results.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    now: Arc<Mutex<Now>>,
    quiet: bool,
    view: Arc<Mutex<Option<View>>>,
}

/// What the live line is about.
#[derive(Debug, Default)]
struct Now {
    title: String,
    /// Trials after the current one.
    later: usize,
    /// What a whole trial has taken so far, deployment and set-up included.
    trial_began: Option<tokio::time::Instant>,
    trial_took: Option<Duration>,
    /// How long after the last load its usage can be read, about, and since when that is waited for.
    tail: Duration,
    /// What costs are told per.
    objective: Objective,
    /// What a trial takes besides its load, about.
    overhead: Duration,
    tail_began: Option<tokio::time::Instant>,
    /// When was last told, in a line that stays, what is waited for.
    wait_told: Option<tokio::time::Instant>,
}

impl Now {
    /// Until the study ends, when `left` of the current trial's load is to come and a trial's load is so long.
    fn to_go(&self, left: Duration, load: Duration) -> Duration {
        left + self.trial_took.unwrap_or(load + self.overhead).mul_f64(self.later as f64) + self.tail
    }

    /// What is shown while the usage of the last trials is awaited.
    fn reading(&self, pending: usize, waited: Duration) -> String {
        let trials = if pending == 1 { "the last trial".to_owned() } else { format!("the last {pending} trials") };
        let reading = format!("reading the billable time of {trials} from Monitoring");
        let left = self.tail.saturating_sub(waited);
        // Samples come when they come: nothing is promised that has not been kept already.
        if left.is_zero() { reading } else { format!("{reading}, about {} to go", minutes(left)) }
    }
}

impl Progress {
    /// A live line when standard error is a terminal, else plain lines. `NO_COLOR` is honoured by both.
    pub(super) fn new() -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(4)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant that is valid"));
        Self { bar, now: Arc::default(), quiet: false, view: Arc::default() }
    }

    /// As `display` says, of a run called `title` on `target`.
    pub(super) fn of_run(display: Display, title: &str, target: &str) -> Self {
        let progress = match display {
            Display::Quiet => Self { bar: ProgressBar::hidden(), quiet: true, ..Self::new() },
            Display::Plain | Display::Live => Self::new(),
        };
        if display == Display::Live {
            *progress.viewed() = View::start(title, target);
        }
        title.clone_into(&mut progress.lock().title);
        progress
    }

    /// A line that stays.
    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// A line that stays and that even the quiet must see. In the live view it stays until the next one.
    pub(super) fn insist(&self, text: &str) {
        if let Some(view) = self.viewed().as_ref().filter(|view| view.is_on()) {
            return view.note(text);
        }
        if self.bar.is_hidden() {
            // Nobody may be listening any more (a closed pipe): that is no reason to fail.
            let _ = writeln!(anstream::stderr(), "{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// What is waited for now: the live line; where there is none, a line that stays, now and then.
    pub(super) fn awaiting(&self, text: &str) {
        if !self.bar.is_hidden() {
            // After a line was taken away a new one begins.
            if self.bar.is_finished() {
                self.bar.reset();
            }
            return self.bar.set_message(text.to_owned());
        }
        let mut now = self.lock();
        if now.wait_told.is_none_or(|told| told.elapsed() >= WAITS_TOLD_EVERY) {
            now.wait_told = Some(tokio::time::Instant::now());
            drop(now);
            self.say(text);
        }
    }

    /// Takes the live view or line away.
    pub(super) fn clear(&self) {
        self.viewed().take();
        self.bar.finish_and_clear();
        // What is waited for next is another thing.
        self.lock().wait_told = None;
    }

    /// What the study will do, how long it takes, and where its record is.
    pub(super) fn announce(&self, study: &Study, dir: &Path) {
        let factor = match &study.place {
            Place::Local(scale) => scale.time_factor,
            Place::CloudRun { .. } => 1.0,
        };
        let levels: Vec<String> =
            study.candidates.iter().map(|candidate| candidate.max_concurrency.to_string()).collect();
        let trials = study.candidates.len() * study.blocks as usize;
        let services = study.scenario.tune.as_ref().map_or(&[][..], |tune| &tune.services);
        let tuned = if services.is_empty() { String::new() } else { format!(" of {}:", services.join(", ")) };
        let load = load_length(&study.scenario, study.stage_divisor());
        let overhead = if study.scenario.system.is_some() { OVERHEAD_OF_A_SYSTEM } else { OVERHEAD };
        {
            let mut now = self.lock();
            (now.tail, now.overhead, now.objective) = (usage_tail(factor), overhead, study.scenario.objective());
        }
        let all = (load + overhead).mul_f64(trials as f64) + usage_tail(factor);
        self.say(&format!(
            "study {}: max concurrency{tuned} {} in {} block{} = {trials} trials of {:.0} s load, about {} in all\nrecord: {}",
            study.name,
            levels.join(", "),
            study.blocks,
            if study.blocks == 1 { "" } else { "s" },
            load.as_secs_f64(),
            minutes(all),
            dir.display()
        ));
    }

    /// What a run will do; the live view says so by itself.
    pub(super) fn announce_load(&self, title: &str, length: Duration, target: &str) {
        if self.viewed().is_none() {
            self.say(&format!("{title}: {:.0} s of load on {target}", length.as_secs_f64()));
        }
    }

    fn viewed(&self) -> std::sync::MutexGuard<'_, Option<View>> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The live view or line.
    pub(super) fn load(&self, load: &Load, instances: Option<u64>) {
        if let Some(view) = self.viewed().as_ref().filter(|view| view.is_on()) {
            return view.load(load);
        }
        if self.bar.is_hidden() {
            return;
        }
        let now = self.lock();
        let left = load.total.saturating_sub(load.elapsed);
        self.bar.set_message(format!(
            "{}  {:>3.0}/{:.0} s  offered {:.0}/s  achieved {:.0}/s  p99 {:.0} ms  in flight {}{}{}  {} to go",
            now.title,
            load.elapsed.as_secs_f64(),
            load.total.as_secs_f64(),
            load.offered_rate,
            load.achieved_rate,
            load.response_time_p99.as_secs_f64() * 1e3,
            load.in_flight,
            instances.map_or_else(String::new, |instances| format!("  instances {instances}")),
            if load.failed == 0 { String::new() } else { format!("  failed {}", load.failed) },
            minutes(now.to_go(left, load.total)),
        ));
    }
}

/// Between two lines that say what is waited for.
const WAITS_TOLD_EVERY: Duration = Duration::from_secs(10);
/// What a trial takes besides its load: deployment, set-up, drain.
const OVERHEAD: Duration = Duration::from_millis(2_200);
/// The same of a system: every service is deployed, deliveries are waited for, and some time after the last.
const OVERHEAD_OF_A_SYSTEM: Duration = Duration::from_millis(4_500);

/// The length of the load of one trial.
fn load_length(scenario: &Scenario, factor: f64) -> Duration {
    scenario.stages.iter().map(|stage| stage.duration).sum::<Duration>().div_f64(factor)
}

/// After the last load its usage is awaited: two empty samples and the delay until they can be read.
fn usage_tail(factor: f64) -> Duration {
    Duration::from_mins(5).div_f64(factor)
}

/// What a trial measured. Of one that was interrupted most was never sent: rates of that would say nothing.
fn driven(title: &str, recording: &Recording) -> String {
    let (sent, seconds) = (recording.requests_sent(), recording.duration_s);
    if recording.interrupted {
        return format!("{title}: interrupted after {sent} requests in {seconds:.0} s; it is no evidence");
    }
    let times = &recording.overall.response_time;
    let ms = |q: f64| times.quantile(q).as_secs_f64() * 1e3;
    format!(
        "{title}: {sent} requests in {seconds:.0} s, response time p50 {:.0} p95 {:.0} p99 {:.0} ms, errors {:.2} %",
        ms(0.5),
        ms(0.95),
        ms(0.99),
        recording.overall.error_rate() * 100.0,
    )
}

/// `45 s` below two minutes, else `5 min`.
fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.1} min", seconds / 60.0) }
}

impl Watch for Progress {
    fn trial_started(&self, number: u32, to_go: usize, proposal: &Proposal) {
        let again = if proposal.attempt > 1 { " (again)" } else { "" };
        let last = number as usize + to_go.saturating_sub(1);
        let mut now = self.lock();
        now.title = format!("trial {number}/{last}  {}{again}", proposal.candidate);
        now.later = to_go.saturating_sub(1);
        now.trial_began = Some(tokio::time::Instant::now());
        // A trial that is tried again comes after a wait for usage.
        now.tail_began = None;
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{}  starting the revision", now.title));
        }
    }

    fn trial_progress(&self, progress: &TrialProgress) {
        self.load(&progress.load, progress.instances);
    }

    fn trial_driven(&self, trial: &TrialResult) {
        let mut now = self.lock();
        now.trial_took = now.trial_began.map(|began| began.elapsed());
        let title = now.title.clone();
        drop(now);
        self.say(&driven(&title, &trial.recording));
        for warning in &trial.recording.warnings {
            self.say(&format!("{title}: warning: {warning}"));
        }
    }

    fn trial_concluded(&self, trial: &TrialResult) {
        let objective = self.lock().objective;
        let billed = match (trial.billable_instance_time_s(), trial.cost_per_unit(objective)) {
            (Some(seconds), Some(cost)) => format!("billed {seconds:.1} instance-seconds, {cost} {}", objective.unit()),
            (Some(seconds), None) => format!("billed {seconds:.1} instance-seconds, for nothing that is counted"),
            (None, _) => "not priced".to_owned(),
        };
        self.say(&format!("trial {} ({}): {billed}", trial.number, trial.candidate));
        if trial.lost() > 0 {
            let (lost, queued) = (trial.lost(), trial.queued());
            self.insist(&format!(
                "trial {} LOST {lost} reports that were acknowledged: not delivered within the drain limit, when subscriptions still \
                 held {queued} of them at most",
                trial.number
            ));
        }
        if let Validity::Invalid(reasons) = &trial.validity {
            let reasons: Vec<String> = reasons.iter().map(Invalid::to_string).collect();
            self.say(&format!("trial {} is INVALID: {}", trial.number, reasons.join("; ")));
        }
    }

    fn reading_usage(&self, pending: usize) {
        if !self.bar.is_hidden() && pending > 0 {
            let mut now = self.lock();
            let began = *now.tail_began.get_or_insert_with(tokio::time::Instant::now);
            self.bar.set_message(now.reading(pending, began.elapsed()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Times;

    #[test]
    fn what_is_to_go_holds_the_wait_for_the_last_usage() {
        let second = Duration::from_secs(1);
        let mut now = Now { later: 2, tail: 25 * second, overhead: OVERHEAD, ..Now::default() };
        assert_eq!(minutes(now.to_go(4 * second, 20 * second)), "73 s", "4 s, twice 22.2 s, and 25 s");
        now.trial_took = Some(30 * second);
        assert_eq!(minutes(now.to_go(4 * second, 20 * second)), "89 s");
        now.later = 0;
        assert_eq!(minutes(now.to_go(Duration::ZERO, 20 * second)), "25 s", "never 0 s while usage is awaited");
        let reading = |pending, waited| now.reading(pending, waited * second);
        assert!(reading(2, 5).ends_with("of the last 2 trials from Monitoring, about 20 s to go"));
        assert!(reading(1, 60).ends_with("of the last trial from Monitoring"), "nothing that was not kept");
    }

    #[test]
    fn an_interrupted_trial_is_told_without_rates_of_what_was_never_sent() {
        let overall = Times { dropped: 900, ..Times::default() };
        let mut recording = Recording { overall, duration_s: 3.0, ..Recording::default() };
        recording.answers.insert("200".to_owned(), 12);
        assert!(driven("trial 1/4", &recording).ends_with("errors 100.00 %"));
        recording.interrupted = true;
        assert_eq!(
            driven("trial 1/4", &recording),
            "trial 1/4: interrupted after 12 requests in 3 s; it is no evidence"
        );
    }
}
