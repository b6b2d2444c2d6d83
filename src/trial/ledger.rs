//! The ledger of deliveries: events in, in any order, books and series out. It knows no clock: every time is one since the
//! start of the load. Reports are known by the numbers of their arrivals, so that a report takes some bytes in dense
//! vectors and nothing is looked up.

mod calendar;
mod compare;
mod conclude;
mod fate;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;

pub use conclude::Terms;
pub use fate::Fate;

use super::class::StatusClass;
use super::delivery::OrderBooks;
use std::collections::BTreeMap;
use std::time::Duration;

/// Not yet.
const NEVER: u64 = u64::MAX;
/// Ordering keys whose order is watched, at most; further ones are not.
const KEYS_MAX: usize = 100_000;

/// The ledger in the making.
#[derive(Clone, Debug)]
pub struct Ledger {
    posts: Vec<Post>,
    books: Vec<Book>,
}

/// One report; times in microseconds.
#[derive(Clone, Copy, Debug)]
struct Post {
    due: u64,
    done: u64,
    state: State,
    measured: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Planned,
    Posted,
    Acknowledged,
    Failed(StatusClass),
}

impl State {
    /// Whether it was answered as expected, or the class of the answer; `None` before it was sent. A post without an answer was
    /// not acknowledged.
    fn answer(self) -> Option<Result<(), StatusClass>> {
        match self {
            Self::Planned => None,
            Self::Posted => Some(Err(StatusClass::NoAnswer)),
            Self::Acknowledged => Some(Ok(())),
            Self::Failed(class) => Some(Err(class)),
        }
    }
}

/// What one consumer got.
#[derive(Clone, Debug)]
struct Book {
    name: String,
    /// First delivery of each report, in microseconds.
    first: Vec<u64>,
    /// Times of further deliveries of known reports, by second.
    duplicates: Vec<u64>,
    duplicates_total: u64,
    deliveries: u64,
    foreign: u64,
    /// First deliveries out of order, and the highest number so far, by ordering key.
    out_of_order: Vec<u64>,
    highest: BTreeMap<String, u64>,
    /// First deliveries whose order was watched, and those whose key came after so many others that it was not.
    watched: OrderBooks,
}

/// What an observer told of one delivery.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// The arrival that posted the report; `None` when none of this run can have.
    pub number: Option<u64>,
    /// When, since the start of the load; before it counts as its start.
    pub at: Duration,
    /// The ordering key, if it had one.
    pub key: Option<&'a str>,
}

impl Ledger {
    /// An empty ledger of `planned` arrivals and these consumers.
    #[must_use]
    pub fn new(consumers: &[String], planned: u64) -> Self {
        // A plan that does not fit into memory could not be driven either.
        let planned = usize::try_from(planned).unwrap_or(usize::MAX);
        let post = Post { due: NEVER, done: NEVER, state: State::Planned, measured: false };
        let book = |name: &String| Book {
            name: name.clone(),
            first: vec![NEVER; planned],
            duplicates: Vec::new(),
            duplicates_total: 0,
            deliveries: 0,
            foreign: 0,
            out_of_order: Vec::new(),
            highest: BTreeMap::new(),
            watched: OrderBooks::default(),
        };
        Self { posts: vec![post; planned], books: consumers.iter().map(book).collect() }
    }

    /// The report of arrival `number`, which was due at `due`, is sent; `measured` when that is not in a warm-up.
    pub fn post(&mut self, number: u64, due: Duration, measured: bool) {
        if let Some(post) = self.posts.get_mut(place(number)) {
            (post.due, post.measured) = (micros(due), measured);
            if post.state == State::Planned {
                post.state = State::Posted;
            }
        }
    }

    /// Its answer came at `done`, or will never come: as expected, or not, with its class.
    pub fn settle(&mut self, number: u64, done: Duration, answer: Result<(), StatusClass>) {
        if let Some(post) = self.posts.get_mut(place(number)) {
            post.done = micros(done);
            post.state = answer.map_or_else(State::Failed, |()| State::Acknowledged);
        }
    }

    /// The `consumer`-th consumer got a report.
    pub fn deliver(&mut self, consumer: usize, arrived: &Arrived<'_>) {
        let Some(book) = self.books.get_mut(consumer) else { return };
        book.deliveries += 1;
        let at = micros(arrived.at);
        let Some((number, first)) =
            arrived.number.and_then(|number| Some((number, book.first.get_mut(place(number))?)))
        else {
            book.foreign += 1;
            return;
        };
        if *first != NEVER {
            // An observer that is read out of order may tell the first delivery last.
            let further = at.max(*first);
            *first = at.min(*first);
            book.duplicates_total += 1;
            book.duplicate(further);
            return;
        }
        *first = at;
        book.order(number, arrived.key);
    }

    /// How many reports were acknowledged, and how many of those each consumer has.
    #[must_use]
    pub fn standing(&self) -> (u64, Vec<u64>) {
        let acknowledged = |post: &&Post| post.state == State::Acknowledged;
        let delivered = |book: &Book| {
            let pairs = self.posts.iter().zip(&book.first);
            pairs.filter(|(post, first)| post.state == State::Acknowledged && **first != NEVER).count() as u64
        };
        (self.posts.iter().filter(acknowledged).count() as u64, self.books.iter().map(delivered).collect())
    }
}

impl Book {
    fn duplicate(&mut self, at: u64) {
        // A day has 86,400 seconds; a clock that is years off may not take all the memory.
        let second = usize::try_from(at / 1_000_000).unwrap_or(usize::MAX).min(10_000_000);
        if self.duplicates.len() <= second {
            self.duplicates.resize(second + 1, 0);
        }
        self.duplicates[second] += 1;
    }

    fn order(&mut self, number: u64, key: Option<&str>) {
        let Some(key) = key else { return };
        let has_room = self.highest.len() < KEYS_MAX;
        match self.highest.get_mut(key) {
            Some(highest) if number < *highest => self.out_of_order.push(number),
            Some(highest) => *highest = number,
            None if has_room => {
                self.highest.insert(key.to_owned(), number);
            }
            None => {
                self.watched.unwatched += 1;
                return;
            }
        }
        self.watched.watched += 1;
    }
}

/// A number that is no place is none of the plan's.
fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(NEVER - 1).min(NEVER - 1)
}
