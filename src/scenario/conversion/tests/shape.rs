//! Files of the wrong shape, and variables that are not there.

use super::refusal;

#[test]
fn a_file_of_the_wrong_shape_is_told() {
    insta::assert_snapshot!(refusal("duration: 60s, ", ""), @r"
    shop.yaml:26:30: beside this key the key `duration` is missing

    hint: add `duration: …`, or mend the indentation of the one that is there; scenarios/README.md describes it
    ");
    insta::assert_snapshot!(refusal("status: [200]}\n", "status: [70000]}\n"), @r"
    shop.yaml:20:27: this is not a whole number from 0 to 65535

    hint: write a whole number from 0 to 65535 here; scenarios/README.md shows every key
    ");
    insta::assert_snapshot!(refusal("think: 100ms", "thnik: 100ms"), @r"
    shop.yaml:14:9: unknown key `thnik`

    hint: did you mean `think`?
    ");
    insta::assert_snapshot!(refusal("arrivals: poisson", "arrivals: poison"), @r"
    shop.yaml:24:20: unknown word `poison`

    hint: did you mean `poisson`?
    ");
    insta::assert_snapshot!(refusal("open: {arrivals: poisson, unit: requests_per_second, max_in_flight: 50}", "opened: {}"), @r"
    shop.yaml:24:3: unknown word `opened`

    hint: did you mean `open`?
    ");
    insta::assert_snapshot!(refusal("extract: {token: {json: $.csrfToken}}", "extract: {token: {jsonpath: $.csrfToken}}"), @r"
    shop.yaml:13:27: unknown key `jsonpath`

    hint: did you mean `json`?
    ");
    insta::assert_snapshot!(refusal("hold: 60", "hold: sixty"), @r"
    shop.yaml:26:26: this is not a number

    hint: write a number here; scenarios/README.md shows every key
    ");
    insta::assert_snapshot!(refusal("blocks: 2", "blocks: -2"), @r"
    shop.yaml:45:11: this is not a whole number from 0 to 4294967295

    hint: write a whole number from 0 to 4294967295 here; scenarios/README.md shows every key
    ");
    insta::assert_snapshot!(refusal("blocks: 2", "blocks: [2]"), @r"
    shop.yaml:45:11: this is not a single value

    hint: write a single value here; scenarios/README.md shows every key
    ");
    insta::assert_snapshot!(refusal("expect: {status: [200]}", "expect: 200"), @r"
    shop.yaml:20:17: this is not a mapping of keys to values

    hint: write a mapping of keys to values here; scenarios/README.md shows every key
    ");
    insta::assert_snapshot!(refusal("candidates: [1, 8, 80]", "candidates: 8"), @r"
    shop.yaml:44:15: this is not a list

    hint: write a list here; scenarios/README.md shows every key
    ");
    insta::assert_snapshot!(refusal("name: base\n", ""), @r"
    shop.yaml:42:1: beside this key the key `name` is missing

    hint: add `name: …`, or mend the indentation of the one that is there; scenarios/README.md describes it
    ");
    insta::assert_snapshot!(refusal("weight: 2", "weight: 2\n    weight: 3"), @r"
    shop.yaml:10:5: the key `weight` stands here twice

    hint: keep one of the two
    ");
    insta::assert_snapshot!(refusal("warm_up: 20s}", "warm_up: 20s]"), @r"
    shop.yaml:26:5: mismatched bracket '{' closed by ']'

    hint: a value with `{`, `[`, `#` or `: ` in it wants quotes; scenarios/README.md shows every key
    ");
    insta::assert_snapshot!(refusal("    weight: 2", "\tweight: 2"), @r"
    shop.yaml:8:11: while scanning a plain scalar, found a tab

    hint: YAML is indented by spaces, never by tabs: look here and at the lines below
    ");
    insta::assert_snapshot!(refusal("        get: /products/${product}/", "       get: /products/${product}/"), @r"
    shop.yaml:12:8: while parsing a block collection, did not find expected '-' indicator

    hint: look at the indentation, here and above: what belongs together begins in the same column
    ");
    insta::assert_snapshot!(refusal("name: base", "name: *base"), @r"
    shop.yaml:1:7: this alias has no anchor

    hint: write `&name` where the value first stands
    ");
}

#[test]
fn unknown_and_untimely_variables_are_told() {
    insta::assert_snapshot!(refusal("get: /products/${product}/", "get: /products/${prodct}/"), @r"
    shop.yaml:12:14: unknown variable `${prodct}`

    hint: did you mean `product`?
    ");
    insta::assert_snapshot!(refusal("[{id: \"${product}\"}]", "[{id: \"${pruduct}\"}]"), @r"
    shop.yaml:19:24: unknown variable `${pruduct}`

    hint: did you mean `product`?
    ");
    insta::assert_snapshot!(refusal("get: /products/${product}/", "get: /products/${token}/"), @r"
    shop.yaml:12:14: the variable `${token}` has no value here

    hint: no earlier step of the journey extracts it: move the step that does before this one
    ");
    insta::assert_snapshot!(refusal("?shop=${shop}", "?shop=${product}"), @r"
    shop.yaml:6:28: the variable `${product}` has no value here

    hint: it is drawn anew for each journey; here use a `constant`
    ");
    insta::assert_snapshot!(refusal("get: /products/, ", "get: \"/products/${product}\", "), @r"
    shop.yaml:30:24: the variable `${product}` has no value here

    hint: it is drawn anew for each journey; here use a `constant`
    ");
    insta::assert_snapshot!(refusal("get: /products/${product}/", "get: /products/${product/"), @r"
    shop.yaml:12:14: `${product/` is not a variable in a template

    hint: write ${name}; a literal ${ is written $${
    ");
    insta::assert_snapshot!(refusal("token: {json", "shop: {json"), @r"
    shop.yaml:13:25: `shop` is a variable already

    hint: extract under another name, or remove it from `variables`

    shop.yaml:17:28: unknown variable `${token}`

    hint: choose among `base_url`, `product`, `shop`
    ");
    insta::assert_snapshot!(refusal("  shop: {constant", "  base_url: {constant"), @r"
    shop.yaml:4:13: `base_url` is always there: the address of the target

    hint: choose another name

    shop.yaml:6:28: unknown variable `${shop}`

    hint: there is only `base_url`
    ");
    insta::assert_snapshot!(refusal("shop: {constant: avocano}", "shop: {integer: {from: 3, to: 1}}"), @r"
    shop.yaml:4:9: `shop` has no whole number from 3 to 1

    hint: write the smaller one as `from`

    shop.yaml:6:28: the variable `${shop}` has no value here

    hint: it is drawn anew for each journey; here use a `constant`
    ");
    insta::assert_snapshot!(refusal("{choice: [1, 2]}", "{choice: []}"), @r"
    shop.yaml:3:12: `product` has nothing to choose from

    hint: give at least one value
    ");
    insta::assert_snapshot!(refusal("{choice: [1, 2]}", "{weighted: [{value: 1, weight: -1}]}"), @r"
    shop.yaml:3:12: the weights of `product` choose nothing

    hint: give weights of at least 0, one of them above 0
    ");
}
