//! Each limiter that this host offers, measured: real processes spin under it, and the kernel's CPU clocks of these very
//! processes tell what they got.

use super::*;
use crate::platform::family::{Family, cpu_clock};
use crate::platform::launch::monotonic;
use crate::platform::limiter::Limiter;
use crate::platform::spawner::Spawner;
use crate::units::Gib;
use std::process::Stdio;

/// For so long the share is measured: a hundred rounds.
const WINDOW: Duration = Duration::from_secs(2);
/// The program is loaded by then, and what the spinners used before they were seen is paid for.
const SETTLE: Duration = Duration::from_secs(1);
/// A host that idles for a smaller share of its time has no core to spare.
const SPARE_MIN: f64 = 0.1;
/// A busy host gives less than was set. How often it may before that is taken for the limiter's doing.
const ATTEMPTS: usize = 6;

fn cpu_of(family: Family) -> Duration {
    family.members().into_iter().filter_map(cpu_clock).sum()
}

/// The host's ticks so far: those in which a core had nothing to do, and all.
fn host_ticks() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let numbers: Vec<f64> =
        stat.lines().next().unwrap().split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
    // User, nice, system, idle, waiting for input and output, interrupts, stolen; guests are counted under user.
    (numbers[3] + numbers[4], numbers[..8].iter().sum())
}

/// What so many spinners get of the cores that are set, and the share of its time in which the host idled.
async fn share(
    limiter: &Limiter,
    (launcher, spawner): (&std::path::Path, &Spawner),
    (cores, spinners): (f64, usize),
) -> (f64, f64) {
    let limits = limiter.limits("share", cores, Gib(0.25)).unwrap();
    let script = "while :; do :; done & ".repeat(spinners);
    let mut command = limits.launch(launcher);
    command.arg("--").args(["sh", "-c", &format!("{script} wait")]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    let mut child = spawner.spawn(command).await.unwrap();
    let family = Family::of(child.id().unwrap());
    limits.attach(family.leader());
    wait_until(|| family.members().len() > spinners).await;
    tokio::time::sleep(SETTLE).await;
    let (begun, used, (idle, all)) = (monotonic(), cpu_of(family), host_ticks());
    tokio::time::sleep(WINDOW).await;
    let (ended, after, (idle_after, all_after)) = (monotonic(), cpu_of(family), host_ticks());
    family.tell(crate::platform::family::Word::Kill);
    child.wait().await.unwrap();
    limits.remove().await;
    let share = after.saturating_sub(used).as_secs_f64() / ended.saturating_sub(begun).as_secs_f64();
    (share, (idle_after - idle) / (all_after - all))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limiter_gives_what_is_set_within_what_it_promises() {
    use std::io::Write as _;
    let directory = tempfile::tempdir().unwrap();
    let (launcher, spawner) = (launcher(directory.path()), Spawner::start().unwrap());
    let mut report = vec!["shares of CPU under each limiter:".to_owned()];
    for kind in LimiterKind::ALL.into_iter().filter(|kind| *kind != LimiterKind::None) {
        let choice = LimiterChoice::Only(kind);
        let (limiter, _) = match Limiter::probe(choice, (Some(&launcher), &spawner), 0.25, "shares").await {
            Ok(found) => found,
            Err(error) => {
                report.push(format!("SKIPPED {error}"));
                assert!(kind != LimiterKind::Sigstop, "signals need no privilege: {error}");
                continue;
            }
        };
        for (cores, spinners) in [(0.05, 1), (0.25, 1), (0.25, 2), (0.5, 1)] {
            let tolerance: f64 = if kind == LimiterKind::Sigstop { 0.15 * cores } else { (0.02 * cores).max(0.005) };
            let (mut got, mut idled) = (Vec::new(), 0.0);
            while got.len() < ATTEMPTS && got.last().is_none_or(|share| *share < cores - tolerance) {
                let (share, idle) = share(&limiter, (&launcher, &spawner), (cores, spinners)).await;
                assert!(share <= cores + tolerance, "{kind} let {share} through of {cores} with {spinners} spinners");
                got.push(share);
                idled = idle;
            }
            let last: f64 = *got.last().unwrap();
            // Where there was nothing to give, too little is no limiter's doing.
            let is_given = last >= cores - tolerance || idled < SPARE_MIN;
            assert!(is_given, "{kind} gave {got:?} of {cores} with {spinners} spinners");
            report.push(format!("{kind}: set {cores}, {spinners} spinners, got {got:.4?}"));
        }
        limiter.close();
    }
    writeln!(std::io::stderr(), "{}", report.join("\n  ")).unwrap();
}
