//! HTTP checks against servers that answer as told.

use crate::support::*;
use outrider::config::{CheckSettings, Target};
use outrider::core::Outcome;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Answers each request with these bytes and closes.
async fn answering(answer: impl Into<Vec<u8>>) -> Server {
    let answer = answer.into();
    Server::start(move |mut stream, _| {
        let answer = answer.clone();
        async move { answer_once(&mut stream, &answer).await }
    })
    .await
}

async fn answer_once(stream: &mut TcpStream, answer: &[u8]) {
    if !head(stream).await.is_empty() {
        let _ = stream.write_all(answer).await;
    }
}

fn status(code: u16) -> String {
    format!("HTTP/1.1 {code} Whatever\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 5\r\n\r\nhello")
}

#[tokio::test]
async fn any_status_line_passes_unless_told_otherwise() {
    for code in [200, 204, 302, 404, 500, 503] {
        let server = answering(status(code)).await;
        assert_eq!(outcome(http(server.port)).await, Outcome::Pass, "{code}");

        let settings = CheckSettings { status: vec![(200, 299), (404, 404)], ..settings(NEVER) };
        let expected = match code {
            200 | 204 | 404 => Outcome::Pass,
            _ => fail(format!("http://127.0.0.1:{}/ answered {code}, not 200-299,404-404", server.port)),
        };
        assert_eq!(look(settings, http(server.port)).await.outcome, expected);
    }
}

#[tokio::test]
async fn http_1_0_passes() {
    let server = answering("HTTP/1.0 200 OK\r\n\r\nbody until the end").await;
    assert_eq!(outcome(http(server.port)).await, Outcome::Pass);
}

/// A redirect followed would end at a port where nobody listens.
#[tokio::test]
async fn redirects_are_answers() {
    let server = answering(status(301)).await;
    let settings = CheckSettings { status: vec![(301, 301)], ..settings(NEVER) };
    assert_eq!(look(settings, http(server.port)).await.outcome, Outcome::Pass);
}

#[tokio::test]
async fn the_body_is_not_waited_for() {
    let server = Server::start(|mut stream, _| async move {
        answer_once(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
        until_closed(&mut stream).await;
    })
    .await;
    let report = look(settings(NEVER), http(server.port)).await;
    assert_eq!(report.outcome, Outcome::Pass);
    assert!(report.took < ms(900), "{:?}", report.took);
}

#[tokio::test]
async fn the_request_is_as_set() {
    let (sender, mut heads) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream, _| {
        let sender = sender.clone();
        async move {
            let head = head(&mut stream).await;
            if !head.is_empty() {
                let _ = sender.send(head);
                let _ = stream.write_all(status(200).as_bytes()).await;
            }
        }
    })
    .await;
    let url = format!("http://check:pass%20word@127.0.0.1:{}/ping?full=1", server.port);
    let settings = CheckSettings { host_header: Some("shop.example.com".into()), ..settings(NEVER) };
    assert_eq!(look(settings, Target::Http { url }).await.outcome, Outcome::Pass);
    let head = heads.recv().await.unwrap();
    let lines: Vec<String> = head.lines().map(str::to_lowercase).collect();
    assert_eq!(lines[0], "get /ping?full=1 http/1.1");
    for line in ["host: shop.example.com", "connection: close", "authorization: basic y2hly2s6cgfzcyb3b3jk"] {
        assert!(lines.iter().any(|l| l == line), "{line} is not in {head}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("host:")).count(), 1, "{head}");
}

#[tokio::test]
async fn a_password_in_the_url_is_not_told() {
    let port = free_port();
    let mut answers = vec![
        outcome(Target::Http { url: format!("http://user:hunter2@127.0.0.1:{port}/") }).await,
        outcome(Target::Http { url: "http://user:hunter2@[oops/".into() }).await,
        outcome(Target::Http { url: "ftp://user:hunter2@127.0.0.1/".into() }).await,
    ];
    let server = answering("nonsense\r\n\r\n").await;
    answers
        .push(outcome(Target::Http { url: format!("http://user:hunter2@127.0.0.1:{}/", server.port) }).await);
    for answer in answers {
        let (Outcome::Dead(why) | Outcome::Fail(why)) = answer else { panic!("it passed") };
        assert!(!why.contains("hunter2") && !why.contains("user"), "{why}");
    }
}

#[tokio::test]
async fn nobody_listening_is_dead() {
    let port = free_port();
    let refused = dead(format!("connection to 127.0.0.1:{port} refused (twice)"));
    assert_eq!(outcome(http(port)).await, refused);
    assert_eq!(outcome(Target::Http { url: format!("https://127.0.0.1:{port}/") }).await, refused);
}

#[tokio::test]
async fn no_answer_times_out() {
    let server = Server::start(|mut stream, _| async move { until_closed(&mut stream).await }).await;
    let settings = CheckSettings { timeout: ms(200), ..settings(NEVER) };
    let report = look(settings, http(server.port)).await;
    let why = format!("no answer from http://127.0.0.1:{}/ within 200ms", server.port);
    assert_eq!(report.outcome, fail(why));
    assert!(report.took >= ms(200) && report.took < ms(2000), "{:?}", report.took);
}

#[tokio::test]
async fn an_answer_that_drips_times_out() {
    let server = Server::start(|mut stream, _| async move {
        head(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\nX-Long: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(ms(20)).await;
        }
    })
    .await;
    let settings = CheckSettings { timeout: ms(300), ..settings(NEVER) };
    let report = look(settings, http(server.port)).await;
    let why = format!("no answer from http://127.0.0.1:{}/ within 300ms", server.port);
    assert_eq!(report.outcome, fail(why));
    assert!(report.took < ms(2000), "{:?}", report.took);
}

#[tokio::test]
async fn what_is_not_http_fails() {
    let mut long = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    long.resize(1_000_000, b'x');
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    let answers: [&[u8]; 10] = [
        b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n",
        b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x16",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        &long,
        many.as_bytes(),
    ];
    for answer in answers {
        let server = answering(answer).await;
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(30)]).into_owned();
        match outcome(http(server.port)).await {
            Outcome::Fail(why) => {
                assert_eq!(
                    why,
                    format!("what http://127.0.0.1:{}/ answers is not HTTP", server.port),
                    "{shown:?}"
                );
            }
            other => panic!("{shown:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn closing_without_an_answer_is_dead_when_it_is_at_once() {
    for answer in ["", "HTTP/1.1 200 OK\r\nHalf: a he"] {
        let server = answering(answer).await;
        let why = format!("http://127.0.0.1:{}/ closes connections without an answer (twice)", server.port);
        assert_eq!(outcome(http(server.port)).await, dead(why), "{answer:?}");
    }
}

#[tokio::test]
async fn resetting_without_an_answer_is_dead_when_it_is_at_once() {
    let server = Server::start(|stream, _| async move { stream.set_zero_linger().unwrap() }).await;
    assert!(matches!(outcome(http(server.port)).await, Outcome::Dead(_)));
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn closing_once_is_forgiven_and_closing_late_fails() {
    for (late, settled) in [(ms(0), true), (ms(100), true), (ms(100), false)] {
        let server = Server::start(move |mut stream, n| async move {
            head(&mut stream).await;
            sleep(late).await;
            if n > 0 && settled {
                let _ = stream.write_all(status(200).as_bytes()).await;
            }
        })
        .await;
        let url = format!("http://127.0.0.1:{}/", server.port);
        let expected = if settled {
            Outcome::Pass
        } else {
            fail(format!("{url} closed the connection without an answer"))
        };
        assert_eq!(outcome(http(server.port)).await, expected, "{late:?} {settled}");
    }
}

#[tokio::test]
async fn a_load_balancer_that_dies_during_a_slow_request_is_dead() {
    let server = Server::start(|mut stream, _| async move {
        head(&mut stream).await;
        sleep(Duration::from_secs(3600)).await;
    })
    .await;
    let port = server.port;
    let settings = CheckSettings { timeout: LIMIT, ..settings(NEVER) };
    let mut run = Run::start(settings, vec![http(port)]);
    wait_for("a request", || server.accepted() == 1).await;
    run.silent_for(ms(100)).await;
    drop(server);
    assert_eq!(run.next().await.outcome, dead(format!("connection to 127.0.0.1:{port} refused (twice)")));
}

/// Only https needs the system's certificates, and it says what to do where there are none. The variables that
/// take them away are this process's own, so the test runs itself again.
#[tokio::test]
async fn without_certificates_only_https_fails() {
    if std::env::var_os("OUTRIDER_TEST_NO_CERTIFICATES").is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "http::without_certificates_only_https_fails", "--nocapture"])
            .env("OUTRIDER_TEST_NO_CERTIFICATES", "1")
            .env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let server = answering(status(200)).await;
    assert_eq!(outcome(http(server.port)).await, Outcome::Pass);
    let url = format!("https://127.0.0.1:{}/", server.port);
    let Outcome::Fail(why) = outcome(Target::Http { url: url.clone() }).await else {
        panic!("not a failure")
    };
    assert!(why.contains(&url) && why.contains("OUTRIDER_CHECK_TLS_VERIFY=false"), "{why}");
}

#[tokio::test]
async fn a_host_header_that_cannot_be_sent_is_told() {
    let server = answering(status(200)).await;
    let settings = CheckSettings { host_header: Some("two\nlines".into()), ..settings(NEVER) };
    let why = "\"two\\nlines\" cannot be sent as a Host header";
    assert_eq!(look(settings, http(server.port)).await.outcome, fail(why.into()));
}
