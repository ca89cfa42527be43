//! Those who are told of changes, by a running agent.

use crate::site::{PROGRAM, SOON};
use axum::Router;
use nix::sys::signal::Signal;
use outrider::lab::namespace::Namespace;
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP, tool};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;
use tokio::process::Command;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[tokio::test]
async fn a_command_and_a_mail_tell_of_every_change_until_the_end() {
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    let host = &lab.hosts()[0];
    let files = tempfile::tempdir().unwrap();
    // The agent is another user by then.
    std::fs::set_permissions(files.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (script, told) = (files.path().join("notify"), files.path().join("told"));
    let text = format!("#!/bin/sh\necho \"$@\" \"$VRRP_STATE\" >> {}\n", told.display());
    tool::script(&script, &text).unwrap();
    let mut server = Command::new("aiosmtpd");
    server.args(["-n", "-c", "aiosmtpd.handlers.Debugging", "stdout", "-l", "127.0.0.1:2525"]);
    server.env("PYTHONUNBUFFERED", "1");
    let mails = Process::start(host.namespace(), "the mail server", server).await;
    let mails = mails.expect("aiosmtpd: apt-get install python3-aiosmtpd");
    let listens = async || tokio::net::TcpStream::connect("127.0.0.1:2525").await.is_ok();
    let begun = Instant::now();
    while !host.namespace().run(listens()).await.unwrap() {
        assert!(begun.elapsed() < SOON, "the mail server listens: {}", mails.tail(20));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    let balancer = host.start_balancer().await.unwrap();
    let vip = VIP.to_string();
    let variables = [
        ("OUTRIDER_VIP", vip.as_str()),
        ("OUTRIDER_ROUTER_ID", "lb1"),
        ("OUTRIDER_NOTIFY_COMMAND", script.to_str().unwrap()),
        ("OUTRIDER_SMTP_SERVER", "127.0.0.1:2525"),
        ("OUTRIDER_SMTP_TO", "ops@example.com"),
    ];
    let agent = host.start_agent(&variables).await.unwrap();
    agent.wait_for_line("-> Active", SOON).await.unwrap();
    // One mail for both changes; at its end there is how the group stands.
    mails.wait_for_line("Subject: [lb1] 10.10.10.2: Active", SOON).await.unwrap();
    for part in ["nobody was heard", "host  address", "lb1   10.10.10.11", "all well"] {
        mails.wait_for_line(part, SOON).await.unwrap();
    }
    agent.signal(Signal::SIGTERM).unwrap();
    assert!(agent.wait(SOON).await.unwrap().success());
    let told = std::fs::read_to_string(&told).unwrap();
    let states: Vec<&str> = told.lines().collect();
    let expected = [
        "INSTANCE 10.10.10.2 BACKUP 254 BACKUP",
        "INSTANCE 10.10.10.2 MASTER 254 MASTER",
        "INSTANCE 10.10.10.2 FAULT 254 FAULT",
        "INSTANCE 10.10.10.2 STOP 254 STOP",
    ];
    assert_eq!(states, expected, "{}", agent.tail(20));
    drop(balancer);
}

/// What is posted to this port of a host.
async fn posts(namespace: &Namespace, port: u16) -> UnboundedReceiver<serde_json::Value> {
    let (sender, posts) = unbounded_channel();
    let take = async move |body: axum::body::Bytes| {
        let _ = sender.send(serde_json::from_slice(&body).unwrap());
    };
    let listen = async move { tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap() };
    let listener = namespace.run(listen).await.unwrap();
    namespace.spawn(async move { axum::serve(listener, Router::new().fallback(take)).await.unwrap() });
    posts
}

#[tokio::test]
async fn a_webhook_is_told_and_after_sighup_another_one_and_a_command() {
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    let host = &lab.hosts()[0];
    let (mut first, mut second) = (posts(host.namespace(), 8001).await, posts(host.namespace(), 8002).await);
    let files = tempfile::tempdir().unwrap();
    std::fs::set_permissions(files.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (file, told) = (files.path().join("outrider.toml"), files.path().join("told"));
    let script = files.path().join("notify");
    tool::script(&script, &format!("#!/bin/sh\necho $3 >> {}\n", told.display())).unwrap();
    let settings = |more: &str| std::fs::write(&file, format!("vip = \"{VIP}\"\n{more}\n")).unwrap();
    settings("webhook_url = \"http://127.0.0.1:8001/\"");
    let balancer = host.start_balancer().await.unwrap();
    let agent = host.start_agent(&[("OUTRIDER_CONFIG", file.to_str().unwrap())]).await.unwrap();
    let next = async |posts: &mut UnboundedReceiver<serde_json::Value>| {
        let post = tokio::time::timeout(SOON, posts.recv()).await.expect("a post").unwrap();
        post["to"].as_str().unwrap().to_owned()
    };
    assert_eq!((next(&mut first).await, next(&mut first).await), ("Backup".to_owned(), "Active".to_owned()));

    settings(&format!("webhook_url = \"http://127.0.0.1:8002/\"\nnotify_command = \"{}\"", script.display()));
    agent.signal(Signal::SIGHUP).unwrap();
    agent.wait_for_line("OUTRIDER_NOTIFY_COMMAND, OUTRIDER_WEBHOOK_URL changed", SOON).await.unwrap();
    drop(balancer);
    // What was being told meanwhile may be told twice.
    let mut to = next(&mut second).await;
    if to == "Active" {
        to = next(&mut second).await;
    }
    assert_eq!(to, "Fault");
    agent.signal(Signal::SIGTERM).unwrap();
    assert!(agent.wait(SOON).await.unwrap().success());
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "FAULT\nSTOP\n", "{}", agent.tail(20));
    assert!(first.try_recv().is_err(), "the former webhook is told nothing more");
}
