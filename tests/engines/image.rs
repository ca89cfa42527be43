//! What the image is, and how its first process behaves.

use crate::images::{AGENT, BALANCER, TOOLS};
use crate::site::{Bounds, Published, Site, may_run_engines};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

const MOST: u64 = 12 * 1000 * 1000;

#[tokio::test]
async fn the_image_is_one_program_and_its_certificates() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::bare(1, Published::ByProxy).await?;
    let image = site.inspect(0, AGENT).await?;
    let size = image["Size"].as_u64().context("a size")?;
    println!("{size} bytes");
    ensure!(size <= MOST, "{size} bytes");
    let config = &image["Config"];
    ensure!(config["Entrypoint"] == serde_json::json!(["/outrider"]), "{config}");
    ensure!(config["StopSignal"] == "SIGTERM", "{config}");
    ensure!(
        config["Healthcheck"]["Test"] == serde_json::json!(["CMD", "/outrider", "status", "--healthz"]),
        "{config}"
    );
    let labels = &config["Labels"];
    ensure!(labels["org.opencontainers.image.version"] == env!("CARGO_PKG_VERSION"), "{labels}");
    ensure!(labels["org.opencontainers.image.licenses"] == env!("CARGO_PKG_LICENSE"), "{labels}");

    // What is in it, without what Docker puts into every container.
    site.docker(0, &["create", "--name", "files", AGENT]).await?;
    let files = site.shell(0, "docker export files | tar t | grep -v '/$'").await?;
    let dockers = [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"];
    let ours: Vec<&str> = files.lines().filter(|file| !dockers.contains(file)).collect();
    ensure!(ours == ["etc/ssl/certs/ca-certificates.crt", "outrider"], "{ours:?}");
    let version = site.docker(0, &["run", "--rm", AGENT, "--version"]).await?;
    ensure!(version.trim() == concat!("outrider ", env!("CARGO_PKG_VERSION")), "{version}");

    // The other one has a shell as well, and runs under the same restrictions.
    let shell = ["run", "--rm", "--read-only", "--cap-drop", "ALL", "--entrypoint", "sh", TOOLS, "-c"];
    let said =
        site.docker(0, &[&shell[..], &["outrider --version && wget --help && nc --help"]].concat()).await?;
    ensure!(said.contains(version.trim()) && said.contains("Retrieve files"), "{said}");
    let size = site.inspect(0, TOOLS).await?["Size"].as_u64().context("a size")?;
    ensure!(size <= MOST, "{size} bytes");
    Ok(())
}

/// The README's lines for plain Docker hosts, and what comes of them.
#[tokio::test]
async fn the_compose_file_gives_no_right_that_is_not_needed() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::bare(2, Published::ByProxy).await?;
    for host in 0..2 {
        site.up_balancer(host, BALANCER).await?;
        let said = site.compose(host, &["run", "--rm", "outrider", "check-config"]).await?;
        ensure!(said.contains("installed as  10.10.10.2/32 "), "{said}");
        site.up_agent(host, AGENT).await?;
        let said = site.compose(host, &["logs"]).await?;
        ensure!(said.contains("INFO outrider"), "{said}");
    }
    let holder = site.settle().await?;

    let pid = site.inspect(holder, "outrider").await?["State"]["Pid"].as_u64().context("a process")?;
    let status = site.shell(holder, &format!("cat /proc/{pid}/status")).await?;
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    // NET_ADMIN is bit 12, NET_RAW 13; SETGID 6 and SETUID 7 were used up.
    for set in ["CapEff:", "CapPrm:"] {
        ensure!(line(set) == "0000000000003000", "{status}");
    }
    ensure!(line("CapInh:") == "0000000000000000" || line("CapInh:") == "0000000000003000", "{status}");
    ensure!(line("CapBnd:") == "00000000000030c0", "{status}");
    ensure!(line("NoNewPrivs:") == "1", "{status}");
    ensure!(line("Uid:").split_whitespace().all(|uid| uid == "65534"), "{status}");
    ensure!(line("NSpid:").ends_with("\t1"), "{status}");

    // Docker has looked after the interval of ten seconds.
    let begun = Instant::now();
    loop {
        let health = site.inspect(holder, "outrider").await?["State"]["Health"].clone();
        if health["Status"] == "healthy" {
            break;
        }
        ensure!(health["FailingStreak"] == 0 && begun.elapsed() < Duration::from_secs(40), "{health}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    // The file that was edited is read on this signal, and nothing moves.
    let since = Instant::now();
    site.docker(holder, &["kill", "--signal", "HUP", "outrider"]).await?;
    site.wait_for_line(holder, "outrider", "the settings").await?;
    site.assert_account("SIGHUP", since, Bounds::NOTHING).await?;

    // Before a host is rebooted, and after.
    let since = Instant::now();
    site.compose(holder, &["exec", "-T", "outrider", "/outrider", "drain"]).await?;
    site.successor(holder).await?;
    site.compose(holder, &["exec", "-T", "outrider", "/outrider", "undrain"]).await?;
    site.settle().await?;
    site.assert_account("drained", since, Bounds::HAND_OVER).await?;
    site.take_down().await
}

/// What checks leave behind, and `docker exec`, belongs to the first process of the container: to the agent.
#[tokio::test]
async fn the_dead_are_collected() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::bare(1, Published::ByProxy).await?;
    // What has a session of its own before its parent ends is spared when the check's process group is killed.
    let check = "OUTRIDER_CHECK=exec:/bin/sh -c \"setsid sh -c 'sleep 1 & exit 0' && exit 0\"";
    let mut run = vec!["run", "-d", "--name", "tools", "--network", "host", "--read-only"];
    run.extend(["--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "NET_RAW"]);
    run.extend(["-e", "OUTRIDER_VIP=10.10.10.2", "-e", "OUTRIDER_PEERS=10.10.10.12"]);
    run.extend(["-e", "OUTRIDER_CHECK_INTERVAL=100ms", "-e", check, TOOLS]);
    site.docker(0, &run).await?;
    site.wait_for_line(0, "tools", "-> Backup: this host takes part and can serve").await?;
    site.docker(0, &["exec", "tools", "sh", "-c", "setsid sleep 1 & setsid sleep 2 & exit 0"]).await?;
    // Some twenty more checks, of which half are dead.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let processes = site.docker(0, &["exec", "tools", "ps", "-o", "pid,ppid,stat,args"]).await?;
    let fields = processes.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let fields: Vec<Vec<&str>> = fields.filter(|fields| fields.len() > 3).collect();
    ensure!(fields.iter().any(|fields| fields[..2] == ["1", "0"] && fields[3] == "/outrider"), "{processes}");
    ensure!(fields.iter().any(|fields| fields[1] == "1"), "the checks leave nothing behind: {processes}");
    // One may just have died.
    let dead = fields.iter().filter(|fields| fields[2].starts_with('Z')).count();
    ensure!(dead <= 1, "{processes}");
    let begun = Instant::now();
    site.docker(0, &["stop", "tools"]).await?;
    ensure!(begun.elapsed() < Duration::from_secs(9), "it had to be killed");
    ensure!(site.inspect(0, "tools").await?["State"]["ExitCode"] == 0);
    Ok(())
}
