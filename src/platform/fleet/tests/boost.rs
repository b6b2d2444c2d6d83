//! More CPU while an instance starts, read from its cgroup.

use super::accounts::limited;
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_startup_boost_is_given_and_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    let long = Policy { startup_boost_tail: Duration::from_secs(20), ..Policy::cloud_run() };
    let fleet = limited(LimiterChoice::Auto, directory.path(), long).await;
    if !matches!(fleet.limiter_report().kind, LimiterKind::Cgroup1 | LimiterKind::Cgroup2) {
        skip_limits(&fleet.limiter_report().note);
        return fleet.shutdown().await;
    }
    fleet.create_revision(RevisionSpec { startup_cpu_boost: true, ..spec("shop-1", 4, 1) }).await.unwrap();
    let url = fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
    let pid = get_text(&format!("{url}/sleep/0")).await.1;
    let cores = || {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        quota_of(&groups).unwrap()
    };
    // One vCPU has the CPU of two: here 0.5 host cores, if nobody else has them.
    assert_eq!(cores(), 0.5);
    wait_until(|| cores() == 0.25).await;
    fleet.shutdown().await;
}

/// The share of CPU that a group of one of these hierarchies may use.
fn quota_of(groups: &str) -> Option<f64> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points: Vec<_> = mounts
        .lines()
        .filter(|mount| mount.contains(" - cgroup"))
        .filter_map(|mount| mount.split(' ').nth(4))
        .collect();
    groups.lines().filter(|line| line.contains("shop-1-1")).find_map(|line| {
        let group = line.rsplit(':').next()?;
        points.iter().find_map(|point| {
            let read = |file: &str| std::fs::read_to_string(format!("{point}{group}/{file}")).ok();
            let numbers = match read("cpu.max") {
                Some(both) => both,
                None => format!("{} {}", read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim()),
            };
            let (quota, period) = numbers.trim().split_once(' ')?;
            Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
        })
    })
}
