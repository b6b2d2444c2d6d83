//! Studies on disk: saved whole or not at all, and loaded again.

use super::{SCHEMA_VERSION, Study};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Name of a study's file in its folder.
pub const STUDY_FILE: &str = "study.json";
/// Written first, then renamed: a reader never sees half a study.
const PARTIAL_FILE: &str = ".study.json.partial";

/// Why a study could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be written; what was saved before is untouched.
    #[error("failed to save {path}: {cause}; {hint}", path = path.display(), hint = save_hint(cause))]
    Save {
        /// The study's file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It could not be read.
    #[error("failed to read {path}: {cause}; give the folder of a study, or its {STUDY_FILE}", path = path.display())]
    Read {
        /// The study's file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It is not a study.
    #[error("{path}:{line}: this is no study: {cause}; restore the file, or run the study again", path = path.display())]
    Form {
        /// The study's file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
    /// It is a study of another version.
    #[error(
        "{path} has schema version {found}, and this tidegate ({own}) reads version {SCHEMA_VERSION}; {way}",
        path = path.display(), own = env!("CARGO_PKG_VERSION"), way = version_hint(*found, made_by)
    )]
    Version {
        /// The study's file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// Version of the tidegate that made it; empty when it does not say.
        made_by: String,
    },
}

fn save_hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space on that disk and go on: what was saved before is untouched"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable, or give another one; what was saved before is untouched"
        }
        _ => "what was saved before is untouched",
    }
}

/// What to do about a study of another version: which tidegate reads it, and that its report needs none.
fn version_hint(found: u64, made_by: &str) -> String {
    let made_by = if made_by.is_empty() {
        "the tidegate that made it".to_owned()
    } else {
        format!("tidegate {made_by}, which made it")
    };
    if found > u64::from(SCHEMA_VERSION) {
        format!("update to {made_by}")
    } else {
        format!(
            "use {made_by}, as it was before this form changed, or run the study again; the report beside it stays as it is"
        )
    }
}

impl Study {
    /// Saves the study as `study.json` in `folder`, which is made if it is not there, and gives back the file's path.
    ///
    /// The file is written beside the old one, synced and renamed over it: after a crash or on a full disk there is
    /// either the old study or the new one, never half of one.
    ///
    /// Values of the service's environment that may be secrets are replaced by `(not saved)`, see
    /// [`redacted_scenario`](super::redacted_scenario): nothing but the service itself needs them, and a study that is
    /// resumed takes them from the scenario's file again.
    pub fn save(&self, folder: &Path) -> Result<PathBuf, StoreError> {
        let path = folder.join(STUDY_FILE);
        let partial = folder.join(PARTIAL_FILE);
        match fs::create_dir_all(folder).and_then(|()| self.write(&partial)).and_then(|()| fs::rename(&partial, &path))
        {
            Ok(()) => {
                // The rename itself must survive a crash too. Where folders cannot be synced the study is still saved.
                if let Ok(folder) = File::open(folder) {
                    let _ = folder.sync_all();
                }
                Ok(path)
            }
            Err(cause) => {
                // Nothing more can be done about a partial file that cannot be removed; the next save overwrites it.
                let _ = fs::remove_file(&partial);
                Err(StoreError::Save { path, cause })
            }
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.flush()?;
        file.get_ref().sync_all()
    }

    /// Loads a study from its folder, or from its file by any name.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let path = if path.is_dir() { path.join(STUDY_FILE) } else { path.to_owned() };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) => return Err(StoreError::Read { path, cause }),
        };
        // The version is read on its own: a study of another version need not have the form of this one.
        match serde_json::from_str(&text) {
            Ok(Versioned { schema_version, .. }) if schema_version == u64::from(SCHEMA_VERSION) => {}
            Ok(Versioned { schema_version: found, tidegate_version: made_by }) => {
                return Err(StoreError::Version { path, found, made_by });
            }
            Err(error) => return Err(form(path, &error)),
        }
        serde_json::from_str(&text).map_err(|error| form(path, &error))
    }
}

/// What every version has: its number, and who made it.
#[derive(Deserialize)]
struct Versioned {
    schema_version: u64,
    #[serde(default)]
    tidegate_version: String,
}

fn form(path: PathBuf, error: &serde_json::Error) -> StoreError {
    let said = error.to_string();
    // The position is told once, in front.
    let cause = said.rsplit_once(" at line ").map_or(said.as_str(), |(cause, _)| cause).to_owned();
    StoreError::Form { path, line: error.line(), cause }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{study, trial, usage};
    use super::super::redacted_scenario;
    use super::*;
    use crate::scenario::{Billing, Service, ServiceSource};
    use crate::units::{Gib, Vcpu};

    fn example() -> Study {
        let mut trial = trial(1, 8, 10.0, 100.0);
        trial.usage = Some(usage(&[(10, 10.5), (40, 120.0)]));
        study(vec![trial])
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_saved_is_what_is_loaded_by_folder_or_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("reports/shopping");
        let path = example().save(&deep).unwrap();
        assert_eq!(Study::load(&deep).unwrap(), example());
        assert_eq!(Study::load(&path).unwrap(), example());
        assert_eq!(names_in(&deep), [STUDY_FILE]);
        // A person can read and diff it: one field a line, a newline at the end.
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\n  \"schema_version\": 2,\n  \"name\": \"shopping\",\n") && text.ends_with("}\n"));
    }

    #[test]
    fn the_same_study_is_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let first = fs::read(example().save(&folder.path().join("a")).unwrap()).unwrap();
        let loaded = Study::load(&folder.path().join("a")).unwrap();
        assert_eq!(fs::read(loaded.save(&folder.path().join("b")).unwrap()).unwrap(), first);
    }

    #[test]
    fn no_value_that_may_be_a_secret_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("DATABASE_URL", "postgres://shop:hunter2@db"), ("API_KEY", "hunter2"), ("WAIT_MS", "90")];
        let mut example = example();
        example.scenario.service = Some(Service {
            source: ServiceSource::Bundled("shop".to_owned()),
            env: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            vcpu: Vcpu(1.0),
            memory: Gib(0.5),
            min_instances: 0,
            max_instances: 10,
            billing: Billing::Request,
            host_cores_per_vcpu: 0.05,
            time_factor: 12.0,
            region: "us-central1".to_owned(),
        });
        let path = example.save(folder.path()).unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"));
        let saved = Study::load(&path).unwrap().scenario;
        let env: Vec<_> = saved.service.as_ref().unwrap().env.values().map(String::as_str).collect();
        assert_eq!(env, ["(not saved)", "(not saved)", "90"]);
        // The study in memory still holds them, and its scenario is known again by its redacted form.
        assert_eq!(example.scenario.service.as_ref().unwrap().env["API_KEY"], "hunter2");
        assert_eq!(redacted_scenario(&example.scenario), saved);
        assert_eq!(redacted_scenario(&saved), saved);
    }

    #[test]
    fn no_value_of_a_system_that_may_be_a_secret_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            include_str!("../../scenarios/lab-report.yaml").replace("WAIT_MS: 150}", "WAIT_MS: 150, API_KEY: hunter2}");
        let mut example = example();
        example.scenario = crate::scenario::Scenario::from_yaml(Path::new("lab.yaml"), &text).unwrap();
        let saved = fs::read_to_string(example.save(folder.path()).unwrap()).unwrap();
        assert!(!saved.contains("hunter2") && saved.contains("API_KEY") && saved.contains("\"150\""));
    }

    /// `/dev/full` refuses every byte as a full disk does; the partial file leads there.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_and_the_old_study_stays() {
        let folder = tempfile::tempdir().unwrap();
        example().save(folder.path()).unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join(PARTIAL_FILE)).unwrap();
        let longer = study(vec![trial(1, 8, 10.0, 100.0), trial(2, 8, 10.0, 100.0)]);
        let error = longer.save(folder.path()).unwrap_err();
        assert!(
            matches!(&error, StoreError::Save { cause, .. } if cause.kind() == io::ErrorKind::StorageFull),
            "{error:?}"
        );
        let said = error.to_string();
        assert!(said.contains("study.json: No space left on device") && said.contains("free some space"), "{said}");
        assert_eq!(Study::load(folder.path()).unwrap(), example());
        assert_eq!(names_in(folder.path()), [STUDY_FILE]);
        longer.save(folder.path()).unwrap();
        assert_eq!(Study::load(folder.path()).unwrap(), longer);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let said = example().save(&folder.path().join("file/study")).unwrap_err().to_string();
        assert!(said.contains("file/study/study.json") && said.contains("untouched"), "{said}");
    }

    #[test]
    fn a_study_of_another_version_is_refused_whatever_its_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.json");
        fs::write(&path, "{\"schema_version\": 7, \"surprise\": {}}").unwrap();
        let said = Study::load(&path).unwrap_err().to_string();
        assert!(said.contains("old.json has schema version 7, and this tidegate ("), "{said}");
        assert!(said.ends_with("reads version 2; update to the tidegate that made it"), "{said}");
        fs::write(&path, "{\"schema_version\": 1, \"tidegate_version\": \"0.0.9\", \"surprise\": {}}").unwrap();
        let said = Study::load(&path).unwrap_err().to_string();
        assert!(said.contains("reads version 2; use tidegate 0.0.9, which made it"), "{said}");
    }

    #[test]
    fn what_is_no_study_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let said = Study::load(folder.path()).unwrap_err().to_string();
        assert!(said.contains("study.json: No such file") && said.contains("give the folder of a study"), "{said}");
        let path = example().save(folder.path()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"blocks\": 1", "\"blocks\": \"one\"")).unwrap();
        let line = text.lines().position(|line| line.contains("\"blocks\"")).unwrap() + 1;
        let said = Study::load(&path).unwrap_err().to_string();
        assert!(said.contains(&format!("study.json:{line}: this is no study: invalid type: string \"one\"")), "{said}");
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(matches!(Study::load(&path).unwrap_err(), StoreError::Form { .. }));
    }
}
