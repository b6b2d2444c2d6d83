//! Pure search: propose → evaluate → record, then decide. Cannot know whether a trial was measured or simulated.

mod aims;
mod decide;
mod delivery_promise;
mod doubt;
mod promise;
mod search;
mod standing;

pub use aims::Aims;
pub use decide::decide;
pub use doubt::too_few;
pub use promise::broken_slos;
pub use search::{Proposal, Search};
