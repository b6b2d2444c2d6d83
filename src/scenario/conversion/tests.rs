//! What a wrong file is told, message by message, and that the committed scenarios are right.

use super::super::{Scenario, StageKind};
use std::path::Path;

const SHOPPING: &str = include_str!("../../../scenarios/shopping.yaml");
const MINIMAL: &str = include_str!("../../../scenarios/minimal.yaml");

fn parse(text: &str) -> Scenario {
    match Scenario::from_yaml(Path::new("s.yaml"), text) {
        Ok(scenario) => scenario,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_committed_scenarios_are_valid() {
    let shopping = parse(SHOPPING);
    assert_eq!(shopping.journeys.len(), 4);
    let minimal = parse(MINIMAL);
    assert_eq!(minimal.steps_per_arrival(), 1.0);
}

#[test]
fn probe() {
    for (from, to) in [
        ("hold: 30", "hold: lots"),
        ("hold: 30", "holds: 30"),
        ("arrivals: constant", "arrivals: konstant"),
        ("name: minimal\n", ""),
        ("blocks: 1", "blocks: -1"),
        ("blocks: 1", "blocks: [1]"),
        ("  - {name: steady", "  - {name: steady]"),
        ("description:", "name: x\ndescription:"),
        ("load:\n", "load: closed\nlad:\n"),
        ("expect: {status: [200]}", "expect: 200"),
        ("expect: {status: [200]}", "extract: {a: {jsn: $.x}}"),
        ("expect: {status: [200]}", "json: [a, \"${b}\"]"),
    ] {
        let error = Scenario::from_yaml(Path::new("s.yaml"), &MINIMAL.replace(from, to)).unwrap_err();
        println!("--- {to}\n{error}");
    }
    println!("{}", Scenario::from_yaml(Path::new("s.yaml"), "").unwrap_err());
    println!("{}", Scenario::from_yaml(Path::new("s.yaml"), "- a").unwrap_err());
    println!("{}", Scenario::from_yaml(Path::new("s.yaml"), "a: *x").unwrap_err());
    let _ = StageKind::Hold;
    std::fs::write("/tmp/schema.json", format!("{:#}\n", super::super::schema())).unwrap();
}
