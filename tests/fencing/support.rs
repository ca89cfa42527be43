//! A lab whose hosts run real agents and load balancers, and words for what is to be seen there.

use crate::wire::Wire;
use anyhow::{Context, Result, ensure};
use outrider::core::members::{Member, Membership, Standing};
use outrider::lab::client::{Client, Outcome, Request};
use outrider::lab::namespace::Namespace;
use outrider::lab::process::{Line, Process};
pub use outrider::lab::tool::{ip, nft};
use outrider::lab::watch::Change;
use outrider::lab::{Host, Lab, VIP, tool};
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::Command;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");
/// Longer than anything here takes, on however busy a machine: only a test that fails waits for it.
pub const SOON: Duration = Duration::from_secs(20);
/// The lease of a second, and what the kernel adds to it.
pub const EXPIRY: Duration = Duration::from_millis(2500);
/// Time with two holders that a hand-over may take: an overlap of 20 ms, and a busy machine.
pub const OVERLAP: Duration = Duration::from_millis(500);
/// Time without a holder after a failure that is noticed by silence (0.6 s), on a busy machine.
pub const SILENCE: Duration = Duration::from_millis(2500);
/// When the client of the lab gives a request up, and what a timer may be late on a machine that is not overloaded.
const TIME_LIMIT: Duration = Duration::from_millis(520);
/// Advertisement interval, if nothing else is set.
pub const INTERVAL: Duration = Duration::from_millis(200);

/// A lab, and what runs on its hosts, the latest last.
pub struct Site {
    pub lab: Lab,
    pub wire: Wire,
    second_client: Option<Client>,
    agents: Vec<Vec<Process>>,
    balancers: Vec<Vec<Process>>,
    start: Instant,
}

/// A change of state that an agent logged.
#[derive(Clone, Debug)]
pub struct Transition {
    pub at: Instant,
    pub states: String,
    pub why: String,
}

/// How a command of the agent's ended.
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
    pub error: String,
}

impl Site {
    /// Hosts with the lab's small load balancer.
    pub async fn new(hosts: usize) -> Result<Site> {
        let start = Instant::now();
        let lab = Lab::new(hosts, PROGRAM).await?;
        let wire = Wire::open(&lab).await?;
        let nothing = || std::iter::repeat_with(Vec::new).take(hosts).collect();
        let mut site =
            Site { lab, wire, second_client: None, agents: nothing(), balancers: Vec::new(), start };
        for host in 0..hosts {
            site.balancers.push(Vec::new());
            site.start_balancer(host).await?;
        }
        Ok(site)
    }

    /// The same with an agent on each. The one that has the address in the end is `holder`, since it is the first.
    pub async fn with_agents(hosts: usize, holder: usize, variables: &[(&str, &str)]) -> Result<Site> {
        let mut site = Site::new(hosts).await?;
        site.start_agents(holder, variables).await?;
        Ok(site)
    }

    /// Makes it 1,000 requests a second instead of 500.
    pub async fn double_the_load(&mut self) -> Result<()> {
        let client = Client::start(self.lab.client_namespace(), SocketAddr::from((VIP, 80)));
        let mut answers = client.subscribe();
        tokio::time::timeout(SOON, answers.wait_for(Option::is_some)).await.context("no answer")??;
        self.second_client = Some(client);
        Ok(())
    }

    pub fn host(&self, host: usize) -> &Host {
        &self.lab.hosts()[host]
    }

    pub fn namespace(&self, host: usize) -> &Namespace {
        self.host(host).namespace()
    }

    /// The agent started last on a host.
    pub fn agent(&self, host: usize) -> &Process {
        self.agents[host].last().expect("an agent was started")
    }

    /// The load balancer started last on a host.
    pub fn balancer(&self, host: usize) -> &Process {
        self.balancers[host].last().expect("a load balancer was started")
    }

    pub async fn start_balancer(&mut self, host: usize) -> Result<()> {
        let balancer = self.host(host).start_balancer().await?;
        self.balancers[host].push(balancer);
        Ok(())
    }

    /// Starts an agent for [`VIP`]; `variables` come on top of that, or in its place.
    pub async fn start_agent(&mut self, host: usize, variables: &[(&str, &str)]) -> Result<()> {
        let vip = VIP.to_string();
        let all: Vec<_> =
            [("OUTRIDER_VIP", vip.as_str())].into_iter().chain(variables.iter().copied()).collect();
        let agent = self.host(host).start_agent(&all).await?;
        self.agents[host].push(agent);
        Ok(())
    }

    /// Starts an agent on each host, on `holder` first.
    pub async fn start_agents(&mut self, holder: usize, variables: &[(&str, &str)]) -> Result<()> {
        self.start_agent(holder, variables).await?;
        ensure!(self.lab.wait_for_holder(SOON).await? == holder, "another host has the address");
        self.agent(holder).wait_for_line("Backup -> Active", SOON).await?;
        for other in (0..self.agents.len()).filter(|host| *host != holder) {
            self.start_agent(other, variables).await?;
            self.wait_for_backup(other).await?;
        }
        Ok(())
    }

    /// Waits until an agent follows another.
    pub async fn wait_for_backup(&self, host: usize) -> Result<()> {
        self.agent(host).wait_for_line(" holds the address with priority ", SOON).await?;
        self.agent(host).wait_for_line("-> Backup", SOON).await?;
        Ok(())
    }

    /// Runs `outrider drain` or the like on a host.
    pub async fn command(&self, host: usize, arguments: &[&str]) -> Result<Ended> {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().env("OUTRIDER_VIP", VIP.to_string());
        self.run(host, command).await
    }

    /// Runs any command on a host to its end.
    pub async fn run(&self, host: usize, mut command: Command) -> Result<Ended> {
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = self.namespace(host).run(async move {
            tokio::time::timeout(SOON, command.output()).await.context("the command does not end")
        });
        let output = output.await???;
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        let code = ExitStatus::code(&output.status);
        Ok(Ended { code, output: text(&output.stdout), error: text(&output.stderr) })
    }

    /// Hosts in the order of their ranks.
    pub fn by_rank(&self) -> Vec<usize> {
        let member = |host: &Host| Member {
            id: host.uuid().to_owned(),
            name: host.name().to_owned(),
            address: host.address().into(),
            priority: None,
        };
        let (first, others) = self.lab.hosts().split_first().expect("a host");
        let others = others.iter().map(member).collect();
        let members = Membership { me: Standing::Member(member(first)), others };
        let mut hosts: Vec<usize> = (0..self.agents.len()).collect();
        // The virtual router is named after the last byte of the address.
        hosts.sort_by_key(|host| members.rank(&[], VIP.octets()[3], self.host(*host).uuid()));
        hosts
    }

    /// The changes of state that the agent started last on a host has logged since.
    pub fn transitions(&self, host: usize, since: Instant) -> Vec<Transition> {
        let parse = |line: Line| {
            let (before, after) = line.text.split_once(" -> ")?;
            let (to, why) = after.split_once(": ")?;
            let (_, from) = before.rsplit_once(": ")?;
            Some(Transition { at: line.at, states: format!("{from} -> {to}"), why: why.into() })
        };
        let transitions = self.agent(host).lines().into_iter().filter_map(parse);
        transitions.filter(|transition| transition.at >= since).collect()
    }

    /// Asserts that a host's agent has changed its state since like this, and no other way.
    pub async fn assert_states(&self, host: usize, since: Instant, wanted: &[&str]) -> Result<()> {
        // The log comes a moment later than what can be seen of it.
        let mut log = self.agent(host).subscribe();
        let complete = async {
            while self.transitions(host, since).len() < wanted.len() && log.changed().await.is_ok() {}
        };
        let _ = tokio::time::timeout(SOON, complete).await;
        let transitions = self.transitions(host, since);
        let states: Vec<&str> = transitions.iter().map(|transition| transition.states.as_str()).collect();
        ensure!(states == wanted, "host {host} should have gone through {wanted:?}: {transitions:?}");
        Ok(())
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
        // What the kernels tell is read a moment later than it happens; how long it took is judged below.
        let settled = async || Ok(self.lab.watcher().holders(VIP.into())? == [holder]);
        let settled = wait_until("there is one holder, the right one", settled).await;
        let holding = self.lab.watcher().holding(VIP.into(), since)?;
        settled.with_context(|| format!("{holding:?}"))?;
        ensure!(holding.now == [holder], "host {holder} should hold it alone: {holding:?}");
        let holders = self.lab.holders().await?;
        ensure!(holders == [holder], "the kernels say otherwise: {holders:?}");
        ensure!(holding.two <= two_at_most, "two holders for too long: {holding:?}");
        ensure!(holding.none <= none_at_most, "no holder for too long: {holding:?}");
        Ok(())
    }

    /// Asserts that a host has held the address since, without a break, and that nobody else has.
    pub async fn assert_undisturbed(&self, holder: usize, since: Instant) -> Result<()> {
        for host in 0..self.agents.len() {
            if !self.agents[host].is_empty() {
                self.assert_states(host, since, &[]).await?;
            }
        }
        self.assert_held(holder, since, Duration::ZERO, Duration::ZERO).await
    }

    /// Waits while the holder sends so many adverts, and asserts that nothing happens meanwhile.
    pub async fn stays_calm(&self, holder: usize, adverts: usize) -> Result<()> {
        // What the kernels have told before is read a moment later than it happened.
        let settled = async || Ok(self.lab.watcher().holders(VIP.into())? == [holder]);
        wait_until("there is one holder, the right one", settled).await?;
        let since = Instant::now();
        let others = self.agents.iter().filter(|agents| !agents.is_empty()).count().saturating_sub(1);
        self.wire.wait_for_adverts(holder, adverts * others.max(1), since).await?;
        self.assert_undisturbed(holder, since).await
    }

    /// Waits until some other host gets the address, whether or not `former` has it still.
    pub async fn wait_for_taker(&self, former: usize, since: Instant) -> Result<usize> {
        let mut changes = self.lab.watcher().subscribe();
        let taken = changes.wait_for(|changes| {
            let wanted = |change: &Change| change.at >= since && change.host != former && change.held;
            changes.iter().any(|change| change.address == VIP && wanted(change))
        });
        tokio::time::timeout(SOON, taken).await.context("nobody takes over")??;
        let holders = self.lab.watcher().holders(VIP.into())?;
        let takers: Vec<usize> = holders.into_iter().filter(|holder| *holder != former).collect();
        ensure!(takers.len() == 1, "several took over: {takers:?}");
        Ok(takers[0])
    }

    /// Waits until a host has the address no more; when that was.
    pub async fn wait_for_loss(&self, host: usize, since: Instant) -> Result<Instant> {
        self.wait_for_change(host, false, since).await
    }

    /// Waits until a host gets the address (`held`) or loses it; when that was.
    pub async fn wait_for_change(&self, host: usize, held: bool, since: Instant) -> Result<Instant> {
        let mut changes = self.lab.watcher().subscribe();
        let changed = async {
            loop {
                let found = changes.borrow_and_update().iter().copied().find(|change| {
                    change.address == VIP && change.at >= since && (change.host, change.held) == (host, held)
                });
                match found {
                    Some(change) => return anyhow::Ok(change.at),
                    None => changes.changed().await?,
                }
            }
        };
        let verb = if held { "does not get" } else { "keeps" };
        tokio::time::timeout(SOON, changed)
            .await
            .with_context(|| format!("host {host} {verb} the address"))?
    }

    /// Requests that were sent since and lost. Not those of a client that was starved: what it noticed late, it may
    /// have sent or read late as well.
    pub async fn lost(&self, since: Instant) -> Result<Vec<Request>> {
        let mut lost = Vec::new();
        for client in std::iter::once(self.lab.client()).chain(&self.second_client) {
            client.outage(since).await?;
            let is_lost = |request: &Request| match request.outcome {
                Outcome::Lost(at) => at.duration_since(request.sent) < TIME_LIMIT,
                Outcome::Answered(..) | Outcome::Pending => false,
            };
            lost.extend(
                client.requests().into_iter().filter(|request| request.sent >= since && is_lost(request)),
            );
        }
        Ok(lost)
    }
}

impl Drop for Site {
    /// Shown by the test harness if the test fails.
    fn drop(&mut self) {
        let mut lines = Vec::new();
        for (index, agents) in self.agents.iter().enumerate() {
            for line in agents.iter().flat_map(Process::lines) {
                lines.push((line.at, format!("lb{}: {}", index + 1, line.text)));
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

/// Whether this is the machine's root, and not one of a user namespace, who has no other user and no control groups.
pub fn is_real_root() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295")
}

/// How many lines of an agent contain this.
pub fn count(agent: &Process, pattern: &str) -> usize {
    agent.lines().iter().filter(|line| line.text.contains(pattern)).count()
}

/// `ss`, in a namespace.
pub async fn ss(namespace: &Namespace, arguments: &str) -> Result<String> {
    tool::run(namespace, "iproute2", &format!("ss {arguments}")).await
}

/// Which frames a port of the switch lets pass no more. The carrier stays.
#[derive(Clone, Copy, PartialEq)]
pub enum Closed {
    /// What the host sends.
    From,
    /// What it should get.
    To,
    BothWays,
}

/// Closes a host's port by the switch's own firewall.
pub async fn close_port(site: &Site, host: usize, closed: Closed) -> Result<()> {
    let name = site.host(host).name();
    let mut rules = "add table bridge ports; \
                     add chain bridge ports gate { type filter hook forward priority 0; }"
        .to_owned();
    if closed != Closed::To {
        rules += &format!("; add rule bridge ports gate iifname {name} drop");
    }
    if closed != Closed::From {
        rules += &format!("; add rule bridge ports gate oifname {name} drop");
    }
    nft(site.lab.switch().namespace(), &rules).await
}

/// Opens all ports again.
pub async fn open_ports(site: &Site) -> Result<()> {
    nft(site.lab.switch().namespace(), "delete table bridge ports").await
}

/// Waits for what cannot tell by itself.
pub async fn wait_until(what: &str, condition: impl AsyncFn() -> Result<bool>) -> Result<()> {
    tool::wait_until(what, SOON, condition).await
}
