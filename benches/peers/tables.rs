//! The tables: rounds in which each tool runs once, in turn and beginning with another one each time; medians over the
//! rounds, and ratios within a round.

use super::process::{Run, Server, generate, is_there};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A generator of a table.
struct Tool {
    name: &'static str,
    program: String,
    arguments: Vec<String>,
    /// Reads (requests, requests per second) out of what it printed.
    read: fn(&str) -> Option<(f64, f64)>,
}

/// One run of one tool.
struct Sample {
    rate: f64,
    /// CPU-seconds of the generator per million requests.
    cpu_per_million: f64,
    /// The share of its core that the server used.
    server_share: f64,
    run: Run,
}

impl Tool {
    fn new(name: &'static str, program: String, arguments: &[&str], read: fn(&str) -> Option<(f64, f64)>) -> Self {
        Self { name, program, arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(), read }
    }

    fn tidegate(name: &'static str, client: &str, load: &str, server: &Server, seconds: u32) -> Outcome<Self> {
        let program = std::env::current_exe()?.to_string_lossy().into_owned();
        let seconds = seconds.to_string();
        Ok(Self::new(name, program, &["drive", client, load, &server.base_url, &seconds], read_json))
    }

    fn run(&self, server: &Server) -> Outcome<Sample> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let run = generate(server, &self.program, &arguments)?;
        let (count, rate) =
            (self.read)(&run.output).ok_or_else(|| format!("{} printed no rate: {}", self.name, run.output))?;
        Ok(Sample {
            rate,
            cpu_per_million: run.generator_cpu.as_secs_f64() / count.max(1.0) * 1e6,
            // While the load lasted, which is less than the process did.
            server_share: run.server_cpu.as_secs_f64() / (count / rate).max(1e-3),
            run,
        })
    }
}

/// Plain GET over 64 connections.
pub(super) fn get(words: &[&str], rounds: usize, seconds: u32) -> Outcome<()> {
    let server = Server::start(words)?;
    let url = format!("{}/detail/1", server.base_url);
    let length = format!("{seconds}s");
    let mut tools = vec![
        Tool::new("wrk", place("WRK", "wrk"), &["-t1", "-c64", "-d", &length, &url], read_wrk),
        Tool::tidegate("tidegate", "wire", "get", &server, seconds)?,
        Tool::tidegate("tidegate on hyper", "hyper", "get", &server, seconds)?,
        Tool::new(
            "oha",
            place("OHA", "oha"),
            &["-z", &length, "-c", "64", "--no-tui", "--output-format", "json", &url],
            read_oha,
        ),
    ];
    compare(&server, &mut tools, rounds)
}

/// The five-step journey by 64 virtual users; the rate is of steps.
pub(super) fn journey(words: &[&str], rounds: usize, seconds: u32) -> Outcome<()> {
    let server = Server::start(words)?;
    let length = format!("{seconds}s");
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");
    let (script, locustfile) = (format!("{here}/journey.js"), format!("{here}/locustfile.py"));
    let (base, span) = (format!("BASE_URL={}", server.base_url), format!("DURATION={length}"));
    let locust = ["-f", &locustfile, "--headless", "-u", "64", "-r", "64", "-t", &length, "-H", &server.base_url];
    let mut tools = vec![
        Tool::tidegate("tidegate", "wire", "journey", &server, seconds)?,
        Tool::tidegate("tidegate on hyper", "hyper", "journey", &server, seconds)?,
        Tool::new(
            "k6",
            place("K6", "k6"),
            &["run", "-q", "--no-usage-report", "-e", &base, "-e", &span, &script],
            read_json,
        ),
        Tool::new("Locust FastHttpUser", place("LOCUST", "locust"), &locust, read_json),
    ];
    compare(&server, &mut tools, rounds)
}

/// Where a peer is.
fn place(variable: &str, name: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| name.to_owned())
}

/// Runs the tools in rounds and prints the table; ratios are to the first of them.
fn compare(server: &Server, tools: &mut Vec<Tool>, rounds: usize) -> Outcome<()> {
    tools.retain(|tool| {
        let there = is_there(&tool.program);
        if !there {
            println!("{} is left out: {} cannot be run", tool.name, tool.program);
        }
        there
    });
    let mut samples: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
    for round in 0..rounds {
        for turn in 0..tools.len() {
            let tool = &tools[(round + turn) % tools.len()];
            samples.entry(tool.name).or_default().push(tool.run(server)?);
        }
    }
    let first = tools.first().ok_or("no generator can be run")?.name;
    println!(
        "\n| generator | requests/s | × {first}, per round: median (least to most) | CPU s per million | server's core |"
    );
    println!("|---|---|---|---|---|");
    for tool in tools.iter() {
        let of = |figure: fn(&Sample) -> f64| samples[tool.name].iter().map(figure).collect::<Vec<f64>>();
        let ratios: Vec<f64> =
            samples[tool.name].iter().zip(&samples[first]).map(|(own, other)| own.rate / other.rate).collect();
        let (least, most) = ratios.iter().fold((f64::MAX, 0.0_f64), |(a, b), ratio| (a.min(*ratio), b.max(*ratio)));
        println!(
            "| {} | {:.0} | {:.3} ({least:.3} to {most:.3}) | {:.1} | {:.0} % |",
            tool.name,
            median(of(|sample| sample.rate)),
            median(ratios),
            median(of(|sample| sample.cpu_per_million)),
            median(of(|sample| sample.server_share)) * 100.0,
        );
    }
    println!("\n{rounds} rounds; medians");
    Ok(())
}

/// 10,000 arrivals per second, in pairs with a bare timer loop on the same core.
pub(super) fn open(pairs: usize, seconds: u32) -> Outcome<()> {
    const RATE: f64 = 10_000.0;
    let server = Server::start(&[])?;
    let exe = std::env::current_exe()?.to_string_lossy().into_owned();
    let tidegate = Tool::tidegate("tidegate", "wire", "open", &server, seconds)?;
    let url = format!("{}/logged", server.base_url);
    let length = format!("{seconds}s");
    let paced =
        ["-z", &length, "-c", "64", "-q", "10000", "--latency-correction", "--no-tui", "--output-format", "json"];
    let peers = [
        Tool::new("wrk2", place("WRK2", "wrk2"), &["-t1", "-c64", "-d", &length, "-R10000", &url], read_wrk),
        Tool::new("oha", place("OHA", "oha"), &[&paced[..], &[&url]].concat(), read_oha),
    ];
    let (mut own, mut control, mut differences, mut quiet) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // How far the arrivals were from an even schedule, and the share of its core that the generator used.
    let mut seen: BTreeMap<&str, Vec<[f64; 3]>> = BTreeMap::new();
    let mut look = |tool: &Tool| -> Outcome<Sample> {
        let sample = tool.run(&server)?;
        let [p50, p99] = deviation(&server, RATE)?;
        let share = sample.run.generator_cpu.as_secs_f64() / f64::from(seconds);
        seen.entry(tool.name).or_default().push([p50, p99, share]);
        Ok(sample)
    };
    for pair in 0..pairs {
        let bare = || -> Outcome<[f64; 2]> {
            let run = generate(&server, &exe, &["control", &RATE.to_string(), &seconds.to_string()])?;
            lateness(&run.output)
        };
        let mut driven = || lateness(&look(&tidegate)?.run.output);
        let (ours, loops) = if pair % 2 == 0 {
            let first = bare()?;
            (driven()?, first)
        } else {
            (driven()?, bare()?)
        };
        if loops[1] <= 200.0 {
            quiet += 1;
            differences.push(ours[1] - loops[1]);
        }
        own.push(ours);
        control.push(loops);
        for peer in peers.iter().filter(|peer| pair % 4 == 0 && is_there(&peer.program)) {
            look(peer)?;
        }
    }
    let of = |samples: &[[f64; 2]], place: usize| median(samples.iter().map(|sample| sample[place]).collect());
    println!("\n| | lateness p50 us | lateness p99 us |");
    println!("|---|---|---|");
    println!("| bare timer loop | {:.0} | {:.0} |", of(&control, 0), of(&control, 1));
    println!("| tidegate | {:.0} | {:.0} |", of(&own, 0), of(&own, 1));
    println!(
        "\np99 over that of the loop in the same pair: median {:.0} us, over the {quiet} of {pairs} pairs whose loop kept within 200 us",
        median(differences)
    );
    println!("\n| arrivals seen by the server, from an even schedule | p50 us | p99 us | generator's core |");
    println!("|---|---|---|---|");
    for (name, samples) in &seen {
        let at = |place: usize| median(samples.iter().map(|sample| sample[place]).collect());
        println!("| {name} | {:.0} | {:.0} | {:.0} % |", at(0), at(1), at(2) * 100.0);
    }
    Ok(())
}

/// 10,000 virtual users on 10,000 connections: the memory of the generator.
pub(super) fn users(seconds: u32) -> Outcome<()> {
    let server = Server::start(&[])?;
    println!("| generator | requests/s | failures | peak memory MiB |\n|---|---|---|---|");
    for (name, client) in [("tidegate", "wire"), ("tidegate on hyper", "hyper")] {
        let sample = Tool::tidegate(name, client, "users", &server, seconds)?.run(&server)?;
        let told: Value = serde_json::from_str(&sample.run.output)?;
        let peak = told["peak_kib"].as_f64().unwrap_or_default() / 1024.0;
        println!("| {name} | {:.0} | {} | {peak:.0} |", sample.rate, told["failures"]);
    }
    Ok(())
}

fn lateness(output: &str) -> Outcome<[f64; 2]> {
    let told: Value = serde_json::from_str(output)?;
    let at = |place: usize| told["lateness_us"][place].as_f64().ok_or_else(|| format!("no lateness in {output}"));
    Ok([at(0)?, at(1)?])
}

fn deviation(server: &Server, rate: f64) -> Outcome<[f64; 2]> {
    let told = server.deviation(rate)?;
    let at = |place: usize| told[place].as_f64().unwrap_or_default();
    Ok([at(1), at(2)])
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => figures[length / 2],
        length => f64::midpoint(figures[length / 2 - 1], figures[length / 2]),
    }
}

/// The last line that is a JSON object with a count and a rate.
fn read_json(output: &str) -> Option<(f64, f64)> {
    let told: Value = output.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
    Some((told["count"].as_f64()?, told["rate"].as_f64()?))
}

fn read_wrk(output: &str) -> Option<(f64, f64)> {
    let count = output.lines().find_map(|line| line.split_once(" requests in "))?.0.trim().parse().ok()?;
    let rate = output.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?.trim().parse().ok()?;
    Some((count, rate))
}

fn read_oha(output: &str) -> Option<(f64, f64)> {
    let told: Value = serde_json::from_str(output).ok()?;
    let (rate, seconds) = (told["summary"]["requestsPerSec"].as_f64()?, told["summary"]["total"].as_f64()?);
    Some((rate * seconds, rate))
}
