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
    fn bodies(
        encoding in prop_oneof![0..6_u8, 126..132_u8], bytes in prop::collection::vec(any::<u8>(), 0..60), mut json in nearly_json(),
        at in any::<prop::sample::Index>(), typed in "[a-c\"'\\\\{}\\[\\]:, 0-9eE+.-]{0,3}",
    ) {
        let _ = entries::bodies(&[&[encoding], bytes.as_slice()].concat());
        let _ = entries::bodies(&[b"\0", json.as_bytes()].concat());
        let mut place = at.index(json.len() + 1);
        while !json.is_char_boundary(place) {
            place -= 1;
        }
        json.insert_str(place, &typed);
        let _ = entries::bodies(&[b"\0", json.as_bytes()].concat());
    }

    #[test]
    fn templates(text in any::<String>(), almost in "[$a-z{}\"\\\\\r\n é]{0,20}(\\$\\{[venx]\\}|\\$\\$\\{){0,3}[$a-z{}]{0,6}") {
        entries::templates(text.as_bytes());
        entries::templates(almost.as_bytes());
    }
}

/// JSON of the members and places that are asked for, members twice among them, and white space anywhere.
fn nearly_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-0.50e+3".to_owned()),
        Just("12345678901234567890123".to_owned()),
        Just("\"\\u00e9\\n\\\\ \\ud83d\\ude00\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("\"é\"".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let member = ("(a|b|c|d|e|x|\\\\u0061)", inner.clone());
        prop_oneof![
            prop::collection::vec(member, 0..5).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!(" \"{name}\"\n:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}\t]", items.join(" ,"))),
        ]
    })
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

/// Fuzzing bodies in which nothing is found shows nothing.
#[test]
fn something_is_found_in_some_bodies() {
    let text = |found: Option<Vec<u8>>| String::from_utf8(found.unwrap()).unwrap();
    let body = b"\0{\"a\": {\"b\": 1, \"c\": [null, {\"x\": \"y\"}], \"b\": [2.0]}}";
    let found = text(entries::bodies(body));
    assert_eq!(found, r#"{"v0":[2.0],"v1":null,"v2":null,"v3":null,"v4":null,"v5":null,"v6":"y"}"#);
    // The content of a zstd frame, in one block as it is.
    let zstd = b"\x04\x28\xb5\x2f\xfd\x20\x07\x39\0\0{\"b\":7}";
    assert!(text(entries::bodies(zstd)).contains("\"v5\":7"));
    assert_eq!(entries::bodies(&[b"\x84", &zstd[1..]].concat()), None, "not everything is in it");
}

/// Requests that are nearly right: methods, paths, headers and bodies that the platform knows, put together anyhow.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    const SERVICES: &str = "/v2/projects/p/locations/l/services";
    let method = "(GET|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|get|[A-Z]{0,3})";
    let path = prop_oneof![
        Just(String::new()),
        Just(SERVICES.to_owned()),
        Just(format!("{SERVICES}/shop?updateMask=template.revision&validateOnly=1")),
        Just(format!("{SERVICES}/shop/revisions/a")),
        Just(format!("{SERVICES}?serviceId=shop")),
        Just("http://europe-west1-run.googleapis.com/apis/serving.knative.dev/v1/namespaces/p/services".to_owned()),
        Just("/v3/projects/p/timeSeries?filter=metric.type%3D%22run.googleapis.com%2Frequest_count%22".to_owned()),
        Just("/google.monitoring.v3.MetricService/ListTimeSeries".to_owned()),
        "[/a-z0-9%?&=:*{}.-]{0,40}".prop_map(|rest| format!("/{rest}")),
    ];
    let header = prop_oneof![
        Just("host: x".to_owned()),
        Just("content-type: application/grpc".to_owned()),
        Just("transfer-encoding: chunked".to_owned()),
        Just("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__".to_owned()),
        (0..100_usize).prop_map(|length| format!("content-length: {length}")),
        "[a-z:]{0,9}: ?\\PC{0,20}",
        Just(format!("x: {}", "y".repeat(100_000))),
    ];
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        Just(b"{\"template\":{\"containers\":[{\"image\":\"tidegate/command\",\"command\":[\"x\"]}]}}".to_vec()),
        Just(b"5\r\n{\"a\":\r\n0\r\n\r\n".to_vec()),
        Just(b"\0\0\0\0\x05\x12\xff\xff\xff\x0f".to_vec()),
    ];
    (method, path, prop::collection::vec(header, 0..6), body, any::<bool>()).prop_map(
        |(method, path, headers, body, old)| {
            let version = if old { "1.0" } else { "1.1" };
            let mut bytes = format!("{method} {path} HTTP/{version}\r\n{}\r\n\r\n", headers.join("\r\n")).into_bytes();
            bytes.extend(body);
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn endpoints(
        bytes in prop::collection::vec(any::<u8>(), 0..300), request in nearly_requests(),
        frames in prop::collection::vec((0..12_u8, any::<u8>(), 0..4_u32, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        let answer = entries::endpoints(&bytes);
        prop_assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 ") || answer.starts_with(b"HTTP/1.0 "));
        let _ = entries::endpoints(&request);
        let mut http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        for (kind, flags, stream, payload) in frames {
            http2.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
            http2.extend([kind, flags]);
            http2.extend(stream.to_be_bytes());
            http2.extend(payload);
        }
        let _ = entries::endpoints(&http2);
    }
}

/// Fuzzing with bytes that never get as far as a handler shows nothing.
#[test]
fn some_requests_come_through() {
    let body = r#"{"template":{"containers":[{"image":"tidegate/command","command":["x"]}]}}"#;
    let path = "/v2/projects/p/locations/l/services?serviceId=shop";
    let create = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let answer = entries::endpoints(create.as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let answer = entries::endpoints(long.as_bytes());
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
}
