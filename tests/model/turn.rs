//! What an agent is told, and what it does: the turns of `src/run.rs`.

use crate::cluster::{Bounds, Cluster, Flying, INTERVAL, VIPS, VRIDS, address};
use crate::host::{Follows, HOSTS, Host, Mind, Past, Router, Told, members, skew};
use crate::judge::Wrong;
use crate::keepalived::Does;
use crate::kernel::Request;
use crate::mutant::Input;
use outrider::core::Heard;
use outrider::core::advert::{Advert, Checksum, Version};
use outrider::core::auth::Proof;
use outrider::core::command::Command;
use outrider::core::event::State;
use std::net::IpAddr;
use std::time::Duration;

/// What was sent before something else may come so long after it.
const OVERTAKEN: Duration = Duration::from_millis(20);

impl Cluster {
    /// From now on something is wrong with every core.
    pub fn mutate(&mut self, bounds: &Bounds) {
        let Some(mutation) = bounds.mutation else { return };
        let now = self.now;
        for host in 0..HOSTS {
            let members = members(host, false);
            for router in &mut self.hosts[host].routers {
                let followed = router.past.follows.map(|follows| address(follows.from));
                if let Some(agent) = router.agent() {
                    agent.mutate(mutation, &members, followed, now);
                    router.priority = router.agent().map_or(0, |agent| agent.priority());
                }
            }
        }
    }

    fn routers(&self, host: usize) -> std::ops::Range<usize> {
        0..self.hosts[host].routers.len()
    }

    /// An agent does something: has it slept past its Master_Down?
    fn turn(&mut self, host: usize, router: usize) {
        let now = self.now;
        let Router { past, priority, .. } = &mut self.hosts[host].routers[router];
        if now.saturating_sub(past.turned) > 3 * INTERVAL + skew(*priority) {
            *past = Past {
                woke: now,
                heard: past.heard,
                leftover: past.leftover,
                claimed: past.claimed,
                ..Past::default()
            };
        }
        past.turned = now;
    }

    /// An agent is told something.
    fn tell(&mut self, h: usize, r: usize, what: Input) {
        let now = self.now;
        self.turn(h, r);
        let host = &mut self.hosts[h];
        let was = host.routers[r].state();
        let Some(agent) = host.routers[r].agent() else { return };
        agent.tell(now, what);
        let is = host.routers[r].state();
        if is != Some(State::Backup) {
            host.routers[r].past.bears = None;
        }
        if is == Some(State::Active) {
            if host.routers[r].sleepwalks(now) {
                self.wrong.insert(Wrong::Sleepwalk);
            }
            if was != is {
                self.judge_claim(h, r);
            }
        }
    }

    pub fn tell_all<'a>(&mut self, host: usize, what: impl Fn() -> Input<'a>) {
        for router in self.routers(host) {
            self.tell(host, router, what());
        }
    }

    pub fn tell_members(&mut self, host: usize) {
        let members = members(host, self.hosts[host].dismissed);
        self.tell_all(host, || Input::Members(&members));
    }

    /// Back in service it may claim while another's first advert is on its way to it.
    pub fn come_back(&mut self, host: usize) {
        self.hindered = true;
        self.forgive(host);
        let now = self.now;
        for router in &mut self.hosts[host].routers {
            router.past.due = None;
            if let Some(keepalived) = router.keepalived() {
                keepalived.recover(now);
            }
        }
        self.finish(host);
    }

    /// What it said before does not count against what it says now.
    pub fn forgive(&mut self, host: usize) {
        for router in &mut self.hosts[host].routers {
            router.past.farewells = [None; HOSTS];
            router.past.bears = None;
        }
    }

    /// keepalived is told to end, or that it is unfit.
    pub fn give_up(&mut self, host: usize) {
        for router in self.routers(host) {
            if let Some(keepalived) = self.hosts[host].routers[router].keepalived() {
                let does = keepalived.give_up();
                self.does(host, router, &does);
            }
        }
        if self.hosts[host].is_foreign() && self.hosts[host].stopping {
            self.hosts[host].end();
        }
    }

    /// First what was decided before, then the adverts that have come meanwhile, then the timer.
    pub fn go_on(&mut self, host: usize) {
        self.hosts[host].stopped = false;
        self.hosts[host].was_stopped = true;
        for router in self.routers(host) {
            self.turn(host, router);
            self.carry_out(host, router);
        }
        self.forgive(host);
        self.work(host);
        for flying in std::mem::take(&mut self.hosts[host].socket) {
            self.hear(flying);
        }
        self.finish(host);
        self.forgive(host);
    }

    pub fn hear(&mut self, flying: Flying) {
        let Flying { from, to, router: r, priority, .. } = flying;
        let now = self.now;
        if let Some(keepalived) = self.hosts[to].routers[r].keepalived() {
            let does = keepalived.hear(now, address(from), priority);
            return self.does(to, r, &does);
        }
        let heard = Heard {
            from: address(from),
            ttl: 255,
            advert: Advert {
                version: Version::V3,
                vrid: VRIDS[r],
                priority,
                interval: INTERVAL,
                addresses: vec![VIPS[r]],
            },
            checksum: Checksum::PseudoHeader,
            proof: Proof::default(),
        };
        for other in self.routers(to).filter(|other| *other != r) {
            self.overhear(to, other, &heard);
        }
        self.turn(to, r);
        let state = self.hosts[to].routers[r].state();
        let was_active = state == Some(State::Active);
        let first = self.is_first(to, r, from);
        let router = &mut self.hosts[to].routers[r];
        let (own, borne) = (router.priority, !router.outranks(priority));
        // What comes in right after it woke up may have waited for it.
        let expects = state == Some(State::Backup) && now >= router.past.woke + INTERVAL && !router.preempts;
        let past = &mut router.past;
        past.heard = true;
        past.leftover &= priority == 0;
        if borne && priority > 0 {
            past.bears = None;
        } else if priority > 0 && state == Some(State::Backup) {
            past.bears.get_or_insert(now);
        }
        match past.follows {
            Some(follows) if priority == 0 && follows.from == from => {
                // Another one that was accepted and has not given the address up may have it.
                past.follows = past.before.take().filter(|before| now < before.at + 3 * INTERVAL);
                if past.follows.is_none() {
                    past.resigned = Some((from, now));
                    let wait = if first { Duration::ZERO } else { skew(own) };
                    past.due = expects.then(|| now + wait);
                }
            }
            _ if priority == 0 => past.before = past.before.filter(|before| before.from != from),
            follows if !was_active && (borne || state != Some(State::Backup)) => {
                if follows.is_none_or(|follows| follows.from != from) {
                    past.before = follows;
                }
                past.follows = Some(Follows { from, priority, at: now });
                past.due = None;
            }
            _ => {}
        }
        self.tell(to, r, Input::Advert(heard));
        let leaves = self.hosts[to].leaves();
        let usurped = was_active && self.is_usurped(to, r, from);
        let router = &mut self.hosts[to].routers[r];
        if usurped && router.state() == Some(State::Backup) {
            self.wrong.insert(Wrong::Usurped);
        }
        // It may have been sent before its sender gave up.
        let overtaken = router.past.resigned.is_some_and(|(who, at)| who == from && now < at + OVERTAKEN);
        let outranked = (priority, address(from)) > (router.priority, address(to));
        if was_active && priority > 0 && outranked && !leaves && !overtaken {
            if router.state() == Some(State::Active) {
                self.wrong.insert(Wrong::Defiant);
            } else {
                router.past.follows = Some(Follows { from, priority, at: now });
            }
        }
    }

    /// An advert of another virtual router is offered: it must leave the agent as time alone would.
    fn overhear(&mut self, h: usize, r: usize, heard: &Heard) {
        let now = self.now;
        let Some(agent) = self.hosts[h].routers[r].agent() else { return };
        let mut left_alone = agent.clone();
        left_alone.tell(now, Input::Timeout);
        let mut told = agent.clone();
        told.tell(now, Input::Advert(heard.clone()));
        told.tell(now, Input::Timeout);
        if told != left_alone {
            self.wrong.insert(Wrong::Mixed);
        }
    }

    /// Time is looked at last, then everything is carried out that was decided, and what comes of it.
    pub fn finish(&mut self, host: usize) {
        for _ in 0..3 {
            self.act_on_time(host);
            if self.hosts[host].deadline().is_none_or(|deadline| deadline > self.now) {
                return;
            }
            // Woken up at once.
        }
        self.wrong.insert(Wrong::Restless);
    }

    fn act_on_time(&mut self, host: usize) {
        let now = self.now;
        for router in self.routers(host) {
            self.tell(host, router, Input::Timeout);
            if let Some(keepalived) = self.hosts[host].routers[router].keepalived() {
                let does = keepalived.ring(now);
                self.does(host, router, &does);
            }
        }
        if std::mem::take(&mut self.hosts[host].freezes) {
            self.hosts[host].stopped = true;
            return;
        }
        for router in self.routers(host) {
            self.carry_out(host, router);
        }
        while let Some((router, told)) = self.hosts[host].answers.pop_front() {
            match told {
                Told::Kernel(answer) => self.tell(host, router, Input::Kernel(answer)),
                Told::Arp(address, mac) => self.tell(host, router, Input::Arp(address, mac)),
            }
            self.tell(host, router, Input::Timeout);
            self.carry_out(host, router);
        }
    }

    /// The thread of the addresses.
    pub fn work(&mut self, h: usize) {
        let now = self.now;
        let host = &mut *self.hosts[h];
        let work = host.kernel.work(now);
        host.answers.extend(work.answers.into_iter().map(|(router, answer)| (router, Told::Kernel(answer))));
        if work.late {
            self.wrong.insert(Wrong::Late);
        }
    }

    fn carry_out(&mut self, h: usize, r: usize) {
        let now = self.now;
        while let Some(agent) = self.hosts[h].routers[r].agent() {
            let Some(command) = agent.next_command(now) else { break };
            self.judge_command(h, r, &command);
            match command {
                Command::Advertise { priority, to } => {
                    for to in to {
                        self.send(h, r, priority, to);
                    }
                }
                Command::Add { not_after } => self.request(h, r, Request::Add { not_after }),
                Command::Renew { not_after } => self.request(h, r, Request::Renew { not_after }),
                Command::Remove => self.request(h, r, Request::Remove),
                Command::Probe => {
                    let holder = (0..HOSTS).find(|other| *other != h && self.hosts[*other].holds(r, now));
                    self.ask(h, r, VIPS[r], holder);
                }
                Command::Ask(targets) => {
                    for target in targets {
                        let station = (0..HOSTS).find(|host| address(*host) == target);
                        self.ask(h, r, target, station);
                    }
                }
                Command::Exit => self.exit(h, r),
                _ => {}
            }
        }
        self.flying.sort_unstable();
    }

    fn send(&mut self, from: usize, router: usize, priority: u8, to: IpAddr) {
        let to = (0..HOSTS).find(|host| address(*host) == to).unwrap();
        let reached = self.hosts[from].cut.is_none() && self.hosts[to].cut.is_none();
        if reached && self.hosts[to].is_there() {
            self.flying.push(Flying { sent: self.now, from, to, router, priority });
        }
    }

    fn does(&mut self, h: usize, r: usize, does: &[Does]) {
        for does in does {
            match does {
                Does::Advertise(priority) => {
                    for to in (0..HOSTS).filter(|to| *to != h) {
                        self.send(h, r, *priority, address(to));
                    }
                }
                // For ever.
                Does::Take => self.hosts[h].kernel.until[r] = Some(Duration::MAX),
                Does::LetGo => self.hosts[h].kernel.until[r] = None,
            }
        }
        self.flying.sort_unstable();
    }

    fn request(&mut self, host: usize, router: usize, request: Request) {
        self.hosts[host].kernel.request(router, request);
        self.work(host);
    }

    /// Kernels answer ARP, whatever their processes do.
    fn ask(&mut self, h: usize, r: usize, address: IpAddr, station: Option<usize>) {
        if let Some(station) = station.filter(|s| self.hosts[h].cut.is_none() && self.hosts[*s].cut.is_none())
        {
            let mac = [2, 0, 0, 0, 0, u8::try_from(station).unwrap()];
            self.hosts[h].answers.push_back((r, Told::Arp(address, mac)));
        }
    }

    fn exit(&mut self, h: usize, r: usize) {
        let now = self.now;
        let relieved = self.all().any(|other| other.holds(r, now));
        self.relieved |= relieved;
        let host = &mut *self.hosts[h];
        let litter = host.holds(r, now) && !host.kernel.locked;
        host.routers[r].exited = true;
        if host.routers.iter().all(|router| router.exited) {
            host.end();
            self.flying.retain(|flying| flying.to != h);
        }
        if litter {
            self.wrong.insert(Wrong::Litter);
        }
    }
}

impl Host {
    pub fn is_ours(&self, router: usize) -> bool {
        matches!(self.routers[router].mind, Some(Mind::Outrider(_)))
    }
}
