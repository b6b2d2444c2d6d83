//! Promises and loads that cannot be.

use super::refusal;

#[test]
fn impossible_promises_are_told() {
    insta::assert_snapshot!(refusal("p95 < 170ms", "p101 < 170ms"), @r"
    shop.yaml:28:8: `p101 < 170ms` is impossible: there is no percentile 101

    hint: a percentile lies between 0 and 100, both excluded, such as p95 or p99.9
    ");
    insta::assert_snapshot!(refusal("p95 < 170ms", "p0 < 170ms"), @r"
    shop.yaml:28:8: `p0 < 170ms` is impossible: there is no percentile 0

    hint: a percentile lies between 0 and 100, both excluded, such as p95 or p99.9
    ");
    insta::assert_snapshot!(refusal("p95 < 170ms", "p95 < 0ms"), @r"
    shop.yaml:28:8: `p95 < 0ms` is impossible: no answer takes less than no time

    hint: give the time an answer may take, such as 170ms
    ");
    insta::assert_snapshot!(refusal("p95 < 170ms", "p95 < 170"), @r"
    shop.yaml:28:8: `170` is not a duration

    hint: write a number with a unit: 800us, 170ms, 12s, 2m or 1h
    ");
    insta::assert_snapshot!(refusal("p95 < 170ms", "p95 <= 170ms"), @r"
    shop.yaml:28:8: `p95 <= 170ms` is not a promise

    hint: write `<` instead of `<=`
    ");
    insta::assert_snapshot!(refusal("p95 < 170ms", "p95 > 170ms"), @r"
    shop.yaml:28:8: `p95 > 170ms` is not a promise: it has no `<`

    hint: write `p95 < 170ms`, `checkout.p99 < 300ms`, `mean < 100ms` or `error_rate < 0.5%`
    ");
    insta::assert_snapshot!(refusal("p95 < 170ms", "latency < 170ms"), @r"
    shop.yaml:28:8: `latency` is nothing a promise can bound

    hint: write `p95 < 170ms`, `checkout.p99 < 300ms`, `mean < 100ms` or `error_rate < 0.5%`
    ");
    insta::assert_snapshot!(refusal("error_rate < 0.5%", "error_rate < 0%"), @r"
    shop.yaml:28:38: `error_rate < 0%` is impossible: no share of requests is below 0 %

    hint: give the share that may fail, such as 0.5%; `error_rate < 0.0001%` means none
    ");
    insta::assert_snapshot!(refusal("error_rate < 0.5%", "error_rate < -1%"), @r"
    shop.yaml:28:38: `error_rate < -1%` is impossible: no share of requests is below 0 %

    hint: give the share that may fail, such as 0.5%; `error_rate < 0.0001%` means none
    ");
    insta::assert_snapshot!(refusal("error_rate < 0.5%", "error_rate < 101%"), @r"
    shop.yaml:28:38: `error_rate < 101%` promises nothing: no share of requests is above 100 %

    hint: give the share that may fail, such as 0.5%
    ");
    insta::assert_snapshot!(refusal("error_rate < 0.5%", "error_rate < 0.005"), @r"
    shop.yaml:28:38: `0.005` is not a share of requests

    hint: write it in percent, such as `error_rate < 0.5%`
    ");
    insta::assert_snapshot!(refusal("pay.p99", "pya.p99"), @r"
    shop.yaml:28:21: `pya.p99 < 300ms` speaks of a step `pya`, which no journey has

    hint: did you mean `pay`?
    ");
}

#[test]
fn loads_that_cannot_be_are_told() {
    insta::assert_snapshot!(refusal("name: base", "name: My Shop"), @r"
    shop.yaml:1:7: `My Shop` cannot be the name of a scenario

    hint: use lower-case letters, digits and hyphens, starting with a letter, at most 40
    ");
    insta::assert_snapshot!(refusal("duration: 60s", "duration: 60"), @r"
    shop.yaml:26:40: `60` is not a duration

    hint: write a number with a unit: 800us, 170ms, 12s, 2m or 1h
    ");
    insta::assert_snapshot!(refusal("warm_up: 20s", "warm_up: 61s"), @r"
    shop.yaml:26:54: the warm-up of stage `normal` (61s) is longer than the stage (60s)

    hint: lengthen the stage, or shorten its warm_up
    ");
    insta::assert_snapshot!(refusal("hold: 60", "hold: -1"), @r"
    shop.yaml:26:26: the level -1 is out of range

    hint: give 0 to 1000000
    ");
    insta::assert_snapshot!(refusal("{name: normal, hold: 60, duration: 60s, warm_up: 20s}\n  - {name: sale, ramp: {from: 60, to: 120}, duration: 30s}", "{name: normal, hold: -1, duration: 60s, warm_up: 20s}"), @r"
    shop.yaml:26:26: the level -1 is out of range

    hint: give 0 to 1000000

    shop.yaml:34:31: there is no stage `sale`

    hint: there is only `normal`
    ");
    insta::assert_snapshot!(refusal("hold: 60, ", ""), @r"
    shop.yaml:26:5: one of `hold`, `ramp`, `sine`, `spike` is missing

    hint: add the one you mean
    ");
    insta::assert_snapshot!(refusal("name: sale, ramp", "name: normal, ramp"), @r"
    shop.yaml:27:12: a second stage is named `normal`

    hint: give it another name; the first is on line 26

    shop.yaml:35:31: there is no stage `sale`

    hint: there is only `normal`
    ");
    insta::assert_snapshot!(refusal("max_in_flight: 50", "max_in_flight: 0"), @r"
    shop.yaml:24:71: `max_in_flight: 0` lets no journey start

    hint: give at least 1, or leave it out for 1000
    ");
    insta::assert_snapshot!(refusal("open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}", "closed: {virtual_users: 3}"), @r"
    shop.yaml:24:11: this word takes no more keys

    hint: write it alone, with nothing behind its colon; scenarios/README.md shows every key
    ");
    insta::assert_snapshot!(refusal("  open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}\nstages:\n  - {name: normal, hold: 60", "  closed:\nstages:\n  - {name: normal, hold: 1.5"), @r"
    shop.yaml:26:26: there are no 1.5 virtual users

    hint: give a whole number
    ");
    insta::assert_snapshot!(refusal("{name: normal, hold: 60, duration: 60s, warm_up: 20s}\n  - {name: sale, ramp: {from: 60, to: 120}, duration: 30s}", "{name: normal, hold: 60, duration: 60s, warm_up: 60s}"), @r"
    shop.yaml:26:3: nothing would be measured: every stage is without load or is warm-up as a whole

    hint: give a stage a level above 0 and a duration longer than its warm_up

    shop.yaml:34:31: there is no stage `sale`

    hint: there is only `normal`
    ");
    insta::assert_snapshot!(refusal("sale: 0.1", "sale: 0.2"), @r"
    shop.yaml:35:11: the shares sum to 1.1, not to 1

    hint: every request of the month comes under the conditions of one stage: let the shares sum to 1
    ");
    insta::assert_snapshot!(refusal("sale: 0.1", "slae: 0.1"), @r"
    shop.yaml:35:31: there is no stage `slae`

    hint: did you mean `sale`?
    ");
    insta::assert_snapshot!(refusal("requests_per_month: 1000000", "requests_per_month: 0"), @r"
    shop.yaml:34:23: 0 requests cannot make a month

    hint: give the number of requests of a month, such as 50000000
    ");
}
