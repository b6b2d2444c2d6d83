//! What may be depended on, read from `.deny.toml` and held on every run of the tests: licences, sources and banned
//! crates. `cargo deny check` reads the same file and adds advisories where its database can be fetched.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use serde_json::Value;
use std::path::Path;
use std::process::Command;

struct Rules {
    licences: Vec<spdx::LicenseReq>,
    banned: Vec<String>,
}

fn rules() -> Rules {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".deny.toml")).unwrap();
    let deny: toml::Table = text.parse().unwrap();
    let texts = |section: &str, list: &str, key: Option<&str>| -> Vec<String> {
        let entries = deny[section][list].as_array().unwrap();
        let text_of = |entry: &toml::Value| key.map_or(entry.clone(), |key| entry[key].clone());
        entries.iter().map(|entry| text_of(entry).as_str().unwrap().to_owned()).collect()
    };
    let licences = texts("licenses", "allow", None);
    let requirement = |name: &String| {
        let expression = spdx::Expression::parse(name).unwrap_or_else(|error| panic!(".deny.toml: {name}: {error}"));
        expression.requirements().next().unwrap().req.clone()
    };
    Rules { licences: licences.iter().map(requirement).collect(), banned: texts("bans", "deny", Some("crate")) }
}

/// Every package that is built for this platform, workspace members included.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    let resolved = |package: &Value| {
        metadata["resolve"]["nodes"].as_array().unwrap().iter().any(|node| node["id"] == package["id"])
    };
    packages.into_iter().filter(resolved).collect()
}

/// What is wrong with one package, if anything.
fn fault(package: &Value, rules: &Rules) -> Option<String> {
    let name = package["name"].as_str().unwrap();
    if rules.banned.iter().any(|banned| banned == name) {
        return Some(format!("{name} is banned by .deny.toml"));
    }
    match package["source"].as_str() {
        None | Some("registry+https://github.com/rust-lang/crates.io-index") => {}
        Some(other) => return Some(format!("{name} comes from {other}")),
    }
    let Some(licence) = package["license"].as_str() else {
        return Some(format!("{name} states no licence"));
    };
    let parsed = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX);
    let allowed = parsed.is_ok_and(|expression| expression.evaluate(|asked| rules.licences.contains(asked)));
    (!allowed).then(|| format!("{name} is licensed under {licence}, which .deny.toml does not allow"))
}

#[test]
fn every_dependency_is_licensed_sourced_and_allowed() {
    let rules = rules();
    let packages = packages();
    assert!(packages.len() > 100, "only {} packages were seen", packages.len());
    let faults: Vec<String> = packages.iter().filter_map(|package| fault(package, &rules)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_check_refuses_what_it_must() {
    let rules = rules();
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    let package = |name: &str, licence: &str, source: &str| {
        fault(&serde_json::json!({"name": name, "license": licence, "source": source}), &rules)
    };
    assert_eq!(package("a", "MIT OR GPL-3.0-only", registry), None);
    assert!(package("a", "GPL-3.0-only", registry).is_some());
    assert!(package("a", "MIT AND GPL-3.0-only", registry).is_some());
    assert!(package("openssl-sys", "MIT", registry).is_some());
    assert!(package("a", "MIT", "git+https://example.com/a").is_some());
}

#[test]
fn versions_are_never_wildcards() {
    for package in packages().iter().filter(|package| package["source"].is_null()) {
        for dependency in package["dependencies"].as_array().unwrap() {
            let wild = dependency["req"] == "*" && dependency["path"].is_null();
            assert!(!wild, "{} depends on any version of {}", package["name"], dependency["name"]);
        }
    }
}
