//! That nothing accumulates: neither processes, cgroups, files, threads nor memory, however often a service is changed and
//! however many instances it has had.
//!
//! By default a few changes and instances; `TIDEGATE_LEAKS=full` makes a thousand changes and starts a hundred instances
//! (some minutes).

use super::*;
use crate::platform::family::{Family, memory_of};

/// What a platform and its process hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    children: usize,
    threads: usize,
    descriptors: usize,
    groups: usize,
    files: usize,
    memory_kib: u64,
}

fn count(place: &str) -> usize {
    std::fs::read_dir(place).unwrap().count()
}

fn held(fleet: &Fleet) -> Held {
    let own = std::process::id();
    let name = owner::name_of_this_process("");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|mount| mount.contains(" - cgroup")).filter_map(|mount| mount.split(' ').nth(4));
    let own_groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let groups = points.map(|point| {
        let here =
            own_groups.lines().filter_map(|line| line.rsplit(':').next()).collect::<std::collections::BTreeSet<_>>();
        let of_place = |path: &str| {
            let entries = std::fs::read_dir(format!("{point}{path}")).into_iter().flatten().flatten();
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name)).count()
        };
        here.into_iter().map(of_place).sum::<usize>()
    });
    Held {
        children: Family::of(own).members().len() - 1,
        threads: count("/proc/self/task"),
        // The listing itself holds one.
        descriptors: count("/proc/self/fd") - 1,
        groups: groups.sum(),
        files: count(&fleet.shared.host.premises.dir().to_string_lossy()),
        memory_kib: memory_of(&[own]) >> 10,
    }
}

/// Waits until as many processes are left.
async fn until_left(fleet: &Fleet, children: usize) -> Held {
    wait_until(|| held(fleet).children == children).await;
    // A group goes a moment after its last process.
    tokio::time::sleep(Duration::from_millis(300)).await;
    held(fleet)
}

/// Plays the platform in a process of its own: what other tests hold is not counted.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the platform of another test"]
async fn changes_and_instances() {
    let Ok((changes, instances)) = std::env::var("LEAKS_OF").map(|both| {
        let (changes, instances) = both.split_once(' ').unwrap();
        (changes.parse::<u32>().unwrap(), instances.parse::<u32>().unwrap())
    }) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let options = |limiter| FleetOptions {
        policy: Policy::cloud_run(),
        time_factor: 10.0,
        host_cores_per_vcpu: 0.5,
        limiter,
        cpu_idle: CpuIdle::Frozen,
        launcher: Some(launcher(directory.path())),
        logs_dir: None,
    };
    let fleet = Fleet::start(options(LimiterChoice::Auto)).await.unwrap();
    let change = async |number: u32| {
        let name = format!("shop-{number}");
        fleet.create_revision(spec(&name, 4, 1)).await.unwrap();
        let url = fleet.route("shop", &[to(&name, 100, None)]).await.unwrap().service;
        assert_eq!(get_text(&url).await, (200, name));
        fleet.sample().await;
    };
    let warm = 10;
    for number in 0..warm {
        change(number).await;
    }
    let before = until_left(&fleet, 1).await;
    for number in warm..warm + changes {
        change(number).await;
    }
    let after = until_left(&fleet, 1).await;
    println!("{changes} changes of revision: {before:?} -> {after:?}");
    let same = |held: Held| (held.children, held.threads, held.groups, held.files);
    assert_eq!(same(before), same(after));
    assert!(after.descriptors <= before.descriptors + 4, "{before:?} {after:?}");
    // The revisions stay known until somebody deletes them: one may be routed to again. Each keeps some 6 KiB; the rest is the
    // allocator's.
    assert!(after.memory_kib <= before.memory_kib + 12 * u64::from(changes) + 8192, "{before:?} {after:?}");
    fleet.shutdown().await;

    let fleet = Fleet::start(options(LimiterChoice::Only(LimiterKind::None))).await.unwrap();
    let before = held(&fleet);
    let many = RevisionSpec { min_instances: instances, max_instances: instances, ..spec("shop-1", 1, 1) };
    fleet.create_revision(many).await.unwrap();
    let url = fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
    until(&fleet, |sample| sample.instances_idle == u64::from(instances)).await;
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..instances {
        let url = format!("{url}/sleep/1000");
        requests.spawn(async move { get_text(&url).await });
    }
    let answers = requests.join_all().await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
    let full = held(&fleet);
    assert_eq!(full.children, instances as usize);
    fleet.delete_service("shop").await;
    let after = until_left(&fleet, 0).await;
    println!("{instances} instances: {before:?} -> {full:?} -> {after:?}");
    let same = |held: Held| (held.children, held.groups, held.files);
    assert_eq!(same(before), same(after));
    // Blocking threads of the runtime and connections of this test's client go later.
    assert!(after.descriptors <= before.descriptors + 8, "{before:?} {after:?}");
    let dir = fleet.shared.host.premises.dir().to_owned();
    fleet.shutdown().await;
    assert!(!dir.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_revision_and_many_instances_leave_nothing_behind() {
    use std::io::Write as _;
    let full = std::env::var("TIDEGATE_LEAKS").is_ok_and(|word| word == "full");
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["platform::fleet::tests::leaks::changes_and_instances", "--exact", "--ignored", "--nocapture"])
        .env("LEAKS_OF", if full { "1000 100" } else { "15 12" })
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}{}", String::from_utf8_lossy(&output.stderr));
    let figures: Vec<_> = words.lines().filter(|line| line.contains("->")).collect();
    assert_eq!(figures.len(), 2, "{words}");
    writeln!(std::io::stderr(), "{}", figures.join("\n")).unwrap();
}

#[tokio::test]
async fn a_revision_that_is_deleted_is_let_go_of() {
    let fleet = fleet(Policy::cloud_run(), None).await;
    let forgotten = Arc::downgrade(&fleet.add(spec("shop-1", 1, 1)).unwrap());
    fleet.delete_revision("shop", "shop-1").await;
    // It is told once more.
    fleet.sample().await;
    // Whoever observed it wakes, and lets it go.
    wait_until(|| forgotten.strong_count() == 0).await;
    assert!(lock(&fleet.shared.revisions).is_empty());
    fleet.shutdown().await;
}
