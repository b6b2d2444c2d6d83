//! A server of canned answers on one thread, so that the generator is the bottleneck. It finds the end of each request,
//! answers by its path, and counts; it checks nothing.

use std::error::Error;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// About as long as a product of the shop.
const PRODUCT: &str = r#"{"id":1,"name":"Sparkly Avocado","description":"An avocado that sparkles, for whoever needs one","price":"2.99","discount_percent":20,"inventory_count":500,"active":true,"image":"/media/avocado.png"}"#;

/// An answer as the bytes that are sent.
fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

struct Answers {
    product: Vec<u8>,
    list: Vec<u8>,
    token: Vec<u8>,
    cart: Vec<u8>,
    order: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let list: Vec<String> = (1..=5).map(|id| PRODUCT.replacen("\"id\":1", &format!("\"id\":{id}"), 1)).collect();
        Self {
            product: answer("200 OK", "", PRODUCT),
            list: answer("200 OK", "", &format!("[{}]", list.join(","))),
            token: answer("200 OK", "set-cookie: csrftoken=abc123; Path=/\r\n", r#"{"csrf_token":"abc123"}"#),
            cart: answer("200 OK", "", r#"{"cart":42,"items":1,"total":"2.99"}"#),
            order: answer("201 Created", "", r#"{"order":1001,"status":"accepted"}"#),
        }
    }

    fn to(&self, request: &[u8]) -> &[u8] {
        match request {
            [b'G', b'E', b'T', b' ', b'/', b'p', ..] => &self.list,
            [b'G', b'E', b'T', b' ', b'/', b't', ..] => &self.token,
            [b'P', b'O', b'S', b'T', b' ', b'/', b'c', ..] => &self.cart,
            [b'P', b'O', b'S', b'T', b' ', b'/', b'o', ..] => &self.order,
            _ => &self.product,
        }
    }
}

/// When requests came, since the first; bounded.
#[derive(Default)]
struct Log {
    times: Mutex<Vec<Instant>>,
}

const LOGGED_MAX: usize = 2_000_000;

/// How long a server that stays awake waits between two looks at its sockets.
const BETWEEN_LOOKS: Duration = Duration::from_micros(15);

impl Log {
    fn enter(&self) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        if times.len() < LOGGED_MAX {
            times.push(Instant::now());
        }
    }

    /// How far the arrivals were from an even schedule of `rate` per second, in microseconds: p50 and p99, after the first
    /// second. The schedule is the earliest that no arrival is before.
    fn deviation(&self, rate: f64) -> String {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let times = std::mem::take(&mut *times);
        let Some(first) = times.first().copied() else { return "[0, 0, 0]".to_owned() };
        let offsets: Vec<f64> = times
            .iter()
            .enumerate()
            .map(|(index, time)| (*time - first).as_secs_f64() - index as f64 / rate)
            .skip(times.len() / 5)
            .collect();
        let earliest = offsets.iter().copied().fold(f64::INFINITY, f64::min);
        let mut late: Vec<f64> = offsets.iter().map(|offset| (offset - earliest) * 1e6).collect();
        late.sort_by(f64::total_cmp);
        let at = |percent: usize| late.get(late.len() * percent / 100).copied().unwrap_or_default();
        format!("[{}, {:.1}, {:.1}]", times.len(), at(50), at(99))
    }
}

/// Serves on the port in `PORT`, as an instance does, or on a free one, which is told on standard output; until the
/// process is ended. One that stays `awake` asks its sockets without end: on one host, the kernel charges the waking of
/// a server that sleeps to whoever sends to it, up to a tenth of a cheap generator's time, which is not the generator's.
pub(super) fn serve(awake: bool) -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::var("PORT").unwrap_or("0".to_owned()).parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if awake {
            tokio::spawn(async {
                loop {
                    // A moment, so that what comes is taken in batches: asking without a pause would cost more than answering.
                    let asked = Instant::now();
                    while asked.elapsed() < BETWEEN_LOOKS {
                        std::hint::spin_loop();
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let listener: TcpListener = socket.listen(16_384)?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        let (answers, log) = (Arc::new(Answers::new()), Arc::new(Log::default()));
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(converse(stream, Arc::clone(&answers), Arc::clone(&log)));
        }
    })
}

async fn converse(mut stream: TcpStream, answers: Arc<Answers>, log: Arc<Log>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::with_capacity(2048);
    while stream.read_buf(&mut unread).await? > 0 {
        let mut from = 0;
        while let Some(length) = request_length(&unread[from..]) {
            let request = &unread[from..from + length];
            if let Some(rate) = request.strip_prefix(b"GET /deviation/").and_then(number) {
                stream.write_all(&answer("200 OK", "", &log.deviation(rate))).await?;
            } else {
                if request.starts_with(b"GET /logged") {
                    log.enter();
                }
                stream.write_all(answers.to(request)).await?;
            }
            from += length;
        }
        unread.drain(..from);
    }
    Ok(())
}

/// How long the request at the front is, when it is whole.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    if bytes[0] == b'G' {
        return Some(head);
    }
    let text = std::str::from_utf8(&bytes[..head]).ok()?.to_ascii_lowercase();
    let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
    let whole = head + length.and_then(|length| length.trim().parse::<usize>().ok()).unwrap_or(0);
    (bytes.len() >= whole).then_some(whole)
}

fn number(bytes: &[u8]) -> Option<f64> {
    std::str::from_utf8(bytes).ok()?.split(' ').next()?.parse().ok()
}
