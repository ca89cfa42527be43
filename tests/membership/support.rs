//! A lab with an agent on each host, and what can be asked of it.

use nix::sys::signal::Signal;
use outrider::lab::client::{Client, Outage, Outcome};
use outrider::lab::metadata::{self, Fault, World};
use outrider::lab::process::{Line, Process};
use outrider::lab::watch::Change;
use outrider::lab::{Host, Lab, VIP};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::process::Command;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");
/// Longer than anything takes, on a machine that builds something else besides.
pub const LIMIT: Duration = Duration::from_secs(30);
/// How long is looked on where nothing should happen: longer than Master_Down.
pub const CALM: Duration = Duration::from_millis(1200);
/// More than two holders are seen during a hand-over on a busy machine.
pub const OVERLAP: Duration = Duration::from_secs(1);
/// Where a host's metadata comes from that is not the lab's.
pub const OTHER_METADATA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// The same, as the agent is told.
pub const OTHER_URL: (&str, &str) = ("OUTRIDER_METADATA_URL", "http://127.0.0.1:8080/2016-07-29");

/// Hosts with a load balancer and a metadata service each; agents as they are started.
///
/// What goes wrong in here panics, and everything the agents said is shown with it.
pub struct Site {
    pub lab: Lab,
    pub vip: Ipv4Addr,
    client: Option<Client>,
    machines: Vec<Machine>,
}

#[derive(Default)]
struct Machine {
    metadata: Option<metadata::Server>,
    balancer: Option<Process>,
    agent: Option<Process>,
    past: Vec<Line>,
}

impl Site {
    /// This many hosts, all of them members, each with a load balancer and no agent yet.
    pub async fn new(hosts: usize) -> Self {
        let lab = Lab::new(hosts, PROGRAM).await.unwrap();
        let machines = (0..hosts).map(|_| Machine::default()).collect();
        let mut site = Self { lab, vip: VIP, client: None, machines };
        for host in 0..hosts {
            site.start_balancer(host).await;
        }
        site
    }

    /// The same with agents, one of which holds the address. Returns the holder, too.
    pub async fn running(hosts: usize) -> (Self, usize) {
        let mut site = Self::new(hosts).await;
        for host in 0..hosts {
            site.start_agent(host, &[]).await;
        }
        let holder = site.holder().await;
        site.all_know(holder).await;
        (site, holder)
    }

    /// One host more, with a load balancer; no member yet.
    pub async fn add_host(&mut self) -> usize {
        let host = self.lab.add_host().await.unwrap();
        self.machines.push(Machine::default());
        self.start_balancer(host).await;
        host
    }

    /// Another address and a network of its own for it, besides the lab's: `hosts` are 11, 12, … there.
    pub async fn move_to(&mut self, vip: Ipv4Addr) {
        let [a, b, c, _] = vip.octets();
        let net = |last| format!("{a}.{b}.{c}.{last}/24").parse().unwrap();
        for (host, last) in self.lab.hosts().iter().zip(11..) {
            host.namespace().add_address("eth0", net(last)).await.unwrap();
        }
        self.lab.client_namespace().add_address("eth0", net(100)).await.unwrap();
        self.client = Some(Client::start(self.lab.client_namespace(), SocketAddr::from((vip, 80))));
        self.vip = vip;
    }

    /// Metadata of another environment, for an agent that is told [`OTHER_URL`].
    pub async fn serve_metadata(&mut self, host: usize, world: World, uuid: &str) {
        let uuid = uuid.to_owned();
        let serving = self.host(host).namespace().run(async move {
            let listener = TcpListener::bind(OTHER_METADATA).await?;
            metadata::serve(listener, world, &uuid)
        });
        let server = serving.await.unwrap().unwrap();
        self.machines[host].metadata = Some(server);
    }

    pub async fn start_balancer(&mut self, host: usize) {
        let balancer = self.host(host).start_balancer().await.unwrap();
        self.machines[host].balancer = Some(balancer);
    }

    pub async fn kill_balancer(&mut self, host: usize) {
        let balancer = self.machines[host].balancer.take().expect("a load balancer");
        balancer.kill9().unwrap();
        balancer.wait(LIMIT).await.unwrap();
    }

    pub async fn start_agent(&mut self, host: usize, more: &[(&str, &str)]) {
        let vip = self.vip.to_string();
        let mut variables = vec![("OUTRIDER_VIP", vip.as_str())];
        variables.extend(more);
        let agent = self.host(host).start_agent(&variables).await.unwrap();
        let machine = &mut self.machines[host];
        if let Some(former) = machine.agent.replace(agent) {
            machine.past.extend(former.lines());
        }
    }

    /// SIGTERM, and the agent's end with code 0.
    pub async fn stop_agent(&self, host: usize) {
        self.agent(host).signal(Signal::SIGTERM).unwrap();
        let status = self.agent(host).wait(LIMIT).await.unwrap();
        assert!(status.success(), "{status}");
    }

    /// What `outrider check-config` prints on a host, line by line.
    pub async fn check_config(&self, host: usize, more: &[(&str, &str)]) -> Vec<String> {
        let mut command = Command::new(PROGRAM);
        command.arg("check-config").env_clear().env("OUTRIDER_VIP", self.vip.to_string());
        command.envs(more.iter().copied());
        let process = self.host(host).start("check-config", command).await.unwrap();
        let status = process.wait(LIMIT).await.unwrap();
        // All output is here once both pipes are closed, which a line that never comes shows.
        let _ = process.wait_for_line("\0", LIMIT).await;
        let lines: Vec<String> = process.lines().into_iter().map(|line| line.text).collect();
        assert!(status.success(), "{status}: {lines:#?}");
        lines
    }

    pub fn host(&self, host: usize) -> &Host {
        &self.lab.hosts()[host]
    }

    pub fn agent(&self, host: usize) -> &Process {
        self.machines[host].agent.as_ref().expect("an agent")
    }

    pub fn metadata(&self, host: usize) -> &metadata::Server {
        self.machines[host].metadata.as_ref().unwrap_or(self.host(host).metadata())
    }

    pub fn set_fault(&self, fault: &Fault) {
        for host in self.lab.hosts() {
            self.metadata(host.index()).set_fault(fault.clone());
        }
    }

    /// Changes a host's labels in the metadata.
    pub fn label(&self, host: usize, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
        self.lab.world().change_host(self.host(host).uuid(), |entry| {
            change(entry["labels"].as_object_mut().expect("labels"));
        });
    }

    /// How often a host's metadata service was asked for a path.
    pub fn asked(&self, host: usize, path: &str) -> u64 {
        let requests = self.metadata(host).requests();
        requests.get(&format!("/2016-07-29/{path}")).copied().unwrap_or_default()
    }

    /// Makes a change and waits until these hosts' agents have taken it in.
    pub async fn change(&self, hosts: &[usize], change: impl FnOnce(&Site)) {
        let before: Vec<_> =
            hosts.iter().map(|host| (self.asked(*host, "hosts"), self.asked(*host, "version"))).collect();
        change(self);
        for (host, (lists, versions)) in hosts.iter().zip(before) {
            // The version is asked for before and after the lists, and the third time to wait for the next.
            until("the metadata is read again", || {
                self.asked(*host, "hosts") > lists && self.asked(*host, "version") >= versions + 3
            })
            .await;
        }
    }

    /// Waits for a line of a host's agent.
    pub async fn says(&self, host: usize, pattern: &str) -> String {
        self.agent(host).wait_for_line(pattern, LIMIT).await.unwrap().text
    }

    /// The same, for a line said from then on.
    pub async fn says_since(&self, host: usize, since: Instant, pattern: &str) -> String {
        self.agent(host).wait_for_line_since(since, pattern, LIMIT).await.unwrap().text
    }

    /// How many lines of a host's agent contain this.
    pub fn count(&self, host: usize, pattern: &str) -> usize {
        self.agent(host).lines().iter().filter(|line| line.text.contains(pattern)).count()
    }

    /// Waits until exactly one host has the address and has answered the client since, and its agent has said so, and
    /// returns it.
    pub async fn holder(&self) -> usize {
        self.settled(|_| true).await
    }

    /// The same, for another one than `former`.
    pub async fn successor(&self, former: usize) -> usize {
        self.settled(|holder| holder != former).await
    }

    /// Waits until `holder` is the only one.
    pub async fn held_by(&self, holder: usize) {
        self.settled(|other| other == holder).await;
    }

    async fn settled(&self, wanted: impl Fn(usize) -> bool) -> usize {
        let answers = self.client().subscribe();
        let mut found = None;
        until("one holder that answers", || {
            let last_change = self.changes(None).last().map(|change| change.at);
            let answer = answers.borrow().clone();
            found = match (self.holders().as_slice(), answer) {
                ([holder], Some((sent, by)))
                    if wanted(*holder) && Some(sent) >= last_change && by == self.host(*holder).name() =>
                {
                    Some(*holder)
                }
                _ => None,
            };
            found.is_some()
        })
        .await;
        let found = found.expect("just found");
        if let Some(agent) = &self.machines[found].agent {
            let is_active = || {
                let lines = agent.lines();
                lines
                    .iter()
                    .rfind(|line| line.text.contains(" -> "))
                    .is_some_and(|line| line.text.contains("-> Active"))
            };
            until("the holder's line", is_active).await;
        }
        found
    }

    /// Waits until every other agent follows the holder.
    pub async fn all_know(&self, holder: usize) {
        let source = self.source(holder);
        for other in (0..self.machines.len()).filter(|other| *other != holder) {
            if self.machines[other].agent.is_some() {
                self.says(other, &format!("{source} holds the address")).await;
            }
        }
    }

    /// The address a host's adverts come from.
    pub fn source(&self, host: usize) -> Ipv4Addr {
        let [a, b, c, _] = self.vip.octets();
        Ipv4Addr::new(a, b, c, self.host(host).address().octets()[3])
    }

    pub fn holders(&self) -> Vec<usize> {
        self.lab.watcher().holders(self.vip.into()).unwrap()
    }

    /// Where the address came and went.
    pub fn changes(&self, since: impl Into<Option<Instant>>) -> Vec<Change> {
        let since = since.into();
        let changes = self.lab.watcher().subscribe();
        let mut changes = changes.borrow().clone();
        changes.retain(|change| change.address == self.vip && since.is_none_or(|since| change.at >= since));
        changes
    }

    pub fn client(&self) -> &Client {
        self.client.as_ref().unwrap_or(self.lab.client())
    }

    pub async fn outage(&self, since: Instant) -> Outage {
        self.client().outage(since).await.unwrap()
    }

    /// Whether no request was lost but those that were on their way when the address went over: the new holder
    /// cannot go on with a connection that began at the old one. If not, what happened.
    pub async fn lost_nothing(&self, since: Instant) -> Result<(), String> {
        let outage = self.outage(since).await;
        let switch = self.changes(since).into_iter().find(|change| change.held).expect("a new holder");
        let (began, name) = (switch.at, self.host(switch.host).name());
        let requests = self.client().requests();
        let answers = requests.iter().filter_map(|request| match &request.outcome {
            Outcome::Answered(at, by) if by == name && *at >= began => Some(*at),
            _ => None,
        });
        let ended = answers.min().expect("an answer of the new holder");
        let lost = requests.iter().filter(|request| request.sent >= since).filter_map(|request| {
            let Outcome::Lost(at) = request.outcome else { return None };
            (at < began || request.sent > ended).then(|| (request.sent - since, at - request.sent))
        });
        let lost: Vec<_> = lost.collect();
        if lost.is_empty() {
            Ok(())
        } else {
            Err(format!("{lost:?} of {outage:?}, switched after {:?}", began - since))
        }
    }

    /// Asserts that the address stayed where it is and that no agent changed its state.
    pub fn undisturbed(&self, since: Instant, holder: usize) {
        assert_eq!(self.holders(), [holder]);
        assert_eq!(self.changes(since), []);
        for agent in self.machines.iter().filter_map(|machine| machine.agent.as_ref()) {
            let transitions = agent.lines().into_iter().filter(|line| line.at >= since);
            let transitions: Vec<_> = transitions.filter(|line| line.text.contains(" -> ")).collect();
            assert!(transitions.is_empty(), "{}: {transitions:?}", agent.name());
            assert_eq!(agent.exit_status(), None, "{}", agent.name());
        }
    }

    /// Asserts that there never were two holders for longer than that.
    pub fn never_two(&self, since: Instant, longest: Duration) {
        let holding = self.lab.watcher().holding(self.vip.into(), since).unwrap();
        assert!(holding.two <= longest, "{holding:?}: {:#?}", self.changes(None));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        eprintln!("where the address was: {:#?}", self.changes(None));
        for (index, machine) in self.machines.iter().enumerate() {
            let lines = machine.agent.as_ref().map(Process::lines).unwrap_or_default();
            eprintln!("\nthe agent on {}:", self.host(index).name());
            for line in machine.past.iter().chain(&lines) {
                eprintln!("  {}", line.text);
            }
        }
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Looks on where nothing should happen.
pub async fn calm() {
    tokio::time::sleep(CALM).await;
}
