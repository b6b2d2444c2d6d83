//! The files for deploying: they parse, agree with each other, and set only what the service knows.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The instructions of a Dockerfile.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let whole = read(dockerfile).replace("\\\n", " ");
    let lines = whole.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = lines.map(|line| line.split_once(' ').unwrap());
    split.map(|(instruction, rest)| (instruction.to_owned(), rest.to_owned())).collect()
}

#[test]
fn the_images_are_pinned_minimal_and_without_rights() {
    let toolchain = read("../rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    assert!(read("../Cargo.toml").contains("\n[profile.dist]\n"));
    let service = ("Dockerfile", "--release", "target/release/target-service");
    for (dockerfile, profile, binary) in [service, ("../Dockerfile", "--profile dist", "target/dist/tidegate")] {
        let instructions = instructions(dockerfile);
        let all = |name: &str| -> Vec<&str> {
            let found = instructions.iter().filter(|(instruction, _)| instruction == name);
            found.map(|(_, rest)| rest.as_str()).collect()
        };
        let [builder] = all("ARG")[..] else { panic!("{dockerfile}: one ARG") };
        let digest = builder.strip_prefix(&format!("BUILDER=rust:{channel}-slim-bookworm@sha256:"));
        let is_digest =
            |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        assert!(digest.is_some_and(is_digest), "{dockerfile}: {builder}");
        assert!(all("ENV").contains(&format!("RUSTUP_TOOLCHAIN={channel}").as_str()), "{dockerfile}");
        assert_eq!(all("FROM"), ["${BUILDER} AS build", "scratch"], "{dockerfile}");
        assert_eq!(all("USER"), ["65532:65532"], "{dockerfile}");
        let builds = |run: &&str| run.contains(&format!("cargo build --locked {profile} ")) && run.contains(binary);
        assert!(all("RUN").iter().any(builds), "{dockerfile}");
        assert!(all("ENTRYPOINT").iter().all(|entry| entry.starts_with("[\"/")), "{dockerfile}: there is no shell");
        let last = instructions.iter().rposition(|(instruction, _)| instruction == "FROM").unwrap();
        let after: Vec<&str> = instructions[last..].iter().map(|(instruction, _)| instruction.as_str()).collect();
        assert!(!after.contains(&"RUN"), "{dockerfile}: nothing can run in an image without a shell");
    }
}

/// What the service says it knows, with the forms of those that can come from files.
fn known() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_target-service")).args(["shop", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let names = help.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let names: Vec<String> = names.map(str::to_owned).collect();
    let files: Vec<String> = names.iter().map(|name| format!("{name}_FILE")).collect();
    [names, files].concat()
}

#[test]
fn the_service_file_sets_what_the_service_knows() {
    let service: Value = serde_saphyr::from_str(&read("deploy/service.yaml")).unwrap();
    assert_eq!((&service["apiVersion"], &service["kind"]), (&"serving.knative.dev/v1".into(), &"Service".into()));
    let pod = &service["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let known = known();
    let variables = container["env"].as_array().unwrap();
    assert!(variables.len() >= 4);
    for variable in variables {
        assert!(known.contains(&variable["name"].as_str().unwrap().to_owned()), "{variable}");
        assert!(!variable["value"].as_str().unwrap().contains(":password"), "{variable}");
    }
    let probes = ["startupProbe", "livenessProbe"].map(|probe| container[probe]["httpGet"]["path"].clone());
    assert_eq!(probes, ["/ready", "/healthy"]);
    // Each mount has its volume, and the password is read where its volume is mounted.
    assert_eq!(container["volumeMounts"][0]["name"], pod["volumes"][0]["name"]);
    let file = variables.iter().find(|variable| variable["name"] == "DATABASE_PASSWORD_FILE").unwrap();
    let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let path = pod["volumes"][0]["secret"]["items"][0]["path"].as_str().unwrap();
    assert_eq!(file["value"], format!("{mount}/{path}"));
}

#[test]
fn the_scripts_parse_and_set_what_the_service_knows() {
    for (shell, script) in [("bash", "deploy/deploy.sh"), ("sh", "deploy/rootfs.sh")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        assert!(Command::new(shell).arg("-n").arg(path).status().unwrap().success(), "{script}");
    }
    // Nothing is changed before the project is known.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/deploy.sh");
    let output = Command::new("bash").arg(path).env_clear().stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("set PROJECT"));
    let known = known();
    let script = read("deploy/deploy.sh");
    let lists = script.lines().filter_map(|line| line.trim().strip_prefix("--set-env-vars=\""));
    let variables: Vec<&str> = lists.flat_map(|list| list.split('"').next().unwrap().split(',')).collect();
    assert!(variables.len() >= 4, "{variables:?}");
    for variable in variables {
        assert!(known.contains(&variable.split('=').next().unwrap().to_owned()), "{variable}");
    }
}

#[test]
fn the_terraform_file_is_balanced_and_sets_what_the_service_knows() {
    let text = read("deploy/main.tf");
    let mut open = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        let line = line.replace("\\\"", "");
        assert_eq!(line.matches('"').count() % 2, 0, "line {}: {line}", number + 1);
        for letter in line.chars() {
            match letter {
                '{' | '[' | '(' => open.push(letter),
                '}' => assert_eq!(open.pop(), Some('{'), "line {}: {line}", number + 1),
                ']' => assert_eq!(open.pop(), Some('['), "line {}: {line}", number + 1),
                ')' => assert_eq!(open.pop(), Some('('), "line {}: {line}", number + 1),
                _ => {}
            }
        }
    }
    assert!(open.is_empty());
    let known = known();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let variables = lines.windows(2).filter(|pair| pair[0] == "env {").map(|pair| pair[1].split('"').nth(1).unwrap());
    let variables: Vec<&str> = variables.collect();
    assert!(variables.len() >= 4, "{variables:?}");
    for variable in variables {
        assert!(known.contains(&variable.to_owned()), "{variable}");
    }
    // What is referred to is there.
    for reference in text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "._".contains(letter))) {
        let mut parts = reference.split('.');
        let (Some(kind), Some(name)) = (parts.next(), parts.next()) else { continue };
        let declaration = match kind {
            "var" => format!("variable \"{name}\" {{"),
            kind if kind.starts_with("google_") || kind.starts_with("random_") => {
                format!("resource \"{kind}\" \"{name}\" {{")
            }
            _ => continue,
        };
        assert!(text.contains(&declaration), "{reference}");
    }
}
