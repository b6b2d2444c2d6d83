//! The table of both brokers.

use std::collections::BTreeMap;

/// A broker's figures of one round, in the order in which they were taken.
#[derive(Default)]
pub(super) struct Figures(Vec<(String, f64)>);

impl Figures {
    pub(super) fn add(&mut self, name: impl Into<String>, figure: f64) {
        self.0.push((name.into(), figure));
    }
}

/// All rounds.
#[derive(Default)]
pub(super) struct Table {
    names: Vec<String>,
    sites: Vec<&'static str>,
    /// By figure and broker: its rounds.
    cells: BTreeMap<(String, &'static str), Vec<f64>>,
}

impl Table {
    pub(super) fn add(&mut self, site: &'static str, figures: Figures) {
        if !self.sites.contains(&site) {
            self.sites.push(site);
            self.sites.sort_by_key(|site| *site != "tidegate");
        }
        for (name, figure) in figures.0 {
            if !self.names.contains(&name) {
                self.names.push(name.clone());
            }
            self.cells.entry((name, site)).or_default().push(figure);
        }
    }

    pub(super) fn print(&self, rounds: usize) {
        println!("\n{rounds} rounds: medians (least to most); times: tidegate over the emulator within a round\n");
        println!("| | {} | times |", self.sites.join(" | "));
        println!("|---|{}---|", "---|".repeat(self.sites.len()));
        for name in &self.names {
            let cells: Vec<_> = self.sites.iter().map(|site| &self.cells[&(name.clone(), *site)][..]).collect();
            let shown: Vec<_> = cells.iter().map(|cell| show(cell)).collect();
            let times = match cells[..] {
                [ours, theirs] => show(&ours.iter().zip(theirs).map(|(a, b)| a / b).collect::<Vec<_>>()),
                _ => String::new(),
            };
            println!("| {name} | {} | {times} |", shown.join(" | "));
        }
    }
}

fn show(figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let [least, .., most] = sorted[..] else { return format!("{:.1}", sorted.first().unwrap_or(&f64::NAN)) };
    let length = sorted.len();
    let median =
        if length % 2 == 1 { sorted[length / 2] } else { f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]) };
    let digits = if median < 100.0 { 2 } else { 0 };
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}
