//! Where a service lives: project and region. The local platform accepts any, and has room for one service of a name.

/// A project and a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) project: String,
    pub(super) location: String,
}

impl Place {
    /// `projects/P/locations/L`.
    pub(super) fn path(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.location)
    }

    /// Whether a listing of `asked` shows what lives here; `-` stands for every region.
    pub(super) fn is_within(&self, asked: &Self) -> bool {
        self.project == asked.project && (asked.location == "-" || asked.location == self.location)
    }
}
