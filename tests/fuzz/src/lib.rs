//! What is fed with whatever bytes there are, and what must hold whatever they are: no panic, and these assertions. Used
//! by the fuzz targets beside it, and by `tests/fuzzing.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate::platform::{
    Addresses, Clock, Operate, OperateError, RevisionSample, RevisionSpec, Route, ServeOptions, ServiceScaling, serve,
};
use tidegate::scenario::{
    Arrival, Body, Column, Log, LogError, LogFormat, LogOptions, Occasion, Plan, Scenario, ScenarioError, Session,
    TimeUnit, read_log,
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
        requests: None,
    };
    let strict = read_log(log, &options(false));
    let lenient = read_log(log, &options(true));
    if let Ok(Log { times, .. }) = &lenient {
        assert!(times.0.is_sorted() && times.0.first() == Some(&0), "{times:?}");
    }
    match (strict, lenient) {
        (Ok(strict), Ok(lenient)) => assert_eq!((strict.times.0, strict.bad, lenient.bad), (lenient.times.0, 0, 0)),
        (Err(LogError::Bad { first, count, more }), lenient) => {
            let lines = log.split(|byte| *byte == b'\n').count() as u64;
            assert!((1..=lines).contains(&first.line) && first.column >= 1 && !first.cause.is_empty(), "{first:?}");
            match lenient {
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
            let _ = session.accept(step, 200, &http::HeaderMap::new(), b"{\"a\": [1, \"two\", null]}").is_ok();
        }
    }
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
