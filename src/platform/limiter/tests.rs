//! The self-test against launchers that only claim to have spun.

use super::*;

#[test]
fn the_share_is_read_from_the_line_of_two_numbers() {
    assert_eq!(share("\nrunning 1 test\n75000 300000\nok\n"), Some(0.25));
    assert_eq!(share("nothing"), None);
    assert_eq!(share("1 0"), None);
}

#[tokio::test]
async fn without_a_launcher_auto_is_openly_unlimited_and_an_explicit_choice_is_an_error() {
    let spawner = Spawner::start().unwrap();
    let (limiter, report) = Limiter::probe(LimiterChoice::Auto, (None, &spawner), 0.05, "1").await.unwrap();
    assert!(!limiter.is_limiting());
    assert_eq!(report.kind, LimiterKind::None);
    assert!(report.note.contains("cgroup1: there is no launcher"), "{}", report.note);
    let error =
        Limiter::probe(LimiterChoice::Only(LimiterKind::Cgroup1), (None, &spawner), 0.05, "1").await.unwrap_err();
    assert!(error.to_string().contains("--limiter none"), "{error}");
    let (_, asked) = Limiter::probe(LimiterChoice::Only(LimiterKind::None), (None, &spawner), 2.0, "1").await.unwrap();
    assert!(asked.note.contains("as asked for"), "{}", asked.note);
    for report in [report, asked.clone()] {
        assert!(report.note.contains("none is ended for its memory"), "{}", report.note);
    }
    assert_eq!(asked.set_cores, 1.0);
}

/// Offers a version 2 whose control files are plain files: whoever joins its groups is not limited at all.
fn pretended(own: &Path) -> Hierarchies {
    std::fs::write(own.join("cgroup.controllers"), "cpu memory\n").unwrap();
    std::fs::write(own.join("cgroup.subtree_control"), "cpu memory\n").unwrap();
    Hierarchies { v2: Some(own.to_owned()), ..Hierarchies::default() }
}

/// A launcher that prints these numbers of microseconds, CPU and wall, one line at each call; its last line again when
/// there is none left.
fn claiming(directory: &Path, lines: &[&str]) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let (path, claims) = (directory.join("launcher"), directory.join("claims"));
    std::fs::write(&claims, lines.join("\n") + "\n").unwrap();
    let claims = claims.display();
    let script =
        format!("#!/bin/sh\nhead -n 1 '{claims}'\n[ $(wc -l < '{claims}') -gt 1 ] && sed -i 1d '{claims}'\n:\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn tested(lines: &[&str]) -> Result<f64, String> {
    let directory = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let launcher = claiming(directory.path(), lines);
    let found = pretended(directory.path());
    let attempted = attempt(LimiterKind::Cgroup2, &found, (Some(&launcher), &spawner), (0.05, "1")).await;
    attempted.map(|(_, measured)| measured)
}

#[tokio::test]
async fn a_limiter_that_lets_through_a_tenth_more_than_was_set_is_refused() {
    for claim in ["33060 600000", "60000 600000", "600000 600000"] {
        let reason = tested(&[claim]).await.unwrap_err();
        assert!(reason.contains("does not hold") && reason.contains("a limit of 0.05 cores"), "{reason}");
    }
    assert_eq!(tested(&["32940 600000"]).await, Ok(0.0549));
}

#[tokio::test]
async fn a_moment_of_chance_is_tested_again_and_the_nearest_share_counts() {
    assert_eq!(tested(&["60000 600000", "30600 600000", "600000 600000"]).await, Ok(0.051));
    assert_eq!(tested(&["12000 600000", "24000 600000", "18000 600000"]).await, Ok(0.04));
    assert!(remark(0.04, 0.05).contains("busy"));
    assert_eq!(remark(0.046, 0.05), "");
    let reason = tested(&["60000 600000", "36000 600000", "48000 600000"]).await.unwrap_err();
    assert!(reason.contains("0.0600"), "{reason}");
}

#[test]
fn small_shares_are_spun_longer() {
    assert_eq!(spin_time(1.0), Duration::from_millis(300));
    assert_eq!(spin_time(0.05), Duration::from_millis(600));
    assert_eq!(spin_time(0.01), Duration::from_secs(3));
    assert_eq!(spin_time(0.001), Duration::from_secs(3));
}
