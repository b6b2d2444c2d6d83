//! What must become of each report, and what is promised of that.

use super::super::error::{Problems, offer};
use super::super::file::{ScenarioFile, VariableFile};
use super::super::located::Located;
use super::super::system_file::DeliverFile;
use super::super::{Delivery, DeliveryPromise, Field, Scenario, delivery_notation, notation};
use super::{known, parsed, system};
use std::time::Duration;

/// The promises of deliveries and those of answers. A step's own name comes first: `delivery.p95 < 1s` speaks of a step
/// `delivery` where there is one and nothing is delivered.
pub(super) fn split<'a>(
    file: &'a ScenarioFile,
    step_names: &[&str],
) -> (Vec<&'a Located<String>>, Vec<&'a Located<String>>) {
    let step = |text: &str| text.split_once('.').is_some_and(|(step, _)| step_names.contains(&step));
    file.slos.iter().partition(|slo| {
        delivery_notation::promise(&slo.value).is_some() && (file.deliver.is_some() || !step(&slo.value))
    })
}

pub(super) fn delivery(
    file: &ScenarioFile,
    scenario: &Scenario,
    promises: &[&Located<String>],
    problems: &mut Problems,
) -> Option<Delivery> {
    let Some(written) = &file.deliver else {
        for promise in promises {
            let message = format!("`{}` speaks of deliveries, and there is no `deliver`", promise.value);
            problems.add(promise.at, message, "add `deliver: {step: …, id: …, to: […], within: 180s}`");
        }
        return None;
    };
    let DeliverFile { step, id, to, within } = &written.value;
    check_step(step, scenario, problems);
    check_id(file, id, scenario, problems);
    // Without stages there is a problem already, and the load model is a stand-in.
    if !scenario.load.is_open() && !scenario.stages.is_empty() {
        problems.add(
            file.load.at,
            "deliveries are counted by arrival, and virtual users have none",
            "describe an open load, or leave `deliver` out",
        );
    }
    if to.value.is_empty() {
        problems.add(to.at, "there is no consumer", "name the services that each report must reach");
    }
    let consumers = consumers(file, &to.value, problems);
    let length = parsed(notation::duration(&within.value), within.at, problems).unwrap_or_default();
    if length == Duration::ZERO {
        problems.add(within.at, "no report is delivered within no time", "give the time it may take, such as 180s");
    }
    let promises = promises.iter().filter_map(|text| promise(text, &consumers, problems)).collect();
    Some(Delivery { step: step.value.clone(), id: id.value.clone(), consumers, within: length, promises })
}

/// A step that no arrival sends twice: an arrival is one report.
fn check_step(step: &Located<String>, scenario: &Scenario, problems: &mut Problems) {
    known("step", step, &scenario.step_names(), problems);
    let repeated = scenario.journeys.iter().any(|journey| {
        let places = journey.steps.iter().enumerate().filter(|(_, of_journey)| of_journey.name == step.value);
        let mut groups = places.flat_map(|(place, _)| journey.groups.iter().filter(move |group| group.holds(place)));
        groups.any(|group| group.repeat.is_some())
    });
    if repeated {
        let message = format!("the step `{}` is repeated, and an arrival posts one report", step.value);
        problems.add(step.at, message, "take it out of the group with `repeat`");
    }
}

/// A counter: no two arrivals post the same report.
fn check_id(file: &ScenarioFile, id: &Located<String>, scenario: &Scenario, problems: &mut Problems) {
    let names: Vec<&str> = file.variables.keys().map(String::as_str).collect();
    known("variable", id, &names, problems);
    let is_counter = matches!(scenario.variables.get(&id.value), Some(Field::Counter { step, .. }) if *step != 0);
    let is_sound =
        !file.variables.get(&id.value).is_some_and(|written| !matches!(written.value, VariableFile::Counter(_)));
    if !is_counter && names.contains(&id.value.as_str()) {
        let message = if is_sound { "a counter that stands still" } else { "no counter" };
        problems.add(
            id.at,
            format!("the variable `{}` is {message}: two arrivals might post the same report", id.value),
            "make it `{counter: {from: 1}}`",
        );
    }
}

fn consumers(file: &ScenarioFile, written: &[Located<String>], problems: &mut Problems) -> Vec<String> {
    let (all, observed): (Vec<&str>, Vec<&str>) =
        (file.services.keys().map(String::as_str).collect(), system::observed(&file.services, &file.subscriptions));
    let mut consumers: Vec<String> = Vec::new();
    for name in written {
        if consumers.contains(&name.value) {
            problems.add(name.at, format!("the consumer `{}` stands here twice", name.value), "keep one of the two");
            continue;
        }
        // A system that runs elsewhere is not described in the file: its consumers are only names.
        if !all.is_empty() && !all.contains(&name.value.as_str()) {
            problems.add(name.at, format!("there is no service `{}`", name.value), offer(&name.value, &all));
        } else if !all.is_empty() && !observed.contains(&name.value.as_str()) {
            let message = format!("nothing tells what is delivered to `{}`", name.value);
            let hint = "give the service an `observer`, such as `/deliveries`, and a subscription that pushes to it";
            problems.add(name.at, message, hint);
        }
        consumers.push(name.value.clone());
    }
    consumers
}

fn promise(written: &Located<String>, consumers: &[String], problems: &mut Problems) -> Option<DeliveryPromise> {
    let (consumer, metric) = parsed(delivery_notation::promise(&written.value)?, written.at, problems)?;
    if let Some(consumer) = &consumer
        && !consumers.contains(consumer)
    {
        let names: Vec<&str> = consumers.iter().map(String::as_str).collect();
        let message = format!("`{}` speaks of a consumer `{consumer}`, which nothing is delivered to", written.value);
        problems.add(written.at, message, offer(consumer, &names));
    }
    Some(DeliveryPromise { text: written.value.clone(), consumer, metric })
}
