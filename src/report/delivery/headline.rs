//! The first screen of a run with deliveries: lost or not, who noticed the fault, how long it took to heal.

use super::super::document::{Block, Cell, Row, Table, Tone};
use super::super::number::{count, in_milliseconds, milliseconds, seconds};
use super::{loss_hints, timeline};
use crate::stats::Histogram;
use crate::trial::{Claim, ConsumerRecording, Contrast, DeliveryRecording, Recording, Shortfall, UNAFFECTED_MARGIN};
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
        Self { class, title, reason: reason(recording, delivery), blocks }
    }
}

fn news(recording: &Recording, delivery: &DeliveryRecording) -> (&'static str, String) {
    let (lost, acknowledged) = (delivery.lost(), delivery.posts.acknowledged);
    let broken = delivery.all_promises().filter(|promise| !promise.kept && !promise.unverifiable).count();
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
    let became = if delivery.queued() == lost { "not delivered within the drain limit" } else { "lost" };
    match delivery.consumers.len() as u64 {
        1 => format!("{} of {} reports {became}", count(lost), count(acknowledged)),
        consumers => format!("{} of {} deliveries {became}", count(lost), count(acknowledged * consumers)),
    }
}

/// The faults and how they healed, who noticed them, and what is wrong with the measurement.
fn reason(recording: &Recording, delivery: &DeliveryRecording) -> String {
    let mut sentences: Vec<String> = delivery.unobserved.iter().map(|cause| format!("INVALID: {cause}.")).collect();
    if delivery.unobserved.is_none() && !recording.interrupted {
        sentences.extend(delivery.losses().into_iter().map(|loss| format!("{loss}.")));
    }
    for fault in &delivery.faults {
        sentences.push(match delivery.healed_from(fault) {
            Some(Some(healed)) => format!("{}, healed in {}.", fault.text, seconds(healed)),
            Some(None) => format!("{}, not healed.", fault.text),
            None => format!("{}.", fault.text),
        });
    }
    sentences.extend(Stretch::ALL.into_iter().flat_map(|stretch| claims(recording, delivery, stretch)));
    sentences.extend(loss_hints(delivery));
    sentences.extend(delivery.distrust.iter().map(|cause| format!("INVALID: {cause}.")));
    sentences.join(" ")
}

/// A stretch of a run that has a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    Lasted,
    Healed,
}

impl Stretch {
    pub(super) const ALL: [Self; 2] = [Self::Lasted, Self::Healed];

    fn when(self) -> &'static str {
        match self {
            Self::Lasted => "while it lasted",
            Self::Healed => "while it healed",
        }
    }

    fn of_consumer(self, consumer: &ConsumerRecording) -> Contrast {
        match self {
            Self::Lasted => consumer.while_it_lasted(),
            Self::Healed => consumer.while_it_healed(),
        }
    }

    fn of_posts(self, delivery: &DeliveryRecording) -> Contrast {
        match self {
            Self::Lasted => delivery.posts_while_it_lasted(),
            Self::Healed => delivery.posts_while_it_healed(),
        }
    }
}

/// Who noticed a fault in a stretch, a sentence for each thing that is shown.
fn claims(recording: &Recording, delivery: &DeliveryRecording, stretch: Stretch) -> Vec<String> {
    let others: Vec<Other<'_>> = others(recording, delivery, stretch).collect();
    let when = stretch.when();
    let sentence = |(claim, words): (Option<Claim>, &str)| {
        let of_claim = others.iter().filter(|(_, _, told)| told.claim() == claim);
        let names: Vec<String> = of_claim.map(|(name, timed, told)| named(name, *timed, told)).collect();
        (!names.is_empty()).then(|| format!("{words} {when}: {}.", names.join(", ")))
    };
    let shown = [
        (Some(Claim::Affected), "AFFECTED"),
        (Some(Claim::Unaffected), "Unaffected"),
        (Some(Claim::Undecided), "Undecided whether affected"),
        (None, "Too little to tell"),
    ];
    shown.into_iter().filter_map(sentence).collect()
}

/// Somebody who had no fault of his own, while others had.
pub(super) type Other<'a> = (&'a str, Timed, Contrast);

/// What somebody is timed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timed {
    Posts,
    Deliveries,
}

impl Timed {
    fn p95(self) -> &'static str {
        match self {
            Self::Posts => "response p95",
            Self::Deliveries => "delivery p95",
        }
    }

    /// What happens to a report that never gets there.
    fn missing(self) -> &'static str {
        match self {
            Self::Posts => "failed",
            Self::Deliveries => "lost",
        }
    }

    /// What is missing of a stretch and of the rest, in words.
    fn told(self, (stretch, rest): (Shortfall, Shortfall)) -> String {
        let [missing, of, others, of_others] = [stretch.missing, stretch.of, rest.missing, rest.of].map(count);
        format!("{missing} of {of} {}, against {others} of {of_others}", self.missing())
    }
}

/// A name, and why it is not unaffected when that is not a matter of time.
fn named(name: &str, timed: Timed, told: &Contrast) -> String {
    told.excess().map_or_else(|| name.to_owned(), |more| format!("{name} ({})", timed.told(more)))
}

/// The post and the consumers that had no fault of their own, while others had. Nothing is said of consumers when what was delivered
/// to them is not known: what is missing may have arrived.
pub(super) fn others<'a>(
    recording: &Recording,
    delivery: &'a DeliveryRecording,
    stretch: Stretch,
) -> impl Iterator<Item = Other<'a>> + use<'a> {
    // Where nothing healed, or it was not kept, nothing is to be told of it.
    let has_healed = stretch == Stretch::Lasted || delivery.post_missing.is_some_and(|missing| missing.healing.of > 0);
    let faults = !delivery.faults.is_empty() && has_healed;
    let is_known = delivery.unobserved.is_none() && !recording.interrupted;
    let post = (POST, Timed::Posts, stretch.of_posts(delivery));
    let of_consumer = move |consumer: &&ConsumerRecording| faults && is_known && !delivery.is_faulty(&consumer.name);
    let consumers = delivery.consumers.iter().filter(of_consumer);
    let consumers =
        consumers.map(move |consumer| (consumer.name.as_str(), Timed::Deliveries, stretch.of_consumer(consumer)));
    faults.then_some(post).into_iter().chain(consumers)
}

/// Each consumer on a line, and the post below.
fn at_a_glance(delivery: &DeliveryRecording) -> Table {
    let faults = !delivery.faults.is_empty();
    let mut titles = vec!["", "#lost", "#late", "#duplicates", "#p95"];
    let mut caption = "Times from the due time of the post.".to_owned();
    if faults {
        titles.extend(["#while it lasted", "#while it healed", "#otherwise"]);
        titles.extend(["lasted ÷ otherwise", "healed ÷ otherwise", "#healed in"]);
        caption.push_str(" Otherwise: before the fault, and after it had healed. Ratios with their 95 % interval.");
    }
    let mut table = Table::new(caption, &titles);
    let bad_if = |number: u64| Cell::toned(count(number), if number > 0 { Tone::Bad } else { Tone::Good });
    let p95 = |times: &Histogram, missing: Option<Shortfall>| match times.count() {
        _ if missing.is_some_and(|missing| missing.reaches(0.95)) => Cell::toned("∞", Tone::Bad),
        0 => Cell::from("–"),
        _ => Cell::from(time(times.quantile(0.95))),
    };
    for consumer in &delivery.consumers {
        let books = consumer.books;
        let name = format!("{}, delivery", consumer.name);
        let mut cells = vec![name.into(), bad_if(books.lost), bad_if(books.late), count(books.duplicates).into()];
        cells.push(p95(&consumer.delivery_time, None));
        if faults {
            let missing = consumer.missing;
            cells.push(p95(&consumer.inside, missing.map(|missing| missing.inside)));
            cells.push(p95(&consumer.healing, missing.map(|missing| missing.healing)));
            cells.push(p95(&consumer.outside, missing.map(|missing| missing.outside)));
            let own = delivery.is_faulty(&consumer.name);
            cells.extend(Stretch::ALL.map(|stretch| {
                if own {
                    return Cell::toned("own fault", Tone::Muted);
                }
                ratio(Timed::Deliveries, stretch.of_consumer(consumer))
            }));
            cells.push(consumer.healed_s.map_or_else(|| "–".into(), |healed| seconds(healed).into()));
        }
        table.rows.push(Row::of(cells));
    }
    let mut all = delivery.post_time_inside.clone();
    all.merge(&delivery.post_time_beginning);
    all.merge(&delivery.post_time_healing);
    all.merge(&delivery.post_time_outside);
    let nothing = || Cell::toned("–", Tone::Muted);
    let mut cells = vec![format!("{POST}, response").into(), nothing(), nothing(), nothing(), p95(&all, None)];
    if faults {
        let missing = delivery.post_missing;
        cells.push(p95(&delivery.post_time_inside, missing.map(|missing| missing.inside)));
        cells.push(p95(&delivery.post_time_healing, missing.map(|missing| missing.healing)));
        cells.push(p95(&delivery.post_time_outside, missing.map(|missing| missing.outside)));
        cells.extend(Stretch::ALL.map(|stretch| ratio(Timed::Posts, stretch.of_posts(delivery))));
        cells.push(nothing());
    }
    table.rows.push(Row::of(cells));
    table
}

/// A ratio with its interval, or what is missing, and what that shows.
fn ratio(timed: Timed, contrast: Contrast) -> Cell {
    let figures = match (contrast.excess(), contrast.ratio) {
        (Some(more), _) => timed.told(more),
        (None, Some(ratio)) => format!("{:.2} ({:.2}–{:.2})", ratio.ratio, ratio.low, ratio.high),
        (None, None) => return Cell::toned("too little", Tone::Muted),
    };
    match contrast.claim() {
        Some(Claim::Unaffected) => Cell::toned(format!("✓ {figures}"), Tone::Good),
        Some(Claim::Affected) => Cell::toned(format!("✗ {figures}"), Tone::Bad),
        Some(Claim::Undecided) | None => Cell::toned(format!("? {figures}"), Tone::Plain),
    }
}

/// What is shown of somebody in a stretch, in a sentence.
pub(super) fn noticed((name, timed, contrast): Other<'_>, stretch: Stretch) -> String {
    let when = stretch.when();
    let margin = format!("1 ± {UNAFFECTED_MARGIN}");
    let claim = contrast.claim();
    if let Some(more) = contrast.excess() {
        let told = timed.told(more);
        return match claim {
            Some(Claim::Affected) => {
                format!("{name} AFFECTED {when} ({told} before the fault and after it had healed)")
            }
            _ => format!("{name}: undecided {when} ({told}: more than otherwise, and no more than chance may bring)"),
        };
    }
    let (Some(claim), Some(ratio)) = (claim, contrast.ratio) else {
        return format!("{name}: too little was measured to tell whether it noticed {when}");
    };
    let figures = format!(
        "{} over that before the fault and after it had healed: {:.3}, 95 % interval {:.3} to {:.3}",
        timed.p95(),
        ratio.ratio,
        ratio.low,
        ratio.high
    );
    match claim {
        Claim::Unaffected => format!("{name} unaffected {when} ({figures}, all of it within {margin})"),
        Claim::Affected => format!("{name} AFFECTED {when} ({figures}, all of it outside {margin})"),
        Claim::Undecided if ratio.low <= 1.0 && 1.0 <= ratio.high => {
            format!(
                "{name}: undecided {when}, no difference seen ({figures}, which holds 1 and reaches beyond {margin})"
            )
        }
        Claim::Undecided => format!("{name}: undecided {when} ({figures}, partly within {margin})"),
    }
}

/// A time with its unit: milliseconds below a second.
pub(super) fn time(time: Duration) -> String {
    if time >= Duration::from_secs(1) { seconds(time.as_secs_f64()) } else { milliseconds(in_milliseconds(time)) }
}
