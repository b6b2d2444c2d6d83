//! What stands below the first screen.

use super::super::content::close_up_times;
use super::super::document::{Block, Cell, Row, Table, Tone};
use super::super::number::{count, seconds};
use super::headline::time;
use super::{laws, refusals, spectrum};
use crate::stats::Histogram;
use crate::trial::{DeliveryRecording, Recording};

pub(super) fn sections(recording: &Recording, delivery: &DeliveryRecording) -> Vec<Block> {
    let mut blocks = vec![Block::section("The ledger"), Block::Table(ledger(delivery))];
    blocks.push(Block::List(laws(delivery).into_iter().map(|law| vec![law.into()]).collect()));
    blocks.extend(refusals::table(delivery).map(Block::Table));
    blocks.extend(refusals::publishes(delivery).map(|text| Block::text(format!("{text}."))));
    if delivery.all_promises().next().is_some() {
        blocks.push(Block::part("Promises"));
        blocks.push(Block::Table(promises(delivery)));
    }
    blocks.push(Block::section("Delivery times"));
    blocks.push(Block::Figure {
        stem: spectrum::STEM.to_owned(),
        alt: spectrum::ALT.to_owned(),
        caption:
            "The share of reports that were delivered within a time, from the due time of the post; thin lines are the \
                  reports due while the fault lasted."
                .to_owned(),
    });
    blocks.push(Block::Table(times(delivery)));
    blocks.push(Block::section("The posts"));
    blocks.push(Block::Table(posts(recording)));
    blocks.push(Block::section("Conditions"));
    blocks.push(Block::List(conditions(delivery)));
    blocks
}

fn ledger(delivery: &DeliveryRecording) -> Table {
    let mut table = Table::new(
        "What became of each report that was posted. Lost: acknowledged and not delivered when the drain ended; still queued: \
         how many of them may have waited in the subscription then, the others were gone. Late: \
         delivered after the promised time. Healed: from the end of a fault of its own until all that was \
         due before that end was delivered and 95 % of the reports due within a second took no longer than twice the p95 of before \
         the first fault; the longest. Duplicates: those told until a moment \
         after the last first delivery; what a subscription sends again when its ack deadline has passed, 10 s or more, may come \
         later. Out of order: within an ordering key; – where no delivery had one. Unacknowledged: delivered though their post was not. Foreign: not of this run.",
        &[
            "consumer",
            "#acknowledged",
            "#delivered",
            "#lost",
            "#still queued",
            "#late",
            "#duplicates",
            "#redeliveries",
            "#dead letters",
            "#out of order",
            "#unacknowledged",
            "#foreign",
            "#healed",
        ],
    );
    let bad_if = |number: u64| Cell::toned(count(number), if number > 0 { Tone::Bad } else { Tone::Plain });
    for consumer in &delivery.consumers {
        let books = consumer.books;
        table.rows.push(Row::of([
            consumer.name.as_str().into(),
            count(delivery.posts.acknowledged).into(),
            count(books.delivered).into(),
            bad_if(books.lost),
            consumer.queued.map_or_else(|| "–".to_owned(), |held| count(held.min(books.lost))).into(),
            bad_if(books.late),
            count(books.duplicates).into(),
            consumer.redeliveries.map_or_else(|| "–".to_owned(), count).into(),
            consumer.dead_lettered.map_or_else(|| "–".to_owned(), count).into(),
            consumer.out_of_order().map_or_else(|| "–".to_owned(), count).into(),
            count(books.unacknowledged).into(),
            count(books.foreign).into(),
            consumer.healed_s.map_or_else(|| "–".to_owned(), seconds).into(),
        ]));
    }
    table
}

fn promises(delivery: &DeliveryRecording) -> Table {
    let mut table = Table::new("What was promised.", &["promise", "verdict", "measured"]);
    for promise in delivery.all_promises() {
        let verdict = match (promise.kept, promise.unverifiable) {
            (_, true) => Cell::toned("? cannot be told", Tone::Bad),
            (kept, false) => Cell::verdict(kept, if kept { "kept" } else { "broken" }),
        };
        table.rows.push(Row::of([promise.text.as_str().into(), verdict, promise.measured.as_str().into()]));
    }
    table
}

fn times(delivery: &DeliveryRecording) -> Table {
    let mut table = Table::new(
        "With and without the fault (as it began: due so shortly before the broken revision served that they may have met it): response time of the post, and delivery time of each consumer, both from the due time of \
         the post.",
        &["what", "when", "#reports", "#p50", "#p95", "#p99", "#longest"],
    );
    let mut push = |what: &str, when: &str, times: &Histogram| {
        if times.count() > 0 {
            let quantile = |q: f64| Cell::from(time(times.quantile(q)));
            let cells = [what.into(), when.into(), count(times.count()).into()];
            let all =
                cells.into_iter().chain([quantile(0.5), quantile(0.95), quantile(0.99), time(times.max()).into()]);
            table.rows.push(Row::of(all));
        }
    };
    let (during, else_when) = ("while the fault lasted", "before, and after it had healed");
    let (beginning, healing) = ("as it began", "while it healed");
    push("post, response time", beginning, &delivery.post_time_beginning);
    push("post, response time", during, &delivery.post_time_inside);
    push("post, response time", healing, &delivery.post_time_healing);
    push("post, response time", else_when, &delivery.post_time_outside);
    for consumer in &delivery.consumers {
        push(&format!("{}, delivery time", consumer.name), beginning, &consumer.beginning);
        push(&format!("{}, delivery time", consumer.name), during, &consumer.inside);
        push(&format!("{}, delivery time", consumer.name), healing, &consumer.healing);
        push(&format!("{}, delivery time", consumer.name), else_when, &consumer.outside);
    }
    table
}

fn posts(recording: &Recording) -> Table {
    let titles: Vec<&str> =
        ["step", "#measured requests", "#errors"].into_iter().chain(close_up_times::TIMES).collect();
    let mut table = Table::new(
        "Each step, warm-up left out. Response time counts from when a request was due, service time from when it was sent.",
        &titles,
    );
    for step in &recording.steps {
        let times = [&step.times];
        let [requests, errors] = close_up_times::measured(&times);
        table.rows.push(Row::of(
            [step.name.as_str().into(), requests, errors].into_iter().chain(close_up_times::times(&times)),
        ));
    }
    table
}

fn conditions(delivery: &DeliveryRecording) -> Vec<Vec<super::super::document::Span>> {
    let mut told: Vec<String> = delivery.services.iter().map(|(name, words)| format!("{name}: {words}.")).collect();
    for fault in &delivery.faults {
        told.push(format!(
            "{}: the broken revision served from {} to {}.",
            fault.text,
            seconds(fault.from_s),
            seconds(fault.until_s)
        ));
    }
    for consumer in &delivery.consumers {
        let unwatched = consumer.order.map_or(0, |order| order.unwatched);
        if unwatched > 0 {
            told.push(format!(
                "{}: the order of {} deliveries was not watched: their ordering keys came after the first 100,000.",
                consumer.name,
                count(unwatched)
            ));
        }
    }
    told.push(format!(
        "Deliveries were looked for until {} after the start of the load; the drain would have waited {} after its end. A report \
         is late after {}.",
        seconds(delivery.looked_until_s),
        seconds(delivery.drain_limit_s),
        seconds(delivery.within_s)
    ));
    told.push(
        "A ratio compares p95 of batches of five seconds of this one run, by their geometric mean; its interval (Welch’s t, widened \
         by 1.3 because neighbouring batches resemble each other) holds the true ratio in some 95 % of simulated runs, in 92 % when \
         a second is very much like the next, and nothing of what differs from run to run. It takes 100 reports and three batches \
         on each side. Unaffected is said only when the whole interval lies within 1 ± 0.1, and no larger share failed or was lost."
            .to_owned(),
    );
    told.extend(delivery.assumptions.iter().cloned());
    told.into_iter().map(|text| vec![text.into()]).collect()
}
