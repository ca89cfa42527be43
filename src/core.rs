//! The decision: who may hold the address, when, and what is to be done about it.
//!
//! No socket, no clock, no channel, no log. Time comes in as an argument, deeds go out as [`Command`]s.
//!
//! The contract of [`Agent`]: call a `handle_…` method for whatever happened, with a time that never goes
//! backwards; hand in the adverts that have arrived as well, since they may have ended a silence; then call
//! [`Agent::handle_timeout`], which alone acts on time; then carry out what [`Agent::next_command`] returns, in
//! order, until it returns none; then wait until [`Agent::next_deadline`], or for the next thing to happen. A
//! spurious call does nothing.

pub mod advert;
pub mod announce;
pub mod auth;
pub mod command;
pub mod event;
pub mod fitness;
pub mod guard;
mod hear;
pub mod input;
pub mod lease;
pub mod members;
mod mistakes;
pub mod peers;
pub mod probe;
pub mod router;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod timing;
mod verdict;
pub mod view;

use auth::Verifier;
use command::Command;
use event::{Event, State};
use fitness::Fitness;
use guard::{Guard, Watch};
pub use input::{Force, Heard, Kernel, Outcome, Wish};
use members::Membership;
use peers::Peers;
use probe::Probe;
use router::Router;
pub use settings::{Family, Settings};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;
use view::Warning;

/// A moment: time since boot by `CLOCK_BOOTTIME`, so that a suspended host's sleep counts.
pub type Time = Duration;

/// Metadata older than this is confirmed before a host that has heard nobody claims the address.
const FRESH: Duration = Duration::from_secs(5);
/// Pause between two requests to read the metadata again.
const REREAD: Duration = Duration::from_secs(2);
/// Pause before the kernel is asked again for an address it refused.
const REFUSAL: Duration = Duration::from_secs(5);
/// Adverts that cannot be accepted count as a holder for at least this long: longer than three of keepalived's
/// usual intervals.
const UNSEEN: Duration = Duration::from_secs(4);
/// How long a station that announces our address has to turn out to be a router that takes over, at least.
const CONTEST: Duration = Duration::from_millis(200);
/// How long a peer may have our own priority before it is named.
const EQUAL: Duration = Duration::from_secs(10);
/// Causes of warnings that are told apart, so that forged sources cannot fill the memory.
const WARNED_MAX: usize = 256;

/// Whether a person wants this host out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Drain {
    No,
    /// `answered`: the person was told how it went.
    Yes {
        force: bool,
        answered: bool,
    },
}

/// How far the metadata can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Freshness {
    /// It is the truth: a list that was typed in.
    Fixed,
    AsOf(Time),
    Unreachable,
}

/// The agent's mind: one virtual router on this host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    settings: Settings,
    router: Router,
    fitness: Fitness,
    was_fit: bool,
    hurried: Option<bool>,
    members: Option<Membership>,
    freshness: Freshness,
    reread_at: Time,
    peers: Peers,
    probe: Probe,
    guard: Guard,
    drain: Drain,
    /// Since when no advert could be sent, and why.
    unsent: Option<(Time, String)>,
    held_before: bool,
    /// Another station announced an address that this host holds.
    contested: Option<([u8; 6], Time)>,
    /// When another router last advertised the address.
    rival_at: Option<Time>,
    /// None: not known yet.
    link: Option<Result<(), String>>,
    foreign: Option<String>,
    refused: Option<(String, Time)>,
    unseen: Option<(IpAddr, Time)>,
    /// Who has had our own priority, and since when.
    equal: Option<(IpAddr, Time)>,
    verifier: Verifier,
    /// Those who do not yield to our higher priority: since when, and when last heard.
    stubborn: BTreeMap<IpAddr, (Time, Time)>,
    /// Adverts that went out late.
    late: u64,
    /// What was said, and how often it has happened since.
    warned: BTreeMap<(IpAddr, &'static str), Warning>,
    stopping: bool,
    exited: bool,
    turn: Time,
    commands: VecDeque<Command>,
}

impl Agent {
    /// An agent that begins to listen at `now`. It waits for members and for a first success of its checks.
    pub fn new(settings: Settings, now: Time) -> Agent {
        Agent {
            router: Router::new(settings.clone(), now),
            fitness: Fitness::new(settings.rise, settings.fall),
            was_fit: false,
            hurried: None,
            members: None,
            freshness: Freshness::Fixed,
            reread_at: now,
            peers: Peers::new(settings.group),
            probe: Probe::default(),
            guard: Guard::new(settings.guards.clone(), settings.interval),
            drain: Drain::No,
            unsent: None,
            held_before: false,
            contested: None,
            rival_at: None,
            link: None,
            foreign: None,
            refused: None,
            unseen: None,
            equal: None,
            verifier: Verifier::new(settings.auth.clone(), settings.interval),
            stubborn: BTreeMap::new(),
            late: 0,
            warned: BTreeMap::new(),
            stopping: false,
            exited: false,
            turn: now,
            commands: VecDeque::new(),
            settings,
        }
    }

    /// The state of the virtual router.
    pub fn state(&self) -> State {
        self.router.state()
    }

    /// The priority it advertises.
    pub fn priority(&self) -> u8 {
        self.router.priority()
    }

    /// What is to be done next, at `now`: what was decided before a sleep, or within a lease, is not done after
    /// it.
    pub fn next_command(&mut self, now: Time) -> Option<Command> {
        self.fence(now);
        let command = self.commands.pop_front();
        if command.is_none() {
            self.router.forget_lapse();
        }
        command
    }

    /// When [`Agent::handle_timeout`] is to be called. Any call may change it.
    pub fn next_deadline(&self) -> Time {
        // The core wants to be woken even when nothing is due: a long gap between turns means it slept.
        let pulse = self.turn + self.router.master_down() / 2;
        let refused = self.refused.as_ref().map(|(_, until)| *until);
        let overdue = self.router.suspicious_at().filter(|at| *at > self.turn);
        // Without a link nobody is asked.
        let guard = if self.link_is_up() { self.guard.deadline() } else { None };
        let contested = self.contested.map(|(_, at)| at + self.contest());
        let deadlines = [contested, self.router.deadline(), overdue, self.probe.deadline(), guard, refused];
        deadlines.into_iter().flatten().fold(pulse, Time::min)
    }

    /// Who takes part, by a list that was typed in (`read_at` none), or by metadata that was asked at
    /// `read_at`.
    pub fn handle_members(&mut self, now: Time, members: &Membership, read_at: Option<Time>) {
        self.wake(now);
        self.freshness = read_at.map_or(Freshness::Fixed, Freshness::AsOf);
        let changed = self.members.as_ref() != Some(members);
        if changed {
            let source = self.settings.source;
            let listed: Vec<IpAddr> =
                members.others.iter().map(|m| m.address).filter(|peer| *peer != source).collect();
            self.guard.set_peers(now, listed.clone());
            self.peers.set_listed(now, listed);
            self.tell_peers();
            self.members = Some(members.clone());
            let before = self.router.priority();
            let priority = self.derived_priority();
            self.router.set_priority(priority);
            let names: Vec<_> =
                members.others.iter().map(|m| format!("{} ({})", m.name, m.address)).collect();
            let others = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            let known = self.router.state() != State::Initialize && before != priority;
            let was = if known { format!(", was {before}") } else { String::new() };
            self.notice(format!("taking part with {others}; own priority {priority}{was}"));
        }
        self.settle(now);
    }

    /// The metadata was asked at `at` and has not changed.
    pub fn handle_confirmed(&mut self, now: Time, at: Time) {
        self.wake(now);
        if self.freshness != Freshness::Fixed {
            self.freshness = Freshness::AsOf(at);
        }
        self.settle(now);
    }

    /// The metadata service does not answer.
    pub fn handle_unreachable(&mut self, now: Time) {
        self.wake(now);
        if self.freshness != Freshness::Fixed {
            self.freshness = Freshness::Unreachable;
        }
        self.settle(now);
    }

    /// What has to pass for this host to be fit, by name; or why that cannot be known.
    pub fn handle_checks(&mut self, now: Time, checks: Result<&[String], String>) {
        self.wake(now);
        match checks {
            Ok(names) => self.fitness.set_checks(names),
            Err(why) => self.fitness.set_missing(why),
        }
        self.settle(now);
    }

    /// One look at one check.
    pub fn handle_health(&mut self, now: Time, check: &str, outcome: &Outcome) {
        self.wake(now);
        let one_suffices = !self.was_fit || self.router.is_vacant(now);
        self.fitness.record(check, outcome, one_suffices);
        self.was_fit |= self.fitness.unfit().is_none();
        self.settle(now);
    }

    /// Whether the interface can carry our adverts; if not, why.
    pub fn handle_link(&mut self, now: Time, link: Result<(), String>) {
        self.wake(now);
        if matches!(self.link, Some(Err(_))) && link.is_ok() {
            self.router.listen_anew(now);
        }
        self.link = Some(link);
        self.settle(now);
    }

    /// The default gateway on the interface, which may be asked for a sign of life.
    pub fn handle_gateway(&mut self, now: Time, gateway: Option<IpAddr>) {
        self.wake(now);
        self.guard.set_gateway(now, gateway);
        self.settle(now);
    }

    /// New settings. What others know this virtual router by, its lease and its place among others stay.
    pub fn handle_settings(&mut self, now: Time, new: Settings) {
        self.wake(now);
        let old = &self.settings;
        let new = Settings {
            vrid: old.vrid,
            version: old.version,
            source: old.source,
            addresses: old.addresses.clone(),
            interval: old.interval,
            lease: old.lease,
            group: old.group,
            earlier: old.earlier.clone(),
            ..new
        };
        self.fitness.set_limits(new.rise, new.fall);
        self.guard.set_guards(now, new.guards.clone());
        self.verifier.set_auth(new.auth.clone());
        self.router.set_settings(new.clone());
        self.settings = new;
        self.router.set_priority(self.derived_priority());
        self.settle(now);
    }

    /// How the sending of an advert went: at least one copy left this host, or why none did.
    pub fn handle_sent(&mut self, now: Time, sent: Result<(), String>) {
        match sent {
            Ok(()) => self.unsent = None,
            Err(why) => {
                self.warn(self.settings.source, "send", format!("no advert can be sent: {why}"));
                self.unsent.get_or_insert((now, why));
            }
        }
    }

    /// A person wants this host out of service (`force`: even if nobody takes over), or back in it. A wish to
    /// drain is answered by [`Command::Drained`].
    pub fn handle_drain(&mut self, now: Time, drain: Option<Force>) {
        self.wake(now);
        self.drain = match drain {
            None => Drain::No,
            Some(Force::No) => {
                self.router.offer_again(now, &mut self.commands);
                Drain::Yes { force: false, answered: false }
            }
            Some(Force::Yes) => Drain::Yes { force: true, answered: false },
        };
        self.settle(now);
    }

    /// When the next advert is due, while adverts go out at all.
    pub fn advert_due(&self) -> Option<Time> {
        self.router.advert_due()
    }

    /// What the kernel did about the addresses.
    pub fn handle_kernel(&mut self, now: Time, answer: &Kernel) {
        self.wake(now);
        match answer {
            Kernel::Foreign(why) => {
                if self.router.state() == State::Fault {
                    // No change of state will tell it, and a person has to act on it.
                    self.commands.push_back(Command::Tell(Event::Warning(why.clone())));
                }
                self.foreign = Some(why.clone());
            }
            Kernel::ForeignGone => self.foreign = None,
            Kernel::Failed { to: Wish::Add, why } => {
                self.refused = Some((format!("the kernel refused the address: {why}"), now + REFUSAL));
            }
            // What was asked for before the address was given up does not matter any more.
            Kernel::Failed { why, .. } if self.router.state() == State::Active => {
                let text = format!("the kernel refused to renew or remove the address: {why}");
                self.warn(self.settings.source, "kernel", text);
            }
            _ => {}
        }
        self.router.kernel(now, answer, &mut self.commands);
        self.settle(now);
    }

    /// The process is to end: hand over, then [`Command::Exit`].
    pub fn handle_shutdown(&mut self, now: Time) {
        self.wake(now);
        self.stopping = true;
        self.settle(now);
    }

    /// Acts on whatever is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.wake(now);
        self.settle(now);
        self.defend(now);
        self.notice_lateness(now);
        self.notice_absence(now);
        self.router.timeout(now, &mut self.commands);
        self.settle(now);
    }

    fn wake(&mut self, now: Time) {
        self.fence(now);
        self.turn = now;
    }

    /// Notices a sleep, or the end of the lease, before anything else is looked at or done.
    fn fence(&mut self, now: Time) {
        let gap = now.saturating_sub(self.turn);
        let slept = gap > self.router.master_down();
        if slept || self.router.is_overdue(now) {
            self.commands.retain(|command| !command.is_for_an_active());
        }
        if slept {
            self.router.slept(now, gap, &mut self.commands);
            self.guard.slept(now);
            self.turn = now;
        }
        self.router.check_lease(now, &mut self.commands);
    }

    fn settle(&mut self, now: Time) {
        if self.refused.as_ref().is_some_and(|(_, until)| now >= *until) {
            self.refused = None;
        }
        self.give_up_sending(now);
        self.held_before |= self.router.state() == State::Active;
        let watch = match self.router.state() {
            State::Active => Watch::Holding,
            _ if self.router.is_suspicious(now) => Watch::Urgent,
            _ => Watch::Calm,
        };
        let ask = if self.link_is_up() { self.guard.turn(now, watch) } else { Vec::new() };
        if !ask.is_empty() {
            self.commands.push_back(Command::Ask(ask));
        }
        let first = !self.held_before && !self.peers.any_heard();
        if self.probe.turn(now, first && self.link_is_up()) {
            self.commands.push_back(Command::Probe);
        }
        // A host that has just become a Backup has not been asked yet whether it may claim.
        for _ in 0..2 {
            let before = self.router.state();
            let stance = self.stance(now, first);
            self.router.settle(now, stance, &mut self.commands);
            if self.router.state() == before {
                break;
            }
        }
        self.answer_drain();
        if first && self.router.is_vacant(now) && self.is_stale(now) {
            self.reread(now);
        }
        let hurry = self.fitness.unfit().is_some();
        if self.hurried.replace(hurry) != Some(hurry) {
            self.commands.push_back(Command::Hurry(hurry));
        }
        if self.stopping && !self.exited && self.router.is_clear() {
            self.exited = true;
            self.commands.push_back(Command::Exit);
        }
    }

    fn tell_peers(&mut self) {
        let stations = self.peers.stations();
        self.guard.set_routers(self.turn, [&stations[..], &self.settings.addresses].concat());
        self.commands.push_back(Command::Peers(stations));
        self.router.set_targets(self.peers.targets());
    }

    fn reread(&mut self, now: Time) {
        if now >= self.reread_at && self.freshness != Freshness::Fixed {
            self.reread_at = now + REREAD;
            self.commands.push_back(Command::Reread);
        }
    }
}

fn hardware(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
