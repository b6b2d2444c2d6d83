//! How the target of a run was reached: what a reader must know before comparing it with another run.

use crate::stats::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the target was reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetRecording {
    /// Connections that were opened, by the protocol spoken on them (`HTTP/1.1`, `HTTP/2`), those of the set-up included.
    pub connections: BTreeMap<String, u64>,
    /// How long their TCP connections took, the tunnel through a proxy included.
    pub connect_time: Histogram,
    /// How long their TLS handshakes took, for https.
    pub tls_time: Histogram,
    /// True when any certificate was accepted: whose answers were measured is then not proven.
    pub insecure: bool,
    /// Host and port of the proxy that everything went through, if any.
    pub proxy: Option<String>,
    /// How requests were authorised: `basic`, `bearer` or `Google ID token`; nothing when they were not.
    pub authorization: Option<String>,
    /// How often the token was renewed while the load ran.
    pub token_refreshes: u64,
    /// How often renewing it failed: then the old one went on being sent.
    pub token_refresh_failures: u64,
    /// Why it failed the last time.
    pub token_refresh_failure: Option<String>,
}

impl TargetRecording {
    /// Adds what another part of the same run recorded.
    pub fn merge(&mut self, other: &Self) {
        for (protocol, connections) in &other.connections {
            *self.connections.entry(protocol.clone()).or_default() += connections;
        }
        self.connect_time.merge(&other.connect_time);
        self.tls_time.merge(&other.tls_time);
        self.insecure |= other.insecure;
        self.proxy = self.proxy.take().or_else(|| other.proxy.clone());
        self.authorization = self.authorization.take().or_else(|| other.authorization.clone());
        self.token_refreshes += other.token_refreshes;
        self.token_refresh_failures += other.token_refresh_failures;
        self.token_refresh_failure = self.token_refresh_failure.take().or_else(|| other.token_refresh_failure.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn merged_parts_are_the_whole() {
        let part = |protocol: &str, ms: u64, failures: u64| {
            let mut part = TargetRecording { token_refresh_failures: failures, ..TargetRecording::default() };
            part.connections.insert(protocol.to_owned(), ms);
            part.connect_time.record(Duration::from_millis(ms));
            part
        };
        let mut whole = part("HTTP/2", 3, 0);
        whole.merge(&part("HTTP/2", 5, 2));
        whole.merge(&TargetRecording { insecure: true, proxy: Some("p:1".to_owned()), ..part("HTTP/1.1", 7, 1) });
        assert_eq!(whole.connections, BTreeMap::from([("HTTP/1.1".to_owned(), 7), ("HTTP/2".to_owned(), 8)]));
        assert_eq!((whole.connect_time.count(), whole.token_refresh_failures), (3, 3));
        assert_eq!((whole.insecure, whole.proxy.as_deref()), (true, Some("p:1")));
    }
}
