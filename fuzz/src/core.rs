//! The core under any sequence of inputs that its contract allows: in any order, at any pace, with time going by between
//! any two things, and a kernel that answers late, oddly, or not at all.
//!
//! The bytes are read as such a sequence; where they end, it ends. Zeros stand for what usually happens.

mod judge;
mod scene;

use arbitrary::{Result, Unstructured};
use judge::Judge;
use outrider::core::command::Command;
use outrider::core::event::State;
use outrider::core::members::Standing;
use outrider::core::{Agent, Force, Kernel, Outcome, Settings, Time, Wish};
use scene::{CHECKS, Scene};
use std::collections::VecDeque;
use std::fmt::Arguments;
use std::sync::LazyLock;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
/// How long an agent waits for a removal that fails before it ends all the same.
const REMOVAL: Duration = Duration::from_secs(1);
/// Wake-ups without a deed, one right after another, that are still no busy loop.
const FRUITLESS: u32 = 4;

/// The input is a beginning and what happens then.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(mut play) = Play::begin(&mut input) else { return };
    while !input.is_empty() && !play.judge.exited {
        if play.turn(&mut input).is_err() {
            break;
        }
    }
    play.rest(20);
}

/// With OUTRIDER_FUZZ_TRACE set, what happens is told.
fn trace(now: Time, what: Arguments) {
    static WANTED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("OUTRIDER_FUZZ_TRACE").is_some());
    if *WANTED {
        eprintln!("{now:?}: {what}");
    }
}

/// One agent, its kernel, and the time.
struct Play {
    scene: Scene,
    agent: Agent,
    judge: Judge,
    now: Time,
    /// What the kernel has been asked and has not answered: when, and until when it may do it.
    requests: VecDeque<(Wish, Time, Option<Time>)>,
    /// Whether it does so at once.
    prompt: bool,
    /// What it does instead of what it is asked next.
    odd: Option<Odd>,
    /// Whether adverts cannot be sent.
    mute: bool,
}

#[derive(Clone, Copy)]
enum Odd {
    Refuse,
    /// It gets to see the request too late.
    Sleep,
}

impl Play {
    fn begin(input: &mut Unstructured) -> Result<Play> {
        let scene = Scene::any(input)?;
        let now = 1_000_000 * MS;
        let agent = Agent::new(scene.settings.clone(), now);
        let judge = Judge::new(&scene.settings, now);
        let requests = VecDeque::new();
        let mut play = Play { scene, agent, judge, now, requests, prompt: true, odd: None, mute: false };
        if input.ratio(7, 8)? {
            // Most begin as a fit Backup.
            let members = play.scene.members(&mut Unstructured::new(&[]))?;
            play.tell(format_args!("{members:?}"), |agent, now| agent.handle_members(now, &members, None));
            play.judge.member = matches!(members.me, Standing::Member(_));
            play.checks(&CHECKS[..1]);
            play.link(true);
            play.health(CHECKS[0], &Outcome::Pass);
            play.wake();
        }
        Ok(play)
    }

    fn turn(&mut self, input: &mut Unstructured) -> Result<()> {
        let step = self.step(input)?;
        self.now += step;
        let kind: u8 = input.arbitrary()?;
        self.happen(kind & 0x1f, input)?;
        // Else more comes before the agent looks at the time: adverts do.
        if kind & 0x20 == 0 {
            self.tell(format_args!("timeout"), Agent::handle_timeout);
            let slow = kind & 0xc0 == 0xc0;
            let lag =
                if slow { *input.choose(&[MS, 20 * MS, 700 * MS, 20_000 * MS])? } else { Duration::ZERO };
            self.carry_out(lag);
            if self.prompt {
                self.settle();
            }
            self.be_at_rest();
        }
        Ok(())
    }

    fn step(&self, input: &mut Unstructured) -> Result<Duration> {
        let left = self.agent.next_deadline().saturating_sub(self.now);
        let kind: u8 = input.arbitrary()?;
        Ok(match kind % 8 {
            0 | 1 => left,
            2 => Duration::ZERO,
            3 => left.saturating_sub(Duration::from_nanos(1)),
            4 => left + u32::from(input.arbitrary::<u8>()?) * MS,
            5 => self.scene.settings.interval * u32::from(input.arbitrary::<u8>()?) / 64,
            6 => u32::from(input.arbitrary::<u16>()?) * MS,
            // Up to 136 years.
            _ => Duration::from_secs(input.arbitrary::<u32>()?.into()),
        })
    }

    fn happen(&mut self, kind: u8, input: &mut Unstructured) -> Result<()> {
        match kind {
            0..=3 => {
                let (heard, plain) = self.scene.advert(input, self.now)?;
                self.judge.hear(&heard, plain, self.agent.state(), self.now);
                self.tell(format_args!("{heard:?}"), |agent, now| agent.handle_advert(now, &heard));
            }
            4 | 5 => self.kernel_answers(input.arbitrary::<u8>()?.into()),
            6 => self.rest(input.int_in_range(1..=40)?),
            7 => {
                let check = *input.choose(&CHECKS)?;
                let why = || "it does not answer".to_owned();
                let outcomes = [Outcome::Pass, Outcome::Fail(why()), Outcome::Dead(why())];
                self.health(check, input.choose(&outcomes)?);
            }
            8 => {
                let members = self.scene.members(input)?;
                let age = Duration::from_millis(input.arbitrary::<u16>()?.into());
                let read_at = if age.is_zero() { None } else { Some(self.now.saturating_sub(age)) };
                self.judge.member = matches!(members.me, Standing::Member(_));
                let what = format_args!("{members:?} read at {read_at:?}");
                self.tell(what, |agent, now| agent.handle_members(now, &members, read_at));
            }
            9 => match input.int_in_range(0..=CHECKS.len() + 1)? {
                0 => self.nothing_to_check(),
                count => self.checks(&CHECKS[..count - 1]),
            },
            10 => {
                let up = input.arbitrary()?;
                self.link(up);
            }
            11 => {
                let gateway = if input.arbitrary()? { Some(self.scene.station(input)?) } else { None };
                self.tell(format_args!("gateway {gateway:?}"), |agent, now| {
                    agent.handle_gateway(now, gateway)
                });
            }
            12 => {
                let address = match input.arbitrary()? {
                    true => self.scene.settings.addresses[0],
                    false => self.scene.station(input)?,
                };
                let mac = [2, 0, 0, 0, 0, input.arbitrary()?];
                self.tell(format_args!("{address} by ARP"), |agent, now| agent.handle_arp(now, address, mac));
            }
            13 => self.mute = input.arbitrary()?,
            14 => {
                let drain = *input.choose(&[None, Some(Force::No), Some(Force::Yes)])?;
                self.judge.drained = drain.is_some();
                self.judge.drains += u32::from(drain.is_some());
                self.tell(format_args!("drain {drain:?}"), |agent, now| agent.handle_drain(now, drain));
            }
            15 => {
                self.judge.stopping = true;
                self.tell(format_args!("shutdown"), Agent::handle_shutdown);
            }
            16 => {
                let from = self.scene.station(input)?;
                if input.arbitrary()? {
                    let why = "the checksum is wrong";
                    self.tell(format_args!("{from}: {why}"), |agent, now| {
                        agent.handle_rejected(now, from, why)
                    });
                } else {
                    self.agent.handle_carp(from);
                }
            }
            17 => {
                let at = self.now.saturating_sub(Duration::from_millis(input.arbitrary::<u16>()?.into()));
                self.tell(format_args!("confirmed as of {at:?}"), |agent, now| {
                    agent.handle_confirmed(now, at)
                });
            }
            18 => self.tell(format_args!("unreachable"), Agent::handle_unreachable),
            19 => {
                let why = "somebody else's".to_owned();
                match input.int_in_range(0..=5)? {
                    0 => self.kernel(&Kernel::Gone),
                    1 => self.kernel(&Kernel::Foreign(why)),
                    2 => self.kernel(&Kernel::ForeignGone),
                    3 => self.kernel(&Kernel::Leftover),
                    4 => self.odd = Some(Odd::Refuse),
                    _ => self.odd = Some(Odd::Sleep),
                }
            }
            20 => self.prompt = input.arbitrary()?,
            21 => {
                let _ = self.agent.checksum_for(self.scene.station(input)?);
            }
            // Only the time goes by.
            _ => {}
        }
        Ok(())
    }

    fn checks(&mut self, names: &[&str]) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.judge.nothing_to_check = false;
        self.judge.checks.retain(|name, _| names.contains(name));
        for name in &names {
            self.judge.checks.entry(name.clone()).or_insert(false);
        }
        self.tell(format_args!("checks {names:?}"), |agent, now| agent.handle_checks(now, Ok(&names)));
    }

    fn nothing_to_check(&mut self) {
        self.judge.checks.clear();
        self.judge.nothing_to_check = true;
        let why = "no load balancer".to_owned();
        self.tell(format_args!("{why}"), |agent, now| agent.handle_checks(now, Err(why.clone())));
    }

    fn health(&mut self, check: &str, outcome: &Outcome) {
        if let Some(dead) = self.judge.checks.get_mut(check) {
            *dead = matches!(outcome, Outcome::Dead(_)) || *dead && *outcome != Outcome::Pass;
        }
        self.tell(format_args!("{check}: {outcome:?}"), |agent, now| {
            agent.handle_health(now, check, outcome)
        });
    }

    fn link(&mut self, up: bool) {
        self.judge.link = up;
        // After a link that was down, silence is measured anew.
        self.judge.followed = None;
        let link = if up { Ok(()) } else { Err("the link is down".to_owned()) };
        self.tell(format_args!("link {link:?}"), |agent, now| agent.handle_link(now, link.clone()));
    }

    /// The oldest request is done, so long after it was made, or it is too late for that.
    fn kernel_answers(&mut self, after_ms: u32) {
        let Some((request, asked, not_after)) = self.requests.pop_front() else { return };
        let sent = (asked + after_ms * MS).min(self.now);
        let is_late = not_after.is_some_and(|limit| sent >= limit);
        let answer = match (request, self.odd.take()) {
            (Wish::Add | Wish::Renew, Some(Odd::Sleep)) => Kernel::TooLate,
            _ if is_late => Kernel::TooLate,
            (to, Some(Odd::Refuse)) => Kernel::Failed { to, why: "not permitted".to_owned() },
            (Wish::Add, _) => Kernel::Added { sent },
            (Wish::Renew, _) => Kernel::Renewed { sent },
            (Wish::Remove, _) => Kernel::Removed,
        };
        self.kernel(&answer);
    }

    fn kernel(&mut self, answer: &Kernel) {
        self.judge.answer(answer, self.now);
        self.tell(format_args!("{answer:?}"), |agent, now| agent.handle_kernel(now, answer));
    }

    /// Tells the agent something, and judges what it makes of it.
    fn tell(&mut self, what: Arguments, input: impl FnOnce(&mut Agent, Time)) {
        let before = self.agent.state();
        trace(self.now, what);
        input(&mut self.agent, self.now);
        self.judge.turn(before, self.agent.state(), self.agent.priority(), self.now);
    }

    /// Carries out all commands, with a `lag` before each.
    fn carry_out(&mut self, lag: Duration) {
        if self.judge.exited {
            return;
        }
        for count in 0.. {
            assert!(count < 20_000, "the commands have no end");
            self.now += lag;
            let before = self.agent.state();
            let command = self.agent.next_command(self.now);
            self.judge.turn_of_commands(before, self.agent.state(), self.now);
            let Some(command) = command else { break };
            trace(self.now, format_args!("    {command:?}"));
            self.judge.command(&command, self.now);
            if self.judge.exited {
                return;
            }
            match command {
                Command::Advertise { .. } => {
                    let sent = if self.mute { Err("not permitted".to_owned()) } else { Ok(()) };
                    self.agent.handle_sent(self.now, sent);
                }
                Command::Add { not_after } => self.requests.push_back((Wish::Add, self.now, not_after)),
                Command::Renew { not_after } => self.requests.push_back((Wish::Renew, self.now, not_after)),
                Command::Remove => self.requests.push_back((Wish::Remove, self.now, None)),
                _ => {}
            }
        }
        self.judge.drained_of(&self.agent);
    }

    fn wake(&mut self) {
        self.tell(format_args!("timeout"), Agent::handle_timeout);
        self.carry_out(Duration::ZERO);
    }

    /// The kernel answers whatever it was asked.
    fn settle(&mut self) {
        while !self.requests.is_empty() {
            self.kernel_answers(0);
            self.wake();
        }
    }

    /// Nothing is due any more, after a few looks at most; and one look more does nothing.
    fn be_at_rest(&mut self) {
        for _ in 0..FRUITLESS {
            if self.agent.next_deadline() <= self.now {
                self.wake();
            }
        }
        // The time may have gone on since it was looked at.
        self.wake();
        if self.judge.exited {
            return;
        }
        let deadline = self.agent.next_deadline();
        assert!(deadline > self.now, "wants to be woken again and again: {:?}", self.agent);
        assert!(deadline <= self.now + self.scene.longest_wait(), "sleeps for ever: {:?}", self.agent);
        let state = self.agent.state();
        self.tell(format_args!("timeout"), Agent::handle_timeout);
        let before = self.judge.deeds;
        self.carry_out(Duration::ZERO);
        assert_eq!(self.judge.deeds, before, "a spurious call does something: {:?}", self.agent);
        assert_eq!((self.agent.state(), self.agent.next_deadline()), (state, deadline));
    }

    fn is_to_end(&self) -> bool {
        self.judge.stopping && !self.judge.exited && self.agent.state() != State::Active
    }

    /// Lets time pass with a kernel that answers at once and nothing else, for so many wake-ups; where the agent is to
    /// end, for as long as it may wait for the removal of an address that the kernel refused before.
    fn rest(&mut self, wake_ups: u32) {
        self.wake();
        let began = self.now;
        let mut fruitless = 0;
        self.judge.adverts = 0;
        let mut woken = 0;
        while woken < wake_ups || (self.is_to_end() && self.now <= began + REMOVAL) {
            woken += 1;
            self.settle();
            if self.judge.exited {
                return;
            }
            let before = (self.judge.deeds, self.agent.state());
            let wait = self.agent.next_deadline().saturating_sub(self.now);
            self.now += wait;
            self.wake();
            let idle = wait < MS && before == (self.judge.deeds, self.agent.state());
            fruitless = if idle { fruitless + 1 } else { 0 };
            assert!(fruitless <= FRUITLESS, "is woken again and again with nothing to do: {:?}", self.agent);
        }
        let Settings { interval, .. } = self.scene.settings;
        let most = 8 + (self.now - began).as_nanos() / interval.as_nanos();
        assert!(u128::from(self.judge.adverts) <= most, "{} adverts, not {most}", self.judge.adverts);
        self.settle();
        assert!(!self.is_to_end(), "does not end: {:?}", self.agent);
    }
}
