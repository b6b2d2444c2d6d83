//! The report as one self-contained page: style and plots inside, nothing fetched, no script. Every text that comes from
//! a study goes through [`escape`].

use super::document::{Block, Cell, Span, Table, Tone};
use super::headline::{Figure, Headline, News};
use super::plot::Plot;
use crate::trial::Study;
use std::fmt::Write as _;

/// The style of the page: light and dark, on screen and on paper.
const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn render(study: &Study, headline: &Headline, sections: &[Block], plots: &[Plot]) -> String {
    let mut page = begin(&format!("{} · {}", headline.title, study.name));
    first_screen(&mut page, study, headline);
    let svgs: Vec<(&str, &str)> = plots.iter().map(|plot| (plot.stem, plot.svg.as_str())).collect();
    push_sections(&mut page, sections, &svgs);
    let _ = writeln!(
        page,
        "<footer>tidegate {} · study {} · started {}</footer>\n</body>\n</html>",
        escape(&study.tidegate_version),
        escape(&study.name),
        escape(&study.started_at)
    );
    page
}

/// A page up to its body.
pub(super) fn begin(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    )
}

/// The sections, with the plots that they name by stem.
pub(super) fn push_sections(page: &mut String, sections: &[Block], plots: &[(&str, &str)]) {
    page.push_str("<main>\n");
    let mut open = false;
    for block in sections {
        if let Block::Heading(2, _) = block {
            page.push_str(if open { "</section>\n<section>\n" } else { "<section>\n" });
            open = true;
        }
        push_block(page, block, plots);
    }
    page.push_str(if open { "</section>\n</main>\n" } else { "</main>\n" });
}

fn first_screen(page: &mut String, study: &Study, headline: &Headline) {
    let class = match headline.news {
        News::Chosen => "chosen",
        News::Infeasible => "infeasible",
        News::Untrusted => "untrusted",
        News::Unfinished => "unfinished",
    };
    let subject = format!("{} · {}", study.name, headline.place);
    begin_header(page, class, [&subject, &headline.title, &headline.reason]);
    push_figures(page, &headline.figures);
    if !headline.commands.is_empty() {
        let lines: Vec<String> = headline.commands.iter().map(|line| escape(line)).collect();
        let _ = writeln!(page, "<pre class=\"command\"><code>{}</code></pre>", lines.join("\n"));
    }
    let _ = writeln!(page, "<p class=\"advice\">{}</p>", escape(&headline.advice));
    if !headline.alternatives.rows.is_empty() {
        push_table(page, &headline.alternatives);
    }
    page.push_str("</header>\n");
}

/// The begin of a first screen: what it is about, the news, and why.
pub(super) fn begin_header(page: &mut String, class: &str, [subject, title, reason]: [&str; 3]) {
    let _ = writeln!(
        page,
        "<header class=\"{class}\">\n<p class=\"study\">{}</p>\n<h1>{}</h1>\n<p class=\"reason\">{}</p>",
        escape(subject),
        escape(title),
        escape(reason)
    );
}

/// The figures of a first screen, if there are any.
fn push_figures(page: &mut String, figures: &[Figure]) {
    if !figures.is_empty() {
        page.push_str("<dl class=\"figures\">\n");
        for figure in figures {
            let _ = writeln!(
                page,
                "<div><dt>{}</dt><dd><b>{}</b><small>{}</small></dd></div>",
                escape(&figure.label),
                escape(&figure.value),
                escape(&figure.note)
            );
        }
        page.push_str("</dl>\n");
    }
}

/// Blocks one after the other, with the plots that they name by stem.
pub(super) fn push_blocks(page: &mut String, blocks: &[Block], plots: &[(&str, &str)]) {
    for block in blocks {
        push_block(page, block, plots);
    }
}

fn push_block(page: &mut String, block: &Block, plots: &[(&str, &str)]) {
    match block {
        Block::Heading(level, title) => {
            let _ = writeln!(page, "<h{level}>{}</h{level}>", escape(title));
        }
        Block::Paragraph(spans) => {
            let _ = writeln!(page, "<p>{}</p>", inline(spans));
        }
        Block::List(items) => {
            page.push_str("<ul>\n");
            for item in items {
                let _ = writeln!(page, "<li>{}</li>", inline(item));
            }
            page.push_str("</ul>\n");
        }
        Block::Table(table) => push_table(page, table),
        Block::Figure { stem, caption, .. } => {
            if let Some((_, svg)) = plots.iter().find(|(name, _)| name == stem) {
                let _ = writeln!(page, "<figure>\n{svg}\n<figcaption>{}</figcaption>\n</figure>", escape(caption));
            }
        }
    }
}

fn inline(spans: &[Span]) -> String {
    spans
        .iter()
        .map(|span| match span {
            Span::Plain(text) => escape(text),
            Span::Strong(text) => format!("<strong>{}</strong>", escape(text)),
            Span::Code(text) => format!("<code>{}</code>", escape(text)),
        })
        .collect()
}

fn push_table(page: &mut String, table: &Table) {
    let _ = write!(page, "<div class=\"table\"><table>\n<caption>{}</caption>\n<thead><tr>", escape(&table.caption));
    for column in &table.columns {
        let class = if column.numeric { " class=\"number\"" } else { "" };
        let _ = write!(page, "<th scope=\"col\"{class}>{}</th>", escape(&column.title));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        page.push_str(if row.marked { "<tr class=\"marked\">" } else { "<tr>" });
        for (cell, column) in row.cells.iter().zip(&table.columns) {
            let _ = write!(page, "<td{}>{}</td>", classes(cell, column.numeric), escape(&cell.text));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

fn classes(cell: &Cell, numeric: bool) -> String {
    let tone = match cell.tone {
        Tone::Plain => "",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Muted => "muted",
    };
    let kind = match (numeric, cell.text.chars().count()) {
        (true, _) => "number",
        (false, 60..) => "words",
        (false, 24..) => "",
        (false, _) => "short",
    };
    match (kind, tone) {
        ("", "") => String::new(),
        (kind, tone) => format!(" class=\"{}\"", format!("{kind} {tone}").trim()),
    }
}

/// Text that HTML shows as it is, in content and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // HTML and XML forbid other control characters, even escaped.
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Walks the tags and fails where one is closed that is not open, or left open.
#[cfg(test)]
pub(super) fn assert_balanced(page: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("every tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') || tag.ends_with('/') || tag.starts_with("meta") {
            continue;
        }
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()), "closed out of order near {rest:.80}");
        } else {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{content, fixture, plot};

    fn rendered(study: &Study) -> String {
        let plots = plot::all(study).unwrap();
        render(study, &Headline::of(study), &content::sections(study), &plots)
    }

    #[test]
    fn every_tag_is_closed_in_order_whatever_the_outcome() {
        for study in fixture::all() {
            assert_balanced(&rendered(&study));
        }
    }

    #[test]
    fn the_page_fetches_nothing_and_runs_nothing() {
        let page = rendered(&fixture::study());
        for fetching in ["src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "<img", "<object"] {
            assert!(!page.contains(fetching), "{fetching} in the page");
        }
        // The only addresses are shown as text, or name the SVG namespace, which nobody fetches.
        for (at, _) in page.match_indices("http://") {
            assert!(page[at..].starts_with("http://www.w3.org/2000/svg"), "{:.60}", &page[at..]);
        }
    }

    #[test]
    fn hostile_names_are_shown_not_run() {
        let page = rendered(&fixture::hostile_study());
        assert!(!page.contains("<script>alert"));
        assert!(page.contains("&lt;script&gt;alert"));
        assert!(!page.contains("\"><b onload"));
        assert_balanced(&page);
    }

    #[test]
    fn the_first_screen_comes_before_everything_else() {
        let page = rendered(&fixture::study());
        let header = &page[page.find("<header").unwrap()..page.find("</header>").unwrap()];
        for said in ["Set max concurrency to 16", "gcloud run services update SERVICE", "p99 response time", "cheapest"]
        {
            assert!(header.contains(said), "{said}");
        }
    }

    #[test]
    fn every_plot_has_a_text_for_those_who_cannot_see_it() {
        let page = rendered(&fixture::study());
        assert_eq!(page.matches("<svg").count(), 3);
        assert_eq!(page.matches("role=\"img\"").count(), 3);
        assert_eq!(page.matches("<desc>").count(), 3);
    }
}
