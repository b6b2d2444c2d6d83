//! How long the bundled service's requests waited for its database, from the last line that each instance logs.

use std::path::Path;

/// Seconds that the requests of a revision waited for locks, summed over its instances; `None` when none of them said.
pub(super) fn of_revision(logs: &Path, revision: &str) -> Option<f64> {
    let files = std::fs::read_dir(logs).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let own = files.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(revision).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".log"));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let waits: Vec<f64> = own.filter_map(|path| wait_ms(&std::fs::read_to_string(path).ok()?)).collect();
    (!waits.is_empty()).then(|| waits.iter().sum::<f64>() / 1e3)
}

/// What the line says that an instance ends with.
fn wait_ms(log: &str) -> Option<f64> {
    let last = log.lines().rev().find(|line| line.contains("\"lock_wait_ms\"") && line.contains("\"process\""))?;
    serde_json::from_str::<serde_json::Value>(last).ok()?["process"]["lock_wait_ms"].as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_summed_over_the_instances_of_one_revision_only() {
        let dir = tempfile::tempdir().unwrap();
        let line =
            |wait: f64| format!("{{\"message\":\"stopped\",\"process\":{{\"requests\":2,\"lock_wait_ms\":{wait}}}}}\n");
        for (name, wait) in [("shop-t1-c4-1.log", 500.0), ("shop-t1-c4-2.log", 250.0), ("shop-t1-c40-1.log", 9e9)] {
            std::fs::write(dir.path().join(name), format!("{{\"lock_wait_ms\":7}}\n{}", line(wait))).unwrap();
        }
        assert_eq!(of_revision(dir.path(), "shop-t1-c4"), Some(0.75));
        assert_eq!(of_revision(dir.path(), "shop-t1"), None);
    }
}
