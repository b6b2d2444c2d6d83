//! `HdrHistogram`'s own tools, as its Debian package brings them, run by a Java that is installed.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian puts the library, and where a link to whichever version is installed may be.
const JAR: &str = "/usr/share/java/hdrhistogram.jar";

/// What `HdrHistogram`'s reader says of one tag of an interval log.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) tag: String,
    /// Milliseconds since 1970.
    pub(crate) start_ms: i64,
    pub(crate) intervals: u64,
    pub(crate) count: u64,
    /// In the order they were asked for.
    pub(crate) percentiles: Vec<u64>,
}

/// Whether Java and the library are here. Without them the test is skipped, unless the environment says that everything
/// real must be here.
pub(crate) fn found() -> bool {
    let java = Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success());
    let found = java && Path::new(JAR).exists();
    if !found {
        let missing = "a JDK and libhdrhistogram-java (https://packages.debian.org)";
        assert!(std::env::var_os("TIDEGATE_REQUIRE_REAL").is_none(), "{missing} are required, and not installed");
        // Not by a macro: what those print is hidden unless the test fails.
        let _ = writeln!(std::io::stderr(), "skipped: {missing} are not installed");
    }
    found
}

/// Reads an interval log with `HistogramLogReader`.
pub(crate) fn read(log: &Path, percentiles: &[f64]) -> Vec<Told> {
    let source: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/java/IntervalLog.java"].iter().collect();
    let mut java = Command::new("java");
    java.args(["-cp", JAR]).arg(source).arg(log).args(percentiles.iter().map(f64::to_string));
    run(&mut java).lines().map(told).collect()
}

/// What `HistogramLogProcessor` makes of one tag of a log: the percentile spectrum, in milliseconds.
pub(crate) fn spectrum(log: &Path, tag: &str) -> String {
    let mut java = Command::new("java");
    java.args(["-cp", JAR, "org.HdrHistogram.HistogramLogProcessor", "-outputValueUnitRatio", "1000"]);
    run(java.args(["-tag", tag, "-i"]).arg(log))
}

fn told(line: &str) -> Told {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    Told {
        tag: words[0].to_owned(),
        start_ms: words[1].parse().unwrap(),
        intervals: number(2),
        count: number(3),
        percentiles: (4..words.len()).map(number).collect(),
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
