//! One JSON object per second of a run, a line each, for whoever follows it.

use crate::stats::Histogram;
use crate::trial::{Live, Times};
use serde_json::{Value, json};
use std::time::Duration;

/// The line of one interval, with its line break.
#[must_use]
pub fn ndjson_line(live: &Live) -> String {
    let sum = |of: fn(&crate::trial::LiveStep) -> u64| live.steps.iter().map(of).sum::<u64>();
    let step = |step: &crate::trial::LiveStep| {
        let classes: serde_json::Map<String, Value> =
            step.classes.iter().map(|(class, times)| (class.to_string(), json!(times.response_time.count()))).collect();
        let mut told = json!({
            "name": step.name,
            "completed": step.completed,
            "failed": step.failed,
            "dropped": step.dropped,
            "classes": classes,
        });
        tell(&mut told, &step.times());
        told
    };
    let mut told = json!({
        "schema_version": 1,
        "started_at": live.started_at,
        "start_s": live.start_s,
        "length_s": live.length_s,
        "sent": live.sent,
        "completed": sum(|step| step.completed),
        "failed": sum(|step| step.failed),
        "dropped": sum(|step| step.dropped),
        "in_flight": live.in_flight,
        "lateness_p99_ms": ms(live.lateness.quantile(0.99)),
        "lateness_max_ms": ms(live.lateness.max()),
    });
    tell(&mut told, &live.times());
    told["steps"] = live.steps.iter().map(step).collect();
    format!("{told}\n")
}

/// Enters the figures of both times; none where nothing ended.
fn tell(told: &mut Value, times: &Times) {
    told["response_time_ms"] = figures(&times.response_time);
    told["service_time_ms"] = figures(&times.service_time);
}

/// Milliseconds without binary noise: microseconds are what there is.
fn ms(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

fn figures(times: &Histogram) -> Value {
    if times.count() == 0 {
        return Value::Null;
    }
    let quantile = |q: f64| ms(times.quantile(q));
    json!({
        "mean": ms(times.mean()),
        "p50": quantile(0.5),
        "p90": quantile(0.9),
        "p95": quantile(0.95),
        "p99": quantile(0.99),
        "p99.9": quantile(0.999),
        "max": ms(times.max()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::second;
    use super::*;

    #[test]
    fn a_line_is_one_object_with_the_seconds_figures() {
        let line = ndjson_line(&second(7.0));
        assert_eq!(line.matches('\n').count(), 1);
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&told["start_s"], &told["completed"], &told["failed"], &told["dropped"]),
            (&json!(7.0), &json!(10), &json!(2), &json!(1))
        );
        assert_eq!(told["steps"][0]["classes"], json!({"2xx": 10, "5xx": 1, "none": 1}));
        assert_eq!(told["steps"][1]["name"], "pay, \"now\" \\");
        assert_eq!(told["steps"][1]["response_time_ms"], Value::Null);
        let p50 = told["response_time_ms"]["p50"].as_f64().unwrap();
        assert!((p50 - 14.0).abs() < 0.1, "{p50}");
        assert!((told["response_time_ms"]["max"].as_f64().unwrap() - 5000.0).abs() < 5.0);
    }
}
