//! The files for deploying: they parse, agree with each other, and set only what the services know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/lab").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap()
}

/// What a service says it knows.
fn known(service: &str) -> BTreeSet<String> {
    let output = crate::service::command(service, &[]).arg("--help").output().unwrap();
    assert!(output.status.success(), "{service} is a service");
    let help = String::from_utf8(output.stdout).unwrap();
    help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_service_files_name_services_and_what_they_know() {
    let text = read("services.yaml");
    let services: Vec<Value> = text.split("\n---\n").map(|part| serde_saphyr::from_str(part).unwrap()).collect();
    let mut names = Vec::new();
    for service in &services {
        assert_eq!((&service["apiVersion"], &service["kind"]), (&"serving.knative.dev/v1".into(), &"Service".into()));
        let template = &service["spec"]["template"];
        assert_eq!(template["metadata"]["annotations"]["autoscaling.knative.dev/maxScale"], "1");
        let container = &template["spec"]["containers"][0];
        let program = container["args"][0].as_str().unwrap();
        let known = known(program);
        for variable in container["env"].as_array().unwrap() {
            assert!(known.contains(variable["name"].as_str().unwrap()), "{variable}");
        }
        let name = service["metadata"]["name"].as_str().unwrap();
        assert_eq!(name, format!("{program}-service"));
        names.push(name);
    }
    assert_eq!(names, ["lab-report-service", "email-service", "sms-service"]);
}

#[test]
fn the_script_parses_and_asks_first() {
    assert!(Command::new("bash").arg("-n").arg(path("deploy.sh")).status().unwrap().success());
    let output = Command::new("bash").arg(path("deploy.sh")).env_clear().stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("set PROJECT"));
    let script = read("deploy.sh");
    let known = known("lab-report");
    let lists = script.lines().filter_map(|line| line.trim().strip_prefix("--set-env-vars=\""));
    let variables: Vec<&str> = lists.flat_map(|list| list.split('"').next().unwrap().split(',')).collect();
    assert_eq!(variables.len(), 2, "{variables:?}");
    for variable in variables {
        assert!(known.contains(variable.split('=').next().unwrap()), "{variable}");
    }
}

#[test]
fn terraform_and_script_make_the_same_things() {
    let (terraform, script) = (read("main.tf"), read("deploy.sh"));
    for brackets in [('{', '}'), ('[', ']'), ('(', ')')] {
        assert_eq!(terraform.matches(brackets.0).count(), terraform.matches(brackets.1).count(), "{brackets:?}");
    }
    for role in ["roles/pubsub.publisher", "roles/run.invoker", "roles/iam.serviceAccountTokenCreator"] {
        assert!(terraform.contains(role) && script.contains(role), "{role}");
    }
    for name in ["new-lab-report", "lab-report-service", "pubsub-cloud-run-invoker", "lab-run", "-service"] {
        assert!(terraform.contains(name) && script.contains(name), "{name}");
    }
    let known = known("lab-report");
    let lines: Vec<&str> = terraform.lines().map(str::trim).collect();
    let variables = lines.windows(2).filter(|pair| pair[0] == "env {").map(|pair| pair[1].split('"').nth(1).unwrap());
    let variables: Vec<&str> = variables.collect();
    assert_eq!(variables, ["GOOGLE_CLOUD_PROJECT", "PUBSUB_TOPIC"]);
    assert!(variables.iter().all(|variable| known.contains(*variable)));
    // What is referred to is there.
    for reference in terraform.split(|letter: char| !(letter.is_ascii_alphanumeric() || "._".contains(letter))) {
        let mut parts = reference.split('.');
        let (Some(kind), Some(name)) = (parts.next(), parts.next()) else { continue };
        let declaration = match kind {
            "var" => format!("variable \"{name}\" {{"),
            kind if kind.starts_with("google_") => format!("resource \"{kind}\" \"{name}\" {{"),
            _ => continue,
        };
        assert!(terraform.contains(&declaration), "{reference}");
    }
}
