//! The state of a run in the text format of Prometheus, version 0.0.4. Names carry their unit, in base units: seconds.

use super::bounds;
use crate::stats::Histogram;
use crate::trial::Live;
use std::fmt::{Display, Write as _};

/// All that `live` holds: the whole run so far, when every interval was absorbed into it.
#[must_use]
pub fn prometheus(live: &Live) -> String {
    let mut text = String::new();
    head(
        &mut text,
        "requests_total",
        "counter",
        "Requests by what became of them; dropped ones were planned and never sent.",
    );
    for step in &live.steps {
        for (outcome, count) in [("completed", step.completed), ("failed", step.failed), ("dropped", step.dropped)] {
            let labels = [("step", step.name.as_str()), ("outcome", outcome)];
            sample(&mut text, "requests_total", &labels, count);
        }
    }
    head(
        &mut text,
        "response_time_seconds",
        "histogram",
        "Response time, from the due time to the end of the answer, by class of the answer.",
    );
    for (step, class, times) in classes(live) {
        histogram(&mut text, "response_time_seconds", &[("step", step), ("class", class)], &times.response_time);
    }
    head(
        &mut text,
        "service_time_seconds",
        "histogram",
        "Service time, from the sending to the end of the answer, by class of the answer.",
    );
    for (step, class, times) in classes(live) {
        histogram(&mut text, "service_time_seconds", &[("step", step), ("class", class)], &times.service_time);
    }
    head(&mut text, "lateness_seconds", "histogram", "How late the driver itself sent: sent - due - blocked.");
    histogram(&mut text, "lateness_seconds", &[], &live.lateness);
    let gauges: [(&str, &str, &str, f64); 4] = [
        ("sent_total", "counter", "Requests sent.", live.sent as f64),
        ("requests_in_flight", "gauge", "Requests in flight.", live.in_flight as f64),
        ("load_elapsed_seconds", "gauge", "Time since the start of the load.", live.start_s + live.length_s),
        ("load_start_time_seconds", "gauge", "When the load started, in Unix time.", start_s(live)),
    ];
    for (name, kind, help, value) in gauges {
        head(&mut text, name, kind, help);
        sample(&mut text, name, &[], value);
    }
    text
}

fn classes(live: &Live) -> impl Iterator<Item = (&str, &'static str, &crate::trial::Times)> {
    live.steps
        .iter()
        .flat_map(|step| step.classes.iter().map(|(class, times)| (step.name.as_str(), class.name(), times)))
}

fn start_s(live: &Live) -> f64 {
    live.started_at.parse::<jiff::Timestamp>().map_or(0.0, |start| start.as_duration().as_secs_f64())
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP tidegate_{name} {help}\n# TYPE tidegate_{name} {kind}\n");
}

fn sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) {
    let _ = write!(text, "tidegate_{name}");
    for (index, (label, content)) in labels.iter().enumerate() {
        let _ = write!(text, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(content));
    }
    let _ = writeln!(text, "{} {value}", if labels.is_empty() { "" } else { "}" });
}

/// What the format asks of a label's value: no bare backslash, quote or line break.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn histogram(text: &mut String, name: &str, labels: &[(&str, &str)], times: &Histogram) {
    let bucket = format!("{name}_bucket");
    let finite = bounds().map(|bound| (bound.as_secs_f64().to_string(), times.count_within(bound)));
    for (le, count) in finite.chain([("+Inf".to_owned(), times.count())]) {
        sample(text, &bucket, &[labels, &[("le", le.as_str())]].concat(), count);
    }
    sample(text, &format!("{name}_sum"), labels, times.sum().as_secs_f64());
    sample(text, &format!("{name}_count"), labels, times.count());
}

#[cfg(test)]
mod tests {
    use super::super::fixture::second;
    use super::*;
    use std::collections::BTreeMap;

    /// Reads the format as its specification has it; what is not in it is a fault.
    fn parse(text: &str) -> BTreeMap<(String, Vec<(String, String)>), f64> {
        let mut samples = BTreeMap::new();
        let mut kinds: BTreeMap<String, String> = BTreeMap::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has two types");
                continue;
            }
            if line.starts_with("# HELP ") {
                continue;
            }
            let end = line.find(['{', ' ']).unwrap();
            let (name, mut rest) = line.split_at(end);
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let kind = family.and_then(|family| kinds.get(family)).or_else(|| kinds.get(name));
            assert!(kind.is_some(), "{name} has no type before it");
            let mut labels = Vec::new();
            if let Some(inner) = rest.strip_prefix('{') {
                rest = inner;
                while !rest.starts_with('}') {
                    let (label, after) = rest.trim_start_matches(',').split_once("=\"").unwrap();
                    let (mut value, mut characters) = (String::new(), after.char_indices());
                    let end = loop {
                        match characters.next().unwrap() {
                            (at, '"') => break at,
                            (_, '\\') => value.push(match characters.next().unwrap().1 {
                                'n' => '\n',
                                other => other,
                            }),
                            (_, other) => value.push(other),
                        }
                    };
                    labels.push((label.to_owned(), value));
                    rest = &after[end + 1..];
                }
                rest = &rest[1..];
            }
            assert!(samples.insert((name.to_owned(), labels), rest.trim().parse().unwrap()).is_none(), "{line} twice");
        }
        samples
    }

    fn key(name: &str, labels: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        let owned = |(label, value): &(&str, &str)| ((*label).to_owned(), (*value).to_owned());
        (format!("tidegate_{name}"), labels.iter().map(owned).collect())
    }

    #[test]
    fn what_is_exposed_is_what_was_recorded() {
        let mut live = second(0.0);
        live.absorb(&second(1.0));
        let samples = parse(&prometheus(&live));
        let of = |name: &str, labels: &[(&str, &str)]| samples[&key(name, labels)];
        assert_eq!(of("requests_total", &[("step", "list"), ("outcome", "completed")]), 20.0);
        assert_eq!(of("requests_total", &[("step", "pay, \"now\" \\"), ("outcome", "dropped")]), 0.0);
        let successes = [("step", "list"), ("class", "2xx")];
        let bucket = |le: &str| of("response_time_seconds_bucket", &[successes[0], successes[1], ("le", le)]);
        assert_eq!(
            (bucket("0.005"), bucket("0.02"), bucket("0.2"), bucket("0.5"), bucket("+Inf")),
            (0.0, 18.0, 18.0, 20.0, 20.0)
        );
        assert_eq!(of("response_time_seconds_count", &successes), 20.0);
        assert!((of("response_time_seconds_sum", &successes) - 2.0 * 0.526).abs() < 1e-9);
        assert_eq!(of("service_time_seconds_count", &[("step", "list"), ("class", "none")]), 2.0);
        assert_eq!((of("requests_in_flight", &[]), of("sent_total", &[])), (3.0, 28.0));
        assert_eq!(of("load_elapsed_seconds", &[]), 2.0);
        assert_eq!(of("load_start_time_seconds", &[]), 1_795_341_600.25);
    }
}
