//! Journeys and steps that cannot be.

use super::refusal;

#[test]
fn steps_that_cannot_be_are_told() {
    insta::assert_snapshot!(refusal("name: pay\n        ", ""), @r"
    shop.yaml:15:9: this step has no `name`

    hint: add `name: …`: a step is reported by its name

    shop.yaml:27:21: `pay.p99 < 300ms` speaks of a step `pay`, which no journey has

    hint: there is only `look`
    ");
    insta::assert_snapshot!(refusal("post: /pay", "path: /pay"), @r"
    shop.yaml:16:9: unknown key `path`

    hint: did you mean `patch`?
    ");
    insta::assert_snapshot!(refusal("post: /pay\n", "post: /pay\n        get: /pay\n"), @r"
    shop.yaml:15:9: `get` and `post` stand together

    hint: keep one of `delete`, `get`, `head`, `patch`, `post`, `put`
    ");
    insta::assert_snapshot!(refusal("        post: /pay\n", ""), @r"
    shop.yaml:15:9: one of `delete`, `get`, `head`, `patch`, `post`, `put` is missing

    hint: add the one you mean
    ");
    insta::assert_snapshot!(refusal("post: /pay", "post: http://shop/pay"), @r"
    shop.yaml:16:15: the path `http://shop/pay` does not start with `/`

    hint: give the path only, such as /api/products/; the target's address comes from elsewhere
    ");
    insta::assert_snapshot!(refusal("name: pay", "name: look"), @r"
    shop.yaml:15:15: a second step of the journey is named `look`

    hint: give it another name; the first is on line 11

    shop.yaml:28:21: `pay.p99 < 300ms` speaks of a step `pay`, which no journey has

    hint: there is only `look`
    ");
    insta::assert_snapshot!(refusal("name: pay", "name: pay now"), @r"
    shop.yaml:15:15: `pay now` cannot be the name of a step of the journey

    hint: use letters, digits, `_` and `-`

    shop.yaml:28:21: `pay.p99 < 300ms` speaks of a step `pay`, which no journey has

    hint: did you mean `pay now`?
    ");
    insta::assert_snapshot!(refusal("weight: 2", "weight: 0"), @r"
    shop.yaml:9:13: journey `buy` cannot have the weight 0

    hint: give a number above 0, or leave the journey out
    ");
    insta::assert_snapshot!(refusal("status: [200]}\n", "status: [99]}\n"), @r"
    shop.yaml:20:27: no answer has the status 99

    hint: give statuses from 200 to 599
    ");
    insta::assert_snapshot!(refusal("100ms to 300ms", "a while"), @r"
    shop.yaml:14:16: `a while` is not a think time

    hint: write `200ms`, `100ms to 300ms` (uniform) or `exponential 200ms`
    ");
    insta::assert_snapshot!(refusal("100ms to 300ms", "300ms to 100ms"), @r"
    shop.yaml:14:16: `300ms to 100ms` ends before it starts

    hint: write the shorter duration first
    ");
    insta::assert_snapshot!(refusal("timeout: 5s", "timeout: 0s"), @r"
    shop.yaml:22:18: no answer comes in no time

    hint: give a timeout such as 30s, or leave it out
    ");
}

#[test]
fn headers_paths_and_counters_that_cannot_be_are_told() {
    insta::assert_snapshot!(refusal("X-Token:", "Host:"), @r"
    shop.yaml:17:25: the header `Host` is set by tidegate itself

    hint: leave it out
    ");
    insta::assert_snapshot!(refusal("$.csrfToken", "csrfToken"), @r"
    shop.yaml:13:33: `csrfToken` is not a JSONPath: character 0: parser error

    hint: RFC 9535 describes them; examples are $.token and $.items[*].id
    ");
    insta::assert_snapshot!(refusal("add: \"$.items[*].count\"", "add: some"), @r"
    shop.yaml:21:29: `some` adds nothing to `sold`

    hint: write a whole number, or a JSONPath such as $.items[*].quantity

    shop.yaml:32:15: there is no counter `sold`

    hint: there is none to choose from
    ");
    insta::assert_snapshot!(refusal("json: {inventory_count: 9}", "count: {sold: {add: 1}}"), @r"
    shop.yaml:6:71: a set-up step counts nothing: it is not part of the load

    hint: leave `count` out
    ");
    insta::assert_snapshot!(refusal("counter: sold", "counter: sild"), @r"
    shop.yaml:32:15: there is no counter `sild`

    hint: did you mean `sold`?
    ");
    insta::assert_snapshot!(refusal("falls: stock", "falls: shelf"), @r"
    shop.yaml:32:28: there is no observation `shelf`

    hint: there is only `stock`
    ");
}
