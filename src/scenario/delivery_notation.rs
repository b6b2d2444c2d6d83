//! The small notations of an asynchronous system: faults and promises of deliveries. Each parser gives the value, or what
//! is wrong and how to mend it.

use super::notation::{Complaint, complain, duration, hundredth, quantile};
use super::{DeliveryMetric, FaultKind};
use std::time::Duration;

/// A fault as written: the service, what is wrong with it, from when, for how long.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FaultText {
    pub(super) service: String,
    pub(super) kind: FaultKind,
    pub(super) from: Duration,
    pub(super) length: Duration,
}

/// `email-service down from 20s for 30s`, and likewise `crashing`, `hanging`, `slow 2s`, `failing 20%`.
pub(super) fn fault(text: &str) -> Result<FaultText, Complaint> {
    const EXAMPLE: &str = "write `email-service down from 20s for 30s`, or `crashing`, `hanging`, `slow 2s`, `failing 20%` instead of `down`";
    let words: Vec<&str> = text.split_whitespace().collect();
    let (service, kind, from, length) = match words.as_slice() {
        [service, kind, "from", from, "for", length] => (service, plain(kind, EXAMPLE)?, from, length),
        [service, kind, how, "from", from, "for", length] => (service, graded(kind, how, EXAMPLE)?, from, length),
        _ => return Err(complain(format!("`{text}` is not a fault"), EXAMPLE)),
    };
    let (from, length) = (duration(from)?, duration(length)?);
    if length.is_zero() {
        return Err(complain(format!("the fault `{text}` takes no time"), "give it a length, such as `for 30s`"));
    }
    Ok(FaultText { service: (*service).to_owned(), kind, from, length })
}

/// A fault without a measure.
fn plain(kind: &str, example: &str) -> Result<FaultKind, Complaint> {
    match kind {
        "down" => Ok(FaultKind::Down),
        "crashing" => Ok(FaultKind::Crashing),
        "hanging" => Ok(FaultKind::Hanging),
        "slow" => Err(complain("`slow` lacks how slow", "write how much longer each answer takes: `slow 2s`")),
        "failing" => Err(complain("`failing` lacks how many", "write the share that fails: `failing 20%`")),
        other => Err(complain(format!("`{other}` is nothing that goes wrong with a service"), example)),
    }
}

/// A fault with its measure.
fn graded(kind: &str, how: &str, example: &str) -> Result<FaultKind, Complaint> {
    match kind {
        "slow" => match duration(how)? {
            Duration::ZERO => {
                Err(complain("`slow 0s` slows nothing", "write how much longer each answer takes: `slow 2s`"))
            }
            more => Ok(FaultKind::Slow(more)),
        },
        "failing" => match how.strip_suffix('%').and_then(hundredth) {
            Some(share) if share > 0.0 && share <= 1.0 => Ok(FaultKind::Failing(share)),
            _ => Err(complain(
                format!("`{how}` is not a share of requests that can fail"),
                "write more than 0% and at most 100%, such as `failing 20%`",
            )),
        },
        "down" | "crashing" | "hanging" => {
            Err(complain(format!("`{kind}` takes no measure, and `{how}` stands behind it"), "leave it out"))
        }
        other => Err(complain(format!("`{other}` is nothing that goes wrong with a service"), example)),
    }
}

/// A promise of deliveries: the consumer it speaks of, if any, and what it bounds. `None` when the text speaks of none,
/// `Err` when it does and is wrong: `delivery.p95 < 60s`, `sms-service.delivery.mean < 1s`, `heal < 120s`, `lost == 0`.
pub(super) fn promise(text: &str) -> Option<Result<(Option<String>, DeliveryMetric), Complaint>> {
    let end = text.find(['<', '=', '>', '!']).unwrap_or(text.len());
    let (subject, relation) = (text[..end].trim(), text[end..].trim());
    let (consumer, metric) = match subject.rsplit_once('.') {
        Some((consumer, metric @ ("heal" | "lost"))) => (Some(consumer), metric),
        _ => match subject.find("delivery.") {
            Some(0) => (None, subject),
            Some(at) if subject[..at].ends_with('.') => (Some(&subject[..at - 1]), &subject[at..]),
            _ => (None, subject),
        },
    };
    let consumer = consumer.map(str::to_owned);
    let metric = match metric {
        "lost" => lost(text, relation),
        "heal" => below(text, relation).map(|limit| DeliveryMetric::Heal { limit }),
        _ => time(text, metric.strip_prefix("delivery.")?, relation),
    };
    Some(metric.map(|metric| (consumer, metric)))
}

fn lost(text: &str, relation: &str) -> Result<DeliveryMetric, Complaint> {
    if relation.strip_prefix("==").is_some_and(|number| number.trim() == "0") {
        return Ok(DeliveryMetric::NoneLost);
    }
    Err(complain(format!("`{text}` is not a promise: what was acknowledged may never be lost"), "write `lost == 0`"))
}

fn time(text: &str, metric: &str, relation: &str) -> Result<DeliveryMetric, Complaint> {
    let quantile = quantile(metric);
    if let Some(quantile) = quantile
        && !(quantile > 0.0 && quantile < 1.0)
    {
        return Err(complain(
            format!("`{text}` is impossible: there is no percentile {}", &metric[1..]),
            "a percentile lies between 0 and 100, both excluded, such as p95 or p99.9",
        ));
    }
    if quantile.is_none() && metric != "mean" {
        return Err(complain(
            format!("`{metric}` is nothing a promise of deliveries can bound"),
            "write `delivery.p95 < 60s` or `delivery.mean < 1s`",
        ));
    }
    let limit = below(text, relation)?;
    Ok(quantile.map_or(DeliveryMetric::MeanTime { limit }, |quantile| DeliveryMetric::Time { quantile, limit }))
}

/// `< 60s`, which is more than no time.
fn below(text: &str, relation: &str) -> Result<Duration, Complaint> {
    let Some(bound) = relation.strip_prefix('<').filter(|bound| !bound.starts_with('=')) else {
        return Err(complain(format!("`{text}` is not a promise: it has no `<`"), "write it as `heal < 120s`"));
    };
    let limit = duration(bound.trim())?;
    if limit.is_zero() {
        return Err(complain(
            format!("`{text}` is impossible: nothing takes less than no time"),
            "give the time it may take, such as 120s",
        ));
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn faults_say_who_what_when_and_how_long() {
        let told = |kind: &str| fault(&format!("email-service {kind} from 20s for 0.5m")).map(|fault| fault.kind);
        let down =
            FaultText { service: "email-service".to_owned(), kind: FaultKind::Down, from: 20 * S, length: 30 * S };
        assert_eq!(fault("email-service down from 20s for 30s"), Ok(down.clone()));
        assert_eq!(fault(" email-service  down from 20s for 30s "), Ok(down));
        assert_eq!(told("crashing"), Ok(FaultKind::Crashing));
        assert_eq!(told("hanging"), Ok(FaultKind::Hanging));
        assert_eq!(told("slow 2s"), Ok(FaultKind::Slow(2 * S)));
        assert_eq!(told("failing 20%"), Ok(FaultKind::Failing(0.2)));
        for (wrong, words) in [
            ("email-service down", "not a fault"),
            ("email-service down from 20s to 30s", "not a fault"),
            ("email-service down from 20s for 0s", "takes no time"),
            ("email-service down from 20 for 30s", "not a duration"),
            ("email-service broken from 20s for 30s", "`broken` is nothing that goes wrong"),
            ("email-service slow from 20s for 30s", "lacks how slow"),
            ("email-service slow 0s from 20s for 30s", "slows nothing"),
            ("email-service down 2s from 20s for 30s", "takes no measure"),
            ("email-service failing 0% from 20s for 30s", "not a share"),
            ("email-service failing 101% from 20s for 30s", "not a share"),
            ("email-service failing from 20s for 30s", "lacks how many"),
            ("", "not a fault"),
        ] {
            let complaint = fault(wrong).unwrap_err();
            assert!(complaint.message.contains(words), "{wrong}: {}", complaint.message);
        }
    }

    #[test]
    fn promises_of_deliveries_are_told_from_those_of_answers() {
        let limit = 60 * S;
        let of = |text: &str| promise(text).map(|told| told.map_err(|complaint| complaint.message));
        let sms = Some("sms-service".to_owned());
        assert_eq!(of("delivery.p95 < 60s"), Some(Ok((None, DeliveryMetric::Time { quantile: 0.95, limit }))));
        assert_eq!(
            of("sms-service.delivery.p99.9<1m"),
            Some(Ok((sms.clone(), DeliveryMetric::Time { quantile: 0.999, limit })))
        );
        assert_eq!(of("sms-service.delivery.mean < 60s"), Some(Ok((sms.clone(), DeliveryMetric::MeanTime { limit }))));
        assert_eq!(of("heal < 60s"), Some(Ok((None, DeliveryMetric::Heal { limit }))));
        assert_eq!(of("sms-service.heal < 60s"), Some(Ok((sms.clone(), DeliveryMetric::Heal { limit }))));
        assert_eq!(of("lost == 0"), Some(Ok((None, DeliveryMetric::NoneLost))));
        assert_eq!(of("sms-service.lost==0"), Some(Ok((sms, DeliveryMetric::NoneLost))));
        for other in ["p95 < 60s", "post.p95 < 60s", "error_rate < 1%", "mean < 1s", "", "delivery < 1s", "<"] {
            assert_eq!(of(other), None, "{other}");
        }
        for (wrong, words) in [
            ("lost < 1", "may never be lost"),
            ("lost == 1", "may never be lost"),
            ("heal == 0", "no `<`"),
            ("heal <= 60s", "no `<`"),
            ("heal < 0s", "impossible"),
            ("delivery.p100 < 1s", "no percentile 100"),
            ("delivery.max < 1s", "`max` is nothing"),
            ("delivery.p95 < 170", "not a duration"),
        ] {
            let told = of(wrong).unwrap().unwrap_err();
            assert!(told.contains(words), "{wrong}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in any::<String>(), almost in "[a-z.é]{0,9}(delivery.|lost|heal|down|slow)?[a-z .0-9%]{0,30}( from [0-9]{0,3}s for [0-9]{0,2}m?| ?[<=]{0,2} ?[0-9]{0,3}s?)") {
            for text in [&text, &almost] {
                let _ = (fault(text).is_ok(), promise(text).is_some());
            }
        }
    }
}
