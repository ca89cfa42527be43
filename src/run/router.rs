//! One virtual router of the agent: its core, and what its commands come to.

use super::Tools;
use super::interpret::{membership, targets};
use super::measure::Measures;
use super::place::Place;
use super::signing::Signing;
use crate::config::{self, Lease, Peers, Target, Transport};
use crate::core::advert::Advert;
use crate::core::auth::Auth;
use crate::core::command::Command;
use crate::core::event::{Event, State};
use crate::core::members;
use crate::core::{self, Agent, Heard, Kernel, Time, Wish, timing};
use crate::metadata::Snapshot;
use crate::net::announce::Announcer;
use crate::net::link::Link;
use crate::net::lock::Lock;
use crate::net::vrrp::{self, Received};
use crate::net::{address, alarm};
use crate::notify::Change;
use crate::status::document::{Transition, moment};
use crate::wire::advert::{Decoded, Malformed, encode};
use anyhow::Result;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tracing::{error, info, warn};

/// Errors that are said once each, so that a changing text cannot fill the memory.
const SAID_MAX: usize = 64;

/// A virtual router that has its place on this host.
pub struct VirtualRouter {
    /// Its place in the list of settings.
    pub number: usize,
    /// Its settings.
    pub config: Arc<config::Router>,
    /// Where it stands.
    pub place: Place,
    /// Its mind. Elsewhere, so that a look at the others' deadlines, with every turn, does not go through all of memory.
    pub agent: Box<Agent>,
    /// What is counted and timed of it.
    pub measures: Measures,
    /// Its sockets.
    pub line: usize,
    /// When its core wants to be called.
    pub deadline: Time,
    /// How its part of a drain went.
    pub drained: Option<Result<(), String>>,
    /// It has let go of everything, and the process is to end.
    pub exited: bool,
    signing: Signing,
    /// None: not told yet.
    link: Option<Link>,
    source_present: bool,
    foreign: BTreeSet<IpAddr>,
    /// Errors that were said and have not ended since.
    said: BTreeSet<String>,
    /// Dies with the process, and the virtual router's claim on this host with it.
    _lock: Lock,
}

impl VirtualRouter {
    /// A virtual router that begins to listen now. `earlier`: the ids of those before it.
    ///
    /// # Errors
    /// Its sockets cannot be opened.
    pub fn start(
        number: usize,
        config: Arc<config::Router>,
        earlier: Vec<u8>,
        place: Place,
        lock: Lock,
        tools: &mut Tools,
    ) -> Result<VirtualRouter> {
        let multicast = config.transport == Transport::Multicast;
        let line = tools.lines.serve(&place, multicast)?;
        // The same on every host, whatever its priority: the taker must know how long the former holder's is.
        let longest = timing::master_down(config.version, 1, config.interval);
        let lease = (config.lease == Lease::Auto).then(|| timing::lease_seconds(longest));
        let settings = address::Settings {
            interface: place.interface.clone(),
            vips: place.vips.clone(),
            lease,
            adopt: config.adopt,
            source: Some(place.source),
        };
        tools.addresses.serve(number, settings);
        let now = alarm::now();
        let agent = Agent::new(core_settings(&config, place.source, lease, earlier), now);
        let scope = nix::net::if_::if_nametoindex(place.interface.as_str()).unwrap_or(0);
        tools.desk.tell_source(place.source, scope);
        tools.outside.set_place(number, &place.interface, config.family());
        let vips: Vec<_> = place.vips.iter().map(|(vip, prefix)| format!("{vip}/{prefix}")).collect();
        info!(
            "{}: virtual router {} ({}) on {} ({}), adverts from {}",
            tools.name,
            config.vrid,
            vips.join(", "),
            place.interface,
            place.because,
            place.source
        );
        Ok(VirtualRouter {
            signing: Signing::new(&config.auth),
            number,
            config,
            agent: Box::new(agent),
            measures: Measures::new(),
            line,
            deadline: now,
            drained: None,
            exited: false,
            link: None,
            source_present: true,
            foreign: BTreeSet::new(),
            said: BTreeSet::new(),
            place,
            _lock: lock,
        })
    }

    /// Takes over new settings.
    pub fn apply(&mut self, config: config::Router, snapshot: Option<&Snapshot>, tools: &mut Tools) {
        if config.auth != self.config.auth {
            self.signing.set(&config.auth);
        }
        if config.checks != self.config.checks {
            tools.outside.checks.set_settings(self.number, config.checks.clone());
        }
        // Lease and earlier routers stay as they are.
        let settings = core_settings(&config, self.place.source, None, Vec::new());
        let linked = config.track_link != self.config.track_link;
        self.config = Arc::new(config);
        self.agent.handle_settings(alarm::now(), settings);
        self.set_targets(snapshot, tools);
        if linked {
            self.tell_link(tools);
        }
    }

    /// Whether a datagram of its line is for it.
    pub fn is_addressed(&self, received: &Received, vrid: u8) -> bool {
        let group = vrrp::group(self.config.family());
        vrid == self.config.vrid
            && (received.destination == self.place.source || received.destination == group)
    }

    /// A datagram that is for it.
    pub fn hear(&mut self, received: &Received, decoded: &Result<Decoded, Malformed>) {
        let (now, from) = (alarm::now(), received.source);
        match decoded {
            Ok(decoded) => {
                let proof = self.signing.proof(received, decoded);
                let (ttl, advert, checksum) = (received.ttl, decoded.advert.clone(), decoded.checksum);
                let priority = advert.priority;
                let taken = self.agent.take_advert(now, &Heard { from, ttl, advert, checksum, proof });
                self.measures.hear(now, from, priority, taken);
            }
            Err(malformed) => {
                self.agent.handle_rejected(now, from, &malformed.to_string());
                self.measures.hear(now, from, 0, Err(malformed.fault.kind()));
            }
        }
    }

    /// Who takes part, as the metadata has it; `read_at`: when it was asked.
    pub fn take_snapshot(&mut self, snapshot: &Snapshot, read_at: Time, tools: &mut Tools) {
        match membership(&self.config, self.place.source, Some(snapshot)) {
            Ok(members) => {
                let read_at = (self.config.peers == Peers::Rancher).then_some(read_at);
                self.agent.handle_members(alarm::now(), &members, read_at);
            }
            // The last good membership stays.
            Err(why) => self.say(why),
        }
        self.set_targets(Some(snapshot), tools);
        let named = snapshot.me.interface_label.as_ref();
        let source = snapshot.me.source_label.filter(|label| label.is_ipv4() == self.place.source.is_ipv4());
        if named.is_some_and(|name| *name != self.place.interface)
            || source.is_some_and(|source| source != self.place.source)
        {
            self.say("the host labels name another interface or source: restart to use it".to_owned());
        }
    }

    /// Sets what is checked.
    pub fn set_targets(&mut self, snapshot: Option<&Snapshot>, tools: &mut Tools) {
        let now = alarm::now();
        let targets = match targets(&self.config, snapshot) {
            Ok(targets) => {
                let names: Vec<String> = targets.iter().map(Target::to_string).collect();
                self.agent.handle_checks(now, Ok(&names));
                targets
            }
            Err(why) => {
                self.agent.handle_checks(now, Err(why));
                Vec::new()
            }
        };
        tools.outside.checks.set_targets(self.number, targets);
    }

    /// What the address's thread tells.
    pub fn take_kernel(&mut self, event: address::Event, tools: &mut Tools) {
        let kernel = match event {
            address::Event::Added { sent_at, acked_at } => {
                self.measures.is_added(acked_at);
                Kernel::Added { sent: sent_at }
            }
            address::Event::Renewed { sent_at, .. } => Kernel::Renewed { sent: sent_at },
            address::Event::Removed => Kernel::Removed,
            address::Event::TooLate(_) | address::Event::Late(_) => Kernel::TooLate,
            address::Event::Failed { request, error } => {
                let to = match request {
                    address::Request::Add { .. } => Wish::Add,
                    address::Request::Renew { .. } => Wish::Renew,
                    address::Request::Remove => Wish::Remove,
                };
                Kernel::Failed { to, why: error }
            }
            address::Event::Gone { .. } => Kernel::Gone,
            address::Event::Leftover => Kernel::Leftover,
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
                let lost = tools.lines.get(self.line).is_none_or(|line| line.sockets().is_none());
                if another || link.up && lost {
                    tools.lines.renew(self.line, link.index);
                }
                return self.tell_link(tools);
            }
            address::Event::Source { present } => {
                self.source_present = present;
                return self.tell_link(tools);
            }
        };
        self.agent.handle_kernel(alarm::now(), &kernel);
    }

    /// Tells the core whether adverts can pass, once that is known.
    pub fn tell_link(&mut self, tools: &mut Tools) {
        if let Some(link) = self.link {
            let open = tools.lines.get(self.line).is_some_and(|line| line.sockets().is_some());
            let state = self.link_state(link, open);
            if state.is_ok() {
                tools.outside.look_around();
            }
            self.agent.handle_link(alarm::now(), state);
        }
    }

    fn link_state(&self, link: Link, open: bool) -> Result<(), String> {
        let interface = &self.place.interface;
        if link.index.is_none() {
            Err(format!("the interface {interface} is gone"))
        } else if !link.up && self.config.track_link {
            Err(format!("the link of {interface} is down"))
        } else if !self.source_present {
            Err(format!("the source address {} is not on this host", self.place.source))
        } else if !open {
            Err(format!("the sockets on {interface} are lost"))
        } else {
            Ok(())
        }
    }

    /// Acts on what is due at a moment that is not long past.
    pub fn act(&mut self, now: Time, tools: &mut Tools) {
        if let Some(due) = self.agent.advert_due().filter(|due| *due <= now) {
            self.measures.lateness.observe(alarm::now().saturating_sub(due));
        }
        self.agent.handle_timeout(now);
        self.carry_out(tools);
    }

    /// Carries out what the core wants.
    pub fn carry_out(&mut self, tools: &mut Tools) {
        while let Some(command) = self.agent.next_command(alarm::now()) {
            let no_limit = Time::MAX;
            let number = self.number;
            match command {
                Command::Advertise { priority, to } => self.advertise(priority, &to, tools),
                Command::Add { not_after } => tools.addresses.add(number, not_after.unwrap_or(no_limit)),
                Command::Renew { not_after } => tools.addresses.renew(number, not_after.unwrap_or(no_limit)),
                Command::Remove => tools.addresses.remove(number),
                Command::Announce => {
                    self.measures.counters.announcements += self.config.vips.len() as u64;
                    self.tell_link_layer("announce", Announcer::announce, tools);
                }
                Command::Probe => self.tell_link_layer("ask for", Announcer::probe, tools),
                Command::Ask(targets) => self.ask(&targets, tools),
                Command::Peers(peers) => tools.outside.set_peers(number, peers),
                Command::Drained(result) => self.drained = Some(result),
                Command::Reread => tools.outside.nudge.notify_one(),
                Command::Hurry(hurry) => tools.outside.checks.set_hurry(number, hurry),
                Command::Tell(event) => self.tell(&event, tools),
                Command::Exit => self.exited = true,
            }
        }
        self.deadline = self.agent.next_deadline();
    }

    fn advertise(&mut self, priority: u8, to: &[IpAddr], tools: &Tools) {
        let Some(sockets) = tools.lines.get(self.line).and_then(|line| line.sockets()) else { return };
        let advert = Advert {
            version: self.config.version,
            vrid: self.config.vrid,
            priority,
            interval: self.config.interval,
            addresses: self.config.advertised(),
        };
        let source = self.place.source;
        let mut errors = Vec::new();
        self.signing.turn();
        for &receiver in to {
            let form = self.agent.checksum_for(receiver);
            let mut message = encode(&advert, form, source, receiver, self.signing.password());
            self.signing.sign(&mut message, source, receiver);
            if let Err(error) = sockets.sender.send(&message, receiver) {
                errors.push(format!("an advert to {receiver} could not be sent: {error}"));
            }
        }
        self.measures.sent(priority, (to.len() - errors.len()) as u64, errors.len() as u64);
        let sent = match errors.first() {
            Some(error) if errors.len() >= to.len() => Err(error.clone()),
            _ => Ok(()),
        };
        self.agent.handle_sent(alarm::now(), sent);
        errors.into_iter().for_each(|error| self.say(error));
    }

    fn ask(&mut self, targets: &[IpAddr], tools: &Tools) {
        let Some(sockets) = tools.lines.get(self.line).and_then(|line| line.sockets()) else { return };
        for &target in targets {
            // No answer to a question that could not be asked: that is what the question is about.
            if let Err(error) = sockets.announcer.ask(self.place.source, target) {
                tracing::debug!("cannot ask {target} for a sign of life: {error}");
            }
        }
    }

    fn tell_link_layer(
        &mut self,
        what: &str,
        send: impl Fn(&Announcer, IpAddr) -> io::Result<()>,
        tools: &Tools,
    ) {
        let Some(sockets) = tools.lines.get(self.line).and_then(|line| line.sockets()) else { return };
        for vip in &self.config.clone().vips {
            if let Err(error) = send(&sockets.announcer, vip.address) {
                self.say(format!("cannot {what} {}: {error}", vip.address));
            }
        }
    }

    /// Says an error once.
    fn say(&mut self, error: String) {
        if self.said.len() < SAID_MAX && self.said.insert(error.clone()) {
            warn!("{error}");
        }
    }

    /// How it stands, for whoever is told that the agent ends.
    pub fn last_change(&self, host: &str) -> Change {
        let state = self.agent.state();
        self.change(SystemTime::now(), state, state, "", host)
    }

    fn change(&self, at: SystemTime, from: State, to: State, why: &str, host: &str) -> Change {
        Change {
            at,
            host: host.to_owned(),
            router: self.config.name.clone(),
            addresses: self.config.vips.iter().map(|vip| vip.address.to_string()).collect(),
            vrid: self.config.vrid,
            interface: self.place.interface.clone(),
            from,
            to,
            priority: self.agent.priority(),
            why: why.to_owned(),
        }
    }

    fn tell(&mut self, event: &Event, tools: &Tools) {
        if let Event::Transition { from, to, why } = event {
            let at = SystemTime::now();
            self.measures.turned(at, *from, *to, why);
            tools.notifier.tell(self.change(at, *from, *to, why, &tools.name));
            tools.desk.tell(Transition {
                at: moment(at),
                router: self.config.name.clone(),
                from: *from,
                to: *to,
                priority: self.agent.priority(),
                why: why.clone(),
            });
        }
        let vips: Vec<String> = self.config.vips.iter().map(|vip| vip.address.to_string()).collect();
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

/// What the core needs to know. `lease`: lifetime of the addresses in seconds.
fn core_settings(
    config: &config::Router,
    source: IpAddr,
    lease: Option<u32>,
    earlier: Vec<u8>,
) -> core::Settings {
    let multicast = config.transport == Transport::Multicast;
    let lone = || members::lone_priority(config.vrid, &source.to_string());
    let priority = config.priority.or_else(|| (config.peers == Peers::None).then(lone));
    core::Settings {
        vrid: config.vrid,
        version: config.version,
        source,
        addresses: config.vips.iter().map(|vip| vip.address).collect(),
        interval: config.interval,
        priority,
        preempt: config.preempt,
        preempt_delay: config.preempt_delay,
        lease: lease.map(|seconds| Duration::from_secs(seconds.into())),
        handover_limit: config.handover_limit,
        announcements: config.announcements,
        min_ttl: config.min_ttl,
        group: multicast.then(|| vrrp::group(config.family())),
        checksum: config.checksum,
        auth: match &config.auth {
            config::Auth::None => Auth::None,
            config::Auth::Pass(password) => Auth::Pass(*password),
            config::Auth::Keys { mode, .. } => Auth::Signed(*mode),
        },
        earlier,
        rise: config.checks.rise,
        fall: config.checks.fall,
        guards: config.guards.clone(),
    }
}
