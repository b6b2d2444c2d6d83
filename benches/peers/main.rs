//! The driver beside its peers: one core for the generator, one for a server of canned answers, strictly paired rounds,
//! medians. `cargo bench --profile dist --bench peers -- get`, `journey`, `open` and `users` print one table each; a peer that is not
//! found is left out and named. With `get awake` and `journey awake` the server never sleeps. `WRK`, `WRK2`, `OHA`, `K6`
//! and `LOCUST` say where they are, if not on the path.
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

mod control;
mod generator;
mod pin;
mod process;
mod server;
mod tables;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve"] => server::serve(false),
        ["serve", "awake"] => server::serve(true),
        ["drive", client, load, base_url, seconds] => generator::drive(client, load, base_url, seconds.parse()?),
        ["control", rate, seconds] => control::run(rate.parse()?, seconds.parse()?),
        ["get", server @ ..] => tables::get(server, 10, 3),
        ["journey", server @ ..] => tables::journey(server, 10, 4),
        ["open"] => tables::open(20, 5),
        ["users"] => tables::users(15),
        // `cargo test --benches` runs this too: there one short round shows that it works.
        [] => tables::get(&[], 1, 1),
        _ => Err("usage: peers [get [awake] | journey [awake] | open | users]".into()),
    }
}
