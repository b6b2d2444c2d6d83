//! Nodes out of a JSON body without a tree of it. Most `JSONPath`s of a scenario name members and places (`$.cart`,
//! `$[2].id`): all those of a step are answered in one pass that reads the whole body, so that what is no JSON is told,
//! and keeps only what they select. Whatever is unusual is left to the full library: a pass says what the library would
//! say, or nothing.

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

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
    pub(super) fn find(&self, body: &[u8]) -> Option<Vec<Option<Value>>> {
        let mut found = vec![None; self.count];
        let mut deserializer = serde_json::Deserializer::from_str(std::str::from_utf8(body).ok()?);
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
    fn forget(&self, found: &mut [Option<Value>]) {
        if let Some(end) = self.end {
            found[end] = None;
        }
        self.members.iter().map(|(_, branch)| branch).for_each(|branch| branch.forget(found));
        self.items.iter().map(|(_, branch)| branch).for_each(|branch| branch.forget(found));
    }
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
        // Names that mean something to the library itself.
        if name.starts_with("$serde_json") {
            return Err(E::custom("left to the library"));
        }
        Ok(self.0.iter().position(|(wanted, _)| wanted == name).unwrap_or(self.0.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json_path::JsonPath;

    /// What the library says, `None` for what is no JSON.
    fn by_library(body: &[u8], paths: &[String]) -> Option<Vec<Option<Value>>> {
        let json: Value = serde_json::from_slice(body).ok()?;
        Some(paths.iter().map(|path| JsonPath::parse(path).unwrap().query(&json).first().cloned()).collect())
    }

    fn picked(body: &[u8], paths: &[String]) -> Option<Vec<Option<Value>>> {
        let mut picks = Picks::default();
        let numbers: Option<Vec<usize>> = paths.iter().map(|path| picks.add(&plain_keys(path)?)).collect();
        let found = picks.find(body);
        found.map(|found| numbers.unwrap().iter().map(|number| found[*number].clone()).collect())
    }

    #[test]
    fn only_members_and_places_are_plain() {
        let member = |name: &str| Key::Member(name.to_owned());
        assert_eq!(plain_keys("$.a_1['b-c'][20]"), Some(vec![member("a_1"), member("b-c"), Key::Item(20)]));
        for path in
            ["$", "$..a", "$.*", "$[-1]", "$[01]", "$[+1]", "$[1:2]", "$['a\\n']", "$[\"a\"]", "$[?@.a]", "a", "$['a','b']"]
        {
            assert_eq!(plain_keys(path), None, "{path}");
        }
    }

    #[test]
    fn paths_that_lie_in_one_another_are_left_to_the_library() {
        let mut picks = Picks::default();
        let mut add = |path: &str| picks.add(&plain_keys(path).unwrap());
        assert_eq!([add("$.a.b"), add("$.a.c"), add("$.a.b")], [Some(0), Some(1), Some(0)]);
        assert_eq!([add("$.a"), add("$.a.b.c")], [None, None]);
    }

    #[test]
    fn what_the_library_reads_in_its_own_way_is_left_to_it() {
        for body in [
            "", "{", "{}x", "[1,]", r#"{"a": 1e999}"#, "{\"b\": \"\\ud800\", \"a\": 1}", "{\"a\": 1, \"b\": \"\u{1}\"}",
            r#"{"$serde_json::private::RawValue": "[1]"}"#,
        ] {
            assert_eq!(picked(body.as_bytes(), &["$.a".to_owned()]), None, "{body}");
        }
        assert_eq!(picked(b"{\"a\": \"\xff\"}", &["$.b".to_owned()]), None);
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for depth in [127, 128, 129] {
            let body = deep(depth);
            let paths = ["$[1]".to_owned()];
            assert_eq!(picked(body.as_bytes(), &paths), by_library(body.as_bytes(), &paths), "{depth}");
        }
    }

    /// JSON as text, so that members come twice and strings have escapes.
    fn text() -> impl Strategy<Value = String> {
        let string = r#"[a-c]|\\n|\\u00e4|\\ud83d\\ude00|\\ud800|é|"#;
        let leaf = prop_oneof![
            Just("null".to_owned()),
            "true|false|-?[0-9]{1,3}|[1-9][0-9]{17,21}|[0-9]\\.[0-9]{1,20}|1e-?[0-9]{1,3}",
            string.prop_map(|text| format!("\"{text}\"")),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let member = ("[a-c]|\\\\u0061", inner.clone()).prop_map(|(name, value)| format!("\"{name}\" : {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    /// Paths of which none lies in another: all as long as the first, and different in kind only by their last key.
    fn paths() -> impl Strategy<Value = Vec<String>> {
        let key = "\\.[a-c]|\\['[a-c]'\\]|\\[[0-3]\\]";
        prop::collection::vec(prop::collection::vec(key, 2), 1..4)
            .prop_map(|paths| paths.into_iter().map(|keys| format!("${}", keys.concat())).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_pass_says_what_the_library_says(body in text(), paths in paths()) {
            let told = by_library(body.as_bytes(), &paths);
            prop_assert_eq!(picked(body.as_bytes(), &paths), told);
        }

        #[test]
        fn one_path_of_any_length_too(body in text(), keys in prop::collection::vec("\\.[a-c]|\\[[0-3]\\]", 1..5)) {
            let paths = [format!("${}", keys.concat())];
            prop_assert_eq!(picked(body.as_bytes(), &paths), by_library(body.as_bytes(), &paths));
        }

        #[test]
        fn what_is_damaged_is_told_or_read_alike(
            body in text(), at in any::<prop::sample::Index>(), byte in any::<u8>(), paths in paths(),
        ) {
            let mut body = body.into_bytes();
            let at = at.index(body.len());
            body[at] = byte;
            prop_assert_eq!(picked(&body, &paths), by_library(&body, &paths));
        }
    }
}
