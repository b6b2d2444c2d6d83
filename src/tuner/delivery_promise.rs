//! Whether the trials of a candidate keep a promise of deliveries. As with answers the unit is the trial: a percentile is
//! taken in each valid trial, and the mean of those must keep the promise.

use super::promise::{Breach, over};
use crate::scenario::{DeliveryMetric, DeliveryPromise};
use crate::trial::{ConsumerRecording, DeliveryRecording};
use std::time::Duration;

/// How the deliveries of valid trials break `promise`; `None` when they keep it. A promise that speaks of no consumer is
/// kept when each consumer keeps it; then the worst is told.
pub(super) fn delivery_breach(promise: &DeliveryPromise, trials: &[&DeliveryRecording]) -> Option<Breach> {
    let mut names: Vec<&str> =
        trials.iter().flat_map(|trial| &trial.consumers).map(|consumer| consumer.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let spoken_of = names.iter().filter(|name| promise.consumer.as_deref().is_none_or(|consumer| consumer == **name));
    let mut breaches: Vec<Breach> = spoken_of
        .filter_map(|name| {
            let consumers: Vec<&ConsumerRecording> =
                trials.iter().flat_map(|trial| &trial.consumers).filter(|consumer| consumer.name == *name).collect();
            let breach = breach_of(promise.metric, &consumers)?;
            let measured = match promise.consumer {
                Some(_) => breach.measured,
                None => format!("{name}: {}", breach.measured),
            };
            Some(Breach { measured, ..breach })
        })
        .collect();
    breaches.sort_by(|a, b| b.excess.total_cmp(&a.excess));
    breaches.into_iter().next()
}

/// How one consumer's deliveries break a promise.
fn breach_of(metric: DeliveryMetric, consumers: &[&ConsumerRecording]) -> Option<Breach> {
    match metric {
        DeliveryMetric::Time { quantile, limit } => {
            slow(consumers, limit, |consumer| consumer.delivery_time.quantile(quantile))
        }
        DeliveryMetric::MeanTime { limit } => slow(consumers, limit, |consumer| consumer.delivery_time.mean()),
        // A tuning breaks nothing, so that nothing heals.
        DeliveryMetric::Heal { .. } => None,
        DeliveryMetric::NoneLost => {
            let lost: u64 = consumers.iter().map(|consumer| consumer.books.lost).sum();
            (lost > 0).then(|| Breach { measured: format!("{lost} lost"), excess: f64::INFINITY })
        }
    }
}

fn slow(
    consumers: &[&ConsumerRecording],
    limit: Duration,
    of: impl Fn(&ConsumerRecording) -> Duration,
) -> Option<Breach> {
    if consumers.iter().any(|consumer| consumer.delivery_time.count() == 0) {
        return Some(Breach { measured: "nothing was delivered".to_owned(), excess: f64::INFINITY });
    }
    let told: f64 = consumers.iter().map(|consumer| of(consumer).as_secs_f64()).sum::<f64>() / consumers.len() as f64;
    let limit = limit.as_secs_f64();
    (told >= limit).then(|| Breach {
        measured: format!("{:.0} ms, {}", told * 1e3, over(told, limit)),
        excess: told / limit - 1.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::DeliveryBooks;

    /// A trial in which these consumers had all reports after so many milliseconds, and lost so many.
    fn trial(consumers: &[(&str, u64, u64)]) -> DeliveryRecording {
        let consumer = |(name, ms, lost): &(&str, u64, u64)| {
            let books = DeliveryBooks { lost: *lost, ..DeliveryBooks::default() };
            let mut told = ConsumerRecording { name: (*name).to_owned(), books, ..ConsumerRecording::default() };
            (0..100).for_each(|_| told.delivery_time.record(Duration::from_millis(*ms)));
            told
        };
        DeliveryRecording { consumers: consumers.iter().map(consumer).collect(), ..DeliveryRecording::default() }
    }

    fn told(consumer: Option<&str>, metric: DeliveryMetric, trials: &[DeliveryRecording]) -> Option<String> {
        let promise = DeliveryPromise { text: "as written".to_owned(), consumer: consumer.map(str::to_owned), metric };
        delivery_breach(&promise, &trials.iter().collect::<Vec<_>>()).map(|breach| breach.measured)
    }

    const P95: DeliveryMetric = DeliveryMetric::Time { quantile: 0.95, limit: Duration::from_millis(150) };

    #[test]
    fn the_mean_over_trials_of_a_consumer_s_percentile_is_what_counts() {
        let trials = [trial(&[("email", 100, 0), ("sms", 200, 0)]), trial(&[("email", 190, 0), ("sms", 220, 0)])];
        assert_eq!(told(Some("email"), P95, &trials), None, "145 ms");
        assert_eq!(told(Some("sms"), P95, &trials).unwrap(), "210 ms, 40 % over");
        assert_eq!(told(None, P95, &trials).unwrap(), "sms: 210 ms, 40 % over");
        let none = [
            trial(&[("email", 100, 0)]),
            DeliveryRecording {
                consumers: vec![ConsumerRecording { name: "email".to_owned(), ..ConsumerRecording::default() }],
                ..DeliveryRecording::default()
            },
        ];
        assert_eq!(told(Some("email"), P95, &none).unwrap(), "nothing was delivered");
    }

    #[test]
    fn one_lost_report_in_one_of_many_trials_breaks_the_promise() {
        let mut trials = vec![trial(&[("email", 100, 0), ("sms", 100, 0)]); 9];
        assert_eq!(told(None, DeliveryMetric::NoneLost, &trials), None);
        trials.push(trial(&[("email", 100, 0), ("sms", 100, 1)]));
        assert_eq!(told(None, DeliveryMetric::NoneLost, &trials).unwrap(), "sms: 1 lost");
        assert_eq!(told(Some("email"), DeliveryMetric::NoneLost, &trials), None);
    }
}
