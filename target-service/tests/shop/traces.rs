//! Traces, as a collector on the loopback interface gets them.

use std::sync::{Arc, Mutex};

use crate::place::{Place, on_both};
use crate::service::{checkout, client, token};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::Value;

type Sendings = Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>;

/// A collector that keeps what it gets.
struct Collector {
    sendings: Sendings,
    endpoint: String,
}

impl Collector {
    fn start() -> Self {
        let sendings = Sendings::default();
        let keep = |State(sendings): State<Sendings>, headers: HeaderMap, body: Bytes| async move {
            sendings.lock().unwrap().push((headers, ExportTraceServiceRequest::decode(body).unwrap()));
            StatusCode::OK
        };
        let app = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&sendings));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        // In a thread of its own: the test's waits for lines of the log.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, app).await.unwrap();
            });
        });
        Self { sendings, endpoint }
    }

    fn spans(&self) -> Vec<Span> {
        let sendings = self.sendings.lock().unwrap();
        let resources = sendings.iter().flat_map(|(_, sending)| &sending.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        AnyValue::StringValue(text) => Some(text.clone()),
        AnyValue::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

async fn a_request_and_its_statements_are_spans_of_the_callers_trace(place: Place) {
    let collector = Collector::start();
    let headers = place.folder.path().join("headers");
    std::fs::write(&headers, "authorization=Bearer hunter2\n").unwrap();
    let service = place.start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS_FILE", headers.to_str().unwrap()),
        ("K_SERVICE", "shop"),
        ("K_REVISION", "shop-00007-abc"),
    ]);
    let client = client();
    let token = token(&client, &service).await;
    let items = r#"{"id":3,"countRequested":1},{"id":4,"countRequested":1}"#;
    let body = format!(r#"{{"customer":{{"email":"a@b.cd"}},"payment":{{"method":"collect"}},"items":[{items}]}}"#);
    let request = checkout(&client, &service, &token, body);
    let answer = request.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    client.get(service.url("/ready")).send().await.unwrap();
    // Not sampled by its caller, so not sent.
    let unsampled = format!("00-{}-{CALLER}-00", "1".repeat(32));
    client.get(service.url("/api/products/")).header("traceparent", unsampled).send().await.unwrap();
    let line = service.log_line(|line| line["httpRequest"]["requestMethod"] == "POST");
    service.terminate();
    let stopped = service.log_line(|line| line["message"] == "stopped");
    assert_eq!(stopped["process"]["spans_lost"], 0);
    assert_eq!(service.wait().code(), Some(0));

    let spans = collector.spans();
    let named =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"));
    let sale = named("POST /api/checkout");
    assert_eq!((hex(&sale.trace_id), hex(&sale.parent_span_id)), (TRACE.to_owned(), CALLER.to_owned()));
    assert_eq!(text(&sale.attributes, "http.route").as_deref(), Some("/api/checkout"));
    assert_eq!(text(&sale.attributes, "http.response.status_code").as_deref(), Some("200"));
    assert!(sale.end_time_unix_nano > sale.start_time_unix_nano);
    let update = named("UPDATE product");
    assert_eq!((&update.trace_id, &update.parent_span_id), (&sale.trace_id, &sale.span_id));
    let system = if place.url.starts_with("sqlite") { "sqlite" } else { "postgresql" };
    assert_eq!(text(&update.attributes, "db.system.name").as_deref(), Some(system));
    assert!(text(&update.attributes, "db.query.text").unwrap().contains("inventory_count - (CASE id WHEN $1"));
    assert!(update.start_time_unix_nano >= sale.start_time_unix_nano);
    assert!(update.end_time_unix_nano <= sale.end_time_unix_nano);
    // A request without a caller begins a trace of its own; health checks and what nobody sampled are not there.
    assert!(named("GET /api/csrf_token").parent_span_id.is_empty());
    assert!(!spans.iter().any(|span| span.name.contains("ready") || span.name == "GET /api/products/"), "{spans:#?}");
    // The log line leads to the span.
    assert_eq!(line["logging.googleapis.com/trace"], TRACE);
    assert_eq!(line["logging.googleapis.com/spanId"], hex(&sale.span_id));

    let sendings = collector.sendings.lock().unwrap();
    let (headers, sending) = &sendings[0];
    assert_eq!(headers["authorization"], "Bearer hunter2");
    let resource = &sending.resource_spans[0].resource.as_ref().unwrap().attributes;
    assert_eq!(text(resource, "service.name").as_deref(), Some("shop"));
    assert_eq!(text(resource, "faas.version").as_deref(), Some("shop-00007-abc"));
}

async fn a_collector_that_is_not_there_holds_nobody_up(place: Place) {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let service = place.start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &nobody)]);
    assert_eq!(client().get(service.url("/api/products/")).send().await.unwrap().status(), 200);
    service.terminate();
    let stopped = service.log_line(|line| line["message"] == "stopped");
    // The request, its statement, and the look whether the database is set up.
    assert_eq!(stopped["process"]["spans_lost"], 3, "{stopped}");
    assert_eq!(stopped["severity"], Value::from("INFO"));
    assert_eq!(service.wait().code(), Some(0));
}

on_both! {
    a_request_and_its_statements_are_spans_of_the_callers_trace,
    a_collector_that_is_not_there_holds_nobody_up,
}
