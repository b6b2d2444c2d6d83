//! What is fed with whatever bytes there are, and what must hold whatever they are: no panic, and these assertions. Used
//! by the fuzz targets beside it, and by `tests/fuzzing.rs`.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tidegate::platform::{
    Addresses, Clock, Operate, OperateError, RevisionSample, RevisionSpec, Route, ServeOptions, ServiceScaling, serve,
};
use tidegate::scenario::{
    Arrival, Body, Column, Log, LogError, LogFormat, LogOptions, LogRequest, Occasion, Plan, Request, RequestOptions,
    Scenario, ScenarioError, Session, TimeUnit, read_log,
};

/// Arrivals of a plan that are looked at.
const ARRIVALS: usize = 50;

/// Reads a log: the first byte chooses how.
///
/// # Panics
/// When the times are not in order, or what is told of bad lines is not true.
pub fn logs(data: &[u8]) {
    let Some((how, log)) = data.split_first() else { return };
    let options = |skip_bad_lines: bool| LogOptions {
        format: [LogFormat::Csv, LogFormat::CloudLogging, LogFormat::Common, LogFormat::Combined][usize::from(how % 4)],
        skip_bad_lines,
        column: if how & 4 == 0 { Column::Number(usize::from(how >> 6)) } else { Column::Name("time".to_owned()) },
        unit: if how & 8 == 0 { TimeUnit::Seconds } else { TimeUnit::Nanoseconds },
        requests: (how & 16 != 0).then(|| RequestOptions {
            methods: ["GET", "POST"].map(str::to_owned).to_vec(),
            path: Some(Column::Number(1)),
            method: (how & 32 != 0).then_some(Column::Number(2)),
            agent: None,
        }),
    };
    let strict = read_log(log, &options(false));
    let lenient = read_log(log, &options(true));
    if let Ok(Log { times, requests, .. }) = &lenient {
        assert!(times.0.is_sorted() && times.0.first() == Some(&0), "{times:?}");
        if let Some(requests) = requests {
            assert_eq!(requests.of_arrivals.len(), times.0.len());
            assert!(requests.of_arrivals.iter().all(|request| (*request as usize) < requests.different.len()));
            for LogRequest { path, .. } in &requests.different {
                let uri: http::Uri = path.parse().expect("a path");
                assert!(
                    path.starts_with('/')
                        && uri.host().is_none()
                        && uri.path_and_query().is_some_and(|all| *all == **path)
                );
            }
        }
    }
    match (strict, lenient) {
        (Ok(strict), Ok(lenient)) => assert_eq!((strict.times.0, strict.bad, lenient.bad), (lenient.times.0, 0, 0)),
        (Err(LogError::Bad { first, count, more }), lenient) => {
            let lines = log.split(|byte| *byte == b'\n').count() as u64;
            assert!((1..=lines).contains(&first.line) && first.column >= 1 && !first.cause.is_empty(), "{first:?}");
            match lenient {
                Err(LogError::NothingToSend { left_out }) => assert!(!left_out.is_empty()),
                Ok(Log { bad, .. }) | Err(LogError::Empty { bad, .. }) => {
                    assert!(bad == count || more && bad > count, "{bad} and {count}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        (strict, lenient) => assert!(strict.is_err() && lenient.is_err(), "{strict:?} and {lenient:?}"),
    }
}

/// Reads a scenario file and renders the first requests of its plan.
///
/// # Panics
/// When a refusal says nothing, a plan is not in order, or a request could not be sent.
pub fn scenarios(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Scenario::from_yaml(Path::new("fuzz.yaml"), text) {
        Ok(scenario) => plan(scenario),
        Err(error @ ScenarioError::Invalid { .. }) => {
            let ScenarioError::Invalid { problems, .. } = &error else { return };
            assert!(!problems.is_empty());
            assert!(problems.iter().all(|problem| !problem.message.is_empty() && !problem.hint.is_empty()), "{error}");
            assert!(!error.to_string().chars().any(|c| c.is_control() && c != '\n'), "{error:?}");
        }
        Err(_) => {}
    }
}

/// Puts a text into each place of a step where a template may stand.
///
/// # Panics
/// When the request that comes of it could not be sent.
pub fn templates(data: &[u8]) {
    let Ok(template) = std::str::from_utf8(data) else { return };
    // A JSON string is one of YAML too.
    let quoted = serde_json::Value::from(template).to_string();
    let path = serde_json::Value::from(format!("/{template}")).to_string();
    for step in [
        format!("get: {path}"),
        format!("get: /, headers: {{x-a: {quoted}}}"),
        format!("post: /, multipart: [{{name: {quoted}, text: {quoted}, filename: {quoted}}}, {{name: b, text: c}}]"),
        format!("post: /, json: {quoted}"),
        format!("post: /, json: {{a: [{quoted}, 1], {quoted}: {quoted}}}"),
    ] {
        scenarios(
            format!(
                "name: t\nvariables: {{v: {{constant: \"\\r\\n\\\"x\\u00e9\"}}, n: {{integer: {{from: 1, to: 9}}}}, e: email}}\n\
                 journeys: [{{name: j, steps: [{{name: s, {step}}}]}}]\n\
                 load: closed\nstages: [{{name: n, hold: 1, duration: 1s}}]\n"
            )
            .as_bytes(),
        );
    }
}

fn plan(scenario: Scenario) {
    let saved = serde_json::to_string(&scenario).expect("a scenario can be saved");
    let read: Scenario = serde_json::from_str(&saved).expect("and read again");
    assert_eq!(read, scenario);
    let plan = Plan::new(Arc::new(scenario), 7, 1.0);
    let mut last = std::time::Duration::ZERO;
    for arrival in plan.arrivals().take(ARRIVALS) {
        assert!(arrival.due >= last && arrival.due < plan.duration(), "{arrival:?}");
        last = arrival.due;
    }
    for journey in 0..plan.scenario().journeys.len() {
        let arrival = Arrival { index: 1, due: std::time::Duration::ZERO, journey, stage: 0, request: None };
        let occasion = Occasion::of_arrival(&arrival, jiff::Timestamp::UNIX_EPOCH);
        let mut session = Session::new(&plan, &occasion, plan.draws_of_arrival(1), "http://127.0.0.1:1/");
        for step in 0..plan.scenario().journeys[journey].steps.len() {
            let request = session.request(step);
            assert!(request.path.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", request.path);
            for (name, value) in &request.headers {
                let legal = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
                assert!(legal(name) && legal(value), "{name:?}: {value:?}");
            }
            if matches!(plan.scenario().journeys[journey].steps[step].body, Body::Json(_)) {
                let json = serde_json::from_slice::<serde_json::Value>(&request.body);
                assert!(json.is_ok(), "{:?}", request.body);
            }
            if let Body::Multipart(parts) = &plan.scenario().journeys[journey].steps[step].body {
                assert_parts(&request, parts.len());
            }
            let _ = session.accept(step, 200, &http::HeaderMap::new(), b"{\"a\": [1, \"two\", null]}").is_ok();
        }
    }
}

/// A form of several parts is cut where it should be, and each part has a head of lines that end in order.
fn assert_parts(request: &Request, parts: usize) {
    let kind = request.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
    let boundary = kind.and_then(|kind| kind.split_once("boundary=")).expect("a boundary").1;
    let between = format!("--{boundary}");
    let body = format!("\r\n{}", String::from_utf8_lossy(&request.body));
    let pieces: Vec<&str> = body.split(&format!("\r\n{between}")).collect();
    assert_eq!((pieces.len(), pieces[0], pieces[parts + 1].trim_end()), (parts + 2, "", "--"), "{body:?}");
    for piece in &pieces[1..=parts] {
        let (head, _) = piece.split_once("\r\n\r\n").expect("a head");
        let lines: Vec<&str> = head.split("\r\n").skip(1).collect();
        let known = |line: &&str| {
            line.starts_with("content-disposition: form-data; name=\"") || line.starts_with("content-type: ")
        };
        assert!(lines.iter().all(|line| known(line) && !line.contains(['\r', '\n'])), "{head:?}");
        assert!(lines[0].ends_with('"') && (lines.len() == 1 || lines.len() == 2), "{head:?}");
    }
}

/// Extractions by paths that one pass over the body answers, as the scenario writes them; `$["a"]` for `$['a']` asks the
/// same of the library.
const PATHS: [&str; 7] =
    ["$['a']['b']", "$['a']['c'][0]", "$['a']['d']['e']", "$[0]", "$[2]['a']", "$['b']", "$['a']['c'][1]['x']"];

/// The plans that `bodies` asks by: by the library and in one pass, everything needed and nothing. Made once: reading their
/// scenarios costs far more than reading a body.
static PLANS: LazyLock<[[Plan; 2]; 2]> =
    LazyLock::new(|| ["\"", "'"].map(|quote| [false, true].map(|optional| extracting(quote, optional))));

fn extracting(quote: &str, optional: bool) -> Plan {
    let extractions: Vec<String> = PATHS
        .iter()
        .enumerate()
        .map(|(index, path)| {
            let path = serde_json::Value::from(path.replace('\'', quote)).to_string();
            format!("v{index}: {{json: {path}, optional: {optional}}}")
        })
        .collect();
    let values: Vec<String> = (0..PATHS.len()).map(|index| format!("v{index}: \"${{v{index}}}\"")).collect();
    let text = format!(
        "name: b\njourneys: [{{name: j, steps: [{{name: s, get: /, extract: {{{}}}}}, {{name: t, post: /, json: {{{}}}}}]}}]\n\
         load: closed\nstages: [{{name: n, hold: 1, duration: 1s}}]\n",
        extractions.join(", "),
        values.join(", ")
    );
    let scenario = Scenario::from_yaml(Path::new("b.yaml"), &text).unwrap_or_else(|error| panic!("{error}"));
    Plan::new(Arc::new(scenario), 7, 1.0)
}

/// An answer's body, compressed or not as the first byte says, and whether everything must be found: what one pass over it finds is what the library finds in the
/// tree of it, and a body that cannot be read is told in the same words. Gives what was found, as JSON.
///
/// # Panics
/// When they differ.
#[must_use]
pub fn bodies(data: &[u8]) -> Option<Vec<u8>> {
    let (how, body) = data.split_first()?;
    let encoding = ["", "gzip", "deflate", "br", "zstd", "identity"][usize::from(how % 6)];
    let mut headers = http::HeaderMap::new();
    if !encoding.is_empty() {
        headers.insert("content-encoding", http::HeaderValue::from_static(encoding));
    }
    let optional = how & 0x80 == 0;
    let extracted = |quote: &str| {
        let plan = &PLANS[usize::from(quote == "'")][usize::from(optional)];
        let arrival = Arrival { index: 1, due: Duration::ZERO, journey: 0, stage: 0, request: None };
        let occasion = Occasion::of_arrival(&arrival, jiff::Timestamp::UNIX_EPOCH);
        let mut session = Session::new(plan, &occasion, plan.draws_of_arrival(1), "http://127.0.0.1:1/");
        let _ = session.request(0);
        let accepted = session.accept(0, 200, &headers, body).map_err(|failure| failure.to_string());
        accepted.map(|()| session.request(1).body)
    };
    let found = extracted("'");
    assert_eq!(found, extracted("\""), "{encoding}: {:?}", body.escape_ascii().to_string());
    found.ok().map(|found| found.to_vec())
}

/// A platform that runs nothing.
struct Nothing;

impl Operate for Nothing {
    async fn create_revision(&self, _: RevisionSpec) -> Result<(), OperateError> {
        Ok(())
    }

    async fn route(&self, _: &str, _: &[Route]) -> Result<Addresses, OperateError> {
        Ok(Addresses { service: "http://127.0.0.1:1".to_owned(), ..Addresses::default() })
    }

    async fn scale(&self, _: &str, _: ServiceScaling) {}

    async fn delete_service(&self, _: &str) {}

    async fn delete_revision(&self, _: &str, _: &str) {}

    async fn sample(&self) -> Vec<RevisionSample> {
        Vec::new()
    }
}

/// Sends the bytes to the port of the platform's APIs, as they are; gives what was answered.
///
/// # Panics
/// When the connection is kept open without a word, or the platform does not answer the next caller.
#[must_use]
pub fn endpoints(data: &[u8]) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let options = ServeOptions::new(1.0, Clock::system());
        let served = tokio::spawn(serve(listener, Arc::new(Nothing), options, std::future::pending()));
        let answer = exchange(address, data).await;
        let next = exchange(address, b"GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(next.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&next));
        served.abort();
        let ended = served.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "the platform ended by itself");
        answer
    })
}

/// Sends, ends the sending, and reads to the end.
async fn exchange(address: std::net::SocketAddr, data: &[u8]) -> Vec<u8> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    // The platform may have closed the connection before it had all.
    let _ = stream.write_all(data).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "a client that has said all is kept waiting: {:?}", String::from_utf8_lossy(data));
    answer
}
