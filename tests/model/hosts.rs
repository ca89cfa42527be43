//! Three hosts, their kernels and the adverts between them, as one state of the model.

use outrider::core::advert::{Advert, Checksum, Version};
use outrider::core::announce::Announcements;
use outrider::core::auth::{Auth, Proof};
use outrider::core::command::Command;
use outrider::core::event::State;
use outrider::core::guard::Guards;
use outrider::core::members::{Member, Membership, Standing};
use outrider::core::{Agent, Heard, Kernel, Outcome, Settings, Time};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_millis(200);
/// No advert is on its way for longer: more than two Skew_Times are apart.
const LATEST: Duration = Duration::from_millis(15);
/// A leaver keeps the address so long after its successor's first advert.
const OVERLAP: Duration = Duration::from_millis(20);
/// The longest Master_Down of the three.
const MASTER_DOWN: Duration = Duration::from_millis(630);
const LEASE: Duration = Duration::from_millis(1000);
const HOSTS: usize = 3;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Deliver(usize),
    Lose(usize),
    Timers,
    Kill(usize),
    Fail(usize),
    Terminate(usize),
    Stop(usize),
    Continue(usize),
}

/// An advert on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flying {
    sent: Time,
    from: usize,
    to: usize,
    priority: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// None: killed, or ended.
    agent: Option<Arc<Agent>>,
    stopped: bool,
    leaving: bool,
    pub unfit: bool,
    /// When the kernel drops the address.
    until: Option<Time>,
    lease_until: Time,
    /// The last advert it follows: whose, and when it came.
    follows: Option<(usize, Time)>,
    /// Who gave the address up to it, and when it said so.
    resigned: Option<(usize, Time)>,
    /// It has done what it must not.
    pub defied: bool,
    pub hasty: bool,
    pub late: bool,
}

impl Host {
    pub fn is(&self, state: State) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.state() == state)
    }

    pub fn runs(&self) -> bool {
        self.agent.is_some() && !self.stopped
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cluster {
    pub now: Time,
    pub hosts: Vec<Host>,
    flying: Vec<Flying>,
    losses: u8,
    /// Faults that may yet come: killed, load balancer dead, told to end, stopped.
    left: [bool; 4],
    /// Two that run and hear each other hold, nobody holds: since when, or since the last loss or fault.
    pub two_since: Option<Time>,
    pub none_since: Option<Time>,
    pub gap: bool,
    pub ended: bool,
    /// Who holds the address at first.
    pub first: usize,
    /// No advert was lost.
    unlost: bool,
}

fn address(host: usize) -> IpAddr {
    IpAddr::from([10, 10, 10, 11 + u8::try_from(host).unwrap()])
}

fn settings(host: usize) -> Settings {
    Settings {
        vrid: 2,
        version: Version::V3,
        source: address(host),
        addresses: vec![IpAddr::from([10, 10, 10, 2])],
        interval: INTERVAL,
        priority: None,
        preempt: false,
        preempt_delay: Duration::ZERO,
        lease: Some(LEASE),
        handover_limit: 5000 * MS,
        announcements: Announcements {
            repeat: 1,
            delay: Duration::ZERO,
            refresh: Duration::ZERO,
            interval: Duration::ZERO,
        },
        min_ttl: 255,
        group: None,
        checksum: Checksum::PseudoHeader,
        auth: Auth::None,
        earlier: Vec::new(),
        rise: 1,
        fall: 1,
        guards: Guards::Off,
    }
}

fn member(host: usize) -> Member {
    Member { id: format!("host-{host}"), name: format!("lb{host}"), address: address(host), priority: None }
}

impl Cluster {
    /// One holds the address, the others follow it.
    pub fn settled(losses: u8) -> Cluster {
        let begin = 3600 * 1000 * MS;
        let hosts = (0..HOSTS).map(|_| Host {
            agent: None,
            stopped: false,
            leaving: false,
            unfit: false,
            until: None,
            lease_until: Time::MAX,
            follows: None,
            resigned: None,
            defied: false,
            hasty: false,
            late: false,
        });
        let mut cluster = Cluster {
            now: begin,
            hosts: hosts.collect(),
            flying: Vec::new(),
            losses,
            left: [true; 4],
            two_since: None,
            none_since: None,
            gap: false,
            ended: false,
            first: 0,
            unlost: true,
        };
        for host in 0..HOSTS {
            let mut agent = Agent::new(settings(host), begin);
            let others = (0..HOSTS).filter(|other| *other != host).map(member).collect();
            agent.handle_members(begin, &Membership { me: Standing::Member(member(host)), others }, None);
            agent.handle_checks(begin, Ok(&["lb".to_owned()]));
            agent.handle_link(begin, Ok(()));
            agent.handle_health(begin, "lb", &Outcome::Pass);
            cluster.hosts[host].agent = Some(Arc::new(agent));
            cluster.carry_out(host);
        }
        while cluster.now < begin + 4000 * MS {
            let deed = if cluster.flying.is_empty() { Deed::Timers } else { Deed::Deliver(0) };
            cluster.act(deed);
        }
        cluster.first = (0..HOSTS).find(|host| cluster.hosts[*host].is(State::Active)).unwrap();
        cluster
    }

    /// The host that has the next timer, if that is before the oldest advert on its way has to arrive.
    fn next(&self) -> Option<(usize, Time)> {
        let deadline = |host: usize| self.hosts[host].agent.as_ref().map(|agent| agent.next_deadline());
        let running = (0..HOSTS).filter(|host| self.hosts[*host].runs());
        let next = running.filter_map(|host| Some((deadline(host)?, host))).min()?;
        let oldest = self.flying.iter().map(|flying| flying.sent).min();
        oldest.is_none_or(|sent| next.0 <= sent + LATEST).then_some((next.1, next.0))
    }

    /// Lets time pass until somebody does something that others, or the properties, could notice.
    fn timers(&mut self) {
        let before = (self.states(), self.flying.len());
        let end = self.now + LEASE;
        while let Some((host, deadline)) = self.next() {
            let held = self.hosts.iter().any(|host| self.holds(host));
            self.now = self.now.max(deadline);
            self.tell(host, |_, _| {});
            self.look(held);
            if (self.states(), self.flying.len()) != before || self.is_bad() || self.now >= end {
                return;
            }
        }
    }

    fn states(&self) -> Vec<(Option<State>, bool)> {
        let state = |host: &Host| (host.agent.as_ref().map(|agent| agent.state()), self.holds(host));
        self.hosts.iter().map(state).collect()
    }

    /// Two hold for too long, or nobody does.
    pub fn is_bad(&self) -> bool {
        let two = INTERVAL + 2 * LATEST + OVERLAP;
        let none = MASTER_DOWN + 2 * LATEST;
        self.two_since.is_some_and(|since| self.now > since + two)
            || self.none_since.is_some_and(|since| self.now > since + none)
    }

    pub fn holds(&self, host: &Host) -> bool {
        host.until.is_some_and(|until| self.now < until)
    }

    pub fn possible(&self, deeds: &mut Vec<Deed>) {
        for (index, flying) in self.flying.iter().enumerate() {
            // Of two that are alike one will do.
            if index > 0 && self.flying[index - 1] == *flying {
                continue;
            }
            deeds.push(Deed::Deliver(index));
            if self.losses > 0 {
                deeds.push(Deed::Lose(index));
            }
        }
        if self.next().is_some() {
            deeds.push(Deed::Timers);
        }
        for host in 0..HOSTS {
            if self.hosts[host].stopped {
                deeds.push(Deed::Continue(host));
            } else if self.hosts[host].runs() {
                let faults = [Deed::Kill(host), Deed::Fail(host), Deed::Terminate(host), Deed::Stop(host)];
                deeds.extend(
                    faults.into_iter().zip(self.left).filter(|(_, left)| *left).map(|(deed, _)| deed),
                );
            }
        }
    }

    pub fn act(&mut self, deed: Deed) {
        let held = self.hosts.iter().any(|host| self.holds(host));
        match deed {
            Deed::Deliver(index) => {
                let flying = self.flying.remove(index);
                self.hear(flying);
            }
            Deed::Lose(index) => {
                self.flying.remove(index);
                self.losses -= 1;
                self.unlost = false;
                self.excuse();
            }
            Deed::Timers => self.timers(),
            Deed::Kill(host) => {
                self.left[0] = false;
                self.hosts[host].agent = None;
                self.excuse();
            }
            Deed::Fail(host) => {
                self.left[1] = false;
                self.hosts[host].unfit = true;
                self.tell(host, |agent, now| {
                    agent.handle_health(now, "lb", &Outcome::Dead("refused".to_owned()));
                });
                self.excuse();
            }
            Deed::Terminate(host) => {
                self.left[2] = false;
                self.hosts[host].leaving = true;
                self.tell(host, Agent::handle_shutdown);
            }
            Deed::Stop(host) => {
                self.left[3] = false;
                self.hosts[host].stopped = true;
                self.excuse();
            }
            Deed::Continue(host) => {
                self.hosts[host].stopped = false;
                self.tell(host, |_, _| {});
                self.excuse();
            }
        }
        self.look(held);
    }

    /// A fault or a loss: what is bounded is bounded from now on.
    fn excuse(&mut self) {
        self.two_since = None;
        self.none_since = None;
    }

    fn look(&mut self, held: bool) {
        let holders: Vec<bool> = self.hosts.iter().map(|host| self.holds(host) && host.runs()).collect();
        let two = holders.iter().filter(|holds| **holds).count() > 1;
        self.two_since = two.then_some(self.two_since.unwrap_or(self.now));
        let anybody = self.hosts.iter().any(|host| self.holds(host));
        let able = self.hosts.iter().any(|host| host.runs() && !host.unfit && !host.leaving);
        self.none_since = (!anybody && able).then_some(self.none_since.unwrap_or(self.now));
        // With everybody well but for the one that was told to end, and nothing lost, no moment without.
        let planned = !self.left[2] && self.left[0] && self.left[1] && self.left[3] && self.unlost;
        self.gap |= planned && held && !anybody;
    }

    fn hear(&mut self, flying: Flying) {
        let Flying { sent, from, to, priority } = flying;
        if !self.hosts[to].runs() {
            return;
        }
        let before = self.hosts[to].agent.as_ref().map_or(0, |agent| agent.priority());
        let was_active = self.hosts[to].is(State::Active);
        match self.hosts[to].follows {
            Some((followed, _)) if priority == 0 && followed == from => {
                self.hosts[to].follows = None;
                self.hosts[to].resigned = Some((from, sent));
            }
            _ if priority > 0 && !was_active => self.hosts[to].follows = Some((from, self.now)),
            _ => {}
        }
        let heard = Heard {
            from: address(from),
            ttl: 255,
            advert: Advert {
                version: Version::V3,
                vrid: 2,
                priority,
                interval: INTERVAL,
                addresses: vec![IpAddr::from([10, 10, 10, 2])],
            },
            checksum: Checksum::PseudoHeader,
            proof: Proof::default(),
        };
        self.tell(to, |agent, now| agent.handle_advert(now, &heard));
        let host = &mut self.hosts[to];
        let overtaken = host.resigned.is_some_and(|(who, when)| who == from && sent <= when);
        if was_active && priority > before && !host.leaving && !overtaken {
            host.defied |= host.is(State::Active);
            host.follows = Some((from, self.now));
        }
    }

    fn tell(&mut self, host: usize, what: impl FnOnce(&mut Agent, Time)) {
        let now = self.now;
        let was_active = self.hosts[host].is(State::Active);
        if let Some(agent) = &mut self.hosts[host].agent {
            let agent = Arc::make_mut(agent);
            what(agent, now);
            agent.handle_timeout(now);
        }
        let host_now = &mut self.hosts[host];
        if !was_active && host_now.is(State::Active) {
            host_now.hasty |= host_now.follows.is_some_and(|(_, at)| now < at + 3 * INTERVAL);
            host_now.follows = None;
            host_now.lease_until = now + LEASE;
        }
        self.carry_out(host);
    }

    fn carry_out(&mut self, host: usize) {
        let now = self.now;
        while let Some(agent) = &mut self.hosts[host].agent {
            let agent = Arc::make_mut(agent);
            let Some(command) = agent.next_command(now) else { break };
            match command {
                Command::Advertise { priority, to } => {
                    for to in to {
                        let to = (0..HOSTS).find(|host| address(*host) == to).unwrap();
                        self.flying.push(Flying { sent: now, from: host, to, priority });
                    }
                }
                Command::Add { .. } => {
                    agent.handle_kernel(now, &Kernel::Added { sent: now });
                    self.touch(host);
                }
                Command::Renew { .. } => {
                    agent.handle_kernel(now, &Kernel::Renewed { sent: now });
                    self.touch(host);
                }
                Command::Remove => {
                    agent.handle_kernel(now, &Kernel::Removed);
                    self.hosts[host].until = None;
                }
                Command::Exit => {
                    self.ended |= self.hosts.iter().any(|other| self.holds(other));
                    self.hosts[host].agent = None;
                }
                _ => {}
            }
        }
        self.flying.sort();
    }

    fn touch(&mut self, host: usize) {
        let now = self.now;
        let host = &mut self.hosts[host];
        host.late |= now >= host.lease_until;
        host.lease_until = now + LEASE;
        host.until = Some(now + LEASE);
    }
}
