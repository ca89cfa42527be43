//! What must hold of an agent, whatever it is told.
//!
//! The commands tell the story of a router: what it says and does must fit the state that it has told last. Its state
//! must fit what it was told.

use outrider::core::command::Command;
use outrider::core::event::{Event, State};
use outrider::core::{Agent, Heard, Kernel, Settings, Time, Wish, timing};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How long an agent stays away from an address that the kernel refused.
const REFUSAL: Duration = Duration::from_secs(5);

pub struct Judge {
    settings: Settings,
    // What it was told.
    pub member: bool,
    pub link: bool,
    pub nothing_to_check: bool,
    /// By name: whether it has been dead since it last passed.
    pub checks: BTreeMap<String, bool>,
    pub drained: bool,
    /// How often it was asked to drain and has not answered.
    pub drains: u32,
    pub stopping: bool,
    foreign: bool,
    refused_until: Time,
    /// The last advert of a router that has to be followed, and how long it vouches for its sender.
    pub followed: Option<(IpAddr, Time)>,
    // What it is.
    turn: Time,
    /// When the kernel may drop the address.
    until: Option<Time>,
    /// Its own priorities since all commands were last carried out.
    priorities: Vec<u8>,
    // What it said.
    state: State,
    /// The address was asked for, and not given back.
    asked: bool,
    /// It has offered the address, and not changed state since.
    offers: bool,
    /// There was no reason to leave at some time since all commands were last carried out.
    stays: bool,
    /// Removals without an answer: until then answers are about an earlier time as Active.
    unanswered: u32,
    /// The kernel has the address, and whether it had since all commands were last carried out.
    confirmed: bool,
    confirmed_lately: bool,
    pub exited: bool,
    /// Commands other than those to tell people.
    pub deeds: u64,
    /// Adverts that claim the address.
    pub adverts: u32,
}

impl Judge {
    pub fn new(settings: &Settings, now: Time) -> Judge {
        Judge {
            settings: settings.clone(),
            member: false,
            link: false,
            nothing_to_check: true,
            checks: BTreeMap::new(),
            drained: false,
            drains: 0,
            stopping: false,
            foreign: false,
            refused_until: Time::ZERO,
            followed: None,
            turn: now,
            until: None,
            priorities: vec![1],
            state: State::Initialize,
            asked: false,
            offers: false,
            stays: true,
            unanswered: 0,
            confirmed: false,
            confirmed_lately: false,
            exited: false,
            deeds: 0,
            adverts: 0,
        }
    }

    /// Before an advert is handed in; `believed`: it is certainly none that is rejected.
    pub fn hear(&mut self, heard: &Heard, believed: bool, state: State, now: Time) {
        let advert = &heard.advert;
        if advert.priority == 0 && self.followed.is_some_and(|(from, _)| from == heard.from) {
            self.followed = None;
        }
        if advert.priority > 0 && state != State::Active {
            // One that may be believed may make another one forgotten.
            self.followed = believed.then(|| (heard.from, now + advert.interval * 3));
        }
    }

    /// Before an answer of the kernel is handed in.
    pub fn answer(&mut self, answer: &Kernel, now: Time) {
        match answer {
            Kernel::Removed | Kernel::Failed { to: Wish::Remove, .. } => {
                self.unanswered = self.unanswered.saturating_sub(1);
            }
            Kernel::Added { sent } | Kernel::Renewed { sent } if self.unanswered == 0 => {
                let until = self.settings.lease.map(|lease| *sent + lease);
                self.until = self.until.max(until);
                self.confirmed |= matches!(answer, Kernel::Added { .. });
                self.confirmed_lately |= self.confirmed;
            }
            Kernel::Foreign(_) => self.foreign = true,
            Kernel::ForeignGone => self.foreign = false,
            Kernel::Failed { to: Wish::Add, .. } => self.refused_until = now + REFUSAL,
            _ => {}
        }
    }

    /// After the agent was told something.
    pub fn turn(&mut self, before: State, after: State, priority: u8, now: Time) {
        self.turn_of_commands(before, after, now);
        self.turn = now;
        assert_ne!(priority, 0, "its own priority is 0");
        self.stays |= !self.leaves();
        self.priorities.push(priority);
    }

    /// After it was asked for a command.
    pub fn turn_of_commands(&mut self, before: State, after: State, now: Time) {
        let slept = now.saturating_sub(self.turn) > self.longest_master_down();
        assert!(!(slept && after == State::Active), "is Active after a sleep");
        if before != State::Active && after == State::Active {
            self.claim(now);
        }
        let lapsed = self.until.is_some_and(|until| now >= until);
        assert!(!(lapsed && after == State::Active), "is Active though its lease is over");
    }

    fn leaves(&self) -> bool {
        self.stopping || self.drained || !self.member
    }

    fn longest_master_down(&self) -> Duration {
        let interval = self.settings.interval.max(Duration::from_millis(40_950));
        timing::master_down(self.settings.version, 1, interval)
    }

    fn claim(&mut self, now: Time) {
        assert!(!self.leaves(), "claims and should leave");
        assert!(self.link, "claims without a link");
        assert!(!self.foreign, "claims what is somebody else's");
        assert!(now >= self.refused_until, "claims what the kernel has just refused");
        assert!(!self.nothing_to_check, "claims without knowing what to check");
        let dead = self.checks.iter().find(|(_, dead)| **dead);
        assert_eq!(dead, None, "claims and is unfit");
        if let Some((from, until)) = self.followed.filter(|_| !self.settings.preempt) {
            assert!(now >= until, "claims over {from}, whose adverts come");
        }
        self.until = self.settings.lease.map(|lease| now + lease);
        self.followed = None;
        self.confirmed = false;
    }

    /// Before a command is carried out.
    pub fn command(&mut self, command: &Command, now: Time) {
        assert!(!self.exited, "goes on after its end: {command:?}");
        self.deeds += u64::from(!matches!(command, Command::Tell(_)));
        let active = self.state == State::Active;
        match command {
            Command::Advertise { priority, to } => {
                assert!(!to.is_empty() && !to.contains(&self.settings.source), "adverts to {to:?}");
                let to_group = self.settings.group.is_none_or(|group| to.iter().eq([&group]));
                assert!(to_group, "adverts to {to:?}");
                let known = [0, 1].contains(priority) || self.priorities.contains(priority);
                assert!(known, "priority {priority} is not its own: {:?}", self.priorities);
                let allowed = active || *priority == 0 && self.state == State::Fault;
                assert!(allowed, "an advert of priority {priority} as {:?}", self.state);
                // Priority 1: nobody took it.
                let fits = !self.offers || self.stays || *priority <= 1;
                assert!(fits, "an advert of priority {priority} of a leaver");
                self.offers |= active && *priority == 0;
                self.adverts += u32::from(*priority > 0);
            }
            Command::Add { not_after } => {
                self.touch(not_after, now);
                assert!(active || self.state == State::Backup, "adds as {:?}", self.state);
                self.asked = true;
            }
            Command::Renew { not_after } => {
                self.touch(not_after, now);
                assert!(active && self.asked, "renews as {:?}", self.state);
            }
            Command::Remove => {
                self.asked = false;
                self.unanswered += 1;
            }
            Command::Announce => {
                assert!(active && self.asked, "announces as {:?}", self.state);
                assert!(self.confirmed_lately, "announces what the kernel does not have yet");
            }
            Command::Peers(peers) => assert!(!peers.contains(&self.settings.source), "{command:?}"),
            Command::Drained(_) => {
                assert!(self.drains > 0, "an answer that nobody waits for");
                self.drains -= 1;
            }
            Command::Tell(event) => self.tell(event),
            Command::Exit => {
                assert!(self.stopping && !active && !self.asked, "exits as {:?}", self.state);
                self.exited = true;
            }
            Command::Ask(_) | Command::Probe | Command::Reread | Command::Hurry(_) => {}
        }
    }

    fn touch(&self, not_after: &Option<Time>, now: Time) {
        assert_eq!(
            not_after.is_some(),
            self.settings.lease.is_some(),
            "a lease without an end, or the reverse"
        );
        assert!(not_after.is_none_or(|limit| now < limit), "touches an address whose lease is over");
    }

    fn tell(&mut self, event: &Event) {
        use State::{Active, Backup, Fault, Initialize};
        let (from, to) = match event {
            Event::Transition { from, to, .. } => (*from, *to),
            Event::Detail(text) | Event::Notice(text) | Event::Warning(text) | Event::Alarm(text) => {
                return assert!(!text.is_empty());
            }
        };
        assert_eq!(from, self.state, "left a state that it was not in");
        let known = [
            (Initialize, Backup),
            (Initialize, Fault),
            (Backup, Active),
            (Backup, Fault),
            (Fault, Backup),
            (Active, Backup),
            (Active, Fault),
        ];
        assert!(known.contains(&(from, to)), "{from} -> {to}");
        self.state = to;
        self.offers = false;
    }

    /// After all commands were carried out.
    pub fn drained_of(&mut self, agent: &Agent) {
        assert_eq!(self.state, agent.state(), "is not in the state that it told");
        assert_eq!(self.asked, self.state == State::Active, "{:?} and the address do not fit", self.state);
        self.priorities = vec![agent.priority()];
        self.confirmed_lately = self.confirmed;
        self.stays = !self.leaves();
    }
}
