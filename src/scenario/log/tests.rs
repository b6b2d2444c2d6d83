//! What each format reads, what it refuses and where, and that no bytes make it panic.

use super::*;
use proptest::prelude::*;

fn options(format: LogFormat, skip_bad_lines: bool) -> LogOptions {
    LogOptions { format, skip_bad_lines, column: Column::Number(0), unit: TimeUnit::Seconds, requests: None }
}

/// The recorded times in milliseconds, and how many lines were left out.
fn read(text: &str, options: &LogOptions) -> (Vec<u64>, u64) {
    let log = read_log(text.as_bytes(), options).unwrap_or_else(|error| panic!("{error}"));
    (log.times.0.iter().map(|time| time / 1_000_000).collect(), log.bad)
}

fn refusal(text: &str, format: LogFormat) -> String {
    read_log(text.as_bytes(), &options(format, false)).map(|_| ()).unwrap_err().to_string()
}

const COMMON: &str = r#"203.0.113.7 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326
2001:db8::1 - - [10/Oct/2000:22:55:38 +0200] "GET /say?\"hi\" HTTP/1.1" 304 -

203.0.113.8 - john smith [10/Oct/2000:20:55:37 +0000] "\x16\x03" 400 0 "later" fields=12
"#;

#[test]
fn common_log_format_is_read_whatever_its_order_and_offsets() {
    assert_eq!(read(COMMON, &options(LogFormat::Common, false)), (vec![0, 1000, 2000], 0));
    let windows = COMMON.replace('\n', "\r\n");
    assert_eq!(read(&windows, &options(LogFormat::Common, false)), (vec![0, 1000, 2000], 0));
}

#[test]
fn combined_log_format_wants_referer_and_user_agent() {
    let combined = COMMON.lines().filter(|line| !line.is_empty()).map(|line| {
        let known = line.split(" \"later\"").next().unwrap_or_default();
        format!("{known} \"https://example.com/\" \"Mozilla/5.0 (\\\"quoted\\\")\" 0.003\n")
    });
    let combined: String = combined.collect();
    assert_eq!(read(&combined, &options(LogFormat::Combined, false)), (vec![0, 1000, 2000], 0));
    insta::assert_snapshot!(refusal(COMMON, LogFormat::Combined), @"1:80: here the referer should be");
}

#[test]
fn a_bad_line_is_told_with_line_and_column() {
    let spoilt = |from: &str, to: &str| refusal(&COMMON.replacen(from, to, 1), LogFormat::Common);
    insta::assert_snapshot!(spoilt("10/Oct/2000:22", "10/Okt/2000:22"), @"2:18: `10/Okt/2000:22:55:38 +0200` is not a time such as 10/Oct/2000:13:55:36 -0700");
    insta::assert_snapshot!(spoilt("/a.gif HTTP/1.0\"", "/a.gif"), @"1:49: here the request should be");
    insta::assert_snapshot!(spoilt(" 304", ""), @"2:74: here the size of the answer should be");
    insta::assert_snapshot!(spoilt("-0700]", "-0700"), @"1:22: the time has no `]` at its end");
    insta::assert_snapshot!(refusal("é é [x]\n", LogFormat::Common), @"1:6: `x` is not a time such as 10/Oct/2000:13:55:36 -0700");
    insta::assert_snapshot!(refusal(&format!("{}\n", "x".repeat(2_000_000)), LogFormat::Common), @"1:1: this is longer than 1048576 bytes, the most that a log's line may have");
}

#[test]
fn bad_lines_are_left_out_and_counted_where_that_is_asked_for() {
    let spoilt = COMMON.replacen("10/Oct/2000:22", "10/Okt/2000:22", 1) + "cut off\n";
    assert_eq!(read(&spoilt, &options(LogFormat::Common, true)), (vec![0, 1000], 2));
    let error = read_log(&b"\x1f\x8b\x08\n\n?"[..], &options(LogFormat::Common, true)).unwrap_err();
    assert!(matches!(error, LogError::Empty { bad: 2, first: Some(BadLine { line: 1, .. }), others: 0 }), "{error:?}");
    let error = read_log("?\n".repeat(500).as_bytes(), &options(LogFormat::Common, false)).unwrap_err();
    assert!(matches!(error, LogError::Bad { count: BAD_LINES_MAX, more: true, .. }), "{error:?}");
}

#[test]
fn csv_has_a_column_of_times() {
    let csv = |column: Column, unit: TimeUnit| LogOptions { column, unit, ..options(LogFormat::Csv, false) };
    let text = "path,\"time, UTC\"\n/a,2026-11-22T16:00:00.25Z\n\"/b,\"\"c\"\"\",2026-11-22T17:00:01+01:00\n";
    let named = csv(Column::Name("time, UTC".to_owned()), TimeUnit::Seconds);
    assert_eq!(read(text, &named), (vec![0, 750], 0));
    assert_eq!(read(text, &csv(Column::Number(1), TimeUnit::Seconds)), (vec![0, 750], 0));
    assert_eq!(read("10\n12.0005\n11.5\n", &csv(Column::Number(0), TimeUnit::Seconds)), (vec![0, 1500, 2000], 0));
    assert_eq!(read("t\n1000\n2500\n", &csv(Column::Number(0), TimeUnit::Milliseconds)), (vec![0, 1500], 0));
    // Exactly, to the nanosecond, at the size of today's clocks.
    let log =
        read_log(&b"1795363200.000000001\n1795363200.000000004\n"[..], &csv(Column::Number(0), TimeUnit::Seconds));
    assert_eq!(*log.unwrap().times.0, [0, 3]);

    insta::assert_snapshot!(refusal("1\n2\nthree,4\n", LogFormat::Csv), @"3:1: `three` is not a time: neither a plain number nor such as 2026-11-22T16:00:00.25Z");
    let second = |text: &str| {
        read_log(text.as_bytes(), &csv(Column::Number(1), TimeUnit::Seconds)).map(|_| ()).unwrap_err().to_string()
    };
    insta::assert_snapshot!(second("a,time\n\"x,\"\"y\",5\n\"x,\"\"y\",-5\n"), @"3:9: `-5` is not a time: neither a plain number nor such as 2026-11-22T16:00:00.25Z");
    insta::assert_snapshot!(second("a,time\nb\n"), @"2:1: this line has 1 column, and the times are in number 2");
    let unnamed = csv(Column::Name("tmie".to_owned()), TimeUnit::Seconds);
    let error = read_log(text.as_bytes(), &unnamed).unwrap_err();
    assert!(matches!(&error, LogError::NoColumn { columns, .. } if columns[1] == "time, UTC"), "{error:?}");
}

const ENTRY: &str = r#"{"insertId":"1","httpRequest":{"requestMethod":"GET","latency":"0.012s"},"timestamp":"2026-11-22T16:00:00.500Z","labels":{"a":"}]\""}}"#;
const LATER: &str = r#"{"timestamp":"2026-11-22T16:00:02Z","httpRequest":{"status":200}}"#;
const OTHER: &str = r#"{"timestamp":"2026-11-22T16:00:09Z","textPayload":"started"}"#;

#[test]
fn cloud_logging_is_read_line_by_line_and_as_an_array() {
    let cloud = options(LogFormat::CloudLogging, false);
    let lines = format!("{LATER}\n{OTHER}\n\n{ENTRY}\n");
    assert_eq!(read(&lines, &cloud), (vec![0, 1500], 0));
    let pretty: serde_json::Value = serde_json::from_str(&format!("[{LATER},{OTHER},{ENTRY}]")).unwrap();
    assert_eq!(read(&format!("{pretty:#}\n"), &cloud), (vec![0, 1500], 0));
    assert_eq!(read(&format!("\u{feff} [{LATER} , {ENTRY}]"), &cloud), (vec![0, 1500], 0));
    let error = read_log(OTHER.as_bytes(), &cloud).unwrap_err();
    assert!(matches!(error, LogError::Empty { bad: 0, others: 1, .. }), "{error:?}");
}

#[test]
fn a_bad_entry_is_told_with_line_and_column() {
    let cloud = |text: &str| refusal(text, LogFormat::CloudLogging);
    insta::assert_snapshot!(cloud(&format!("{LATER}\n{{\"a\" 1}}\n")), @"2:6: this is not a log entry: expected `:`");
    insta::assert_snapshot!(cloud("{\"httpRequest\": {}}\n"), @"1:1: this entry has `httpRequest`, but no `timestamp`");
    insta::assert_snapshot!(cloud("{\"httpRequest\": {}, \"timestamp\": \"yesterday\"}\n"), @"1:21: `yesterday` is not a time such as 2026-11-22T16:00:00.25Z");
    insta::assert_snapshot!(cloud("5\n"), @"1:1: this is not a log entry: invalid type: integer `5`, expected an object");
    // In an array of several lines, places count from its beginning.
    insta::assert_snapshot!(cloud(&format!("[\n  {LATER},\n  {{\n    \"timestamp\": 5\n  }}\n]")), @"4:18: this is not a log entry: invalid type: integer `5`, expected a string");
    insta::assert_snapshot!(cloud(&format!("[{LATER},")), @"1:68: the array has no end: the file was cut");
    insta::assert_snapshot!(cloud(&format!("[{LATER}] {ENTRY}")), @"1:69: the array has ended before this");
    // One bad entry does not spoil its neighbours.
    let spoilt = format!("[{LATER}, {{\"a\" 1}}, nonsense, {ENTRY}]");
    assert_eq!(read(&spoilt, &options(LogFormat::CloudLogging, true)), (vec![0, 1500], 2));
}

fn any_format() -> impl Strategy<Value = LogFormat> {
    prop_oneof![Just(LogFormat::Csv), Just(LogFormat::CloudLogging), Just(LogFormat::Common), Just(LogFormat::Combined)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A log of so many lines, spoilt anywhere: what is told is a place in it, and with `skip` no arrival is made up.
    #[test]
    fn a_spoilt_log_is_told_or_its_rest_is_used(
        format in any_format(), at in 0..600_usize, length in 0..40_usize, typed in "[\\[\\]{}\",: \n0-9a-z\\\\-]{0,8}",
        as_array in any::<bool>(),
    ) {
        let line = COMMON.lines().next().unwrap();
        let text = match format {
            LogFormat::Csv => "time,x\n".to_owned() + &"12.5,\"a\"\n".repeat(60),
            LogFormat::CloudLogging if as_array => format!("[{}]", [ENTRY, OTHER, LATER, ENTRY].join(",\n")),
            LogFormat::CloudLogging => [ENTRY, OTHER, LATER, ENTRY].join("\n"),
            LogFormat::Common => format!("{line}\n").repeat(7),
            LogFormat::Combined => format!("{line} \"-\" \"x\"\n").repeat(7),
        };
        let at = at.min(text.len());
        let end = (at + length).min(text.len());
        let spoilt = format!("{}{typed}{}", &text[..at], &text[end..]);
        let lines = spoilt.split('\n').count() as u64;
        match read_log(spoilt.as_bytes(), &options(format, false)) {
            Ok(log) => prop_assert_eq!(log.bad, 0),
            Err(LogError::Bad { first, count, .. }) => {
                prop_assert!(count > 0 && (1..=lines).contains(&first.line), "{first:?} of {lines}");
                let width = spoilt.split('\n').nth(usize::try_from(first.line - 1).unwrap()).unwrap().chars().count();
                prop_assert!((1..=width as u64 + 1).contains(&first.column), "{first:?} of {width}");
            }
            Err(error) => prop_assert!(matches!(error, LogError::Empty { .. }), "{error:?}"),
        }
        if let Ok(log) = read_log(spoilt.as_bytes(), &options(format, true)) {
            prop_assert!(log.times.0.len() as u64 + log.bad <= lines + spoilt.matches(',').count() as u64 + 2);
            prop_assert!(log.times.0.is_sorted() && log.times.0[0] == 0);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(format in any_format(), bytes in prop::collection::vec(any::<u8>(), 0..300), skip in any::<bool>()) {
        let _ = read_log(&bytes[..], &options(format, skip)).is_ok();
    }
}
