//! Load, stages, promises and traffic.

use super::super::error::{Problems, offer};
use super::super::file::ScenarioFile;
use super::super::load_file::{ArrivalsFile, LoadFile, OpenFile, PacedFile, SineFile, StageFile, UnitFile};
use super::super::located::{Located, Location};
use super::super::notation;
use super::super::{Arrivals, LoadModel, Replay, Scenario, Sine, Slo, Stage, StageKind, Traffic};
use super::{exactly_one, parsed, replay, unique};
use std::collections::BTreeMap;
use std::time::Duration;

/// Levels above it are mistakes: no single machine sends that much.
pub(super) const LEVEL_MAX: f64 = 1e6;

/// Journeys under way at once, where the file does not say.
const IN_FLIGHT_DEFAULT: u32 = 1000;

/// Sessions that begin more often want another load model.
const PACE_MIN: Duration = Duration::from_millis(1);

/// The load model with its stages, those of a replay as they were read. What cannot be converted is left out, with a problem
/// noted.
pub(super) fn load(
    file: &ScenarioFile,
    replayed: Option<(Replay, Stage)>,
    scenario: &Scenario,
    problems: &mut Problems,
) -> (LoadModel, Vec<Stage>) {
    let model = match &file.load.value {
        LoadFile::Open(OpenFile { arrivals, max_in_flight, unit: _ }) => LoadModel::Open {
            arrivals: match arrivals {
                ArrivalsFile::Poisson => Arrivals::Poisson,
                ArrivalsFile::Constant => Arrivals::Constant,
            },
            max_in_flight: room(max_in_flight.as_ref(), problems),
        },
        LoadFile::Closed => LoadModel::Closed,
        LoadFile::InFlight => LoadModel::InFlight,
        LoadFile::Paced(PacedFile { every }) => LoadModel::Paced { every: pace(every, problems) },
        LoadFile::Replay(_) => {
            if let Some(stages) = &file.stages {
                let hint = "take `stages` out; what is not measured is said with `warm_up` under `replay`";
                problems.add(stages.at, "a replay has no stages of its own: it is as long as its log", hint);
            }
            // Without a replay there is a problem, and nothing of the scenario is used.
            return replayed
                .map_or((LoadModel::Closed, Vec::new()), |(replay, stage)| (LoadModel::Replay(replay), vec![stage]));
        }
    };
    (model, stages(file, scenario, problems))
}

/// Journeys that may be under way at once.
pub(super) fn room(written: Option<&Located<u32>>, problems: &mut Problems) -> u32 {
    let Some(room) = written else { return IN_FLIGHT_DEFAULT };
    if room.value == 0 {
        problems.add(room.at, "`max_in_flight: 0` lets no journey start", "give at least 1, or leave it out for 1000");
    }
    room.value
}

fn pace(every: &Located<String>, problems: &mut Problems) -> Duration {
    let pace = parsed(notation::duration(&every.value), every.at, problems);
    if pace.is_some_and(|pace| pace < PACE_MIN) {
        problems.add(
            every.at,
            format!("a session every {} is no pace", every.value),
            "give at least 1ms, or write `load: closed` for sessions without a pause",
        );
    }
    pace.unwrap_or(PACE_MIN)
}

fn stages(file: &ScenarioFile, scenario: &Scenario, problems: &mut Problems) -> Vec<Stage> {
    const EXAMPLE: &str = "add one, such as `- {name: normal, hold: 60, duration: 60s}`";
    let Some(stages) = &file.stages else {
        problems.add(file.load.at, "beside `load` the key `stages` is missing", EXAMPLE);
        return Vec::new();
    };
    if stages.value.is_empty() {
        problems.add(stages.at, "there is no stage", EXAMPLE);
        return Vec::new();
    }
    unique(stages.value.iter().map(|stage| &stage.value.name), "stage", problems);
    let before = problems.len();
    let converted: Vec<Stage> =
        stages.value.iter().filter_map(|written| stage(written, &file.load.value, scenario, problems)).collect();
    let measures = |stage: &Stage| stage.duration > stage.warm_up && stage.level_max() > 0.0;
    // A level or a warm-up that was refused is told already, and is the cause.
    let all_converted = converted.len() == stages.value.len() && problems.len() == before;
    if all_converted && !converted.iter().any(measures) {
        problems.add(
            stages.at,
            "nothing would be measured: every stage is without load or is warm-up as a whole",
            "give a stage a level above 0 and a duration longer than its warm_up",
        );
    }
    converted
}

/// What the numbers of the stages mean.
struct Levels {
    /// What one unit of the file is in arrivals per second or virtual users.
    scale: f64,
    /// Whether only whole numbers make sense.
    whole: bool,
}

impl Levels {
    fn of(load: &LoadFile, steps_per_arrival: f64) -> Self {
        match load {
            LoadFile::Open(OpenFile { unit: UnitFile::RequestsPerSecond, .. }) => {
                // Without sound journeys there is no such mean; that has been told already.
                let per_arrival = if steps_per_arrival >= 1.0 { steps_per_arrival } else { 1.0 };
                Self { scale: 1.0 / per_arrival, whole: false }
            }
            LoadFile::Open(_) | LoadFile::Replay(_) => Self { scale: 1.0, whole: false },
            LoadFile::Closed | LoadFile::Paced(_) | LoadFile::InFlight => Self { scale: 1.0, whole: true },
        }
    }

    /// Notes a level that cannot be.
    fn check(&self, level: f64, at: Location, problems: &mut Problems) {
        if !(0.0..=LEVEL_MAX).contains(&level) {
            problems.add(at, format!("the level {level} is out of range"), format!("give 0 to {LEVEL_MAX}"));
        } else if self.whole && level.fract() != 0.0 {
            problems.add(at, format!("there are no {level} virtual users"), "give a whole number");
        }
    }
}

fn stage(written: &Located<StageFile>, load: &LoadFile, scenario: &Scenario, problems: &mut Problems) -> Option<Stage> {
    let StageFile { name, hold, ramp, spike, sine: wave, duration, warm_up, mix: weights } = &written.value;
    let mix = weights.as_ref().map_or_else(Vec::new, |weights| mix(weights, scenario, problems));
    let levels = Levels::of(load, scenario.steps_per_arrival_of(&mix));
    let line = |kind: StageKind, from: f64, to: f64, at: Location| Some((kind, from, to, at));
    let level = exactly_one(
        vec![
            ("hold", hold.as_ref().map(|hold| line(StageKind::Hold, hold.value, hold.value, hold.at))),
            ("ramp", ramp.as_ref().map(|ramp| line(StageKind::Ramp, ramp.value.from, ramp.value.to, ramp.at))),
            ("spike", spike.as_ref().map(|spike| line(StageKind::Spike, spike.value, spike.value, spike.at))),
            ("sine", wave.as_ref().map(|wave| sine(wave, problems))),
        ],
        written.at,
        problems,
    );
    let length = parsed(notation::duration(&duration.value), duration.at, problems);
    if length == Some(Duration::ZERO) {
        problems.add(duration.at, format!("stage `{}` takes no time", name.value), "give it a duration, such as 60s");
    }
    let warm_up_length = match warm_up {
        Some(warm_up) => parsed(notation::duration(&warm_up.value), warm_up.at, problems)?,
        None => Duration::ZERO,
    };
    let (kind, from, to, at) = level??;
    if !matches!(kind, StageKind::Sine(_)) {
        for level in [from, to] {
            levels.check(level, at, problems);
        }
    }
    let length = length?;
    if let Some(warm_up) = warm_up
        && warm_up_length > length
    {
        problems.add(
            warm_up.at,
            format!(
                "the warm-up of stage `{}` ({}) is longer than the stage ({})",
                name.value, warm_up.value, duration.value
            ),
            "lengthen the stage, or shorten its warm_up",
        );
    }
    let (kind, from, to) = scaled(kind, (from, to), levels.scale, length);
    Some(Stage { name: name.value.clone(), kind, from, to, duration: length, warm_up: warm_up_length, mix })
}

/// A checked sine with the level it begins with; its end is known once the stage's length is.
fn sine(written: &Located<SineFile>, problems: &mut Problems) -> Option<(StageKind, f64, f64, Location)> {
    let SineFile { mean, amplitude, period: swing, phase: shift } = &written.value;
    let (mean, amplitude) = (*mean, *amplitude);
    let period = parsed(notation::duration(&swing.value), swing.at, problems)?;
    let phase = match shift {
        Some(shift) => parsed(notation::duration(&shift.value), shift.at, problems)?,
        None => Duration::ZERO,
    };
    if period.is_zero() {
        problems.add(swing.at, "a swing takes no time", "give it a period, such as 24h");
    }
    if !(mean >= 0.0 && mean + amplitude <= LEVEL_MAX) {
        let hint = format!("give a mean of 0 or more, and with the amplitude at most {LEVEL_MAX}");
        problems.add(written.at, format!("the level {mean} ± {amplitude} is out of range"), hint);
    } else if !(0.0..=mean).contains(&amplitude) {
        let message = format!("a swing of {amplitude} around {mean} would go below 0");
        problems.add(written.at, message, "give an amplitude between 0 and the mean");
    }
    Some((StageKind::Sine(Sine { mean, amplitude, period, phase }), mean, mean, written.at))
}

/// The levels in arrivals per second or virtual users, those of a sine at the ends of its stage.
fn scaled(kind: StageKind, (from, to): (f64, f64), scale: f64, length: Duration) -> (StageKind, f64, f64) {
    let StageKind::Sine(Sine { mean, amplitude, period, phase }) = kind else {
        return (kind, from * scale, to * scale);
    };
    let sine = Sine { mean: mean * scale, amplitude: amplitude * scale, period, phase };
    let turns = |at: Duration| (at.as_secs_f64() + phase.as_secs_f64()) / period.as_secs_f64();
    let level = |at: Duration| sine.mean + sine.amplitude * (std::f64::consts::TAU * turns(at)).sin();
    (StageKind::Sine(sine), level(Duration::ZERO), level(length))
}

/// The weights of the journeys in their order; those that are left out do not come.
fn mix(written: &Located<BTreeMap<String, Located<f64>>>, scenario: &Scenario, problems: &mut Problems) -> Vec<f64> {
    let names: Vec<&str> = scenario.journeys.iter().map(|journey| journey.name.as_str()).collect();
    let mut weights = vec![0.0; names.len()];
    let mut sound = true;
    for (name, weight) in &written.value {
        match names.iter().position(|journey| journey == name) {
            Some(index) if weight.value.is_finite() && weight.value >= 0.0 => {
                weights[index] = weight.value;
                continue;
            }
            Some(_) => {
                let message = format!("the weight {} is out of range", weight.value);
                problems.add(weight.at, message, "give a number of at least 0");
            }
            None => problems.add(weight.at, format!("there is no journey `{name}`"), offer(name, &names)),
        }
        sound = false;
    }
    if !sound {
        return Vec::new();
    }
    if weights.iter().sum::<f64>() <= 0.0 {
        let message = "no journey would come: every weight of this mix is 0";
        problems.add(written.at, message, "give one of them a weight above 0");
        return Vec::new();
    }
    weights
}

pub(super) fn slos<'a>(
    written: impl IntoIterator<Item = &'a Located<String>>,
    step_names: &[&str],
    problems: &mut Problems,
) -> Vec<Slo> {
    let mut slos = Vec::new();
    for slo in written {
        let Some((step, metric)) = parsed(notation::slo(&slo.value), slo.at, problems) else {
            continue;
        };
        if let Some(step) = &step
            && !step_names.contains(&step.as_str())
        {
            problems.add(
                slo.at,
                format!("`{}` speaks of a step `{step}`, which no journey has", slo.value),
                offer(step, step_names),
            );
        }
        slos.push(Slo { text: slo.value.clone(), step, metric });
    }
    slos
}

pub(super) fn traffic(file: &ScenarioFile, problems: &mut Problems) -> Option<Traffic> {
    let traffic = &file.traffic.as_ref()?.value;
    let requests = &traffic.requests_per_month;
    if !(requests.value.is_finite() && requests.value > 0.0) {
        problems.add(
            requests.at,
            format!("{} requests cannot make a month", requests.value),
            "give the number of requests of a month, such as 50000000",
        );
    }
    // Those that could not be converted have been told of already.
    let names: Vec<&str> = match (&file.load.value, &file.stages) {
        (LoadFile::Replay(_), _) => vec![replay::STAGE],
        (_, Some(written)) => written.value.iter().map(|stage| stage.value.name.value.as_str()).collect(),
        (_, None) => Vec::new(),
    };
    let mut shares = BTreeMap::new();
    for (name, share) in &traffic.shares.value {
        if !names.contains(&name.as_str()) {
            problems.add(share.at, format!("there is no stage `{name}`"), offer(name, &names));
        }
        if !(0.0..=1.0).contains(&share.value) {
            problems.add(share.at, format!("{} is not a share", share.value), "give 0 to 1, such as 0.9");
        }
        shares.insert(name.clone(), share.value);
    }
    let sum: f64 = shares.values().sum();
    if (sum - 1.0).abs() > 1e-6 {
        problems.add(
            traffic.shares.at,
            format!("the shares sum to {}, not to 1", (sum * 1e6).round() / 1e6),
            "every request of the month comes under the conditions of one stage: let the shares sum to 1",
        );
    }
    Some(Traffic { requests_per_month: requests.value, shares })
}
