//! A lab whose hosts run routers of all kinds, and words for what is to be seen there.

use crate::frr::{self, Frr};
use crate::holders::{self, Holders};
use crate::keepalived;
use crate::speech::{Speech, global, link_local};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use outrider::lab::namespace::Namespace;
use outrider::lab::process::{Line, Process};
pub use outrider::lab::tool::{self, ip, nft};
use outrider::lab::{Host, Lab};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");
/// Longer than anything here takes, on however busy a machine: only a test that fails waits for it.
pub const SOON: Duration = Duration::from_secs(30);
/// What a machine with two cores and all of these tests at once may add to the protocol's own times. Changing an
/// address waits for the kernel's rtnl lock, which is one for all namespaces.
pub const BUSY: Duration = Duration::from_millis(1500);
/// Time with two holders, or none, while one takes the address from another that knows of it.
pub const OVERLAP: Duration = Duration::from_millis(500);

/// What a router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Outrider,
    Keepalived,
    Frr,
}

/// What is set for each router.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub kind: Kind,
    pub priority: u8,
    pub preempt: bool,
    /// keepalived's, besides the address: in its adverts, and not in them.
    pub more_addresses: &'static [&'static str],
    pub excluded_addresses: &'static [&'static str],
    /// outrider's variables, on top of those of the group.
    pub variables: &'static [(&'static str, &'static str)],
}

impl Kind {
    /// A router of this kind, with this priority and without preemption.
    pub const fn at(self, priority: u8) -> Settings {
        Settings {
            kind: self,
            priority,
            preempt: false,
            more_addresses: &[],
            excluded_addresses: &[],
            variables: &[],
        }
    }
}

impl Settings {
    pub const fn preempting(self) -> Settings {
        Settings { preempt: true, ..self }
    }
}

/// A router that runs.
enum Router {
    Outrider(Process),
    Keepalived(Process),
    Frr(Frr),
}

impl Router {
    fn processes(&self) -> Vec<&Process> {
        match self {
            Router::Outrider(process) | Router::Keepalived(process) => vec![process],
            Router::Frr(frr) => frr.processes().to_vec(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Router::Outrider(_) => Kind::Outrider,
            Router::Keepalived(_) => Kind::Keepalived,
            Router::Frr(_) => Kind::Frr,
        }
    }

    /// Whose log tells of the state.
    fn speaker(&self) -> &Process {
        match self {
            Router::Outrider(process) | Router::Keepalived(process) => process,
            Router::Frr(frr) => frr.vrrpd(),
        }
    }
}

/// A lab, and what runs on its hosts.
pub struct Site {
    pub lab: Lab,
    pub speech: Speech,
    routers: Vec<Option<Router>>,
    /// What was said by routers that do not run any more.
    past: Vec<(usize, Line)>,
    /// Cut off from the network.
    dead: Vec<bool>,
    holders: Holders,
    files: TempDir,
    /// Routers so far: each has a folder of its own, since a dead one's files would stop the next.
    started: usize,
    start: Instant,
}

impl Site {
    /// Hosts on which nothing runs yet. A client of the lab asks nothing: there is no load balancer.
    pub async fn new(hosts: usize, speech: Speech) -> Result<Site> {
        let site = Site::with_client(hosts, speech).await?;
        site.lab.client().stop();
        Ok(site)
    }

    /// The same, with the client that asks all the time.
    pub async fn with_client(hosts: usize, speech: Speech) -> Result<Site> {
        let start = Instant::now();
        let lab = Lab::new(hosts, PROGRAM).await?;
        if speech.ipv6 {
            for host in lab.hosts() {
                number_ipv6(host.namespace(), host.index()).await?;
            }
            number_ipv6(lab.client_namespace(), 100).await?;
        }
        let routers = std::iter::repeat_with(|| None).take(hosts).collect();
        let holders = Holders::new(speech.vip());
        let (past, dead, files) = (Vec::new(), vec![false; hosts], tempfile::tempdir()?);
        Ok(Site { lab, speech, routers, past, dead, holders, files, started: 0, start })
    }

    pub fn host(&self, host: usize) -> &Host {
        &self.lab.hosts()[host]
    }

    pub fn namespace(&self, host: usize) -> &Namespace {
        self.host(host).namespace()
    }

    /// The process whose log tells of the state of a host's router.
    pub fn log(&self, host: usize) -> &Process {
        self.routers[host].as_ref().expect("a router runs").speaker()
    }

    /// Starts a router, on the network again if the host was dead.
    pub async fn start(&mut self, host: usize, settings: Settings) -> Result<()> {
        self.start_speaking(host, settings, self.speech).await
    }

    /// The same, for one that does not speak as the others do.
    pub async fn start_speaking(&mut self, host: usize, settings: Settings, speech: Speech) -> Result<()> {
        ensure!(self.routers[host].is_none(), "host {host} has a router already");
        if std::mem::take(&mut self.dead[host]) {
            self.host(host).rejoin().await?;
        }
        let hosts = self.routers.len();
        self.started += 1;
        let folder = self.files.path().join(self.started.to_string());
        std::fs::create_dir(&folder)?;
        let router = match settings.kind {
            Kind::Outrider => {
                let mut all = speech.variables(host, hosts);
                if settings.priority != 0 {
                    all.push(("OUTRIDER_PRIORITY", settings.priority.to_string()));
                }
                all.push(("OUTRIDER_PREEMPT", settings.preempt.to_string()));
                all.push(("OUTRIDER_CHECK", "none".into()));
                all.retain(|(name, _)| settings.variables.iter().all(|(other, _)| name != other));
                let mut variables: Vec<(&str, &str)> =
                    all.iter().map(|(name, value)| (*name, value.as_str())).collect();
                variables.extend(settings.variables);
                Router::Outrider(self.host(host).start_agent(&variables).await?)
            }
            Kind::Keepalived => Router::Keepalived(
                keepalived::start(self.host(host), hosts, &speech, &settings, &folder).await?,
            ),
            Kind::Frr => {
                Router::Frr(frr::start(self.host(host), &self.holders, &speech, &settings, &folder).await?)
            }
        };
        self.routers[host] = Some(router);
        Ok(())
    }

    /// Starts a router and waits until it has the address.
    pub async fn start_holder(&mut self, host: usize, settings: Settings) -> Result<()> {
        self.start(host, settings).await?;
        self.wait_for_holders(&[host]).await?;
        let words = match settings.kind {
            Kind::Outrider => "-> Active",
            Kind::Keepalived => "Entering MASTER STATE",
            Kind::Frr => "-> Master",
        };
        self.log(host).wait_for_line(words, SOON).await?;
        Ok(())
    }

    /// Starts a router and waits until it is a Backup that listens.
    pub async fn start_backup(&mut self, host: usize, settings: Settings) -> Result<()> {
        self.start(host, settings).await?;
        let (log, speech) = (self.log(host), self.speech);
        match settings.kind {
            Kind::Outrider => {
                log.wait_for_line(" holds the address with priority ", SOON).await?;
                log.wait_for_line("-> Backup", SOON).await?;
                // Priority 0 in the first interval may have waited in the socket since who knows when: it does not
                // count.
                tokio::time::sleep(speech.interval() * 5 / 4).await;
            }
            Kind::Keepalived => drop(log.wait_for_line("Entering BACKUP STATE", SOON).await?),
            Kind::Frr => drop(log.wait_for_line("Initialize -> Backup", SOON).await?),
        }
        Ok(())
    }

    /// Ends a router in good order.
    pub async fn stop(&mut self, host: usize) -> Result<()> {
        let router = self.routers[host].take().context("no router runs")?;
        let ended = match &router {
            Router::Outrider(process) => {
                process.signal(Signal::SIGTERM)?;
                let status = process.wait(SOON).await?;
                if status.success() { Ok(()) } else { Err(anyhow::anyhow!("outrider: {status}")) }
            }
            Router::Keepalived(process) => {
                process.signal(Signal::SIGTERM)?;
                process.wait(SOON).await.map(drop)
            }
            Router::Frr(frr) => frr.stop().await,
        };
        self.bury(host, &router);
        ended
    }

    /// Ends a router by SIGKILL. An agent's address goes with its lease. Those of keepalived and vrrpd stay for ever:
    /// such a host has to be dead altogether, so it is cut off first, and then not counted as a holder.
    pub async fn crash(&mut self, host: usize) -> Result<()> {
        let router = self.routers[host].take().context("no router runs")?;
        match &router {
            Router::Outrider(process) => {
                process.kill9()?;
                process.wait(SOON).await?;
            }
            Router::Keepalived(process) => {
                self.cut_off(host).await?;
                keepalived::kill9(process)?;
                process.wait(SOON).await?;
                self.namespace(host).remove_address(self.speech.vip()).await?;
            }
            Router::Frr(frr) => {
                self.cut_off(host).await?;
                frr.kill9().await?;
                frr::close(self.namespace(host)).await?;
            }
        }
        self.bury(host, &router);
        Ok(())
    }

    async fn cut_off(&mut self, host: usize) -> Result<()> {
        self.dead[host] = true;
        self.host(host).isolate().await
    }

    fn bury(&mut self, host: usize, router: &Router) {
        for process in router.processes() {
            self.past.extend(process.lines().into_iter().map(|line| (host, line)));
        }
    }

    /// Who has the address.
    pub fn holders(&self) -> Vec<usize> {
        holders::holders(&self.holders.changes(self.lab.watcher()))
    }

    /// Waits until exactly these have the address.
    pub async fn wait_for_holders(&self, wanted: &[usize]) -> Result<()> {
        let waited = wait_until("the right ones have the address", async || Ok(self.holders() == wanted));
        waited.await.with_context(|| format!("{:?} have it, not {wanted:?}", self.holders()))
    }

    /// Waits until the kernel of a host has told that the address was there since. A router's log may be read before.
    pub async fn wait_for_spell(&self, host: usize, since: Instant) -> Result<()> {
        let seen = async || {
            let changes = self.holders.changes(self.lab.watcher());
            Ok(changes.iter().any(|change| change.host == host && change.held && change.at >= since))
        };
        wait_until("the address was on the host", seen).await
    }

    /// The same as [`Site::assert_held`], and that clients are told.
    pub async fn assert_settles(
        &self,
        holder: usize,
        since: Instant,
        two_at_most: Duration,
        none_at_most: Duration,
    ) -> Result<()> {
        self.assert_held(holder, since, two_at_most, none_at_most).await?;
        self.wait_for_client_to_know(holder).await
    }

    /// Asserts that a change that began at `since` ends with this one holder, and that it stays so; and for how long at
    /// most two had the address meanwhile, or none.
    pub async fn assert_held(
        &self,
        holder: usize,
        since: Instant,
        two_at_most: Duration,
        none_at_most: Duration,
    ) -> Result<()> {
        self.wait_for_holders(&[holder]).await?;
        let settled = Instant::now();
        tokio::time::sleep(self.speech.interval() * 3).await;
        self.assert_alone(holder, settled)?;
        let changes = self.holders.changes(self.lab.watcher());
        let worst = holders::worst(&changes, since, Instant::now());
        ensure!(worst.two <= two_at_most, "two holders for {:?}, at most {two_at_most:?}", worst.two);
        ensure!(worst.none <= none_at_most, "no holder for {:?}, at most {none_at_most:?}", worst.none);
        Ok(())
    }

    /// Asserts that a host, and no other, has had the address all the time since.
    pub fn assert_alone(&self, holder: usize, since: Instant) -> Result<()> {
        let changes = self.holders.changes(self.lab.watcher());
        let after: Vec<_> = changes.iter().filter(|change| change.at >= since).collect();
        ensure!(after.is_empty(), "nothing should change while host {holder} has the address: {after:?}");
        ensure!(self.holders() == [holder], "{:?} have the address", self.holders());
        Ok(())
    }

    /// Asserts that nothing changes for longer than it takes any of them to claim the address.
    pub async fn assert_calm(&self, holder: usize) -> Result<()> {
        let since = Instant::now();
        tokio::time::sleep(self.speech.master_down() * 5 / 4).await;
        self.assert_alone(holder, since)
    }

    /// The worst times since.
    pub fn worst(&self, since: Instant) -> holders::Worst {
        holders::worst(&self.holders.changes(self.lab.watcher()), since, Instant::now())
    }

    /// Nothing passes between two hosts any more, either way. Everybody else reaches both.
    pub async fn split(&self) -> Result<()> {
        let (one, other) = (self.host(0).name(), self.host(1).name());
        nft(
            self.lab.switch().namespace(),
            &format!(
                "add table bridge split; \
                 add chain bridge split gate {{ type filter hook forward priority 0; }}; \
                 add rule bridge split gate iifname {one} oifname {other} drop; \
                 add rule bridge split gate iifname {other} oifname {one} drop"
            ),
        )
        .await
    }

    /// Ends [`Site::split`].
    pub async fn heal(&self) -> Result<()> {
        nft(self.lab.switch().namespace(), "delete table bridge split").await
    }

    /// The client sends to the address at this host, from now on: whoever takes the address has to tell it.
    pub async fn client_uses(&self, host: usize) -> Result<Instant> {
        let mac = self.hardware_address(host).await?;
        let vip = self.speech.vip();
        let client = self.lab.client_namespace();
        ip(client, &format!("neighbor replace {vip} lladdr {mac} dev eth0 nud stale")).await?;
        Ok(Instant::now())
    }

    /// What a host's router is.
    pub fn kind(&self, host: usize) -> Option<Kind> {
        self.routers[host].as_ref().map(Router::kind)
    }

    /// Waits until the client, which asks nobody, has been told that the address is at a host.
    pub async fn wait_for_client_to_know(&self, host: usize) -> Result<()> {
        let mac = self.hardware_address(host).await?;
        let vip = self.speech.vip();
        let client = self.lab.client_namespace();
        let known = async || Ok(ip(client, &format!("neighbor show {vip} dev eth0")).await?.contains(&mac));
        let told = wait_until("the client is told who has the address", known).await;
        let blind = self.kind(host) == Some(Kind::Frr) && count(self.log(host), frr::BLIND) > 0;
        if blind { told.context(frr::BLIND) } else { told }
    }

    /// The hardware address under which a host answers for the address.
    async fn hardware_address(&self, host: usize) -> Result<String> {
        let card = if self.kind(host) == Some(Kind::Frr) { frr::INTERFACE } else { "eth0" };
        let shown = ip(self.namespace(host), &format!("-oneline link show {card}")).await?;
        let mac = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1);
        Ok(mac.context("a hardware address")?.to_owned())
    }
}

impl Drop for Site {
    /// Shown by the test harness if the test fails.
    fn drop(&mut self) {
        let mut lines: Vec<(Instant, String)> = Vec::new();
        for (host, router) in self.routers.iter().enumerate() {
            if let Some(Router::Keepalived(process)) = router {
                // Else its child would be left over.
                let _ = keepalived::kill9(process);
            }
            for process in router.iter().flat_map(Router::processes) {
                self.past.extend(process.lines().into_iter().map(|line| (host, line)));
            }
        }
        for (host, line) in &self.past {
            lines.push((line.at, format!("lb{}: {}", host + 1, line.text)));
        }
        for change in self.holders.changes(self.lab.watcher()) {
            let deed = if change.held { "has" } else { "has lost" };
            lines.push((change.at, format!("lb{}: {deed} {}", change.host + 1, change.address)));
        }
        lines.sort();
        for (at, text) in lines {
            println!("{:8.3} {text}", at.saturating_duration_since(self.start).as_secs_f64());
        }
        println!("{:8.3} the end", self.start.elapsed().as_secs_f64());
    }
}

/// Addresses of IPv6 that are the same each time, and usable at once.
async fn number_ipv6(namespace: &Namespace, number: usize) -> Result<()> {
    ip(namespace, "-6 address flush dev eth0").await?;
    for address in [link_local(number, 1), global(number)] {
        ip(namespace, &format!("address add {address}/64 dev eth0 nodad")).await?;
    }
    Ok(())
}

/// How many lines of a process contain this.
pub fn count(process: &Process, pattern: &str) -> usize {
    process.lines().iter().filter(|line| line.text.contains(pattern)).count()
}

/// Waits for what cannot tell by itself.
pub async fn wait_until(what: &str, condition: impl AsyncFn() -> Result<bool>) -> Result<()> {
    tool::wait_until(what, SOON, condition).await
}
