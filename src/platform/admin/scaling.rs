//! What a service and its template say about scaling: targets of the drivers, and instance counts of the service as a
//! whole.

use super::field::{Message, count, join, object, wrong};
use crate::autoscaler::{Target, Targets};
use crate::platform::spec::ServiceScaling;
use crate::platform::status::Status;
use serde_json::Value;

/// Range of the CPU driver's target (docs.cloud.google.com/run/docs/configuring/scaling-controls; 0.95 in the preview,
/// 0.90 since 2026-09-29).
const CPU_RANGE: (f64, f64) = (0.1, 0.9);
/// Range of the concurrency driver's target (same page).
const CONCURRENCY_RANGE: (f64, f64) = (0.1, 0.95);

/// What the drivers of a revision aim at: `template.scaling`. Absent means the default, 0 switches the driver off.
pub(super) fn targets(template: &Message) -> Result<Targets, Status> {
    const PATH: &str = "template.scaling";
    let Some(scaling) = object(template, "template", "scaling")? else { return Ok(Targets::default()) };
    let cpu = target(scaling, PATH, "cpuUtilization", CPU_RANGE)?;
    let concurrency = target(scaling, PATH, "concurrencyUtilization", CONCURRENCY_RANGE)?;
    if (cpu, concurrency) == (Target::Off, Target::Off) {
        let why = "0 switches the driver off, and cpuUtilization is off already: one of them must be left to scale by";
        return Err(Status::field(&join(PATH, "concurrencyUtilization"), why));
    }
    Ok(Targets { cpu, concurrency })
}

fn target(scaling: &Message, path: &str, name: &str, (least, most): (f64, f64)) -> Result<Target, Status> {
    let Some(value) = scaling.get(name).filter(|value| !value.is_null()) else { return Ok(Target::Default) };
    let share = value.as_f64().ok_or_else(|| wrong(path, name, "a number", value))?;
    if share == 0.0 {
        return Ok(Target::Off);
    }
    // Clients may hold it in 32 bits: 0.9 is then 0.89999998 or 0.90000004.
    let share = (share * 1e6).round() / 1e6;
    if !(least..=most).contains(&share) {
        let why = format!("{value} is not within {least} to {most}, and not 0, which switches the driver off");
        return Err(Status::field(&join(path, name), why));
    }
    Ok(Target::Share(share))
}

/// The instance counts of a service as a whole: `scaling`.
pub(super) fn of_service(service: &Message) -> Result<ServiceScaling, Status> {
    const PATH: &str = "scaling";
    let Some(scaling) = object(service, "", PATH)? else { return Ok(ServiceScaling::default()) };
    let (min, max) = (count(scaling, PATH, "minInstanceCount")?, count(scaling, PATH, "maxInstanceCount")?);
    if max > 0 && min > max {
        let why = format!("{min} is more than maxInstanceCount, {max}");
        return Err(Status::field("scaling.minInstanceCount", why));
    }
    let counted = scaling.get("manualInstanceCount").is_some_and(|value| !value.is_null());
    let manual = count(scaling, PATH, "manualInstanceCount")?;
    let manual_instances = match scaling.get("scalingMode").and_then(Value::as_str) {
        Some("MANUAL") if counted => Some(manual),
        Some("MANUAL") => {
            let why = "scalingMode MANUAL needs the number of instances, such as 3; 0 switches the service off";
            return Err(Status::field("scaling.manualInstanceCount", why));
        }
        _ if manual > 0 => {
            let why = format!("{manual} instances are kept only with scalingMode MANUAL: set that, or leave this out");
            return Err(Status::field("scaling.manualInstanceCount", why));
        }
        _ => None,
    };
    Ok(ServiceScaling { min_instances: min, max_instances: Some(max).filter(|max| *max > 0), manual_instances })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(value: Value) -> Message {
        let Value::Object(message) = value else { panic!("an object") };
        message
    }

    fn targets_of(scaling: &Value) -> Result<Targets, String> {
        targets(&message(json!({"scaling": scaling}))).map_err(|status| status.message)
    }

    fn service(scaling: &Value) -> Result<ServiceScaling, String> {
        of_service(&message(json!({"scaling": scaling}))).map_err(|status| status.message)
    }

    #[test]
    fn targets_are_read_as_documented() {
        let both = |cpu, concurrency| Ok(Targets { cpu, concurrency });
        let cases = [
            (json!({}), both(Target::Default, Target::Default)),
            (json!({"cpuUtilization": null}), both(Target::Default, Target::Default)),
            (json!({"cpuUtilization": 0.6}), both(Target::Share(0.6), Target::Default)),
            (
                json!({"cpuUtilization": 0.9, "concurrencyUtilization": 0.95}),
                both(Target::Share(0.9), Target::Share(0.95)),
            ),
            (
                json!({"cpuUtilization": 0.1, "concurrencyUtilization": 0.1}),
                both(Target::Share(0.1), Target::Share(0.1)),
            ),
            (json!({"cpuUtilization": f64::from(0.9_f32)}), both(Target::Share(0.9), Target::Default)),
            (json!({"cpuUtilization": 0}), both(Target::Off, Target::Default)),
            (json!({"concurrencyUtilization": 0.0}), both(Target::Default, Target::Off)),
        ];
        for (scaling, expected) in cases {
            assert_eq!(targets_of(&scaling), expected, "{scaling}");
        }
        for (scaling, expected) in [
            (json!({"cpuUtilization": 0.91}), "template.scaling.cpuUtilization: 0.91 is not within 0.1 to 0.9"),
            (json!({"cpuUtilization": 0.05}), "not within"),
            (json!({"cpuUtilization": -0.6}), "not within"),
            (json!({"concurrencyUtilization": 0.96}), "0.96 is not within 0.1 to 0.95"),
            (json!({"concurrencyUtilization": 60}), "not within"),
            (json!({"concurrencyUtilization": "0.6"}), "concurrencyUtilization: a number is expected"),
            (json!({"cpuUtilization": 0, "concurrencyUtilization": 0}), "one of them must be left"),
        ] {
            let refused = targets_of(&scaling).unwrap_err();
            assert!(refused.contains(expected), "{scaling}: {refused}");
        }
    }

    #[test]
    fn a_services_counts_are_read_and_a_count_without_its_mode_is_refused() {
        let cases = [
            (json!({}), (0, None, None)),
            (json!({"minInstanceCount": 2, "maxInstanceCount": 7}), (2, Some(7), None)),
            (json!({"scalingMode": "AUTOMATIC", "manualInstanceCount": 0}), (0, None, None)),
            (json!({"scalingMode": "MANUAL", "manualInstanceCount": 3}), (0, None, Some(3))),
            (json!({"scalingMode": "MANUAL", "manualInstanceCount": 0}), (0, None, Some(0))),
        ];
        for (scaling, (min_instances, max_instances, manual_instances)) in cases {
            let expected = ServiceScaling { min_instances, max_instances, manual_instances };
            assert_eq!(service(&scaling), Ok(expected), "{scaling}");
        }
        for (scaling, expected) in [
            (json!({"scalingMode": "MANUAL"}), "scaling.manualInstanceCount: scalingMode MANUAL needs"),
            (json!({"manualInstanceCount": 3}), "only with scalingMode MANUAL"),
            (json!({"scalingMode": "MANUAL", "manualInstanceCount": -1}), "out of range"),
            (json!({"minInstanceCount": 3, "maxInstanceCount": 2}), "3 is more than maxInstanceCount, 2"),
        ] {
            let refused = service(&scaling).unwrap_err();
            assert!(refused.contains(expected), "{scaling}: {refused}");
        }
    }
}
