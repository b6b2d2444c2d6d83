//! What the platform's ingress adds to a request, beside nginx as a reverse proxy: one core for the proxy, one for server
//! and generator, rounds in which each way takes its turn, medians over the rounds. Generator and server are those of the
//! bench `peers`. `NGINX` says where nginx is, if not on the path; without it that way is left out and named.
//!
//! `cargo bench --bench ingress`; `-- 9 4` makes nine rounds with loads of four seconds.
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

#[path = "../peers/generator.rs"]
mod generator;
mod nginx;
#[path = "../peers/pin.rs"]
mod pin;
mod platform;
#[path = "../peers/server.rs"]
mod server;
mod tables;
mod way;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let measuring = arguments.iter().any(|argument| argument == "--bench");
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    match words.as_slice() {
        ["serve"] => server::serve(false),
        ["platform"] => platform::run(),
        ["drive", client, load, base_url, seconds] => generator::drive(client, load, base_url, seconds.parse()?),
        [rounds, seconds] => tables::compare(rounds.parse()?, seconds.parse()?),
        [] if measuring => tables::compare(9, 4),
        // `cargo test --benches` runs this too: there one short round shows that it works.
        [] => tables::compare(1, 1),
        _ => Err("usage: ingress [ROUNDS SECONDS]".into()),
    }
}
