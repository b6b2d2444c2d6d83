//! The requests of a log: what can be sent again is kept, each different one once; what cannot is counted by why. A line
//! whose request cannot be sent is not a bad one: logs are full of what the internet tries.

use super::LogError;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

/// A path that is longer than this is one that no request can have.
const PATH_BYTES_MAX: usize = 65_534;
/// Agents that are longer are cut off by every server.
const AGENT_BYTES_MAX: usize = 8 * 1024;
/// What the different requests of a log may take.
const BYTES_MAX: usize = 256 << 20;
/// What a different request takes beside its texts, about.
const BYTES_EACH: usize = 128;
/// Different reasons that are told apart.
const REASONS_MAX: usize = 24;

/// What of a log's requests is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestOptions {
    /// The methods that are sent, upper case.
    pub methods: Vec<String>,
    /// Of CSV: where paths, methods and user agents are; without a column of methods all are GET.
    pub path: Option<super::Column>,
    /// Where methods are.
    pub method: Option<super::Column>,
    /// Where user agents are.
    pub agent: Option<super::Column>,
}

/// The requests of a log.
#[derive(Clone, Debug, Default)]
pub struct LogRequests {
    /// Each different one once.
    pub different: Vec<LogRequest>,
    /// By arrival, in the order of the times, which of them it is.
    pub of_arrivals: Vec<u32>,
    /// How many were left out, by why.
    pub left_out: BTreeMap<String, u64>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogRequest {
    /// One of the methods that are sent.
    pub method: Arc<str>,
    /// Path and query: whatever HTTP does not allow in them is percent-encoded.
    pub path: Box<str>,
    /// What the client said it was, if that is known and a header can carry it.
    pub agent: Option<Arc<str>>,
}

/// A request as a log's line tells it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Nothing where the line tells none.
    pub(super) method: Vec<u8>,
    /// Path and query, or a whole address.
    pub(super) target: Vec<u8>,
    pub(super) agent: Vec<u8>,
}

impl Told {
    /// Reads a request line such as `GET /a HTTP/1.1`; what is none has no method.
    pub(super) fn of_line(line: &[u8], agent: &[u8]) -> Self {
        let mut words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        if words.len() == 3 && words[2].starts_with(b"HTTP/") {
            words.pop();
        }
        match words.as_slice() {
            [method, target] => Self { method: method.to_vec(), target: target.to_vec(), agent: agent.to_vec() },
            _ => Self::default(),
        }
    }
}

/// Gathers the requests of a log line by line.
pub(super) struct Gathered {
    numbers: BTreeMap<LogRequest, u32>,
    agents: BTreeSet<Arc<str>>,
    methods: Vec<Arc<str>>,
    /// Times with the numbers of their requests.
    arrivals: Vec<(i64, u32)>,
    left_out: BTreeMap<String, u64>,
    bytes: usize,
}

impl Gathered {
    pub(super) fn new(options: &RequestOptions) -> Self {
        let methods = options.methods.iter().map(|method| Arc::from(method.as_str())).collect();
        Self {
            numbers: BTreeMap::new(),
            agents: BTreeSet::new(),
            methods,
            arrivals: Vec::new(),
            left_out: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Takes the request that came at `time`.
    pub(super) fn take(&mut self, time: i64, told: &Told) -> Result<(), LogError> {
        let method = match self.method(&told.method) {
            Ok(method) => method,
            Err(why) => {
                self.leave_out(why);
                return Ok(());
            }
        };
        let path = match path(&told.target) {
            Ok(path) => path,
            Err(why) => {
                self.leave_out(why.to_owned());
                return Ok(());
            }
        };
        let agent = self.agent(&told.agent);
        let request = LogRequest { method, path, agent };
        let known = self.numbers.get(&request).copied();
        let number = known.map_or_else(|| self.add(request), Ok)?;
        if self.arrivals.len() == super::LOG_ARRIVALS_MAX {
            return Err(LogError::TooMany);
        }
        self.arrivals.push((time, number));
        Ok(())
    }

    /// Keeps a request that did not come before; gives its number.
    fn add(&mut self, request: LogRequest) -> Result<u32, LogError> {
        self.bytes += request.path.len() + BYTES_EACH;
        if self.bytes > BYTES_MAX {
            return Err(LogError::TooLarge);
        }
        // There are fewer than arrivals, of which there are at most twenty million.
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(request, number);
        Ok(number)
    }

    /// The times of the requests, in order, and the requests.
    pub(super) fn finish(mut self) -> (Vec<i64>, LogRequests) {
        // In the order of the lines where times are equal.
        self.arrivals.sort_by_key(|(time, _)| *time);
        let mut numbered: Vec<(u32, LogRequest)> =
            self.numbers.into_iter().map(|(request, number)| (number, request)).collect();
        numbered.sort_unstable_by_key(|(number, _)| *number);
        let requests = LogRequests {
            different: numbered.into_iter().map(|(_, request)| request).collect(),
            of_arrivals: self.arrivals.iter().map(|(_, number)| *number).collect(),
            left_out: self.left_out,
        };
        (self.arrivals.into_iter().map(|(time, _)| time).collect(), requests)
    }

    fn method(&self, told: &[u8]) -> Result<Arc<str>, String> {
        if told.is_empty() {
            return Err("without a request line that can be read".to_owned());
        }
        if let Some(method) = self.methods.iter().find(|method| method.as_bytes() == told) {
            return Ok(Arc::clone(method));
        }
        let known = told.len() <= 16 && told.iter().all(u8::is_ascii_uppercase);
        Err(if known { format!("by {}", String::from_utf8_lossy(told)) } else { "without a method of HTTP".to_owned() })
    }

    fn agent(&mut self, told: &[u8]) -> Option<Arc<str>> {
        let legal = told.iter().all(|byte| *byte == b' ' || byte.is_ascii_graphic());
        if told.is_empty() || told == b"-" || !legal || told.len() > AGENT_BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(told).ok()?;
        if let Some(known) = self.agents.get(text) {
            return Some(Arc::clone(known));
        }
        self.bytes += text.len();
        let agent: Arc<str> = Arc::from(text);
        self.agents.insert(Arc::clone(&agent));
        Some(agent)
    }

    fn leave_out(&mut self, why: String) {
        let known = self.left_out.contains_key(&why) || self.left_out.len() < REASONS_MAX;
        *self.left_out.entry(if known { why } else { "by other methods".to_owned() }).or_default() += 1;
    }

    /// How many were left out, by why.
    pub(super) fn left_out(&self) -> &BTreeMap<String, u64> {
        &self.left_out
    }
}

/// Path and query of what was asked for: of a whole address, what follows its host, as the host is always the target's.
fn path(target: &[u8]) -> Result<Box<str>, &'static str> {
    let scheme = target.windows(3).position(|window| window == b"://");
    let scheme = scheme.filter(|at| *at > 0 && target[..*at].iter().all(u8::is_ascii_alphanumeric));
    let (path, whole) = match scheme {
        Some(at) => {
            let rest = &target[at + 3..];
            let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
            // What follows a `#` never leaves a client.
            (rest[end..].split(|byte| *byte == b'#').next().unwrap_or_default(), true)
        }
        None => (target, false),
    };
    if path.iter().any(u8::is_ascii_control) {
        return Err("whose path holds control characters");
    }
    if !path.starts_with(b"/") && !whole {
        return Err("without a path");
    }
    let mut encoded = String::with_capacity(path.len() + 1);
    if !path.starts_with(b"/") {
        encoded.push('/');
    }
    for byte in path {
        if is_legal(*byte) {
            encoded.push(char::from(*byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        if encoded.len() > PATH_BYTES_MAX {
            return Err("whose path is longer than any request's");
        }
    }
    Ok(encoded.into_boxed_str())
}

/// What is sent as it was recorded: what RFC 3986 allows, and what browsers send all the same. A percent sign stays, whatever
/// follows it: it was sent so.
fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]|".contains(&byte)
}
