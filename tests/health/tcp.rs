//! TCP checks, and what goes for every kind of check.

use crate::support::*;
use outrider::config::{CheckSettings, Target};
use outrider::core::Outcome;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::time::sleep;

#[tokio::test]
async fn a_connection_that_stays_open_passes() {
    let server = Server::start(|mut stream, _| async move { until_closed(&mut stream).await }).await;
    let report = look(settings(NEVER), tcp(server.port)).await;
    assert_eq!(report.outcome, Outcome::Pass);
    assert_eq!(report.target, tcp(server.port));
    assert!(report.took >= ms(50), "it was watched for 50 ms");
    assert!(report.at <= now() && report.at + ms(1000) > now(), "{:?}", report.at);
}

#[tokio::test]
async fn nobody_listening_is_dead() {
    let port = free_port();
    let report = look(settings(NEVER), tcp(port)).await;
    assert_eq!(report.outcome, dead(format!("connection to 127.0.0.1:{port} refused (twice)")));
    assert!(report.took >= ms(1), "it was asked again, a moment later");
}

#[tokio::test]
async fn closing_at_once_is_dead() {
    let server = Server::start(|stream, _| async move { drop(stream) }).await;
    let why = format!("127.0.0.1:{} accepts connections and closes them at once (twice)", server.port);
    assert_eq!(outcome(tcp(server.port)).await, dead(why));
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn closing_with_a_reset_after_a_greeting_is_dead() {
    let server = Server::start(|mut stream, _| async move {
        let _ = stream.write_all(b"421 go away\r\n").await;
        sleep(ms(10)).await;
        let _ = stream.set_zero_linger();
    })
    .await;
    assert!(matches!(outcome(tcp(server.port)).await, Outcome::Dead(_)));
}

#[tokio::test]
async fn closing_once_is_forgiven() {
    let server = Server::start(|mut stream, n| async move {
        if n > 0 {
            until_closed(&mut stream).await;
        }
    })
    .await;
    assert_eq!(outcome(tcp(server.port)).await, Outcome::Pass);
}

#[tokio::test]
async fn closing_after_a_while_passes() {
    let server = Server::start(|stream, _| async move {
        sleep(ms(200)).await;
        drop(stream);
    })
    .await;
    assert_eq!(outcome(tcp(server.port)).await, Outcome::Pass);
}

#[tokio::test]
async fn no_route_fails_without_being_certain_death() {
    let target = Target::Tcp { host: "255.255.255.255".into(), port: 80 };
    let Outcome::Fail(why) = outcome(target).await else { panic!("not a failure") };
    assert!(why.starts_with("no connection to 255.255.255.255:80: "), "{why}");
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_times_out() {
    // A full backlog drops further SYNs.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(ms(100), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let settings = CheckSettings { timeout: ms(150), ..settings(NEVER) };
    let report = look(settings, tcp(address.port())).await;
    assert_eq!(report.outcome, fail(format!("no connection to {address} within 150ms")));
    assert!(report.took < ms(2000), "{:?}", report.took);
}

#[tokio::test]
async fn names_are_resolved() {
    let server = Server::start(|mut stream, _| async move { until_closed(&mut stream).await }).await;
    let named = Target::Tcp { host: "localhost".into(), port: server.port };
    assert_eq!(outcome(named).await, Outcome::Pass);

    let unknown = Target::Tcp { host: "no-such-host.invalid".into(), port: 80 };
    let Outcome::Fail(why) = outcome(unknown).await else { panic!("not a failure") };
    assert!(why.contains("no-such-host.invalid:80"), "{why}");
}

#[tokio::test]
async fn ipv6_is_written_with_brackets() {
    // A port that is free on ::1 as well, as far as anybody here is concerned.
    let port = free_port();
    for host in ["::1", "[::1]"] {
        let report = look(settings(NEVER), Target::Tcp { host: host.into(), port }).await;
        let (Outcome::Dead(why) | Outcome::Fail(why)) = report.outcome else { panic!("it passed") };
        assert!(why.contains(&format!("connection to [::1]:{port}")), "{why}");
    }
}

/// docker-proxy's ways: accepts whatever comes, and closes it when the connect to what is behind it fails.
#[tokio::test]
async fn death_behind_docker_proxy_is_noticed_at_once() {
    let behind = Server::start(|mut stream, _| async move { until_closed(&mut stream).await }).await;
    let port = behind.port;
    let proxy = Server::start(move |mut client, _| async move {
        if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    })
    .await;
    let mut run = Run::start(settings(NEVER), vec![tcp(proxy.port)]);
    run.until_pass().await;
    until_held(proxy.port).await;
    let killed = std::time::Instant::now();
    drop(behind);
    let report = run.next().await;
    println!("death behind docker-proxy reported after {:?}", killed.elapsed());
    assert!(matches!(report.outcome, Outcome::Dead(_)), "{report:?}");
    assert!(killed.elapsed() < ms(200), "{:?}", killed.elapsed());
}

/// Where nobody listens on a port of the ephemeral range, the kernel may give that very port to the one who
/// connects, and the connection leads to itself. A network namespace with one ephemeral port makes it certain;
/// the test runs itself again in there.
#[tokio::test]
async fn a_connection_to_itself_is_no_load_balancer() {
    if std::env::var_os("OUTRIDER_TEST_ONE_PORT").is_none() {
        let script = "ip link set lo up && echo 40000 40000 > /proc/sys/net/ipv4/ip_local_port_range && \
            exec \"$0\" --exact tcp::a_connection_to_itself_is_no_load_balancer --nocapture";
        let output = std::process::Command::new("unshare")
            .args(["-Urn", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .env("OUTRIDER_TEST_ONE_PORT", "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let itself = TcpStream::connect("127.0.0.1:40000").await.expect("the trap is not set");
    assert_eq!(itself.local_addr().unwrap(), itself.peer_addr().unwrap());
    itself.set_zero_linger().unwrap();
    drop(itself);
    assert!(matches!(outcome(tcp(40000)).await, Outcome::Dead(_)));
    assert_ne!(outcome(http(40000)).await, Outcome::Pass);
}
