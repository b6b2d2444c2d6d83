//! The JSON Schema of scenario files, generated from the types that read them; `scenarios/schema.json` holds it for
//! editors.

use super::file::ScenarioFile;
use schemars::JsonSchema;
use serde_json::Value;

/// The JSON Schema (2020-12) of a scenario file.
#[must_use]
pub fn schema() -> Value {
    schema_of::<ScenarioFile>()
}

/// The JSON Schema (2020-12) of what a file holds. What the file is comes first, for those who read it.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let mut generated = schemars::schema_for!(T).to_value();
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
    use std::collections::BTreeSet;

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

    /// Every key that can be written, wherever it belongs.
    fn keys(schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(members) => {
                if let Some(Value::Object(properties)) = members.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                members.values().for_each(|member| keys(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }

    #[test]
    fn the_readme_tells_of_every_key() {
        let readme = include_str!("../../scenarios/README.md");
        let mut found = BTreeSet::new();
        keys(&schema(), &mut found);
        assert!(found.len() > 50, "{found:?}");
        let is_told = |key: &String| {
            readme.contains(&format!("{key}:"))
                || readme.contains(&format!("`{key}`"))
                || readme.contains(&format!("{key},"))
        };
        let untold: Vec<String> = found.into_iter().filter(|key| !is_told(key)).collect();
        assert_eq!(untold, Vec::<String>::new());
    }
}
