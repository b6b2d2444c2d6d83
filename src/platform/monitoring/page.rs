//! Pages of time series: how far a reader has come.

use super::query::Query;
use super::series::{Point, Series};
use crate::platform::request::Queries;
use crate::platform::status::Status;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Where a page begins. The time of the first page goes along, so that points which become visible in between do not
/// shift the later pages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) asked: Timestamp,
    /// Of the query, so that a token is not used with another one.
    fingerprint: u64,
    /// Points (or series, without points) already given.
    given: usize,
}

impl Cursor {
    /// Of a query's first page, or of the page whose token it carries.
    pub(super) fn parse(queries: &Queries, project: &str, now: Timestamp) -> Result<Self, Status> {
        let fingerprint = queries.fingerprint(project);
        let token = queries.text("pageToken");
        if token.is_empty() {
            return Ok(Self { asked: now, fingerprint, given: 0 });
        }
        let read = || {
            let mut parts = token.split('-');
            let asked = Timestamp::from_nanosecond(parts.next()?.parse().ok()?).ok()?;
            let cursor = Self {
                asked,
                fingerprint: u64::from_str_radix(parts.next()?, 16).ok()?,
                given: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        match read() {
            Some(cursor) if cursor.fingerprint == fingerprint => Ok(cursor),
            Some(_) => Err(Status::field("pageToken", "belongs to another query: repeat every other parameter")),
            None => Err(Status::field("pageToken", format!("{token:?} is not one of mine"))),
        }
    }

    fn token(&self, given: usize) -> String {
        format!("{}-{:x}-{given}", self.asked.as_nanosecond(), self.fingerprint)
    }
}

/// One page. Its size counts points, or series if there are none; a series may go on in the next page.
pub(super) struct Page<'a> {
    /// Series, each with the points that belong to this page.
    pub(super) series: Vec<(&'a Series, &'a [Point])>,
    /// Token of the next page; empty at the end.
    pub(super) next: String,
}

impl<'a> Page<'a> {
    /// The page of `series` that the cursor points to.
    pub(super) fn cut(series: &'a [Series], query: &Query, cursor: &Cursor) -> Self {
        let weight = |series: &Series| if query.headers_only { 1 } else { series.points.len() };
        let until = cursor.given.saturating_add(query.page_size);
        let mut page = Vec::new();
        let mut passed = 0;
        for one in series {
            let (from, to) = (passed, passed + weight(one));
            passed = to;
            let (first, last) = (from.max(cursor.given), to.min(until));
            if first < last {
                let points = if query.headers_only { &[] } else { &one.points[first - from..last - from] };
                page.push((one, points));
            }
        }
        let next = if until < passed { cursor.token(until) } else { String::new() };
        Self { series: page, next }
    }

    /// Google's JSON.
    pub(super) fn to_json(&self, query: &Query) -> Value {
        let series: Vec<_> = self.series.iter().map(|(series, points)| series.to_json(query.shape, points)).collect();
        json!({"timeSeries": series, "nextPageToken": self.next, "unit": query.metric.unit})
    }
}
