//! Where requests go, with real processes: never more than the limit, and a session back to its instance.

use super::{Fleet, Operate, one_under, spec, to};
use crate::autoscaler::{Policy, Routing};
use crate::platform::spec::{RevisionSpec, ServiceScaling};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An answer of `/count`.
pub(super) struct Counted {
    pub(super) pid: u32,
    /// Microseconds of the clock that all processes share.
    pub(super) begin: u64,
    pub(super) end: u64,
    /// The most requests its instance ever held at once.
    pub(super) most: u32,
}

impl Counted {
    pub(super) fn read(text: &str) -> Self {
        let numbers: Vec<u64> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        let [pid, begin, end, most] = numbers[..] else { panic!("{text}") };
        Self { pid: u32::try_from(pid).unwrap(), begin, end, most: u32::try_from(most).unwrap() }
    }
}

/// A fleet whose services are scaled by hand to two instances.
pub(super) async fn two_by_hand(policy: Policy, revision: RevisionSpec) -> (Fleet, String) {
    let (fleet, url) = one_under(policy, revision).await;
    let by_hand = ServiceScaling { manual_instances: Some(2), ..ServiceScaling::default() };
    fleet.scale("shop", by_hand).await;
    fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap();
    super::until(&fleet, |sample| sample.instances_idle == 2).await;
    (fleet, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_real_instance_ever_holds_one_more() {
    const LIMIT: u32 = 3;
    for (routing, seed) in
        [(Routing::LeastLoaded, 1), (Routing::RoundRobin, 2), (Routing::TwoChoices, 3), (Routing::FillFirst, 4)]
    {
        let policy = Policy { routing: Some(routing), pending_min: Duration::from_hours(1), ..Policy::cloud_run() };
        let fleet = super::fleet(policy, None).await;
        fleet.create_revision(RevisionSpec { session_affinity: true, ..spec("shop-1", LIMIT, 4) }).await.unwrap();
        let url = fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut clients = tokio::task::JoinSet::new();
        // Half of the twenty clients come back with their cookie.
        for number in 0..20 {
            let pauses: Vec<(u64, u64)> =
                (0..40).map(|_| (rng.random_range(0..4), rng.random_range(0..6000))).collect();
            let url = url.clone();
            clients.spawn(async move {
                let client = reqwest::Client::new();
                let (mut answers, mut cookie) = (Vec::new(), None::<String>);
                for (pause_ms, us) in pauses {
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                    let mut request = client.get(format!("{url}/count/{us}"));
                    if let Some(cookie) = cookie.as_ref().filter(|_| number % 2 == 0) {
                        request = request.header("cookie", cookie);
                    }
                    let answer = request.send().await.unwrap().error_for_status().unwrap();
                    cookie = answer.headers().get("set-cookie").map(|it| it.to_str().unwrap().to_owned()).or(cookie);
                    answers.push(Counted::read(&answer.text().await.unwrap()));
                }
                answers
            });
        }
        // Meanwhile the number of instances is changed by hand.
        for count in [3, 1, 4, 2, 1] {
            let scaling = ServiceScaling { manual_instances: Some(count), ..ServiceScaling::default() };
            fleet.scale("shop", scaling).await;
            fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        let answers: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
        assert_eq!(answers.len(), 800);
        let most = answers.iter().map(|answer| answer.most).max();
        assert_eq!(most, Some(LIMIT), "{routing}: full, and never more");
        // What the instances say is held against their own times too: at no instant do more than the limit overlap.
        let mut events = BTreeMap::<u32, Vec<(u64, i32)>>::new();
        for answer in &answers {
            events.entry(answer.pid).or_default().extend([(answer.begin, 1), (answer.end, -1)]);
        }
        for times in events.values_mut() {
            times.sort_unstable();
            let mut held = 0;
            for (_, change) in times {
                held += *change;
                assert!(held <= i32::try_from(LIMIT).unwrap(), "{routing}");
            }
        }
        let sample = fleet.sample().await.remove(0);
        assert_eq!(sample.requests, BTreeMap::from([(200, 800)]), "{routing}: every request is accounted for");
        fleet.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_back_to_its_instance_while_that_has_room() {
    let revision = RevisionSpec { session_affinity: true, ..spec("shop-1", 1, 2) };
    let (fleet, url) = two_by_hand(Policy::cloud_run(), revision).await;
    let client = reqwest::Client::new();
    let ask = async |path: &str, cookie: Option<&str>| {
        let request = client.get(format!("{url}{path}"));
        let request = cookie.into_iter().fold(request, |request, cookie| request.header("cookie", cookie));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let set = answer.headers().get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
        (answer.text().await.unwrap(), set)
    };
    // Somebody holds the older instance: a new client is sent to the younger one, and told by a cookie.
    let slow = tokio::spawn(client.get(format!("{url}/sleep/400")).send());
    super::until(&fleet, |sample| sample.instances_active == 1).await;
    let (young, set) = ask("/sleep/0", None).await;
    let set = set.unwrap();
    assert!(set.starts_with("GAESA=") && set.contains("; Max-Age=2592000; Path=/"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let old = slow.await.unwrap().unwrap().text().await.unwrap();
    assert_ne!(old, young);
    // Both are idle: without the cookie the older one serves, with it the younger one, and no cookie is set again.
    assert_eq!(ask("/sleep/0", None).await.0, old);
    for _ in 0..5 {
        assert_eq!(ask("/sleep/0", Some(&format!("theme=dark; {cookie}"))).await, (young.clone(), None));
    }
    // The session's instance is full: another one serves and takes the session over.
    let held = tokio::spawn(client.get(format!("{url}/sleep/400")).header("cookie", cookie.clone()).send());
    super::until(&fleet, |sample| sample.instances_active == 1).await;
    let (other, moved) = ask("/sleep/0", Some(&cookie)).await;
    assert_eq!(other, old);
    assert_ne!(moved.unwrap().split(';').next().unwrap(), cookie);
    assert_eq!(held.await.unwrap().unwrap().text().await.unwrap(), young);
    // A cookie of nobody here leads anywhere.
    assert_eq!(ask("/sleep/0", Some("GAESA=ffffffffffffffff0000000000000001")).await.0, old);
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_session_affinity_no_cookie_is_set() {
    let (fleet, url) = one_under(Policy::cloud_run(), spec("shop-1", 1, 2)).await;
    let answer = reqwest::get(url).await.unwrap();
    assert!(answer.headers().get("set-cookie").is_none());
    fleet.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_routed_as_chosen() {
    for (routing, expected) in [(Routing::FillFirst, 1), (Routing::LeastLoaded, 2), (Routing::RoundRobin, 2)] {
        let policy = Policy { routing: Some(routing), ..Policy::cloud_run() };
        let (fleet, url) = two_by_hand(policy, spec("shop-1", 4, 2)).await;
        // Four at once fit into one instance.
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let url = format!("{url}/sleep/300");
            requests.spawn(async move { super::get_text(&url).await.1 });
        }
        let pids: BTreeSet<_> = requests.join_all().await.into_iter().collect();
        assert_eq!(pids.len(), expected, "{routing}");
        fleet.shutdown().await;
    }
}
