//! What was refused, came too late or was given up on the way, by the broker's count; and what to do when that lost something.

use super::super::document::{Cell, Row, Table, Tone};
use super::super::number::count;
use crate::trial::{DeliveryRecording, FORBIDDEN, SubscriptionRecording, UNAUTHORIZED};

/// Something that can go wrong with a subscription.
#[derive(Clone, Copy)]
pub(in crate::report) struct Column {
    pub(in crate::report) title: &'static str,
    /// Its name in CSV.
    pub(super) csv: &'static str,
    pub(in crate::report) of: fn(&SubscriptionRecording) -> u64,
}

const fn column(title: &'static str, csv: &'static str, of: fn(&SubscriptionRecording) -> u64) -> Column {
    Column { title, csv, of }
}

/// Everything that can, in the order in which it is shown.
pub(in crate::report) const COLUMNS: [Column; 10] = [
    column("refused 401", "pushes_refused_401", |it| it.pushes.refused_with(UNAUTHORIZED..=UNAUTHORIZED)),
    column("refused 403", "pushes_refused_403", |it| it.pushes.refused_with(FORBIDDEN..=FORBIDDEN)),
    column("refused, other 4xx", "pushes_refused_other_4xx", |it| {
        it.pushes.refused_with(400..=499) - it.pushes.turned_away().map(|(_, many)| many).sum::<u64>()
    }),
    column("refused 5xx", "pushes_refused_5xx", |it| it.pushes.refused_with(500..=599)),
    column("refused, other", "pushes_refused_other", |it| {
        it.pushes.refused_with(0..=399) + it.pushes.refused_with(600..=u16::MAX)
    }),
    column("unreachable", "pushes_unreachable", |it| it.pushes.unreachable),
    column("deadlines expired", "deadlines_expired", |it| it.expired_deadlines),
    column("late acknowledgements", "late_acknowledgements", |it| it.late_acknowledgements),
    column("dead letters", "dead_lettered", |it| it.dead_lettered),
    column("too old", "too_old", |it| it.expired_messages),
];

fn wrong(delivery: &DeliveryRecording) -> impl Iterator<Item = &SubscriptionRecording> {
    delivery.subscriptions.iter().filter(|subscription| !subscription.is_calm())
}

/// The subscriptions with which something went wrong, and what did; `None` when nothing.
pub(super) fn table(delivery: &DeliveryRecording) -> Option<Table> {
    wrong(delivery).next()?;
    let shown: Vec<Column> =
        COLUMNS.into_iter().filter(|column| wrong(delivery).any(|it| (column.of)(it) > 0)).collect();
    let titles: Vec<String> = shown.iter().map(|column| format!("#{}", column.title)).collect();
    let titles: Vec<&str> = ["subscription", "pushes to", "#pushes", "#acknowledged"]
        .into_iter()
        .chain(titles.iter().map(String::as_str))
        .chain(["#not delivered"])
        .collect();
    let mut table = Table::new(
        "What went wrong on the way, by the broker’s count. Refused: answered with a status that does not acknowledge. Each is \
         sent again, unless it is given up. Not delivered: when the run ended.",
        &titles,
    );
    for it in wrong(delivery) {
        let mut cells: Vec<Cell> = vec![it.name.as_str().into(), it.push_to.as_str().into()];
        cells.extend([count(it.pushes.sent).into(), count(it.pushes.acknowledged).into()]);
        cells.extend(shown.iter().map(|column| Cell::from(count((column.of)(it)))));
        cells.push(Cell::toned(count(it.undelivered), if it.undelivered > 0 { Tone::Bad } else { Tone::Plain }));
        table.rows.push(Row::of(cells));
    }
    Some(table)
}

/// The same in lines: a subscription each, and the publishes that were refused.
pub(super) fn lines(delivery: &DeliveryRecording) -> Vec<String> {
    let of_each = wrong(delivery).map(|it| {
        let told = COLUMNS.iter().map(|column| (column.title, (column.of)(it))).filter(|(_, many)| *many > 0);
        let told: Vec<String> = told.map(|(title, many)| format!("{title}: {}", count(many))).collect();
        format!("{}, {} pushes to {}: {}", it.name, count(it.pushes.sent), it.push_to, told.join(", "))
    });
    of_each.chain(publishes(delivery)).collect()
}

/// The publishes that the broker refused, by cause; `None` when it refused none.
pub(super) fn publishes(delivery: &DeliveryRecording) -> Option<String> {
    let refused = delivery.publishes_refused.filter(|refused| refused.in_all() > 0)?;
    let causes = refused.by_cause().into_iter().filter(|(_, many)| *many > 0);
    let causes: Vec<String> = causes.map(|(cause, many)| format!("{cause}: {}", count(many))).collect();
    Some(format!("Publish requests refused by the broker, repeated ones included: {}", causes.join(", ")))
}

/// Why deliveries were lost and how to mend it, where the broker's count tells: a sentence for each subscription whose pushes were
/// turned away for who sent them.
#[must_use]
pub fn loss_hints(delivery: &DeliveryRecording) -> Vec<String> {
    if delivery.unobserved.is_some() {
        return Vec::new();
    }
    let losing = |service: &str| delivery.consumers.iter().any(|it| it.name == service && it.books.lost > 0);
    let pushing = delivery.subscriptions.iter().filter(|subscription| losing(&subscription.push_to));
    let hint = |it: &SubscriptionRecording, (status, many): (u16, u64)| {
        let SubscriptionRecording { name, push_to, .. } = it;
        let (why, mend) = match status {
            FORBIDDEN => (
                "its pushes carry no token, or that of an account that may not call the service",
                format!("name one of the `invokers` of {push_to} as `push_as` of {name}, or add its account to them"),
            ),
            _ => (
                "their tokens are expired, forged, or for another service",
                format!("let {push_to} trust the keys of the Pub/Sub that pushes, and let tokens be for its address"),
            ),
        };
        let (many, pushes) = (count(many), if many == 1 { "push" } else { "pushes" });
        format!(
            "The push subscription {name} is answered {status} by {push_to} ({many} {pushes}): {why}; mend: {mend}."
        )
    };
    pushing.flat_map(|it| it.pushes.turned_away().map(move |refused| hint(it, refused))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_run_without_trouble_says_nothing() {
        let mut delivery = fixture::recording().delivery.unwrap();
        assert!(table(&delivery).is_some() && lines(&delivery).len() == 2);
        delivery.subscriptions.remove(0);
        delivery.publishes_refused = None;
        assert!(table(&delivery).is_none() && lines(&delivery).is_empty(), "the other subscription is calm");
    }

    #[test]
    fn every_refusal_has_one_column() {
        let statuses = [302, 400, 401, 403, 413, 500, 503, 600];
        let mut it = SubscriptionRecording::default();
        it.pushes.refused = BTreeMap::from(statuses.map(|status| (status, 1)));
        let refused: Vec<u64> = COLUMNS[..5].iter().map(|column| (column.of)(&it)).collect();
        assert_eq!(refused, [1, 1, 2, 2, 2]);
    }

    #[test]
    fn a_loss_by_pushes_that_may_not_call_says_how_to_mend_it() {
        let mut delivery = fixture::recording().delivery.unwrap();
        delivery.subscriptions[1].pushes.refused = BTreeMap::from([(401, 1), (403, 36), (500, 3)]);
        assert_eq!(loss_hints(&delivery), Vec::<String>::new(), "nothing was lost");
        delivery.consumers[1].books.lost = 36;
        assert_eq!(
            loss_hints(&delivery),
            [
                "The push subscription sms-sub is answered 401 by sms (1 push): their tokens are expired, forged, or for another \
                 service; mend: let sms trust the keys of the Pub/Sub that pushes, and let tokens be for its address.",
                "The push subscription sms-sub is answered 403 by sms (36 pushes): its pushes carry no token, or that of an \
                 account that may not call the service; mend: name one of the `invokers` of sms as `push_as` of sms-sub, or add \
                 its account to them.",
            ]
        );
        delivery.unobserved = Some("nobody told".to_owned());
        assert_eq!(loss_hints(&delivery), Vec::<String>::new(), "what was lost is not known");
    }
}
