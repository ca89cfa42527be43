//! Three hosts and the adverts between them, as one state of the model, and what may happen next.

use crate::host::{HOSTS, Host, Slot};
use crate::judge::{Watch, Wrong};
use crate::mutant::{Input, Mutation};
use outrider::core::{Force, Outcome, Time};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub const MS: Duration = Duration::from_millis(1);
pub const INTERVAL: Duration = Duration::from_millis(200);
pub const LEASE: Duration = Duration::from_millis(1000);
pub const VRIDS: [u8; 2] = [2, 3];
pub const VIPS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 10, 10, 2)), IpAddr::V4(Ipv4Addr::new(10, 10, 10, 3))];
/// A timer may be late by so much when another is due.
pub const LATENESS: Duration = Duration::from_millis(1);

/// Who takes part, and by which settings.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Virtual routers of each agent.
    pub routers: usize,
    /// Priorities set by hand; none: by rank.
    pub by_hand: Option<[u8; HOSTS]>,
    pub preempt: bool,
    /// A sign of life is wanted before a claim.
    pub guarded: bool,
    /// The third host runs keepalived: with this priority, and whether it preempts.
    pub keepalived: Option<(u8, bool)>,
}

/// Where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// One holds the address (of two virtual routers each the one that it is first for), the others follow it;
    /// those that preempt have come back a moment ago.
    Settled,
    /// Besides, the holder has been cut off for so long that another has taken over.
    Split,
}

/// What is gone through.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub group: Group,
    pub starts: &'static [Start],
    pub steps: u8,
    /// Adverts that may be lost.
    pub losses: u8,
    /// Faults that may begin, of these kinds. Each may end at any later moment.
    pub faults: u8,
    pub kinds: &'static [Fault],
    /// The longest way of an advert.
    pub latest: Duration,
    pub mutation: Option<Mutation>,
}

/// What may befall a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed; then started again.
    Kill,
    /// The load balancer dies; then answers again.
    Fail,
    /// The process is told to end.
    Terminate,
    /// A person drains the host; then takes it back into service.
    Drain,
    /// The host is no member any more; then it is again.
    Dismiss,
    /// The process is stopped; then goes on.
    Stop,
    /// The same, but with decisions made and not carried out.
    Freeze,
    /// No advert leaves the host or comes in; then they do.
    Cut,
    /// The kernel does nothing it is asked; then all of it.
    Lock,
}

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Deliver(usize),
    Lose(usize),
    /// Time passes until this host's timer.
    Timer(usize),
    /// Time passes until the oldest advert has to arrive.
    Linger,
    Begin(Fault, usize),
    End(Fault, usize),
}

/// An advert on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flying {
    pub sent: Time,
    pub from: usize,
    pub to: usize,
    pub router: usize,
    pub priority: u8,
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Cluster {
    /// Part of the state, so that none is passed over because it was reached by a longer way before.
    pub steps: u8,
    pub now: Time,
    pub hosts: Vec<Slot>,
    pub flying: Vec<Flying>,
    pub losses: u8,
    pub faults: u8,
    /// Somebody lost an advert, or was stopped, cut off or kept from its kernel, or came back into service.
    pub hindered: bool,
    /// Something happened besides one being told to leave, and losses.
    pub disturbed: bool,
    /// Set by the bounds.
    pub guarded: bool,
    pub latest: Duration,
    /// Of each virtual router.
    pub watches: Vec<Watch>,
    pub wrong: BTreeSet<Wrong>,
    /// A leaver has ended while another held the address.
    pub relieved: bool,
    /// Who holds the first address at first.
    pub first: usize,
}

pub fn address(host: usize) -> IpAddr {
    IpAddr::from([10, 10, 10, 11 + u8::try_from(host).unwrap()])
}

impl Cluster {
    pub fn all(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().map(|slot| &**slot)
    }

    /// By when the oldest advert has to arrive.
    fn horizon(&self, bounds: &Bounds) -> Option<Time> {
        self.flying.iter().map(|flying| flying.sent + bounds.latest).min()
    }

    /// Whose timer may be next: the one that is due first, or one due so soon after that it may be earlier.
    pub fn timers(&self, bounds: &Bounds) -> Vec<usize> {
        let mut timers: Vec<(Time, usize)> =
            (0..HOSTS).filter_map(|host| Some((self.hosts[host].deadline()?, host))).collect();
        timers.sort_unstable();
        let Some((first, _)) = timers.first() else { return Vec::new() };
        let end = self.horizon(bounds).unwrap_or(Time::MAX).min(*first + LATENESS);
        timers.into_iter().filter(|(at, _)| *at <= end).map(|(_, host)| host).collect()
    }

    pub fn possible(&self, bounds: &Bounds, deeds: &mut Vec<Deed>) {
        // What comes of what is wrong is not judged.
        if self.steps == bounds.steps || !self.wrong.is_empty() {
            return;
        }
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
        deeds.extend(self.timers(bounds).into_iter().map(Deed::Timer));
        let earliest = self.all().filter_map(Host::deadline).min();
        if let Some(horizon) = self.horizon(bounds)
            && horizon > self.now
            && earliest.is_none_or(|earliest| horizon < earliest)
        {
            deeds.push(Deed::Linger);
        }
        for (index, host) in self.all().enumerate() {
            if self.faults > 0 {
                let begins = bounds.kinds.iter().filter(|fault| may_begin(**fault, host));
                deeds.extend(begins.map(|fault| Deed::Begin(*fault, index)));
            }
            deeds.extend(may_end(host).map(|fault| Deed::End(fault, index)));
        }
    }

    pub fn act(&mut self, deed: Deed, bounds: &Bounds) {
        self.steps = self.steps.wrapping_add(1);
        match deed {
            Deed::Deliver(index) => {
                let flying = self.flying.remove(index);
                if self.hosts[flying.to].stopped {
                    self.hosts[flying.to].socket.push(flying);
                } else {
                    self.hear(flying);
                    self.finish(flying.to);
                }
            }
            Deed::Lose(index) => {
                self.flying.remove(index);
                self.losses -= 1;
                self.hindered = true;
                self.excuse();
            }
            Deed::Timer(host) => self.let_time_pass(host, bounds),
            Deed::Linger => {
                let until = self.horizon(bounds).unwrap_or(self.now);
                self.advance(until);
            }
            Deed::Begin(fault, host) => {
                self.faults -= 1;
                self.begin(fault, host);
            }
            Deed::End(fault, host) => {
                self.end(fault, host, bounds);
                self.excuse();
            }
        }
        self.look(bounds);
        self.hosts.iter_mut().for_each(Slot::seal);
    }

    pub fn begin(&mut self, fault: Fault, host: usize) {
        let leaves = matches!(fault, Fault::Terminate | Fault::Drain | Fault::Dismiss);
        self.hindered |= !(leaves || matches!(fault, Fault::Kill | Fault::Fail));
        // keepalived lets go at once.
        let planned = leaves && !self.hosts[host].is_foreign();
        self.disturbed |= !planned || self.all().any(Host::leaves);
        match fault {
            Fault::Kill => {
                self.hosts[host].killed = true;
                self.hosts[host].end();
                self.flying.retain(|flying| flying.to != host);
            }
            Fault::Fail => {
                self.hosts[host].unfit = true;
                // It says so although it may have said that it leaves.
                self.forgive(host);
                let outcome = Outcome::Dead("refused".to_owned());
                self.tell_all(host, || Input::Health(&outcome));
                self.give_up(host);
                self.finish(host);
            }
            Fault::Terminate => {
                self.hosts[host].stopping = true;
                self.tell_all(host, || Input::Shutdown);
                self.give_up(host);
                self.finish(host);
            }
            Fault::Drain => {
                self.hosts[host].drained = true;
                self.tell_all(host, || Input::Drain(Some(Force::No)));
                self.finish(host);
            }
            Fault::Dismiss => {
                self.hosts[host].dismissed = true;
                self.tell_members(host);
                self.finish(host);
            }
            Fault::Stop => self.hosts[host].stopped = true,
            Fault::Freeze => self.hosts[host].freezes = true,
            Fault::Cut => self.hosts[host].cut = Some(self.now),
            Fault::Lock => self.hosts[host].kernel.locked = true,
        }
        if !planned {
            self.excuse();
        }
    }

    fn end(&mut self, fault: Fault, host: usize, bounds: &Bounds) {
        match fault {
            Fault::Kill => {
                self.start(host, bounds);
                self.mutate(bounds);
            }
            Fault::Fail => {
                self.hosts[host].unfit = false;
                self.tell_all(host, || Input::Health(&Outcome::Pass));
                self.come_back(host);
            }
            Fault::Drain => {
                self.hosts[host].drained = false;
                self.tell_all(host, || Input::Drain(None));
                self.come_back(host);
            }
            Fault::Dismiss => {
                self.hosts[host].dismissed = false;
                self.tell_members(host);
                self.come_back(host);
            }
            Fault::Stop => self.go_on(host),
            // Only keepalived looks at its timers first.
            Fault::Freeze => {
                self.hosts[host].stopped = false;
                self.finish(host);
                self.go_on(host);
            }
            Fault::Cut => {
                let since = self.hosts[host].cut.take();
                self.hosts[host].was_cut = since.map(|since| (since, self.now));
            }
            Fault::Lock => {
                let (now, process) = (self.now, self.hosts[host].is_there());
                self.hosts[host].kernel.unlock(now, process);
                if self.hosts[host].runs() {
                    self.work(host);
                    self.finish(host);
                }
            }
            Fault::Terminate => {}
        }
    }

    /// Until this timer, and on to the next thing that others, or the properties, could notice.
    fn let_time_pass(&mut self, mut host: usize, bounds: &Bounds) {
        let before = self.noticeable();
        let end = self.now + LEASE;
        loop {
            self.advance(self.hosts[host].deadline().unwrap_or(self.now));
            self.finish(host);
            self.look(bounds);
            // With more than one that may be next it matters which.
            match self.timers(bounds)[..] {
                [only] if self.now < end && self.noticeable() == before => host = only,
                _ => return,
            }
        }
    }

    fn noticeable(&self) -> impl PartialEq + use<> {
        let now = self.now;
        let host = |host: &Host| {
            let router = |number: usize| (host.routers[number].state(), host.holds(number, now));
            let routers: Vec<_> = (0..host.routers.len()).map(router).collect();
            (routers, host.stopped, host.kernel.waits())
        };
        (self.all().map(host).collect::<Vec<_>>(), self.flying.len(), self.wrong.len())
    }
}

fn may_begin(fault: Fault, host: &Host) -> bool {
    let ours = !host.is_foreign();
    match fault {
        Fault::Kill => host.is_there(),
        Fault::Fail => host.runs() && !host.unfit,
        Fault::Terminate => host.runs() && !host.stopping,
        Fault::Drain | Fault::Dismiss => host.runs() && !host.leaves() && ours,
        Fault::Stop => host.runs(),
        Fault::Freeze => host.runs() && !host.freezes && ours,
        Fault::Cut => host.is_there() && host.cut.is_none(),
        Fault::Lock => host.is_there() && !host.kernel.locked && ours,
    }
}

fn may_end(host: &Host) -> impl Iterator<Item = Fault> + use<> {
    let ends = [
        (Fault::Kill, host.killed && !host.kernel.locked),
        (Fault::Fail, host.runs() && host.unfit),
        (Fault::Drain, host.runs() && host.drained),
        (Fault::Dismiss, host.runs() && host.dismissed),
        (Fault::Stop, host.stopped),
        (Fault::Freeze, host.stopped && host.is_foreign()),
        (Fault::Cut, host.cut.is_some()),
        (Fault::Lock, host.kernel.locked),
    ];
    ends.into_iter().filter(|(_, may)| *may).map(|(fault, _)| fault)
}
