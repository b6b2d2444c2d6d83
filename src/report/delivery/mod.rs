//! The report of a run whose reports were to be delivered: what became of each, told on one screen, and what shows it.

mod content;
#[cfg(test)]
mod fixture;
mod headline;
pub(super) mod refusals;
mod spectrum;
mod table;
mod timeline;

pub use refusals::loss_hints;
pub use table::deliveries as deliveries_csv;

use super::document::Block;
use super::number::count;
use super::render::{MARKDOWN, PAGE, ReportError, paint, write};
use super::{html, markdown};
use crate::stats::Histogram;
use crate::trial::{DeliveryRecording, Recording};
use headline::{Headline, Stretch};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Writes `index.html`, `report.md`, `ledger.csv` and the plots of a run into `dir`, and gives the page. The same record always gives
/// the same bytes.
///
/// # Errors
/// When a file cannot be written, or the recording holds no deliveries.
pub fn render_delivery(recording: &Recording, dir: &Path) -> Result<PathBuf, ReportError> {
    let Some(delivery) = &recording.delivery else {
        return Err(ReportError::Plot("this recording holds no deliveries".to_owned()));
    };
    let mut svgs = Vec::new();
    let pictures = [
        (timeline::picture(recording, delivery), timeline::alt(delivery)),
        (spectrum::picture(delivery), spectrum::ALT.to_owned()),
    ];
    for (picture, alt) in pictures {
        let Some((stem, picture)) = picture else { continue };
        let svg = picture.svg(&alt).map_err(|error| ReportError::Plot(error.to_string()))?;
        write(dir, &format!("{stem}.svg"), svg.as_bytes())?;
        paint(dir, stem, |path| picture.save_png(path))?;
        svgs.push((stem, svg));
    }
    let svgs: Vec<(&str, &str)> = svgs.iter().map(|(stem, svg)| (*stem, svg.as_str())).collect();
    write(dir, "ledger.csv", &table::ledger(delivery)?)?;
    let headline = Headline::of(recording, delivery);
    let sections = content::sections(recording, delivery);
    write(dir, MARKDOWN, text(recording, &headline, &sections).as_bytes())?;
    write(dir, PAGE, page(recording, &headline, &sections, &svgs).as_bytes())
}

fn name(recording: &Recording) -> &str {
    recording.scenario.as_deref().unwrap_or("run")
}

/// What was run, how long and when: `lab-report · 100 s of load, started 2026-11-30T18:17:03Z`.
fn subject(recording: &Recording) -> String {
    // Nobody needs to know it to the microsecond.
    let started = recording.started_at.split('.').next().unwrap_or_default();
    let zone = if started.len() < recording.started_at.len() { "Z" } else { "" };
    format!("{} · {:.0} s of load, started {started}{zone}", name(recording), recording.duration_s)
}

fn page(recording: &Recording, headline: &Headline, sections: &[Block], svgs: &[(&str, &str)]) -> String {
    let name = name(recording);
    let mut page = html::begin(&format!("{} · {name}", headline.title));
    html::begin_header(&mut page, headline.class, [&subject(recording), &headline.title, &headline.reason]);
    html::push_blocks(&mut page, &headline.blocks, svgs);
    page.push_str("</header>\n");
    html::push_sections(&mut page, sections, svgs);
    let _ = writeln!(
        page,
        "<footer>tidegate {} · {} · started {}</footer>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION"),
        html::escape(name),
        html::escape(&recording.started_at)
    );
    page
}

fn text(recording: &Recording, headline: &Headline, sections: &[Block]) -> String {
    let mut text = markdown::begin([&headline.title, &subject(recording), "What happened:", &headline.reason]);
    markdown::push_blocks(&mut text, &headline.blocks);
    markdown::push_blocks(&mut text, sections);
    text
}

/// The ledger for a terminal: the laws, a line for each consumer, the promises, the verdict. Empty without deliveries.
#[must_use]
pub fn ledger(recording: &Recording) -> String {
    let Some(delivery) = &recording.delivery else { return String::new() };
    let mut text = String::new();
    for law in laws(delivery) {
        let _ = writeln!(text, "law {law}");
    }
    for consumer in &delivery.consumers {
        let _ = writeln!(
            text,
            "{}: {}; {} late, {} duplicates, {}{}",
            consumer.name,
            delivery_times(&consumer.delivery_time),
            count(consumer.books.late),
            count(consumer.books.duplicates),
            consumer
                .out_of_order()
                .map_or_else(|| "no ordering keys".to_owned(), |many| format!("{} out of order", count(many))),
            consumer.redeliveries.map_or_else(String::new, |many| format!(", {} redeliveries", count(many)))
        );
    }
    for line in refusals::lines(delivery) {
        let _ = writeln!(text, "{line}");
    }
    for stretch in Stretch::ALL {
        for other in headline::others(recording, delivery, stretch) {
            let _ = writeln!(text, "{}", headline::noticed(other, stretch));
        }
    }
    for fault in &delivery.faults {
        let _ = writeln!(text, "fault {}: served from {:.1} s to {:.1} s", fault.text, fault.from_s, fault.until_s);
    }
    for promise in &delivery.promises {
        let verdict = if promise.kept { "kept: " } else { "NOT met: " };
        let verdict = if promise.unverifiable { "" } else { verdict };
        let _ = writeln!(text, "promise {}: {verdict}{}", promise.text, promise.measured);
    }
    let headline = Headline::of(recording, delivery);
    let _ = writeln!(text, "{}. {}", headline.title, headline.reason);
    text
}

/// The times of what was delivered, for a terminal.
fn delivery_times(times: &Histogram) -> String {
    if times.count() == 0 {
        return "no measured delivery".to_owned();
    }
    let [median, p95] = [0.5, 0.95].map(|q| headline::time(times.quantile(q)));
    format!("delivery p50 {median}, p95 {p95}, longest {}", headline::time(times.max()))
}

/// The laws that nothing is hidden by, with their numbers.
fn laws(delivery: &DeliveryRecording) -> Vec<String> {
    let posts = delivery.posts;
    let sign = |holds: bool| if holds { "kept" } else { "NOT kept" };
    let mut laws = vec![format!(
        "posted = acknowledged + failed: {}, {} = {} + {}",
        sign(posts.posted == posts.acknowledged + posts.failed),
        count(posts.posted),
        count(posts.acknowledged),
        count(posts.failed)
    )];
    if !delivery.failed_by_class.is_empty() {
        let classes = &delivery.failed_by_class;
        let terms: Vec<String> = classes.iter().map(|(class, many)| format!("{} {class}", count(*many))).collect();
        let holds = classes.values().sum::<u64>() == posts.failed;
        laws.push(format!("failed, by class: {}, {} = {}", sign(holds), count(posts.failed), terms.join(" + ")));
    }
    for consumer in &delivery.consumers {
        let books = consumer.books;
        laws.push(format!(
            "{}: acknowledged = delivered + lost: {}, {} = {} + {}",
            consumer.name,
            sign(posts.acknowledged == books.delivered + books.lost),
            count(posts.acknowledged),
            count(books.delivered),
            count(books.lost)
        ));
        let told = books.delivered + books.duplicates + books.unacknowledged + books.foreign;
        laws.push(format!(
            "{}: deliveries = delivered + duplicates + unacknowledged + foreign: {}, {} = {} + {} + {} + {}",
            consumer.name,
            sign(books.deliveries == told),
            count(books.deliveries),
            count(books.delivered),
            count(books.duplicates),
            count(books.unacknowledged),
            count(books.foreign)
        ));
    }
    laws
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Shortfall, Shortfalls};
    use std::collections::BTreeMap;

    fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
            .collect()
    }

    #[test]
    fn the_same_record_gives_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        for dir in [&first, &second] {
            std::fs::create_dir(dir).unwrap();
            render_delivery(&fixture::recording(), dir).unwrap();
        }
        let files = files(&first);
        assert_eq!(files, self::files(&second));
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "deliveries-over-time.png",
                "deliveries-over-time.svg",
                "delivery-times.png",
                "delivery-times.svg",
                "index.html",
                "ledger.csv",
                "report.md"
            ]
        );
        let page = String::from_utf8(files["index.html"].clone()).unwrap();
        html::assert_balanced(&page);
        assert_eq!((page.matches("<svg").count(), page.matches("<script").count()), (2, 0));
        insta::assert_snapshot!(String::from_utf8(files["report.md"].clone()).unwrap());
    }

    #[test]
    fn what_the_terminal_says_of_a_run_is_this() {
        insta::assert_snapshot!(ledger(&fixture::recording()));
    }

    fn first_screen(change: impl Fn(&mut Recording, &mut DeliveryRecording)) -> (&'static str, String, String) {
        let mut recording = fixture::recording();
        let mut delivery = recording.delivery.take().unwrap();
        change(&mut recording, &mut delivery);
        let Headline { class, title, reason, .. } = Headline::of(&recording, &delivery);
        (class, title, reason)
    }

    #[test]
    fn the_first_screen_says_the_worst_first() {
        let (class, title, reason) = first_screen(|_, _| {});
        assert_eq!((class, title.as_str()), ("chosen", "0 of 59 reports lost"));
        assert_eq!(
            reason,
            "email down from 20s for 30s, healed in 12.0 s. Unaffected while it lasted: the post, sms. Unaffected while it healed: \
             sms. Undecided whether affected while it healed: the post (1 of 10 failed, against 0 of 20)."
        );
        let (class, title, _) = first_screen(|_, delivery| {
            delivery.promises[0].kept = false;
            delivery.distrust = vec!["the driver was late".to_owned()];
            delivery.consumers.iter_mut().for_each(|consumer| consumer.books.lost = 59);
        });
        assert_eq!((class, title.as_str()), ("infeasible", "118 of 118 deliveries lost"), "both lack every report");
        let (class, title, reason) = first_screen(|_, delivery| {
            delivery.distrust = vec!["the driver was late".to_owned()];
        });
        assert_eq!((class, title.as_str()), ("untrusted", "0 of 59 reports lost, but times cannot be trusted"));
        assert!(reason.ends_with("INVALID: the driver was late."), "{reason}");
        let (class, title, reason) = first_screen(|_, delivery| {
            delivery.unobserved = Some("email does not tell".to_owned());
            delivery.consumers[0].books.lost = 59;
        });
        assert_eq!((class, title.as_str()), ("untrusted", "What was delivered is not known"));
        assert!(reason.starts_with("INVALID: email does not tell."), "{reason}");
        let (class, title, reason) = first_screen(|_, delivery| {
            delivery.promises[0].kept = false;
            (delivery.consumers[0].healed_s, delivery.faults[0].healed_s) = (None, None);
            delivery.consumers[1].ratio = None;
            delivery.post_ratio = delivery.consumers[0].ratio;
        });
        assert_eq!((class, title.as_str()), ("infeasible", "0 of 59 reports lost, but a promise broken"));
        assert!(
            reason.starts_with("email down from 20s for 30s, not healed. AFFECTED while it lasted: the post."),
            "{reason}"
        );
        assert!(reason.contains("Too little to tell while it lasted: sms."), "{reason}");
        assert_eq!(first_screen(|recording, _| recording.interrupted = true).0, "unfinished");
        let (_, title, _) = first_screen(|_, delivery| delivery.response_promises[0].kept = false);
        assert_eq!(title, "0 of 59 reports lost, but a promise broken");
    }

    #[test]
    fn posts_that_are_refused_at_once_are_not_unaffected() {
        let of = |missing: u64| Shortfall { missing, of: 30, seconds: missing, of_seconds: 30 };
        let refused = |inside: u64| {
            move |_: &mut Recording, delivery: &mut DeliveryRecording| {
                delivery.post_missing = Some(Shortfalls { inside: of(inside), healing: of(0), outside: of(0) });
            }
        };
        let (_, _, reason) = first_screen(refused(30));
        assert!(
            reason.contains("AFFECTED while it lasted: the post (30 of 30 failed, against 0 of 30). Unaffected"),
            "{reason}"
        );
        let (_, _, reason) = first_screen(refused(1));
        assert!(
            reason.contains("Undecided whether affected while it lasted: the post (1 of 30 failed, against 0 of 30)."),
            "{reason}"
        );
    }

    #[test]
    fn nothing_is_said_of_who_noticed_when_what_was_delivered_is_not_known() {
        let (_, _, reason) = first_screen(|_, delivery| delivery.unobserved = Some("sms does not tell".to_owned()));
        assert!(!reason.contains("sms:") && !reason.contains(", sms") && reason.contains("the post"), "{reason}");
        let (_, _, reason) = first_screen(|recording, _| recording.interrupted = true);
        assert!(!reason.contains("sms:") && !reason.contains(", sms") && reason.contains("the post"), "{reason}");
    }

    #[test]
    fn a_consumer_that_got_nothing_has_no_times() {
        let mut recording = fixture::recording();
        recording.delivery.as_mut().unwrap().consumers[1].delivery_time = Histogram::default();
        assert!(ledger(&recording).contains("\nsms: no measured delivery; 0 late,"), "{}", ledger(&recording));
    }

    #[test]
    fn a_run_without_a_fault_has_nothing_to_notice() {
        let (class, _, reason) = first_screen(|_, delivery| delivery.faults.clear());
        assert_eq!((class, reason.as_str()), ("chosen", ""));
    }

    /// What was recorded before redeliveries and instances were told over time.
    #[test]
    fn what_nobody_told_is_a_dash_and_the_rest_is_shown() {
        let mut recording = fixture::recording();
        let delivery = recording.delivery.as_mut().unwrap();
        delivery.other_instances.clear();
        (delivery.post_ratio, delivery.response_promises) = (None, Vec::new());
        (delivery.post_healing_ratio, delivery.post_missing) = (None, None);
        (delivery.subscriptions, delivery.publishes_refused) = (Vec::new(), None);
        delivery.failed_by_class.clear();
        for consumer in &mut delivery.consumers {
            (consumer.redeliveries, consumer.instances) = (None, Vec::new());
            consumer.series.iter_mut().for_each(|interval| interval.redeliveries = None);
        }
        let json = recording.to_json();
        let delivery = json.split("\"delivery\": {").nth(1).unwrap();
        let since = ["subscriptions", "publishes_refused", "failed_by_class"];
        let before = ["post_ratio", "other_instances", "redeliveries", "response_promises", "distrust", "unobserved"];
        for key in before.into_iter().chain(since) {
            assert!(!delivery.contains(&format!("\"{key}\"")), "a record of before has no {key}");
        }
        let recording: Recording = serde_json::from_str(&json).unwrap();
        let folder = tempfile::tempdir().unwrap();
        render_delivery(&recording, folder.path()).unwrap();
        let svg = std::fs::read_to_string(folder.path().join("deliveries-over-time.svg")).unwrap();
        assert!(svg.contains("– (nobody told)") && svg.contains("– (Monitoring told nothing)"), "{svg}");
    }
}
