//! Load, stages, promises and traffic.

use super::super::error::{Problems, offer};
use super::super::file::{ArrivalsFile, LoadFile, OpenFile, ScenarioFile, StageFile, UnitFile};
use super::super::located::Located;
use super::super::notation;
use super::super::{Arrivals, LoadModel, Slo, Stage, StageKind, Traffic};
use super::{exactly_one, parsed, unique};
use std::collections::BTreeMap;
use std::time::Duration;

/// Levels above it are mistakes: no single machine sends that much.
const LEVEL_MAX: f64 = 1e6;

/// Journeys under way at once, where the file does not say.
const IN_FLIGHT_DEFAULT: u32 = 1000;

pub(super) fn model(load: &LoadFile, problems: &mut Problems) -> LoadModel {
    let LoadFile::Open(OpenFile { arrivals, max_in_flight, unit: _ }) = load else {
        return LoadModel::Closed;
    };
    if let Some(room) = max_in_flight
        && room.value == 0
    {
        problems.add(room.at, "`max_in_flight: 0` lets no journey start", "give at least 1, or leave it out for 1000");
    }
    LoadModel::Open {
        arrivals: match arrivals {
            ArrivalsFile::Poisson => Arrivals::Poisson,
            ArrivalsFile::Constant => Arrivals::Constant,
        },
        max_in_flight: max_in_flight.as_ref().map_or(IN_FLIGHT_DEFAULT, |room| room.value),
    }
}

pub(super) fn stages(file: &ScenarioFile, steps_per_arrival: f64, problems: &mut Problems) -> Vec<Stage> {
    let stages = &file.stages;
    if stages.value.is_empty() {
        problems.add(stages.at, "there is no stage", "add one, such as `- {name: normal, hold: 60, duration: 60s}`");
        return Vec::new();
    }
    unique(stages.value.iter().map(|stage| &stage.value.name), "stage", problems);
    let levels = Levels::of(&file.load, steps_per_arrival);
    let converted: Vec<Stage> = stages.value.iter().filter_map(|written| stage(written, &levels, problems)).collect();
    let measures = |stage: &Stage| stage.duration > stage.warm_up && stage.from.max(stage.to) > 0.0;
    if converted.len() == stages.value.len() && !converted.iter().any(measures) {
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
            LoadFile::Open(_) => Self { scale: 1.0, whole: false },
            LoadFile::Closed => Self { scale: 1.0, whole: true },
        }
    }
}

fn stage(written: &Located<StageFile>, levels: &Levels, problems: &mut Problems) -> Option<Stage> {
    let StageFile { name, hold, ramp, spike, duration, warm_up } = &written.value;
    let level = exactly_one(
        vec![
            ("hold", hold.as_ref().map(|hold| (StageKind::Hold, hold.value, hold.value, hold.at))),
            ("ramp", ramp.as_ref().map(|ramp| (StageKind::Ramp, ramp.value.from, ramp.value.to, ramp.at))),
            ("spike", spike.as_ref().map(|spike| (StageKind::Spike, spike.value, spike.value, spike.at))),
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
    let (kind, from, to, at) = level?;
    for level in [from, to] {
        if !(0.0..=LEVEL_MAX).contains(&level) {
            problems.add(at, format!("the level {level} is out of range"), format!("give 0 to {LEVEL_MAX}"));
        } else if levels.whole && level.fract() != 0.0 {
            problems.add(at, format!("there are no {level} virtual users"), "give a whole number");
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
    Some(Stage {
        name: name.value.clone(),
        kind,
        from: from * levels.scale,
        to: to * levels.scale,
        duration: length,
        warm_up: warm_up_length,
    })
}

pub(super) fn slos(written: &[Located<String>], step_names: &[&str], problems: &mut Problems) -> Vec<Slo> {
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
    let names: Vec<&str> = file.stages.value.iter().map(|stage| stage.value.name.value.as_str()).collect();
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
