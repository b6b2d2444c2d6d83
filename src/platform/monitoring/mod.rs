//! Cloud Monitoring API v3 over REST and gRPC: descriptors and time series of the local platform's metrics. Holds what
//! was sampled; knows nothing of instances.

mod aggregation;
mod boundary;
mod descriptor;
mod filter;
mod grpc;
mod label;
mod message;
mod metric;
mod page;
mod protobuf;
mod query;
mod rest;
mod series;
mod store;
mod token;
mod value;

pub(super) use grpc::unimplemented;

use super::clock::Clock;
use super::place::Place;
use super::request::Queries;
use super::sample::RevisionSample;
use super::status::Status;
use axum::Router;
use descriptor::Timing;
use jiff::{SignedDuration, Timestamp};
use query::Query;
use series::{Series, Shape};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Period, Store};

/// Cloud Run samples every 60 s and shows a point up to 120 s later
/// (`docs.cloud.google.com/monitoring/api/metrics_gcp_p_z`, read 2026-11-22).
const SAMPLE_PERIOD: Duration = Duration::from_mins(1);
const INGEST_DELAY: Duration = Duration::from_mins(2);

/// A series without a new point for so long is forgotten.
const RETENTION: Duration = Duration::from_hours(24);

/// The Monitoring API of one platform.
pub(super) struct Monitoring {
    clock: Clock,
    time_factor: f64,
    sample_period: Duration,
    ingest_delay: Duration,
    retention: Duration,
    books: Mutex<Books>,
}

struct Books {
    store: Store,
    /// Where the next sample's period begins.
    sampled_until: Timestamp,
}

impl Monitoring {
    /// Sampling begins now; `time_factor` divides the period and the delay.
    pub(super) fn new(clock: Clock, time_factor: f64) -> Arc<Self> {
        let scaled = |time: Duration| Duration::from_secs_f64(time.as_secs_f64() / time_factor);
        let books = Mutex::new(Books { store: Store::default(), sampled_until: clock.now() });
        Arc::new(Self {
            clock,
            time_factor,
            sample_period: scaled(SAMPLE_PERIOD),
            ingest_delay: scaled(INGEST_DELAY),
            retention: scaled(RETENTION),
            books,
        })
    }

    /// What the times of the platform are divided by.
    pub(super) fn time_factor(&self) -> f64 {
        self.time_factor
    }

    /// How often `record` is to be called.
    pub(super) fn sample_period(&self) -> Duration {
        self.sample_period
    }

    /// Stores what every revision did since the last call.
    pub(super) fn record(&self, samples: Vec<(Place, RevisionSample)>) {
        let now = self.clock.now();
        let mut books = self.books();
        let period = Period { start: books.sampled_until, end: next_end(books.sampled_until, self.sample_period, now) };
        books.sampled_until = period.end;
        for (place, sample) in samples {
            books.store.record(period, &place, sample);
        }
        if let Some(oldest) = before(period.end, self.retention) {
            books.store.forget_before(oldest);
        }
    }

    /// Seconds billed until the last sample, by service and revision.
    pub(super) fn billed(&self) -> BTreeMap<(String, String), f64> {
        self.books().store.billed()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // A store that lacks a part of one sample is better than none.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The paths of the Monitoring API, over REST and over gRPC.
    pub(super) fn router(self: Arc<Self>) -> Router {
        rest::router(Arc::clone(&self)).merge(grpc::router(self))
    }

    /// How often is sampled and how late it is seen, for descriptors.
    fn timing(&self) -> Timing {
        Timing { sample_period: self.sample_period, ingest_delay: self.ingest_delay }
    }

    /// Reads a query of either protocol and hands over the page it asks for.
    fn page<R>(
        &self,
        queries: &Queries,
        project: &str,
        write: impl FnOnce(&Query, page::Page<'_>) -> R,
    ) -> Result<R, Status> {
        let query = Query::parse(queries, self.sample_period)?;
        let cursor = page::Cursor::parse(queries, project, self.clock.now())?;
        let series = self.series(&query, project, &cursor);
        let page = page::Page::cut(&series, &query, &cursor);
        Ok(write(&query, page))
    }

    fn series(&self, query: &Query, project: &str, cursor: &page::Cursor) -> Vec<Series> {
        // A point is seen once the delay has passed after the end of its period.
        let visible = before(cursor.asked, self.ingest_delay).unwrap_or(Timestamp::MIN);
        let ends = (query.earliest(), query.latest().min(visible));
        let mut series = self.books().store.select(query.metric, project, &query.filter, ends);
        let mut shape = Shape { kind: query.metric.kind, value_type: query.metric.value_type };
        for aggregation in &query.aggregations {
            series = aggregation.apply(series, query.start, query.end, shape);
            shape = aggregation.shape(shape).unwrap_or(shape);
        }
        series
    }
}

/// The end of the period that began at `start`: a whole number of sample periods later, so that points stand on a
/// regular grid and alignment neither splits nor doubles them; the number nearest to now, at least one.
fn next_end(start: Timestamp, sample_period: Duration, now: Timestamp) -> Timestamp {
    let period = i128::try_from(sample_period.as_nanos()).unwrap_or(i128::MAX).max(1);
    let passed = now.as_nanosecond() - start.as_nanosecond();
    let periods = ((passed + period / 2) / period).max(1);
    Timestamp::from_nanosecond(start.as_nanosecond().saturating_add(periods.saturating_mul(period))).unwrap_or(now)
}

fn before(time: Timestamp, by: Duration) -> Option<Timestamp> {
    SignedDuration::try_from(by).ok().and_then(|by| time.checked_sub(by).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn periods_end_on_the_grid_even_when_sampled_late_or_after_a_pause() {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let end = |millis: i64| {
            let now = start + SignedDuration::from_millis(millis);
            (next_end(start, Duration::from_secs(5), now) - start).total(jiff::Unit::Second).unwrap()
        };
        assert_eq!([end(5_000), end(5_004), end(7_400), end(7_600), end(3_600_001)], [5.0, 5.0, 5.0, 10.0, 3600.0]);
        assert_eq!(end(-1_000_000), 5.0, "a clock that was set back does not turn a period round");
    }

    proptest! {
        #[test]
        fn a_period_is_never_empty(start in -1_000_000_000_i64..1_000_000_000, now in any::<i64>(), period in 1_u64..9_999) {
            let start = Timestamp::from_second(start).unwrap();
            let now = Timestamp::from_microsecond(now / 100).unwrap_or(start);
            prop_assert!(next_end(start, Duration::from_millis(period), now) > start);
        }
    }
}
