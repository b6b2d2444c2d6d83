//! Whether the promises of deliveries were kept.

use super::delivery::{ConsumerRecording, DeliveryRecording, PromiseRecording};
use crate::scenario::{Delivery, DeliveryMetric, DeliveryPromise};
use std::time::Duration;

/// Judges every promise of `delivery`. One that speaks of no consumer is kept when each consumer keeps it.
#[must_use]
pub fn judge_promises(delivery: &Delivery, recording: &DeliveryRecording) -> Vec<PromiseRecording> {
    delivery.promises.iter().map(|promise| judge(promise, recording)).collect()
}

fn judge(promise: &DeliveryPromise, recording: &DeliveryRecording) -> PromiseRecording {
    let spoken_of = |consumer: &&ConsumerRecording| {
        promise.consumer.as_ref().is_none_or(|name| *name == consumer.name)
            // Who had no fault has nothing to heal from.
            && (promise.consumer.is_some()
                || !matches!(promise.metric, DeliveryMetric::Heal { .. })
                || recording.is_faulty(&consumer.name))
    };
    let is_time = promise.metric != DeliveryMetric::NoneLost;
    if is_time && recording.consumers.iter().filter(spoken_of).any(|consumer| consumer.early.is_some()) {
        let measured = "cannot be told: a consumer’s clock is behind".to_owned();
        return PromiseRecording { text: promise.text.clone(), kept: false, unverifiable: true, measured };
    }
    let judged: Vec<(bool, String)> = recording
        .consumers
        .iter()
        .filter(spoken_of)
        .map(|consumer| {
            let (kept, measured) = measure(promise.metric, consumer, recording);
            (kept, if promise.consumer.is_some() { measured } else { format!("{} {measured}", consumer.name) })
        })
        .collect();
    let kept = judged.iter().all(|(kept, _)| *kept);
    let measured = judged.into_iter().map(|(_, measured)| measured).collect::<Vec<_>>().join(", ");
    let measured = if measured.is_empty() { "no consumer had a fault".to_owned() } else { measured };
    PromiseRecording { text: promise.text.clone(), kept, measured, ..PromiseRecording::default() }
}

fn measure(metric: DeliveryMetric, consumer: &ConsumerRecording, recording: &DeliveryRecording) -> (bool, String) {
    let times = &consumer.delivery_time;
    let bounded = |measured: Duration, limit: Duration| match times.count() {
        0 => (false, "nothing was delivered".to_owned()),
        _ => (measured < limit, told(measured)),
    };
    match metric {
        DeliveryMetric::Time { quantile, limit } => bounded(times.quantile(quantile), limit),
        DeliveryMetric::MeanTime { limit } => bounded(times.mean(), limit),
        DeliveryMetric::NoneLost => (consumer.books.lost == 0, format!("{} lost", consumer.books.lost)),
        DeliveryMetric::Heal { limit } => match consumer.healed_s {
            Some(healed) => {
                let limit = limit.as_secs_f64() / recording.time_factor.max(1.0);
                let many = recording.faults.iter().filter(|fault| fault.service == consumer.name).count();
                let which = if many > 1 { format!(", the longest of {many} faults") } else { String::new() };
                (healed < limit, format!("healed in {healed:.1} s{which}"))
            }
            None if recording.is_faulty(&consumer.name) => (false, "has not healed".to_owned()),
            None => (true, "had no fault".to_owned()),
        },
    }
}

fn told(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        format!("{:.2} s", time.as_secs_f64())
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{DeliveryBooks, FaultRecording};

    fn recording() -> DeliveryRecording {
        let consumer = |name: &str, ms: u64, healed_s: Option<f64>| {
            let mut consumer = ConsumerRecording { name: name.to_owned(), healed_s, ..ConsumerRecording::default() };
            (0..100).for_each(|_| consumer.delivery_time.record(Duration::from_millis(ms)));
            consumer
        };
        DeliveryRecording {
            time_factor: 2.0,
            faults: vec![FaultRecording { service: "email".to_owned(), ..FaultRecording::default() }],
            consumers: vec![consumer("email", 30_000, Some(40.0)), consumer("sms", 20, None)],
            ..DeliveryRecording::default()
        }
    }

    fn kept(consumer: Option<&str>, metric: DeliveryMetric, recording: &DeliveryRecording) -> (bool, String) {
        let promise = DeliveryPromise { text: "p".to_owned(), consumer: consumer.map(str::to_owned), metric };
        let told = judge(&promise, recording);
        (told.kept, told.measured)
    }

    #[test]
    fn a_promise_of_nobody_in_particular_binds_everybody() {
        let p95 = |seconds: u64| DeliveryMetric::Time { quantile: 0.95, limit: Duration::from_secs(seconds) };
        assert!(kept(Some("sms"), p95(1), &recording()).0);
        let (all, told) = kept(None, p95(1), &recording());
        assert!(!all && told.contains("email 30.0") && told.contains("sms 20."), "{told}");
        assert!(kept(None, p95(60), &recording()).0);
    }

    #[test]
    fn healing_is_asked_of_those_who_had_a_fault_and_the_time_factor_divides_it() {
        let heal = |seconds: u64| DeliveryMetric::Heal { limit: Duration::from_secs(seconds) };
        assert!(kept(None, heal(120), &recording()).0, "40 s is less than 120 s / 2");
        assert!(!kept(None, heal(79), &recording()).0, "40 s is more than 79 s / 2");
        let mut never = recording();
        never.consumers[0].healed_s = None;
        assert_eq!(kept(None, heal(120), &never), (false, "email has not healed".to_owned()));
        never.faults.clear();
        assert_eq!(kept(None, heal(120), &never), (true, "no consumer had a fault".to_owned()));
    }

    #[test]
    fn no_time_is_promised_by_a_clock_that_is_behind() {
        let mut behind = recording();
        behind.consumers[1].early = Some(crate::trial::EarlyDeliveries { deliveries: 100, behind_s: 2.0 });
        let told = |consumer: Option<&str>, metric: DeliveryMetric| {
            let promise = DeliveryPromise { text: "p".to_owned(), consumer: consumer.map(str::to_owned), metric };
            let told = judge(&promise, &behind);
            (told.kept, told.unverifiable)
        };
        let p95 = DeliveryMetric::Time { quantile: 0.95, limit: Duration::from_mins(1) };
        assert_eq!(told(Some("sms"), p95), (false, true));
        assert_eq!(told(None, p95), (false, true), "it speaks of that consumer too");
        assert_eq!(told(Some("email"), p95), (true, false));
        assert_eq!(told(None, DeliveryMetric::NoneLost), (true, false), "what was lost needs no clock");
    }

    #[test]
    fn nothing_delivered_keeps_no_promise_of_time_and_one_lost_breaks_the_other() {
        let mut lost = recording();
        lost.consumers[1].books = DeliveryBooks { lost: 1, ..DeliveryBooks::default() };
        assert_eq!(kept(None, DeliveryMetric::NoneLost, &lost), (false, "email 0 lost, sms 1 lost".to_owned()));
        assert!(kept(Some("email"), DeliveryMetric::NoneLost, &lost).0);
        lost.consumers[1].delivery_time = crate::stats::Histogram::default();
        assert!(!kept(Some("sms"), DeliveryMetric::MeanTime { limit: Duration::from_secs(1) }, &lost).0);
    }
}
