//! How many files the platform may hold open.

/// Each request holds two sockets here: the soft limit of open files is raised, as far as the hard one allows, to what
/// serves 32,000 requests at once. No further: some programs close every descriptor they might have.
pub(super) fn raise() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        const WANTED: u64 = 65_536;
        let limit = getrlimit(Resource::Nofile);
        let reachable = limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
        if limit.current.is_some_and(|current| current < reachable) {
            // If it cannot be raised, connections beyond it are refused one by one.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), ..limit });
        }
    }
}
