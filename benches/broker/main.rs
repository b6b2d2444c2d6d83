//! What the broker can do on this machine, beside Google's emulator: durable publishes and pushes per second and per core,
//! how long a message is under way, and the memory that a long backlog takes. The two take turns within a round, each
//! round begins with another one, figures are medians over the rounds, and the client's CPU is counted apart.
//!
//! `cargo bench --bench broker` (under four minutes); `-- 5` makes five rounds. Google's emulator is looked for where
//! `gcloud` says it is installed, or `PUBSUB_EMULATOR` names its program; without it that half is left out and named.
//! `TIDEGATE_BENCH_BACKLOG=100000,1000000` measures memory at other lengths of the backlog, `TIDEGATE_BENCH_DIR` puts the
//! store on another disk.
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

mod client;
mod endpoint;
mod measures;
mod site;
mod tables;

use site::Site;
use std::error::Error;
use std::path::Path;
use std::time::Instant;
use tables::Table;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Rounds unless the command line says otherwise.
const ROUNDS: usize = 3;
/// Lengths of the backlog at which memory is looked at.
const BACKLOGS: &str = "100000,1000000,3000000";

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` runs it without this, and asks nothing of it.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let rounds = arguments.iter().find(|argument| *argument != "--bench");
    let rounds = rounds.map_or(Ok(ROUNDS), |rounds| rounds.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(rounds))
}

async fn run(rounds: usize) -> Outcome<()> {
    let begun = Instant::now();
    let parent = std::env::var("TIDEGATE_BENCH_DIR").unwrap_or_else(|_| ".".to_owned());
    let dir = tempfile::tempdir_in(parent)?;
    println!("{}", synced(dir.path())?);
    let mut sites = vec![Site::tidegate(&dir.path().join("rounds")).await?];
    match Site::emulator().await {
        Ok(site) => sites.push(site),
        Err(error) => println!("Google's emulator is left out: {error}"),
    }
    for site in &sites {
        measures::warm_up(site).await?;
    }
    let mut table = Table::default();
    for round in 0..rounds {
        for turn in 0..sites.len() {
            let site = &sites[(round + turn) % sites.len()];
            table.add(site.name, measures::round(site, round).await?);
        }
    }
    drop(sites);
    table.print(rounds);
    let lengths = std::env::var("TIDEGATE_BENCH_BACKLOG").unwrap_or_else(|_| BACKLOGS.to_owned());
    let lengths = lengths.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    memory(&dir.path().join("backlog"), &lengths).await?;
    println!("\nall of it took {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// What the disk takes for a sync alone: each of these appends is one.
fn synced(dir: &Path) -> Outcome<String> {
    use std::io::Write as _;
    let mut told = Vec::new();
    for bytes in [4 << 10, 128 << 10] {
        let mut file = std::fs::File::create(dir.join("synced"))?;
        let mut times = Vec::new();
        for _ in 0..200 {
            file.write_all(&vec![7; bytes])?;
            let begun = Instant::now();
            file.sync_data()?;
            times.push(begun.elapsed().as_micros());
        }
        times.sort_unstable();
        told.push(format!("{} KiB {} us, {} us", bytes >> 10, times[100], times[199]));
    }
    Ok(format!("fdatasync alone, after an append (median and most of 200): {}", told.join("; ")))
}

/// The memory that a backlog takes: one broker, whose backlog grows, and another that is started on what that one left.
async fn memory(data: &Path, lengths: &[u64]) -> Outcome<()> {
    println!("\n| backlog, messages | published/s | resident MiB | peak MiB | on disk MiB |\n|---|---|---|---|---|");
    let site = Site::tidegate(data).await?;
    client::create(&site.endpoint, "backlog", None).await?;
    let mut length = 0;
    for most in lengths {
        let load = client::Load { messages: most - length, ..client::Load::batches() };
        let published = client::publish(&site.endpoint, "backlog", &load).await?;
        length = *most;
        let memory = site.memory()?;
        let rate = published.acknowledged as f64 / published.seconds;
        println!(
            "| {length} | {rate:.0} | {:.1} | {:.1} | {:.0} |",
            memory.resident,
            memory.peak,
            site::on_disk(data)?
        );
    }
    drop(site);
    let begun = Instant::now();
    let site = Site::tidegate(data).await?;
    let seconds = begun.elapsed().as_secs_f64();
    client::ready(&site.endpoint).await?;
    let memory = site.memory()?;
    println!(
        "\nstarted again on {length} messages: {seconds:.2} s, {:.1} MiB resident, {:.1} at its peak",
        memory.resident, memory.peak
    );
    Ok(())
}
