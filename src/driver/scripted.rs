//! Journeys that branch, repeat and follow redirects, and what is sent around the load, on real sockets: the books say
//! what happened.

use super::fixture::{assert_balance, drive_to, plan, server};
use super::{Options, Progress, drive};
use crate::trial::{Books, Recording};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

/// Starts a server that answers what `answer` gives for the head of each request, and keeps all heads.
async fn telling(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (String, Arc<Mutex<Vec<String>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (answer, kept) = (Arc::new(answer), Arc::clone(&heads));
    let base_url = server(move |mut stream| {
        let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
        async move {
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let text = answer(&head);
                kept.lock().unwrap().push(head);
                stream.write_all(text.as_bytes()).await?;
            }
        }
    })
    .await;
    (base_url, heads)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn found(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\nset-cookie: seen=1; Path=/\r\ncontent-length: 0\r\n\r\n")
}

/// Five arrivals of one journey with these steps.
fn five(steps: &str) -> crate::scenario::Plan {
    plan(&format!(
        "journeys:\n  - name: one\n    steps:\n{steps}
load: {{open: {{arrivals: constant, unit: arrivals_per_second}}}}
stages: [{{name: steady, hold: 20, duration: 250ms}}]"
    ))
}

fn books(recording: &Recording) -> Vec<(&str, Books, u64)> {
    recording.steps.iter().map(|step| (step.name.as_str(), step.books, step.skipped)).collect()
}

#[tokio::test]
async fn skipped_and_repeated_steps_are_in_the_books_as_they_came() {
    let (base_url, _) = telling(|head| {
        let stock = i32::from(!head.starts_with("GET /look"));
        ok(&format!("{{\"stock\": {stock}}}"))
    })
    .await;
    let plan = five(
        "      - {name: look, get: /look, extract: {stock: {json: $.stock}}}
      - {name: buy, get: /buy, if: '${stock} > 0'}
      - {name: poll, get: /poll, extract: {more: {json: $.stock}}, repeat: {until: '${more} == 1', at_most: 9}}
      - {name: again, get: /again, repeat: 3}",
    );
    let recording = drive_to(&plan, &base_url).await.unwrap();
    assert_balance(&recording);
    let done = |planned| Books { planned, completed: planned, ..Books::default() };
    let expected = [("look", done(5), 0), ("buy", done(0), 5), ("poll", done(5), 0), ("again", done(15), 0)];
    assert_eq!(books(&recording), expected);
    assert_eq!(recording.arrivals, done(5));
    assert_eq!(recording.requests_sent(), 25);
}

/// Five journeys of two steps without a pause: what they took beyond their answers is what judging the first ones cost.
#[tokio::test]
async fn what_judging_an_answer_costs_is_in_no_step_s_time() {
    // All of it is read for its last number, which takes longer than a tick of any clock.
    let (base_url, _) = telling(|_| ok(&format!("[{}0]", "1,".repeat(50_000)))).await;
    let plan = five("      - {name: read, get: /, extract: {last: {json: '$[50000]'}}}\n      - {name: next, get: /}");
    let recording = drive_to(&plan, &base_url).await.unwrap();
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    let answered: Duration = recording.steps.iter().map(|step| step.times.response_time.sum()).sum();
    let whole = recording.journeys[0].duration.sum();
    assert!(whole > answered, "the second step was due before the first answer was judged: {whole:?} {answered:?}");
}

#[tokio::test]
async fn a_failure_in_a_repeat_drops_what_was_planned_of_it_and_no_more() {
    let (base_url, _) = telling(|head| {
        if head.starts_with("GET /b") { "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".to_owned() } else { ok("") }
    })
    .await;
    let plan = five(
        "      - repeat: 4
        steps: [{name: a, get: /a}, {name: b, get: /b}, {name: c, get: /c}]
      - {name: d, get: /d}",
    );
    let recording = drive_to(&plan, &base_url).await.unwrap();
    assert_balance(&recording);
    let dropped = Books { planned: 5, dropped: 5, ..Books::default() };
    let expected = [
        ("a", Books { planned: 5, completed: 5, ..Books::default() }, 0),
        ("b", Books { planned: 5, failed: 5, ..Books::default() }, 0),
        ("c", dropped, 0),
        ("d", dropped, 0),
    ];
    assert_eq!(books(&recording), expected);
}

#[tokio::test]
async fn a_journey_whose_every_step_is_skipped_is_complete_and_sends_nothing() {
    let (base_url, heads) = telling(|_| ok("")).await;
    let plan = plan(
        "variables: {on: {constant: 0}}
journeys: [{name: one, steps: [{name: a, get: /, if: '${on} == 1'}]}]
load: {open: {arrivals: constant, unit: arrivals_per_second}}
stages: [{name: steady, hold: 20, duration: 250ms}]",
    );
    let recording = drive_to(&plan, &base_url).await.unwrap();
    assert_balance(&recording);
    assert_eq!(recording.arrivals, Books { planned: 5, completed: 5, ..Books::default() });
    assert_eq!(books(&recording), [("a", Books::default(), 5)]);
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn each_hop_of_a_redirect_is_a_request_and_the_step_is_one() {
    let (base_url, heads) = telling(|head| match head.split(' ').nth(1) {
        Some("/start") => found("/middle"),
        Some("/middle") => found("end"),
        Some("/away") => found("http://elsewhere.example/"),
        Some("/circle") => found("/circle"),
        _ => ok("there"),
    })
    .await;
    let plan = five(
        "      - {name: there, get: /start, follow_redirects: 2, expect: {status: [200], body: {contains: there}}}
      - {name: plain, get: /start, expect: {status: [302]}}",
    );
    let recording = drive_to(&plan, &base_url).await.unwrap();
    assert_balance(&recording);
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    assert_eq!((recording.requests_sent(), heads.lock().unwrap().len()), (20, 20), "what was sent is what was seen");
    assert_eq!(recording.steps[0].answers, [("200".to_owned(), 5), ("302".to_owned(), 10)].into());
    assert_eq!(recording.steps[0].times.response_time.count(), 5, "one response time for the whole way");
    assert!(
        heads.lock().unwrap().iter().filter(|head| head.starts_with("GET /end")).all(|head| head.contains("seen=1"))
    );

    for (path, cause) in [
        ("/away", "redirect not followed: its location is at another origin"),
        ("/circle", "redirect not followed: more of them than the step follows"),
    ] {
        let recording = drive_to(&five(&format!("      - {{name: a, get: {path}, follow_redirects: 3}}")), &base_url)
            .await
            .unwrap();
        assert_balance(&recording);
        let causes: Vec<&str> = recording.failures.iter().map(|failure| failure.cause.as_str()).collect();
        assert_eq!(causes, [cause]);
        assert_eq!(recording.failures[0].status, Some(302));
        assert_eq!(recording.requests_sent(), if path == "/away" { 5 } else { 20 });
    }
}

#[tokio::test]
async fn a_chain_of_redirects_shares_the_timeout_of_its_step() {
    let base_url = server(|mut stream| async move {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            // No single answer is late.
            tokio::time::sleep(Duration::from_millis(60)).await;
            stream.write_all(found("/on").as_bytes()).await?;
        }
    })
    .await;
    let plan = five("      - {name: a, get: /, follow_redirects: 20, timeout: 300ms}");
    let recording = drive_to(&plan, &base_url).await.unwrap();
    assert_balance(&recording);
    assert_eq!(recording.steps[0].books, Books { planned: 5, failed: 5, ..Books::default() });
    assert_eq!(recording.failures[0].cause, "no whole answer within the step's timeout");
    assert_eq!(recording.answers.get("timed out"), Some(&5));
    assert!(recording.answers.get("302").is_some_and(|hops| (5..=25).contains(hops)), "{:?}", recording.answers);
}

const AROUND: &str = "set_up: [{name: login, post: /login, extract: {key: {json: $.key}}}]
tear_down: [{name: logout, delete: '/sessions/${key}', follow_redirects: 1}, {name: last, get: /last}]
journeys: [{name: one, steps: [{name: a, get: /, think: 1ms}]}]";

#[tokio::test]
async fn tear_down_is_sent_after_the_load_even_when_it_was_stopped() {
    let (base_url, heads) =
        telling(|head| if head.starts_with("DELETE /sessions") { found("/gone") } else { ok("{\"key\": \"k1\"}") })
            .await;
    let long = plan(&format!("{AROUND}\nload: closed\nstages: [{{name: steady, hold: 2, duration: 1000s}}]"));
    let (stop, stopped) = watch::channel(false);
    let progress = watch::Sender::new(Progress::default());
    let mut told = progress.subscribe();
    let options = Options { base_url, drain: Duration::from_secs(5), ..Options::default() };
    let stopping = async {
        told.wait_for(|progress| progress.achieved_rate > 0.0).await.unwrap();
        stop.send(true).unwrap();
    };
    let (recording, ()) = tokio::join!(drive(&long, &options, progress.clone(), stopped), stopping);
    let recording = recording.unwrap();
    assert_balance(&recording);
    assert!(recording.interrupted && recording.warnings.is_empty(), "{:?}", recording.warnings);
    let heads = heads.lock().unwrap();
    let lasts: Vec<&str> = heads[heads.len() - 3..].iter().map(|head| head.lines().next().unwrap()).collect();
    assert_eq!(lasts, ["DELETE /sessions/k1 HTTP/1.1", "DELETE /gone HTTP/1.1", "GET /last HTTP/1.1"]);
    assert_eq!(recording.set_up_requests, 4);
    assert_eq!(recording.requests_sent(), heads.len() as u64);
}

#[tokio::test]
async fn a_tear_down_step_that_fails_is_a_warning_and_loses_nothing() {
    let (base_url, _) = telling(|head| {
        if head.starts_with("DELETE /sessions") {
            "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned()
        } else {
            ok("{\"key\": 1}")
        }
    })
    .await;
    let short = plan(&format!("{AROUND}\nload: closed\nstages: [{{name: steady, hold: 1, duration: 100ms}}]"));
    let recording = drive_to(&short, &base_url).await.unwrap();
    assert!(recording.arrivals.completed > 0 && !recording.interrupted);
    let [warning] = recording.warnings.as_slice() else { panic!("{:?}", recording.warnings) };
    assert!(warning.contains("\"logout\"") && warning.contains("500"), "{warning}");
    assert_eq!(recording.answers.get("500"), Some(&1));
}
