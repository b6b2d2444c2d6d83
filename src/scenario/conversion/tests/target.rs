//! Where a load goes, as the file says it: what it means, and what is told where it cannot be.

use super::super::super::{AddressOverride, Audience, Protocol, ProxyAddress, Scenario, Target};
use super::{BASE, parse, refusal};
use std::fs;
use std::time::Duration;

/// The base file with a target.
fn with(target: &str) -> String {
    BASE.replacen("slos:", &format!("target: {target}\nslos:"), 1)
}

fn refused(target: &str) -> String {
    refusal("slos:", &format!("target: {target}\nslos:"))
}

#[test]
fn a_target_means_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ca.pem", "client.pem", "client.key"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let text = with(
        "
  url: https://shop.example:8443/
  http: 1.1
  cacert: ca.pem
  cert: client.pem
  key: client.key
  insecure: true
  sni: other.example
  resolve: [shop.example:8443:127.0.0.1, 'Shop.example:80:[::1]']
  proxy: http://proxy:3128
  proxy_auth: me:file:word
  auth: bearer:env:TOKEN
  traceparent: false",
    );
    let read = Scenario::from_yaml(&folder.path().join("shop.yaml"), &text).unwrap_or_else(|error| panic!("{error}"));
    let at = |host: &str, port, address: &str| AddressOverride {
        host: host.to_owned(),
        port,
        address: address.parse().unwrap(),
    };
    let text = |text: &str| Some(text.to_owned());
    let expected = Target {
        url: text("https://shop.example:8443"),
        http: Some(Protocol::Http1),
        cacert: text("ca.pem"),
        identity: Some(("client.pem".to_owned(), "client.key".to_owned())),
        insecure: true,
        sni: text("other.example"),
        resolve: vec![at("shop.example", 8443, "127.0.0.1"), at("shop.example", 80, "::1")],
        proxy: Some(ProxyAddress { host: "proxy".to_owned(), port: 3128 }),
        proxy_auth: text("me:file:word"),
        auth: text("bearer:env:TOKEN"),
        google_id_token: None,
        traceparent: false,
    };
    assert_eq!(read.target, Some(expected));
    let saved = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&saved).unwrap(), read);

    let target = |text: &str| parse(&with(text)).target.unwrap();
    assert_eq!(target("{}"), Target { traceparent: true, ..Target::default() });
    assert_eq!(target("{http: 2}").http, Some(Protocol::Http2));
    assert_eq!(target("{http: auto}").http, Some(Protocol::Auto));
    let audience = |text: &str| target(&format!("{{google_id_token: {text}}}")).google_id_token;
    assert_eq!((audience("true"), audience("false")), (Some(Audience::Target), None));
    assert_eq!(audience("https://a.run.app"), Some(Audience::Named("https://a.run.app".to_owned())));
    assert_eq!(parse(BASE).target, None);
}

#[test]
fn headers_and_timeout_are_those_of_every_step_that_says_nothing_else() {
    let text = with("{headers: {X-Token: \"${mine}\", X-Run: a b}, timeout: 7s}");
    let scenario = parse(&text);
    let own = ("x-run".to_owned(), "a b".to_owned());
    // Not a template: it is escaped, and comes out as it was typed.
    let all = [own.clone(), ("x-token".to_owned(), "$${mine}".to_owned())];
    let [look, pay] = scenario.journeys[0].steps.as_slice() else { panic!("two steps") };
    assert_eq!((look.headers.as_slice(), look.timeout), (all.as_slice(), Duration::from_secs(7)));
    assert_eq!(pay.headers, [("x-token".to_owned(), "${token}".to_owned()), own], "the step's own wins");
    assert_eq!(pay.timeout, Duration::from_secs(5));
    for step in [&scenario.set_up[0], &scenario.observations[0].step] {
        assert_eq!((step.headers.as_slice(), step.timeout), (all.as_slice(), Duration::from_secs(7)), "{}", step.name);
    }
    assert_eq!(parse(BASE).journeys[0].steps[0].timeout, Duration::from_secs(30));
}

#[test]
fn targets_that_cannot_be_are_told() {
    insta::assert_snapshot!(refused("{url: shop.example}"), @r"
    shop.yaml:28:15: `shop.example` is not an address to send load to: it has no scheme

    hint: write it as http://host:port
    ");
    insta::assert_snapshot!(refused("{url: \"http://shop/api\", htp: 2}"), @r"
    shop.yaml:28:34: unknown key `htp`

    hint: did you mean `http`?
    ");
    insta::assert_snapshot!(refused("{http: 3}"), @r"
    shop.yaml:28:16: `3` is no version of HTTP

    hint: it is 1.1, 2 or auto
    ");
    insta::assert_snapshot!(refused("{cert: nowhere.pem, cacert: .}"), @r"
    shop.yaml:28:16: a client certificate and its key belong together, and `key` is missing

    hint: give both, in PEM: `cert: client.pem` and `key: client.key`

    shop.yaml:28:16: cannot read the file nowhere.pem: No such file or directory (os error 2)

    hint: a path goes from the folder of the scenario file

    shop.yaml:28:37: cannot read the file .: it is no file

    hint: a path goes from the folder of the scenario file
    ");
    insta::assert_snapshot!(refused("{key: Cargo.toml}"), @r"
    shop.yaml:28:15: a client certificate and its key belong together, and `cert` is missing

    hint: give both, in PEM: `cert: client.pem` and `key: client.key`
    ");
    insta::assert_snapshot!(refused("{sni: \"https://a\", resolve: [\"shop:443\"], proxy: \"https://p:1\"}"), @r"
    shop.yaml:28:15: `https://a` is no name of a server: invalid dns name

    hint: write a host without scheme and port, such as shop.example

    shop.yaml:28:38: `shop:443` is no place for a host and its port

    hint: write HOST:PORT:ADDR, such as shop.example:443:127.0.0.1

    shop.yaml:28:58: `https://p:1` is no proxy

    hint: the driver speaks http with a proxy, whatever it speaks with the target; write http://HOST:PORT
    ");
    insta::assert_snapshot!(refused("{auth: \"bearer:sesame\", google_id_token: true}"), @r"
    shop.yaml:28:16: `auth` and `google_id_token` stand together

    hint: keep one of `auth`, `google_id_token`

    shop.yaml:28:16: this cannot be used: it does not say where the secret is

    hint: write basic:USER:SOURCE or bearer:SOURCE, where SOURCE is env:NAME for a variable of the environment, or file:PATH: a secret is never in this file
    ");
    insta::assert_snapshot!(refused("{auth: sesame, proxy_auth: \"me:sesame\", google_id_token: \"\"}"), @r"
    shop.yaml:28:16: `auth` and `google_id_token` stand together

    hint: keep one of `auth`, `google_id_token`

    shop.yaml:28:16: this cannot be used: it names neither a user nor a bearer

    hint: write basic:USER:SOURCE or bearer:SOURCE, where SOURCE is env:NAME for a variable of the environment, or file:PATH: a secret is never in this file

    shop.yaml:28:36: `proxy_auth` is for a proxy, and there is none

    hint: name it: `proxy: http://proxy:3128`

    shop.yaml:28:36: this cannot be used: it does not say where the secret is

    hint: write USER:SOURCE, where SOURCE is env:NAME for a variable of the environment, or file:PATH: a secret is never in this file

    shop.yaml:28:66: this audience is empty

    hint: write `google_id_token: true` for the target's own address
    ");
    insta::assert_snapshot!(refused("{headers: {Authorization: Bearer sesame, Host: a, x-a: é, X-A: b, \"a b\": c, content-type: d}, timeout: 0s}"), @r"
    shop.yaml:28:35: the header `Authorization` holds a secret, and none belongs into this file

    hint: say who the load is by `auth`, which names a variable of the environment or a file

    shop.yaml:28:56: the header `Host` is set by tidegate itself

    hint: leave it out

    shop.yaml:28:64: the header `x-a` has a value that HTTP forbids

    hint: use ASCII on one line

    shop.yaml:28:64: the header `x-a` stands here twice

    hint: keep one of the two

    shop.yaml:28:82: `a b` cannot be the name of a header

    hint: use letters, digits and `-`

    shop.yaml:28:99: the header `content-type` belongs to a body

    hint: set it in the steps that have one

    shop.yaml:28:112: no answer comes in no time

    hint: give a timeout such as 30s, or leave it out
    ");
}
