//! Pure search: propose → evaluate → record, then decide. Cannot know whether a trial was measured or simulated.

mod decide;
mod promise;
mod search;
mod standing;

pub use decide::decide;
pub use promise::broken_slos;
pub use search::{Proposal, Search};
