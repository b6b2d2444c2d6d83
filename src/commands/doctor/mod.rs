//! `tidegate doctor`: what this machine can honestly send. Bounded in time and load, and on loopback only.

mod findings;
mod law;
mod probe;
mod search;
mod server;

pub use server::doctor_server;

use super::error::CommandError;
use super::exit::ExitStatus;
use super::host;
use super::interrupt::Interrupt;
use super::output::Sink;
use super::progress::Progress;
use crate::driver;
use crate::trial::Recording;
use findings::{Compared, Findings, Lateness, Law, Machine, Quantiles, Tried};
use probe::{Probe, control};
use search::RateSearch;
use server::Server;
use std::path::PathBuf;
use std::time::Duration;

/// What `doctor` is asked.
#[derive(Clone, Debug)]
pub struct DoctorOptions {
    /// A quarter of the time, and a coarser answer.
    pub quick: bool,
    /// Where the findings go as JSON: a file, or `-` for standard output, instead of the text.
    pub json: Option<PathBuf>,
}

/// What a program is told.
#[derive(Debug, serde::Serialize)]
struct Report<'a> {
    /// Whether anything that this machine measures can be trusted.
    trusted: bool,
    /// The sentence for people.
    verdict: &'a str,
    found: &'a Findings,
}

/// How long and how finely is looked.
#[derive(Clone, Copy, Debug)]
struct Effort {
    probe: Duration,
    probes: u32,
    resolution: f64,
    /// Shares of the highest rate whose lateness is told.
    shares: &'static [f64],
    compared: Duration,
    law: Duration,
}

/// At most 18 × 1.5 s + 4 × 2 × 2 s + 6 s of load: 49 s.
const WHOLE: Effort = Effort {
    probe: Duration::from_millis(1500),
    probes: 18,
    resolution: 1.1,
    shares: &[0.1, 0.5, 0.8],
    compared: Duration::from_secs(2),
    law: Duration::from_secs(6),
};
/// At most 8 × 0.6 s + 3 × 2 × 0.8 s + 3 s: 12.6 s.
const QUICK: Effort = Effort {
    probe: Duration::from_millis(600),
    probes: 8,
    resolution: 1.5,
    shares: &[0.2, 0.8],
    compared: Duration::from_millis(800),
    law: Duration::from_secs(3),
};

/// The search begins here, after a look at how late the host itself is at this rate.
const START_RATE: f64 = 1000.0;
/// The law is measured at this rate, or at a quarter of what the machine keeps: there the driver is not what is slow.
const LAW_RATE_MAX: f64 = 2000.0;
/// Fewer requests than this rate sends say more of chance than of the instrument.
const LAW_RATE_MIN: f64 = 300.0;

/// Measures this machine and tells what it can honestly send.
///
/// # Errors
/// When the server or a load cannot be started, or the findings cannot be written.
pub async fn doctor(options: DoctorOptions) -> Result<ExitStatus, CommandError> {
    options.json.clone().map_or(Ok(()), |path| Sink::from(path).check())?;
    let progress = Progress::new();
    let interrupt = Interrupt::listen({
        let progress = progress.clone();
        move |_| progress.say("stopping (again to end at once)")
    })
    .map_err(|cause| CommandError::System { action: "listen for signals", cause })?;
    let tidegate = std::env::current_exe()
        .map_err(|cause| CommandError::System { action: "find tidegate's own program", cause })?;
    let server = Server::start(&tidegate).await?;
    let effort = if options.quick { QUICK } else { WHOLE };
    let mut examination =
        Examination { server: &server, effort, interrupt: &interrupt, seen: Vec::new(), timer: String::new() };
    let found = examination.all(&progress).await;
    server.stop().await;
    let found = found?;
    if let Some(status) = interrupt.status() {
        return Ok(status);
    }
    match &options.json {
        None => super::print(&found.text())?,
        Some(path) => {
            let verdict = found.verdict();
            Sink::from(path.clone()).write_json(&Report {
                trusted: found.trusted(),
                verdict: &verdict,
                found: &found,
            })?;
        }
    }
    Ok(if found.trusted() { ExitStatus::Success } else { ExitStatus::Untrusted })
}

/// The measurements, one after another.
struct Examination<'a> {
    server: &'a Server,
    effort: Effort,
    interrupt: &'a Interrupt,
    /// Seconds, share of steal and sockets held, of every load.
    seen: Vec<(f64, Option<f64>, Option<u64>)>,
    /// How the driver waits for due times.
    timer: String,
}

impl Examination<'_> {
    async fn all(&mut self, progress: &Progress) -> Result<Findings, CommandError> {
        progress.say("doctor: looking for the highest rate that is sent on time");
        let mut lateness = vec![self.beside(START_RATE).await?];
        let mut search = RateSearch::new(START_RATE, self.effort.resolution, self.effort.probes);
        let mut tried = Vec::new();
        while let (Some(rate), None) = (search.propose(), self.interrupt.status()) {
            let probe = self.send(server::AT_ONCE, rate, self.effort.probe).await?;
            search.record(probe.kept());
            tried.push(Tried {
                offered: probe.offered,
                achieved: probe.achieved,
                lateness_p99_us: micros(probe.lateness(0.99)),
                kept: probe.kept(),
            });
        }
        let best = search.best();
        let mut law = None;
        if let Some(best) = best {
            progress.say("doctor: comparing its lateness with a bare timer loop's");
            for share in self.effort.shares {
                if self.interrupt.status().is_none() {
                    lateness.push(self.beside((best * share).round()).await?);
                }
            }
            progress.say("doctor: holding what is recorded against a known law");
            law = Some(self.law(LAW_RATE_MAX.min(best / 4.0).max(LAW_RATE_MIN)).await?);
        }
        Ok(Findings {
            machine: self.machine(),
            search: tried,
            honest_rate_max: best,
            lateness_bound_us: micros(probe::bound()),
            lateness,
            law,
        })
    }

    /// Lateness at `rate`, beside that of a bare timer loop in turn.
    async fn beside(&mut self, rate: f64) -> Result<Lateness, CommandError> {
        let bare = control(rate, self.effort.compared).await?;
        let sent = self.send(server::AT_ONCE, rate, self.effort.compared).await?;
        Ok(Lateness { rate, driver: quantiles(&sent.recording.lateness), control: quantiles(&bare) })
    }

    async fn law(&mut self, rate: f64) -> Result<Law, CommandError> {
        let probe = self.send(server::BY_LAW, rate, self.effort.law).await?;
        let times = &probe.recording.overall.response_time;
        let compare = |quantile: f64| Compared {
            quantile,
            exact_ms: law::quantile(quantile).as_secs_f64() * 1e3,
            recorded_ms: times.quantile(quantile).as_secs_f64() * 1e3,
        };
        Ok(Law {
            words: law::WORDS,
            rate,
            requests: times.count(),
            quantiles: [0.5, 0.9, 0.99, 0.999].map(compare).to_vec(),
        })
    }

    async fn send(&mut self, path: &str, rate: f64, length: Duration) -> Result<Probe, CommandError> {
        let probe = Probe::send(&self.server.base_url, path, rate, length, self.interrupt.stop()).await?;
        let Recording { duration_s, host_steal_share, drivers, .. } = &probe.recording;
        let held = drivers.iter().filter_map(|driver| driver.time_wait_max).max();
        if let Some(driver) = drivers.first() {
            self.timer.clone_from(&driver.timer);
        }
        self.seen.push((*duration_s, *host_steal_share, held));
        Ok(probe)
    }

    fn machine(&self) -> Machine {
        let host = host::describe();
        let files = driver::open_files();
        let steal: Vec<(f64, f64)> =
            self.seen.iter().filter_map(|(seconds, steal, _)| Some((*seconds, (*steal)?))).collect();
        let seconds: f64 = steal.iter().map(|(seconds, _)| seconds).sum();
        let stolen: f64 = steal.iter().map(|(seconds, share)| seconds * share).sum();
        Machine {
            system: host.system,
            cpu: host.cpu,
            cores: host.cores,
            timer: self.timer.clone(),
            open_files_soft: files.soft,
            open_files_hard: files.hard,
            local_ports: driver::local_ports(),
            time_wait_max: self.seen.iter().filter_map(|(_, _, held)| *held).max(),
            steal_share: (seconds > 0.0).then(|| stolen / seconds),
            debug_build: cfg!(debug_assertions),
        }
    }
}

fn quantiles(histogram: &crate::stats::Histogram) -> Quantiles {
    Quantiles {
        p50: micros(histogram.quantile(0.5)),
        p99: micros(histogram.quantile(0.99)),
        max: micros(histogram.max()),
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
