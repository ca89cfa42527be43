//! POSTs, to a sink that keeps them.

use crate::support::*;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use outrider::config::WebhookFormat;
use outrider::core::event::State;
use outrider::notify::{Change, Pace};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What was posted.
struct Post {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Post {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn why(&self) -> String {
        self.json()["why"].as_str().unwrap().to_owned()
    }
}

/// A server that answers with these codes, and then with 200; 0: not at all.
struct Sink {
    posts: mpsc::UnboundedReceiver<Post>,
    port: u16,
    task: JoinHandle<()>,
}

impl Sink {
    async fn start(codes: &[u16]) -> Sink {
        let (sender, posts) = mpsc::unbounded_channel();
        let codes = Arc::new(Mutex::new(codes.iter().copied().collect::<VecDeque<u16>>()));
        let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let _ = sender.send(Post { path: uri.to_string(), headers, body });
            let code = codes.lock().unwrap().pop_front().unwrap_or(200);
            async move {
                if code == 0 {
                    std::future::pending::<()>().await;
                }
                // A redirect that is followed would come back as a GET.
                (StatusCode::from_u16(code).unwrap(), [("Location", "/elsewhere")])
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(any(answer));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Sink { posts, port, task }
    }

    async fn next(&mut self) -> Post {
        tokio::time::timeout(LIMIT, self.posts.recv()).await.expect("nothing is posted").unwrap()
    }

    async fn silent_for(&mut self, time: std::time::Duration) {
        if let Ok(Some(post)) = tokio::time::timeout(time, self.posts.recv()).await {
            panic!("nobody asked for {:?}", post.body);
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook/hunter2?token=hunter2", self.port)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The signature as the documentation says how to make it.
fn by_openssl(key: &str, body: &[u8]) -> String {
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-r", "-hmac", key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs openssl: apt-get install openssl");
    openssl.stdin.take().unwrap().write_all(body).unwrap();
    let output = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    format!("sha256={}", output.split_whitespace().next().unwrap())
}

/// The documented payload, to the letter: others read it.
#[tokio::test]
async fn each_change_is_posted_in_order() {
    let mut sink = Sink::start(&[]).await;
    let log = Log::start();
    let notifier = start(webhook(sink.url(), WebhookFormat::Json, Some("0123456789abcdef")), &pace());
    notifier.tell(change(0, State::Initialize, State::Backup, "the members are known"));
    notifier.tell(change(1, State::Backup, State::Active, "nobody was \"heard\" for 750ms: größer"));
    notifier.tell(change(2, State::Active, State::Fault, "link down"));

    let first = sink.next().await;
    assert_eq!(first.path, "/hook/hunter2?token=hunter2");
    let header = |name: &str| first.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("user-agent"), concat!("outrider/", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        std::str::from_utf8(&first.body).unwrap(),
        r#"{"version":1,"event":"transition","host":"lb1","router":"10.10.10.2","addresses":["10.10.10.2","10.10.10.3"],"vrid":2,"interface":"eth0","from":"Initialize","to":"Backup","priority":238,"why":"the members are known","at":"2026-11-22T20:39:11.123Z"}"#
    );
    assert_eq!(header("x-outrider-signature"), by_openssl("0123456789abcdef", &first.body));
    let second = sink.next().await;
    assert_eq!(second.why(), "nobody was \"heard\" for 750ms: größer");
    assert_eq!(
        second.headers["x-outrider-signature"].to_str().unwrap(),
        by_openssl("0123456789abcdef", &second.body)
    );
    let third = sink.next().await.json();
    assert_eq!(
        (&third["from"], &third["to"], &third["why"]),
        (&json!("Active"), &json!("Fault"), &json!("link down"))
    );
    sink.silent_for(ms(300)).await;
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn chats_get_a_text() {
    let mut sink = Sink::start(&[]).await;
    let notifier = start(webhook(sink.url(), WebhookFormat::Text, None), &pace());
    notifier.tell(Change { router: "web".to_owned(), ..active(0) });
    let post = sink.next().await;
    assert_eq!(post.json(), json!({ "text": "lb1: web is now Active: change 0" }));
    assert!(!post.headers.contains_key("x-outrider-signature"));
}

#[tokio::test]
async fn what_may_pass_is_tried_again_in_order() {
    let mut sink = Sink::start(&[503, 429, 408, 500]).await;
    let log = Log::start();
    let notifier = start(webhook(sink.url(), WebhookFormat::Json, None), &pace());
    notifier.tell(active(0));
    notifier.tell(active(1));
    for expected in ["change 0", "change 0", "change 0", "change 0", "change 0", "change 1"] {
        assert_eq!(sink.next().await.why(), expected);
    }
    sink.silent_for(ms(600)).await;
    let lines = log.lines();
    let way = format!("webhook at http://127.0.0.1:{}: ", sink.port);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], format!("WARN {way}it answered 503 Service Unavailable; it is tried again for 30s"));
    assert!(lines[1].starts_with(&format!("INFO {way}works again after ")), "{lines:?}");
}

#[tokio::test]
async fn what_will_not_pass_is_told_once() {
    for code in [400, 404, 410, 301] {
        let mut sink = Sink::start(&[code, code]).await;
        let log = Log::start();
        let notifier = start(webhook(sink.url(), WebhookFormat::Json, None), &pace());
        for number in 0..3 {
            notifier.tell(active(number));
            assert_eq!(sink.next().await.why(), format!("change {number}"));
        }
        log.until("works again").await;
        sink.silent_for(ms(300)).await;
        let lines = log.lines();
        let said = format!("1 change was not told: it answered {code} ");
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("WARN") && lines[0].contains(&said), "{lines:?}");
        assert!(lines[1].starts_with("INFO") && lines[1].ends_with("; 2 changes were not told"), "{lines:?}");
        assert!(!lines.concat().contains("hunter2"), "{lines:?}");
        drop(notifier);
    }
}

/// Also not where the connection fails: the URL is a secret.
#[tokio::test]
async fn a_sink_that_is_away_gets_it_when_it_is_back() {
    let port = free_port();
    let log = Log::start();
    let url = format!("http://root:hunter2@127.0.0.1:{port}/hook/hunter2");
    let notifier = start(webhook(url, WebhookFormat::Json, None), &pace());
    notifier.tell(active(0));
    log.until("Connection refused").await;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (sender, mut posts) = mpsc::unbounded_channel();
    let answer = move |body: Bytes| {
        let _ = sender.send(body);
        async {}
    };
    let router = Router::new().fallback(any(answer));
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let body = tokio::time::timeout(LIMIT, posts.recv()).await.unwrap().unwrap();
    assert!(std::str::from_utf8(&body).unwrap().contains("change 0"));
    log.until("works again").await;
    let lines = log.lines().concat();
    assert!(!lines.contains("hunter2") && !lines.contains("root"), "{lines}");
    drop(notifier);
    task.abort();
}

#[tokio::test]
async fn no_answer_is_not_waited_for_for_ever() {
    let mut sink = Sink::start(&[0]).await;
    let log = Log::start();
    let notifier =
        start(webhook(sink.url(), WebhookFormat::Json, None), &Pace { webhook: ms(300), ..pace() });
    notifier.tell(active(0));
    assert_eq!(sink.next().await.why(), "change 0");
    log.until("no answer within 300ms").await;
    assert_eq!(sink.next().await.why(), "change 0");
    sink.silent_for(ms(300)).await;
    drop(notifier);
}

/// The mail server hangs; the webhook and the command do not notice.
#[tokio::test]
async fn one_way_does_not_hold_up_another() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sink = Sink::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "told");
    let command = ["/bin/sh", "-c", "echo \"$3\" >> \"$0\"", file.as_str()].map(str::to_owned).to_vec();
    let settings = outrider::config::Notify {
        mail: Some(mail(hanging.local_addr().unwrap().port(), &["ops@example.com"])),
        command: Some(command),
        ..webhook(sink.url(), WebhookFormat::Json, None)
    };
    let notifier = start(settings, &pace());
    notifier.tell(active(0));
    let connection = tokio::time::timeout(LIMIT, hanging.accept()).await.unwrap().unwrap();
    notifier.tell(active(1));
    assert_eq!((sink.next().await.why(), sink.next().await.why()), ("change 0".into(), "change 1".into()));
    let told = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_for("both runs of the command", || told().lines().count() == 2).await;
    drop(connection);
}

#[tokio::test]
async fn certificates_are_verified() {
    let test = "webhook::certificates_are_verified";
    if std::env::var_os("NOTIFY_TEST_FOLDER").is_none() {
        // Nobody has signed it.
        let folder = certificate();
        let (_server, port) = https(folder.path().to_str().unwrap()).await;
        let log = Log::start();
        let url = format!("https://127.0.0.1:{port}/hook");
        let notifier = start(webhook(url, WebhookFormat::Json, None), &pace());
        notifier.tell(active(0));
        log.until("invalid peer certificate").await;
        drop(notifier);
    }
    let Some(folder) = again_trusting(test) else { return };
    let (mut server, port) = https(&folder).await;
    let url = format!("https://127.0.0.1:{port}/hook");
    let notifier = start(webhook(url, WebhookFormat::Text, None), &pace());
    notifier.tell(active(0));
    let body = r#"{"text":"lb1: 10.10.10.2 is now Active: change 0"}"#;
    assert_eq!(server.next().await, json!({ "path": "/hook", "body": body }));
    drop(notifier);
}

async fn https(folder: &str) -> (Server, u16) {
    let port = free_port();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| format!("{folder}/{name}"));
    (Server::start("https.py", &[&port.to_string(), &certificate, &key]).await, port)
}
