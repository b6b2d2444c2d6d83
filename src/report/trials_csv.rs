//! Every trial on a line, for a spreadsheet or a notebook.

use super::facts;
use super::number::in_milliseconds;
use super::spreadsheet::{Spreadsheet, number, optional};
use crate::scenario::Objective;
use crate::trial::{Study, SubscriptionRecording, TrialResult, Validity};

const COLUMNS: [&str; 40] = [
    "trial",
    "max_concurrency",
    "block",
    "seed",
    "attempt",
    "revision",
    "started_at",
    "valid",
    "invalid_because",
    "billable_instance_time_s",
    "cost_usd",
    "cost_per_million_requests_usd",
    "cost_per_thousand_checkouts_usd",
    "response_time_p50_ms",
    "response_time_p95_ms",
    "response_time_p99_ms",
    "response_time_max_ms",
    "service_time_p50_ms",
    "service_time_p95_ms",
    "service_time_p99_ms",
    "lateness_p99_ms",
    "error_rate",
    "requests_sent",
    "requests_reached",
    "requests_measured",
    "instances_max",
    "instance_starts",
    "instance_cpu_utilization_mean",
    "host_cpu_share",
    "driver_cpu_s",
    "lock_wait_ms_per_request",
    "billable_instance_time_all_s",
    "reports_acknowledged",
    "reports_delivered_to_all",
    "reports_lost",
    "duplicates",
    "cost_per_thousand_delivered_usd",
    "pushes_refused",
    "deadlines_expired",
    "dead_lettered",
];

/// The table.
pub(super) fn render(study: &Study) -> Result<Vec<u8>, csv::Error> {
    let mut table = Spreadsheet::new(COLUMNS)?;
    for trial in &study.trials {
        table.row(record(trial))?;
    }
    table.finish()
}

fn record(trial: &TrialResult) -> [String; COLUMNS.len()] {
    let recording = &trial.recording;
    let response = |q: f64| number(in_milliseconds(recording.overall.response_time.quantile(q)));
    let service = |q: f64| number(in_milliseconds(recording.overall.service_time.quantile(q)));
    let (usage, delivery) = (trial.usage.as_ref(), recording.delivery.as_ref());
    let reasons = match &trial.validity {
        Validity::Valid => String::new(),
        Validity::Invalid(reasons) => reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    [
        trial.number.to_string(),
        trial.candidate.max_concurrency.to_string(),
        trial.block.to_string(),
        trial.seed.to_string(),
        trial.attempt.to_string(),
        trial.revision.clone(),
        trial.started_at.clone(),
        trial.is_valid().to_string(),
        reasons,
        optional(usage.map(|usage| usage.billable_instance_time_s)),
        optional(trial.cost.map(|cost| cost.total().0)),
        optional(trial.cost_per_million_requests().map(|usd| usd.0)),
        optional(facts::cost_per_thousand_checkouts(trial).map(|usd| usd.0)),
        response(0.50),
        response(0.95),
        response(0.99),
        number(in_milliseconds(recording.overall.response_time.max())),
        service(0.50),
        service(0.95),
        service(0.99),
        number(in_milliseconds(recording.lateness.quantile(0.99))),
        number(recording.overall.error_rate()),
        recording.requests_sent().to_string(),
        usage.map_or_else(String::new, |usage| usage.request_count().to_string()),
        (recording.overall.response_time.count() + recording.overall.dropped).to_string(),
        facts::instances_max(trial).map_or_else(String::new, |max| max.to_string()),
        usage.and_then(|usage| usage.instance_starts).map_or_else(String::new, |starts| starts.to_string()),
        optional(facts::instance_cpu(trial)),
        optional(recording.host_cpu_share),
        number(recording.driver_cpu_s),
        optional(facts::lock_wait_ms_per_request(trial)),
        optional(trial.billable_instance_time_s()),
        whole(delivery.map(|delivery| delivery.posts.acknowledged)),
        whole(delivery.and_then(|delivery| delivery.delivered_to_all)),
        whole(delivery.map(|_| trial.lost())),
        whole(delivery.map(|delivery| delivery.consumers.iter().map(|consumer| consumer.books.duplicates).sum())),
        optional(trial.cost_per_unit(Objective::CostPerThousandDelivered).map(|usd| usd.0)),
        whole(counted(trial, |it| it.pushes.refused_in_all())),
        whole(counted(trial, |it| it.expired_deadlines)),
        whole(counted(trial, |it| it.dead_lettered)),
    ]
}

/// A sum over the subscriptions of a trial; `None` when nobody counted.
fn counted(trial: &TrialResult, of: fn(&SubscriptionRecording) -> u64) -> Option<u64> {
    let told = &trial.recording.delivery.as_ref()?.subscriptions;
    (!told.is_empty()).then(|| told.iter().map(of).sum())
}

fn whole(value: Option<u64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_table_of_a_study_is_this() {
        insta::assert_snapshot!(String::from_utf8(render(&fixture::study()).unwrap()).unwrap());
    }

    #[test]
    fn the_wait_for_locks_is_told_per_request_that_reached_an_instance() {
        let mut study = fixture::study();
        // The first trial had 1909 requests.
        study.trials[0].lock_wait_s = Some(3.818);
        let bytes = render(&study).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let column = reader.headers().unwrap().iter().position(|title| title == "lock_wait_ms_per_request").unwrap();
        let fields: Vec<_> = reader.records().map(|line| line.unwrap()[column].to_owned()).collect();
        assert_eq!(fields[..2], ["2", ""]);
    }

    #[test]
    fn what_is_not_known_is_an_empty_field_and_every_trial_has_a_line() {
        let study = fixture::untrusted_study();
        let bytes = render(&study).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let head = reader.headers().unwrap().clone();
        let column = |name: &str| head.iter().position(|title| title == name).unwrap();
        let lines: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(lines.len(), study.trials.len());
        let invalid = lines.iter().find(|line| &line[column("valid")] == "false").unwrap();
        assert_eq!(&invalid[column("cost_per_million_requests_usd")], "");
        assert!(invalid[column("invalid_because")].starts_with("usage is missing"));
    }
}
