//! A router by the rules of keepalived or FRR, as a migration has them beside ours.
//!
//! The RFC's state machine, and what differs from ours: the address has no lease, so that it stays with a process
//! that was killed or stopped; no sign of life is wanted before a claim; whoever sleeps goes on where it was; a
//! leaver does not wait for its successor; any priority 0 restarts a Backup's Skew_Time. Its own doings are not
//! judged: ours must get on with them.
//!
//! What only an agent of ours knows (metadata, drains, an address thread, an address that is put back) does not
//! befall it, nor does a kernel that refuses.

use crate::kernel::Request;
use crate::outside::Balancer;
use crate::plan::{MS, Micros, SECOND};
use crate::process::Arrived;
use crate::world::{Happening, World};
use outrider::core::Time;
use std::collections::VecDeque;
use std::net::IpAddr;

/// How such a router is set.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// keepalived answers a lower priority and announces the address anew; FRR does neither.
    pub answers: bool,
    /// keepalived's default is to preempt.
    pub preempt: bool,
    pub priority: u8,
}

/// Its states, by keepalived's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Backup,
    Master,
    Fault,
}

/// One such router.
#[derive(Debug)]
pub struct Foreign {
    rules: Rules,
    /// Its process lives.
    pub alive: bool,
    pub state: State,
    /// Since when it is in this state.
    pub since: Micros,
    /// What its script saw last.
    serves: bool,
    /// Master_Down or Skew_Time ends, or the next advert is due.
    due: Micros,
    adverts: VecDeque<Arrived>,
    terminate: bool,
    /// The address is there and has to be announced; and when it has to be once more.
    announce: bool,
    again: Option<Micros>,
    /// Older timers are void.
    turn: u64,
}

/// keepalived's second burst.
const AGAIN: Micros = 5 * SECOND;
/// A script is run so often, about.
const SCRIPT: Micros = 2 * SECOND;

impl Foreign {
    pub fn new(rules: Rules) -> Foreign {
        Foreign {
            rules,
            alive: false,
            state: State::Fault,
            since: 0,
            serves: true,
            due: 0,
            adverts: VecDeque::new(),
            terminate: false,
            announce: false,
            again: None,
            turn: 0,
        }
    }

    pub fn is_master(&self) -> bool {
        self.alive && self.state == State::Master
    }

    /// And was not told to end.
    pub fn is_backup(&self) -> bool {
        self.alive && self.state == State::Backup && !self.terminate
    }
}

impl World {
    /// Whether the host runs a router that is not ours.
    pub fn is_foreign(&self, h: usize) -> bool {
        self.hosts[h].foreign.is_some()
    }

    /// The process begins as a Backup, without the address.
    pub fn start_foreign(&mut self, h: usize) {
        self.hosts[h].epoch += 1;
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        *foreign = Foreign { alive: true, turn: foreign.turn, ..Foreign::new(foreign.rules) };
        self.say(|| format!("lb{h}: its router, which is not ours, starts"));
        self.watch_start(h);
        // By its own lights it takes part for ever.
        self.router.watch.seen[h].member = true;
        self.ask_kernel(h, Request::Look, Time::ZERO);
        self.script(h);
        self.poke_foreign(h);
    }

    pub fn terminate_foreign(&mut self, h: usize) {
        if let Some(foreign) = &mut self.hosts[h].foreign {
            foreign.terminate = foreign.alive;
            self.poke_foreign(h);
        }
    }

    /// Something has come for it.
    pub fn poke_foreign(&mut self, h: usize) {
        if self.is_foreign(h) {
            let delay = self.random.between(20, 150);
            self.wake_foreign(h, self.now + delay);
        }
    }

    fn wake_foreign(&mut self, h: usize, at: Micros) {
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        foreign.turn += 1;
        let turn = foreign.turn;
        self.at(at, Happening::Foreign { host: h, turn });
    }

    pub fn hear_foreign(&mut self, h: usize, arrived: Arrived) {
        if let Some(foreign) = self.hosts[h].foreign.as_mut().filter(|foreign| foreign.alive) {
            foreign.adverts.push_back(arrived);
            self.poke_foreign(h);
        }
    }

    /// Its script runs and sees a load balancer that does not serve, or does again.
    fn script(&mut self, h: usize) {
        let (delay, epoch) = (self.random.between(0, SCRIPT), self.hosts[h].epoch);
        self.after(delay, Happening::Script { host: h, epoch });
    }

    pub fn run_script(&mut self, h: usize) {
        let serves = self.hosts[h].balancer() == Balancer::Serves;
        if let Some(foreign) = &mut self.hosts[h].foreign {
            foreign.serves = serves;
            self.poke_foreign(h);
            self.script(h);
        }
    }

    /// What has come is heard, and what is due is done, in either order: it makes a difference after a sleep.
    pub fn run_foreign(&mut self, h: usize, turn: u64) {
        let current =
            self.hosts[h].foreign.as_ref().is_some_and(|foreign| foreign.alive && foreign.turn == turn);
        if !current || self.hosts[h].paused > 0 {
            return;
        }
        self.foreign_fitness(h);
        if self.random.percent(50) {
            self.foreign_timer(h);
        }
        while let Some(arrived) =
            self.hosts[h].foreign.as_mut().and_then(|foreign| foreign.adverts.pop_front())
        {
            self.foreign_advert(h, arrived);
        }
        self.foreign_timer(h);
        let terminates = self.hosts[h].foreign.as_ref().is_some_and(|foreign| foreign.terminate);
        if terminates {
            self.resign_foreign(h, State::Fault);
            return self.end_process(h, "ends");
        }
        let Some(foreign) = &self.hosts[h].foreign else { return };
        let due = (foreign.state != State::Fault).then_some(foreign.due);
        if let Some(next) = due.into_iter().chain(foreign.again).min() {
            let lateness = self.random.between(50, 200);
            self.wake_foreign(h, next.max(self.now) + lateness);
        }
    }

    fn foreign_fitness(&mut self, h: usize) {
        let plugged = self.hosts[h].unplugged == 0;
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        match (foreign.state, foreign.serves && plugged) {
            (State::Fault, true) => self.foreign_backup(h),
            (State::Backup | State::Master, false) => self.resign_foreign(h, State::Fault),
            _ => {}
        }
    }

    fn foreign_timer(&mut self, h: usize) {
        let now = self.now;
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        let announce = std::mem::take(&mut foreign.announce);
        let again = foreign.again.is_some_and(|at| at <= now);
        if again {
            foreign.again = None;
        }
        if foreign.state == State::Master && (announce || again) {
            self.announce(h);
        }
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        match foreign.state {
            State::Backup if now >= foreign.due => {
                self.enter_foreign(h, State::Master);
                self.foreign_advertise(h);
                self.ask_kernel(h, Request::Add { not_after: None }, Time::ZERO);
            }
            State::Master if now >= foreign.due => self.foreign_advertise(h),
            _ => {}
        }
    }

    fn foreign_advert(&mut self, h: usize, arrived: Arrived) {
        let (theirs, from, now) = (arrived.heard.advert.priority, arrived.from, self.now);
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        let rules = foreign.rules;
        let (skew, master_down) = (self.plan.skew(rules.priority), self.plan.master_down(rules.priority));
        match foreign.state {
            State::Fault => {}
            State::Backup if theirs == 0 => foreign.due = now + skew,
            State::Backup if rules.preempt && theirs < rules.priority => {}
            State::Backup => foreign.due = now + master_down,
            State::Master if theirs == 0 => self.foreign_advertise(h),
            // Addresses are in the order of the hosts.
            State::Master if (theirs, from) > (rules.priority, h) => {
                self.ask_kernel(h, Request::Remove, Time::ZERO);
                self.foreign_backup(h);
            }
            State::Master if rules.answers => {
                self.foreign_advertise(h);
                self.announce(h);
            }
            State::Master => {}
        }
    }

    /// It gives the address up, without waiting for anybody: the address goes as soon as the advert is out.
    fn resign_foreign(&mut self, h: usize, to: State) {
        if self.hosts[h].foreign.as_ref().is_some_and(|foreign| foreign.state == State::Master) {
            self.say_foreign(h, 0);
            self.ask_kernel(h, Request::Remove, Time::ZERO);
        }
        self.enter_foreign(h, to);
    }

    fn foreign_backup(&mut self, h: usize) {
        self.enter_foreign(h, State::Backup);
        let now = self.now;
        if let Some(foreign) = &mut self.hosts[h].foreign {
            foreign.due = now + self.plan.master_down(foreign.rules.priority);
        }
    }

    fn enter_foreign(&mut self, h: usize, state: State) {
        let now = self.now;
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        let before = std::mem::replace(&mut foreign.state, state);
        foreign.since = now;
        foreign.again = None;
        self.say(|| format!("lb{h}: (not ours) {before:?} -> {state:?}"));
    }

    fn foreign_advertise(&mut self, h: usize) {
        let now = self.now;
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        foreign.due = now + self.plan.interval;
        let priority = foreign.rules.priority;
        self.say_foreign(h, priority);
    }

    fn say_foreign(&mut self, h: usize, priority: u8) {
        self.say(|| format!("lb{h}: (not ours) advertises {priority}"));
        if self.hosts[h].mute == 0 {
            let others = (0..self.plan.hosts).filter(|other| *other != h);
            let to: Vec<IpAddr> = others.map(|other| self.hosts[other].member.address).collect();
            self.advertise(h, priority, &to);
        }
    }

    /// The kernel has done what it was asked.
    pub fn foreign_done(&mut self, h: usize, request: Request) {
        let now = self.now;
        let Some(foreign) = &mut self.hosts[h].foreign else { return };
        if foreign.is_master() && matches!(request, Request::Add { .. }) {
            foreign.announce = true;
            foreign.again = foreign.rules.answers.then_some(now + AGAIN);
            self.wake_foreign(h, now + MS / 20);
        }
    }
}
