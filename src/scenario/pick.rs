//! Nodes out of a JSON body without a tree of it. Most `JSONPath`s of a scenario name members and places (`$.cart`,
//! `$[2].id`): all those of a step are answered in one pass that reads the whole body, so that what is no JSON is told,
//! and keeps only what they select. Whatever is unusual is left to the full library: a pass says what the library would
//! say, or nothing.

use super::scan::{Scan, is_the_library_s};
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A step of a plain path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A member of an object.
    Member(String),
    /// A place in an array, from 0.
    Item(usize),
}

/// The keys of a `JSONPath` that is nothing but members and places written without escapes, and not the whole body.
pub(super) fn plain_keys(path: &str) -> Option<Vec<Key>> {
    let mut keys = Vec::new();
    let mut rest = path.strip_prefix('$')?;
    while !rest.is_empty() {
        let (key, behind) = if let Some(dotted) = rest.strip_prefix('.') {
            let end = dotted.find(|c: char| !is_plain(c)).unwrap_or(dotted.len());
            if end == 0 {
                return None;
            }
            (Key::Member(dotted[..end].to_owned()), &dotted[end..])
        } else if let Some(quoted) = rest.strip_prefix("['") {
            let end = quoted.find(|c: char| !is_plain(c) && c != '-')?;
            (Key::Member(quoted[..end].to_owned()), quoted[end..].strip_prefix("']")?)
        } else {
            let (place, behind) = rest.strip_prefix('[')?.split_once(']')?;
            let is_place = place.bytes().all(|byte| byte.is_ascii_digit()) && (place == "0" || !place.starts_with('0'));
            (Key::Item(place.parse().ok().filter(|_| is_place)?), behind)
        };
        keys.push(key);
        rest = behind;
    }
    (!keys.is_empty()).then_some(keys)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Plain paths, to be answered in one pass.
#[derive(Debug, Default)]
pub(super) struct Picks {
    root: Branch,
    /// How many paths there are.
    count: usize,
}

/// Where the nodes of paths stand, by the number of the path; few steps have more than four.
type Places = SmallVec<[Option<Range<usize>>; 4]>;

/// What one pass over a body found, by the number of the path.
pub(super) enum Found {
    /// Where the nodes stand in the body: JSON without escapes.
    Places(Places),
    /// The nodes themselves.
    Nodes(Vec<Option<Value>>),
}

impl Found {
    /// The node of the path with this number; `body` is the one that was passed over.
    pub(super) fn node(&self, body: &[u8], path: usize) -> Option<Cow<'_, Value>> {
        match self {
            Self::Places(places) => value_of(&body[places.get(path)?.clone()?]).map(Cow::Owned),
            Self::Nodes(nodes) => nodes.get(path)?.as_ref().map(Cow::Borrowed),
        }
    }
}

/// Where the paths part.
#[derive(Debug, Default)]
struct Branch {
    members: Vec<(String, Branch)>,
    items: Vec<(usize, Branch)>,
    /// The number of the path that ends here.
    end: Option<usize>,
}

impl Picks {
    /// Adds a path and gives its number. `None` when it begins or goes on where another one ends.
    pub(super) fn add(&mut self, keys: &[Key]) -> Option<usize> {
        let mut branch = &mut self.root;
        for key in keys {
            if branch.end.is_some() {
                return None;
            }
            branch = match key {
                Key::Member(name) => child(&mut branch.members, name),
                Key::Item(place) => child(&mut branch.items, place),
            };
        }
        if !branch.members.is_empty() || !branch.items.is_empty() {
            return None;
        }
        if branch.end.is_none() {
            branch.end = Some(self.count);
            self.count += 1;
        }
        branch.end
    }

    /// The node of each path in `body`. `None` when it is no JSON, or may be none to the library.
    pub(super) fn find(&self, body: &[u8]) -> Option<Found> {
        match self.scanned(body) {
            Some(places) => Some(Found::Places(places)),
            None => self.read(std::str::from_utf8(body).ok()?).map(Found::Nodes),
        }
    }

    /// Where the nodes stand, by skipping over what no path asks for, where nothing is unusual.
    fn scanned(&self, text: &[u8]) -> Option<Places> {
        let mut places: Places = smallvec![None; self.count];
        let mut scan = Scan::new(text);
        self.root.scan(&mut scan, &mut places)?;
        scan.is_at_end().then_some(places)
    }

    /// The nodes by the library's reader.
    fn read(&self, text: &str) -> Option<Vec<Option<Value>>> {
        let mut found = vec![None; self.count];
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Walk { branch: &self.root, found: &mut found }.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(found)
    }
}

fn child<'a, K: PartialEq + Clone>(children: &'a mut Vec<(K, Branch)>, key: &K) -> &'a mut Branch {
    let at = children.iter().position(|(other, _)| other == key).unwrap_or_else(|| {
        children.push((key.clone(), Branch::default()));
        children.len() - 1
    });
    &mut children[at].1
}

impl Branch {
    /// Forgets what was found below: a member that comes again takes the place of the one before.
    fn forget<T>(&self, found: &mut [Option<T>]) {
        if let Some(end) = self.end {
            found[end] = None;
        }
        self.members.iter().map(|(_, branch)| branch).for_each(|branch| branch.forget(found));
        self.items.iter().map(|(_, branch)| branch).for_each(|branch| branch.forget(found));
    }
}

impl Branch {
    /// Skips a value, and notes where what paths select in it is.
    fn scan(&self, scan: &mut Scan<'_>, places: &mut [Option<Range<usize>>]) -> Option<()> {
        if let Some(end) = self.end {
            places[end] = Some(scan.value()?);
            return Some(());
        }
        match scan.peek()? {
            b'{' if !self.members.is_empty() => {
                scan.object(|scan, name| match self.members.iter().find(|(wanted, _)| wanted.as_bytes() == name) {
                    Some((_, branch)) => {
                        branch.forget(places);
                        branch.scan(scan, places)
                    }
                    None if is_the_library_s(name) => None,
                    None => scan.value().map(drop),
                })
            }
            b'[' if !self.items.is_empty() => {
                scan.array(|scan, place| match self.items.iter().find(|(wanted, _)| *wanted == place) {
                    Some((_, branch)) => branch.scan(scan, places),
                    None => scan.value().map(drop),
                })
            }
            _ => scan.value().map(drop),
        }
    }
}

/// Digits of a whole number that is surely none too many for 64 bits.
const DIGITS_MAX: usize = 18;

/// A value that was skipped over: JSON without escapes, which the library would not refuse.
fn value_of(bytes: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    if let Some(string) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return Some(Value::from(string));
    }
    if text.len() <= DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().ok().map(Value::from);
    }
    serde_json::from_str(text).ok()
}

/// Reads a value, and keeps what paths select in it.
struct Walk<'a> {
    branch: &'a Branch,
    found: &'a mut [Option<Value>],
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.branch.end {
            Some(end) => {
                self.found[end] = Some(Value::deserialize(deserializer)?);
                Ok(())
            }
            None => deserializer.deserialize_any(self),
        }
    }
}

/// Values without parts: read, and passed over.
macro_rules! pass_over {
    ($($visit:ident: $kind:ty),*) => {
        $(fn $visit<E: Error>(self, _: $kind) -> Result<Self::Value, E> {
            Ok(())
        })*

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(())
        }

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("any JSON")
        }
    };
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    pass_over!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { branch, found } = self;
        while let Some(at) = map.next_key_seed(Name(&branch.members))? {
            match branch.members.get(at) {
                Some((_, branch)) => {
                    branch.forget(found);
                    map.next_value_seed(Walk { branch, found })?;
                }
                None => map.next_value_seed(Passed)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { branch, found } = self;
        for place in 0_usize.. {
            let read = match branch.items.iter().find(|(wanted, _)| *wanted == place) {
                Some((_, branch)) => seq.next_element_seed(Walk { branch, found })?,
                None => seq.next_element_seed(Passed)?,
            };
            if read.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Reads a value that no path selects anything in, as strictly as any other.
struct Passed;

impl<'de> DeserializeSeed<'de> for Passed {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Passed {
    type Value = ();

    pass_over!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Name(&[]))?.is_some() {
            map.next_value_seed(Self)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Self)?.is_some() {}
        Ok(())
    }
}

/// Reads the name of a member, and tells its place among these; their number when it is none of them.
struct Name<'a>(&'a [(String, Branch)]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        if is_the_library_s(name.as_bytes()) {
            return Err(E::custom("left to the library"));
        }
        Ok(self.0.iter().position(|(wanted, _)| wanted == name).unwrap_or(self.0.len()))
    }
}

#[cfg(test)]
mod tests;
