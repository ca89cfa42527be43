//! The harness itself: what the demo and the other tests rely on. Needs root, or a user namespace (tests/run).
#![cfg(feature = "lab")]

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use nix::sys::signal::Signal;
use outrider::lab::metadata::Fault;
use outrider::lab::namespace::Namespace;
use outrider::lab::watch::Change;
use outrider::lab::{Host, Lab, VIP, tool};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");
const SOON: Duration = Duration::from_secs(10);

async fn hold(host: &Host) -> Result<()> {
    host.namespace().add_address("eth0", std::net::IpAddr::from(VIP).into()).await
}

async fn release(host: &Host) -> Result<()> {
    host.namespace().remove_address(VIP.into()).await
}

/// What a gratuitous ARP does for a client.
async fn forget_neighbours(namespace: &Namespace) -> Result<()> {
    let forget = namespace.run(async {
        let (connection, netlink, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let all: Vec<_> = netlink.neighbours().get().execute().try_collect().await?;
        for entry in all {
            // Permanent entries of multicast addresses stay.
            let _ = netlink.neighbours().del(entry).execute().await;
        }
        anyhow::Ok(())
    });
    forget.await?
}

#[tokio::test]
async fn the_client_tells_who_answered_and_what_was_lost() -> Result<()> {
    let lab = Lab::new(2, PROGRAM).await?;
    let [one, two] = lab.hosts() else { panic!("two hosts") };
    let first_balancer = one.start_balancer().await?;
    let _second_balancer = two.start_balancer().await?;
    assert!(lab.wait_for_holder(Duration::from_millis(50)).await.is_err(), "nobody has the address yet");
    hold(one).await?;
    assert_eq!(lab.wait_for_holder(SOON).await?, 0);
    assert_eq!(lab.holders().await?, [0]);

    // What the client asked before may have been lost.
    lab.client().wait_for_answer_by("lb1", SOON).await?;
    let calm = Instant::now();
    lab.client().wait_for_answer_by("lb1", SOON).await?;
    let outage = lab.client().outage(calm).await?;
    assert_eq!((outage.lost, outage.by.as_deref()), (0, Some("lb1")));

    let since = Instant::now();
    first_balancer.kill9()?;
    assert_eq!(first_balancer.wait(SOON).await?.signal(), Some(9));
    let dead = Instant::now();
    release(one).await?;
    hold(two).await?;
    forget_neighbours(lab.client_namespace()).await?;
    assert_eq!(lab.wait_for_successor(0, SOON).await?, 1);
    let took = since.elapsed();
    let alive = dead.elapsed();
    let outage = lab.client().outage(since).await?;
    assert!(outage.lost >= 1, "{outage:?}");
    assert!(outage.longest <= took + alive + Duration::from_millis(500), "{outage:?} in {took:?}");
    assert_eq!(outage.by.as_deref(), Some("lb2"));
    Ok(())
}

#[tokio::test]
async fn the_watcher_adds_up_the_time_with_two_holders_and_with_none() -> Result<()> {
    let lab = Lab::new(2, PROGRAM).await?;
    let [one, two] = lab.hosts() else { panic!("two hosts") };
    let mut changes = lab.watcher().subscribe();
    let start = Instant::now();
    // Each host's changes are read by themselves: the next one is made when the last was noted.
    let mut noted = lab.watcher().subscribe();
    let mut number = 0;
    let mut note = async || {
        number += 1;
        let of_vip = |changes: &Vec<Change>| changes.iter().filter(|change| change.address == VIP).count();
        tokio::time::timeout(SOON, noted.wait_for(|changes| of_vip(changes) == number)).await?.map(drop)?;
        anyhow::Ok(())
    };
    hold(one).await?;
    note().await?;
    hold(two).await?;
    note().await?;
    let pause = Duration::from_millis(30);
    tokio::time::sleep(pause).await;
    release(one).await?;
    note().await?;
    release(two).await?;
    note().await?;
    hold(one).await?;
    let seen = tokio::time::timeout(
        SOON,
        changes.wait_for(|changes| changes.iter().filter(|change| change.address == VIP).count() == 5),
    );
    let seen = seen.await.context("five changes")??.clone();
    let of_vip: Vec<_> = seen.iter().filter(|change| change.address == VIP).collect();
    let order: Vec<_> = of_vip.iter().map(|change| (change.host, change.held)).collect();
    assert_eq!(order, [(0, true), (1, true), (0, false), (1, false), (0, true)]);

    let holding = lab.watcher().holding(VIP.into(), start)?;
    assert!(holding.two >= pause && holding.two < pause * 10, "{holding:?}");
    assert_eq!(holding.two, of_vip[2].at - of_vip[1].at);
    assert_eq!(holding.none, (of_vip[0].at - start) + (of_vip[4].at - of_vip[3].at));
    assert_eq!(holding.now, [0]);
    assert_eq!(lab.watcher().lost(0, VIP.into(), start)?, Some(of_vip[2].at));
    let later = lab.watcher().holding(VIP.into(), of_vip[4].at)?;
    assert_eq!((later.two, later.none), (Duration::ZERO, Duration::ZERO));
    Ok(())
}

#[tokio::test]
async fn a_cut_host_loses_its_carrier_and_an_isolated_one_only_its_frames() -> Result<()> {
    let lab = Lab::new(1, PROGRAM).await?;
    let host = &lab.hosts()[0];
    let _balancer = host.start_balancer().await?;
    hold(host).await?;
    lab.wait_for_holder(SOON).await?;

    host.cut().await?;
    assert_eq!(carrier(host).await?, "0");
    let since = Instant::now();
    assert!(lab.client().wait_for_answer_by("lb1", Duration::from_millis(100)).await.is_err());
    let outage = lab.client().outage(since).await?;
    assert!(outage.lost > 0 && outage.longest > Duration::from_millis(50), "{outage:?}");
    host.restore().await?;
    lab.client().wait_for_answer_by("lb1", SOON).await?;
    assert_eq!(carrier(host).await?, "1");

    host.isolate().await?;
    assert_eq!(carrier(host).await?, "1");
    assert!(lab.client().wait_for_answer_by("lb1", Duration::from_millis(100)).await.is_err());
    host.rejoin().await?;
    lab.client().wait_for_answer_by("lb1", SOON).await
}

/// Whether the card has a carrier, as a process on the host sees it.
async fn carrier(host: &Host) -> Result<String> {
    host.namespace()
        .run(async {
            let (connection, netlink, _) = rtnetlink::new_connection()?;
            tokio::spawn(connection);
            let mut links = netlink.link().get().match_name("eth0".to_string()).execute();
            let link = links.try_next().await?.context("eth0")?;
            let up = link.header.flags.contains(netlink_packet_route::link::LinkFlags::LowerUp);
            anyhow::Ok(if up { "1" } else { "0" }.to_string())
        })
        .await?
}

#[tokio::test]
async fn each_host_has_its_name_its_metadata_and_port_80_besides() -> Result<()> {
    let mut lab = Lab::new(1, PROGRAM).await?;
    assert_eq!(lab.add_host().await?, 1);
    for host in lab.hosts() {
        assert_eq!(host.namespace().run_command("hostname", &[]).await?.trim(), host.name());
        let _balancer = host.start_balancer().await?;
        for (address, path, wanted) in [
            ("169.254.169.250:80", "/2016-07-29/self/host/agent_ip", host.address().to_string()),
            ("127.0.0.1:80", "/", host.name().to_string()),
        ] {
            let answer = host.namespace().run(async move {
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.map(|_| answer)
            });
            let answer = answer.await??;
            assert!(answer.ends_with(&format!("\r\n\r\n{wanted}")), "{address}{path}: {answer}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_metadata_service_refuses_and_comes_back_beside_a_load_balancer() -> Result<()> {
    let lab = Lab::new(1, PROGRAM).await?;
    let host = &lab.hosts()[0];
    let _balancer = host.start_balancer().await?;
    for (fault, listens) in [(Fault::Refuse, false), (Fault::None, true)] {
        host.metadata().set_fault(fault);
        let start = Instant::now();
        while host.namespace().run(TcpStream::connect("169.254.169.250:80")).await?.is_ok() != listens {
            anyhow::ensure!(start.elapsed() < SOON, "listens: {}", !listens);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_process_is_heard_signalled_and_killed_with_its_handle() -> Result<()> {
    let lab = Lab::new(1, PROGRAM).await?;
    let mut command = Command::new("sh");
    command.args(["-c", "trap 'echo bye; exit 3' TERM; echo hello >&2; while :; do sleep 0.01; done"]);
    let process = lab.hosts()[0].start("a shell", command).await?;
    process.wait_for_line("hello", SOON).await?;
    assert!(process.wait_for_line("bye", Duration::from_millis(20)).await.is_err());
    let before = Instant::now();
    process.signal(Signal::SIGTERM)?;
    let line = process.wait_for_line_since(before, "bye", SOON).await?;
    assert!(line.at >= before);
    assert_eq!(process.wait(SOON).await?.code(), Some(3));
    assert!(process.wait_for_line("never said", SOON).await.is_err(), "an ended process is not waited for");

    let mut command = Command::new("sleep");
    command.arg("1000");
    let process = lab.hosts()[0].start("sleep", command).await?;
    let pid = process.pid();
    drop(process);
    until(|| Ok(!std::path::Path::new(&format!("/proc/{pid}/ns")).exists() || zombie(pid))).await
}

fn zombie(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

async fn until(condition: impl Fn() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        anyhow::ensure!(start.elapsed() < SOON, "in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_a_demo_that_is_killed() -> Result<()> {
    let mut demo = Demo::start(true).await?;
    demo.process.start_kill()?;
    demo.process.wait().await?;
    until(|| Ok(demo.processes()?.is_empty())).await
}

#[tokio::test]
async fn nothing_is_left_of_a_demo_after_ctrl_c() -> Result<()> {
    let mut demo = Demo::start(false).await?;
    let group = i32::try_from(demo.process.id().context("runs")?)?;
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), Signal::SIGINT)?;
    assert_eq!(demo.process.wait().await?.code(), Some(130));
    // At once: the prompt is not back before all is gone.
    assert_eq!(demo.processes()?, [] as [String; 0]);
    Ok(())
}

/// A demo in the middle of its work.
struct Demo {
    process: tokio::process::Child,
    namespace: PathBuf,
    _program: tempfile::TempDir,
}

impl Demo {
    /// Starts it, as an ordinary user if that is wanted and this is real root.
    async fn start(as_ordinary_user: bool) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let program = directory.path().join("outrider");
        tool::install(Path::new(PROGRAM), &program)?;
        // Whoever runs the tests in the background may have them ignore SIGINT.
        let mut command = Command::new("env");
        command
            .arg("--default-signal=INT")
            .arg(&program)
            .arg("demo")
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if as_ordinary_user && std::fs::read_to_string("/proc/self/uid_map")?.contains("4294967295") {
            command.uid(65534).gid(65534);
        }
        let mut process = command.spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("stdout")?).lines();
        while !lines.next_line().await?.context("the demo ended")?.contains("election") {}
        let parent = process.id().context("runs")?.to_string();
        let init = pids()?.into_iter().find(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // pid (comm) state ppid
            stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)) == Some(&parent)
        });
        let namespace = std::fs::read_link(format!("/proc/{}/ns/pid", init.context("no child")?))?;
        let demo = Self { process, namespace, _program: directory };
        until(|| Ok(demo.processes()?.len() >= 3)).await.context("init, the demo and a load balancer")?;
        Ok(demo)
    }

    /// What runs in its namespaces.
    fn processes(&self) -> Result<Vec<String>> {
        let inside = |pid: &String| {
            std::fs::read_link(format!("/proc/{pid}/ns/pid"))
                .is_ok_and(|namespace| namespace == self.namespace)
        };
        Ok(pids()?.into_iter().filter(inside).collect())
    }
}

fn pids() -> Result<Vec<String>> {
    let names = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect())
}

/// `outrider demo | head -1`: whoever reads no further is no reason to stop, or to complain.
#[tokio::test]
async fn a_demo_nobody_reads_goes_on() -> Result<()> {
    let mut demo = Demo::start(false).await?;
    let ended = tokio::time::timeout(Duration::from_secs(60), demo.process.wait()).await??;
    assert_eq!(ended.code(), Some(0));
    Ok(())
}
