//! The agent's process: the loop of `src/run.rs`, with its order of things.
//!
//! Of what is ready, one thing is taken, whichever; then the adverts that are here, then the timer; then all
//! commands are carried out in order.

use crate::kernel::{Request, Thread};
use crate::outside::{Checker, Watcher};
use crate::plan::Micros;
use crate::subject::{Input, Subject};
use crate::world::{Happening, World};
use outrider::core::command::Command;
use outrider::core::event::{Event, State};
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
    pub subject: Subject,
    /// It waits for something to happen.
    pub idle: bool,
    /// A wake-up is in the queue of events.
    pub waking: bool,
    /// When its timer rings (it is late by a little), and for which deadline.
    alarm: Option<(Micros, Time)>,
    pub adverts: VecDeque<Arrived>,
    pub claims: VecDeque<(IpAddr, [u8; 6])>,
    pub told: VecDeque<Told>,
    pub reports: VecDeque<Outcome>,
    pub updates: VecDeque<Update>,
    pub terminate: bool,
    pub orders: VecDeque<Option<Force>>,
    pub gateway: Option<Option<IpAddr>>,
    pub thread: Thread,
    pub checker: Checker,
    pub watcher: Watcher,
    /// Turns in a row that did nothing at one and the same moment.
    fruitless: (Micros, u32),
}

impl Process {
    pub fn new(subject: Subject) -> Process {
        Process {
            subject,
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
            thread: Thread::new(),
            checker: Checker::default(),
            watcher: Watcher::default(),
            fruitless: (0, 0),
        }
    }
}

enum Picked {
    Advert(Arrived),
    Timer,
    Told(Told),
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
        if let Some(process) = &mut self.hosts[h].process {
            process.told.push_back(told);
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
        }
        while self.hosts[h].paused == 0 {
            let clock = self.clock(h);
            let Some(process) = &mut self.hosts[h].process else { return };
            let before = process.subject.state();
            let command = process.subject.next_command(clock);
            let after = process.subject.state();
            self.watch_turn(h, before, after);
            if let Some(command) = command {
                self.carry_out(h, command);
                continue;
            }
            let Some(picked) = self.pick(h) else { return self.wait(h) };
            if matches!(picked, Picked::Timer) {
                self.watch_spin(h);
            }
            self.turn(h, picked);
        }
    }

    /// One of what is ready, whichever.
    fn pick(&mut self, h: usize) -> Option<Picked> {
        let now = self.now;
        let process = self.hosts[h].process.as_mut()?;
        // As a timer is set anew before each wait, one for a deadline that has moved never rings.
        let deadline = process.subject.next_deadline();
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
            2 => process.told.pop_front().map(Picked::Told),
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
        let deadline = process.subject.next_deadline();
        if process.alarm.is_none_or(|(_, of)| of != deadline) {
            let due = u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX).saturating_sub(offset);
            // Whole microseconds: a fraction more, never less.
            let at = (due + 1).max(now) + lateness;
            process.alarm = Some((at, deadline));
            self.at(at, Happening::Run { host: h, epoch });
        }
    }

    fn turn(&mut self, h: usize, picked: Picked) {
        match picked {
            Picked::Timer => {}
            Picked::Advert(arrived) => self.hear(h, arrived),
            Picked::Told(Told::Kernel(answer)) => {
                self.watch_answer(h, &answer);
                self.tell(h, Input::Kernel(answer));
            }
            Picked::Told(Told::Link(up)) => {
                let link = if up { Ok(()) } else { Err("the link of eth0 is down".to_owned()) };
                self.watch_link(h, up);
                self.tell(h, Input::Link(link));
            }
            Picked::Report(outcome) => self.tell(h, Input::Health(&outcome)),
            Picked::Terminate => self.tell(h, Input::Shutdown),
            Picked::Claim(address, mac) => self.tell(h, Input::Arp(address, mac)),
            Picked::Order(drain) => self.tell(h, Input::Drain(drain)),
            Picked::Gateway(gateway) => self.tell(h, Input::Gateway(gateway)),
            Picked::Update(update) => self.update(h, update),
        }
        let first = self.hosts[h].process.as_ref().is_some_and(|process| process.subject.adverts_first());
        if !first {
            self.tell(h, Input::Timeout);
        }
        while let Some(arrived) = self.hosts[h].process.as_mut().and_then(|p| p.adverts.pop_front()) {
            self.hear(h, arrived);
        }
        if first {
            self.tell(h, Input::Timeout);
        }
    }

    fn hear(&mut self, h: usize, arrived: Arrived) {
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

    fn update(&mut self, h: usize, update: Update) {
        match update {
            Update::Members { version, members, read_at } => {
                self.watch_members(h, version, &members);
                self.tell(h, Input::Members(&members, Some(read_at)));
            }
            Update::Confirmed { read_at } => self.tell(h, Input::Confirmed(read_at)),
            Update::Unreachable => self.tell(h, Input::Unreachable),
        }
    }

    /// Tells the agent something and sees what it makes of it.
    pub fn tell(&mut self, h: usize, input: Input) {
        let clock = self.clock(h);
        let Some(process) = &mut self.hosts[h].process else { return };
        let before = process.subject.state();
        let timer = matches!(input, Input::Timeout);
        process.subject.tell(clock, input);
        let after = process.subject.state();
        self.watch_turn(h, before, after);
        if !timer || before != after {
            self.fruitful(h);
        }
    }

    fn carry_out(&mut self, h: usize, command: Command) {
        let clock = self.clock(h);
        self.watch_command(h, &command);
        if !matches!(command, Command::Tell(_)) {
            self.fruitful(h);
            self.say(|| format!("lb{h}: {command:?}"));
        }
        match command {
            Command::Advertise { priority, to } => {
                let sent = if self.hosts[h].mute == 0 {
                    self.advertise(h, priority, &to);
                    Ok(())
                } else {
                    Err("operation not permitted".to_owned())
                };
                // No turn: it only takes note.
                if let Some(process) = &mut self.hosts[h].process {
                    process.subject.tell(clock, Input::Sent(sent));
                }
            }
            Command::Add { not_after } => self.request(h, Request::Add { not_after }),
            Command::Renew { not_after } => self.request(h, Request::Renew { not_after }),
            Command::Remove => self.request(h, Request::Remove),
            Command::Announce => self.announce(h),
            Command::Probe => self.probe(h),
            Command::Ask(targets) => self.ask_for_life(h, &targets),
            Command::Reread => self.reread(h),
            Command::Hurry(hurry) => self.hurry(h, hurry),
            Command::Tell(event) => {
                match event {
                    Event::Transition { from, to, why } => {
                        self.say(|| format!("lb{h}: {from} -> {to}: {why}"));
                    }
                    Event::Detail(text) | Event::Notice(text) | Event::Warning(text) | Event::Alarm(text) => {
                        self.say(|| format!("lb{h}: {text}"));
                    }
                }
                return;
            }
            Command::Peers(_) | Command::Drained(_) => return,
            Command::Exit => return self.exit(h),
        }
        // A process is stopped between any two commands, rarely; here on demand.
        if self.hosts[h].pause_after.first().is_some_and(|left| *left == 0) {
            self.hosts[h].pause_after.remove(0);
            self.pause(h);
        } else if let Some(left) = self.hosts[h].pause_after.first_mut() {
            *left -= 1;
        }
    }

    fn request(&mut self, h: usize, request: Request) {
        if let Some(process) = &mut self.hosts[h].process {
            process.thread.requests.push_back(request);
            self.poke_thread(h);
        }
    }

    fn exit(&mut self, h: usize) {
        self.watch_exit(h);
        self.end_process(h, "ends");
    }

    fn fruitful(&mut self, h: usize) {
        if let Some(process) = &mut self.hosts[h].process {
            process.fruitless = (0, 0);
        }
    }

    /// The timer rings: again and again at one moment, with nothing to do, would be a busy loop.
    fn watch_spin(&mut self, h: usize) {
        let now = self.now;
        let Some(process) = &mut self.hosts[h].process else { return };
        let (at, count) = process.fruitless;
        // A timer is late by 50 us at least, so that an idle process does not ring more often than that.
        process.fruitless = if now.saturating_sub(at) < 500 { (at, count + 1) } else { (now, 0) };
        if count > 3 {
            let state = process.subject.state();
            self.violated(
                crate::watch::Property::Rest,
                format!("lb{h} ({state}) is woken again and again with nothing to do"),
            );
        }
    }

    pub fn state(&self, h: usize) -> Option<State> {
        self.hosts[h].process.as_ref().map(|process| process.subject.state())
    }
}
