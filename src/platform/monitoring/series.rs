//! Time series: what is stored, and what a query makes of it.

use super::metric::{Kind, Metric, RESOURCE_TYPE, ValueType};
use super::value::Value;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// A value and the time it stands for; a gauge's start is its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) value: Value,
}

/// What kind of points a series holds. Aligners and reducers change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) value_type: ValueType,
}

/// A series in an answer.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) metric: &'static Metric,
    pub(super) metric_labels: Labels,
    pub(super) resource_labels: Labels,
    /// Newest first.
    pub(super) points: Vec<Point>,
}

impl Series {
    /// Google's JSON, with the points of one page.
    pub(super) fn to_json(&self, shape: Shape, points: &[Point]) -> Json {
        let mut json = json!({
            "metric": {"type": self.metric.name, "labels": self.metric_labels},
            "resource": {"type": RESOURCE_TYPE, "labels": self.resource_labels},
            "metricKind": shape.kind.name(),
            "valueType": shape.value_type.name(),
        });
        if !points.is_empty() {
            json["points"] = points.iter().map(Point::to_json).collect();
        }
        json["unit"] = self.metric.unit.into();
        json
    }
}

impl Point {
    fn to_json(&self) -> Json {
        json!({
            "interval": {"startTime": self.start.to_string(), "endTime": self.end.to_string()},
            "value": self.value.to_json(),
        })
    }
}
