//! Enumerations by name or by number, as clients may write either; the platform keeps and answers names.

use super::field::{Message, wrong};
use crate::platform::status::Status;
use serde_json::Value;

/// An enumeration's names with their numbers (run.googleapis.com v2, discovery document).
type Names = &'static [(i64, &'static str)];

const ALLOCATION: Names = &[
    (0, "TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED"),
    (1, "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"),
    (2, "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"),
];
const INGRESS: Names = &[
    (0, "INGRESS_TRAFFIC_UNSPECIFIED"),
    (1, "INGRESS_TRAFFIC_ALL"),
    (2, "INGRESS_TRAFFIC_INTERNAL_ONLY"),
    (3, "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"),
    (4, "INGRESS_TRAFFIC_NONE"),
];
const LAUNCH_STAGE: Names = &[
    (0, "LAUNCH_STAGE_UNSPECIFIED"),
    (1, "EARLY_ACCESS"),
    (2, "ALPHA"),
    (3, "BETA"),
    (4, "GA"),
    (5, "DEPRECATED"),
    (6, "UNIMPLEMENTED"),
    (7, "PRELAUNCH"),
];
const EXECUTION_ENVIRONMENT: Names =
    &[(0, "EXECUTION_ENVIRONMENT_UNSPECIFIED"), (1, "EXECUTION_ENVIRONMENT_GEN1"), (2, "EXECUTION_ENVIRONMENT_GEN2")];
const SCALING_MODE: Names = &[(0, "SCALING_MODE_UNSPECIFIED"), (1, "AUTOMATIC"), (2, "MANUAL")];

/// Writes every enumeration of a service by name.
pub(super) fn by_name(service: &mut Message) -> Result<(), Status> {
    name_one(service, "", "ingress", INGRESS)?;
    name_one(service, "", "launchStage", LAUNCH_STAGE)?;
    if let Some(Value::Object(scaling)) = service.get_mut("scaling") {
        name_one(scaling, "scaling", "scalingMode", SCALING_MODE)?;
    }
    if let Some(Value::Object(template)) = service.get_mut("template") {
        name_one(template, "template", "executionEnvironment", EXECUTION_ENVIRONMENT)?;
    }
    if let Some(Value::Array(targets)) = service.get_mut("traffic") {
        for (place, target) in targets.iter_mut().enumerate() {
            if let Value::Object(target) = target {
                name_one(target, &format!("traffic[{place}]"), "type", ALLOCATION)?;
            }
        }
    }
    Ok(())
}

fn name_one(message: &mut Message, path: &str, field: &str, names: Names) -> Result<(), Status> {
    let Some(value) = message.get(field).filter(|value| !value.is_null()) else { return Ok(()) };
    let known = names.iter().find(|(number, name)| value.as_i64() == Some(*number) || value.as_str() == Some(*name));
    let Some((_, name)) = known else {
        let expected: Vec<_> = names.iter().map(|(_, name)| *name).collect();
        return Err(wrong(path, field, &format!("one of {}", expected.join(", ")), value));
    };
    message.insert(field.to_owned(), Value::from(*name));
    Ok(())
}
