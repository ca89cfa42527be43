//! The test bed: two hosts with haproxy and an agent each, a switch, a client. The same for every contender.

use super::agent;
use super::contender::{self, Agent, Contender, Standing};
use super::load::{Load, SHORT, SLOW};
use anyhow::{Context, Result, bail, ensure};
use outrider::lab::process::Process;
use outrider::lab::watch::Change;
use outrider::lab::{Host, Lab, VIP};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

/// How long the backend of the slow requests takes.
pub const SLOW_ANSWER: Duration = Duration::from_millis(50);
/// All is well when it has been so for this long.
const CALM: Duration = Duration::from_millis(250);
/// Enough for anything that works.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);

/// Two hosts, and everything that runs on them.
pub struct Bed {
    agents: Vec<Agent>,
    balancers: Vec<Process>,
    pub contender: Contender,
    pub short: Load,
    pub slow: Load,
    pub lab: Lab,
    folder: tempfile::TempDir,
}

impl Bed {
    /// Builds it; no agent runs yet.
    pub async fn new() -> Result<Self> {
        let lab = Lab::new(2, agent::outrider()).await?;
        lab.client().stop();
        let folder = tempfile::tempdir()?;
        let mut balancers = Vec::new();
        for host in lab.hosts() {
            fs::create_dir(folder.path().join(host.name()))?;
            host.namespace().run(serve_slowly(host.name().to_owned())).await??;
            let config = folder.path().join(host.name()).join("haproxy.cfg");
            fs::write(&config, haproxy_config(host.name()))?;
            balancers.push(haproxy(host, &config).await?);
        }
        let short = Load::start(lab.client_namespace(), SHORT);
        let slow = Load::start(lab.client_namespace(), SLOW);
        let (agents, contender) = (Vec::new(), Contender::Outrider);
        Ok(Self { agents, balancers, contender, short, slow, lab, folder })
    }

    /// Puts everything in order and starts a contender's agents; one of them holds the address at the end.
    pub async fn enter(&mut self, contender: Contender) -> Result<()> {
        // Frozen ones too.
        self.agents.clear();
        self.contender = contender;
        for host in self.lab.hosts() {
            take_away(host).await?;
            // Whatever a run that failed has left behind.
            let _ = host.restore().await;
            let _ = host.rejoin().await;
        }
        for index in 0..self.balancers.len() {
            self.balancer(index)?.cont()?;
            if self.balancer(index)?.exit_status().is_some() {
                self.start_balancer(index).await?;
            }
        }
        for index in 0..self.lab.hosts().len() {
            let agent = self.new_agent(index).await?;
            self.agents.push(agent);
        }
        self.settle().await.map(drop)
    }

    /// Waits until one host holds the address and answers everything, and the other is ready. Tells the holder.
    pub async fn settle(&self) -> Result<usize> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(holder) = self.settled()? {
                return Ok(holder);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("not settled after {PATIENCE:?}: {}", self.describe()?)
    }

    fn settled(&self) -> Result<Option<usize>> {
        let holders = self.lab.watcher().holders(VIP.into())?;
        let [holder] = holders[..] else { return Ok(None) };
        let standing = |(index, agent): (usize, &Agent)| {
            agent.standing() == if index == holder { Standing::Active } else { Standing::Backup }
        };
        let calm = self.short.steady(CALM) == Some(holder) && self.slow.steady(CALM) == Some(holder);
        Ok((calm && self.agents.iter().enumerate().all(standing)).then_some(holder))
    }

    /// What is known of everything, for a message.
    pub fn describe(&self) -> Result<String> {
        let holders = self.lab.watcher().holders(VIP.into())?;
        let mut text = format!("holders {holders:?}, steady {:?}", self.short.steady(CALM));
        for (index, agent) in self.agents.iter().enumerate() {
            let ended = self.balancer(index)?.exit_status();
            let (standing, tail) = (agent.standing(), agent.process().tail(12));
            write!(text, "\nlb{}: {standing:?}, haproxy ended: {ended:?}\n{tail}", index + 1)?;
        }
        Ok(text)
    }

    /// What was said, and where the address went, from a moment on.
    pub fn trace(&self, since: Instant) -> String {
        let mut lines: Vec<(Instant, String)> = Vec::new();
        for (index, agent) in self.agents.iter().enumerate() {
            let said = agent.process().lines().into_iter().filter(|line| line.at >= since);
            lines.extend(said.map(|line| (line.at, format!("lb{} says: {}", index + 1, line.text))));
        }
        let changes: Vec<Change> = self.lab.watcher().subscribe().borrow().clone();
        lines.extend(changes.into_iter().filter(|change| change.at >= since).map(|change| {
            let deed = if change.held { "has" } else { "has no longer" };
            (change.at, format!("lb{} {deed} {}", change.host + 1, change.address))
        }));
        lines.sort_by_key(|(at, _)| *at);
        let line = |(at, text): &(Instant, String)| {
            format!("  {:9.1} ms  {text}\n", at.saturating_duration_since(since).as_secs_f64() * 1000.0)
        };
        lines.iter().map(line).collect()
    }

    pub fn host(&self, index: usize) -> Result<&Host> {
        self.lab.hosts().get(index).context("no such host")
    }

    pub fn agent(&self, index: usize) -> Result<&Agent> {
        self.agents.get(index).context("no such agent")
    }

    pub fn balancer(&self, index: usize) -> Result<&Process> {
        self.balancers.get(index).context("no such load balancer")
    }

    /// Starts a load balancer that has ended.
    pub async fn start_balancer(&mut self, index: usize) -> Result<()> {
        let config = self.folder(index)?.join("haproxy.cfg");
        let started = haproxy(self.host(index)?, &config).await?;
        *self.balancers.get_mut(index).context("no such load balancer")? = started;
        Ok(())
    }

    /// Starts an agent that has ended, on a host that has nothing left of the former one.
    pub async fn start_agent(&mut self, index: usize) -> Result<()> {
        take_away(self.host(index)?).await?;
        let agent = self.new_agent(index).await?;
        *self.agents.get_mut(index).context("no such agent")? = agent;
        Ok(())
    }

    /// Gives an agent an order, as a person would, and waits until it is carried out.
    pub async fn order(&self, index: usize, word: &str) -> Result<()> {
        let command = contender::command(&self.folder(index)?, word)?;
        let order = self.host(index)?.start(word, command).await?;
        let status = order.wait(PATIENCE).await?;
        ensure!(status.success(), "{word}: {status}: {}", order.tail(5));
        Ok(())
    }

    async fn new_agent(&self, index: usize) -> Result<Agent> {
        let (host, peer) = (self.host(index)?, self.host(1 - index)?);
        self.contender.start(host, peer, &self.folder(index)?).await
    }

    fn folder(&self, index: usize) -> Result<PathBuf> {
        Ok(self.folder.path().join(self.host(index)?.name()))
    }
}

/// What keepalived leaves behind when it is killed.
async fn take_away(host: &Host) -> Result<()> {
    let namespace = host.namespace();
    if namespace.has_address(VIP.into()).await? {
        namespace.remove_address(VIP.into()).await?;
    }
    Ok(())
}

async fn haproxy(host: &Host, config: &std::path::Path) -> Result<Process> {
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-db").arg("-f").arg(config);
    host.start("haproxy", command).await.context("apt-get install haproxy?")
}

fn haproxy_config(name: &str) -> String {
    format!(
        "global\n maxconn 4000\n\
         defaults\n mode http\n timeout connect 1s\n timeout client 30s\n timeout server 30s\n\
         frontend web\n bind :80\n\
         \x20http-request return status 200 content-type text/plain string {name} unless {{ path /slow }}\n\
         \x20default_backend slow\n\
         backend slow\n server local 127.0.0.1:9000\n"
    )
}

/// The backend: answers with the host's name after [`SLOW_ANSWER`], until the namespace ends.
async fn serve_slowly(name: String) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:9000").await?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
                name.len()
            );
            tokio::spawn(async move {
                let mut request = [0; 1024];
                if let Ok(1..) = stream.read(&mut request).await {
                    tokio::time::sleep(SLOW_ANSWER).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    Ok(())
}
