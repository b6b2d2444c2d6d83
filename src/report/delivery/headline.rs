//! The first screen of a run with deliveries: lost or not, who noticed the fault, how long it took to heal.

use super::super::headline::Figure;
use super::super::html::{escape, push_figures};
use super::super::number::{count, seconds};
use crate::trial::{Claim, ConsumerRecording, DeliveryRecording, Recording, UNAFFECTED_MARGIN};
use std::fmt::Write as _;
use std::time::Duration;

/// The first screen.
pub(super) struct Headline {
    class: &'static str,
    pub(super) title: String,
    pub(super) reason: String,
    figures: Vec<Figure>,
}

impl Headline {
    pub(super) fn of(recording: &Recording, delivery: &DeliveryRecording) -> Self {
        let (lost, acknowledged) = (delivery.lost(), delivery.posts.acknowledged);
        let broken = delivery.promises.iter().filter(|promise| !promise.kept).count();
        let (class, title) = match () {
            () if recording.interrupted => {
                ("unfinished", "Interrupted: what was not delivered yet is not judged".to_owned())
            }
            () if acknowledged == 0 => ("untrusted", "Nothing was acknowledged".to_owned()),
            () if lost > 0 => ("infeasible", format!("{} of {} reports lost", count(lost), count(acknowledged))),
            () if broken > 0 => {
                ("infeasible", format!("0 of {} reports lost, but a promise broken", count(acknowledged)))
            }
            () => ("chosen", format!("0 of {} reports lost", count(acknowledged))),
        };
        let mut reason: Vec<String> =
            delivery.consumers.iter().filter_map(|consumer| noticed(delivery, consumer)).collect();
        for consumer in delivery.consumers.iter().filter(|consumer| delivery.is_faulty(&consumer.name)) {
            reason.push(match consumer.healed_s {
                Some(healed) => format!("{} healed in {}", consumer.name, seconds(healed)),
                None => format!("{} has not healed", consumer.name),
            });
        }
        let mut reason = reason.join("; ");
        if !reason.is_empty() {
            reason.push('.');
        }
        Self { class, title, reason, figures: figures(delivery) }
    }

    /// Writes it.
    pub(super) fn push(&self, page: &mut String, name: &str) {
        let _ = writeln!(
            page,
            "<header class=\"{}\">\n<p class=\"study\">{}</p>\n<h1>{}</h1>\n<p class=\"reason\">{}</p>",
            self.class,
            escape(name),
            escape(&self.title),
            escape(&self.reason)
        );
        push_figures(page, &self.figures);
        page.push_str("</header>\n");
    }
}

fn figures(delivery: &DeliveryRecording) -> Vec<Figure> {
    let posts = delivery.posts;
    let mut figures = vec![Figure {
        label: "lost".to_owned(),
        value: count(delivery.lost()),
        note: format!(
            "of {} acknowledged, for each of {} consumers",
            count(posts.acknowledged),
            delivery.consumers.len()
        ),
    }];
    for consumer in &delivery.consumers {
        let (inside, outside) = (time(consumer.inside.quantile(0.95)), time(consumer.outside.quantile(0.95)));
        let note = match consumer.inside.count() {
            0 => String::new(),
            _ => format!("{inside} while the fault lasted, {outside} before and after it had healed"),
        };
        figures.push(Figure {
            label: format!("delivery p95, {}", consumer.name),
            value: time(consumer.delivery_time.quantile(0.95)),
            note,
        });
    }
    if let Some(healed) = delivery.healed_s() {
        figures.push(Figure {
            label: "to heal".to_owned(),
            value: seconds(healed),
            note: "from the end of the fault to the last delivery of what had waited for it".to_owned(),
        });
    }
    let (inside, outside) = (&delivery.post_time_inside, &delivery.post_time_outside);
    if inside.count() > 0 {
        figures.push(Figure {
            label: "response p95 of the post".to_owned(),
            value: time(inside.quantile(0.95)),
            note: format!("while the fault lasted; {} before and after it had healed", time(outside.quantile(0.95))),
        });
    }
    figures
}

/// Whether a consumer without a fault noticed those of others; nothing where there is nothing to notice.
pub(super) fn noticed(delivery: &DeliveryRecording, consumer: &ConsumerRecording) -> Option<String> {
    if delivery.faults.is_empty() || delivery.is_faulty(&consumer.name) {
        return None;
    }
    let margin = format!("1 ± {UNAFFECTED_MARGIN}");
    let (Some(ratio), Some(claim)) = (consumer.ratio, consumer.claim()) else {
        return Some(format!("{}: too little was measured to tell whether it noticed", consumer.name));
    };
    let figures = format!(
        "delivery p95 during the fault over that before and after it had healed: {:.3}, 95 % interval {:.3} to {:.3}",
        ratio.ratio, ratio.low, ratio.high
    );
    Some(match claim {
        Claim::Unaffected => format!("{} unaffected ({figures}, all of it within {margin})", consumer.name),
        Claim::Affected => format!("{} AFFECTED ({figures}, all of it outside {margin})", consumer.name),
        Claim::Undecided if ratio.low <= 1.0 && 1.0 <= ratio.high => {
            format!(
                "{}: undecided, no difference seen ({figures}, which holds 1 and reaches beyond {margin})",
                consumer.name
            )
        }
        Claim::Undecided => format!("{}: undecided ({figures}, partly within {margin})", consumer.name),
    })
}

/// A time with its unit: milliseconds below a second.
pub(super) fn time(time: Duration) -> String {
    if time >= Duration::from_secs(1) {
        seconds(time.as_secs_f64())
    } else {
        super::super::number::milliseconds(super::super::number::in_milliseconds(time))
    }
}
