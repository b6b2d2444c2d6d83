//! Renders saved records: HTML, Markdown, CSV, and plots as SVG and PNG, and the few lines for a terminal. Reads
//! nothing but the study it is given: no clock, no network, so the same study always gives the same bytes.

mod content;
mod delivery;
mod detail;
mod document;
mod export;
mod facts;
mod headline;
mod html;
mod law;
mod markdown;
mod number;
mod plot;
mod render;
mod spreadsheet;
mod stage;
mod terminal;
mod trials_csv;

#[cfg(test)]
mod fixture;

pub use delivery::{deliveries_csv, ledger, loss_hints, render_delivery};
pub use export::{Otlp, csv, hgrm, hlog_head, hlog_lines, ndjson_line, otlp, prometheus};
pub use render::{PAGE, Rendered, ReportError, render};
pub use terminal::{judge_responses, run_summary, run_table, summary};
