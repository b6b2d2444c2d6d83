//! Loads through proxies, on real sockets: good ones, and each way in which one can refuse.

use crate::driver::DriveError;
use crate::driver::connection::{Connector, Http1Client};
use crate::driver::fixture::{
    answering, assert_balance, drive_with, five_arrivals_of_two_steps, load_over, read_request, server,
};
use crate::driver::pki::{Authority, Seen, serve};
use crate::driver::target::Target;
use crate::driver::target_options::{Protocol, Proxy, Secret, TargetOptions, TlsOptions};
use crate::trial::Recording;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn through(proxy: &str, user: Option<&str>) -> TargetOptions {
    let mut proxy: Proxy = proxy.parse().unwrap();
    proxy.user = user.map(|user| (user.to_owned(), Secret::from("open sesame".to_owned())));
    TargetOptions { proxy: Some(proxy), ..TargetOptions::default() }
}

async fn drive_through(options: &TargetOptions, base_url: &str) -> Result<Recording, DriveError> {
    drive_with(&five_arrivals_of_two_steps("20s"), base_url, options).await
}

/// Starts a proxy that opens tunnels to whatever is asked for at `127.0.0.1`, in small pieces, and keeps the heads it saw.
async fn good_proxy(heads: Arc<Mutex<Vec<String>>>) -> String {
    server(move |mut stream| {
        let heads = Arc::clone(&heads);
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            let head = String::from_utf8(head).unwrap();
            let port: u16 = head.split([':', ' ']).nth(2).unwrap().parse().unwrap();
            heads.lock().unwrap().push(head);
            let mut target = TcpStream::connect(("127.0.0.1", port)).await?;
            for piece in ["HTTP/1.1 200 Connection", " established\r\nvia: a\r\n\r", "\n"] {
                stream.write_all(piece.as_bytes()).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            tokio::io::copy_bidirectional(&mut stream, &mut target).await.map(drop)
        }
    })
    .await
}

#[tokio::test]
async fn http_https_and_http_2_go_through_a_tunnel_to_the_target() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let proxy = good_proxy(Arc::clone(&heads)).await;
    let plain = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false).await;
    let recording = drive_through(&through(&proxy, None), &plain).await.unwrap();
    assert_balance(&recording);
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    assert_eq!(recording.target.proxy.as_deref(), Some(proxy.trim_start_matches("http://")));
    let authority = plain.trim_start_matches("http://");
    assert!(heads.lock().unwrap().iter().all(|head| {
        head.starts_with(&format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n"))
            && !head.contains("authorization")
    }));

    heads.lock().unwrap().clear();
    let ours = Authority::new("ours");
    let port = serve(ours.certify("localhost").server(None, &[b"h2"]), Seen::default()).await;
    let tls = TlsOptions { extra_roots: vec![ours.certificate.clone()], ..TlsOptions::default() };
    let options = TargetOptions { protocol: Protocol::Auto, tls, ..through(&proxy, Some("Aladdin")) };
    let recording = drive_through(&options, &format!("https://localhost:{port}")).await.unwrap();
    assert_eq!(recording.arrivals.completed, 5, "{:?}", recording.failures);
    assert!(recording.target.connections.contains_key("HTTP/2"));
    let heads = heads.lock().unwrap();
    assert!(heads.iter().all(|head| head.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n"))), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("proxy-authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n")));
    let text = serde_json::to_string(&recording).unwrap();
    assert!(!text.contains("sesame") && !text.contains("QWxhZGRpbj"), "the recording holds no secret");
    assert!(!format!("{options:?}").contains("sesame"));
}

#[tokio::test]
async fn a_proxy_that_refuses_ends_the_drive_before_the_load_and_is_counted_under_it() {
    for (answer, user, words) in [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n".as_slice(), None, "--proxy-auth"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some("Aladdin"), "refused user and password"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", None, "CONNECT was answered 403"),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", None, "CONNECT was answered 302"),
        (b"\xff\x00 nothing\r\n\r\n", None, "is not HTTP"),
        (b"HTTP/1.1 2000 Much\r\n\r\n", None, "is not HTTP"),
        (b"", None, "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nhalf", None, "closed the connection"),
    ] {
        let proxy = server(move |mut stream| async move {
            read_request(&mut stream).await?;
            stream.write_all(answer).await?;
            stream.shutdown().await
        })
        .await;
        let options = through(&proxy, user);
        let Err(error) = drive_through(&options, "http://127.0.0.1:9").await else { panic!("{words}: taken") };
        let text = error.to_string();
        assert!(text.contains(words) && text.contains("nothing was sent") && !text.contains("sesame"), "{text}");

        let target = Target::resolve("http://127.0.0.1:9", &options).await.unwrap();
        let plan = five_arrivals_of_two_steps("20s");
        let connector = Connector::to(target, Http1Client::default());
        let recording = load_over(plan, connector, Duration::from_secs(30), std::future::pending()).await;
        assert_balance(&recording);
        assert_eq!(recording.answers.get("refused"), Some(&5), "{:?}", recording.answers);
        assert!(recording.failures[0].cause.contains(words), "{:?}", recording.failures);
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_answers_without_end_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let absent = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let recording = drive_through(&through(&absent, None), "http://127.0.0.1:9").await.unwrap();
    assert_eq!(recording.failures[0].cause, "the proxy takes no connection: connection refused");

    let endless = server(|mut stream| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
        loop {
            stream.write_all(&[b"x-more: ", [b'y'; 4096].as_slice(), b"\r\n"].concat()).await?;
        }
    })
    .await;
    let Err(error) = drive_through(&through(&endless, None), "http://127.0.0.1:9").await else { panic!("taken") };
    assert!(error.to_string().contains("has no end"), "{error}");
    let unknown = "http://proxy.invalid:3128";
    let Err(error) = drive_through(&through(unknown, None), "http://127.0.0.1:9").await else { panic!("taken") };
    assert!(error.to_string().starts_with("--proxy: proxy.invalid:3128: "), "{error}");
}

#[test]
fn a_proxy_is_written_as_its_address_and_holds_no_secret() {
    let proxy: Proxy = "http://[::1]:3128/".parse().unwrap();
    assert_eq!(proxy, Proxy { host: "::1".to_owned(), port: 3128, user: None });
    for (wrong, words) in [
        ("proxy:3128", "http://HOST:PORT"),
        ("https://proxy:3128", "http://HOST:PORT"),
        ("http://proxy", "no port"),
        ("http://proxy:3128/path", "no path"),
        ("http://user:word@proxy:3128", "--proxy-auth"),
    ] {
        let error = wrong.parse::<Proxy>().unwrap_err();
        assert!(error.contains(words) && !error.contains("word@"), "{wrong}: {error}");
    }
}
