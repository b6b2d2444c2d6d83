//! What is expected of an answer, kept of it and counted of it; every `JSONPath` and regular expression parses.

use super::super::error::Problems;
use super::super::file::{CountFile, ExpectFile, ExtractFile, JsonExpectFile, TextExpectFile};
use super::super::located::{Json, Located, Location};
use super::super::{Amount, Check, Counter, Expectation, Extraction, JsonTest, Source, TextTest, notation, template};
use super::steps::check_header_name;
use super::variables::{Known, check_template};
use super::{exactly_one, parsed};
use serde_json_path::JsonPath;

pub(super) fn expectation(written: Option<&ExpectFile>, known: &Known<'_>, problems: &mut Problems) -> Expectation {
    let Some(written) = written else { return Expectation::default() };
    let statuses = written.status.as_ref().map_or_else(Vec::new, |statuses| self::statuses(statuses, problems));
    let mut checks = Vec::new();
    if let Some(size) = &written.max_size {
        checks.extend(parsed(notation::bytes(&size.value), size.at, problems).map(Check::BytesMax));
    }
    for (name, test) in &written.headers {
        check_header_name(name, test.at, problems);
        if let Some(holds) = text_test(test, known, problems) {
            checks.push(Check::Header { name: name.to_ascii_lowercase(), holds });
        }
    }
    if let Some(body) = &written.body {
        check_template(&body.contains.value, body.contains.at, known, problems);
        checks.push(Check::BodyContains(body.contains.value.clone()));
    }
    for (path, test) in &written.json {
        check_json_path(path, test.at, problems);
        if let Some(holds) = json_test(test, known, problems) {
            checks.push(Check::Json { path: path.clone(), holds });
        }
    }
    Expectation { statuses, checks }
}

fn text_test(written: &Located<TextExpectFile>, known: &Known<'_>, problems: &mut Problems) -> Option<TextTest> {
    let TextExpectFile { equals, contains, exists } = &written.value;
    for text in [equals, contains].into_iter().flatten() {
        check_template(&text.value, text.at, known, problems);
    }
    let tests = vec![
        ("equals", equals.as_ref().map(|text| TextTest::Equals(text.value.clone()))),
        ("contains", contains.as_ref().map(|text| TextTest::Contains(text.value.clone()))),
        ("exists", exists.map(TextTest::Exists)),
    ];
    exactly_one(tests, written.at, problems)
}

fn json_test(written: &Located<JsonExpectFile>, known: &Known<'_>, problems: &mut Problems) -> Option<JsonTest> {
    let JsonExpectFile { equals, exists } = &written.value;
    if let Some(equals) = equals {
        let nested = matches!(equals.value, Json::Array(_) | Json::Object(_));
        equals.value.each_text(equals.at, &mut |text, at| {
            check_template(text, at, known, problems);
            if nested && text.contains("${") {
                problems.add(
                    at,
                    "a list or mapping is compared as it stands here, without variables",
                    "compare its members one by one, each with a JSONPath of its own",
                );
            }
        });
    }
    let tests = vec![
        ("equals", equals.as_ref().map(|value| JsonTest::Equals(value.value.to_value()))),
        ("exists", exists.map(JsonTest::Exists)),
    ];
    exactly_one(tests, written.at, problems)
}

pub(super) fn statuses(written: &Located<Vec<Located<u16>>>, problems: &mut Problems) -> Vec<u16> {
    if written.value.is_empty() {
        problems.add(written.at, "no status is accepted", "give at least one, such as [200]");
    }
    for status in &written.value {
        if !(200..=599).contains(&status.value) {
            problems.add(
                status.at,
                format!("no answer has the status {}", status.value),
                "give statuses from 200 to 599",
            );
        }
    }
    written.value.iter().map(|status| status.value).collect()
}

pub(super) fn extraction(written: &Located<ExtractFile>, problems: &mut Problems) -> Option<Extraction> {
    let ExtractFile { json, header, cookie, regex, group, optional } = &written.value;
    let places = vec![
        ("json", json.as_ref()),
        ("header", header.as_ref()),
        ("cookie", cookie.as_ref()),
        ("regex", regex.as_ref()),
    ];
    let only = exactly_one(places, written.at, problems)?;
    if let (Some(group), None) = (group, regex) {
        problems.add(group.at, "only a regular expression has groups", "leave `group` out, or use `regex`");
    }
    let from = if json.is_some() {
        check_json_path(&only.value, only.at, problems);
        Source::Json(only.value.clone())
    } else if header.is_some() {
        check_header_name(&only.value, only.at, problems);
        Source::Header(only.value.to_ascii_lowercase())
    } else if cookie.is_some() {
        Source::Cookie(only.value.clone())
    } else {
        self::regex(only, group.as_ref(), problems)?
    };
    Some(Extraction { from, optional: *optional })
}

fn regex(pattern: &Located<String>, group: Option<&Located<u32>>, problems: &mut Problems) -> Option<Source> {
    let regex = match regex::bytes::Regex::new(&pattern.value) {
        Ok(regex) => regex,
        Err(error) => {
            let text = error.to_string();
            // The first lines draw the place, which a message of one line cannot; the last one says what is wrong.
            let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            problems.add(
                pattern.at,
                format!("`{}` is not a regular expression: {last}", pattern.value),
                "https://docs.rs/regex/latest/regex/#syntax describes them; single quotes keep YAML from reading `\\`",
            );
            return None;
        }
    };
    let groups = regex.captures_len() - 1;
    if let Some(group) = group
        && group.value as usize > groups
    {
        problems.add(
            group.at,
            format!("`{}` has no group {}", pattern.value, group.value),
            match groups {
                0 => "it has none: write brackets around what you want, or leave `group` out".to_owned(),
                1 => "it has one".to_owned(),
                more => format!("it has {more}"),
            },
        );
    }
    let group = group.map_or(groups.min(1), |group| group.value as usize);
    Some(Source::Regex { pattern: pattern.value.clone(), group })
}

pub(super) fn counter(name: &str, count: &Located<CountFile>, problems: &mut Problems) -> Option<Counter> {
    if !template::is_name(name) {
        problems.add(count.at, format!("`{name}` cannot be the name of a counter"), "use letters, digits and `_`");
    }
    let CountFile { add, when_status } = &count.value;
    let statuses = when_status.as_ref().map_or_else(Vec::new, |written| self::statuses(written, problems));
    let amount = match add.value.parse::<i64>() {
        Ok(number) => Amount::Constant(number),
        Err(_) if add.value.starts_with('$') => {
            check_json_path(&add.value, add.at, problems);
            Amount::JsonSum(add.value.clone())
        }
        Err(_) => {
            problems.add(
                add.at,
                format!("`{}` adds nothing to `{name}`", add.value),
                "write a whole number, or a JSONPath such as $.items[*].quantity",
            );
            return None;
        }
    };
    Some(Counter { add: amount, statuses })
}

/// Notes a `JSONPath` that does not parse.
pub(super) fn check_json_path(path: &str, at: Location, problems: &mut Problems) {
    if let Err(error) = JsonPath::parse(path) {
        problems.add(
            at,
            format!("`{path}` is not a JSONPath: character {}: {}", error.position(), error.message()),
            "RFC 9535 describes them; examples are $.token and $.items[*].id",
        );
    }
}
