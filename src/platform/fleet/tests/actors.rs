//! Whom the tests start: this binary again, in another role. None of them is a test; each returns at once when it is
//! not started by one.

use super::{get_text, spec, to};
use crate::autoscaler::Policy;
use crate::platform::grpc_probe::tests::health;
use crate::platform::{CpuIdle, Fleet, FleetOptions, LimiterChoice, Operate};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What an instance runs when a test starts this binary again.
#[tokio::test]
#[ignore = "the instance of the other tests"]
#[expect(clippy::exit, reason = "it plays a program that dies")]
async fn serve_as_instance() {
    static IN_FLIGHT: AtomicU32 = AtomicU32::new(0);
    static MOST: AtomicU32 = AtomicU32::new(0);
    let (Ok(_), Ok(port)) = (std::env::var("K_REVISION"), std::env::var("PORT")) else { return };
    let port: u16 = port.parse().unwrap();
    if let Ok(words) = std::env::var("LAST_WORDS") {
        eprintln!("{words}");
        std::process::exit(3);
    }
    let is_there = |name: &str| std::env::var(name).is_ok_and(|path| std::path::Path::new(&path).exists());
    if is_there("CRASH_WHILE") {
        std::process::exit(4);
    }
    if std::env::var("NEVER_LISTEN").is_ok() {
        return std::future::pending().await;
    }
    if std::env::var("BACKGROUND").is_ok() {
        std::thread::spawn(tick);
    }
    if std::env::var("GARBAGE").is_ok() {
        return answer_garbage(port).await;
    }
    let router = Router::new()
        .route("/", get(|| async { std::env::var("K_REVISION").unwrap() }))
        .route("/env", get(environment))
        .route(
            "/sleep/{ms}",
            get(|Path(ms): Path<u64>| async move {
                MOST.fetch_max(IN_FLIGHT.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(ms)).await;
                IN_FLIGHT.fetch_sub(1, Ordering::SeqCst);
                std::process::id().to_string()
            }),
        )
        .route(
            "/serve/{us}",
            get(|Path(us): Path<u64>| async move {
                let begin = monotonic_us();
                tokio::time::sleep(Duration::from_micros(us)).await;
                format!("{begin} {}", monotonic_us())
            }),
        )
        .route("/count/{us}", get(count))
        .route("/held", get(held))
        .route("/ticks", get(|| async { format!("{} {}", std::process::id(), TICKS.load(Ordering::SeqCst)) }))
        .route("/eat/{mib}", get(|Path(mib): Path<usize>| async move { eat(mib) }))
        .route("/child", get(|| async { child() }))
        .route("/hang", get(|| async { std::thread::sleep(Duration::from_hours(1)) }))
        .route("/most", get(|| async { MOST.load(Ordering::SeqCst).to_string() }))
        .route("/headers", get(|headers: HeaderMap| async move { format!("{headers:?}") }))
        .route("/echo", post(|body: Body| async move { body }))
        .route("/peer", get(|ConnectInfo(peer): ConnectInfo<std::net::SocketAddr>| async move { peer.to_string() }))
        .route("/bye", get(|| async { ([("connection", "close")], "bye") }))
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
        .route("/die", get(|| async { std::process::exit(9) as StatusCode }))
        .merge(super::sizes::routes());
    // It serves as long as the file is not there that `SICK_WHILE` names.
    let router = router.merge(health(move || if is_there("SICK_WHILE") { 2 } else { 1 }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let told = async move {
        term.recv().await.unwrap();
        if std::env::var("IGNORE_TERM").is_ok() {
            std::future::pending::<()>().await;
        }
    };
    axum::serve(listener, service).with_graceful_shutdown(told).await.unwrap();
}

async fn environment() -> String {
    std::env::vars().map(|(name, _)| name + "\n").collect()
}

/// Counts what is done in the background.
static TICKS: AtomicU32 = AtomicU32::new(0);

fn tick() {
    loop {
        TICKS.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Takes so much memory, every page of it.
fn eat(mib: usize) -> String {
    let taken: Vec<Vec<u8>> = (0..mib).map(|number| vec![u8::try_from(number % 250).unwrap() + 1; 1 << 20]).collect();
    std::hint::black_box(taken).len().to_string()
}

/// Starts a child that does not end with this process; its process id. The kernel hangs up on processes that stand still
/// when their group loses the last parent outside: this one does not listen to that.
fn child() -> String {
    let child = tokio::process::Command::new("nohup").args(["sleep", "1000"]).spawn().unwrap();
    let pid = child.id().unwrap();
    // Until `nohup` has become the other program it does listen.
    let is_sleep = || std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep");
    while cfg!(target_os = "linux") && !is_sleep() {
        std::thread::sleep(Duration::from_millis(1));
    }
    pid.to_string()
}

/// Microseconds of the clock that all processes of this host share.
pub(super) fn monotonic_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000 + u64::try_from(time.tv_nsec).unwrap() / 1000
}

/// Holds the request for so many microseconds; tells its process, when it began and ended, and the most requests that
/// were ever held at once here, itself included.
async fn count(Path(us): Path<u64>) -> String {
    static HELD: AtomicU32 = AtomicU32::new(0);
    static MOST: AtomicU32 = AtomicU32::new(0);
    let begin = monotonic_us();
    MOST.fetch_max(HELD.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_micros(us)).await;
    HELD.fetch_sub(1, Ordering::SeqCst);
    format!("{} {begin} {} {}", std::process::id(), monotonic_us(), MOST.load(Ordering::SeqCst))
}

/// Answers when the file is there that `RELEASED` names. Until then a line in the file beside it says that it holds one.
async fn held() {
    use std::io::Write;
    let released = std::env::var("RELEASED").unwrap();
    let mut begun = std::fs::File::options().create(true).append(true).open(format!("{released}.begun")).unwrap();
    begun.write_all(b"one\n").unwrap();
    while !std::path::Path::new(&released).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Speaks, but not HTTP.
async fn answer_garbage(port: u16) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                stream.write_all(b"220 mail.example ready\r\n\r\n").await.unwrap();
            }
        });
    }
}

/// What a launcher runs when a test starts this binary through a script.
#[test]
#[ignore = "the launcher of the other tests"]
fn launch_from_environment() {
    let Ok(args) = std::env::var("LAUNCH_ARGS") else { return };
    crate::platform::launch::run(args.lines().map(std::ffi::OsString::from)).unwrap();
}

/// A program that understands `launch …` as the tidegate binary does. Below one core of quota (version 2 of cgroups tells
/// it) the test runner would have a single thread, and then it prints the test's name before what the test prints, in one
/// line.
pub(super) fn launcher(directory: &std::path::Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join("launcher");
    let binary = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nshift\nLAUNCH_ARGS=\"$(printf '%s\\n' \"$@\")\" exec '{}' \
         platform::fleet::tests::actors::launch_from_environment --exact --ignored --nocapture \
         --test-threads=2\n",
        binary.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A platform that is killed by the test that starts it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the platform of another test"]
async fn platform_to_be_killed() {
    let Ok(directory) = std::env::var("PLATFORM_DIRECTORY").map(PathBuf::from) else { return };
    let options = FleetOptions {
        policy: Policy::cloud_run(),
        time_factor: 1.0,
        host_cores_per_vcpu: 0.25,
        limiter: LimiterChoice::Auto,
        cpu_idle: CpuIdle::Frozen,
        launcher: Some(launcher(&directory)),
        logs_dir: Some(directory.clone()),
    };
    let fleet = Fleet::start(options).await.unwrap();
    fleet.create_revision(spec("shop-1", 4, 2)).await.unwrap();
    let url = fleet.route("shop", &[to("shop-1", 100, None)]).await.unwrap().service;
    let pid = get_text(&format!("{url}/sleep/0")).await.1;
    let child = get_text(&format!("{url}/child")).await.1;
    std::fs::write(directory.join("pid.part"), format!("{pid} {child}")).unwrap();
    std::fs::rename(directory.join("pid.part"), directory.join("pid")).unwrap();
    std::future::pending::<()>().await;
}
