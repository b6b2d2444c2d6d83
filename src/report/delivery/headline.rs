//! The first screen of a run with deliveries: lost or not, who noticed the fault, how long it took to heal.

use super::super::document::{Block, Cell, Row, Table, Tone};
use super::super::number::{count, in_milliseconds, milliseconds, seconds};
use super::{loss_hints, timeline};
use crate::stats::{Histogram, QuantileRatio};
use crate::trial::{Claim, ConsumerRecording, DeliveryRecording, Recording, UNAFFECTED_MARGIN};
use std::time::Duration;

/// How the posts are called beside the consumers.
pub(super) const POST: &str = "the post";

/// The first screen.
pub(super) struct Headline {
    pub(super) class: &'static str,
    pub(super) title: String,
    pub(super) reason: String,
    /// The consumers at a glance, and the picture.
    pub(super) blocks: Vec<Block>,
}

impl Headline {
    pub(super) fn of(recording: &Recording, delivery: &DeliveryRecording) -> Self {
        let (class, title) = news(recording, delivery);
        let mut blocks = vec![Block::Table(at_a_glance(delivery))];
        blocks.extend(timeline::figure(recording, delivery));
        Self { class, title, reason: reason(delivery), blocks }
    }
}

fn news(recording: &Recording, delivery: &DeliveryRecording) -> (&'static str, String) {
    let (lost, acknowledged) = (delivery.lost(), delivery.posts.acknowledged);
    let broken = delivery.all_promises().filter(|promise| !promise.kept).count();
    let none_lost = format!("0 of {} reports lost", count(acknowledged));
    match () {
        () if delivery.unobserved.is_some() => ("untrusted", "What was delivered is not known".to_owned()),
        () if recording.interrupted => {
            ("unfinished", "Interrupted: what was not delivered yet is not judged".to_owned())
        }
        () if let Some(aborted) = &recording.aborted => {
            ("infeasible", format!("Ended early by the rule {}", aborted.rule))
        }
        () if acknowledged == 0 => ("untrusted", "Nothing was acknowledged".to_owned()),
        () if lost > 0 => ("infeasible", lost_of(delivery)),
        () if !delivery.distrust.is_empty() => ("untrusted", format!("{none_lost}, but times cannot be trusted")),
        () if broken == 1 => ("infeasible", format!("{none_lost}, but a promise broken")),
        () if broken > 1 => ("infeasible", format!("{none_lost}, but {broken} promises broken")),
        () => ("chosen", none_lost),
    }
}

/// A report that two consumers lack is lost twice: with several consumers deliveries are counted.
fn lost_of(delivery: &DeliveryRecording) -> String {
    let (lost, acknowledged) = (delivery.lost(), delivery.posts.acknowledged);
    match delivery.consumers.len() as u64 {
        1 => format!("{} of {} reports lost", count(lost), count(acknowledged)),
        consumers => format!("{} of {} deliveries lost", count(lost), count(acknowledged * consumers)),
    }
}

/// The faults and how they healed, who noticed them, and what is wrong with the measurement.
fn reason(delivery: &DeliveryRecording) -> String {
    let mut sentences: Vec<String> = delivery.unobserved.iter().map(|cause| format!("INVALID: {cause}.")).collect();
    for fault in &delivery.faults {
        let healing = delivery.consumers.iter().find(|consumer| consumer.name == fault.service);
        sentences.push(match healing.map(|consumer| consumer.healed_s) {
            Some(Some(healed)) => format!("{}, healed in {}.", fault.text, seconds(healed)),
            Some(None) => format!("{}, not healed.", fault.text),
            None => format!("{}.", fault.text),
        });
    }
    let claims: Vec<(&str, Option<Claim>)> =
        others(delivery).map(|(name, _, ratio)| (name, ratio.map(Claim::of))).collect();
    for (claim, words) in [
        (Some(Claim::Affected), "AFFECTED by it"),
        (Some(Claim::Unaffected), "Unaffected by it"),
        (Some(Claim::Undecided), "Undecided whether affected"),
        (None, "Too little was measured to tell whether affected"),
    ] {
        let names: Vec<&str> = claims.iter().filter(|(_, of)| *of == claim).map(|(name, _)| *name).collect();
        if !names.is_empty() {
            sentences.push(format!("{words}: {}.", names.join(", ")));
        }
    }
    sentences.extend(loss_hints(delivery));
    sentences.extend(delivery.distrust.iter().map(|cause| format!("INVALID: {cause}.")));
    sentences.join(" ")
}

/// The post and the consumers that had no fault of their own, while others had: what each is timed by, and what came of it.
pub(super) fn others(
    delivery: &DeliveryRecording,
) -> impl Iterator<Item = (&str, &'static str, Option<QuantileRatio>)> {
    let faults = !delivery.faults.is_empty();
    let post = (POST, "response p95", delivery.post_ratio);
    let of_consumer = move |consumer: &ConsumerRecording| faults && !delivery.is_faulty(&consumer.name);
    let consumers = delivery.consumers.iter().filter(move |consumer| of_consumer(consumer));
    let consumers = consumers.map(|consumer| (consumer.name.as_str(), "delivery p95", consumer.ratio));
    faults.then_some(post).into_iter().chain(consumers)
}

/// Each consumer on a line, and the post below.
fn at_a_glance(delivery: &DeliveryRecording) -> Table {
    let faults = !delivery.faults.is_empty();
    let mut titles = vec!["", "#lost", "#late", "#duplicates", "#p95"];
    let mut caption = "Times from the due time of the post.".to_owned();
    if faults {
        titles.extend(["#while the fault lasted", "#otherwise", "ratio of the two (95 % interval)", "#healed in"]);
        caption.push_str(" Otherwise: before the fault, and after it had healed.");
    }
    let mut table = Table::new(caption, &titles);
    let bad_if = |number: u64| Cell::toned(count(number), if number > 0 { Tone::Bad } else { Tone::Good });
    let p95 = |times: &Histogram| match times.count() {
        0 => Cell::from("–"),
        _ => Cell::from(time(times.quantile(0.95))),
    };
    for consumer in &delivery.consumers {
        let books = consumer.books;
        let name = format!("{}, delivery", consumer.name);
        let mut cells = vec![name.into(), bad_if(books.lost), bad_if(books.late), count(books.duplicates).into()];
        cells.push(p95(&consumer.delivery_time));
        if faults {
            cells.extend([p95(&consumer.inside), p95(&consumer.outside)]);
            let own = delivery.is_faulty(&consumer.name);
            cells.push(if own { Cell::toned("had the fault itself", Tone::Muted) } else { ratio(consumer.ratio) });
            cells.push(consumer.healed_s.map_or_else(|| "–".into(), |healed| seconds(healed).into()));
        }
        table.rows.push(Row::of(cells));
    }
    let mut all = delivery.post_time_inside.clone();
    all.merge(&delivery.post_time_healing);
    all.merge(&delivery.post_time_outside);
    let nothing = || Cell::toned("–", Tone::Muted);
    let mut cells = vec![format!("{POST}, response").into(), nothing(), nothing(), nothing(), p95(&all)];
    if faults {
        cells.extend([p95(&delivery.post_time_inside), p95(&delivery.post_time_outside)]);
        cells.extend([ratio(delivery.post_ratio), nothing()]);
    }
    table.rows.push(Row::of(cells));
    table
}

/// A ratio with its interval and what that shows.
fn ratio(ratio: Option<QuantileRatio>) -> Cell {
    let Some(ratio) = ratio else { return Cell::toned("too little to tell", Tone::Muted) };
    let figures = format!("{:.3} ({:.3} to {:.3})", ratio.ratio, ratio.low, ratio.high);
    match Claim::of(ratio) {
        Claim::Unaffected => Cell::toned(format!("✓ {figures}"), Tone::Good),
        Claim::Affected => Cell::toned(format!("✗ {figures}"), Tone::Bad),
        Claim::Undecided => Cell::toned(format!("? {figures}"), Tone::Plain),
    }
}

/// What a ratio shows of `name`, whose `what` it compares, in a sentence.
pub(super) fn noticed(name: &str, what: &str, ratio: Option<QuantileRatio>) -> String {
    let margin = format!("1 ± {UNAFFECTED_MARGIN}");
    let Some(ratio) = ratio else {
        return format!("{name}: too little was measured to tell whether it noticed");
    };
    let figures = format!(
        "{what} during the fault over that before and after it had healed: {:.3}, 95 % interval {:.3} to {:.3}",
        ratio.ratio, ratio.low, ratio.high
    );
    match Claim::of(ratio) {
        Claim::Unaffected => format!("{name} unaffected ({figures}, all of it within {margin})"),
        Claim::Affected => format!("{name} AFFECTED ({figures}, all of it outside {margin})"),
        Claim::Undecided if ratio.low <= 1.0 && 1.0 <= ratio.high => {
            format!("{name}: undecided, no difference seen ({figures}, which holds 1 and reaches beyond {margin})")
        }
        Claim::Undecided => format!("{name}: undecided ({figures}, partly within {margin})"),
    }
}

/// A time with its unit: milliseconds below a second.
pub(super) fn time(time: Duration) -> String {
    if time >= Duration::from_secs(1) { seconds(time.as_secs_f64()) } else { milliseconds(in_milliseconds(time)) }
}
