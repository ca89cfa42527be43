//! The same against haproxy, as it is killed, frozen, stopped, reloaded and started again.

use crate::support::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrider::config::{CheckSettings, Target};
use outrider::core::Outcome;
use std::process::{Command as StdCommand, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A running haproxy; killed when dropped.
struct Haproxy {
    port: u16,
    folder: TempDir,
    process: Child,
}

impl Haproxy {
    async fn start(defaults: &str, bind: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), defaults, bind).await
    }

    async fn start_in(folder: TempDir, defaults: &str, bind: &str) -> Self {
        let port = free_port();
        let config = format!(
            "defaults\n mode http\n timeout connect 1s\n timeout client 30s\n timeout server 30s\n{defaults}\n\
             frontend all\n bind 127.0.0.1:{port} {bind}\n http-request return status 200\n"
        );
        std::fs::write(folder.path().join("haproxy.cfg"), config).unwrap();
        let process = Self::process(&folder, &[]);
        let mut haproxy = Haproxy { port, folder, process };
        haproxy.until_listening().await;
        haproxy
    }

    fn process(folder: &TempDir, arguments: &[String]) -> Child {
        Command::new("haproxy")
            .args(["-db", "-q", "-f", "haproxy.cfg"])
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("these tests need haproxy: apt-get install haproxy")
    }

    async fn until_listening(&mut self) {
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(begun.elapsed() < LIMIT && self.process.try_wait().unwrap().is_none(), "no haproxy");
            tokio::time::sleep(ms(5)).await;
        }
        wait_for("our own connections to be gone", || connections_to(self.port) == 0).await;
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().expect("it has ended") as i32), signal).unwrap();
    }

    /// What `systemctl reload haproxy` does: a new process that tells the old one to finish.
    async fn reload(&mut self) {
        let old = self.process.id().unwrap();
        let new = Self::process(&self.folder, &["-sf".into(), old.to_string()]);
        let mut old = std::mem::replace(&mut self.process, new);
        tokio::time::timeout(LIMIT, old.wait()).await.expect("the old process does not end").unwrap();
    }

    async fn restart(&mut self) {
        self.process.wait().await.unwrap();
        self.process = Self::process(&self.folder, &[]);
    }
}

/// The time from a signal to the report of death.
async fn death(haproxy: &Haproxy, run: &mut Run, signal: Signal) -> Duration {
    until_held(haproxy.port).await;
    run.drain();
    let begun = Instant::now();
    haproxy.signal(signal);
    let report = run.next().await;
    let took = begun.elapsed();
    assert_eq!(report.outcome, dead(format!("connection to 127.0.0.1:{} refused (twice)", haproxy.port)));
    assert!(took < ms(200), "{took:?}");
    took
}

#[tokio::test]
async fn a_killed_load_balancer_is_dead_within_milliseconds_and_comes_back() {
    let mut haproxy = Haproxy::start("", "").await;
    for target in [tcp(haproxy.port), http(haproxy.port)] {
        let mut run = Run::start(settings(NEVER), vec![target.clone()]);
        run.until_pass().await;
        for _ in 0..5 {
            let took = death(&haproxy, &mut run, Signal::SIGKILL).await;
            println!("{target:?}: killed, reported dead after {took:?}");
            // Nothing is held and nothing is scheduled: the knocking notices that it is back.
            haproxy.restart().await;
            let begun = Instant::now();
            run.until_pass().await;
            println!("{target:?}: started again, reported after {:?}", begun.elapsed());
        }
    }
}

/// SIGUSR1, with which haproxy's own image is stopped: no new connections, and the end when the last one has ended.
#[tokio::test]
async fn a_load_balancer_that_wants_to_end_is_not_kept_from_it() {
    let mut haproxy = Haproxy::start("", "").await;
    for target in [tcp(haproxy.port), http(haproxy.port)] {
        let mut run = Run::start(settings(ms(100)), vec![target]);
        run.until_pass().await;
        until_held(haproxy.port).await;
        haproxy.signal(Signal::SIGUSR1);
        let ended = tokio::time::timeout(ms(5000), haproxy.process.wait()).await;
        ended.expect("the held connection keeps it alive, up to its client time-out of 30 s").unwrap();
        haproxy.restart().await;
        run.until_pass().await;
        until_held(haproxy.port).await;
    }
}

#[tokio::test]
async fn a_stopped_load_balancer_is_dead_at_once() {
    let mut haproxy = Haproxy::start("", "").await;
    let mut run = Run::start(settings(NEVER), vec![http(haproxy.port)]);
    run.until_pass().await;
    let took = death(&haproxy, &mut run, Signal::SIGTERM).await;
    println!("terminated, reported dead after {took:?}");
    haproxy.process.wait().await.unwrap();
}

#[tokio::test]
async fn a_frozen_load_balancer_fails_until_it_thaws() {
    let haproxy = Haproxy::start("", "").await;
    let settings = CheckSettings { timeout: ms(200), ..settings(ms(100)) };
    let mut run = Run::start(settings, vec![http(haproxy.port)]);
    run.until_pass().await;
    haproxy.signal(Signal::SIGSTOP);
    let why = format!("no answer from http://127.0.0.1:{}/ within 200ms", haproxy.port);
    let report = run.until(|outcome| *outcome != Outcome::Pass).await;
    assert_eq!(report.outcome, fail(why.clone()));
    assert_eq!(run.next().await.outcome, fail(why));
    haproxy.signal(Signal::SIGCONT);
    run.until_pass().await;
}

#[tokio::test]
async fn reloads_go_unnoticed() {
    for bind in ["", "shards 4"] {
        let mut haproxy = Haproxy::start("", bind).await;
        let mut run = Run::start(settings(ms(10)), vec![tcp(haproxy.port), http(haproxy.port)]);
        run.until_pass().await;
        let mut looks = 0;
        for _ in 0..10 {
            all_pass(&mut run, &mut looks).await;
            haproxy.reload().await;
        }
        all_pass(&mut run, &mut looks).await;
        println!("{looks} looks during ten reloads, all of them passed");
    }
}

/// Reads reports, all of which must be passes, until both targets have been looked at.
async fn all_pass(run: &mut Run, looks: &mut usize) {
    let mut reports = run.drain();
    reports.push(run.next().await);
    reports.push(run.next().await);
    *looks += reports.len();
    for report in reports {
        assert_eq!(report.outcome, Outcome::Pass, "{:?}", report.target);
    }
}

/// haproxy's old process keeps idle clients until they leave or time out: the held connection must neither keep
/// it alive nor stay with it, or the new process's death would go unnoticed until the next look.
#[tokio::test]
async fn the_held_connection_follows_a_reload() {
    let mut haproxy = Haproxy::start("", "").await;
    // Longer than the test's other steps take, so that the report of death is due to the connection's end.
    let interval = ms(2000);
    let mut run = Run::start(settings(interval), vec![http(haproxy.port)]);
    run.until_pass().await;
    until_held(haproxy.port).await;
    let begun = Instant::now();
    haproxy.reload().await;
    assert!(begun.elapsed() < interval + ms(1000), "the old process lived on for {:?}", begun.elapsed());
    assert!(run.drain().iter().all(|report| report.outcome == Outcome::Pass));
    let took = death(&haproxy, &mut run, Signal::SIGKILL).await;
    println!("killed after a reload, reported dead after {took:?}");
}

#[tokio::test]
async fn a_short_time_out_for_idle_clients_is_borne() {
    let (log, _guard) = capture_log();
    let haproxy = Haproxy::start(" timeout http-request 2s", "").await;
    let mut run = Run::start(settings(ms(1000)), vec![http(haproxy.port)]);
    let begun = Instant::now();
    let mut looks = 0;
    while begun.elapsed() < ms(4500) {
        assert_eq!(run.next().await.outcome, Outcome::Pass);
        looks += 1;
    }
    assert!(looks <= 6, "{looks} looks: the held connection's end brought more of them");
    assert!(log.lock().unwrap().is_empty(), "something was logged");
    death(&haproxy, &mut run, Signal::SIGKILL).await;
}

#[tokio::test]
async fn certificates_are_verified_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let made = StdCommand::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder.path())
        .output()
        .expect("this test needs openssl: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
    std::fs::write(folder.path().join("both.pem"), read("certificate.pem") + &read("key.pem")).unwrap();
    let haproxy = Haproxy::start_in(folder, "", "ssl crt both.pem").await;

    let url = format!("https://127.0.0.1:{}/", haproxy.port);
    let target = Target::Http { url: url.clone() };
    let Outcome::Fail(why) = outcome(target.clone()).await else { panic!("not a failure") };
    assert!(why.starts_with(&format!("{url}: invalid peer certificate")), "{why}");
    assert!(why.ends_with("OUTRIDER_CHECK_TLS_VERIFY=false accepts any certificate"), "{why}");

    let plain = outcome(http(haproxy.port)).await;
    assert_ne!(plain, Outcome::Pass, "a TLS port does not answer in HTTP");

    let lenient = CheckSettings { tls_verify: false, ..settings(NEVER) };
    let mut run = Run::start(lenient, vec![target]);
    assert_eq!(run.next().await.outcome, Outcome::Pass);
    death(&haproxy, &mut run, Signal::SIGKILL).await;
}
