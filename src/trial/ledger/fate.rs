//! What became of each report, one by one: what the record only counts.

use super::super::class::StatusClass;
use super::{Ledger, NEVER};
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
    /// Whether the answer was as expected; else its class.
    pub answer: Result<(), StatusClass>,
    /// The first delivery to each consumer, in their order; `None` where there was none.
    pub delivered: Vec<Option<Duration>>,
}

impl Ledger {
    /// Every report that was posted, in the order of their numbers.
    pub fn fates(&self) -> impl Iterator<Item = Fate> + '_ {
        let time = |micros: u64| (micros != NEVER).then(|| Duration::from_micros(micros));
        let posts = self.posts.iter().enumerate();
        let posted = posts.filter_map(|(place, post)| Some((place, post, post.state.answer()?)));
        posted.map(move |(place, post, answer)| Fate {
            number: place as u64,
            due: Duration::from_micros(post.due),
            answered: time(post.done),
            answer,
            delivered: self.books.iter().map(|book| time(book.first[place])).collect(),
        })
    }
}
