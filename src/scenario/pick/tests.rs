//! One pass over a body held against the library.

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
    if let Ok(text) = std::str::from_utf8(body)
        && let Some(scanned) = scanned(&picks, text)
    {
        assert_eq!(Some(scanned), picks.read(text), "skipping tells what reading tells");
    }
    let node = |found: &Found, number: &usize| found.node(body, *number).map(Cow::into_owned);
    found.map(|found| numbers.unwrap().iter().map(|number| node(&found, number)).collect())
}

/// The nodes by skipping.
fn scanned(picks: &Picks, text: &str) -> Option<Vec<Option<Value>>> {
    let value = |place: Option<Range<usize>>| place.map(|place| value_of(&text.as_bytes()[place]).expect("JSON"));
    picks.scanned(text.as_bytes()).map(|places| places.into_iter().map(value).collect())
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
        "",
        "{",
        "{}x",
        "[1,]",
        r#"{"a": 1e999}"#,
        "{\"b\": \"\\ud800\", \"a\": 1}",
        "{\"a\": 1, \"b\": \"\u{1}\"}",
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
    prop_oneof![
        written(r"[a-c]|\\n|\\u00e4|\\ud83d\\ude00|\\ud800|é|", "[a-c]|\\\\u0061"),
        written("[a-c:,{}\\[\\] ]{0,9}|é|\u{1}{0,1}", "[a-c]"),
    ]
}

/// JSON whose texts and names are such.
fn written(string: &'static str, name: &'static str) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "true|false|-?[0-9]{1,3}|[1-9][0-9]{17,21}|[0-9]\\.[0-9]{1,20}|1e-?[0-9]{1,3}",
        string.prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let member = (name, inner.clone()).prop_map(|(name, value)| format!("\"{name}\" :\n {value}"));
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

#[test]
fn what_is_usual_is_skipped_over() {
    let mut picks = Picks::default();
    picks.add(&plain_keys("$[1].b").unwrap()).unwrap();
    let scanned = |text: &str| scanned(&picks, text);
    let body = "[ 0, {\"a\": [-1.50, {}], \"b\": \"x\",\n \"c\": null, \"b\": [true, 12]} , false ]\n";
    assert_eq!(scanned(body), Some(vec![Some(serde_json::json!([true, 12]))]));
    for text in [
        "",
        "[",
        "[1 2]",
        "[1,]",
        "[01]",
        "[1.]",
        "[-]",
        "[.5]",
        "[1e5]",
        "[tru]",
        "{\"a\" 1}",
        "[] []",
        "[\"a\u{1}\"]",
    ] {
        assert_eq!(scanned(text), None, "{text}");
    }
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
