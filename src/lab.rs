//! Hosts as network namespaces, a metadata service with Rancher's wire contract, a small load balancer, an
//! open-loop client: what the demo, the tests and the benches are made of.
//!
//! ```text
//!   lb1 10.10.10.11   lb2 10.10.10.12   …      client 10.10.10.100
//!        │ eth0            │ eth0                   │ eth0
//!   ─────┴─────────────────┴──── switch ────────────┴─────
//! ```
//!
//! Each host has its own metadata service on 169.254.169.250:80, in a namespace of its own behind docker0, as
//! every host of a Rancher environment has. Only the kernel is needed: no `ip`, no `nft`; root, or a user namespace ([`sandbox`]).

pub mod balancer;
pub mod client;
pub mod metadata;
pub mod namespace;
pub mod process;
pub mod sandbox;
pub mod tool;
pub mod watch;

use anyhow::{Context, Result, bail};
use client::Client;
use ipnet::IpNet;
use metadata::World;
use namespace::{Namespace, Switch};
use process::Process;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::process::Command;
use watch::Watcher;

/// The address to keep alive.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 2);

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 100);
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 250);

/// A host: a namespace with a network card `eth0` in the switch.
pub struct Host {
    index: usize,
    metadata: metadata::Server,
    _docker: Namespace,
    namespace: Namespace,
    address: Ipv4Addr,
    uuid: String,
    switch: Arc<Switch>,
    program: PathBuf,
}

impl Host {
    /// Number of the host, from 0 on.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Host name: `lb1` for the first.
    pub fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Its own address, on `eth0`.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// What the metadata calls it.
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Its namespace: run futures and commands there, change addresses by hand.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its metadata service, to make it fail.
    pub fn metadata(&self) -> &metadata::Server {
        &self.metadata
    }

    /// Starts any process on this host (haproxy, keepalived, tshark).
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(&self, name: &str, command: Command) -> Result<Process> {
        Process::start(&self.namespace, &format!("{name} on {}", self.name()), command).await
    }

    /// Starts the real agent with these variables and no others.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_agent(&self, variables: &[(&str, &str)]) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.arg("run").env_clear().envs(variables.iter().copied());
        self.start("the agent", command).await
    }

    /// Starts the small load balancer on port 80; it listens when this returns.
    ///
    /// # Errors
    /// When it cannot be started, or the port is taken.
    pub async fn start_balancer(&self) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["lab-balancer", "--listen", "0.0.0.0:80", "--name", self.name()]).env_clear();
        let balancer = self.start("the load balancer", command).await?;
        balancer.wait_for_line(balancer::LISTENING, Duration::from_secs(10)).await?;
        Ok(balancer)
    }

    /// Pulls its network cable: the carrier is lost.
    ///
    /// # Errors
    /// When netlink fails.
    pub async fn cut(&self) -> Result<()> {
        self.switch.cut(self.name()).await
    }

    /// Puts the cable back.
    ///
    /// # Errors
    /// When netlink fails.
    pub async fn restore(&self) -> Result<()> {
        self.switch.restore(self.name()).await
    }

    /// Cuts it off without its noticing: the carrier stays, every frame is lost.
    ///
    /// # Errors
    /// When netlink fails.
    pub async fn isolate(&self) -> Result<()> {
        self.switch.isolate(self.name()).await
    }

    /// Ends [`Host::isolate`].
    ///
    /// # Errors
    /// When netlink fails.
    pub async fn rejoin(&self) -> Result<()> {
        self.switch.rejoin(self.name()).await
    }
}

/// Hosts on one switch, a client that asks [`VIP`] all the time, and the metadata they are told.
///
/// Everything in it ends when it is dropped.
pub struct Lab {
    hosts: Vec<Host>,
    client: Client,
    client_namespace: Namespace,
    watcher: Watcher,
    world: World,
    /// uuids of the hosts that are members.
    members: Vec<String>,
    switch: Arc<Switch>,
    program: PathBuf,
}

impl Lab {
    /// Builds a lab with this many hosts, all of them members. `program` is the outrider binary.
    ///
    /// # Errors
    /// Without the right to make namespaces: root's, or what [`sandbox::enter`] gives.
    pub async fn new(hosts: usize, program: impl AsRef<Path>) -> Result<Self> {
        sandbox::raise_file_limit();
        let switch = Arc::new(Switch::new().await?);
        let client_namespace = Namespace::new("client").await?;
        switch.plug("client", &client_namespace, "eth0", in_lab_network(CLIENT)?).await?;
        let mut lab = Self {
            hosts: Vec::new(),
            client: Client::start(&client_namespace, SocketAddr::from((VIP, 80))),
            client_namespace,
            watcher: Watcher::new(),
            world: World::new(),
            members: Vec::new(),
            switch,
            program: program.as_ref().to_path_buf(),
        };
        for _ in 0..hosts {
            let host = lab.add_host().await?;
            lab.join(host);
        }
        Ok(lab)
    }

    /// Adds a host that is not a member yet, and returns its number.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub async fn add_host(&mut self) -> Result<usize> {
        let index = self.hosts.len();
        let number = u8::try_from(index + 1).ok().filter(|number| *number < 80).context("too many hosts")?;
        let namespace = Namespace::new(&format!("lb{number}")).await?;
        self.watcher.add(index, &namespace, self.switch.namespace()).await?;
        let address = Ipv4Addr::new(10, 10, 10, 10 + number);
        self.switch.plug(namespace.name(), &namespace, "eth0", in_lab_network(address)?).await?;
        let uuid = format!("{number:08}-0000-4000-8000-{number:012}");
        let mut entry = metadata::Host::new(&uuid, namespace.name(), &address.to_string());
        entry.labels.clear();
        self.world.put_host(&entry);
        let docker = docker(&namespace).await?;
        let (world, own) = (self.world.clone(), uuid.clone());
        let serving = docker.run(async move {
            let listener = TcpListener::bind((METADATA, 80)).await?;
            metadata::serve(listener, world, &own)
        });
        let metadata = serving.await?.context("metadata service")?;
        let (switch, program) = (self.switch.clone(), self.program.clone());
        self.hosts.push(Host { index, metadata, _docker: docker, namespace, address, uuid, switch, program });
        Ok(index)
    }

    /// The hosts by number.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The client that asks [`VIP`].
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where the client lives, for a client of another address.
    pub fn client_namespace(&self) -> &Namespace {
        &self.client_namespace
    }

    /// Who holds which address, and since when.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// What the metadata services answer.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The switch, for a second network card.
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Who holds [`VIP`] right now, asked of every host's kernel.
    ///
    /// # Errors
    /// When netlink fails.
    pub async fn holders(&self) -> Result<Vec<usize>> {
        let mut holders = Vec::new();
        for host in &self.hosts {
            if host.namespace.has_address(VIP.into()).await? {
                holders.push(host.index);
            }
        }
        Ok(holders)
    }

    /// Waits until exactly one host holds [`VIP`] and has answered a request sent since, and returns its number.
    ///
    /// # Errors
    /// When that does not come about within the limit.
    pub async fn wait_for_holder(&self, limit: Duration) -> Result<usize> {
        self.wait_for_holder_but(None, limit).await
    }

    /// The same, for a holder other than `former`.
    ///
    /// # Errors
    /// When that does not come about within the limit.
    pub async fn wait_for_successor(&self, former: usize, limit: Duration) -> Result<usize> {
        self.wait_for_holder_but(Some(former), limit).await
    }

    /// Makes a host a member: it gets the label `role=load-balancer`, and the metadata a load balancer on it.
    pub fn join(&mut self, host: usize) {
        let Some(host) = self.hosts.get(host) else { return };
        self.world.put_host(&metadata::Host::new(&host.uuid, host.name(), &host.address.to_string()));
        self.members.push(host.uuid.clone());
        let members: Vec<&str> = self.members.iter().map(String::as_str).collect();
        self.world.put_service(&metadata::Service::load_balancer(&members));
    }

    async fn wait_for_holder_but(&self, former: Option<usize>, limit: Duration) -> Result<usize> {
        let (mut changes, mut answers) = (self.watcher.subscribe(), self.client.subscribe());
        let settled = async {
            loop {
                let last_change = changes.borrow_and_update().last().map(|change| change.at);
                let last_answer = answers.borrow_and_update().clone();
                if let [holder] = *self.watcher.holders(VIP.into())?
                    && Some(holder) != former
                    && let Some((sent, by)) = last_answer
                    && Some(sent) >= last_change
                    && self.hosts.get(holder).is_some_and(|host| host.name() == by)
                {
                    return anyhow::Ok(holder);
                }
                tokio::select! {
                    changed = changes.changed() => changed?,
                    changed = answers.changed() => changed?,
                }
            }
        };
        if let Ok(settled) = tokio::time::timeout(limit, settled).await {
            return settled.context("the lab has ended");
        }
        let names = |indices: Vec<usize>| {
            indices
                .iter()
                .filter_map(|index| self.hosts.get(*index))
                .map(Host::name)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let by = self.client.subscribe().borrow().clone();
        bail!(
            "no single holder that answers within {limit:?}: the address is on [{}], the last answer came from {}",
            names(self.watcher.holders(VIP.into())?),
            by.map_or("nobody".into(), |(sent, by)| format!("{by} {:?} ago", sent.elapsed()))
        )
    }
}

/// The container of a host's metadata service: Rancher's is reached through docker0 as well, and so leaves the
/// host's own port 80 alone.
async fn docker(host: &Namespace) -> Result<Namespace> {
    let container = Namespace::new("metadata").await?;
    host.connect("docker0", &container, "eth0").await?;
    host.add_address("docker0", IpNet::new(Ipv4Addr::new(172, 17, 0, 1).into(), 16)?).await?;
    host.add_route(METADATA, "docker0").await?;
    container.add_address("eth0", IpNet::new(Ipv4Addr::new(172, 17, 0, 2).into(), 16)?).await?;
    container.add_address("eth0", IpAddr::from(METADATA).into()).await?;
    Ok(container)
}

fn in_lab_network(address: Ipv4Addr) -> Result<IpNet> {
    Ok(IpNet::new(address.into(), 24)?)
}
