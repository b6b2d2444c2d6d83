//! Update masks: which fields of a service a patch replaces.

use super::field::Message;
use crate::platform::request::camel_case;
use crate::platform::status::Status;
use serde_json::Value;

/// Fields that the user sets.
pub(super) const SERVICE: [&str; 16] = [
    "description",
    "labels",
    "annotations",
    "client",
    "clientVersion",
    "ingress",
    "launchStage",
    "binaryAuthorization",
    "template",
    "traffic",
    "scaling",
    "invokerIamDisabled",
    "defaultUriDisabled",
    "iapEnabled",
    "customAudiences",
    "buildConfig",
];

/// Fields that only the platform sets. Read-modify-write sends them back; they are ignored.
pub(super) const OUTPUT_ONLY: [&str; 22] = [
    "name",
    "uid",
    "generation",
    "createTime",
    "updateTime",
    "deleteTime",
    "expireTime",
    "creator",
    "lastModifier",
    "urls",
    "multiRegionSettings",
    "observedGeneration",
    "terminalCondition",
    "conditions",
    "latestReadyRevision",
    "latestCreatedRevision",
    "trafficStatuses",
    "uri",
    "satisfiesPzs",
    "threatDetectionEnabled",
    "reconciling",
    "etag",
];

pub(super) const TEMPLATE: [&str; 21] = [
    "revision",
    "labels",
    "annotations",
    "scaling",
    "vpcAccess",
    "timeout",
    "serviceAccount",
    "containers",
    "volumes",
    "executionEnvironment",
    "encryptionKey",
    "encryptionKeyRevocationAction",
    "encryptionKeyShutdownDuration",
    "maxInstanceRequestConcurrency",
    "serviceMesh",
    "sessionAffinity",
    "healthCheckDisabled",
    "nodeSelector",
    "gpuZonalRedundancyDisabled",
    "client",
    "clientVersion",
];

pub(super) const TEMPLATE_SCALING: [&str; 4] =
    ["minInstanceCount", "maxInstanceCount", "cpuUtilization", "concurrencyUtilization"];

pub(super) const SCALING: [&str; 4] = ["minInstanceCount", "maxInstanceCount", "scalingMode", "manualInstanceCount"];

/// A field's path, one name after the other.
type Path = Vec<String>;

/// Which fields a patch replaces.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mask {
    /// The whole service.
    Everything,
    /// Only these; output-only ones are left out.
    Only(Vec<Path>),
}

impl Mask {
    /// Reads `template.revision,traffic`. Names may be written as JSON or as protocol buffers write them.
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        if text.trim().is_empty() || text.trim() == "*" {
            return Ok(Self::Everything);
        }
        let mut paths = Vec::new();
        for path in text.split(',') {
            let names: Path = path.trim().split('.').map(camel_case).collect();
            check(&names).map_err(|why| Status::field("updateMask", format!("{:?}: {why}", path.trim())))?;
            if !OUTPUT_ONLY.contains(&names[0].as_str()) {
                paths.push(names);
            }
        }
        Ok(Self::Only(paths))
    }

    /// `stored` with the masked fields of `sent`; a masked field that `sent` lacks is cleared.
    pub(super) fn apply(&self, stored: &Message, sent: Message) -> Message {
        match self {
            Self::Everything => sent,
            Self::Only(paths) => {
                let mut merged = stored.clone();
                for path in paths {
                    let value = path.iter().try_fold(None, |at: Option<&Value>, name| match at {
                        None => sent.get(name).map(Some),
                        Some(value) => value.get(name).map(Some),
                    });
                    set(&mut merged, path, value.flatten().filter(|value| !value.is_null()).cloned());
                }
                merged
            }
        }
    }
}

fn set(message: &mut Message, path: &[String], value: Option<Value>) {
    match (path, value) {
        ([], _) => {}
        ([last], Some(value)) => {
            message.insert(last.clone(), value);
        }
        ([last], None) => {
            message.shift_remove(last);
        }
        ([first, rest @ ..], value) => {
            let nested = message.entry(first.clone()).or_insert_with(|| Value::Object(Message::new()));
            if !nested.is_object() {
                *nested = Value::Object(Message::new());
            }
            if let Value::Object(nested) = nested {
                set(nested, rest, value);
            }
        }
    }
}

fn check(path: &[String]) -> Result<(), String> {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let known = |names: &[&str], name: &str, of: &str| {
        if names.contains(&name) { Ok(()) } else { Err(format!("{of} has no field {name:?}")) }
    };
    match names.as_slice() {
        [name, ..] if OUTPUT_ONLY.contains(name) => Ok(()),
        [name] => known(&SERVICE, name, "a service"),
        ["template", name] => known(&TEMPLATE, name, "a template"),
        ["template", "scaling", name] => known(&TEMPLATE_SCALING, name, "template.scaling"),
        ["scaling", name] => known(&SCALING, name, "scaling"),
        ["traffic" | "customAudiences", ..] | ["template", "containers" | "volumes", ..] => {
            Err("a list is replaced as a whole".to_owned())
        }
        ["labels" | "annotations", key] | ["template", "labels" | "annotations" | "nodeSelector", key]
            if !key.is_empty() =>
        {
            Ok(())
        }
        ["template", "vpcAccess" | "serviceMesh" | "nodeSelector", key]
        | ["binaryAuthorization" | "buildConfig", key]
            if !key.is_empty() =>
        {
            Ok(())
        }
        [] => Err("empty path".to_owned()),
        [name, ..] => match known(&SERVICE, name, "a service") {
            Ok(()) => Err("no such field".to_owned()),
            refused => refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn message(value: Value) -> Message {
        let Value::Object(message) = value else { panic!("an object") };
        message
    }

    #[test]
    fn only_the_masked_fields_change_and_a_masked_field_that_is_absent_is_cleared() {
        let mask = Mask::parse("template.max_instance_request_concurrency,template.revision,uri").unwrap();
        let stored = message(json!({"template": {"revision": "shop-1", "timeout": "9s"}, "traffic": [1]}));
        let sent = message(json!({"template": {"maxInstanceRequestConcurrency": 33, "timeout": "1s"}}));
        let merged = mask.apply(&stored, sent);
        let expected = json!({"template": {"timeout": "9s", "maxInstanceRequestConcurrency": 33}, "traffic": [1]});
        assert_eq!(Value::Object(merged), expected);
    }

    #[test]
    fn an_unknown_path_is_refused_with_its_name() {
        for wrong in ["template.concurency", "trafic", "template.containers.image", "a,,b", "template..x", "traffic.0"]
        {
            let refused = Mask::parse(wrong).unwrap_err().to_string();
            assert!(refused.starts_with("updateMask: "), "{wrong}: {refused}");
        }
        assert_eq!(Mask::parse("").unwrap(), Mask::Everything);
        assert_eq!(Mask::parse("*").unwrap(), Mask::Everything);
    }

    proptest! {
        #[test]
        fn no_mask_panics(text in "\\PC{0,60}", tail in "(template|traffic|labels|scaling|[.,*_a-z])*") {
            for text in [text, tail] {
                if let Ok(mask) = Mask::parse(&text) {
                    let stored = message(json!({"template": 1, "labels": {"a": "b"}}));
                    mask.apply(&stored, message(json!({"template": {"scaling": 3}})));
                }
            }
        }
    }
}
