//! The ledger as CSV: a line for the posts, each consumer and each subscription from the record, and, while the ledger is at hand, a
//! line for each report.

use super::super::number::in_milliseconds;
use super::super::render::ReportError;
use super::super::spreadsheet::{Spreadsheet, number, optional};
use super::refusals;
use crate::scenario::Ids;
use crate::stats::{Histogram, QuantileRatio};
use crate::trial::{ConsumerRecording, DeliveryRecording, Fate, StatusClass, SubscriptionRecording};
use std::time::Duration;

const COLUMNS: [&str; 50] = [
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
    "failed_2xx",
    "failed_3xx",
    "failed_4xx",
    "failed_5xx",
    "failed_other",
    "failed_none",
    "publishes_refused_unknown_topic",
    "publishes_refused_too_large",
    "publishes_refused_invalid",
    "publishes_refused_full",
    "publishes_refused_failed",
    "push_to",
    "pushes",
    "pushes_acknowledged",
    "pushes_refused_401",
    "pushes_refused_403",
    "pushes_refused_other_4xx",
    "pushes_refused_5xx",
    "pushes_refused_other",
    "pushes_unreachable",
    "deadlines_expired",
    "late_acknowledgements",
    "too_old",
    "undelivered",
];
/// Posts that failed, in the order of the classes.
const FAILED: [&str; 6] = ["failed_2xx", "failed_3xx", "failed_4xx", "failed_5xx", "failed_other", "failed_none"];

type Field = (&'static str, String);

/// The ledger: a line for the posts, whose times are response times, one for each consumer, whose times are those of its deliveries, and
/// one for each subscription, as far as the broker tells.
pub(super) fn ledger(delivery: &DeliveryRecording) -> Result<Vec<u8>, csv::Error> {
    let mut table = Spreadsheet::new(COLUMNS)?;
    table.row(line(("post", delivery.step.as_str()), of_posts(delivery)))?;
    for consumer in &delivery.consumers {
        let fields = posted(delivery).into_iter().chain(of_consumer(consumer));
        table.row(line(("consumer", consumer.name.as_str()), fields))?;
    }
    for subscription in &delivery.subscriptions {
        table.row(line(("subscription", subscription.name.as_str()), of_subscription(subscription)))?;
    }
    table.finish()
}

/// A line with these fields, each in its column.
fn line((what, name): (&str, &str), fields: impl IntoIterator<Item = Field>) -> Vec<String> {
    let mut line = vec![String::new(); COLUMNS.len()];
    for (column, value) in [("what", what.to_owned()), ("name", name.to_owned())].into_iter().chain(fields) {
        let place = COLUMNS.iter().position(|name| *name == column);
        line[place.expect("every field that is written here has a column")] = value;
    }
    line
}

fn posted(delivery: &DeliveryRecording) -> [Field; 3] {
    let posts = delivery.posts;
    [("posted", posts.posted), ("acknowledged", posts.acknowledged), ("failed", posts.failed)]
        .map(|(column, many)| (column, many.to_string()))
}

fn of_posts(delivery: &DeliveryRecording) -> Vec<Field> {
    let parts = [&delivery.post_time_inside, &delivery.post_time_healing, &delivery.post_time_outside];
    let mut all = parts[0].clone();
    all.merge(parts[1]);
    all.merge(parts[2]);
    all.merge(&delivery.post_time_beginning);
    let classes = &delivery.failed_by_class;
    // A record of before classes were kept knows only that some failed.
    let is_told = !classes.is_empty() || delivery.posts.failed == 0;
    let told = StatusClass::ALL.into_iter().zip(FAILED).filter(|_| is_told);
    let failed = told.map(|(class, column)| (column, classes.get(&class).copied().unwrap_or_default().to_string()));
    let refused = delivery.publishes_refused.map(|refused| {
        [
            ("publishes_refused_unknown_topic", refused.unknown_topic),
            ("publishes_refused_too_large", refused.too_large),
            ("publishes_refused_invalid", refused.invalid),
            ("publishes_refused_full", refused.full),
            ("publishes_refused_failed", refused.failed),
        ]
        .map(|(column, many)| (column, many.to_string()))
    });
    let mut fields: Vec<Field> =
        posted(delivery).into_iter().chain(failed).chain(refused.into_iter().flatten()).collect();
    fields.extend(times(&all, parts, [delivery.post_ratio, delivery.post_healing_ratio]));
    fields
}

fn of_consumer(consumer: &ConsumerRecording) -> Vec<Field> {
    let books = consumer.books;
    let counts = [
        ("delivered", Some(books.delivered)),
        ("lost", Some(books.lost)),
        ("late", Some(books.late)),
        ("duplicates", Some(books.duplicates)),
        ("redeliveries", consumer.redeliveries),
        ("dead_lettered", consumer.dead_lettered),
        ("out_of_order", consumer.out_of_order()),
        ("unacknowledged", Some(books.unacknowledged)),
        ("foreign", Some(books.foreign)),
    ];
    let mut fields: Vec<Field> =
        counts.into_iter().filter_map(|(column, many)| Some((column, many?.to_string()))).collect();
    fields.push(("healed_s", optional(consumer.healed_s)));
    fields.extend(times(
        &consumer.delivery_time,
        [&consumer.inside, &consumer.healing, &consumer.outside],
        [consumer.ratio, consumer.healing_ratio],
    ));
    fields
}

fn of_subscription(it: &SubscriptionRecording) -> Vec<Field> {
    let counts = [
        ("redeliveries", it.redeliveries),
        ("pushes", it.pushes.sent),
        ("pushes_acknowledged", it.pushes.acknowledged),
        ("undelivered", it.undelivered),
    ];
    let wrong = refusals::COLUMNS.iter().map(|column| (column.csv, (column.of)(it)));
    let counts = counts.into_iter().chain(wrong).map(|(column, many)| (column, many.to_string()));
    counts.chain([("push_to", it.push_to.clone())]).collect()
}

fn times(all: &Histogram, parts: [&Histogram; 3], [during, healing]: [Option<QuantileRatio>; 2]) -> [Field; 11] {
    let ms = |times: &Histogram, time: Duration| match times.count() {
        0 => String::new(),
        _ => number(in_milliseconds(time)),
    };
    let p95 = |times: &Histogram| ms(times, times.quantile(0.95));
    [
        ("time_p50_ms", ms(all, all.quantile(0.5))),
        ("time_p95_ms", p95(all)),
        ("time_p99_ms", ms(all, all.quantile(0.99))),
        ("time_max_ms", ms(all, all.max())),
        ("time_p95_during_fault_ms", p95(parts[0])),
        ("time_p95_while_healing_ms", p95(parts[1])),
        ("time_p95_otherwise_ms", p95(parts[2])),
        ("ratio_low", optional(during.map(|ratio| ratio.low))),
        ("ratio_high", optional(during.map(|ratio| ratio.high))),
        ("healing_ratio_low", optional(healing.map(|ratio| ratio.low))),
        ("healing_ratio_high", optional(healing.map(|ratio| ratio.high))),
    ]
}

/// A line for each report that was posted: its id, when it was due, whether it was acknowledged, else the class of its answer, when
/// that came, and for each of these
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
    let mut columns: Vec<String> = ["id", "due_s", "acknowledged", "failed_by", "answered_s"].map(str::to_owned).into();
    for name in consumers {
        columns.extend([format!("{name}_delivered_s"), format!("{name}_delivery_time_s")]);
    }
    let mut table = Spreadsheet::new(&columns)?;
    for fate in fates {
        let seconds = |time: Duration| number(time.as_secs_f64());
        let some = |time: Option<Duration>| time.map_or_else(String::new, seconds);
        let mut line = vec![ids.id(fate.number).to_string(), seconds(fate.due), fate.answer.is_ok().to_string()];
        line.push(fate.answer.err().map_or_else(String::new, |class| class.name().to_owned()));
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
            "id,due_s,acknowledged,failed_by,answered_s,email_delivered_s,email_delivery_time_s,sms_delivered_s,sms_delivery_time_s"
        );
        assert_eq!(lines[1], "12,0,true,,0.008,0.03,0.03,0.02,0.02");
        assert_eq!(lines[21], "452,20,true,,20.008,50,30,20.02,0.02", "due when the outage began");
        assert_eq!(lines[60], "1310,59,false,5xx,59.008,,,,", "refused, and never delivered");
    }
}
