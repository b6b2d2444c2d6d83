//! The report as Markdown, for reading in a terminal, a review or a step summary.

use super::document::{Block, Span, Table};
use super::headline::{Headline, News};
use crate::trial::Study;
use std::fmt::Write as _;

/// The whole report.
pub(super) fn render(study: &Study, headline: &Headline, sections: &[Block]) -> String {
    let subject = format!("Study {}, {}.", study.name, headline.place);
    let mut text = begin([&headline.title, &subject, why(headline.news), &headline.reason]);
    if !headline.figures.is_empty() {
        let lines: Vec<String> = headline
            .figures
            .iter()
            .map(|figure| {
                let note = if figure.note.is_empty() { String::new() } else { format!(" ({})", escape(&figure.note)) };
                format!("* **{}** {}{note}", escape(&figure.value), escape(&figure.label))
            })
            .collect();
        push(&mut text, &lines.join("\n"));
    }
    if !headline.commands.is_empty() {
        push(&mut text, &fenced(&headline.commands));
    }
    push(&mut text, &escape(&headline.advice));
    if !headline.alternatives.rows.is_empty() {
        push(&mut text, &table(&headline.alternatives));
    }
    push_blocks(&mut text, sections);
    text
}

/// The begin of a report: the news, what it is about, and, after the word for it, why.
pub(super) fn begin([title, subject, why, reason]: [&str; 4]) -> String {
    let mut text = String::new();
    push(&mut text, &format!("# {}", escape(title)));
    push(&mut text, &escape(subject));
    push(&mut text, &format!("**{why}** {}", escape(reason)));
    text
}

/// Blocks one after the other.
pub(super) fn push_blocks(text: &mut String, blocks: &[Block]) {
    for block in blocks {
        push(text, &render_block(block));
    }
}

fn why(news: News) -> &'static str {
    match news {
        News::Chosen => "Why:",
        News::Infeasible | News::Untrusted | News::Unfinished => "What happened:",
    }
}

fn push(text: &mut String, block: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(block);
    text.push('\n');
}

fn render_block(block: &Block) -> String {
    match block {
        Block::Heading(level, title) => format!("{} {}", "#".repeat(usize::from(*level)), escape(title)),
        Block::Paragraph(spans) => spans.iter().map(span).collect(),
        Block::List(items) => {
            let items: Vec<String> =
                items.iter().map(|item| format!("* {}", item.iter().map(span).collect::<String>())).collect();
            items.join("\n")
        }
        Block::Table(content) => table(content),
        Block::Figure { stem, alt, caption } => {
            format!("![{}]({stem}.svg)\n\n*{}*", escape(alt), escape(caption))
        }
    }
}

fn span(span: &Span) -> String {
    match span {
        Span::Plain(text) => escape(text),
        Span::Strong(text) => format!("**{}**", escape(text)),
        Span::Code(text) => code(text),
    }
}

/// Code that may itself hold backticks: the fence is longer than any run of them.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", text.replace(['\n', '\r'], " "))
}

fn fenced(lines: &[String]) -> String {
    let lengths = lines.iter().flat_map(|line| line.split(|c| c != '`').map(str::len));
    let fence = "`".repeat((lengths.max().unwrap_or(0) + 1).max(3));
    let lines: Vec<String> = lines.iter().map(|line| line.replace(['\n', '\r'], " ")).collect();
    format!("{fence}sh\n{}\n{fence}", lines.join("\n"))
}

fn table(table: &Table) -> String {
    let mut text = format!("{}\n\n|", escape(&table.caption));
    for column in &table.columns {
        let _ = write!(text, " {} |", escape(&column.title));
    }
    text.push_str("\n|");
    for column in &table.columns {
        text.push_str(if column.numeric { " ---: |" } else { " --- |" });
    }
    for row in &table.rows {
        text.push_str("\n|");
        for cell in &row.cells {
            let said = escape(&cell.text);
            let strong = row.marked && !said.is_empty();
            let _ = if strong { write!(text, " **{said}** |") } else { write!(text, " {said} |") };
        }
    }
    text
}

/// Text that Markdown shows as it is: what would be markup is escaped, line breaks become blanks.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{content, fixture};

    fn rendered(study: &Study) -> String {
        render(study, &Headline::of(study), &content::sections(study))
    }

    #[test]
    fn the_report_of_a_study_is_this() {
        insta::assert_snapshot!(rendered(&fixture::study()));
    }

    #[test]
    fn the_report_without_a_feasible_candidate_begins_so() {
        let text = rendered(&fixture::infeasible_study());
        let top: Vec<_> = text.lines().take(9).collect();
        insta::assert_snapshot!(top.join("\n"));
    }

    #[test]
    fn names_are_never_markup() {
        let text = rendered(&fixture::hostile_study());
        // The line to copy is shown as typed, inside a fence; everywhere else the name is text.
        let outside_fences: String = text.split("```").step_by(2).collect();
        assert!(text.contains("```sh\ngcloud"));
        assert!(!outside_fences.contains("<script"));
        assert!(text.contains("a\\|b"), "a bar in a name must not end a cell");
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_head() {
        for study in fixture::all() {
            for block in content::sections(&study).into_iter().chain([Block::Table(Headline::of(&study).alternatives)])
            {
                let Block::Table(table) = block else { continue };
                for row in &table.rows {
                    assert_eq!(row.cells.len(), table.columns.len(), "{}", table.caption);
                }
            }
        }
    }

    #[test]
    fn code_with_backticks_stays_code() {
        assert_eq!(code("plain"), "`plain`");
        assert_eq!(code("a`b"), "`` a`b ``");
    }
}
