//! A study's folder: made or found again, kept from other sessions, and what is done when it takes no more. And a run's,
//! which is not left behind by a run that never began.

use super::error::CommandError;
use crate::trial::{Place, STUDY_FILE, StoreError, Study, redacted_scenario};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// What was published and delivered, in the folder of a run or a study.
pub(super) const STATE: &str = "state";
/// What instances logged, in the same.
pub(super) const LOGS: &str = "logs";

/// Held in a study's folder by the session that is at work there.
const LOCK: &str = ".lock";

/// Makes the study's folder, or loads the study that is in it. Gives its absolute path, and the lock that keeps every
/// other session out of it for as long as it is held.
pub(super) fn prepare(dir: &Path, study: &mut Study, resume: bool) -> Result<(PathBuf, File), CommandError> {
    if resume && !dir.join(STUDY_FILE).exists() {
        return Err(CommandError::Usage(format!(
            "--resume: there is no study in {}\n\nhint: name its folder with --out",
            dir.display()
        )));
    }
    let failed = |action| move |cause| CommandError::File { action, path: dir.to_owned(), cause };
    std::fs::create_dir_all(dir).map_err(failed("create the folder"))?;
    let lock = lock(dir)?;
    // A study without trials is a start that failed: whatever it asked, nothing is lost with it.
    let begun = dir.join(STUDY_FILE).exists() && !Study::load(dir).is_ok_and(|saved| saved.trials.is_empty());
    match (resume, begun) {
        (true, true) => resume_study(dir, study)?,
        (false, true) => {
            return Err(CommandError::Usage(format!(
                "{} already holds a study\n\nhint: go on with it by --resume, or choose another folder by --out",
                dir.display()
            )));
        }
        (_, false) => {}
    }
    study.save(dir)?;
    let dir = dir.canonicalize().map_err(failed("find"))?;
    Ok((dir, lock))
}

/// The folder of a run. Dropping it takes away what was made for a run that did not begin, all but what instances logged,
/// which may say why.
#[derive(Debug)]
pub(super) struct RunFolder {
    /// Absolute, once it is made.
    pub(super) path: PathBuf,
    /// What was not there before, the innermost first.
    made: Vec<PathBuf>,
    /// Whether what was published and delivered is this run's.
    owns_state: bool,
    begun: bool,
}

impl RunFolder {
    /// The run began: what is there is evidence.
    pub(super) fn keep(&mut self) {
        self.begun = true;
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.begun {
            return;
        }
        // What cannot be taken away, because something is in it, stays.
        if self.owns_state {
            let _ = std::fs::remove_dir_all(self.path.join(STATE));
        }
        let _ = std::fs::remove_dir(self.path.join(LOGS));
        for dir in &self.made {
            let _ = std::fs::remove_dir(dir);
        }
    }
}

/// Makes the folder of a run, which must not hold another's record.
pub(super) fn of_run(dir: &Path) -> Result<RunFolder, CommandError> {
    for taken in [super::delivery::RECORD, STUDY_FILE].map(|name| dir.join(name)) {
        if taken.exists() {
            return Err(CommandError::Usage(format!(
                "{} already holds a record\n\nhint: choose another folder by --out",
                dir.display()
            )));
        }
    }
    let failed = |action| move |cause| CommandError::File { action, path: dir.to_owned(), cause };
    let missing = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
    let mut folder = RunFolder {
        path: dir.to_owned(),
        made: missing.map(Path::to_owned).collect(),
        owns_state: !dir.join(STATE).exists(),
        begun: false,
    };
    std::fs::create_dir_all(dir).map_err(failed("create the folder"))?;
    folder.path = dir.canonicalize().map_err(failed("find"))?;
    Ok(folder)
}

/// Keeps other sessions out of a study's folder: two in one would overwrite each other's trials and database.
fn lock(dir: &Path) -> Result<File, CommandError> {
    let path = dir.join(LOCK);
    let failed = |cause| CommandError::File { action: "lock", path: path.clone(), cause };
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CommandError::Usage(format!(
            "another session of tidegate is at work in {}\n\nhint: wait for it to end, or choose another folder by --out",
            dir.display()
        ))),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// Saves the study where there may still be room, when its own folder takes no more.
pub(super) fn rescue(study: &Study, error: StoreError) -> CommandError {
    let elsewhere = std::env::temp_dir().join(format!("tidegate-{}", study.name));
    match study.save(&elsewhere) {
        Ok(path) => CommandError::Rescued { error, path },
        Err(_) => CommandError::Store(error),
    }
}

/// Takes the trials of the saved study, which must have asked the same question.
fn resume_study(dir: &Path, study: &mut Study) -> Result<(), CommandError> {
    let saved = Study::load(dir)?;
    let asked = redacted_scenario(&study.scenario);
    let differs = [
        ("the scenario", saved.scenario != asked),
        ("the candidates", saved.candidates != study.candidates),
        ("the number of blocks", saved.blocks != study.blocks || saved.stage_share != study.stage_share),
        ("the seed", saved.seed != study.seed),
        ("the prices", saved.prices != study.prices),
        ("the place", !same_place(&saved.place, &study.place)),
    ];
    if let Some((what, _)) = differs.iter().find(|(_, differs)| *differs) {
        return Err(CommandError::Usage(format!(
            "--resume: the study in {} asked something else: {what} differs\n\nhint: repeat its command line: {}",
            dir.display(),
            saved.command
        )));
    }
    // The saved scenario lacks the values of variables that may be secrets; the file on the command line has them.
    let scenario = study.scenario.clone();
    *study = Study { scenario, ..saved };
    Ok(())
}

/// Trials of two places, or of limited and unlimited instances, are never mixed in a study.
fn same_place(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Local(one), Place::Local(other)) => {
            one.time_factor == other.time_factor
                && one.host_cores_per_vcpu == other.host_cores_per_vcpu
                && one.scaling == other.scaling
                // Its port may be another in each session.
                && one.pubsub.is_some() == other.pubsub.is_some()
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::fixtures;

    #[test]
    fn two_sessions_are_never_at_work_in_one_folder() {
        let dir = tempfile::tempdir().unwrap();
        let mut study = fixtures::study(Vec::new());
        let (_, first) = prepare(dir.path(), &mut study.clone(), false).unwrap();
        let refused = prepare(dir.path(), &mut study.clone(), true).unwrap_err().to_string();
        assert!(refused.contains("another session of tidegate is at work in"), "{refused}");
        drop(first);
        prepare(dir.path(), &mut study, true).unwrap();
    }

    #[test]
    fn a_start_that_failed_blocks_no_folder_and_a_trial_does() {
        let dir = tempfile::tempdir().unwrap();
        let mut failed = fixtures::study(Vec::new());
        failed.seed += 1;
        failed.save(dir.path()).unwrap();
        let mut study = fixtures::study(vec![fixtures::trial(1, 4, 2.0, 100.0)]);
        drop(prepare(dir.path(), &mut study, false).unwrap());
        let refused = prepare(dir.path(), &mut study, false).unwrap_err().to_string();
        assert!(refused.contains("already holds a study"), "{refused}");
    }

    #[test]
    fn what_its_folder_does_not_take_is_saved_elsewhere() {
        let mut study = fixtures::study(vec![fixtures::trial(1, 4, 2.0, 100.0)]);
        study.name = format!("rescue-test-{}", std::process::id());
        let error = study.save(Path::new("/dev/null/study")).unwrap_err();
        let rescued = rescue(&study, error);
        let CommandError::Rescued { path, .. } = &rescued else { panic!("{rescued}") };
        assert!(Study::load(path).unwrap() == study);
        assert!(rescued.to_string().contains("go on with --resume"), "{rescued}");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
