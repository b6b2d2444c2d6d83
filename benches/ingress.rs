//! What the ingress adds: time per request on one connection, and requests per second on several, through the platform
//! and directly to the same instance. Bounded: a few seconds of load on the loopback.
//!
//! `cargo bench --bench ingress`. The numbers are of the machine and of its load; nothing is asserted.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;
use tidegate::autoscaler::Policy;
use tidegate::platform::{CpuIdle, Fleet, FleetOptions, LimiterChoice, LimiterKind, Operate, RevisionSpec, Route};
use tidegate::scenario::Billing;
use tidegate::units::{Gib, Vcpu};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

type Failure = Box<dyn Error + Send + Sync>;

/// Set for the process that plays the instance.
const INSTANCE: &str = "TIDEGATE_BENCH_INSTANCE";
const REQUESTS: usize = 5_000;
const CONNECTIONS: usize = 16;
const RATE_TIME: Duration = Duration::from_secs(2);

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    if std::env::var_os(INSTANCE).is_some() { runtime.block_on(serve()) } else { runtime.block_on(measure()) }
}

/// The instance: answers two bytes.
async fn serve() -> Result<(), Failure> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
                let text = if request.uri().path() == "/port" { std::env::var("PORT") } else { Ok("ok".to_owned()) };
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text.unwrap_or_default()))))
            });
            // How a connection ends is the client's business.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn measure() -> Result<(), Failure> {
    let options = FleetOptions {
        policy: Policy::cloud_run(),
        time_factor: 1.0,
        host_cores_per_vcpu: 1.0,
        limiter: LimiterChoice::Only(LimiterKind::None),
            cpu_idle: CpuIdle::Frozen,
        launcher: None,
        logs_dir: None,
    };
    let fleet = Fleet::start(options).await?;
    let spec = RevisionSpec {
        service: "bench".to_owned(),
        revision: "bench-1".to_owned(),
        max_concurrency: 1000,
        vcpu: Vcpu(1.0),
        memory: Gib(0.5),
        min_instances: 0,
        max_instances: 1,
        billing: Billing::Request,
        command: vec![std::env::current_exe()?.to_string_lossy().into_owned()],
        env: BTreeMap::from([(INSTANCE.to_owned(), "1".to_owned())]),
        request_timeout: Duration::from_mins(5),
    };
    fleet.create_revision(spec).await?;
    let route = Route { revision: "bench-1".to_owned(), percent: 100, tag: None };
    let addresses = fleet.route("bench", &[route]).await?;
    let ingress = addresses.service.trim_start_matches("http://").to_owned();
    let mut sender = connect(&ingress).await?;
    let direct = format!("127.0.0.1:{}", get(&mut sender, "/port").await?);
    println!("{:<8} {:>10} {:>10} {:>14}", "", "p50 us", "p99 us", "requests/s");
    for (name, address) in [("direct", &direct), ("ingress", &ingress)] {
        let (p50, p99) = round_trips(address).await?;
        println!("{name:<8} {p50:>10} {p99:>10} {:>14.0}", rate(address).await?);
    }
    fleet.shutdown().await;
    Ok(())
}

type Sender = hyper::client::conn::http1::SendRequest<Empty<Bytes>>;

async fn connect(address: &str) -> Result<Sender, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn get(sender: &mut Sender, path: &str) -> Result<String, Failure> {
    sender.ready().await?;
    let request = Request::get(path).header("host", "bench").body(Empty::new())?;
    let body = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

/// Microseconds of a request on one connection, one after the other: p50 and p99.
async fn round_trips(address: &str) -> Result<(u128, u128), Failure> {
    let mut sender = connect(address).await?;
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let before = Instant::now();
        get(&mut sender, "/").await?;
        times.push(before.elapsed().as_micros());
    }
    times.sort_unstable();
    Ok((times[REQUESTS / 2], times[REQUESTS * 99 / 100]))
}

/// Requests per second on several connections.
async fn rate(address: &str) -> Result<f64, Failure> {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut sender = connect(address).await?;
        clients.spawn(async move {
            let (start, mut count) = (Instant::now(), 0_u32);
            while start.elapsed() < RATE_TIME {
                get(&mut sender, "/").await?;
                count += 1;
            }
            Ok::<_, Failure>(count)
        });
    }
    let mut total = 0;
    while let Some(count) = clients.join_next().await {
        total += count??;
    }
    Ok(f64::from(total) / RATE_TIME.as_secs_f64())
}
