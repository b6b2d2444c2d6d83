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
/// A busy host gives less than was set. How often it may before that is taken for the limiter's doing.
const ATTEMPTS: usize = 6;

fn cpu_of(family: Family) -> Duration {
    family.members().into_iter().filter_map(cpu_clock).sum()
}

/// What so many spinners get of the cores that are set.
async fn share(
    limiter: &Limiter,
    (launcher, spawner): (&std::path::Path, &Spawner),
    cores: f64,
    spinners: usize,
) -> f64 {
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
    let (begun, used) = (monotonic(), cpu_of(family));
    tokio::time::sleep(WINDOW).await;
    let (ended, after) = (monotonic(), cpu_of(family));
    family.tell(crate::platform::family::Word::Kill);
    child.wait().await.unwrap();
    limits.remove().await;
    after.saturating_sub(used).as_secs_f64() / ended.saturating_sub(begun).as_secs_f64()
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
            let mut got = Vec::new();
            while got.len() < ATTEMPTS && got.last().is_none_or(|share| *share < cores - tolerance) {
                let share = share(&limiter, (&launcher, &spawner), cores, spinners).await;
                assert!(share <= cores + tolerance, "{kind} let {share} through of {cores} with {spinners} spinners");
                got.push(share);
            }
            let last = got.last().unwrap();
            assert!(*last >= cores - tolerance, "{kind} gave {got:?} of {cores} with {spinners} spinners");
            report.push(format!("{kind}: set {cores}, {spinners} spinners, got {got:.4?}"));
        }
        limiter.close();
    }
    writeln!(std::io::stderr(), "{}", report.join("\n  ")).unwrap();
}
