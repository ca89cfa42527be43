//! The one place where core and adapters meet: wait, feed the core, carry out its commands.
//!
//! Three threads: this one, with the adverts and the core; the address's, since netlink can block; and the
//! metadata's and the checks'. (The log has a fourth.)

pub mod logging;
pub mod outside;
pub mod place;
mod prepare;
pub mod privileges;
pub mod realtime;
pub mod report;
mod sockets;

use crate::config::{Auth, Config, Lease, Loaded, Router, Target, Transport};
use crate::core::command::Command;
use crate::core::event::Event;
use crate::core::{self, Agent, Force, Kernel, Time, timing};
use crate::health::Pace;
use crate::metadata::{Snapshot, Update};
use crate::net::address::{self, Addresses};
use crate::net::alarm::{self, Alarm};
use crate::net::link::Link;
use crate::net::lock::Lock;
use crate::status::socket::{Order, Request};
use anyhow::{Context, Result, bail};
use outside::Outside;
use place::Place;
use prepare::{Start, prepare, targets};
use sockets::{Meaning, Sockets, understand};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

/// Pause between two looks at what is missing for a start, and between two tries to open lost sockets.
const RETRY: Duration = Duration::from_millis(500);

/// Datagrams that are heard in one go: a flood of them must not keep the core from its timers.
const DRAINED: usize = 128;

/// Something in the settings contradicts what was found on this host.
#[derive(Debug)]
pub struct Misconfigured(pub String);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misconfigured {}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// [`Misconfigured`], a missing capability, or the death of a thread.
pub fn run(loaded: &Loaded) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let (config, router) = (&loaded.config, wired(&loaded.config)?);
        let mut signals = Signals::new()?;
        let mut outside = outside::start(config, router).await?;
        match prepare(router, &mut outside, &mut signals).await? {
            Some(start) => Runner::new(config, router, outside, start)?.run(signals).await,
            None => Ok(()),
        }
    });
    runtime.shutdown_background();
    result
}

/// The virtual router, if it is the only one and needs nothing that is not wired yet.
fn wired(config: &Config) -> Result<&Router, Misconfigured> {
    let wanted = match config.routers.as_slice() {
        [router] if router.vips.iter().any(|vip| vip.address.is_ipv6()) => "IPv6",
        [router] if router.transport == Transport::Multicast => "OUTRIDER_TRANSPORT=multicast",
        [router] if router.auth != Auth::None => "authentication",
        [router] => return Ok(router),
        _ => "more than one virtual router",
    };
    Err(Misconfigured(format!(
        "{wanted} is not wired yet: the settings are right, this version cannot run them"
    )))
}

/// The IPv4 addresses of a router, as they were written.
fn ipv4(router: &Router) -> impl Iterator<Item = (Ipv4Addr, Option<u8>)> {
    router.vips.iter().filter_map(|vip| match vip.address {
        IpAddr::V4(address) => Some((address, vip.prefix)),
        IpAddr::V6(_) => None,
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let signal = |kind| signal(kind).context("cannot listen to signals");
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The running agent.
struct Runner<'a> {
    router: &'a Router,
    outside: Outside,
    place: Place,
    agent: Agent,
    addresses: Addresses,
    kernel: UnboundedReceiver<address::Event>,
    sockets: Option<Sockets>,
    reopen_at: Option<tokio::time::Instant>,
    /// None: not told yet.
    link: Option<Link>,
    source_present: bool,
    foreign: BTreeSet<Ipv4Addr>,
    /// People who wait for a drain to end.
    draining: Vec<oneshot::Sender<Result<String, String>>>,
    /// Errors that were said and have not ended since.
    said: BTreeSet<String>,
    /// Dies with the process, and the virtual router's claim on this host with it.
    _lock: Lock,
}

impl<'a> Runner<'a> {
    fn new(config: &Config, router: &'a Router, outside: Outside, start: Start) -> Result<Runner<'a>> {
        let Start { place, lock, members, read_at, unreachable, snapshot } = start;
        // The same on every host, whatever its priority: the taker must know how long the former holder's is.
        let longest = timing::master_down(router.version, 1, router.interval);
        let lease = (router.lease == Lease::Auto).then(|| timing::lease_seconds(longest));
        let settings = address::Settings {
            interface: place.interface.clone(),
            vips: place.vips.clone(),
            lease,
            adopt: router.adopt,
            source: Some(place.source),
        };
        let sockets = Sockets::open(&place)?;
        let (events, kernel) = unbounded_channel();
        let addresses = Addresses::start(settings, events)?;
        let now = alarm::now();
        let mut agent = Agent::new(
            core::Settings {
                vrid: router.vrid,
                version: router.version,
                source: place.source.into(),
                addresses: router.advertised(),
                interval: router.interval,
                priority: router.priority,
                preempt: router.preempt,
                preempt_delay: router.preempt_delay,
                lease: lease.map(|seconds| Duration::from_secs(seconds.into())),
                handover_limit: router.handover_limit,
                announcements: router.announcements,
                min_ttl: router.min_ttl,
                rise: router.checks.rise,
                fall: router.checks.fall,
                guards: router.guards.clone(),
            },
            now,
        );
        let name = config.router_id.clone().unwrap_or_else(outside::hostname);
        let vips: Vec<_> = place.vips.iter().map(|(vip, prefix)| format!("{vip}/{prefix}")).collect();
        info!(
            "{name}: virtual router {} ({}) on {} ({}), adverts from {}",
            router.vrid,
            vips.join(", "),
            place.interface,
            place.because,
            place.source
        );
        agent.handle_members(now, &members, read_at);
        if unreachable {
            agent.handle_unreachable(now);
        }
        let mut runner = Runner {
            router,
            outside,
            place,
            agent,
            addresses,
            kernel,
            sockets: Some(sockets),
            reopen_at: None,
            link: None,
            source_present: true,
            foreign: BTreeSet::new(),
            draining: Vec::new(),
            said: BTreeSet::new(),
            _lock: lock,
        };
        runner.outside.set_interface(&runner.place.interface);
        runner.set_targets(snapshot.as_ref());
        Ok(runner)
    }

    async fn run(mut self, mut signals: Signals) -> Result<()> {
        let mut alarm = Alarm::new().context("cannot make a timer")?;
        loop {
            if self.carry_out() {
                return Ok(());
            }
            alarm.set(Some(self.agent.next_deadline())).context("cannot set the timer")?;
            // Each branch only waits, or takes one item: dropping it loses nothing.
            tokio::select! {
                received = receive(self.sockets.as_ref()) => match received {
                    Ok(received) => self.hear(&received),
                    Err(error) => self.lose_sockets(&error),
                },
                rung = alarm.rung() => rung.context("cannot wait for the timer")?,
                event = self.kernel.recv() => match event {
                    Some(event) => self.kernel_event(event),
                    None => bail!("the thread of the address died"),
                },
                report = self.outside.reports.recv() => match report {
                    Some(report) => {
                        let name = report.target.to_string();
                        self.agent.handle_health(alarm::now(), &name, &report.outcome);
                    }
                    None => bail!("the thread of the checks died"),
                },
                () = signals.end() => self.agent.handle_shutdown(alarm::now()),
                claim = heard(self.sockets.as_ref()) => match claim {
                    Ok(claim) => self.agent.handle_arp(alarm::now(), claim.address.into(), claim.mac),
                    Err(error) => self.lose_sockets(&error),
                },
                update = self.outside.updates.recv() => match update {
                    Some(update) => self.update(update),
                    None => bail!("the metadata is not watched any more"),
                },
                Some(gateway) = self.outside.gateways.recv() => {
                    self.agent.handle_gateway(alarm::now(), gateway.map(IpAddr::V4));
                }
                Some(request) = self.outside.orders.recv() => self.obey(request),
                () = wait_until(self.reopen_at) => self.reopen(),
            }
            self.drain();
            self.agent.handle_timeout(alarm::now());
        }
    }

    /// Adverts that are already here may have ended a silence: they are heard before time is looked at.
    fn drain(&mut self) {
        for _ in 0..DRAINED {
            let Some(sockets) = &self.sockets else { return };
            match sockets.receiver.try_receive() {
                Ok(Some(received)) => self.hear(&received),
                Ok(None) => return,
                Err(error) => return self.lose_sockets(&error),
            }
        }
    }

    fn hear(&mut self, received: &crate::net::vrrp::Received) {
        let now = alarm::now();
        match understand(received, self.place.source, self.router.vrid) {
            Meaning::Advert(heard) => self.agent.handle_advert(now, &heard),
            Meaning::Rejected { from, why } => self.agent.handle_rejected(now, from, &why),
            Meaning::Nothing => {}
        }
    }

    fn obey(&mut self, request: Request) {
        let force = |force| if force { Force::Yes } else { Force::No };
        match request.order {
            Order::Drain { force: forced } => {
                self.draining.push(request.answer);
                self.agent.handle_drain(alarm::now(), Some(force(forced)));
            }
            Order::Undrain => {
                self.agent.handle_drain(alarm::now(), None);
                let _ = request.answer.send(Ok("this host takes part again".to_owned()));
                self.drained(&Err("undrained meanwhile".to_owned()));
            }
        }
    }

    fn drained(&mut self, result: &Result<(), String>) {
        let done = result.clone().map(|()| "this host is drained: it does not hold the address".to_owned());
        for answer in self.draining.drain(..) {
            let _ = answer.send(done.clone());
        }
    }

    fn update(&mut self, update: Update) {
        let now = alarm::now();
        match update {
            Update::Snapshot { snapshot, read_at } => {
                let read_at = read_at.unwrap_or(outside::AGES_AGO);
                self.agent.handle_members(now, &snapshot.membership, Some(read_at));
                self.set_targets(Some(&snapshot));
                let named = snapshot.me.interface_label.as_ref();
                let source = snapshot.me.source_label;
                if named.is_some_and(|name| *name != self.place.interface)
                    || source.is_some_and(|source| source != self.place.source)
                {
                    self.say(
                        "the host labels name another interface or source: restart to use it".to_owned(),
                    );
                }
            }
            Update::Confirmed { read_at } => self.agent.handle_confirmed(now, read_at),
            Update::Unreachable { .. } => self.agent.handle_unreachable(now),
        }
    }

    fn set_targets(&mut self, snapshot: Option<&Snapshot>) {
        let now = alarm::now();
        match targets(self.router, snapshot) {
            Ok(targets) => {
                let names: Vec<String> = targets.iter().map(Target::to_string).collect();
                self.agent.handle_checks(now, Ok(&names));
                self.outside.checker.set_targets(targets);
            }
            Err(why) => {
                self.agent.handle_checks(now, Err(why));
                self.outside.checker.set_targets(Vec::new());
            }
        }
    }

    fn kernel_event(&mut self, event: address::Event) {
        let now = alarm::now();
        let kernel = match event {
            address::Event::Added { sent_at, .. } => Kernel::Added { sent: sent_at },
            address::Event::Renewed { sent_at, .. } => Kernel::Renewed { sent: sent_at },
            address::Event::Removed => Kernel::Removed,
            address::Event::TooLate(_) | address::Event::Late(_) => Kernel::TooLate,
            address::Event::Failed { request, error } => {
                let adding = matches!(request, address::Request::Add { .. });
                Kernel::Failed { adding, why: error }
            }
            address::Event::Gone { .. } => Kernel::Gone,
            address::Event::Foreign { address, interface, clear_with } => {
                self.foreign.insert(address);
                Kernel::Foreign(format!(
                    "{address} is on {interface} already and is not ours; to clear it: {clear_with}"
                ))
            }
            address::Event::ForeignGone { address } => {
                self.foreign.remove(&address);
                if !self.foreign.is_empty() {
                    return;
                }
                Kernel::ForeignGone
            }
            address::Event::Link(link) => {
                let before = self.link.replace(link);
                let another =
                    before.is_some_and(|before| before.index.is_some() && before.index != link.index);
                if another || link.up && self.sockets.is_none() {
                    self.reopen();
                }
                return self.tell_link();
            }
            address::Event::Source { present } => {
                self.source_present = present;
                return self.tell_link();
            }
        };
        self.agent.handle_kernel(now, &kernel);
    }

    /// Tells the core whether adverts can pass, once that is known.
    fn tell_link(&mut self) {
        if let Some(link) = self.link {
            let state = self.link_state(link);
            if state.is_ok() {
                self.outside.look_around();
            }
            self.agent.handle_link(alarm::now(), state);
        }
    }

    fn link_state(&self, link: Link) -> Result<(), String> {
        let interface = &self.place.interface;
        if link.index.is_none() {
            Err(format!("the interface {interface} is gone"))
        } else if !link.up && self.router.track_link {
            Err(format!("the link of {interface} is down"))
        } else if !self.source_present {
            Err(format!("the source address {} is not on this host", self.place.source))
        } else if self.sockets.is_none() {
            Err(format!("the sockets on {interface} are lost"))
        } else {
            Ok(())
        }
    }

    fn lose_sockets(&mut self, error: &std::io::Error) {
        tracing::debug!("sockets on {}: {error}", self.place.interface);
        self.sockets = None;
        self.reopen_at = Some(tokio::time::Instant::now() + RETRY);
        self.tell_link();
    }

    fn reopen(&mut self) {
        match Sockets::open(&self.place) {
            Ok(sockets) => {
                self.sockets = Some(sockets);
                self.reopen_at = None;
                self.tell_link();
            }
            Err(error) => {
                tracing::debug!("{error:#}");
                self.sockets = None;
                self.reopen_at = Some(tokio::time::Instant::now() + RETRY);
            }
        }
    }

    /// Carries out what the core wants. Tells whether the process is to end.
    fn carry_out(&mut self) -> bool {
        while let Some(command) = self.agent.next_command(alarm::now()) {
            let no_limit = Time::MAX;
            match command {
                Command::Advertise { priority, to } => self.advertise(priority, &to),
                Command::Add { not_after } => self.addresses.add(not_after.unwrap_or(no_limit)),
                Command::Renew { not_after } => self.addresses.renew(not_after.unwrap_or(no_limit)),
                Command::Remove => self.addresses.remove(),
                Command::Announce => self.arp("announce", |announcer, vip| announcer.announce(vip)),
                Command::Probe => self.arp("ask for", |announcer, vip| announcer.probe(vip)),
                Command::Ask(targets) => self.ask(&targets),
                Command::Peers(peers) => self.outside.set_peers(peers),
                Command::Drained(result) => self.drained(&result),
                Command::Reread => self.outside.nudge.notify_one(),
                Command::Hurry(true) => self.outside.checker.set_pace(Pace::Eager),
                Command::Hurry(false) => self.outside.checker.set_pace(Pace::Normal),
                Command::Tell(event) => self.tell(&event),
                Command::Exit => return true,
            }
        }
        false
    }

    fn advertise(&mut self, priority: u8, to: &[IpAddr]) {
        let Some(sockets) = &self.sockets else { return };
        let errors = sockets.advertise(self.router, self.place.source, priority, to);
        let sent = match errors.first() {
            Some(error) if errors.len() >= to.len() => Err(error.clone()),
            _ => Ok(()),
        };
        self.agent.handle_sent(alarm::now(), sent);
        errors.into_iter().for_each(|error| self.say(error));
    }

    fn ask(&mut self, targets: &[IpAddr]) {
        let Some(sockets) = &self.sockets else { return };
        for target in targets {
            // No answer to a question that could not be asked: that is what the question is about.
            if let IpAddr::V4(target) = *target
                && let Err(error) = sockets.announcer.ask(self.place.source, target)
            {
                tracing::debug!("cannot ask {target} by ARP: {error}");
            }
        }
    }

    fn arp(
        &mut self,
        what: &str,
        send: impl Fn(&crate::net::announce::Announcer, Ipv4Addr) -> std::io::Result<()>,
    ) {
        let Some(sockets) = &self.sockets else { return };
        let errors: Vec<String> = ipv4(self.router)
            .filter_map(|(vip, _)| {
                let error = send(&sockets.announcer, vip).err()?;
                Some(format!("cannot {what} {vip} by ARP: {error}"))
            })
            .collect();
        errors.into_iter().for_each(|error| self.say(error));
    }

    /// Says an error once.
    fn say(&mut self, error: String) {
        if self.said.len() < 64 && self.said.insert(error.clone()) {
            warn!("{error}");
        }
    }

    fn tell(&self, event: &Event) {
        let vips: Vec<String> = self.router.vips.iter().map(|vip| vip.address.to_string()).collect();
        let vips = vips.join(", ");
        match event {
            Event::Transition { from, to, why } => info!("{vips}: {from} -> {to}: {why}"),
            Event::Detail(text) => tracing::debug!("{vips}: {text}"),
            Event::Notice(text) => info!("{vips}: {text}"),
            Event::Warning(text) => warn!("{vips}: {text}"),
            Event::Alarm(text) => error!("{vips}: {text}"),
        }
    }
}

async fn receive(sockets: Option<&Sockets>) -> std::io::Result<crate::net::vrrp::Received> {
    match sockets {
        Some(sockets) => sockets.receiver.receive().await,
        None => std::future::pending().await,
    }
}

async fn heard(sockets: Option<&Sockets>) -> std::io::Result<crate::wire::arp::Claim> {
    match sockets {
        Some(sockets) => sockets.announcer.heard().await,
        None => std::future::pending().await,
    }
}

async fn wait_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
