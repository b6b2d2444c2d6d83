//! Client of Cloud Run Admin v2 and Cloud Monitoring v3 over Google's official crates, real or local by endpoint: sets a
//! candidate, reads usage, puts back what was changed. Knows nothing of the local platform's inside, and is never on the
//! path of a measured request.

mod access;
mod activity;
mod admin;
mod client;
mod endpoint;
mod error;
mod monitoring;
mod naming;
mod pubsub;
mod quantity;
mod redeploy;
mod retry;
mod tally;
mod traffic;
mod usage;

pub use activity::RevisionActivity;
pub use admin::{Deployed, Undone};
pub use client::Cloud;
pub use endpoint::{Clock, Endpoint, Pace, SteadyClock};
pub use error::CloudError;
pub use monitoring::Sampling;
pub use naming::{candidate_name, stamp};
pub use pubsub::PubSub;
pub use redeploy::Served;
pub use tally::UsageWindow;
pub use traffic::Original;
