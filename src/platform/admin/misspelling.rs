//! Fields that a service does not have, and whose names are nearly those of fields that it has. Google refuses every unknown
//! field; here a client that is newer than the platform may send some, but nobody means what is misspelt.

use super::field::{Message, join};
use super::mask;
use crate::platform::status::Status;
use serde_json::Value;

/// So many letters may be wrong …
const SLIPS_MOST: usize = 2;
/// … in a name of so many at least: short ones are near to many.
const LETTERS_LEAST: usize = 5;

const CONTAINER: [&str; 16] = [
    "name",
    "image",
    "sourceCode",
    "command",
    "args",
    "env",
    "resources",
    "ports",
    "volumeMounts",
    "workingDir",
    "livenessProbe",
    "startupProbe",
    "readinessProbe",
    "dependsOn",
    "baseImageUri",
    "buildInfo",
];
const RESOURCES: [&str; 3] = ["limits", "cpuIdle", "startupCpuBoost"];

/// Refuses a service that has such a field.
pub(super) fn check(service: &Message) -> Result<(), Status> {
    check_one(service, "", &[&mask::SERVICE[..], &mask::OUTPUT_ONLY].concat())?;
    check_object(service.get("scaling"), "scaling", &mask::SCALING)?;
    let Some(Value::Object(template)) = service.get("template") else { return Ok(()) };
    check_one(template, "template", &mask::TEMPLATE)?;
    check_object(template.get("scaling"), "template.scaling", &mask::TEMPLATE_SCALING)?;
    let containers = template.get("containers").and_then(Value::as_array).into_iter().flatten();
    for (place, container) in containers.enumerate() {
        let path = format!("template.containers[{place}]");
        check_object(Some(container), &path, &CONTAINER)?;
        check_object(container.get("resources"), &join(&path, "resources"), &RESOURCES)?;
    }
    Ok(())
}

fn check_object(value: Option<&Value>, path: &str, known: &[&str]) -> Result<(), Status> {
    value.and_then(Value::as_object).map_or(Ok(()), |message| check_one(message, path, known))
}

fn check_one(message: &Message, path: &str, known: &[&str]) -> Result<(), Status> {
    let strangers = message.keys().filter(|name| name.len() >= LETTERS_LEAST && !known.contains(&name.as_str()));
    for name in strangers {
        let near = known.iter().map(|known| (strsim::osa_distance(name, known), *known)).min();
        if let Some((slips, meant)) = near
            && slips <= SLIPS_MOST
        {
            return Err(Status::field(&join(path, name), format!("there is no such field, did you mean {meant}?")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_nearly_a_field_is_refused_and_what_is_far_from_all_is_not() {
        let refusal = |service: Value| check(service.as_object().unwrap()).err().map(|status| status.message);
        for (service, told) in [
            (json!({"tmplate": {}}), "tmplate: there is no such field, did you mean template?"),
            (json!({"scaling": {"minInstanceCout": 1}}), "scaling.minInstanceCout: "),
            (json!({"template": {"maxInstanceRequestConcurency": 3}}), "did you mean maxInstanceRequestConcurrency?"),
            (json!({"template": {"scaling": {"maxInstancesCount": 3}}}), "template.scaling.maxInstancesCount: "),
            (json!({"template": {"containers": [{"comand": []}]}}), "template.containers[0].comand: "),
            (json!({"template": {"containers": [{"resources": {"limit": {}}}]}}), "did you mean limits?"),
        ] {
            let refusal = refusal(service).unwrap();
            assert!(refusal.contains(told), "{refusal}");
        }
        assert_eq!(refusal(json!({"template": {"futureField": 1, "containers": [{"image": "x", "gpus": 1}]}})), None);
    }
}
