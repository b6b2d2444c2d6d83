//! What became of each report, one by one: what the record only counts.

use super::{Ledger, NEVER, State};
use std::time::Duration;

/// One report that was posted. Times are those since the start of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The arrival that posted it.
    pub number: u64,
    /// When its post was due.
    pub due: Duration,
    /// When the post was answered, or given up; `None` when neither is known.
    pub answered: Option<Duration>,
    /// Whether the answer was as expected.
    pub acknowledged: bool,
    /// The first delivery to each consumer, in their order; `None` where there was none.
    pub delivered: Vec<Option<Duration>>,
}

impl Ledger {
    /// Every report that was posted, in the order of their numbers.
    pub fn fates(&self) -> impl Iterator<Item = Fate> + '_ {
        let time = |micros: u64| (micros != NEVER).then(|| Duration::from_micros(micros));
        let posted = self.posts.iter().enumerate().filter(|(_, post)| post.state != State::Planned);
        posted.map(move |(place, post)| Fate {
            number: place as u64,
            due: Duration::from_micros(post.due),
            answered: time(post.done),
            acknowledged: post.state == State::Acknowledged,
            delivered: self.books.iter().map(|book| time(book.first[place])).collect(),
        })
    }
}
