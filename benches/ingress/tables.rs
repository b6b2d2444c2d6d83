//! Rounds over the ways, and the table.

use super::way::{Sample, Way};
use std::collections::BTreeMap;
use std::error::Error;

/// By way: what it gave in each round.
type Samples = BTreeMap<&'static str, Vec<Sample>>;

/// Compares the ways in so many rounds of loads this long.
pub(super) fn compare(rounds: usize, seconds: u32) -> Result<(), Box<dyn Error>> {
    let straight = Way::straight()?;
    let nginx = Way::nginx(&straight)?;
    let mut ways = vec![straight, Way::platform()?];
    ways.extend(nginx);
    let (mut steady, mut closed) = (Samples::new(), Samples::new());
    for round in 0..rounds {
        for turn in 0..ways.len() {
            let way = &ways[(round + turn) % ways.len()];
            steady.entry(way.name).or_default().push(way.load("steady", seconds)?);
        }
        for turn in 0..ways.len() {
            let way = &ways[(round + turn) % ways.len()];
            closed.entry(way.name).or_default().push(way.load("get", seconds)?);
        }
    }
    let names: Vec<&str> = ways.iter().map(|way| way.name).collect();
    print_steady(&names, &steady);
    print_closed(&names, &closed);
    println!("\n{rounds} rounds; medians (least to most)");
    Ok(())
}

fn print_steady(names: &[&str], steady: &Samples) {
    println!("\n2,000 requests per second, microseconds; added: less the straight way's in the same round\n");
    println!("| way | service time p50 | p99 | added p50 | added p99 | response time p50 | p99 | lateness p50 | p99 |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for name in names {
        let of = |figure: fn(&Sample) -> f64| Figures(steady[name].iter().map(figure).collect());
        let added = |place: usize| added(steady, name, place);
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
            of(|sample| sample.service_us[0]).show(0),
            of(|sample| sample.service_us[1]).show(0),
            added(0).show(0),
            added(1).show(0),
            of(|sample| sample.response_us[0]).show(0),
            of(|sample| sample.response_us[1]).show(0),
            of(|sample| sample.lateness_us[0]).show(0),
            of(|sample| sample.lateness_us[1]).show(0),
        );
    }
    if names.contains(&"nginx") {
        let times = |place: usize| added(steady, "tidegate", place).median() / added(steady, "nginx", place).median();
        println!(
            "\nadded by tidegate, times nginx's (of the medians): p50 {:.2}, p99 {:.2}; at most 1.5 is the goal",
            times(0),
            times(1)
        );
    }
}

fn print_closed(names: &[&str], closed: &Samples) {
    println!("\n64 connections, each sending as soon as it is answered\n");
    println!("| way | requests/s | requests per CPU-second of the proxy | the proxy's core |");
    println!("|---|---|---|---|");
    for name in names {
        let of = |figure: fn(&Sample) -> f64| Figures(closed[name].iter().map(figure).collect());
        if *name == "straight" {
            println!("| {name} | {} | | |", of(|sample| sample.rate).show(0));
        } else {
            println!(
                "| {name} | {} | {} | {} % |",
                of(|sample| sample.rate).show(0),
                of(|sample| sample.per_cpu_second).show(0),
                of(|sample| sample.core_share * 100.0).show(0),
            );
        }
    }
    if names.contains(&"nginx") {
        let ratio = |figure: fn(&Sample) -> f64| {
            Figures(closed["tidegate"].iter().zip(&closed["nginx"]).map(|(a, b)| figure(a) / figure(b)).collect())
        };
        println!(
            "\ntidegate, times nginx's in the same round: rate {}, per CPU-second {}; at least 0.5 is the goal",
            ratio(|sample| sample.rate).show(2),
            ratio(|sample| sample.per_cpu_second).show(2),
        );
    }
}

/// What a way adds to the service time of the straight one in the same round: the difference of p50s (0) or p99s (1).
fn added(steady: &Samples, name: &str, place: usize) -> Figures {
    let pairs = steady[name].iter().zip(&steady["straight"]);
    Figures(pairs.map(|(sample, straight)| sample.service_us[place] - straight.service_us[place]).collect())
}

/// A figure in each round.
struct Figures(Vec<f64>);

impl Figures {
    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let length = sorted.len();
        match length {
            0 => f64::NAN,
            _ if length % 2 == 1 => sorted[length / 2],
            _ => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
        }
    }

    fn show(&self, digits: usize) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.digits$} ({least:.digits$} to {most:.digits$})", self.median())
    }
}
