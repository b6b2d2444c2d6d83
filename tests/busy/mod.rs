//! A host that is busy with other things takes from a run that it can be trusted, and nothing else.

/// What is said of a host, or of a hypervisor, that left the driver too little.
const OF_THE_HOST: [&str; 4] =
    ["the driver was late", "the host was saturated", "the driver was saturated", "the hypervisor took"];

/// Whether a busy host is why nothing can be trusted: there are reasons, and none is another. A neighbour that begins or
/// ends in the middle of a stage makes its response times drift.
pub(crate) fn explains(reasons: impl IntoIterator<Item: AsRef<str>>) -> bool {
    let is_of_the_host = |reason: &str| {
        OF_THE_HOST.iter().any(|words| reason.starts_with(words))
            || reason.starts_with("stage ") && reason.contains(" was not steady: ")
    };
    let mut reasons = reasons.into_iter().peekable();
    reasons.peek().is_some() && reasons.all(|reason| is_of_the_host(reason.as_ref()))
}
