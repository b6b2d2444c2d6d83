//! Probes as templates write them, with Google's defaults and limits (run.googleapis.com v2, `Probe`, and
//! docs.cloud.google.com/run/docs/configuring/healthchecks, 2026-11-22).

use super::field::{Message, array, count, join, object, text};
use crate::platform::probe::{Check, Probe};
use crate::platform::status::Status;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use std::time::Duration;

/// Which probe, with its own limits in seconds.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// Of the initial delay, the period and the time-out.
    most: u32,
    /// Of all its attempts together, if that is limited.
    total: Option<u32>,
}

const STARTUP: Kind = Kind { name: "startupProbe", most: 240, total: Some(240) };
const LIVENESS: Kind = Kind { name: "livenessProbe", most: 3600, total: None };
const TIMEOUT_DEFAULT: u32 = 1;
const PERIOD_DEFAULT: u32 = 10;
const FAILURES_DEFAULT: u32 = 3;
/// A container's port unless it names another.
const PORT_DEFAULT: u32 = 8080;

/// Writes Google's defaults into the probes that a container has.
pub(super) fn fill_defaults(container: &mut Message) {
    for kind in [STARTUP, LIVENESS] {
        let Some(Value::Object(probe)) = container.get_mut(kind.name) else { continue };
        for (name, default) in [
            ("timeoutSeconds", TIMEOUT_DEFAULT),
            ("periodSeconds", PERIOD_DEFAULT),
            ("failureThreshold", FAILURES_DEFAULT),
        ] {
            let value = probe.entry(name).or_insert(Value::Null);
            if value.is_null() || value.as_i64() == Some(0) {
                *value = default.into();
            }
        }
    }
}

/// The startup probe and the liveness probe of a container at this path.
pub(super) fn probes(container: &Message, path: &str) -> Result<(Probe, Option<Probe>), Status> {
    let port = container_port(container, path)?;
    let startup = probe(container, path, (STARTUP, port))?;
    Ok((startup.unwrap_or_else(Probe::default_startup), probe(container, path, (LIVENESS, port))?))
}

fn container_port(container: &Message, path: &str) -> Result<u32, Status> {
    let Some(Value::Object(port)) = array(container, path, "ports")?.first() else { return Ok(PORT_DEFAULT) };
    match count(port, &format!("{path}.ports[0]"), "containerPort")? {
        0 => Ok(PORT_DEFAULT),
        port => Ok(port),
    }
}

fn probe(container: &Message, path: &str, (kind, port): (Kind, u32)) -> Result<Option<Probe>, Status> {
    let Some(message) = object(container, path, kind.name)? else { return Ok(None) };
    let path = join(path, kind.name);
    let within = |name: &str, least: u32, most: u32, default: u32| {
        let value = match count(message, &path, name)? {
            0 => default,
            value => value,
        };
        let refused = || Status::field(&join(&path, name), format!("{value} is not within {least} to {most}"));
        (least..=most).contains(&value).then_some(value).ok_or_else(refused)
    };
    let initial_delay = within("initialDelaySeconds", 0, kind.most, 0)?;
    let period = within("periodSeconds", 1, kind.most, PERIOD_DEFAULT)?;
    let timeout = within("timeoutSeconds", 1, kind.most, TIMEOUT_DEFAULT)?;
    let failure_threshold = within("failureThreshold", 1, u32::MAX, FAILURES_DEFAULT)?;
    if timeout > period {
        let why = format!("{timeout} is more than periodSeconds, {period}: an attempt must end before the next begins");
        return Err(Status::field(&join(&path, "timeoutSeconds"), why));
    }
    if let Some(total) = kind.total.filter(|total| failure_threshold.saturating_mul(period) > *total) {
        let why = format!("{failure_threshold} attempts, one every {period} s, take longer than {total} s");
        return Err(Status::field(&join(&path, "failureThreshold"), why));
    }
    let seconds = |number: u32| Duration::from_secs(number.into());
    Ok(Some(Probe {
        check: check(message, &path, port)?,
        initial_delay: seconds(initial_delay),
        timeout: seconds(timeout),
        period: seconds(period),
        failure_threshold,
    }))
}

fn check(message: &Message, path: &str, container_port: u32) -> Result<Check, Status> {
    let mut actions = Vec::new();
    for name in ["httpGet", "tcpSocket", "grpc"] {
        actions.extend(object(message, path, name)?.map(|action| (action, name)));
    }
    let [(action, name)] = actions[..] else {
        return Err(Status::field(path, "exactly one of httpGet, tcpSocket and grpc is needed"));
    };
    let at = join(path, name);
    let port = count(action, &at, "port")?;
    if port != 0 && port != container_port {
        let why = format!(
            "{port} is not the container's port, {container_port}: here an instance has one port only, the one in PORT"
        );
        return Err(Status::field(&join(&at, "port"), why));
    }
    if name == "tcpSocket" {
        return Ok(Check::Tcp);
    }
    if name == "grpc" {
        return Ok(Check::Grpc { service: text(action, &at, "service")?.to_owned() });
    }
    Ok(Check::Http { path: request_path(action, &at)?, headers: headers(action, &at)? })
}

fn request_path(action: &Message, at: &str) -> Result<String, Status> {
    let path = match text(action, at, "path")? {
        "" => "/",
        path => path,
    };
    let is_path = path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok();
    let why = || Status::field(&join(at, "path"), format!("{path:?} is not a path, such as `/healthz`"));
    is_path.then(|| path.to_owned()).ok_or_else(why)
}

fn headers(action: &Message, at: &str) -> Result<Vec<(String, String)>, Status> {
    let mut headers = Vec::new();
    for (place, header) in array(action, at, "httpHeaders")?.iter().enumerate() {
        let path = format!("{at}.httpHeaders[{place}]");
        let header = header.as_object().ok_or_else(|| Status::field(&path, "an object is expected"))?;
        let (name, value) = (text(header, &path, "name")?, text(header, &path, "value")?);
        if name.parse::<HeaderName>().is_err() {
            return Err(Status::field(&join(&path, "name"), format!("{name:?} cannot name a header")));
        }
        if HeaderValue::from_str(value).is_err() {
            return Err(Status::field(&join(&path, "value"), "a header cannot hold control characters"));
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(container: &Value) -> Result<(Probe, Option<Probe>), String> {
        let mut container = container.as_object().unwrap().clone();
        fill_defaults(&mut container);
        probes(&container, "template.containers[0]").map_err(|status| status.message)
    }

    #[test]
    fn a_container_without_probes_has_googles_startup_probe_and_no_liveness_probe() {
        let (startup, liveness) = read(&json!({})).unwrap();
        assert_eq!(startup, Probe::default_startup());
        assert_eq!((startup.timeout, startup.failure_threshold), (Duration::from_mins(4), 1));
        assert_eq!(liveness, None);
    }

    #[test]
    fn what_is_left_out_has_googles_defaults() {
        let http = json!({"httpGet": {"path": "/up", "httpHeaders": [{"name": "A", "value": "b"}]}});
        let (startup, liveness) = read(
            &json!({"startupProbe": {"tcpSocket": {"port": 8080}, "failureThreshold": 24}, "livenessProbe": http}),
        )
        .unwrap();
        let seconds = Duration::from_secs;
        assert_eq!((startup.check, startup.failure_threshold, startup.period), (Check::Tcp, 24, seconds(10)));
        let liveness = liveness.unwrap();
        let headers = vec![("A".to_owned(), "b".to_owned())];
        assert_eq!(liveness.check, Check::Http { path: "/up".to_owned(), headers });
        let times = (liveness.initial_delay, liveness.timeout, liveness.period, liveness.failure_threshold);
        assert_eq!(times, (seconds(0), seconds(1), seconds(10), 3));
        let grpc = |action: Value| read(&json!({"livenessProbe": {"grpc": action}})).unwrap().1.unwrap().check;
        assert_eq!(grpc(json!({})), Check::Grpc { service: String::new() });
        assert_eq!(grpc(json!({"port": 8080, "service": "shop"})), Check::Grpc { service: "shop".to_owned() });
        let mut container = json!({"livenessProbe": {"httpGet": {}}}).as_object().unwrap().clone();
        fill_defaults(&mut container);
        assert_eq!(container["livenessProbe"]["periodSeconds"], 10, "a reader sees what is in force");
    }

    #[test]
    fn a_probe_may_name_the_containers_own_port_and_no_other() {
        let at = |port: u32| json!({"ports": [{"containerPort": 9000}], "startupProbe": {"tcpSocket": {"port": port}}});
        assert!(read(&at(9000)).is_ok() && read(&at(0)).is_ok());
        assert!(
            read(&at(8080))
                .unwrap_err()
                .contains("startupProbe.tcpSocket.port: 8080 is not the container's port, 9000")
        );
    }

    #[test]
    fn what_is_out_of_googles_limits_is_named() {
        let startup = |fields: Value| {
            let mut probe = json!({"tcpSocket": {}});
            probe.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            json!({"startupProbe": probe})
        };
        for (container, expected) in [
            (startup(json!({"initialDelaySeconds": 241})), "initialDelaySeconds: 241 is not within 0 to 240"),
            (startup(json!({"periodSeconds": 241})), "periodSeconds: 241 is not within 1 to 240"),
            (startup(json!({"timeoutSeconds": 11})), "timeoutSeconds: 11 is more than periodSeconds, 10"),
            (
                startup(json!({"failureThreshold": 25})),
                "failureThreshold: 25 attempts, one every 10 s, take longer than 240 s",
            ),
            (startup(json!({"failureThreshold": -1})), "failureThreshold: -1 is out of range"),
            (startup(json!({"httpGet": {}})), "startupProbe: exactly one of httpGet, tcpSocket and grpc"),
            (json!({"livenessProbe": {}}), "livenessProbe: exactly one of"),
            (
                json!({"livenessProbe": {"grpc": {"port": 9090}}}),
                "livenessProbe.grpc.port: 9090 is not the container's port",
            ),
            (json!({"livenessProbe": {"grpc": {"service": 7}}}), "livenessProbe.grpc.service"),
            (json!({"livenessProbe": {"grpc": {}, "httpGet": {}}}), "livenessProbe: exactly one of"),
            (json!({"livenessProbe": {"httpGet": {}, "periodSeconds": 3601}}), "3601 is not within 1 to 3600"),
            (json!({"livenessProbe": {"httpGet": {"path": "up"}}}), "livenessProbe.httpGet.path: \"up\" is not a path"),
            (json!({"livenessProbe": {"httpGet": {"path": "/a b"}}}), "\"/a b\" is not a path"),
            (json!({"livenessProbe": {"httpGet": {"httpHeaders": [{"name": "a b"}]}}}), "httpHeaders[0].name: \"a b\""),
            (
                json!({"livenessProbe": {"httpGet": {"httpHeaders": [{"name": "a", "value": "b\r\nc"}]}}}),
                "httpHeaders[0].value",
            ),
            (json!({"livenessProbe": 7}), "livenessProbe: an object is expected, not 7"),
        ] {
            let refused = read(&container).unwrap_err();
            assert!(refused.contains(expected), "{refused} does not contain {expected}");
        }
        assert!(read(&json!({"livenessProbe": {"httpGet": {}, "failureThreshold": 1000}})).is_ok());
    }
}
