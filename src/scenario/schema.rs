//! The JSON Schema of scenario files, generated from the types that read them; `scenarios/schema.json` holds it for
//! editors.

use super::file::ScenarioFile;
use serde_json::Value;

/// The JSON Schema (2020-12) of a scenario file.
#[must_use]
pub fn schema() -> Value {
    let mut generated = schemars::schema_for!(ScenarioFile).to_value();
    // What the file is comes first, for those who read it.
    let head = ["$schema", "title", "description"];
    let mut ordered = serde_json::Map::new();
    if let Value::Object(members) = &mut generated {
        ordered.extend(head.into_iter().filter_map(|key| members.shift_remove_entry(key)));
        ordered.append(members);
    }
    Value::Object(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schema_is_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/schema.json");
        let generated = format!("{:#}\n", schema());
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == generated,
            "scenarios/schema.json is out of date: write what `tidegate scenario schema` prints to it"
        );
    }
}
