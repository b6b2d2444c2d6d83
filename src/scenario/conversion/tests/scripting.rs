//! Extraction, expectations, data, generators, bodies, conditions and repeats that cannot be.

use super::super::super::{Check, Repeat};
use super::*;

/// What the base file is told with the step `look` replaced, in a closed model.
fn step_refusal(step: &str) -> String {
    let text = BASE
        .replace("  open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}", "")
        .replace("load:\n", "load: closed")
        .replacen("        get: /products/${product}/\n", &format!("        {step}\n"), 1);
    Scenario::from_yaml(Path::new("shop.yaml"), &text).expect_err("this is wrong").to_string()
}

#[test]
fn extractions_that_cannot_be_are_told() {
    insta::assert_snapshot!(refusal("{json: $.csrfToken}", "{regex: '('}"), @r"
    shop.yaml:13:34: `(` is not a regular expression: unclosed group

    hint: https://docs.rs/regex/latest/regex/#syntax describes them; single quotes keep YAML from reading `\`
    ");
    insta::assert_snapshot!(refusal("{json: $.csrfToken}", "{regex: 'a(b)', group: 2}"), @r"
    shop.yaml:13:49: `a(b)` has no group 2

    hint: it has one
    ");
    insta::assert_snapshot!(refusal("{json: $.csrfToken}", "{cookie: a, header: b}"), @r"
    shop.yaml:13:26: `header` and `cookie` stand together

    hint: keep one of `cookie`, `header`, `json`, `regex`
    ");
    insta::assert_snapshot!(refusal("{json: $.csrfToken}", "{cookie: a, group: 1}"), @r"
    shop.yaml:13:45: only a regular expression has groups

    hint: leave `group` out, or use `regex`
    ");
    insta::assert_snapshot!(refusal("{json: $.csrfToken}", "{cooky: a}"), @r"
    shop.yaml:13:27: unknown key `cooky`

    hint: did you mean `cookie`?
    ");
}

#[test]
fn expectations_that_cannot_be_are_told() {
    insta::assert_snapshot!(refusal("{status: [200]}\n", "{status: [200], header: {a: {equals: b}}}\n"), @r"
    shop.yaml:20:33: unknown key `header`

    hint: did you mean `headers`?
    ");
    insta::assert_snapshot!(refusal("{status: [200]}\n", "{headers: {'a b': {equals: '${tokn}'}}}\n"), @r"
    shop.yaml:20:35: `a b` cannot be the name of a header

    hint: use letters, digits and `-`

    shop.yaml:20:44: unknown variable `${tokn}`

    hint: did you mean `token`?
    ");
    insta::assert_snapshot!(refusal("{status: [200]}\n", "{headers: {a: {}}}\n"), @r"
    shop.yaml:20:31: one of `contains`, `equals`, `exists` is missing

    hint: add the one you mean
    ");
    insta::assert_snapshot!(refusal("{status: [200]}\n", "{json: {id: {equals: 1}}}\n"), @r"
    shop.yaml:20:29: `id` is not a JSONPath: character 0: parser error

    hint: RFC 9535 describes them; examples are $.token and $.items[*].id
    ");
    insta::assert_snapshot!(refusal("{status: [200]}\n", "{json: {$.id: {equals: [\"${token}\"]}}}\n"), @r"
    shop.yaml:20:41: a list or mapping is compared as it stands here, without variables

    hint: compare its members one by one, each with a JSONPath of its own
    ");
    insta::assert_snapshot!(refusal("{status: [200]}\n", "{max_size: 64kB}\n"), @r"
    shop.yaml:20:28: `64kB` is not a size

    hint: write a number with a unit: 4096B, 64KiB or 2MiB
    ");
    insta::assert_snapshot!(refusal("{status: [200]}\n", "{max_size: 64MiB}\n"), @r"
    shop.yaml:20:28: no body holds `64MiB`

    hint: 16MiB are the most: a larger body always fails
    ");
}

#[test]
fn bodies_and_redirects_that_cannot_be_are_told() {
    insta::assert_snapshot!(refusal("timeout: 5s", "text: '${tken}'"), @r"
    shop.yaml:15:9: `json` and `text` stand together

    hint: keep one of `file`, `form`, `json`, `multipart`, `text`

    shop.yaml:22:15: unknown variable `${tken}`

    hint: did you mean `token`?
    ");
    insta::assert_snapshot!(refusal("timeout: 5s", "form: {a: '${tken}'}"), @r"
    shop.yaml:15:9: `json` and `form` stand together

    hint: keep one of `file`, `form`, `json`, `multipart`, `text`

    shop.yaml:22:19: unknown variable `${tken}`

    hint: did you mean `token`?
    ");
    insta::assert_snapshot!(refusal("timeout: 5s", "file: nowhere.bin"), @r"
    shop.yaml:15:9: `json` and `file` stand together

    hint: keep one of `file`, `form`, `json`, `multipart`, `text`

    shop.yaml:22:15: cannot read the file nowhere.bin: No such file or directory (os error 2)

    hint: a path goes from the folder of the scenario file
    ");
    insta::assert_snapshot!(refusal("timeout: 5s", "follow_redirects: 21"), @r"
    shop.yaml:22:27: 21 redirects in a row are a circle

    hint: follow 20 at most
    ");
}

#[test]
fn generators_that_cannot_be_are_told() {
    insta::assert_snapshot!(refusal("{choice: [1, 2]}", "{decimal: {from: 2, to: 1}}"), @r"
    shop.yaml:3:12: `product` has no number from 2 to 1 with 2 digits after the point

    hint: write the smaller one as `from`, 9 digits at most, and 15 digits in all
    ");
    insta::assert_snapshot!(refusal("{choice: [1, 2]}", "{decimal: {from: 1, to: 2, digits: 10}}"), @r"
    shop.yaml:3:12: `product` has no number from 1 to 2 with 10 digits after the point

    hint: write the smaller one as `from`, 9 digits at most, and 15 digits in all
    ");
    insta::assert_snapshot!(refusal("{choice: [1, 2]}", "{alphanumeric: {length: 0}}"), @r"
    shop.yaml:3:12: `product` cannot be that long

    hint: give a length from 1 to 10000
    ");
    insta::assert_snapshot!(refusal("{choice: [1, 2]}", "{timestamp: unix}"), @r"
    shop.yaml:3:24: unknown word `unix`

    hint: did you mean `unix_ms`?
    ");
}

#[test]
fn conditions_and_repeats_that_cannot_be_are_told() {
    insta::assert_snapshot!(step_refusal("get: /\n        if: ${product} = 1"), @r"
    shop.yaml:13:13: `${product} = 1` is not a condition

    hint: write `${stock} > 0`, `${state} == done` or `${token} exists` (or `missing`), joined by `and`; compare with ==, !=, <, <=, > or >=
    ");
    insta::assert_snapshot!(step_refusal("get: /\n        if: 1 == 1"), @r"
    shop.yaml:13:13: `1 == 1` asks about no variable

    hint: write `${stock} > 0`, `${state} == done` or `${token} exists` (or `missing`), joined by `and`; compare with ==, !=, <, <=, > or >=
    ");
    insta::assert_snapshot!(step_refusal("get: /\n        if: ${token} exists"), @r"
    shop.yaml:13:13: the variable `${token}` has no value here

    hint: no earlier step of the journey extracts it: move the step that does before this one
    ");
    insta::assert_snapshot!(step_refusal("get: /\n        if: ${prodct} > 1"), @r"
    shop.yaml:13:13: unknown variable `${prodct}`

    hint: did you mean `product`?
    ");
    insta::assert_snapshot!(step_refusal("get: /\n        repeat: 0"), @r"
    shop.yaml:13:17: a step that is sent no time is none

    hint: give a number above 0, or leave it out
    ");
    insta::assert_snapshot!(step_refusal("get: /\n        repeat: often"), @r#"
    shop.yaml:13:17: this does not say how often

    hint: write `repeat: 3`, `repeat: {from: 1, to: 4}` or `repeat: {until: "${state} == done", at_most: 10}`
    "#);
    insta::assert_snapshot!(step_refusal("get: /\n        repeat: 10001"), @r"
    shop.yaml:11:9: this may be sent 10001 times in one journey

    hint: repeat it less: 10000 times at most, all the repeats around it multiplied
    ");
    insta::assert_snapshot!(step_refusal("get: /\n        repeat: {from: 3, to: 1}"), @r"
    shop.yaml:13:24: there is no number of times from 3 to 1

    hint: write the smaller one as `from`, and a `to` above 0
    ");
    insta::assert_snapshot!(step_refusal("get: /\n        repeat: {until: '${product} == 1'}"), @r#"
    shop.yaml:13:17: this does not say how often

    hint: write `repeat: 3`, `repeat: {from: 1, to: 4}` or `repeat: {until: "${state} == done", at_most: 10}`
    "#);
    insta::assert_snapshot!(step_refusal("get: /\n        repeat: {untl: '${product} == 1', at_most: 2}"), @r"
    shop.yaml:13:18: unknown key `untl`

    hint: did you mean `until`?
    ");
    insta::assert_snapshot!(refusal("timeout: 5s", "if: ${product} == 1"), @r"
    shop.yaml:22:13: how many requests a journey makes depends on this condition, so requests per second cannot be planned

    hint: write `unit: arrivals_per_second` under `load`, and the levels of the stages as arrivals
    ");
    insta::assert_snapshot!(step_refusal("steps: [{name: a, get: /}]"), @r"
    shop.yaml:11:15: a group of steps is no request of its own

    hint: leave only `if`, `repeat` and `steps`, and move the rest into its steps

    shop.yaml:12:16: this group has neither `if` nor `repeat`

    hint: add one, or write its steps without it

    shop.yaml:17:28: unknown variable `${token}`

    hint: choose among `base_url`, `product`, `shop`
    ");
    insta::assert_snapshot!(refusal("patch: \"/products/1/?shop=${shop}\"", "get: /, repeat: 2"), @r"
    shop.yaml:6:37: a set-up step is sent once

    hint: leave `if`, `repeat` and `steps` out
    ");
}

/// What a file with this CSV and these other words for its data is told.
fn csv_refusal(csv: &[u8], data: &str, load: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("users.csv"), csv).unwrap();
    let text = format!(
        "name: s\ndata:\n  users: {{file: users.csv{data}}}\n\
         journeys: [{{name: j, steps: [{{name: a, get: '/${{users.email}}'}}]}}]\nload: {load}\n\
         stages: [{{name: n, hold: 3, duration: 1s}}]\n"
    );
    let path = folder.path().join("shop.yaml");
    let told = Scenario::from_yaml(&path, &text).expect_err("this is wrong").to_string();
    told.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn malformed_csv_is_refused_with_its_line() {
    insta::assert_snapshot!(csv_refusal(b"email,age\na,1\nb\n", "", "closed"), @r#"
    shop.yaml:3:17: users.csv:3: the line has 1 fields, the first line 2

    hint: the first line names the columns, each other line is a row; a text with `,`, `"` or a line break stands in double quotes, each `"` in it twice
    "#);
    insta::assert_snapshot!(csv_refusal(b"email,age\na,1\n\"b,2\nc,3\n", "", "closed"), @r#"
    shop.yaml:3:17: users.csv:3:1: the quote that opens here is not closed

    hint: the first line names the columns, each other line is a row; a text with `,`, `"` or a line break stands in double quotes, each `"` in it twice
    "#);
    insta::assert_snapshot!(csv_refusal(b"email,age\na,1\nb\"c,2\n", "", "closed"), @r#"
    shop.yaml:3:17: users.csv:3:2: a quote stands inside a field that has none around it

    hint: the first line names the columns, each other line is a row; a text with `,`, `"` or a line break stands in double quotes, each `"` in it twice
    "#);
    insta::assert_snapshot!(csv_refusal(b"email,age\n\"a\"b,1\n", "", "closed"), @r#"
    shop.yaml:3:17: users.csv:2:4: after a closing quote a `,` or the end of the line is missing

    hint: the first line names the columns, each other line is a row; a text with `,`, `"` or a line break stands in double quotes, each `"` in it twice
    "#);
    insta::assert_snapshot!(csv_refusal(b"email,age\na,1\nb,\xff\n", "", "closed"), @r#"
    shop.yaml:3:17: users.csv:3: field 2 is not UTF-8

    hint: the first line names the columns, each other line is a row; a text with `,`, `"` or a line break stands in double quotes, each `"` in it twice
    "#);
    insta::assert_snapshot!(csv_refusal(b"email,age\na,1\nb,old\n", ", numbers: [age]", "closed"), @r"
    shop.yaml:3:17: users.csv:3: `old` in column `age` is not a number

    hint: mend the line, or take the column out of `numbers`
    ");
    insta::assert_snapshot!(csv_refusal(b"email,e mail\na,1\n", "", "closed"), @r#"
    shop.yaml:3:17: users.csv:1: column 2 cannot be called `e mail`: use letters, digits and `_`

    hint: the first line names the columns, each other line is a row; a text with `,`, `"` or a line break stands in double quotes, each `"` in it twice
    "#);
    insta::assert_snapshot!(csv_refusal(b"email,email\na,1\n", "", "closed"), @r#"
    shop.yaml:3:17: users.csv:1: two columns are called `email`

    hint: the first line names the columns, each other line is a row; a text with `,`, `"` or a line break stands in double quotes, each `"` in it twice
    "#);
    insta::assert_snapshot!(csv_refusal(b"email\n", "", "closed"), @r#"
    shop.yaml:3:17: users.csv: it has no rows

    hint: the first line names the columns, each other line is a row; a text with `,`, `"` or a line break stands in double quotes, each `"` in it twice
    "#);
}

#[test]
fn data_that_cannot_be_is_told() {
    let csv = b"email,age\na,1\nb,2\n";
    insta::assert_snapshot!(csv_refusal(csv, ", numbers: [aeg]", "closed"), @r"
    shop.yaml:3:38: users.csv has no column `aeg`

    hint: did you mean `age`?
    ");
    insta::assert_snapshot!(csv_refusal(csv, ", order: sequentially", "closed"), @r"
    shop.yaml:3:35: unknown word `sequentially`

    hint: did you mean `sequential`?
    ");
    insta::assert_snapshot!(csv_refusal(csv, ", order: unique_per_virtual_user", "closed"), @r"
    shop.yaml:3:35: users.csv has 2 rows for 3 virtual users

    hint: add rows, lower the levels of the stages, or write `sequential`
    ");
    let open = "{open: {arrivals: poisson, unit: arrivals_per_second}}";
    insta::assert_snapshot!(csv_refusal(csv, ", order: unique_per_virtual_user", open), @r"
    shop.yaml:3:35: an open load has arrivals and no virtual users

    hint: write `sequential`, which gives each arrival the next row, or `load: closed`
    ");
    insta::assert_snapshot!(csv_refusal(b"mail\na\n", "", "closed"), @r"
    shop.yaml:4:45: unknown variable `${users.email}`

    hint: did you mean `users.mail`?
    ");
    insta::assert_snapshot!(refusal("set_up:", "data: {users: {file: nowhere.csv}}\nset_up:"), @r"
    shop.yaml:5:22: cannot read the file nowhere.csv: No such file or directory (os error 2)

    hint: a path goes from the folder of the scenario file
    ");
    insta::assert_snapshot!(refusal("set_up:", "data: {users: {file: /dev/zero}}\nset_up:"), @r"
    shop.yaml:5:22: cannot read the file /dev/zero: it is no file

    hint: a path goes from the folder of the scenario file
    ");
}

#[test]
fn groups_become_blocks_over_the_flat_list_of_steps() {
    let scenario = parse(
        "name: s
journeys:
  - name: j
    steps:
      - {name: a, get: /, extract: {x: {json: $.x}}, expect: {max_size: 1KiB}}
      - repeat: {from: 1, to: 3}
        if: ${x} > 0
        steps:
          - {name: b, get: /}
          - {name: c, get: /, repeat: 4}
      - {name: d, get: /}
load: closed
stages: [{name: n, hold: 1, duration: 1s}]",
    );
    let [journey] = scenario.journeys.as_slice() else { panic!("one journey") };
    assert_eq!(scenario.step_names(), ["a", "b", "c", "d"]);
    assert_eq!(journey.steps[0].expect.checks, [Check::BytesMax(1024)]);
    let groups: Vec<_> = journey.groups.iter().map(|group| (group.first, group.count, group.repeat.clone())).collect();
    assert_eq!(
        groups,
        [(1, 2, Some(Repeat::Times { from: 1, to: 3 })), (2, 1, Some(Repeat::Times { from: 4, to: 4 }))]
    );
    assert_eq!(journey.groups[0].condition.as_ref().map(|condition| condition.0.as_str()), Some("${x} > 0"));
    // 1 + 2 rounds of (1 + 4) + 1.
    assert_eq!(scenario.steps_per_arrival(), 12.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a CSV file holds: rows that are as long as the first line, or a message.
    #[test]
    fn any_csv_is_rows_or_a_message(any in any::<Vec<u8>>(), almost in "(email|a|\"|,|\n|\r\n| |ü){0,30}") {
        for content in [any.as_slice(), almost.as_bytes(), format!("email,b\n{almost}").as_bytes()] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("users.csv"), content).unwrap();
            let text = "name: s\ndata: {users: {file: users.csv}}\njourneys: [{name: j, steps: [{name: a, get: /}]}]\n\
                        load: closed\nstages: [{name: n, hold: 3, duration: 1s}]\n";
            match Scenario::from_yaml(&folder.path().join("s.yaml"), text) {
                Ok(scenario) => {
                    let users = &scenario.data["users"];
                    prop_assert!(!users.rows.is_empty());
                    prop_assert!(users.rows.iter().all(|row| row.len() == users.columns.len()));
                }
                Err(error) => prop_assert!(error.to_string().contains("users.csv"), "{error}"),
            }
        }
    }
}
