//! The agent's process: the loop of `src/run.rs`, with its order of things.
//!
//! Of what is ready, one thing is taken, whichever; then the adverts that are here; then each virtual router that
//! something happened to, or that is due, looks at the time, and all its commands are carried out in order.

use crate::kernel::Thread;
use crate::outside::{Checker, Watcher};
use crate::plan::Micros;
use crate::subject::{Input, Subject};
use crate::world::{Happening, World};
use outrider::core::command::Command;
use outrider::core::event::State;
use outrider::core::members::Membership;
use outrider::core::{Force, Heard, Kernel, Outcome, Time};
use std::collections::VecDeque;
use std::net::IpAddr;

/// What other threads tell the main one about the address and its interface.
#[derive(Clone, Debug)]
pub enum Told {
    Kernel(Kernel),
    Link(bool),
}

/// What the metadata's thread tells.
#[derive(Clone, Debug)]
pub enum Update {
    Members { version: u64, members: Membership, read_at: Time },
    Confirmed { read_at: Time },
    Unreachable,
}

/// An advert in the socket's buffer.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub heard: Heard,
    pub from: usize,
    pub at: Micros,
}

/// A buffer of the usual size holds about so many adverts; what comes then is lost.
const BUFFER: usize = 250;

pub struct Process {
    /// When each virtual router wants its turn, as it said after the last one.
    deadlines: Vec<Time>,
    /// Those whose turn is to come.
    due: VecDeque<usize>,
    /// The one whose commands are being carried out.
    at: Option<usize>,
    /// When it last woke up with something to do: what had arrived by then is heard before time is looked at.
    pub turned: Micros,
    /// The same by its own clock.
    clock: Time,
    /// Those that have let go of everything.
    pub exited: Vec<bool>,
    /// It waits for something to happen.
    pub idle: bool,
    /// A wake-up is in the queue of events.
    pub waking: bool,
    /// When its timer rings (it is late by a little), and for which deadline.
    alarm: Option<(Micros, Time)>,
    pub adverts: VecDeque<Arrived>,
    pub claims: VecDeque<(IpAddr, [u8; 6])>,
    /// To which virtual router, by its number.
    pub told: VecDeque<(usize, Told)>,
    pub reports: VecDeque<Outcome>,
    pub updates: VecDeque<Update>,
    pub terminate: bool,
    pub orders: VecDeque<Option<Force>>,
    pub gateway: Option<Option<IpAddr>>,
    pub thread: Thread,
    pub checker: Checker,
    pub watcher: Watcher,
    /// Turns in a row that did nothing at one and the same moment.
    pub fruitless: (Micros, u32),
}

impl Process {
    pub fn new(routers: usize) -> Process {
        Process {
            // Those after the first have not acted on what they were told at the start.
            deadlines: vec![Time::ZERO; routers],
            due: (1..routers).collect(),
            at: None,
            turned: 0,
            clock: Time::ZERO,
            exited: vec![false; routers],
            idle: false,
            waking: false,
            alarm: None,
            adverts: VecDeque::new(),
            claims: VecDeque::new(),
            told: VecDeque::new(),
            reports: VecDeque::new(),
            updates: VecDeque::new(),
            terminate: false,
            orders: VecDeque::new(),
            gateway: None,
            thread: Thread::new(routers),
            checker: Checker::new(routers),
            watcher: Watcher::default(),
            fruitless: (0, 0),
        }
    }
}

impl Process {
    fn next_deadline(&self) -> Time {
        self.deadlines.iter().copied().min().unwrap_or(Time::MAX)
    }
}

enum Picked {
    Advert(Arrived),
    Timer,
    Told(usize, Told),
    Report(Outcome),
    Terminate,
    Claim(IpAddr, [u8; 6]),
    Update(Update),
    Order(Option<Force>),
    Gateway(Option<IpAddr>),
}

impl World {
    /// Something has come for the main thread.
    pub fn poke(&mut self, h: usize) {
        let delay = self.random.between(20, 150);
        let epoch = self.hosts[h].epoch;
        let Some(process) = &mut self.hosts[h].process else { return };
        if process.idle && !process.waking {
            process.waking = true;
            self.after(delay, Happening::Run { host: h, epoch });
        }
    }

    pub fn tell_main(&mut self, h: usize, told: Told) {
        let router = self.router.number;
        if let Some(process) = &mut self.hosts[h].process {
            process.told.push_back((router, told));
            self.poke(h);
        }
    }

    pub fn receive(&mut self, h: usize, arrived: Arrived) {
        if self.is_foreign(h) {
            return self.hear_foreign(h, arrived);
        }
        if let Some(process) = &mut self.hosts[h].process
            && process.adverts.len() < BUFFER
        {
            process.adverts.push_back(arrived);
            self.poke(h);
        }
    }

    /// The loop, until there is nothing to do, or no process, or it is stopped.
    pub fn run(&mut self, h: usize) {
        if let Some(process) = &mut self.hosts[h].process {
            process.idle = false;
            process.waking = false;
            process.at.get_or_insert(0);
        }
        while self.hosts[h].paused == 0 {
            let clock = self.clock(h);
            let Some(process) = &mut self.hosts[h].process else { return };
            if let Some(router) = process.at {
                self.turn_to(router);
                match self.next_command(h) {
                    Some(command) => self.carry_out(h, command),
                    None => self.end_turn(h),
                }
                continue;
            }
            if let Some(router) = process.due.pop_front() {
                let clock = process.clock;
                self.turn_to(router);
                if let Some(process) = &mut self.hosts[h].process {
                    process.at = Some(router);
                }
                self.tell_at(h, clock, Input::Timeout);
                continue;
            }
            let Some(picked) = self.pick(h) else { return self.wait(h) };
            if matches!(picked, Picked::Timer) {
                self.watch_spin(h);
            }
            self.turn(h, picked, clock);
        }
    }

    fn end_turn(&mut self, h: usize) {
        let router = &self.router;
        let deadline = router.cores[h].as_ref().map_or(Time::MAX, Subject::next_deadline);
        if let Some(process) = &mut self.hosts[h].process {
            process.at = None;
            process.deadlines[router.number] = deadline;
        }
    }

    fn next_command(&mut self, h: usize) -> Option<Command> {
        let clock = self.clock(h);
        let core = self.router.cores[h].as_mut()?;
        let before = core.state();
        let command = core.next_command(clock);
        let after = core.state();
        // To be asked for a command is no turn: it does not put off what is a sleep.
        if before != after {
            self.watch_turn(h, before, after);
        }
        command
    }

    /// Something has happened to the virtual router that is dealt with: its turn comes.
    fn concern(&mut self, h: usize) {
        let router = self.router.number;
        if let Some(process) = &mut self.hosts[h].process {
            process.deadlines[router] = Time::ZERO;
        }
    }

    /// One of what is ready, whichever.
    fn pick(&mut self, h: usize) -> Option<Picked> {
        let now = self.now;
        // As a timer is set anew before each wait, one for a deadline that has moved never rings.
        let process = self.hosts[h].process.as_mut()?;
        let deadline = process.next_deadline();
        let rings = process.alarm.is_some_and(|(at, of)| of == deadline && at <= now);
        let ready = [
            !process.adverts.is_empty(),
            rings,
            !process.told.is_empty(),
            !process.reports.is_empty(),
            process.terminate,
            !process.claims.is_empty(),
            !process.updates.is_empty(),
            !process.orders.is_empty(),
            process.gateway.is_some(),
        ];
        let count = ready.iter().filter(|ready| **ready).count();
        let chosen = if count > 1 { self.random.index(count) } else { 0 };
        match (0..ready.len()).filter(|source| ready[*source]).nth(chosen)? {
            0 => process.adverts.pop_front().map(Picked::Advert),
            1 => {
                process.alarm = None;
                Some(Picked::Timer)
            }
            2 => process.told.pop_front().map(|(router, told)| Picked::Told(router, told)),
            3 => process.reports.pop_front().map(Picked::Report),
            4 => {
                process.terminate = false;
                Some(Picked::Terminate)
            }
            5 => process.claims.pop_front().map(|(address, mac)| Picked::Claim(address, mac)),
            6 => process.updates.pop_front().map(Picked::Update),
            7 => process.orders.pop_front().map(Picked::Order),
            _ => process.gateway.take().map(Picked::Gateway),
        }
    }

    fn wait(&mut self, h: usize) {
        let offset = self.plan.clocks[h];
        let lateness = self.random.between(50, 200);
        let epoch = self.hosts[h].epoch;
        let now = self.now;
        let Some(process) = &mut self.hosts[h].process else { return };
        process.idle = true;
        let deadline = process.next_deadline();
        if process.alarm.is_none_or(|(_, of)| of != deadline) {
            let due = u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX).saturating_sub(offset);
            // Whole microseconds: a fraction more, never less.
            let at = (due + 1).max(now) + lateness;
            process.alarm = Some((at, deadline));
            self.at(at, Happening::Run { host: h, epoch });
        }
    }

    fn turn(&mut self, h: usize, picked: Picked, clock: Time) {
        let now = self.now;
        if let Some(process) = &mut self.hosts[h].process {
            (process.turned, process.clock) = (now, clock);
        }
        match picked {
            Picked::Timer => {}
            Picked::Advert(arrived) => self.hear(h, arrived),
            Picked::Told(router, told) => {
                self.turn_to(router);
                self.concern(h);
                self.told(h, told);
            }
            // Everything else is for all of them.
            picked => self.each_router(|world| {
                world.concern(h);
                match &picked {
                    Picked::Report(outcome) => world.tell(h, Input::Health(outcome)),
                    Picked::Terminate => world.tell(h, Input::Shutdown),
                    Picked::Claim(address, mac) => world.tell(h, Input::Arp(*address, *mac)),
                    Picked::Order(drain) => {
                        world.watch_order(h, *drain);
                        world.tell(h, Input::Drain(*drain));
                    }
                    Picked::Gateway(gateway) => world.tell(h, Input::Gateway(*gateway)),
                    Picked::Update(update) => world.update(h, update),
                    Picked::Timer | Picked::Advert(_) | Picked::Told(..) => {}
                }
            }),
        }
        let first = self.router.cores[h].as_ref().is_some_and(Subject::adverts_first);
        if !first {
            self.each_router(|world| {
                world.concern(h);
                world.tell(h, Input::Timeout);
            });
        }
        while let Some(arrived) = self.hosts[h].process.as_mut().and_then(|p| p.adverts.pop_front()) {
            self.hear(h, arrived);
        }
        if let Some(process) = &mut self.hosts[h].process {
            let due = (0..process.deadlines.len()).filter(|router| process.deadlines[*router] <= clock);
            process.due.extend(due);
        }
    }

    fn told(&mut self, h: usize, told: Told) {
        match told {
            Told::Kernel(answer) => {
                self.watch_answer(h, &answer);
                self.tell(h, Input::Kernel(answer));
            }
            Told::Link(up) => {
                let link = if up { Ok(()) } else { Err("the link of eth0 is down".to_owned()) };
                self.watch_link(h, up);
                self.tell(h, Input::Link(link));
            }
        }
    }

    /// Adverts of all virtual routers come in by the same socket. A core ignores what is not for it, and may be
    /// spared it.
    fn hear(&mut self, h: usize, arrived: Arrived) {
        let vrid = arrived.heard.advert.vrid;
        self.each_router(|world| {
            if world.router.vrid == vrid {
                world.concern(h);
                world.hear_own(h, arrived.clone());
            } else if !world.plan.sorted {
                world.concern(h);
                world.tell(h, Input::Advert(arrived.heard.clone()));
            }
        });
    }

    fn hear_own(&mut self, h: usize, arrived: Arrived) {
        let Arrived { heard, from, at } = arrived;
        let priority = heard.advert.priority;
        self.say(|| format!("lb{h}: hears lb{from} with priority {priority}"));
        self.watch_hearing(h, from, priority, at);
        let active = self.is_active(h);
        self.tell(h, Input::Advert(heard));
        self.watch_heard(h, from, priority, at);
        if active && priority > 0 && !self.is_active(h) {
            self.judge_yielding(h, from);
        }
    }

    fn update(&mut self, h: usize, update: &Update) {
        match update {
            Update::Members { version, members, read_at } => {
                self.watch_members(h, *version, members);
                self.tell(h, Input::Members(members, Some(*read_at)));
            }
            Update::Confirmed { read_at } => self.tell(h, Input::Confirmed(*read_at)),
            Update::Unreachable => self.tell(h, Input::Unreachable),
        }
    }

    /// Tells the agent something and sees what it makes of it.
    pub fn tell(&mut self, h: usize, input: Input) {
        let clock = self.clock(h);
        self.tell_at(h, clock, input);
    }

    fn tell_at(&mut self, h: usize, clock: Time, input: Input) {
        let Some(core) = &mut self.router.cores[h] else { return };
        let before = core.state();
        let timer = matches!(input, Input::Timeout);
        core.tell(clock, input);
        let after = core.state();
        self.watch_turn(h, before, after);
        if !timer || before != after {
            self.fruitful(h);
        }
    }

    pub fn state(&self, h: usize) -> Option<State> {
        self.router.cores[h].as_ref().map(Subject::state)
    }
}
