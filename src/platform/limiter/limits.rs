//! The limits of one instance, whatever holds it to them: what its launcher has to do, and what can be asked and told
//! while it runs.

use super::group::Group;
use super::stopper::{Charge, Stopper};
use super::systemd::Scope;
use crate::platform::family::{Family, Word, cpu_clock, memory_of};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::process::Command;

/// What an instance runs under.
#[derive(Debug)]
pub(in crate::platform) struct Limits {
    hold: Hold,
    family: OnceLock<Family>,
}

/// What holds it.
#[derive(Debug)]
pub(super) enum Hold {
    /// Nothing.
    Nothing,
    /// A cgroup of the platform's own.
    Group(Group),
    /// A cgroup of systemd's.
    Scope(Scope),
    /// Signals.
    Signals(Arc<Stopper>, Arc<Charge>),
}

impl Limits {
    /// Limits of a process that does not run yet.
    pub(super) fn new(hold: Hold) -> Self {
        Self { hold, family: OnceLock::new() }
    }

    /// What starts the launcher, up to its `--`: whoever runs it is limited from the first instruction on, or, by
    /// signals, from the moment it is [`Limits::attach`]ed.
    pub(in crate::platform) fn launch(&self, launcher: &Path) -> Command {
        let mut words: Vec<OsString> = match &self.hold {
            Hold::Scope(scope) => scope.words(),
            _ => Vec::new(),
        };
        words.extend([launcher.into(), "launch".into(), "--parent".into(), std::process::id().to_string().into()]);
        if let Hold::Group(group) = &self.hold {
            words.extend(group.procs_files().iter().flat_map(|path| ["--cgroup".into(), path.into()]));
        }
        if let Hold::Scope(scope) = &self.hold {
            words.extend(scope.environment().flat_map(|(name, _)| ["--unset".into(), name.into()]));
        }
        let mut command = Command::new(words.remove(0));
        command.args(words);
        command
    }

    /// What the launch needs of the platform's environment beside what the instance gets; it is taken away again.
    pub(in crate::platform) fn environment(&self) -> Vec<(&'static str, OsString)> {
        match &self.hold {
            Hold::Scope(scope) => scope.environment().collect(),
            _ => Vec::new(),
        }
    }

    /// The process runs, as the leader of its own group.
    pub(in crate::platform) fn attach(&self, pid: u32) {
        let family = Family::of(pid);
        if self.family.set(family).is_ok()
            && let Hold::Signals(stopper, charge) = &self.hold
        {
            stopper.begin(charge, family);
        }
    }

    /// CPU time used so far.
    pub(in crate::platform) fn cpu_used(&self) -> Option<Duration> {
        let leader = || cpu_clock(self.family.get()?.leader());
        match &self.hold {
            Hold::Signals(_, charge) => Some(charge.cpu_used()),
            _ => self.group().and_then(Group::cpu_used).or_else(leader),
        }
    }

    /// Bytes of memory in use.
    pub(in crate::platform) fn memory_used(&self) -> Option<u64> {
        let of_family = || Some(memory_of(&self.family.get()?.members())).filter(|bytes| *bytes > 0);
        self.group().and_then(Group::memory_used).or_else(of_family)
    }

    /// How often it was ended, whole or in part, because it held more memory than its limit.
    pub(in crate::platform) fn memory_kills(&self) -> u64 {
        match &self.hold {
            Hold::Signals(_, charge) => charge.memory_kills(),
            _ => self.group().and_then(Group::memory_kills).unwrap_or_default(),
        }
    }

    /// Another share of CPU from now on.
    pub(in crate::platform) fn set_cores(&self, cores: f64) -> io::Result<()> {
        match &self.hold {
            Hold::Signals(_, charge) => {
                charge.set_cores(cores);
                Ok(())
            }
            _ => self.group().map_or(Ok(()), |group| group.set_cores(cores)),
        }
    }

    /// Takes all CPU away.
    pub(in crate::platform) fn freeze(&self) {
        match (&self.hold, self.group()) {
            (Hold::Signals(_, charge), _) => charge.freeze(),
            (_, Some(group)) if group.can_freeze() => drop(group.set_frozen(true)),
            _ => self.tell(Word::Stop),
        }
    }

    /// Gives it back.
    pub(in crate::platform) fn thaw(&self) {
        match (&self.hold, self.group()) {
            (Hold::Signals(stopper, charge), _) => stopper.thaw(charge),
            (_, Some(group)) if group.can_freeze() => drop(group.set_frozen(false)),
            _ => self.tell(Word::Continue),
        }
    }

    /// Removes them; ends what is still under them.
    pub(in crate::platform) async fn remove(&self) {
        match &self.hold {
            Hold::Group(group) => group.remove().await,
            Hold::Scope(scope) => scope.remove().await,
            Hold::Signals(_, charge) => charge.end(),
            Hold::Nothing => {}
        }
    }

    fn tell(&self, word: Word) {
        if let Some(family) = self.family.get() {
            family.tell(word);
        }
    }

    fn group(&self) -> Option<&Group> {
        match &self.hold {
            Hold::Group(group) => Some(group),
            Hold::Scope(scope) => scope.group(self.family.get()?.leader()),
            Hold::Signals(..) | Hold::Nothing => None,
        }
    }
}
