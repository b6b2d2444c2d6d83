//! One trial and one study, over a trait: the only place where driver, cloud and tuner meet. A trial sets the candidate,
//! drives the plan, reads the usage, prices it and concludes; a study proposes, evaluates, records, saves, and can go on
//! after a crash.

mod cloud_site;
mod conclude;
mod site;
mod study_loop;
mod validity;

pub use cloud_site::{CloudSite, SiteOptions, Watched, must_connect, watched_drive};
pub use site::{Driven, Site, StudyError, Tenure, TrialProgress, Usages, Watch, unless_stopped};
pub use study_loop::{Context, run};
pub use validity::{cautions, distrust, lateness_bound};
