//! Who may ask, and what is made of what nobody should send.

use crate::site::{SOON, Site};
use nix::unistd::{Gid, Uid};
use outrider::lab::VIP;
use outrider::lab::process::Process;
use tokio::process::Command;

const TOKEN: &str = "0123456789abcdef0123";

#[tokio::test]
async fn with_a_token_only_its_bearers_are_told_and_the_hosts_tell_each_other() {
    let lab = outrider::lab::Lab::new(2, crate::site::PROGRAM).await.unwrap();
    let mut agents: Vec<Process> = Vec::new();
    let mut balancers = Vec::new();
    let vip = VIP.to_string();
    for host in lab.hosts() {
        balancers.push(Some(host.start_balancer().await.unwrap()));
        let variables = [("OUTRIDER_VIP", vip.as_str()), ("OUTRIDER_STATUS_TOKEN", TOKEN)];
        agents.push(host.start_agent(&variables).await.unwrap());
    }
    for agent in &agents {
        agent.wait_for_line("status at http", SOON).await.unwrap();
    }
    let site = Site { lab, agents: agents.into_iter().map(Some).collect(), balancers };
    for path in ["/status", "/group", "/metrics", "/readyz"] {
        let (code, body) = site.get(0, path).await.unwrap();
        assert!(code == 401 && body.contains("Authorization: Bearer"), "{path}: {code} {body}");
        for wrong in ["", "0123456789abcdef0124", "0123456789abcdef01234", "0123456789abcdef012"] {
            assert_eq!(site.get_with(0, path, Some(wrong)).await.unwrap().0, 401, "{path} {wrong}");
        }
        assert_ne!(site.get_with(0, path, Some(TOKEN)).await.unwrap().0, 401, "{path}");
    }
    assert_eq!(site.get(0, "/healthz").await.unwrap(), (200, "ok\n".to_owned()));
    assert_eq!(site.get(0, "/").await.unwrap().0, 200, "the page holds nothing");
    let (_, body) = site.get_with(0, "/group", Some(TOKEN)).await.unwrap();
    let group: outrider::status::group::Group = serde_json::from_str(&body).unwrap();
    assert_eq!(group.members.iter().filter(|member| member.status.is_some()).count(), 2, "{group:#?}");
    assert!(!body.contains(TOKEN));
}

#[tokio::test]
async fn what_nobody_should_send_gets_a_clear_answer_and_changes_nothing() {
    let (site, holder) = Site::running(1, &[]).await;
    let head = |line: &str| format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes();
    for (bytes, code, says) in [
        (head("POST /status HTTP/1.1"), "405", "read-only"),
        (head("DELETE / HTTP/1.1"), "405", "read-only"),
        (head("POST /drain HTTP/1.1"), "404", "there are /, /status"),
        (head("GET /status/../x HTTP/1.1"), "404", "nothing here"),
        (head("GET /%2e%2e/etc/passwd HTTP/1.1"), "404", "nothing here"),
        (head("GARBAGE"), "400", ""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), "400", ""),
        (head(&format!("GET /{} HTTP/1.1", "x".repeat(60_000))), "4", ""),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(60_000)).into_bytes(), "431", ""),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000)).into_bytes(), "431", ""),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let answer = site.send(0, bytes).await;
        let start = format!("HTTP/1.1 {code}");
        assert!(answer.starts_with(&start) && answer.contains(says), "{shown}: {answer}");
    }
    // Half a request, and a reader who does not read, are not waited for for ever.
    assert_eq!(site.send(0, b"GET /status HTTP/1.1\r\nHost".to_vec()).await.matches(" 200 ").count(), 0);
    // A body is not read.
    let body = String::from(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert!(site.send(0, body.into_bytes()).await.starts_with("HTTP/1.1 200"));
    let (code, head) = (site.send(0, head("HEAD /status HTTP/1.1")).await, "content-type: application/json");
    assert!(code.starts_with("HTTP/1.1 200") && code.contains(head) && code.ends_with("\r\n\r\n"), "{code}");
    assert_eq!(site.lab.holders().await.unwrap(), [holder]);
    assert_eq!(site.status(0).await.unwrap().transitions.len(), 2);
}

/// Somebody else on the host may neither ask nor tell by the local socket.
#[tokio::test]
async fn the_local_socket_is_for_root() {
    let (site, _) = Site::running(1, &[]).await;
    let mut command = Command::new(crate::site::PROGRAM);
    command.arg("status").env_clear().env("OUTRIDER_VIP", VIP.to_string());
    if !Uid::effective().is_root() {
        panic!("the tests need root, or a user namespace: use tests/run");
    }
    // In a user namespace there may be no other user to become.
    let other = Uid::from_raw(1000);
    let mapped =
        std::fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().nth(2) != Some("1");
    if mapped {
        command.uid(other.as_raw()).gid(Gid::from_raw(1000).as_raw());
        let output = site.namespace(0).run(async move { command.output().await }).await.unwrap().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(complaint.contains("user 1000 may not"), "{complaint}");
    }
    assert_eq!(site.command(0, &["status"]).await.0, 0);
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_and_tried_again_and_stops_nothing() {
    let lab = outrider::lab::Lab::new(1, crate::site::PROGRAM).await.unwrap();
    let host = &lab.hosts()[0];
    let address = (host.address(), 9112);
    let taken = host
        .namespace()
        .run(async move { tokio::net::TcpListener::bind(address).await })
        .await
        .unwrap()
        .unwrap();
    let balancer = host.start_balancer().await.unwrap();
    let agent = host.start_agent(&[("OUTRIDER_VIP", &VIP.to_string())]).await.unwrap();
    agent.wait_for_line("the status cannot be served at", SOON).await.unwrap();
    agent.wait_for_line("-> Active", SOON).await.unwrap();
    drop(taken);
    agent.wait_for_line("status at http://", SOON).await.unwrap();
    drop(balancer);
}
