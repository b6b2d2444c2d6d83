//! What the driver costs: a plain GET over 64 connections in the closed model, and arrivals paced in the open model,
//! against a server on a thread of its own. Run it with `cargo bench --bench driver`; for figures worth quoting pin
//! the process to two cores and repeat it.
#![expect(clippy::print_stdout, reason = "the table is what a bench is for")]

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate::driver::{Options, Progress, drive};
use tidegate::scenario::{Plan, Scenario};
use tidegate::stats::Histogram;
use tidegate::trial::Recording;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// About as long as a product of the shop.
const BODY: &[u8] = br#"{"id":1,"name":"Sparkly Avocado","description":"An avocado that sparkles, for whoever needs one","price":"2.99","discount_percent":20,"inventory_count":500,"active":true,"image":"/media/avocado.png"}"#;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --benches` runs this too: there one short load shows that it works.
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let seconds = if measuring { 3 } else { 1 };
    let base_url = serve()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "load                          requests/s  driver CPU s/million  lateness us p50/p99  response us p50/p99"
    );
    let closed = "closed".to_owned();
    let open = "{open: {arrivals: constant, unit: requests_per_second, max_in_flight: 1000}}".to_owned();
    let mut loads = vec![("closed, 64 connections", closed, 64)];
    if measuring {
        loads.extend([1_000, 5_000, 10_000].map(|rate| ("open, constant", open.clone(), rate)));
    }
    for (name, load, level) in loads {
        let plan = plan(&load, level, seconds)?;
        let options = Options { base_url: base_url.clone(), drain: Duration::from_secs(1), ..Options::default() };
        let (_stop, stopped) = watch::channel(false);
        let progress = watch::Sender::new(Progress::default());
        let recording = runtime.block_on(drive(&plan, &options, progress, stopped))?;
        print(&format!("{name} {level}"), &recording);
    }
    Ok(())
}

/// Starts the server and gives its address. Its thread ends with the process.
fn serve() -> Result<String, Box<dyn Error>> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let answer = hyper::service::service_fn(|_| async {
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(BODY))))
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                tokio::spawn(connection);
            }
        });
    });
    Ok(base_url)
}

fn plan(load: &str, level: u32, seconds: u32) -> Result<Plan, Box<dyn Error>> {
    let text = format!(
        "name: bench
journeys: [{{name: one, steps: [{{name: get, get: /api/active/product/}}]}}]
load: {load}
stages: [{{name: steady, hold: {level}, duration: {seconds}s, warm_up: 500ms}}]"
    );
    let scenario = Scenario::from_yaml(Path::new("bench.yaml"), &text)?;
    Ok(Plan::new(Arc::new(scenario), 1, 1.0))
}

fn print(name: &str, recording: &Recording) {
    let sent = recording.requests_sent().max(1) as f64;
    let us = |histogram: &Histogram, q| histogram.quantile(q).as_micros();
    // The server shares the process, so its CPU is in the figure: compare runs, not tools, by it.
    println!(
        "{name:<29} {:>10.0}  {:>20.1}  {:>9}/{:>9}  {:>9}/{:>9}",
        sent / recording.duration_s,
        recording.driver_cpu_s / sent * 1e6,
        us(&recording.lateness, 0.5),
        us(&recording.lateness, 0.99),
        us(&recording.overall.response_time, 0.5),
        us(&recording.overall.response_time, 0.99),
    );
    for failure in &recording.failures {
        println!("    {} x {}", failure.count, failure.cause);
    }
    assert!(recording.arrivals.balance(), "{:?}", recording.arrivals);
}
