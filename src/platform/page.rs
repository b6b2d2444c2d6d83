//! The page at `/`: what services there are and what their instances are doing, for a person with a browser. Fetches
//! nothing and runs no script; the browser asks again every two seconds. The same as JSON is at `/status`.

use super::admin::ServiceOverview;
use super::ending::{Ending, LastEnding};
use super::glance::{InstanceGlance, InstancePhase, RevisionGlance};
use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");

/// The page may load nothing and run nothing, whatever a service is called.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// Billed seconds by service and revision.
pub(super) type Billed = BTreeMap<(String, String), f64>;

/// Everything the page shows.
pub(super) struct Overview {
    pub(super) services: Vec<ServiceOverview>,
    pub(super) revisions: Vec<RevisionGlance>,
    /// Until the last sample.
    pub(super) billed: Billed,
    pub(super) time_factor: f64,
}

/// What is shown of a revision: what the books say of it and what it does.
struct Row<'a> {
    name: &'a str,
    state: &'static str,
    message: &'a str,
    max_concurrency: u64,
    glance: Option<&'a RevisionGlance>,
    billed: f64,
}

impl Overview {
    /// As a page.
    pub(super) fn to_page(&self) -> Response {
        let mut response = Html(self.to_html()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// As JSON.
    pub(super) fn to_json(&self) -> Json<Value> {
        let services = self.services.iter().map(|service| {
            let revisions = self.rows(service).map(|row| {
                let instances = row.glance.map(|glance| glance.instances.as_slice()).unwrap_or_default();
                json!({
                    "name": row.name,
                    "state": row.state,
                    "message": row.message,
                    "max_concurrency": row.max_concurrency,
                    "instances": instances.iter().map(instance_json).collect::<Vec<_>>(),
                    "pending_requests": row.glance.map_or(0, |glance| glance.pending),
                    "billable_instance_time_s": row.billed,
                    "endings": row.glance.map(endings_json),
                    "last_ending": row.glance.and_then(|glance| glance.last_ending.as_ref()).map(last_json),
                })
            });
            json!({
                "name": text(&service.json["name"]),
                "uri": service.json["uri"],
                "state": state(&service.json["terminalCondition"]),
                "message": text(&service.json["terminalCondition"]["message"]),
                "revisions": revisions.collect::<Vec<_>>(),
            })
        });
        Json(json!({
            "service": "tidegate local platform",
            "version": env!("CARGO_PKG_VERSION"),
            "apis": ["run.googleapis.com/v2", "run.googleapis.com/v1", "monitoring.googleapis.com/v3"],
            "time_factor": self.time_factor,
            "services": services.collect::<Vec<_>>(),
        }))
    }

    fn to_html(&self) -> String {
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"refresh\" content=\"2\">\n\
             <title>tidegate platform</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
             <h1>tidegate platform</h1>\n<p>{}</p>\n</header>\n<main>\n",
            self.headline()
        );
        for service in &self.services {
            self.push_service(&mut page, service);
        }
        if self.services.is_empty() {
            page.push_str("<p>No service yet: create one through the Admin API.</p>\n");
        }
        let _ = write!(
            page,
            "</main>\n<footer>tidegate {} · Cloud Run Admin v1 and v2, Cloud Monitoring v3 · refreshed every 2 s · \
             <a href=\"/status\">as JSON</a></footer>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        );
        page
    }

    fn headline(&self) -> String {
        let instances: usize = self.revisions.iter().map(|revision| revision.instances.len()).sum();
        let pending: u64 = self.revisions.iter().map(|revision| revision.pending).sum();
        let billed: f64 = self.billed.values().sum();
        let times = match self.time_factor {
            1.0 => String::new(),
            factor => format!(" · times divided by {factor}"),
        };
        format!(
            "{}, {}, {pending} waiting · {billed:.1} s billed{times}",
            counted(self.services.len(), "service"),
            counted(instances, "instance")
        )
    }

    fn push_service(&self, page: &mut String, service: &ServiceOverview) {
        let json = &service.json;
        let path = text(&json["name"]);
        // A service none of whose revisions was ever ready has no address.
        let link = match escape(text(&json["uri"])) {
            uri if uri.is_empty() => String::new(),
            uri => format!("<a href=\"{uri}\">{uri}</a> · "),
        };
        let ready = &json["terminalCondition"];
        let _ = write!(
            page,
            "<section>\n<h2>{}</h2>\n<p><b class=\"{state}\">{state}</b> {} · {link}{}</p>\n",
            escape(path.rsplit('/').next().unwrap_or_default()),
            escape(text(&ready["message"])),
            escape(path),
            state = state(ready),
        );
        page.push_str("<table>\n<thead><tr><th>Revision</th><th>State</th><th>Traffic</th><th>Max concurrency</th><th>Instances</th>\
                       <th>In flight</th><th>Waiting</th><th>Billed</th><th>Ended</th></tr></thead>\n<tbody>\n");
        for row in self.rows(service) {
            push_row(page, &row, &share(json, row.name));
        }
        page.push_str("</tbody>\n</table>\n</section>\n");
    }

    fn rows<'a>(&'a self, service: &'a ServiceOverview) -> impl Iterator<Item = Row<'a>> {
        let own = text(&service.json["name"]).rsplit('/').next().unwrap_or_default();
        service.revisions.iter().map(move |revision| {
            let name = text(&revision["name"]).rsplit('/').next().unwrap_or_default();
            let ready = &revision["conditions"][0];
            let billed = self.billed.get(&(own.to_owned(), name.to_owned()));
            Row {
                name,
                state: state(ready),
                message: text(&ready["message"]),
                max_concurrency: revision["maxInstanceRequestConcurrency"].as_u64().unwrap_or_default(),
                glance: self.revisions.iter().find(|glance| glance.service == own && glance.revision == name),
                billed: billed.copied().unwrap_or_default(),
            }
        })
    }
}

fn push_row(page: &mut String, row: &Row<'_>, share: &str) {
    let instances = row.glance.map(|glance| glance.instances.as_slice()).unwrap_or_default();
    let in_flight: u32 = instances.iter().map(|instance| instance.in_flight).sum();
    let marks: String = instances.iter().map(mark).collect();
    let _ = writeln!(
        page,
        "<tr><td>{}</td><td title=\"{}\"><b class=\"{state}\">{state}</b></td><td>{}</td><td>{}</td><td>{} {marks}</td>\
         <td>{in_flight}</td><td>{}</td><td>{:.1} s</td>\
         <td title=\"{}\">{}</td></tr>",
        escape(row.name),
        escape(row.message),
        escape(share),
        row.max_concurrency,
        instances.len(),
        row.glance.map_or(0, |glance| glance.pending),
        row.billed,
        escape(&row.glance.and_then(|glance| glance.last_ending.as_ref()).map_or_else(String::new, last_words)),
        row.glance.map_or_else(String::new, endings),
        state = row.state,
    );
}

/// How many instances have ended, those first that should not have.
fn endings(glance: &RevisionGlance) -> String {
    let count = |(ending, count): (&Ending, &u64)| match ending {
        Ending::Stopped => format!("{count} stopped"),
        other => format!("<b class=\"failed\">{count} {other}</b>"),
    };
    glance.endings.iter().rev().map(count).collect::<Vec<_>>().join(", ")
}

fn last_words(last: &LastEnding) -> String {
    format!("the last, instance {}: {}", last.instance, last.message)
}

/// A square for each instance.
fn mark(instance: &InstanceGlance) -> String {
    let InstanceGlance { number, in_flight, age, .. } = instance;
    let phase = phase(instance.phase);
    format!("<i class=\"{phase}\" title=\"{number}: {phase}, holds {in_flight}, {} s old\"></i>", age.as_secs())
}

fn phase(phase: InstancePhase) -> &'static str {
    match phase {
        InstancePhase::Starting => "starting",
        InstancePhase::Active => "active",
        InstancePhase::Idle => "idle",
        InstancePhase::Stopping => "stopping",
    }
}

fn instance_json(instance: &InstanceGlance) -> Value {
    json!({
        "number": instance.number,
        "state": phase(instance.phase),
        "in_flight": instance.in_flight,
        "age_s": instance.age.as_secs_f64(),
    })
}

fn endings_json(glance: &RevisionGlance) -> Value {
    glance.endings.iter().map(|(ending, count)| (ending.key().to_owned(), Value::from(*count))).collect()
}

fn last_json(last: &LastEnding) -> Value {
    json!({"instance": last.instance, "message": last.message})
}

/// What part of the service's requests a revision gets, and its tags.
fn share(service: &Value, revision: &str) -> String {
    let latest = text(&service["latestReadyRevision"]).rsplit('/').next().unwrap_or_default();
    let targets = service["trafficStatuses"].as_array().into_iter().flatten();
    let parts = targets.filter(|target| target["revision"].as_str().unwrap_or(latest) == revision).map(|target| {
        let percent = target["percent"].as_u64().unwrap_or_default();
        match text(&target["tag"]) {
            "" => format!("{percent} %"),
            tag => format!("{percent} % as {tag}"),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn state(condition: &Value) -> &'static str {
    match condition["state"].as_str() {
        Some("CONDITION_SUCCEEDED") => "ready",
        Some("CONDITION_FAILED") => "failed",
        _ => "reconciling",
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn overview(message: &str) -> Overview {
        let instance =
            |number, phase, in_flight| InstanceGlance { number, phase, in_flight, age: Duration::from_secs(90) };
        let service = json!({
            "name": "projects/demo/locations/l/services/shop",
            "uri": "http://127.0.0.1:9001",
            "terminalCondition": {"state": "CONDITION_FAILED", "message": message},
            "latestReadyRevision": "projects/demo/locations/l/services/shop/revisions/shop-a",
            "trafficStatuses": [
                {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100},
                {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "shop-a", "tag": "now"},
            ],
        });
        let revision = json!({
            "name": "projects/demo/locations/l/services/shop/revisions/shop-a",
            "maxInstanceRequestConcurrency": 8,
            "conditions": [{"state": "CONDITION_SUCCEEDED"}],
        });
        let glance = RevisionGlance {
            service: "shop".into(),
            revision: "shop-a".into(),
            max_concurrency: 8,
            pending: 3,
            instances: vec![instance(1, InstancePhase::Active, 8), instance(2, InstancePhase::Starting, 0)],
            endings: BTreeMap::from([(Ending::Stopped, 2), (Ending::Exited, 1), (Ending::OutOfMemory, 3)]),
            last_ending: Some(LastEnding { instance: 5, message: "it ended (exit 4), \"alas\"".into() }),
        };
        Overview {
            services: vec![ServiceOverview { json: service, revisions: vec![revision] }],
            revisions: vec![glance],
            billed: Billed::from([(("shop".into(), "shop-a".into()), 12.3)]),
            time_factor: 12.0,
        }
    }

    #[test]
    fn the_page_shows_what_runs() {
        let page = overview("").to_html();
        for part in [
            "1 service, 2 instances, 3 waiting · 12.3 s billed · times divided by 12",
            "<td>100 %, 0 % as now</td><td>8</td><td>2 <i class=\"active\" title=\"1: active, holds 8, 90 s old\"></i>",
            "<td>8</td><td>3</td><td>12.3 s</td>",
            "<td title=\"the last, instance 5: it ended (exit 4), &quot;alas&quot;\">\
             <b class=\"failed\">3 out of memory</b>, <b class=\"failed\">1 exited by itself</b>, 2 stopped</td>",
            "<meta http-equiv=\"refresh\" content=\"2\">",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        let Json(status) = overview("it is broken").to_json();
        let service = &status["services"][0];
        assert_eq!((&service["state"], &service["message"]), (&json!("failed"), &json!("it is broken")));
        let revision = &status["services"][0]["revisions"][0];
        assert_eq!(revision["instances"][0]["in_flight"], 8);
        assert_eq!(revision["endings"], json!({"stopped": 2, "exited": 1, "out_of_memory": 3}));
        assert_eq!(revision["last_ending"]["instance"], 5);
    }

    #[test]
    fn without_an_address_there_is_no_link() {
        let mut unborn = overview("no config");
        unborn.services[0].json["uri"] = Value::Null;
        let page = unborn.to_html();
        assert!(page.contains("no config · projects/demo/locations/l/services/shop</p>"), "{page}");
        assert!(overview("").to_html().contains("</b>  · <a href=\"http://127.0.0.1:9001\">"));
    }

    #[test]
    fn what_a_service_says_of_itself_is_text_on_the_page() {
        let page = overview("<script>alert('1')</script> & \"x\"").to_html();
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;"), "{page}");
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("url("), "nothing is fetched");
    }
}
