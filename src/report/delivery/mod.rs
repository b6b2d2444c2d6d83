//! The report of a run whose reports were to be delivered: what became of each, told on one screen, and what shows it.

mod content;
mod headline;
mod picture;

use super::html;
use super::number::count;
use super::render::{PAGE, ReportError, write};
use crate::trial::{DeliveryRecording, Recording};
use headline::Headline;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Writes `index.html` and the plots of a run into `dir`, and gives the page. The same record always gives the same bytes.
///
/// # Errors
/// When a file cannot be written, or the recording holds no deliveries.
pub fn render_delivery(recording: &Recording, dir: &Path) -> Result<PathBuf, ReportError> {
    let Some(delivery) = &recording.delivery else {
        return Err(ReportError::Plot("this recording holds no deliveries".to_owned()));
    };
    let painted = |error: super::plot::PlotError| ReportError::Plot(error.to_string());
    let plots = picture::all(recording, delivery).map_err(painted)?;
    for (stem, svg) in &plots {
        write(dir, &format!("{stem}.svg"), svg.as_bytes())?;
    }
    let svgs: Vec<(&str, &str)> = plots.iter().map(|(stem, svg)| (*stem, svg.as_str())).collect();
    let headline = Headline::of(recording, delivery);
    let name = recording.scenario.as_deref().unwrap_or("run");
    let mut page = html::begin(&format!("{} · {name}", headline.title));
    headline.push(&mut page, name);
    html::push_sections(&mut page, &content::sections(recording, delivery), &svgs);
    let _ = writeln!(
        page,
        "<footer>tidegate {} · {} · started {}</footer>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION"),
        html::escape(name),
        html::escape(&recording.started_at)
    );
    write(dir, PAGE, page.as_bytes())
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
        let times = &consumer.delivery_time;
        let _ = writeln!(
            text,
            "{}: delivery p50 {}, p95 {}, longest {}; {} late, {} duplicates, {} out of order{}",
            consumer.name,
            headline::time(times.quantile(0.5)),
            headline::time(times.quantile(0.95)),
            headline::time(times.max()),
            count(consumer.books.late),
            count(consumer.books.duplicates),
            count(consumer.books.out_of_order),
            consumer.redeliveries.map_or_else(String::new, |many| format!(", {} redeliveries", count(many)))
        );
        if let Some(sentence) = headline::noticed(delivery, consumer) {
            let _ = writeln!(text, "  {sentence}");
        }
    }
    for fault in &delivery.faults {
        let _ = writeln!(text, "fault {}: served from {:.1} s to {:.1} s", fault.text, fault.from_s, fault.until_s);
    }
    for promise in &delivery.promises {
        let verdict = if promise.kept { "kept" } else { "NOT met" };
        let _ = writeln!(text, "promise {}: {verdict}: {}", promise.text, promise.measured);
    }
    let headline = Headline::of(recording, delivery);
    let _ = writeln!(text, "{}. {}", headline.title, headline.reason);
    text
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
