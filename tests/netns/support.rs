//! A lab whose hosts run real agents and load balancers, and words for what is to be seen there.

use anyhow::{Context, Result, ensure};
use outrider::core::members::{Member, Membership, Standing};
use outrider::lab::client::{Outcome, Request};
use outrider::lab::metadata::Fault;
use outrider::lab::namespace::Namespace;
use outrider::lab::process::Process;
pub use outrider::lab::tool::{self, ip, run};
use outrider::lab::watch::Change;
use outrider::lab::{Host, Lab, VIP};
use outrider::net::Family;
use outrider::net::vrrp::Receiver;
use outrider::wire::advert::decode;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");
/// Longer than anything here takes, on however busy a machine: only a test that fails waits for it.
pub const SOON: Duration = Duration::from_secs(20);
/// Time with two holders that a hand-over may take: an overlap of 20 ms, and a busy machine.
pub const OVERLAP: Duration = Duration::from_millis(500);
/// The lease, what the kernel adds to it, and a busy machine.
pub const EXPIRY: Duration = Duration::from_millis(2500);
/// Time without a holder after a failure that is noticed by silence (0.6 s), on a busy machine.
pub const SILENCE: Duration = Duration::from_secs(3);
/// A request that is lost after this time was not refused, but had no answer.
const LATE: Duration = Duration::from_millis(400);

/// How long after the fact a change of address may be noted.
const NEWS: Duration = Duration::from_millis(50);

/// A lab, what runs on its hosts, and files for that.
pub struct Site {
    pub lab: Lab,
    machines: Vec<Machine>,
    files: TempDir,
    start: Instant,
}

/// What runs on a host, the latest last.
#[derive(Default)]
struct Machine {
    agents: Vec<Process>,
    balancers: Vec<Process>,
}

/// A change of state that an agent logged.
#[derive(Clone, Debug)]
pub struct Transition {
    pub at: Instant,
    pub from: String,
    pub to: String,
    pub why: String,
}

impl Site {
    /// Hosts on which nothing runs yet.
    pub async fn new(hosts: usize) -> Result<Site> {
        let lab = Lab::new(hosts, PROGRAM).await?;
        let machines = std::iter::repeat_with(Machine::default).take(hosts).collect();
        Ok(Site { lab, machines, files: tempfile::tempdir()?, start: Instant::now() })
    }

    /// Hosts with the lab's small load balancer.
    pub async fn with_balancers(hosts: usize) -> Result<Site> {
        let mut site = Site::new(hosts).await?;
        for host in 0..hosts {
            site.start_balancer(host).await?;
        }
        Ok(site)
    }

    /// Hosts with haproxy.
    pub async fn with_haproxies(hosts: usize) -> Result<Site> {
        let mut site = Site::new(hosts).await?;
        for host in 0..hosts {
            site.start_haproxy(host).await?;
        }
        Ok(site)
    }

    pub fn host(&self, host: usize) -> &Host {
        &self.lab.hosts()[host]
    }

    /// The agent started last on a host.
    pub fn agent(&self, host: usize) -> &Process {
        self.machines[host].agents.last().expect("an agent was started")
    }

    /// The load balancer started last on a host.
    pub fn balancer(&self, host: usize) -> &Process {
        self.machines[host].balancers.last().expect("a load balancer was started")
    }

    /// A file of this test's own.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Starts an agent for [`VIP`]; `variables` come on top of that, or in its place.
    pub async fn start_agent(&mut self, host: usize, variables: &[(&str, &str)]) -> Result<()> {
        let vip = VIP.to_string();
        let all: Vec<_> =
            [("OUTRIDER_VIP", vip.as_str())].into_iter().chain(variables.iter().copied()).collect();
        let agent = self.host(host).start_agent(&all).await?;
        self.machines[host].agents.push(agent);
        Ok(())
    }

    /// Starts an agent on each host. The one that has the address in the end is `holder`, since it is the first.
    pub async fn start_agents(&mut self, holder: usize, variables: &[(&str, &str)]) -> Result<()> {
        self.start_agent(holder, variables).await?;
        ensure!(self.lab.wait_for_holder(SOON).await? == holder, "another host has the address");
        self.agent(holder).wait_for_line("Backup -> Active", SOON).await?;
        for other in (0..self.machines.len()).filter(|host| *host != holder) {
            self.start_agent(other, variables).await?;
            self.agent(other).wait_for_line(" holds the address with priority ", SOON).await?;
            self.agent(other).wait_for_line("-> Backup", SOON).await?;
        }
        Ok(())
    }

    /// Starts the small load balancer.
    pub async fn start_balancer(&mut self, host: usize) -> Result<()> {
        let balancer = self.host(host).start_balancer().await?;
        self.machines[host].balancers.push(balancer);
        Ok(())
    }

    /// Starts haproxy and waits until it answers.
    pub async fn start_haproxy(&mut self, host: usize) -> Result<()> {
        self.launch_haproxy(host, &[]).await
    }

    /// Starts another haproxy that ends the one before as soon as it listens (`-sf`). `seamless`: it takes the
    /// listening sockets over, so that no connection is lost. Returns when the old one has ended.
    pub async fn reload_haproxy(&mut self, host: usize, seamless: bool) -> Result<()> {
        let old = self.machines[host].balancers.len() - 1;
        let pid = self.balancer(host).pid().to_string();
        let socket = self.file(&format!("haproxy{host}.sock"));
        let socket = socket.to_str().context("a path in UTF-8")?;
        let sockets: &[&str] = if seamless { &["-x", socket] } else { &[] };
        self.launch_haproxy(host, &[sockets, &["-sf", pid.as_str()]].concat()).await?;
        self.machines[host].balancers[old].wait(SOON).await?;
        Ok(())
    }

    async fn launch_haproxy(&mut self, host: usize, arguments: &[&str]) -> Result<()> {
        let program = tool::find("haproxy", "haproxy")?;
        let (name, configuration) = (self.host(host).name(), self.file(&format!("haproxy{host}.cfg")));
        let socket = self.file(&format!("haproxy{host}.sock"));
        let text = format!(
            "global\n  nbthread 1\n  stats socket {} level admin expose-fd listeners\n\
             defaults\n  mode http\n  timeout client 30s\n  timeout connect 5s\n  timeout server 30s\n  \
             timeout http-request 10s\n\
             frontend web\n  bind :80\n  \
             http-request return status 200 content-type text/plain string {name}\n",
            socket.display()
        );
        std::fs::write(&configuration, text)?;
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(configuration).args(arguments);
        let balancer = self.host(host).start("haproxy", command).await?;
        self.machines[host].balancers.push(balancer);
        wait_until("haproxy listens", async || {
            ensure!(self.balancer(host).exit_status().is_none(), "{}", self.balancer(host).tail(10));
            let connect = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, 80));
            Ok(self.host(host).namespace().run(connect).await?.is_ok())
        })
        .await
    }

    /// Cuts all metadata services off, for tests that must do without.
    pub fn without_metadata(&self) {
        self.lab.hosts().iter().for_each(|host| host.metadata().set_fault(Fault::Refuse));
    }

    /// Hosts in the order of their ranks.
    pub fn by_rank(&self, vrid: u8) -> Vec<usize> {
        let member = |host: &Host| Member {
            id: host.uuid().to_owned(),
            name: host.name().to_owned(),
            address: host.address().into(),
            priority: None,
        };
        let (first, others) = self.lab.hosts().split_first().expect("a host");
        let others = others.iter().map(member).collect();
        let members = Membership { me: Standing::Member(member(first)), others };
        let mut hosts: Vec<usize> = (0..self.machines.len()).collect();
        hosts.sort_by_key(|host| members.rank(&[], vrid, self.host(*host).uuid()));
        hosts
    }

    /// What changes of state the agent started last on a host has logged since.
    pub fn transitions(&self, host: usize, since: Instant) -> Vec<Transition> {
        transitions(self.agent(host)).into_iter().filter(|transition| transition.at >= since).collect()
    }

    /// Waits for a change of state since then, such as `Active -> Fault`, and returns why it happened. No other
    /// may come before it.
    pub async fn wait_for_change(&self, host: usize, since: Instant, states: &str) -> Result<String> {
        self.agent(host).wait_for_line_since(since, &format!(": {states}: "), SOON).await?;
        let changes = self.transitions(host, since);
        let first = changes.first().context("a change")?;
        ensure!(format!("{} -> {}", first.from, first.to) == states, "{changes:?}");
        Ok(first.why.clone())
    }

    /// All of them as text: `Initialize -> Backup`.
    pub fn states(&self, host: usize, since: Instant) -> Vec<String> {
        let text = |transition: Transition| format!("{} -> {}", transition.from, transition.to);
        self.transitions(host, since).into_iter().map(text).collect()
    }

    /// Asserts that this host, and no other, has the address now, and for how long at most two had it, or none,
    /// since then.
    pub async fn assert_held(
        &self,
        holder: usize,
        since: Instant,
        two_at_most: Duration,
        none_at_most: Duration,
    ) -> Result<()> {
        let holding = self.lab.watcher().holding(VIP.into(), since)?;
        ensure!(holding.now == [holder], "host {holder} should hold it alone: {holding:?}");
        ensure!(
            self.lab.holders().await? == [holder],
            "the kernels say otherwise: {:?}",
            self.lab.holders().await?
        );
        ensure!(holding.two <= two_at_most, "two holders for too long: {holding:?}");
        ensure!(holding.none <= none_at_most, "no holder for too long: {holding:?}");
        Ok(())
    }

    /// Asserts that this host has served the client without a break since then.
    pub async fn assert_served(&self, by: usize, since: Instant) -> Result<()> {
        self.assert_answers(by, since, None).await
    }

    /// Asserts that a hand-over since then cost no request but such as had it happen in their middle: begun with
    /// one host, and ended with another that knows nothing of the connection.
    pub async fn assert_smooth(&self, from: usize, to: usize, since: Instant) -> Result<()> {
        let changes = self.lab.watcher().subscribe().borrow().clone();
        let change = |host, held| {
            let wanted =
                |change: &&Change| change.address == VIP && change.host == host && change.held == held;
            let found = changes.iter().filter(|change| change.at >= since).find(wanted);
            found.map(|change| change.at).with_context(|| format!("host {host}: no change to {held}"))
        };
        self.assert_answers(to, since, Some((change(to, true)?, change(from, false)?))).await
    }

    async fn assert_answers(
        &self,
        by: usize,
        since: Instant,
        handover: Option<(Instant, Instant)>,
    ) -> Result<()> {
        let client = self.lab.client();
        let all = || client.requests().into_iter().filter(|request| request.sent >= since);
        let answered = |request: &Request| matches!(request.outcome, Outcome::Answered(..));
        wait_until("enough answers to see a share of them", async || {
            Ok(all().filter(answered).count() >= 200)
        })
        .await?;
        let outage = client.outage(since).await?;
        ensure!(outage.by.as_deref() == Some(self.host(by).name()), "{outage:?}");
        ensure!(outage.longest < Duration::from_secs(1), "{outage:?}");
        let (mut torn, mut late, mut cut) = (0, 0, Vec::new());
        for request in all() {
            let Outcome::Lost(at) = request.outcome else { continue };
            if handover.is_some_and(|(begun, ended)| request.sent <= ended && at + NEWS >= begun) {
                torn += 1;
            } else if at.duration_since(request.sent) >= LATE {
                late += 1;
            } else {
                cut.push(request);
            }
        }
        ensure!(cut.is_empty(), "refused or cut off (hand-over: {handover:?}): {cut:?}");
        // Time-outs happen on a machine that is too busy to answer; an outage would be more of them.
        ensure!(
            (torn + late) * 10 <= outage.answered,
            "{torn} torn by the hand-over, {late} late: {outage:?}"
        );
        Ok(())
    }

    /// Waits until a host has the address no more.
    pub async fn wait_for_loss(&self, host: usize, since: Instant, limit: Duration) -> Result<Instant> {
        let mut changes = self.lab.watcher().subscribe();
        let lost = async {
            loop {
                if let Some(at) = self.lab.watcher().lost(host, VIP.into(), since)? {
                    return anyhow::Ok(at);
                }
                changes.changed().await?;
            }
        };
        tokio::time::timeout(limit, lost).await.with_context(|| format!("host {host} keeps the address"))?
    }
}

impl Drop for Site {
    /// Shown by the test harness if the test fails.
    fn drop(&mut self) {
        let mut lines = Vec::new();
        for (index, machine) in self.machines.iter().enumerate() {
            for process in machine.agents.iter().chain(&machine.balancers) {
                let of_process = process.lines().into_iter();
                lines.extend(of_process.map(|line| (line.at, format!("lb{}: {}", index + 1, line.text))));
            }
        }
        for change in self.lab.watcher().subscribe().borrow().iter().filter(|change| change.address == VIP) {
            let deed = if change.held { "has" } else { "has lost" };
            lines.push((change.at, format!("lb{}: {deed} {VIP}", change.host + 1)));
        }
        lines.sort();
        for (at, text) in lines {
            println!("{:8.3} {text}", at.saturating_duration_since(self.start).as_secs_f64());
        }
        println!("{:8.3} the end", self.start.elapsed().as_secs_f64());
    }
}

/// The changes of state in an agent's log.
pub fn transitions(agent: &Process) -> Vec<Transition> {
    let parse = |line: outrider::lab::process::Line| {
        let (before, after) = line.text.split_once(" -> ")?;
        let (to, why) = after.split_once(": ")?;
        let (_, from) = before.rsplit_once(": ")?;
        Some(Transition { at: line.at, from: from.into(), to: to.into(), why: why.into() })
    };
    agent.lines().into_iter().filter_map(parse).collect()
}

/// An advert that arrived on a host.
#[derive(Clone, Debug)]
pub struct Advert {
    pub at: Instant,
    pub from: Ipv4Addr,
    pub priority: u8,
}

/// Hears every advert that arrives on a host, as its agent does.
pub struct Ear {
    heard: watch::Receiver<Vec<Advert>>,
    task: AbortHandle,
}

impl Ear {
    pub async fn open(namespace: &Namespace) -> Result<Ear> {
        let receiver = namespace.run(async { Receiver::open("eth0", Family::V4) }).await??;
        let (sender, heard) = watch::channel(Vec::new());
        let task = namespace.spawn(async move {
            while let Ok(received) = receiver.receive().await {
                let (IpAddr::V4(from), IpAddr::V4(to)) = (received.source, received.destination) else {
                    continue;
                };
                if let Ok(decoded) = decode(&received.payload, from.into(), to.into()) {
                    let advert = Advert { at: Instant::now(), from, priority: decoded.advert.priority };
                    sender.send_modify(|adverts| adverts.push(advert));
                }
            }
        });
        Ok(Ear { heard, task })
    }

    /// Adverts of a host since then.
    pub fn heard(&self, from: Ipv4Addr, since: Instant) -> Vec<Advert> {
        of(&self.heard.borrow(), from, since).cloned().collect()
    }

    /// Waits until so many adverts of a host have arrived since then.
    pub async fn wait_for(&self, count: usize, from: Ipv4Addr, since: Instant) -> Result<()> {
        let mut heard = self.heard.clone();
        let enough = heard.wait_for(|adverts| of(adverts, from, since).count() >= count);
        tokio::time::timeout(SOON, enough)
            .await
            .with_context(|| format!("no {count} adverts of {from}"))??;
        Ok(())
    }
}

fn of(adverts: &[Advert], from: Ipv4Addr, since: Instant) -> impl Iterator<Item = &Advert> {
    adverts.iter().filter(move |advert| advert.from == from && advert.at >= since)
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for what cannot tell by itself.
pub async fn wait_until(what: &str, condition: impl AsyncFn() -> Result<bool>) -> Result<()> {
    tool::wait_until(what, SOON, condition).await
}
