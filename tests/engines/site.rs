//! Hosts with a Docker engine each, on which deploy/docker-compose.yml and a load balancer run.

use crate::engine::{Engine, REGISTRY, SOON, check_programs, run};
use crate::images::{self, AGENT, BALANCER};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use nix::sys::signal::Signal;
use outrider::lab::client::{Outcome, Request};
use outrider::lab::watch::Change;
use outrider::lab::{Host, Lab, VIP};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

/// One site at a time: they measure time, and there are two processors.
static ALONE: Mutex<()> = Mutex::const_new(());

/// When the client of the lab gives a request up, and what a timer may be late on a machine that is not overloaded.
const TIME_LIMIT: Duration = Duration::from_millis(520);
/// No change for so long: all is well.
const CALM: Duration = Duration::from_millis(300);

/// How docker gets connections from this machine to a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// By a process, docker-proxy, as is the default.
    ByProxy,
    /// By netfilter alone, as Rancher has it.
    ByNetfilter,
}

/// The hosts.
pub struct Site {
    engines: Vec<Engine>,
    pub lab: Lab,
    /// What load balancers are stopped with from now on.
    pub stop_signal: &'static str,
    start: Instant,
    _alone: MutexGuard<'static, ()>,
}

/// What somebody who asks the address went through, and how many had it meanwhile.
#[derive(Clone, Debug)]
pub struct Account {
    /// Requests that were lost.
    pub lost: usize,
    /// Those of them to which there was no answer at all; the others were refused or cut off.
    pub silent: usize,
    /// Longest time between two moments at which requests were sent that were answered, with a lost one in between.
    pub outage: Duration,
    /// Time with two holders, all added up.
    pub two: Duration,
    /// Time without a holder, all added up.
    pub none: Duration,
}

/// The most that may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    two: Duration,
    none: Duration,
    outage: Duration,
}

impl Bounds {
    /// Nothing at all.
    pub const NOTHING: Bounds = Bounds::of(0, 0, 0);
    /// Both have the address for a moment. On a busy machine a request takes longer than that, and is cut off.
    pub const HAND_OVER: Bounds = Bounds::of(500, 0, 100);
    /// The holder's agent notices, and hands over.
    pub const NOTICED: Bounds = Bounds::of(500, 500, 1000);
    /// The next check notices, within a second.
    pub const CHECKED: Bounds = Bounds::of(500, 500, 2000);
    /// Its peers notice its silence after 0.6 s; the kernel keeps what it had for a lease of a second and what it adds.
    pub const SILENCE: Bounds = Bounds::of(2500, 2500, 2500);

    /// The same, but the agent is there again at once, and what it left stays until another host has it: no gap, but
    /// that of a busy machine. Removed at its start, it would be missed for 130 ms and more.
    pub const CRASHED: Bounds = Bounds::of(2500, 100, 1000);

    const fn of(two: u64, none: u64, outage: u64) -> Bounds {
        let ms = Duration::from_millis;
        Bounds { two: ms(two), none: ms(none), outage: ms(outage) }
    }
}

impl Site {
    /// Hosts with an engine that has the images, and nothing that runs on it.
    pub async fn bare(hosts: usize, published: Published) -> Result<Site> {
        check_programs()?;
        let alone = ALONE.lock().await;
        let archive = images::archive().await?;
        let lab = Lab::new(hosts, env!("CARGO_BIN_EXE_outrider")).await?;
        let options: &[&str] = match published {
            // The registry has no certificate here.
            Published::ByProxy => &["--insecure-registry", REGISTRY],
            Published::ByNetfilter => &["--userland-proxy=false"],
        };
        let engines = try_join_all(lab.hosts().iter().map(async |host| {
            // That of the lab leads to its metadata; the engine makes its own.
            host.namespace().run_command("ip", &["link", "delete", "docker0"]).await?;
            let engine = Engine::start(host.namespace(), options).await?;
            engine.docker(host.namespace(), &["load", "-i", archive.to_str().context("path")?]).await?;
            anyhow::Ok(engine)
        }));
        let engines = engines.await?;
        let site = Site { engines, lab, stop_signal: "SIGTERM", start: Instant::now(), _alone: alone };
        for host in 0..hosts {
            site.write_environment(host)?;
        }
        Ok(site)
    }

    /// The whole set-up on each of them, as the README says; all is well.
    pub async fn new(hosts: usize, published: Published) -> Result<Site> {
        let site = Site::bare(hosts, published).await?;
        let up = async |host| {
            site.up_balancer(host, BALANCER).await?;
            site.up_agent(host, AGENT).await
        };
        try_join_all((0..hosts).map(up)).await?;
        site.settle().await?;
        Ok(site)
    }

    pub fn host(&self, host: usize) -> &Host {
        &self.lab.hosts()[host]
    }

    /// `docker` on a host.
    pub async fn docker(&self, host: usize, arguments: &[&str]) -> Result<String> {
        self.engines[host].docker(self.host(host).namespace(), arguments).await
    }

    /// `docker inspect` of something on a host.
    pub async fn inspect(&self, host: usize, what: &str) -> Result<serde_json::Value> {
        let said = self.docker(host, &["inspect", what]).await?;
        let mut all: Vec<serde_json::Value> = serde_json::from_str(&said).context(said)?;
        all.pop().context("nothing to inspect")
    }

    /// Where a host's copy of deploy/ is.
    pub fn deploy(&self, host: usize) -> PathBuf {
        self.engines[host].folder().join("deploy")
    }

    /// The two files of deploy/, filled in as the README says.
    fn write_environment(&self, host: usize) -> Result<()> {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        let deploy = self.deploy(host);
        std::fs::create_dir_all(&deploy)?;
        std::fs::copy(from.join("docker-compose.yml"), deploy.join("docker-compose.yml"))?;
        let peers: Vec<String> = self.lab.hosts().iter().map(|host| host.address().to_string()).collect();
        let mut text = std::fs::read_to_string(from.join("outrider.env"))?;
        for (name, value) in [("OUTRIDER_VIP", VIP.to_string()), ("OUTRIDER_PEERS", peers.join(","))] {
            let open = format!("\n{name}=\n");
            ensure!(text.contains(&open), "outrider.env does not ask for {name}");
            text = text.replace(&open, &format!("\n{name}={value}\n"));
        }
        if let Ok(check) = std::env::var("CHECK") {
            text = text.replace("\nOUTRIDER_CHECK=\n", &format!("\nOUTRIDER_CHECK={check}\n"));
        }
        Ok(std::fs::write(deploy.join("outrider.env"), text)?)
    }

    /// `docker-compose -f deploy/docker-compose.yml` with these arguments.
    pub async fn compose(&self, host: usize, arguments: &[&str]) -> Result<String> {
        let mut command = self.engines[host].command("docker-compose");
        command.arg("-f").arg(self.deploy(host).join("docker-compose.yml")).args(arguments);
        run(self.host(host).namespace(), command, SOON).await
    }

    /// Starts the agent from this image, or moves it to this image, with docker-compose.
    pub async fn up_agent(&self, host: usize, image: &str) -> Result<()> {
        let file = self.deploy(host).join("docker-compose.yml");
        let text = std::fs::read_to_string(&file)?;
        let line = text.lines().find(|line| line.trim().starts_with("image:")).context("no image")?;
        std::fs::write(&file, text.replace(line, &format!("    image: {image}")))?;
        self.compose(host, &["up", "-d"]).await.map(drop)
    }

    /// The same for the load balancer.
    pub async fn up_balancer(&self, host: usize, image: &str) -> Result<()> {
        let mut command = self.engines[host].command("docker-compose");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/balancer.yml");
        command.arg("-f").arg(file).args(["-p", "balancer", "up", "-d"]);
        command.env("BALANCER", image).env("NAME", self.host(host).name());
        command.env("STOP_SIGNAL", self.stop_signal);
        run(self.host(host).namespace(), command, SOON).await.map(drop)
    }

    /// Ends a container's process as a crash would: Docker is not asked, and starts it again.
    pub async fn crash(&self, host: usize, container: &str) -> Result<()> {
        let pid = self.inspect(host, container).await?["State"]["Pid"].as_i64().context("no process")?;
        self.shell(host, &format!("kill -KILL {pid}")).await.map(drop)
    }

    /// A line of shell in the folder that has the host's copy of deploy/, as the README's are to be run.
    pub async fn beside_deploy(&self, host: usize, line: &str) -> Result<String> {
        self.shell(host, &format!("cd '{}' && {line}", self.engines[host].folder().display())).await
    }

    /// A line of shell on a host.
    pub async fn shell(&self, host: usize, line: &str) -> Result<String> {
        let mut command = self.engines[host].command("sh");
        command.args(["-c", line]);
        run(self.host(host).namespace(), command, SOON).await
    }

    /// Ends the engine of a host.
    pub async fn end_engine(&mut self, host: usize, signal: Signal) -> Result<()> {
        self.engines[host].end(signal).await
    }

    /// Starts the engine of a host again.
    pub async fn boot_engine(&mut self, host: usize) -> Result<()> {
        self.engines[host].boot(self.lab.hosts()[host].namespace()).await
    }

    /// Waits until one host holds the address, answers, and all agents say that they could hold it. Tells the holder.
    pub async fn settle(&self) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let holder = self.lab.wait_for_holder(SOON).await?;
            let mut well = true;
            for host in 0..self.engines.len() {
                well &= self.docker(host, &["exec", "outrider", "outrider", "status"]).await.is_ok();
            }
            let since = Instant::now();
            if well {
                tokio::time::sleep(CALM).await;
                let account = self.account(since).await?;
                if account.lost == 0 && self.lab.watcher().holders(VIP.into())? == [holder] {
                    return Ok(holder);
                }
            }
            ensure!(begun.elapsed() < SOON, "the hosts do not settle");
        }
    }

    /// Waits until another host has the address and answers. Tells which.
    pub async fn successor(&self, former: usize) -> Result<usize> {
        self.lab.wait_for_successor(former, SOON).await
    }

    /// What has happened since, as seen by the client and by the kernels.
    pub async fn account(&self, since: Instant) -> Result<Account> {
        self.lab.client().outage(since).await?;
        let requests = self.lab.client().requests();
        let requests: Vec<&Request> = requests.iter().filter(|request| request.sent >= since).collect();
        let (mut lost, mut silent, mut outage) = (0, 0, Duration::ZERO);
        let (mut answered, mut open) = (since, false);
        for request in requests {
            match request.outcome {
                Outcome::Answered(..) => {
                    if std::mem::take(&mut open) {
                        outage = outage.max(request.sent - answered);
                    }
                    answered = request.sent;
                }
                // Not those of a client that was starved: what it noticed late, it may have sent late as well.
                Outcome::Lost(at) if at.duration_since(request.sent) < TIME_LIMIT => {
                    open = true;
                    lost += 1;
                    silent += usize::from(at.duration_since(request.sent) > TIME_LIMIT / 2);
                }
                Outcome::Lost(_) | Outcome::Pending => {}
            }
        }
        if open {
            outage = outage.max(answered.elapsed());
        }
        let holding = self.lab.watcher().holding(VIP.into(), since)?;
        Ok(Account { lost, silent, outage, two: holding.two, none: holding.none })
    }

    /// Says what happened, and asserts that it was no more than this, and that one host has the address now.
    pub async fn assert_account(&self, what: &str, since: Instant, bounds: Bounds) -> Result<Account> {
        let account = self.account(since).await?;
        let at = self.start.elapsed().as_secs_f64();
        println!("{at:8.3} {what}: {account:.1?}");
        ensure!(account.two <= bounds.two, "{what}: two holders for too long: {account:?}");
        ensure!(account.none <= bounds.none, "{what}: no holder for too long: {account:?}");
        ensure!(account.outage <= bounds.outage, "{what}: no answer for too long: {account:?}");
        ensure!(account.silent <= account.lost, "{what}: {account:?}");
        let holders = self.lab.holders().await?;
        ensure!(holders.len() == 1, "{what}: holders {holders:?}");
        Ok(account)
    }

    /// How often a host got the address since.
    pub fn moves(&self, since: Instant) -> usize {
        let changes = self.lab.watcher().subscribe();
        let got = |change: &&Change| change.at >= since && change.address == VIP && change.held;
        changes.borrow().iter().filter(got).count()
    }

    /// Waits until Docker has started a container again so many times.
    pub async fn wait_for_restart(&self, host: usize, container: &str, times: u64) -> Result<()> {
        let begun = Instant::now();
        loop {
            let found = self.inspect(host, container).await?;
            if found["RestartCount"].as_u64() >= Some(times) && found["State"]["Running"] == true {
                return Ok(());
            }
            ensure!(begun.elapsed() < SOON, "{container} is not started again: {}", found["State"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a container has said so far.
    pub async fn log(&self, host: usize, container: &str) -> Result<String> {
        self.docker(host, &["logs", container]).await
    }

    /// Waits until a container has said something.
    pub async fn wait_for_line(&self, host: usize, container: &str, part: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let said = self.log(host, container).await?;
            if said.contains(part) {
                return Ok(());
            }
            ensure!(begun.elapsed() < SOON, "{container} does not say {part:?}:\n{said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a host's kernel has no address of ours.
    pub async fn wait_until_free(&self, host: usize) -> Result<()> {
        let begun = Instant::now();
        while self.host(host).namespace().has_address(VIP.into()).await? {
            ensure!(begun.elapsed() < SOON, "{} keeps the address", self.host(host).name());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Shown by the test harness if the test fails.
    fn describe(&self) {
        for (host, engine) in self.engines.iter().enumerate() {
            println!("lb{}:\n{}", host + 1, engine.describe());
        }
        for change in self.lab.watcher().subscribe().borrow().iter().filter(|change| change.address == VIP) {
            let deed = if change.held { "has" } else { "has lost" };
            println!("{:8.3} lb{} {deed} {VIP}", (change.at - self.start).as_secs_f64(), change.host + 1);
        }
    }

    /// Takes everything down as a person would, and asserts that nothing is left on any host.
    pub async fn take_down(self) -> Result<()> {
        self.describe();
        try_join_all((0..self.engines.len()).map(async |host| {
            self.compose(host, &["down"]).await?;
            self.docker(host, &["rm", "-f", "balancer"]).await?;
            let left = self.docker(host, &["ps", "-aq"]).await?;
            ensure!(left.is_empty(), "containers are left: {left}");
            self.wait_until_free(host).await?;
            let begun = Instant::now();
            loop {
                let left = self.engines[host].processes()?;
                if left.is_empty() {
                    return Ok(());
                }
                ensure!(begun.elapsed() < SOON, "processes are left: {left:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }))
        .await
        .map(drop)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.describe();
    }
}

/// Whether this is the machine's root, and not one of a user namespace, in whose rights no engine runs.
pub fn may_run_engines() -> bool {
    let may = std::fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295");
    if !may {
        println!("not tested: a Docker engine needs the machine's root (sudo -E tests/run)");
    }
    may
}
