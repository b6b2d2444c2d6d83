//! `tidegate doctor` on this machine, whatever it is: it ends in time, and what it finds hangs together.

mod tidegate;

use serde_json::Value;
use tidegate::{repository, tidegate, told};

#[test]
fn the_doctor_finds_what_this_machine_can_honestly_send() {
    let (code, output, error) =
        told(&tidegate(&repository("")).args(["doctor", "--quick", "--json"]).output().unwrap());
    let report: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output} {error}"));
    assert!(report["verdict"].as_str().unwrap().starts_with("This machine can"), "{output}");
    assert_eq!(code, Some(if report["trusted"] == true { 0 } else { 5 }), "{output}");
    let found = &report["found"];
    assert!(found["machine"]["cores"].as_u64().unwrap() >= 1);
    let tried = found["search"].as_array().unwrap();
    assert!((1..=8).contains(&tried.len()), "{tried:?}");
    let kept = |tried: &&Value| tried["kept"] == true;
    let best = tried.iter().filter(kept).map(|tried| tried["offered"].as_f64().unwrap()).fold(0.0, f64::max);
    match found["honest_rate_max"].as_f64() {
        Some(rate) => {
            assert_eq!(rate, best, "{output}");
            let first = &found["law"]["quantiles"][0];
            let [exact, recorded] = ["exact_ms", "recorded_ms"].map(|key| first[key].as_f64().unwrap());
            // The server's law is a lower bound; the host may add what it likes.
            assert!((exact - 55.0).abs() < 1e-6 && recorded > 54.0, "{output}");
            assert_eq!(found["lateness"].as_array().unwrap().len(), 3);
        }
        // A machine that is busy with other tests may keep no rate at all, and then says so.
        None => assert_eq!((&report["trusted"], best), (&Value::Bool(false), 0.0), "{output}"),
    }
}

#[test]
fn a_file_that_takes_no_findings_is_told_before_the_minute_that_they_take() {
    let (code, _, error) =
        told(&tidegate(&repository("")).args(["doctor", "--json", "missing/found.json"]).output().unwrap());
    assert!(code == Some(1) && error.starts_with("error: failed to write missing/found.json: "), "{error}");
}
