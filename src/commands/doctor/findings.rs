//! What the doctor found, for people and for programs.

use serde::Serialize;
use std::fmt::Write as _;

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Findings {
    pub(super) machine: Machine,
    /// Every rate that was tried, in order.
    pub(super) search: Vec<Tried>,
    /// The highest rate that was kept, in requests per second; `None` when none was.
    pub(super) honest_rate_max: Option<f64>,
    /// What a 99th percentile of lateness may be, in microseconds.
    pub(super) lateness_bound_us: f64,
    /// Lateness at a few rates, beside that of a bare timer loop.
    pub(super) lateness: Vec<Lateness>,
    pub(super) law: Option<Law>,
}

/// What the machine tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Machine {
    pub(super) system: String,
    pub(super) cpu: String,
    pub(super) cores: u32,
    /// `timerfd` or `coarse`.
    pub(super) timer: String,
    pub(super) open_files_soft: Option<u64>,
    pub(super) open_files_hard: Option<u64>,
    pub(super) local_ports: Option<u64>,
    /// Most local ports that closed connections held back while the doctor measured.
    pub(super) time_wait_max: Option<u64>,
    /// Share (0 to 1) that the hypervisor took while the doctor measured.
    pub(super) steal_share: Option<f64>,
    /// Whether tidegate was built without optimisation.
    pub(super) debug_build: bool,
}

/// A rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Tried {
    pub(super) offered: f64,
    pub(super) achieved: f64,
    pub(super) lateness_p99_us: f64,
    pub(super) kept: bool,
}

/// Lateness at a rate, and that of a bare timer loop at the same rate just before, in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Lateness {
    pub(super) rate: f64,
    pub(super) driver: Quantiles,
    pub(super) control: Quantiles,
}

/// Of lateness, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// What was recorded of a server that answers by a known law.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Law {
    pub(super) words: &'static str,
    pub(super) rate: f64,
    pub(super) requests: u64,
    pub(super) quantiles: Vec<Compared>,
}

/// A percentile as recorded and by its closed form.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Compared {
    pub(super) quantile: f64,
    pub(super) exact_ms: f64,
    pub(super) recorded_ms: f64,
}

impl Compared {
    fn error_percent(&self) -> f64 {
        (self.recorded_ms / self.exact_ms - 1.0) * 100.0
    }
}

impl Findings {
    /// For people; ends with a sentence and a line break.
    pub(super) fn text(&self) -> String {
        let mut text = self.machine.text();
        text.push_str("\nrate tried    achieved   lateness p99\n");
        for tried in &self.search {
            let _ = writeln!(
                text,
                "{:>8.0}/s  {:>8.0}/s  {:>10.0} us   {}",
                tried.offered,
                tried.achieved,
                tried.lateness_p99_us,
                if tried.kept { "kept" } else { "missed" }
            );
        }
        if !self.lateness.is_empty() {
            text.push_str("\nlateness, us    driver p50      p99      max    bare timer p50      p99      max\n");
        }
        for Lateness { rate, driver, control } in &self.lateness {
            let columns = |of: &Quantiles| format!("{:>8.0} {:>8.0} {:>8.0}", of.p50, of.p99, of.max);
            let _ = writeln!(text, "{rate:>8.0}/s        {}          {}", columns(driver), columns(control));
        }
        if let Some(law) = &self.law {
            let _ = writeln!(
                text,
                "\nresponse times of a server that is {}, {} requests at {:.0}/s:",
                law.words, law.requests, law.rate
            );
            for compared in &law.quantiles {
                let _ = writeln!(
                    text,
                    "  {:<6} exact {:>8.3} ms  recorded {:>8.3} ms  error {:+.2} %",
                    format!("p{}", compared.quantile * 100.0),
                    compared.exact_ms,
                    compared.recorded_ms,
                    compared.error_percent()
                );
            }
        }
        let _ = writeln!(text, "\n{}", self.verdict());
        text
    }

    /// Whether anything that this machine measures can be trusted: it keeps some rate, and where that is a low one, not
    /// by luck on a host on which a bare timer is late too.
    pub(super) fn trusted(&self) -> bool {
        self.honest_rate_max.is_some_and(|rate| {
            let first = self.lateness.first();
            first.is_none_or(|first| rate >= first.rate || first.control.p99 <= self.lateness_bound_us)
        })
    }

    /// In one sentence.
    pub(super) fn verdict(&self) -> String {
        let bound = self.lateness_bound_us / 1e3;
        let noisy = self.lateness.iter().any(|lateness| lateness.control.p99 > self.lateness_bound_us);
        let Some(rate) = self.honest_rate_max.filter(|_| self.trusted()) else {
            let why = if noisy { ", and so was a bare timer that sends nothing: the host is too busy" } else { "" };
            return format!(
                "This machine cannot be trusted: low rates were sent late (p99 above {bound:.0} ms) or not in full{why}; \
                 close other programs, or use a larger or a quieter machine."
            );
        };
        let busy = if noisy { " The host was busy meanwhile: a quieter one would send more." } else { "" };
        format!(
            "This machine can honestly send up to {rate:.0} requests per second from one process: 99 % of them less than \
             {bound:.0} ms late, a plain GET, the server on the same machine.{busy}"
        )
    }
}

impl Machine {
    fn text(&self) -> String {
        let number = |number: Option<u64>| number.map_or_else(|| "unlimited".to_owned(), |number| number.to_string());
        let told = |number: Option<u64>| number.map_or_else(|| "not told".to_owned(), |number| number.to_string());
        let mut text = format!(
            "{}, {} cores{}\ntimer: {}\nopen files: {} (may be raised to {})\nlocal ports: {}, held by closed connections: {}\n",
            self.system,
            self.cores,
            if self.cpu.is_empty() { String::new() } else { format!(", {}", self.cpu) },
            self.timer,
            number(self.open_files_soft),
            number(self.open_files_hard),
            told(self.local_ports),
            told(self.time_wait_max),
        );
        let steal = self.steal_share.map_or_else(|| "not told".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let _ = writeln!(text, "taken by the hypervisor (steal): {steal}");
        if self.debug_build {
            text.push_str("this is a debug build: a release build sends several times as much\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        let tried =
            |offered: f64, lateness_p99_us, kept| Tried { offered, achieved: offered * 0.999, lateness_p99_us, kept };
        let quantiles = |p50, p99, max| Quantiles { p50, p99, max };
        Findings {
            machine: Machine {
                system: "Linux 6.18 x86_64".to_owned(),
                cpu: "A Processor".to_owned(),
                cores: 2,
                timer: "timerfd".to_owned(),
                open_files_soft: Some(1024),
                open_files_hard: None,
                local_ports: Some(28_232),
                time_wait_max: Some(3),
                steal_share: Some(0.0042),
                debug_build: false,
            },
            search: vec![tried(1000.0, 21.0, true), tried(64_000.0, 15_000.0, false), tried(42_000.0, 312.0, true)],
            honest_rate_max: Some(42_000.0),
            lateness_bound_us: 1000.0,
            lateness: vec![Lateness {
                rate: 4200.0,
                driver: quantiles(9.0, 24.0, 812.0),
                control: quantiles(8.0, 20.0, 790.0),
            }],
            law: Some(Law {
                words: "uniform from 5 ms to 105 ms",
                rate: 2000.0,
                requests: 12_000,
                quantiles: vec![
                    Compared { quantile: 0.5, exact_ms: 55.0, recorded_ms: 55.071 },
                    Compared { quantile: 0.999, exact_ms: 104.9, recorded_ms: 105.023 },
                ],
            }),
        }
    }

    #[test]
    fn what_was_found_is_told_so() {
        insta::assert_snapshot!(findings().text());
        assert!(findings().trusted());
        let mut busy = findings();
        busy.lateness[0].control.p99 = 4000.0;
        assert!(busy.trusted() && busy.verdict().ends_with("a quieter one would send more."), "{}", busy.verdict());
    }

    #[test]
    fn a_machine_that_keeps_no_rate_is_told_so() {
        let mut hopeless = findings();
        hopeless.honest_rate_max = None;
        hopeless.law = None;
        let text = hopeless.text();
        assert!(text.trim_end().ends_with("use a larger or a quieter machine."), "{text}");
        assert!(text.contains("cannot be trusted") && !text.contains("bare timer that"), "{text}");
        assert!(!hopeless.trusted());
        hopeless.lateness[0].control.p99 = 4000.0;
        hopeless.honest_rate_max = Some(50.0);
        assert!(!hopeless.trusted(), "a low rate, and a bare timer as late");
        assert!(hopeless.verdict().contains("so was a bare timer that sends nothing"), "{}", hopeless.verdict());
    }
}
