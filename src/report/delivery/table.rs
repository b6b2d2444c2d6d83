//! The ledger as CSV: a line for each consumer from the record, and, while the ledger is at hand, a line for each report.

use super::super::number::in_milliseconds;
use super::super::render::ReportError;
use super::super::spreadsheet::{Spreadsheet, number, optional};
use crate::scenario::Ids;
use crate::stats::{Histogram, QuantileRatio};
use crate::trial::{DeliveryRecording, Fate};
use std::time::Duration;

const COLUMNS: [&str; 26] = [
    "what",
    "name",
    "posted",
    "acknowledged",
    "failed",
    "delivered",
    "lost",
    "late",
    "duplicates",
    "redeliveries",
    "dead_lettered",
    "out_of_order",
    "unacknowledged",
    "foreign",
    "healed_s",
    "time_p50_ms",
    "time_p95_ms",
    "time_p99_ms",
    "time_max_ms",
    "time_p95_during_fault_ms",
    "time_p95_while_healing_ms",
    "time_p95_otherwise_ms",
    "ratio_low",
    "ratio_high",
    "healing_ratio_low",
    "healing_ratio_high",
];

/// The ledger: a line for the posts, whose times are response times, and one for each consumer, whose times are those of its deliveries.
pub(super) fn ledger(delivery: &DeliveryRecording) -> Result<Vec<u8>, csv::Error> {
    let mut table = Spreadsheet::new(COLUMNS)?;
    let posts = delivery.posts;
    let posted = [posts.posted, posts.acknowledged, posts.failed].map(|many| many.to_string());
    let (inside, healing, outside) =
        (&delivery.post_time_inside, &delivery.post_time_healing, &delivery.post_time_outside);
    let mut all = inside.clone();
    all.merge(healing);
    all.merge(&delivery.post_time_beginning);
    all.merge(outside);
    let mut line = vec!["post".to_owned(), delivery.step.clone()];
    line.extend(posted.clone());
    line.extend(std::iter::repeat_n(String::new(), 10));
    let ratios = [delivery.post_ratio, delivery.post_healing_ratio];
    line.extend(times(&all, [inside, healing, outside], ratios));
    table.row(line)?;
    for consumer in &delivery.consumers {
        let books = consumer.books;
        let mut line = vec!["consumer".to_owned(), consumer.name.clone()];
        line.extend(posted.clone());
        line.extend([books.delivered, books.lost, books.late, books.duplicates].map(|many| many.to_string()));
        let told = [consumer.redeliveries, consumer.dead_lettered];
        line.extend(told.map(|many| many.map_or_else(String::new, |many| many.to_string())));
        line.push(consumer.out_of_order().map_or_else(String::new, |many| many.to_string()));
        line.extend([books.unacknowledged, books.foreign].map(|many| many.to_string()));
        line.push(optional(consumer.healed_s));
        let parts = [&consumer.inside, &consumer.healing, &consumer.outside];
        line.extend(times(&consumer.delivery_time, parts, [consumer.ratio, consumer.healing_ratio]));
        table.row(line)?;
    }
    table.finish()
}

fn times(all: &Histogram, parts: [&Histogram; 3], ratios: [Option<QuantileRatio>; 2]) -> Vec<String> {
    let ms = |times: &Histogram, time: Duration| match times.count() {
        0 => String::new(),
        _ => number(in_milliseconds(time)),
    };
    let mut told: Vec<String> = [0.5, 0.95, 0.99].map(|q| ms(all, all.quantile(q))).into();
    told.push(ms(all, all.max()));
    told.extend(parts.map(|part| ms(part, part.quantile(0.95))));
    for ratio in ratios {
        told.extend([optional(ratio.map(|ratio| ratio.low)), optional(ratio.map(|ratio| ratio.high))]);
    }
    told
}

/// A line for each report that was posted: its id, when it was due, whether and when it was acknowledged, and for each of these
/// consumers when it was first delivered, and how long after it was due. Seconds since the start of the load; empty where
/// something did not happen.
///
/// # Errors
/// None that memory can give.
pub fn deliveries(
    consumers: &[String],
    ids: Ids,
    fates: impl IntoIterator<Item = Fate>,
) -> Result<String, ReportError> {
    let mut columns: Vec<String> = ["id", "due_s", "acknowledged", "answered_s"].map(str::to_owned).into();
    for name in consumers {
        columns.extend([format!("{name}_delivered_s"), format!("{name}_delivery_time_s")]);
    }
    let mut table = Spreadsheet::new(&columns)?;
    for fate in fates {
        let seconds = |time: Duration| number(time.as_secs_f64());
        let some = |time: Option<Duration>| time.map_or_else(String::new, seconds);
        let mut line = vec![ids.id(fate.number).to_string(), seconds(fate.due), fate.acknowledged.to_string()];
        line.push(some(fate.answered));
        for delivered in &fate.delivered {
            line.extend([some(*delivered), some(delivered.map(|at| at.saturating_sub(fate.due)))]);
        }
        table.row(line)?;
    }
    Ok(String::from_utf8_lossy(&table.finish()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_ledger_of_a_run_is_this() {
        let delivery = fixture::recording().delivery.unwrap();
        insta::assert_snapshot!(String::from_utf8(ledger(&delivery).unwrap()).unwrap());
    }

    #[test]
    fn every_report_has_a_line_by_its_id() {
        let (ledger, consumers, ids) = fixture::ledger();
        let text = deliveries(&consumers, ids, ledger.fates()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 60, "{text}");
        assert_eq!(
            lines[0],
            "id,due_s,acknowledged,answered_s,email_delivered_s,email_delivery_time_s,sms_delivered_s,sms_delivery_time_s"
        );
        assert_eq!(lines[1], "12,0,true,0.008,0.03,0.03,0.02,0.02");
        assert_eq!(lines[21], "452,20,true,20.008,50,30,20.02,0.02", "due when the outage began");
        assert_eq!(lines[60], "1310,59,false,59.008,,,,", "refused, and never delivered");
    }
}
