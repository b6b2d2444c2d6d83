//! The way through an HTTP proxy: a tunnel that it opens to the target, asked for by CONNECT on every new connection.

use super::outcome::{Outcome, Unanswered};
use super::target_options::Proxy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes that a proxy's answer may take before it is given up.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What asks a proxy for a tunnel.
pub(super) struct Tunnel {
    request: Vec<u8>,
    with_credentials: bool,
}

impl Tunnel {
    /// A tunnel to `authority`, a host and port.
    pub(super) fn new(proxy: &Proxy, authority: &str) -> Self {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n");
        if let Some((user, password)) = &proxy.user {
            let credentials = STANDARD.encode(format!("{user}:{}", password.text()));
            request.push_str("proxy-authorization: Basic ");
            request.push_str(&credentials);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        Self { request: request.into_bytes(), with_credentials: proxy.user.is_some() }
    }

    /// Asks for the tunnel on a connection to the proxy; what follows on it is between the driver and the target.
    pub(super) async fn open(&self, stream: &mut TcpStream) -> Result<(), Unanswered> {
        let broken = |error: std::io::Error| refused(format!("the proxy closed the connection: {}", error.kind()));
        stream.write_all(&self.request).await.map_err(broken)?;
        let head = read_head(stream).await?;
        let status = status_of(&head).ok_or_else(|| refused("the proxy's answer to CONNECT is not HTTP"))?;
        match status {
            200..=299 => Ok(()),
            407 if self.with_credentials => Err(refused("the proxy refused user and password (407)")),
            407 => Err(refused("the proxy asks for a user and a password (407; give them by --proxy-auth)")),
            status => Err(refused(format!("the proxy refused a tunnel to the target (CONNECT was answered {status})"))),
        }
    }
}

/// Reads an answer's head and not a byte beyond: those belong to the target.
async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, Unanswered> {
    const END: &[u8] = b"\r\n\r\n";
    let broken = |error: std::io::Error| refused(format!("the proxy closed the connection: {}", error.kind()));
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let seen = stream.peek(&mut piece).await.map_err(broken)?;
        if seen == 0 {
            return Err(refused("the proxy closed the connection before it answered CONNECT"));
        }
        let known = head.len();
        head.extend_from_slice(&piece[..seen]);
        // The end may have begun in an earlier piece.
        let from = known.saturating_sub(END.len() - 1);
        let end = head[from..].windows(END.len()).position(|window| window == END).map(|at| from + at + END.len());
        let taken = end.unwrap_or(head.len());
        stream.read_exact(&mut piece[..taken - known]).await.map_err(broken)?;
        if let Some(end) = end {
            head.truncate(end);
            return Ok(head);
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(refused("the proxy's answer to CONNECT has no end"));
        }
    }
}

fn status_of(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let status = rest.split(' ').next()?;
    (version.starts_with("HTTP/1.") && status.len() == 3).then(|| status.parse().ok()).flatten()
}

fn refused(cause: impl Into<std::borrow::Cow<'static, str>>) -> Unanswered {
    Unanswered { outcome: Outcome::Refused, cause: cause.into() }
}

#[cfg(test)]
mod tests;
