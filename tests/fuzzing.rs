//! The entry points of the fuzz targets (`tests/fuzz`), driven with every test run: whatever bytes there are, and files
//! that were valid until something was typed into them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

#[path = "fuzz/src/lib.rs"]
pub mod entries;

use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// A file with some of its bytes replaced.
fn spoilt(file: &[u8], at: usize, length: usize, typed: &[u8]) -> Vec<u8> {
    let at = at % (file.len() + 1);
    let end = (at + length).min(file.len());
    [&file[..at], typed, &file[end..]].concat()
}

fn scenario_files() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.map(|path| fs::read(path).unwrap()).collect()
}

const LOGS: [&str; 4] = [
    "time,x\n1.5,\"a \"\"b\"\"\"\n2026-11-22T16:00:00Z,c\n",
    "[{\"timestamp\":\"2026-11-22T16:00:00.5Z\",\"httpRequest\":{}},\n {\"timestamp\":\"2026-11-22T16:00:00Z\",\"textPayload\":\"]}\\\"\"}]",
    "h - - [10/Oct/2000:13:55:36 -0700] \"GET /\\\"x HTTP/1.0\" 200 1\n",
    "h - u [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 304 - \"-\" \"agent\"\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn logs(
        how in any::<u8>(), bytes in prop::collection::vec(any::<u8>(), 0..200), of_format in any::<bool>(),
        at in any::<usize>(), length in 0..20_usize, typed in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let log = if of_format { spoilt(LOGS[usize::from(how % 4)].as_bytes(), at, length, &typed) } else { bytes };
        entries::logs(&[&[how], log.as_slice()].concat());
    }

    #[test]
    fn scenarios(
        bytes in prop::collection::vec(any::<u8>(), 0..200), which in any::<prop::sample::Index>(), at in any::<usize>(),
        length in 0..40_usize, typed in "[a-z0-9${}\\[\\]:,.<%\"' \n-]{0,6}",
    ) {
        entries::scenarios(&bytes);
        let files = scenario_files();
        entries::scenarios(&spoilt(&files[which.index(files.len())], at, length, typed.as_bytes()));
    }

    #[test]
    fn templates(text in any::<String>(), almost in "[$a-z{}\"\\\\\r\n é]{0,20}(\\$\\{[venx]\\}|\\$\\$\\{){0,3}[$a-z{}]{0,6}") {
        entries::templates(text.as_bytes());
        entries::templates(almost.as_bytes());
    }
}

/// Fuzzing a text that is always refused shows nothing.
#[test]
fn some_templates_come_through() {
    let text = |template: &str| {
        format!(
            "name: t\nvariables: {{v: email}}\njourneys: [{{name: j, steps: [{{name: s, get: \"/{template}\"}}]}}]\nload: closed\nstages: [{{name: n, hold: 1, duration: 1s}}]\n"
        )
    };
    for (template, valid) in [("${v}/a b", true), ("$${v}", true), ("${w}", false), ("${v", false)] {
        let scenario = tidegate::scenario::Scenario::from_yaml(Path::new("t"), &text(template));
        assert_eq!(scenario.is_ok(), valid, "{template}: {scenario:?}");
    }
}
