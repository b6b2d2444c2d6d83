//! A revision template → the platform's own `RevisionSpec`, with Google's defaults and limits
//! (docs.cloud.google.com/run, pages about concurrency, CPU, request timeout and max instances, read 2026-11-22).

use super::field::{Message, array, boolean, count, join, object, text, texts, wrong};
use super::{probe, quantity};
use crate::platform::spec::RevisionSpec;
use crate::platform::status::Status;
use crate::scenario::Billing;
use crate::units::{Gib, Vcpu};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The image of every service here: a stand-in, because the local platform runs programs.
const COMMAND_IMAGE: &str = "tidegate/command";

const MAX_CONCURRENCY_MOST: u32 = 1000;
const MAX_CONCURRENCY_DEFAULT: u32 = 80;
const MAX_INSTANCES_DEFAULT: u32 = 100;
const TIMEOUT_DEFAULT: &str = "300s";
const TIMEOUT_MOST: Duration = Duration::from_hours(1);
const CPU_DEFAULT: &str = "1000m";
const MEMORY_DEFAULT: &str = "512Mi";

/// Set by the platform for every instance; Google refuses all but `HOST`.
const RESERVED_ENV: [&str; 5] = ["PORT", "HOST", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"];

/// Writes Google's defaults where the template says nothing, so that reading a service tells what is in force.
pub(super) fn fill_defaults(template: &mut Message) {
    fill(template, "timeout", TIMEOUT_DEFAULT.into());
    if let Some(scaling) = nested(template, "scaling") {
        fill(scaling, "maxInstanceCount", MAX_INSTANCES_DEFAULT.into());
    }
    let mut cpu = CPU_DEFAULT.to_owned();
    if let Some(Value::Array(containers)) = template.get_mut("containers")
        && let Some(Value::Object(container)) = containers.first_mut()
    {
        probe::fill_defaults(container);
        if let Some(resources) = nested(container, "resources")
            && let Some(limits) = nested(resources, "limits")
        {
            fill(limits, "cpu", CPU_DEFAULT.into());
            fill(limits, "memory", MEMORY_DEFAULT.into());
            limits.get("cpu").and_then(Value::as_str).unwrap_or_default().clone_into(&mut cpu);
        }
    }
    let whole_vcpu = quantity::vcpu(&cpu).is_none_or(|vcpu| vcpu.0 >= 1.0);
    let default = if whole_vcpu { MAX_CONCURRENCY_DEFAULT } else { 1 };
    fill(template, "maxInstanceRequestConcurrency", default.into());
}

fn fill(message: &mut Message, name: &str, default: Value) {
    let value = message.entry(name).or_insert(Value::Null);
    if value.is_null() || *value == json!(0) || *value == json!("") {
        *value = default;
    }
}

fn nested<'a>(message: &'a mut Message, name: &str) -> Option<&'a mut Message> {
    let value = message.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Message::new());
    }
    value.as_object_mut()
}

/// What the platform starts for a template whose defaults are filled.
pub(super) fn spec(service: &str, revision: &str, template: &Message) -> Result<RevisionSpec, Status> {
    const PATH: &str = "template";
    let container = only_container(template)?;
    let (vcpu, memory, billing) = resources(container)?;
    let max_concurrency = count(template, PATH, "maxInstanceRequestConcurrency")?;
    if !(1..=MAX_CONCURRENCY_MOST).contains(&max_concurrency) {
        let why = format!("{max_concurrency} is not within 1 to {MAX_CONCURRENCY_MOST}");
        return Err(Status::field("template.maxInstanceRequestConcurrency", why));
    }
    if vcpu.0 < 1.0 && max_concurrency > 1 {
        let why = format!("with less than 1 vCPU it must be 1, not {max_concurrency}: set it to 1 or give 1 vCPU");
        return Err(Status::field("template.maxInstanceRequestConcurrency", why));
    }
    let (min_instances, max_instances) = scaling(template)?;
    let (startup_probe, liveness_probe) = probe::probes(container, CONTAINER)?;
    Ok(RevisionSpec {
        service: service.to_owned(),
        revision: revision.to_owned(),
        max_concurrency,
        vcpu,
        memory,
        min_instances,
        max_instances,
        billing,
        command: command(container)?,
        env: environment(container)?,
        request_timeout: timeout(template)?,
        startup_cpu_boost: startup_cpu_boost(container)?,
        startup_probe,
        liveness_probe,
        scaling_targets: super::scaling::targets(template)?,
        session_affinity: boolean(template, PATH, "sessionAffinity")?,
    })
}

const CONTAINER: &str = "template.containers[0]";

fn only_container(template: &Message) -> Result<&Message, Status> {
    match array(template, "template", "containers")? {
        [Value::Object(container)] => Ok(container),
        [other] => Err(wrong("template", "containers[0]", "an object", other)),
        [] => Err(Status::field("template.containers", "a service needs a container")),
        _ => Err(Status::field("template.containers", "the local platform runs one container, no sidecars")),
    }
}

fn command(container: &Message) -> Result<Vec<String>, Status> {
    let image = text(container, CONTAINER, "image")?;
    if image != COMMAND_IMAGE {
        let why = format!(
            "the local platform runs programs, not images, so it cannot run {image:?}: \
             set image to {COMMAND_IMAGE:?} and name the program in command and args"
        );
        return Err(Status::field("template.containers[0].image", why));
    }
    let mut command = texts(container, CONTAINER, "command")?;
    if command.first().is_none_or(String::is_empty) {
        return Err(Status::field("template.containers[0].command", "the program to run is missing"));
    }
    command.extend(texts(container, CONTAINER, "args")?);
    if command.iter().any(|word| word.contains('\0')) {
        return Err(Status::field("template.containers[0].command", "a program's argument cannot hold a NUL"));
    }
    Ok(command)
}

fn environment(container: &Message) -> Result<BTreeMap<String, String>, Status> {
    let mut environment = BTreeMap::new();
    for (place, variable) in array(container, CONTAINER, "env")?.iter().enumerate() {
        let path = format!("{CONTAINER}.env[{place}]");
        let variable = variable.as_object().ok_or_else(|| Status::field(&path, "an object is expected"))?;
        let name = text(variable, &path, "name")?;
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Status::field(&join(&path, "name"), format!("{name:?} cannot name a variable")));
        }
        if RESERVED_ENV.contains(&name) {
            return Err(Status::field(&join(&path, "name"), format!("{name} is reserved: the platform sets it")));
        }
        if object(variable, &path, "valueSource")?.is_some() {
            return Err(Status::field(&join(&path, "valueSource"), "the local platform has no secrets: give a value"));
        }
        let value = text(variable, &path, "value")?;
        if value.contains('\0') {
            return Err(Status::field(&join(&path, "value"), "a variable cannot hold a NUL"));
        }
        if environment.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Status::field(&join(&path, "name"), format!("{name} is set twice")));
        }
    }
    Ok(environment)
}

fn resources(container: &Message) -> Result<(Vcpu, Gib, Billing), Status> {
    const PATH: &str = "template.containers[0].resources";
    const LIMITS: &str = "template.containers[0].resources.limits";
    let empty = Message::new();
    let resources = object(container, CONTAINER, "resources")?.unwrap_or(&empty);
    let limits = object(resources, PATH, "limits")?.unwrap_or(&empty);
    if let Some(other) = limits.keys().find(|key| !["cpu", "memory"].contains(&key.as_str())) {
        return Err(Status::field(&join(LIMITS, other), "the local platform limits cpu and memory only"));
    }
    let limit = |name| text(limits, LIMITS, name);
    let (cpu, memory) = (limit("cpu")?, limit("memory")?);
    let vcpu = quantity::vcpu(cpu).filter(|vcpu| is_offered(*vcpu)).ok_or_else(|| {
        let why = format!("{cpu:?} is not offered: 0.08 to 1 vCPU, or 2, 4, 6 or 8 (`1`, `500m`)");
        Status::field("template.containers[0].resources.limits.cpu", why)
    })?;
    let (least, most) = memory_range(vcpu);
    let memory =
        quantity::memory(memory).filter(|gib| gib.0 > 0.0 && (least..=most).contains(&gib.0)).ok_or_else(|| {
            let why = format!("{memory:?} does not go with {} vCPU: {least} to {most} GiB (`512Mi`, `2Gi`)", vcpu.0);
            Status::field("template.containers[0].resources.limits.memory", why)
        })?;
    let billing = if boolean(resources, PATH, "cpuIdle")? { Billing::Request } else { Billing::Instance };
    if vcpu.0 < 1.0 && billing == Billing::Instance {
        let why = "less than 1 vCPU is billed by request: set cpuIdle to true or give 1 vCPU";
        return Err(Status::field("template.containers[0].resources.cpuIdle", why));
    }
    Ok((vcpu, memory, billing))
}

fn startup_cpu_boost(container: &Message) -> Result<bool, Status> {
    let resources = object(container, CONTAINER, "resources")?;
    resources.map_or(Ok(false), |resources| boolean(resources, &join(CONTAINER, "resources"), "startupCpuBoost"))
}

fn is_offered(vcpu: Vcpu) -> bool {
    (0.08..=1.0).contains(&vcpu.0) || [2.0, 4.0, 6.0, 8.0].contains(&vcpu.0)
}

/// Memory in GiB that goes with so many vCPUs.
fn memory_range(vcpu: Vcpu) -> (f64, f64) {
    match vcpu.0 {
        cpu if cpu < 0.5 => (0.0, 0.5),
        cpu if cpu < 1.0 => (0.0, 1.0),
        cpu if cpu < 2.0 => (0.0, 4.0),
        cpu if cpu < 4.0 => (0.0, 8.0),
        cpu if cpu < 6.0 => (2.0, 16.0),
        cpu if cpu < 8.0 => (4.0, 24.0),
        _ => (4.0, 32.0),
    }
}

fn scaling(template: &Message) -> Result<(u32, u32), Status> {
    const PATH: &str = "template.scaling";
    let empty = Message::new();
    let scaling = object(template, "template", "scaling")?.unwrap_or(&empty);
    let (min, max) = (count(scaling, PATH, "minInstanceCount")?, count(scaling, PATH, "maxInstanceCount")?);
    if min > max {
        let why = format!("{min} is more than maxInstanceCount, {max}");
        return Err(Status::field("template.scaling.minInstanceCount", why));
    }
    Ok((min, max))
}

fn timeout(template: &Message) -> Result<Duration, Status> {
    let written = text(template, "template", "timeout")?;
    let within = |timeout: &Duration| (Duration::from_secs(1)..=TIMEOUT_MOST).contains(timeout);
    quantity::duration(written)
        .filter(within)
        .ok_or_else(|| Status::field("template.timeout", format!("{written:?} is not within `1s` to `3600s`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: Value) -> Message {
        let Value::Object(mut template) = template else { panic!("an object") };
        fill_defaults(&mut template);
        template
    }

    fn refusal(template: Value) -> String {
        spec("shop", "shop-1", &filled(template)).unwrap_err().message
    }

    fn container(fields: &Value) -> Value {
        let mut container = json!({"image": COMMAND_IMAGE, "command": ["shop"]});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"containers": [container]})
    }

    #[test]
    fn an_empty_template_means_googles_defaults() {
        let spec = spec("shop", "shop-1", &filled(container(&json!({})))).unwrap();
        assert_eq!((spec.max_concurrency, spec.vcpu, spec.memory), (80, Vcpu(1.0), Gib(0.5)));
        assert_eq!((spec.min_instances, spec.max_instances), (0, 100));
        assert_eq!((spec.billing, spec.request_timeout), (Billing::Instance, Duration::from_mins(5)));
        assert!(!spec.startup_cpu_boost && spec.liveness_probe.is_none());
    }

    #[test]
    fn boost_and_probes_reach_the_platform() {
        let fields = json!({"resources": {"startupCpuBoost": true}, "livenessProbe": {"httpGet": {}}});
        let template = filled(container(&fields));
        assert_eq!(template["containers"][0]["livenessProbe"]["failureThreshold"], 3);
        let spec = spec("shop", "shop-1", &template).unwrap();
        assert!(spec.startup_cpu_boost && spec.liveness_probe.is_some());
        assert!(refusal(container(&json!({"startupProbe": {}}))).contains("containers[0].startupProbe"));
    }

    #[test]
    fn less_than_one_vcpu_means_one_request_at_once_and_billing_by_request() {
        let half = |idle| json!({"resources": {"limits": {"cpu": "500m"}, "cpuIdle": idle}});
        let half_spec = spec("shop", "shop-1", &filled(container(&half(true)))).unwrap();
        assert_eq!((half_spec.max_concurrency, half_spec.billing), (1, Billing::Request));
        assert!(refusal(container(&half(false))).contains("cpuIdle"));
        let mut two = container(&half(true));
        two["maxInstanceRequestConcurrency"] = json!(2);
        assert!(refusal(two).contains("must be 1, not 2"));
    }

    #[test]
    fn an_image_is_refused_because_programs_are_run() {
        let refused = refusal(json!({"containers": [{"image": "gcr.io/demo/shop"}]}));
        assert!(refused.contains("runs programs, not images") && refused.contains("tidegate/command"), "{refused}");
    }

    #[test]
    fn each_wrong_field_is_named() {
        let cases = [
            (json!({}), "template.containers"),
            (json!({"containers": [1]}), "template.containers[0]"),
            (container(&json!({"command": []})), "command"),
            (container(&json!({"command": ["a", 1]})), "command: an array of strings is expected, not 1"),
            (container(&json!({"env": [{"name": "PORT"}]})), "env[0].name: PORT is reserved"),
            (container(&json!({"env": [{"name": "A"}, {"name": "A"}]})), "env[1].name: A is set twice"),
            (container(&json!({"resources": {"limits": {"cpu": "3"}}})), "limits.cpu"),
            (container(&json!({"resources": {"limits": {"memory": "5Gi"}}})), "0 to 4 GiB"),
            (container(&json!({"resources": {"limits": {"nvidia.com/gpu": "1"}}})), "nvidia.com/gpu"),
        ];
        for (template, expected) in cases {
            let refused = refusal(template);
            assert!(refused.contains(expected), "{refused}");
        }
        for (field, value) in [
            ("maxInstanceRequestConcurrency", json!(1001)),
            ("maxInstanceRequestConcurrency", json!(-1)),
            ("timeout", json!("2h")),
            ("scaling", json!({"minInstanceCount": 5, "maxInstanceCount": 4})),
            ("sessionAffinity", json!("yes")),
        ] {
            let mut template = container(&json!({}));
            template[field] = value;
            assert!(refusal(template).contains(field));
        }
    }
}
