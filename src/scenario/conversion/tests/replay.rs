//! Replays, sines, mixes and paces: what they mean, and what is told where they cannot be.

use super::super::super::{LoadModel, LogFormat, Scenario, StageKind};
use super::{BASE, refusal};
use std::fs;
use std::path::Path;
use std::time::Duration;

const STAGES: &str = "  - {name: normal, hold: 60, duration: 60s, warm_up: 20s}
  - {name: sale, ramp: {from: 60, to: 120}, duration: 30s}
";

/// The base file with its first stage replaced.
fn stage(written: &str) -> String {
    refusal("{name: normal, hold: 60, duration: 60s, warm_up: 20s}", written)
}

#[test]
fn sines_that_cannot_be_are_told() {
    insta::assert_snapshot!(stage("{name: normal, sine: {mean: 5, amplitude: 6, period: 1m}, duration: 1m}"), @r"
    shop.yaml:26:26: a swing of 6 around 5 would go below 0

    hint: give an amplitude between 0 and the mean
    ");
    insta::assert_snapshot!(stage("{name: normal, sine: {mean: -1, amplitude: 0, period: 1m}, duration: 1m}"), @r"
    shop.yaml:26:26: the level -1 ± 0 is out of range

    hint: give a mean of 0 or more, and with the amplitude at most 1000000
    ");
    insta::assert_snapshot!(stage("{name: normal, sine: {mean: 900000, amplitude: 200000, period: 1m}, duration: 1m}"), @r"
    shop.yaml:26:26: the level 900000 ± 200000 is out of range

    hint: give a mean of 0 or more, and with the amplitude at most 1000000
    ");
    insta::assert_snapshot!(stage("{name: normal, sine: {mean: 5, amplitude: .nan, period: 1m}, duration: 1m}"), @r"
    shop.yaml:26:26: the level 5 ± NaN is out of range

    hint: give a mean of 0 or more, and with the amplitude at most 1000000
    ");
    insta::assert_snapshot!(stage("{name: normal, sine: {mean: 5, amplitude: 1, period: 0s}, duration: 1m}"), @r"
    shop.yaml:26:58: a swing takes no time

    hint: give it a period, such as 24h
    ");
    insta::assert_snapshot!(stage("{name: normal, sine: {mean: 5, amplitude: 1, period: 1d}, duration: 1m}"), @r"
    shop.yaml:26:58: `1d` is not a duration

    hint: write a number with a unit: 800us, 170ms, 12s, 2m or 1h
    ");
    insta::assert_snapshot!(stage("{name: normal, sine: {mean: 5, amplitude: 1}, duration: 1m}"), @r"
    shop.yaml:26:36: beside this key the key `period` is missing

    hint: add `period: …`, or mend the indentation of the one that is there; scenarios/README.md describes it
    ");
    insta::assert_snapshot!(stage("{name: normal, sine: {mean: 5, amplitud: 1, period: 1m}, duration: 1m}"), @r"
    shop.yaml:26:36: unknown key `amplitud`

    hint: did you mean `amplitude`?
    ");
    insta::assert_snapshot!(stage("{name: normal, hold: 5, sine: {mean: 5, amplitude: 1, period: 1m}, duration: 1m}"), @r"
    shop.yaml:26:5: `hold` and `sine` stand together

    hint: keep one of `hold`, `ramp`, `sine`, `spike`
    ");
}

#[test]
fn mixes_that_cannot_be_are_told() {
    insta::assert_snapshot!(stage("{name: normal, hold: 5, duration: 1m, mix: {bui: 1}}"), @r"
    shop.yaml:26:54: there is no journey `bui`

    hint: did you mean `buy`?
    ");
    insta::assert_snapshot!(stage("{name: normal, hold: 5, duration: 1m, mix: {buy: -1}}"), @r"
    shop.yaml:26:54: the weight -1 is out of range

    hint: give a number of at least 0
    ");
    insta::assert_snapshot!(stage("{name: normal, hold: 5, duration: 1m, mix: {buy: 0}}"), @r"
    shop.yaml:26:48: no journey would come: every weight of this mix is 0

    hint: give one of them a weight above 0
    ");
    insta::assert_snapshot!(stage("{name: normal, hold: 5, duration: 1m, mix: {}}"), @r"
    shop.yaml:26:48: no journey would come: every weight of this mix is 0

    hint: give one of them a weight above 0
    ");
    insta::assert_snapshot!(stage("{name: normal, hold: 5, duration: 1m, mix: {buy: often}}"), @r"
    shop.yaml:26:54: this is not a number

    hint: write a number here; scenarios/README.md shows every key
    ");
}

#[test]
fn paces_that_cannot_be_are_told() {
    let load = "open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}";
    insta::assert_snapshot!(refusal(load, "paced: {every: 0s}"), @r"
    shop.yaml:24:18: a session every 0s is no pace

    hint: give at least 1ms, or write `load: closed` for sessions without a pause
    ");
    insta::assert_snapshot!(refusal(load, "paced: {every: soon}"), @r"
    shop.yaml:24:18: `soon` is not a duration

    hint: write a number with a unit: 800us, 170ms, 12s, 2m or 1h
    ");
    insta::assert_snapshot!(refusal(load, "paced: {}"), @r"
    shop.yaml:24:10: beside this key the key `every` is missing

    hint: add `every: …`, or mend the indentation of the one that is there; scenarios/README.md describes it
    ");
    insta::assert_snapshot!(refusal(load, "in_fligt"), @r"
    shop.yaml:24:3: unknown word `in_fligt`

    hint: did you mean `in_flight`?
    ");
    insta::assert_snapshot!(refusal(&format!("stages:\n{STAGES}"), ""), @r"
    shop.yaml:24:3: beside `load` the key `stages` is missing

    hint: add one, such as `- {name: normal, hold: 60, duration: 60s}`

    shop.yaml:32:20: there is no stage `normal`

    hint: there is none to choose from

    shop.yaml:32:31: there is no stage `sale`

    hint: there is none to choose from
    ");
}

/// A log of this name and text beside a scenario that replays it, with more said of the replay.
fn replayed(log: &str, more: &str) -> Result<Scenario, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("times.log"), log).unwrap();
    let load = format!("replay: {{file: times.log, {more}}}");
    let text = BASE
        .replace("open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}", &load)
        .replace(&format!("stages:\n{STAGES}"), "")
        .replace("shares: {normal: 0.9, sale: 0.1}", "shares: {replay: 1}");
    let loaded = Scenario::from_yaml(&dir.path().join("shop.yaml"), &text);
    loaded.map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn refused(log: &str, more: &str) -> String {
    replayed(log, more).unwrap_err()
}

#[test]
fn a_replay_is_one_stage_as_long_as_its_log() {
    let scenario = replayed("5\n7\n6.5\n", "format: csv, speed: 2, multiply: 4, warm_up: 500ms").unwrap();
    let [stage] = scenario.stages.as_slice() else { panic!("one stage") };
    assert_eq!((stage.kind, stage.name.as_str()), (StageKind::Replay, "replay"));
    assert_eq!((stage.duration, stage.warm_up), (Duration::from_millis(1500), Duration::from_millis(500)));
    assert_eq!((stage.from, stage.to), (8.0, 8.0));
    let LoadModel::Replay(replay) = &scenario.load else { panic!("a replay") };
    assert_eq!((replay.recorded, replay.skipped, replay.max_in_flight), (3, 0, 1000));
    assert_eq!(*replay.times.0, [0, 1_500_000_000, 2_000_000_000]);
    let common = "h - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1\n";
    let scenario = replayed(&format!("{common}?\n{common}"), "format: common, on_bad_line: skip").unwrap();
    let LoadModel::Replay(replay) = &scenario.load else { panic!("a replay") };
    assert_eq!((replay.format, replay.spread, replay.skipped), (LogFormat::Common, Duration::from_secs(1), 1));
}

#[test]
fn replays_that_cannot_be_are_told() {
    insta::assert_snapshot!(refused("1\ntwo\n3\nfour\n", "format: csv"), @r"
    shop.yaml:24:18: times.log:2:1: `two` is not a time: neither a plain number nor such as 2026-11-22T16:00:00.25Z (2 lines cannot be used)

    hint: mend the log (a compressed one wants unpacking), check `format`, or write `on_bad_line: skip` to leave such lines out
    ");
    insta::assert_snapshot!(refused("x\n", "format: common"), @r"
    shop.yaml:24:18: times.log:1:1: this line has no `[time]`

    hint: mend the log (a compressed one wants unpacking), check `format`, or write `on_bad_line: skip` to leave such lines out
    ");
    insta::assert_snapshot!(refused("one\ntwo\n", "format: csv, on_bad_line: skip"), @r"
    shop.yaml:24:18: the log times.log holds no arrival; 1 line cannot be used, the first is 2:1: `two` is not a time: neither a plain number nor such as 2026-11-22T16:00:00.25Z

    hint: check `file` and `format`
    ");
    insta::assert_snapshot!(refused("", "format: combined"), @r"
    shop.yaml:24:18: the log times.log holds no arrival

    hint: check `file` and `format`
    ");
    insta::assert_snapshot!(refused("{\"timestamp\": \"2026-11-22T16:00:00Z\"}", "format: cloud_logging"), @r"
    shop.yaml:24:18: the log times.log holds no arrival; 1 entry is no request (without `httpRequest`)

    hint: check `file` and `format`
    ");
    insta::assert_snapshot!(refused("a,time\n1,2\n", "format: csv, column: tme"), @r"
    shop.yaml:24:50: the log times.log has no column `tme`

    hint: did you mean `time`?
    ");
    insta::assert_snapshot!(refused("1\n", "format: csv, column: 0"), @r"
    shop.yaml:24:50: there is no column 0

    hint: the first column is number 1
    ");
    insta::assert_snapshot!(refused("1\n", "format: csv, unit: minutes"), @r"
    shop.yaml:24:48: unknown word `minutes`

    hint: choose among `ms`, `ns`, `s`, `us`
    ");
    insta::assert_snapshot!(refused("1\n", "format: jsonl"), @r"
    shop.yaml:24:37: unknown word `jsonl`

    hint: choose among `cloud_logging`, `combined`, `common`, `csv`
    ");
    insta::assert_snapshot!(refused("1\n", "format: csv, speed: 0"), @r"
    shop.yaml:24:49: `speed: 0` is out of range

    hint: give a number above 0 and at most 1000000, such as 2 or 0.5
    ");
    insta::assert_snapshot!(refused("1\n", "format: csv, multiply: -2, max_in_flight: 0"), @r"
    shop.yaml:24:52: `multiply: -2` is out of range

    hint: give a number above 0 and at most 1000000, such as 2 or 0.5

    shop.yaml:24:71: `max_in_flight: 0` lets no journey start

    hint: give at least 1, or leave it out for 1000
    ");
    insta::assert_snapshot!(refused("1\n2\n", "format: csv, warm_up: 1m"), @r"
    shop.yaml:24:51: nothing would be measured: the warm-up (1m) is not shorter than the replay (2.0 s)

    hint: shorten the warm_up
    ");
    insta::assert_snapshot!(refused("1\n1795363200\n", "format: csv"), @r"
    shop.yaml:24:18: the replay would take 498712 h

    hint: at most 1000 h: cut the log, look for a line of another year in it, or give a `speed`
    ");
    insta::assert_snapshot!(refused("1\n2\n", "format: csv, multiply: 1000000, speed: 3"), @r"
    shop.yaml:24:18: the replay would be 3000000 arrivals per second

    hint: at most 1000000: give a smaller `speed` or `multiply`
    ");
    let entry = "{\"timestamp\": \"2026-11-22T16:00:00Z\", \"httpRequest\": {}}";
    insta::assert_snapshot!(refused(entry, "format: cloud_logging, column: 2"), @r"
    shop.yaml:24:60: `column` speaks of columns, and this log has none

    hint: take it out, or write `format: csv`
    ");
}

#[test]
fn a_log_that_is_not_there_or_stages_beside_it_are_told() {
    let load = "open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}";
    let missing = refusal(load, "replay: {file: nowhere.log, format: csv}");
    insta::assert_snapshot!(missing, @r"
    shop.yaml:24:18: the log nowhere.log cannot be read: No such file or directory (os error 2)

    hint: give its path relative to the scenario file

    shop.yaml:26:3: a replay has no stages of its own: it is as long as its log

    hint: take `stages` out; what is not measured is said with `warm_up` under `replay`

    shop.yaml:35:20: there is no stage `normal`

    hint: there is only `replay`

    shop.yaml:35:31: there is no stage `sale`

    hint: there is only `replay`
    ");
    // A device is no log: reading it might never end.
    let device = refusal(load, "replay: {file: /dev/zero, format: csv}");
    assert!(device.contains("/dev/zero") && device.contains("it is not a file"), "{device}");
    let error = Scenario::load(Path::new("scenarios/replay.yaml")).map(|scenario| scenario.stages.len());
    assert_eq!(error.unwrap(), 1, "the committed replay is valid, seen from the repository");
}
