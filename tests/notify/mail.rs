//! Mail, to Debian's aiosmtpd.

use crate::support::*;
use outrider::config::{Mail, MailTls};
use outrider::core::event::State;
use outrider::notify::{Change, Describe, Notifier, Pace};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// The value of a header; there is one of that name.
fn header<'a>(mail: &'a Value, name: &str) -> &'a str {
    let headers = mail["headers"].as_array().unwrap().iter();
    let values: Vec<&str> =
        headers.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect();
    assert_eq!(values.len(), 1, "{name}: {mail:#}");
    values[0]
}

#[tokio::test]
async fn a_burst_is_one_mail() {
    let port = free_port();
    let mut server = Server::smtp(json!({ "port": port })).await;
    let log = Log::start();
    let notifier = start(by_mail(mail(port, &["ops@example.com"])), &pace());
    notifier.tell(change(0, State::Initialize, State::Backup, "the members are known"));
    notifier.tell(change(1, State::Backup, State::Active, "nobody was heard for 750ms: größer"));
    tokio::time::sleep(ms(100)).await;
    notifier.tell(Change { router: "web".to_owned(), ..change(2, State::Backup, State::Fault, "link down") });

    let told = server.next().await;
    assert_eq!((&told["sender"], &told["to"]), (&json!("lb@example.com"), &json!(["ops@example.com"])));
    assert_eq!((&told["tls"], &told["user"]), (&json!(false), &Value::Null));
    assert_eq!(header(&told, "Subject"), "[lb1] web: Fault, 10.10.10.2: Active");
    assert_eq!(header(&told, "From"), "lb@example.com");
    assert_eq!(header(&told, "To"), "ops@example.com");
    assert_eq!(header(&told, "Auto-Submitted"), "auto-generated");
    let id = header(&told, "Message-ID");
    assert!(id.starts_with('<') && id.ends_with("@example.com>"), "{id}");
    let date = header(&told, "Date");
    assert!(date.ends_with("+0000") && date.contains(':'), "{date}");

    let body = told["body"].as_str().unwrap().replace("\r\n", "\n");
    let (changes, group) = body.split_once("The group at ").unwrap();
    assert_eq!(
        changes,
        "2026-11-22T20:39:11.123Z  lb1: 10.10.10.2: Initialize -> Backup: the members are known\n    \
         10.10.10.2, 10.10.10.3 on eth0, VRID 2, priority 238\n\n\
         2026-11-22T20:39:12.123Z  lb1: 10.10.10.2: Backup -> Active: nobody was heard for 750ms: größer\n    \
         10.10.10.2, 10.10.10.3 on eth0, VRID 2, priority 238\n\n\
         2026-11-22T20:39:13.123Z  lb1: web: Backup -> Fault: link down\n    \
         10.10.10.2, 10.10.10.3 on eth0, VRID 2, priority 238\n\n"
    );
    assert!(group.trim_end().ends_with(":\n\nlb1 Active\nlb2 Backup"), "{group}");

    server.silent_for(ms(600)).await;
    notifier.tell(active(3));
    assert_eq!(header(&server.next().await, "Subject"), "[lb1] 10.10.10.2: Active");
    assert_eq!(log.lines(), [""; 0]);
}

/// One that never ends is told all the same.
#[tokio::test]
async fn a_long_burst_is_told_before_it_ends() {
    let port = free_port();
    let mut server = Server::smtp(json!({ "port": port })).await;
    let notifier = start(by_mail(mail(port, &["ops@example.com"])), &pace());
    let mut number = 0;
    let told = loop {
        notifier.tell(active(number));
        number += 1;
        tokio::select! {
            told = server.next() => break told,
            () = tokio::time::sleep(ms(50)) => assert!(number < 200, "no mail while the changes go on"),
        }
    };
    let changes = told["body"].as_str().unwrap().matches("Backup -> Active").count();
    assert!((5..=40).contains(&changes), "{changes}");
}

#[tokio::test]
async fn nothing_in_a_change_becomes_a_header() {
    let port = free_port();
    let mut server = Server::smtp(json!({ "port": port })).await;
    let notifier = start(by_mail(mail(port, &["ops@example.com"])), &pace());
    notifier.tell(Change {
        host: "lb1\r\nBcc: evil@example.com\r\n\r\nbody".to_owned(),
        router: format!("web\nX-Evil: 1\n{}", "ü".repeat(100)),
        ..change(0, State::Backup, State::Active, "over\r\n.\r\nMAIL FROM:<evil@example.com>\0")
    });
    let told = server.next().await;
    let mut names: Vec<&str> =
        told["headers"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    names.sort_unstable();
    let expected = [
        "Auto-Submitted",
        "Content-Transfer-Encoding",
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ];
    assert_eq!(names, expected);
    let subject = header(&told, "Subject");
    assert!(subject.starts_with("[lb1  Bcc: evil@example.com    body] web X-Evil: 1 üüü"), "{subject}");
    assert_eq!(told["to"], json!(["ops@example.com"]));
    let body = told["body"].as_str().unwrap();
    assert!(body.contains("over  .  MAIL FROM:<evil@example.com> \r\n"), "{body:?}");
    server.silent_for(ms(500)).await;
}

fn secured(port: u16, tls: MailTls, verify: bool) -> Mail {
    Mail { tls, verify, ..mail(port, &["ops@example.com"]) }
}

#[tokio::test]
async fn by_starttls_and_tls_only_to_a_server_that_is_known() {
    let folder = certificate();
    for (mode, tls) in [("starttls", MailTls::Starttls), ("tls", MailTls::Tls)] {
        let port = free_port();
        let mut server = Server::smtp(json!({
            "port": port, "tls": mode,
            "certificate": path(folder.path(), "certificate.pem"), "key": path(folder.path(), "key.pem"),
        }))
        .await;
        let log = Log::start();
        let suspicious = start(by_mail(secured(port, tls, true)), &pace());
        suspicious.tell(active(0));
        log.until("OUTRIDER_SMTP_TLS_VERIFY=false accepts any certificate").await;
        server.silent_for(ms(500)).await;
        drop(suspicious);

        let trusting = start(by_mail(secured(port, tls, false)), &pace());
        trusting.tell(active(0));
        let told = server.next().await;
        assert_eq!((&told["tls"], &told["to"]), (&json!(true), &json!(["ops@example.com"])), "{mode}");
    }
}

#[tokio::test]
async fn a_certificate_of_a_known_authority_is_accepted() {
    let test = "mail::a_certificate_of_a_known_authority_is_accepted";
    let Some(folder) = again_trusting(test) else { return };
    for (mode, tls) in [("starttls", MailTls::Starttls), ("tls", MailTls::Tls)] {
        let port = free_port();
        let (certificate, key) = (format!("{folder}/certificate.pem"), format!("{folder}/key.pem"));
        let options = json!({ "port": port, "tls": mode, "certificate": certificate, "key": key });
        let mut server = Server::smtp(options).await;
        let notifier = start(by_mail(secured(port, tls, true)), &pace());
        notifier.tell(active(0));
        assert_eq!(server.next().await["tls"], true, "{mode}");
    }
}

/// Somebody in between could have taken STARTTLS out of the greeting.
#[tokio::test]
async fn without_starttls_nothing_is_sent_in_clear() {
    let port = free_port();
    let mut server = Server::smtp(json!({ "port": port })).await;
    let log = Log::start();
    let notifier = start(by_mail(secured(port, MailTls::Starttls, false)), &pace());
    notifier.tell(active(0));
    log.until("STARTTLS is not supported on this server").await;
    server.silent_for(ms(500)).await;
    drop(notifier);
}

fn with_login(port: u16, password: &str) -> Mail {
    let login = Some(("lb".to_owned(), password.to_owned().into()));
    Mail { login, ..mail(port, &["ops@example.com"]) }
}

#[tokio::test]
async fn who_sends_is_shown_to_a_server_that_asks() {
    let port = free_port();
    let mut server = Server::smtp(json!({ "port": port, "user": "lb", "password": "geheim ü" })).await;
    let notifier = start(by_mail(with_login(port, "geheim ü")), &pace());
    notifier.tell(active(0));
    assert_eq!(server.next().await, json!({ "login": "lb", "right": true }));
    assert_eq!(server.next().await["user"], "lb");

    let log = Log::start();
    let notifier = start(by_mail(with_login(port, "hunter2")), &pace());
    notifier.tell(active(0));
    assert_eq!(server.next().await, json!({ "login": "lb", "right": false }));
    log.until("1 change was not told: it answered 535").await;
    server.silent_for(ms(500)).await;
    assert!(!log.lines().concat().contains("hunter2"), "{:?}", log.lines());
    drop(notifier);
}

#[tokio::test]
async fn a_server_that_is_down_gets_it_when_it_is_back() {
    let port = free_port();
    let log = Log::start();
    let notifier = start(by_mail(mail(port, &["ops@example.com"])), &pace());
    notifier.tell(active(0));
    log.until("Connection refused").await;
    notifier.tell(active(1));
    // Several attempts, and a word about the first one only.
    tokio::time::sleep(ms(700)).await;
    let mut server = Server::smtp(json!({ "port": port })).await;
    let told = server.next().await;
    let body = told["body"].as_str().unwrap();
    assert!(body.contains("change 0") && body.contains("change 1"), "{body}");
    log.until("works again").await;
    let lines = log.lines();
    let way = format!("mail to ops@example.com by 127.0.0.1:{port}: ");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&format!("WARN {way}Connection refused")), "{lines:?}");
    assert!(lines[0].ends_with("; it is tried again for 30s"), "{lines:?}");
    assert!(lines[1].starts_with(&format!("INFO {way}works again after ")), "{lines:?}");
    server.silent_for(ms(500)).await;
}

#[tokio::test]
async fn what_cannot_be_told_for_too_long_is_dropped() {
    let port = free_port();
    let log = Log::start();
    let notifier = start(by_mail(mail(port, &["ops@example.com"])), &Pace { give_up: ms(700), ..pace() });
    notifier.tell(active(0));
    notifier.tell(active(1));
    log.until("2 changes were not told").await;
    let mut server = Server::smtp(json!({ "port": port })).await;
    notifier.tell(active(2));
    let told = server.next().await;
    let body = told["body"].as_str().unwrap();
    assert!(!body.contains("change 0") && !body.contains("change 1") && body.contains("change 2"), "{body}");
    log.until("works again").await;
    let again = log.lines().pop().unwrap();
    assert!(again.ends_with("; 2 changes were not told"), "{again}");
}

#[tokio::test]
async fn no_for_now_is_asked_again_and_no_for_good_is_not() {
    let port = free_port();
    let mut server = Server::smtp(json!({
        "port": port,
        "refuse": { "busy@example.com": ["451 4.7.1 try later", 2], "gone@example.com": ["550 5.1.1 no such user", 0] },
    }))
    .await;
    let log = Log::start();
    let everybody = ["ops@example.com", "busy@example.com", "gone@example.com"];
    let notifier = start(by_mail(mail(port, &everybody)), &pace());
    notifier.tell(active(0));
    let mut told = Vec::new();
    while told.len() < 5 {
        told.push(server.next().await);
    }
    server.silent_for(ms(900)).await;
    let refused = |who: &str| told.iter().filter(|what| what["refused"] == who).count();
    let taken = |who: &str| told.iter().filter(|what| what["to"] == json!([who])).count();
    assert_eq!((refused("busy@example.com"), taken("busy@example.com")), (2, 1), "{told:#?}");
    assert_eq!((refused("gone@example.com"), taken("gone@example.com")), (1, 0), "{told:#?}");
    assert_eq!((refused("ops@example.com"), taken("ops@example.com")), (0, 1), "{told:#?}");
    let last = told.iter().rposition(|what| what["to"] == json!(["ops@example.com"])).unwrap();
    let busy = told.iter().rposition(|what| what["to"] == json!(["busy@example.com"])).unwrap();
    assert!(last < busy, "who is refused for now holds up nobody else");
    let mail = told.iter().find(|what| what["to"].is_array()).unwrap();
    assert_eq!(header(mail, "To"), everybody.join(", "));

    // Said once, also when it happens again.
    notifier.tell(active(1));
    for _ in everybody {
        server.next().await;
    }
    server.silent_for(ms(500)).await;
    let lines = log.lines();
    let about = |who: &str| lines.iter().filter(|line| line.contains(who)).count();
    assert_eq!((about("to ops@"), about("to busy@"), about("to gone@")), (0, 2, 1), "{lines:#?}");
    let gone = lines.iter().find(|line| line.contains("to gone@")).unwrap();
    assert!(gone.ends_with("1 change was not told: it answered 550 5.1.1 no such user"), "{gone}");
}

/// A server that accepts and says nothing is given up within the time-out, and asked again.
#[tokio::test]
async fn a_server_that_hangs_is_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::start();
    let settings = Mail { timeout: ms(300), ..mail(port, &["ops@example.com"]) };
    let notifier = start(by_mail(settings), &pace());
    notifier.tell(active(0));
    for _ in 0..3 {
        let (mut stream, _) = listener.accept().await.unwrap();
        // It lets go in the end.
        let ended = tokio::time::timeout(LIMIT, stream.read(&mut [0; 16])).await;
        assert_eq!(ended.unwrap().unwrap_or_default(), 0);
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(": not taken within 300ms; it is tried again"), "{lines:?}");
    drop(notifier);
}

#[tokio::test]
async fn at_the_end_what_waits_is_sent_at_once() {
    let port = free_port();
    let mut server = Server::smtp(json!({ "port": port })).await;
    let slow = Pace { quiet: LIMIT, gather: LIMIT, ..pace() };
    let notifier = start(by_mail(mail(port, &["ops@example.com"])), &slow);
    notifier.tell(active(0));
    notifier.finish(ms(5000), Vec::new()).await;
    assert!(server.next().await["body"].as_str().unwrap().contains("change 0"));

    // What cannot be sent holds nobody up.
    let log = Log::start();
    drop(server);
    let notifier = start(by_mail(mail(port, &["ops@example.com"])), &slow);
    notifier.tell(active(0));
    let begun = std::time::Instant::now();
    notifier.finish(ms(500), Vec::new()).await;
    assert!(begun.elapsed() < ms(2000), "{:?}", begun.elapsed());
    log.until("the end came before 1 change was told").await;
}

/// Settings that are read again.
#[tokio::test]
async fn what_waits_for_a_server_that_is_down_goes_to_the_one_that_is_set_instead() {
    let (down, port) = (free_port(), free_port());
    let log = Log::start();
    let mut notifier = start(by_mail(mail(down, &["ops@example.com"])), &pace());
    notifier.tell(active(0));
    log.until("it is tried again").await;
    let mut server = Server::smtp(json!({ "port": port })).await;
    notifier.apply(&by_mail(mail(port, &["ops@example.com"])), &pace(), &describe());
    assert!(server.next().await["body"].as_str().unwrap().contains("change 0"));
    notifier.finish(ms(5000), Vec::new()).await;
}

/// The state of the group may not hold up the mail.
#[tokio::test]
async fn a_group_that_cannot_be_asked_is_told_as_such() {
    let port = free_port();
    let mut server = Server::smtp(json!({ "port": port })).await;
    let never: Describe = Arc::new(|| Box::pin(std::future::pending()));
    let notifier = Notifier::start(&by_mail(mail(port, &["ops@example.com"])), &pace(), &never);
    notifier.tell(active(0));
    let told = server.next().await;
    let body = told["body"].as_str().unwrap();
    assert!(body.trim_end().ends_with("unknown: the agent did not answer in time"), "{body}");
}
