//! Traces: a span for each request under its caller's, and one for each statement under the request's, sent by
//! OTLP over HTTP to a collector. Without one nothing here runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};

use crate::route::Route;

/// Where spans go, and whose they are. It holds the headers, which may be secret, so it has no `Debug`.
#[derive(Clone)]
pub(crate) struct Collector {
    /// The whole address of the traces.
    pub(crate) endpoint: String,
    /// Headers of each sending.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) service: String,
    pub(crate) revision: Option<String>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Collector").field(&self.endpoint).finish()
    }
}

/// The spans of this process. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// Spans that were begun and are to be sent, less those that the collector has taken.
    open: Arc<AtomicU64>,
}

impl Traces {
    /// Starts the thread that sends. The sampler is that of `OTEL_TRACES_SAMPLER`: what the caller decided, else all.
    pub(crate) fn start(collector: &Collector) -> Result<Self, ExporterBuildError> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&collector.endpoint)
            .with_headers(collector.headers.iter().cloned().collect())
            .build()?;
        let open = Arc::new(AtomicU64::new(0));
        let mut resource = Resource::builder()
            .with_service_name(collector.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if let Some(revision) = &collector.revision {
            resource = resource.with_attribute(KeyValue::new("faas.version", revision.clone()));
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Counted { exporter, open: Arc::clone(&open) })
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("target-service");
        Ok(Self { provider, tracer, open })
    }

    /// The span of a request, under the one that its `traceparent` names.
    pub(crate) fn request(&self, request: &Parts, scheme: &'static str) -> Context {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(&request.headers));
        let method = request.method.as_str().to_owned();
        let route = Route::of(request.uri.path()).map(|route| route.template());
        let name = route.map_or_else(|| method.clone(), |route| format!("{method} {route}"));
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.path", request.uri.path().to_owned()),
            KeyValue::new("url.scheme", scheme),
        ];
        attributes.extend(route.map(|route| KeyValue::new("http.route", route)));
        let span = self.tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        self.begin(span, &parent)
    }

    /// The span of a statement, under the current one. Statements hold no values: those travel as parameters.
    pub(crate) fn statement(&self, system: &'static str, sql: &str) -> Context {
        let parent = Context::current();
        let attributes = [KeyValue::new("db.system.name", system), KeyValue::new("db.query.text", sql.to_owned())];
        let span = self.tracer.span_builder(summary(sql)).with_kind(SpanKind::Client).with_attributes(attributes);
        self.begin(span, &parent)
    }

    fn begin(&self, span: SpanBuilder, parent: &Context) -> Context {
        let span = span.start_with_context(&self.tracer, parent);
        if span.span_context().is_sampled() {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        parent.with_span(span)
    }

    /// Sends what is left, for as long as `time` at most, and says how many spans were never taken. Blocks.
    pub(crate) fn finish(&self, time: Duration) -> u64 {
        // What could not be sent stays counted.
        let _ = self.provider.shutdown_with_timeout(time);
        self.open.load(Ordering::Relaxed)
    }
}

/// Ends the span of a request with its answer's status.
pub(crate) fn end_request(context: &Context, status: u16) {
    let span = context.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
    if status >= 500 || status == 499 {
        span.set_status(Status::error(""));
    }
    span.end();
}

/// Ends the span of a statement, with its error if it had one.
pub(crate) fn end_statement(context: &Context, error: Option<String>) {
    let span = context.span();
    if let Some(error) = error {
        span.set_status(Status::error(error));
    }
    span.end();
}

/// Trace and span of a span that is sent, in hexadecimal digits.
pub(crate) fn ids(context: &Context) -> Option<(String, Option<String>)> {
    let span = context.span();
    let ids = span.span_context();
    ids.is_sampled().then(|| (ids.trace_id().to_string(), Some(ids.span_id().to_string())))
}

/// What a statement does to which table, such as `UPDATE product`.
fn summary(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let verb = words.iter().rev().find(|word| matches!(**word, "UPDATE" | "INSERT" | "DELETE"));
    let verb = verb.filter(|_| !sql.starts_with("SELECT")).copied().unwrap_or("SELECT");
    let is_before_table = |word: &str| matches!(word, "FROM" | "INTO" | "UPDATE");
    let table = words.windows(2).find(|pair| is_before_table(pair[0])).map(|pair| pair[1]);
    table.map_or_else(|| verb.to_owned(), |table| format!("{verb} {table}"))
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// An exporter that takes what it has sent off the count.
#[derive(Debug)]
struct Counted {
    exporter: opentelemetry_otlp::SpanExporter,
    open: Arc<AtomicU64>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        if result.is_ok() {
            self.open.fetch_sub(spans, Ordering::Relaxed);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_named_by_verb_and_table() {
        assert_eq!(summary("SELECT * FROM product ORDER BY id"), "SELECT product");
        assert_eq!(summary("UPDATE product SET active = FALSE WHERE id <> $1"), "UPDATE product");
        assert_eq!(summary("INSERT INTO testimonial (rating) VALUES ($1) RETURNING *"), "INSERT testimonial");
        assert_eq!(summary("DELETE FROM site_config WHERE id = $1"), "DELETE site_config");
        let locked = "WITH locked AS MATERIALIZED (SELECT id FROM product FOR UPDATE) UPDATE product SET id = 1";
        assert_eq!(summary(locked), "UPDATE product");
        assert_eq!(summary("SELECT 1"), "SELECT");
    }

    #[test]
    fn headers_are_never_shown() {
        let headers = vec![("authorization".to_owned(), "hunter2".to_owned())];
        let endpoint = "http://localhost:4318/v1/traces".to_owned();
        let collector = Collector { endpoint, headers, service: "shop".to_owned(), revision: None };
        assert!(!format!("{collector:?}").contains("hunter2"));
    }
}
