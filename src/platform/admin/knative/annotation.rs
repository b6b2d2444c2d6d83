//! Settings that v1 keeps in annotations and v2 in fields.

use super::super::field::{Message, join};
use crate::platform::status::Status;
use serde_json::Value;

/// How an annotation's text stands for a field's value.
#[derive(Clone, Copy)]
enum Form {
    Text,
    /// `true` or `false`, and what an absent annotation means.
    Flag(bool),
    Count,
    /// A share, or `disabled` for zero, or `default` for none.
    Share,
    /// Texts of v1 with names of v2.
    Names(&'static [(&'static str, &'static str)]),
}

/// An annotation and the field that stands for it in v2.
pub(super) struct Setting {
    annotation: &'static str,
    /// The field's path.
    path: &'static [&'static str],
    form: Form,
}

const fn setting(annotation: &'static str, path: &'static [&'static str], form: Form) -> Setting {
    Setting { annotation, path, form }
}

const INGRESS: Form = Form::Names(&[
    ("all", "INGRESS_TRAFFIC_ALL"),
    ("internal", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
    ("internal-and-cloud-load-balancing", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"),
    ("none", "INGRESS_TRAFFIC_NONE"),
]);
const SCALING_MODE: Form = Form::Names(&[("automatic", "AUTOMATIC"), ("manual", "MANUAL")]);
const ENVIRONMENT: Form =
    Form::Names(&[("gen1", "EXECUTION_ENVIRONMENT_GEN1"), ("gen2", "EXECUTION_ENVIRONMENT_GEN2")]);

/// Of a service.
pub(super) const SERVICE: [Setting; 12] = [
    setting("run.googleapis.com/ingress", &["ingress"], INGRESS),
    setting("run.googleapis.com/launch-stage", &["launchStage"], Form::Text),
    setting("run.googleapis.com/description", &["description"], Form::Text),
    setting("run.googleapis.com/client-name", &["client"], Form::Text),
    setting("run.googleapis.com/client-version", &["clientVersion"], Form::Text),
    setting("run.googleapis.com/minScale", &["scaling", "minInstanceCount"], Form::Count),
    setting("run.googleapis.com/maxScale", &["scaling", "maxInstanceCount"], Form::Count),
    setting("run.googleapis.com/scalingMode", &["scaling", "scalingMode"], SCALING_MODE),
    setting("run.googleapis.com/manualInstanceCount", &["scaling", "manualInstanceCount"], Form::Count),
    setting("run.googleapis.com/default-url-disabled", &["defaultUriDisabled"], Form::Flag(false)),
    setting("run.googleapis.com/invoker-iam-disabled", &["invokerIamDisabled"], Form::Flag(false)),
    setting("run.googleapis.com/iap-enabled", &["iapEnabled"], Form::Flag(false)),
];

/// Of a template.
pub(super) const TEMPLATE: [Setting; 8] = [
    setting("autoscaling.knative.dev/minScale", &["scaling", "minInstanceCount"], Form::Count),
    setting("autoscaling.knative.dev/maxScale", &["scaling", "maxInstanceCount"], Form::Count),
    setting("run.googleapis.com/scaling-cpu-target", &["scaling", "cpuUtilization"], Form::Share),
    setting("run.googleapis.com/scaling-concurrency-target", &["scaling", "concurrencyUtilization"], Form::Share),
    setting("run.googleapis.com/sessionAffinity", &["sessionAffinity"], Form::Flag(false)),
    setting("run.googleapis.com/execution-environment", &["executionEnvironment"], ENVIRONMENT),
    setting("run.googleapis.com/client-name", &["client"], Form::Text),
    setting("run.googleapis.com/client-version", &["clientVersion"], Form::Text),
];

/// Of the resources of a template's containers.
pub(super) const RESOURCES: [Setting; 2] = [
    setting("run.googleapis.com/cpu-throttling", &["cpuIdle"], Form::Flag(true)),
    setting("run.googleapis.com/startup-cpu-boost", &["startupCpuBoost"], Form::Flag(false)),
];

/// What the platform writes and nobody sets.
const OUTPUT_ONLY: [&str; 5] = [
    "run.googleapis.com/ingress-status",
    "run.googleapis.com/operation-id",
    "run.googleapis.com/urls",
    "serving.knative.dev/creator",
    "serving.knative.dev/lastModifier",
];

/// Moves the settings among these annotations into a message of v2, and drops what is output only.
pub(super) fn take(annotations: &mut Message, settings: &[Setting], into: &mut Message) -> Result<(), Status> {
    for setting in settings {
        let text = annotations.shift_remove(setting.annotation);
        let text = text.as_ref().map(|text| text.as_str().ok_or_else(|| setting.refuse(text))).transpose()?;
        if let Some(value) = setting.value(text)? {
            put(into, setting.path, value);
        }
    }
    annotations.retain(|name, _| !OUTPUT_ONLY.contains(&name.as_str()));
    Ok(())
}

/// Writes the settings of a message of v2 as annotations.
pub(super) fn give(from: &Value, settings: &[Setting], annotations: &mut Message) {
    for setting in settings {
        let value = setting.path.iter().try_fold(from, |value, name| value.get(name)).unwrap_or(&Value::Null);
        if let Some(text) = setting.text(value) {
            annotations.insert(setting.annotation.to_owned(), text.into());
        }
    }
}

impl Setting {
    fn value(&self, text: Option<&str>) -> Result<Option<Value>, Status> {
        let Some(text) = text else {
            return Ok(matches!(self.form, Form::Flag(true)).then(|| true.into()));
        };
        let refuse = || self.refuse(&text.into());
        match self.form {
            Form::Text => Ok(Some(text.into())),
            Form::Flag(_) => {
                text.to_ascii_lowercase().parse::<bool>().map(|flag| Some(flag.into())).map_err(|_| refuse())
            }
            Form::Count => text.parse::<u32>().map(|count| Some(count.into())).map_err(|_| refuse()),
            Form::Share => match text {
                "default" => Ok(None),
                "disabled" => Ok(Some(0.0.into())),
                number => number.parse::<f64>().map(|share| Some(share.into())).map_err(|_| refuse()),
            },
            Form::Names(names) => {
                let known = names.iter().find(|(name, _)| *name == text);
                known.map(|(_, name)| Some((*name).into())).ok_or_else(refuse)
            }
        }
    }

    fn text(&self, value: &Value) -> Option<String> {
        match self.form {
            Form::Text => value.as_str().filter(|text| !text.is_empty()).map(str::to_owned),
            // The default is not said; a field that v2 leaves out is false.
            Form::Flag(default) => {
                let flag = value.as_bool().unwrap_or(false);
                (flag != default).then(|| flag.to_string())
            }
            Form::Count => value.as_u64().filter(|count| *count > 0).map(|count| count.to_string()),
            Form::Share => value.as_f64().map(|share| if share == 0.0 { "disabled".into() } else { share.to_string() }),
            Form::Names(names) => {
                let known = names.iter().find(|(_, name)| value.as_str() == Some(name));
                known.map(|(name, _)| (*name).to_owned())
            }
        }
    }

    fn refuse(&self, found: &Value) -> Status {
        let expected = match self.form {
            Form::Text => "a text".to_owned(),
            Form::Flag(_) => "\"true\" or \"false\"".to_owned(),
            Form::Count => "a count such as \"3\"".to_owned(),
            Form::Share => "a share such as \"0.6\", \"disabled\" or \"default\"".to_owned(),
            Form::Names(names) => {
                let names: Vec<_> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
                format!("one of {}", names.join(", "))
            }
        };
        Status::field(&join("metadata.annotations", self.annotation), format!("{expected} is expected, not {found}"))
    }
}

fn put(message: &mut Message, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => {
            message.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let nested = message.entry((*first).to_owned()).or_insert_with(|| Value::Object(Message::new()));
            if let Value::Object(nested) = nested {
                put(nested, rest, value);
            }
        }
    }
}
