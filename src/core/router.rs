//! One virtual router.
//!
//! ```text
//!         members, link and checks known
//!   Initialize ───────────────┬─────────────┐
//!                             ▼   unfit     ▼
//!                          Backup ◄──────► Fault
//!     silence, priority 0,  │  ▲            ▲
//!     or preemption         ▼  │ outranked, │ unfit, handed over
//!                          Active ──────────┘
//!                              late
//! ```
//!
//! RFC 9568 section 6.4, with Fault added and two departures: an Active that is outranked sends no priority 0
//! (neither does the RFC's), and one that hands over keeps the address until its successor speaks.

mod active;
mod backup;

use crate::core::advert::Advert;
use crate::core::announce::Schedule;
use crate::core::command::Command;
use crate::core::event::{Event, State};
use crate::core::lease::Lease;
use crate::core::timing;
use crate::core::{Kernel, Settings, Time, Wish};
use active::Leaving;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// How long a removal may stay unanswered before it no longer keeps the process from ending.
const REMOVAL: Duration = Duration::from_secs(1);
/// An advert that comes so soon after its sender's priority 0 was sent before it: the network may swap two.
const OVERTAKEN: Duration = Duration::from_millis(20);
/// A priority 0 is repeated after one and a half intervals: each one restarts a keepalived peer's Skew_Time.
const REPEAT_NUMERATOR: u32 = 3;

/// Why this host should hand the address over while it can still serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Leave {
    /// The process ends: the address goes at the limit, successor or not.
    Shutdown,
    /// The host takes part no more: without a successor the address stays.
    Membership(String),
    /// A person wants the host out of service: without a successor the address stays, unless forced.
    Drain {
        /// It goes, successor or not.
        force: bool,
    },
}

impl Leave {
    /// In words for people.
    pub fn why(&self) -> String {
        match self {
            Leave::Shutdown => "the agent is stopping".to_owned(),
            Leave::Membership(why) => why.clone(),
            Leave::Drain { .. } => "drained on request".to_owned(),
        }
    }

    /// Whether the address stays where it is if nobody takes it.
    pub fn may_stay(&self) -> bool {
        matches!(self, Leave::Membership(_) | Leave::Drain { force: false })
    }
}

/// What the rest of the core has to say about this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stance {
    /// It is not known yet whether this host takes part, or can serve.
    pub absent: bool,
    /// Why this host cannot serve.
    pub unfit: Option<String>,
    /// Why it should hand over.
    pub leave: Option<Leave>,
    /// Why it must not claim now that nobody is believed to hold the address.
    pub no_claim: Option<NoClaim>,
    /// Whether it is cut off, or was until a moment ago.
    pub isolated: bool,
}

/// Why a claim is held back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NoClaim {
    /// In words for people.
    pub why: String,
    /// Whether somebody should look into it.
    pub alarming: bool,
    /// Whether the silence may be this host's own deafness, so that it has to be measured anew afterwards.
    pub deaf: bool,
}

/// The Active this router follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Followed {
    /// Source address of its adverts.
    pub from: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// When it was last heard.
    pub last: Time,
    /// It has said that it gives the address up, when that proved nothing.
    resigned: bool,
}

/// What an Active has to look after.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holding {
    since: Time,
    confirmed: bool,
    advert_at: Time,
    lease: Lease,
    announcements: Schedule,
    rival_until: Option<Time>,
    /// Who claimed the address as well, and was named for it.
    rivals: BTreeSet<IpAddr>,
    leaving: Option<Leaving>,
}

/// The state machine of one virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Router {
    settings: Settings,
    state: State,
    stance: Stance,
    priority: u8,
    targets: Vec<IpAddr>,
    followed: Option<Followed>,
    /// Who was followed before, as last heard.
    former: Option<Followed>,
    /// Who is not followed, as it is about to be preempted, as last heard.
    borne: Option<Followed>,
    listening_since: Time,
    /// The interval by which silence is measured: the followed Active's in version 3, else our own.
    interval: Duration,
    /// End of Master_Down (or Skew_Time): from then on nobody is believed to hold the address.
    down_at: Time,
    /// Why nobody is believed to hold it, if it was told.
    vacated: Option<String>,
    /// Who told so, and when.
    resigned: Option<(IpAddr, Time)>,
    preempt_at: Option<Time>,
    blocked: Option<NoClaim>,
    /// Why this host is in Fault, as last told.
    fault: Option<String>,
    /// Some exactly while Active.
    holding: Option<Holding>,
    /// When the lease ends that was held, while something may be left to do that was decided within it.
    lapse: Option<Time>,
    removing: Option<Time>,
    /// Removals that have no answer yet. Answers come in the order of the requests: until then they are about what
    /// was asked in an earlier time as Active.
    unanswered: u32,
    /// Priority 0 is to be repeated: when, and how often.
    farewell: Option<(Time, u8)>,
    /// An earlier run left the addresses behind: they go once somebody else has them, or this host cannot serve or
    /// is to leave.
    leftover: bool,
}

impl Router {
    /// A router that has just begun to listen.
    pub fn new(settings: Settings, now: Time) -> Router {
        let interval = settings.interval;
        let mut router = Router {
            settings,
            state: State::Initialize,
            stance: Stance { absent: true, ..Stance::default() },
            priority: 1,
            targets: Vec::new(),
            followed: None,
            former: None,
            borne: None,
            listening_since: now,
            interval,
            down_at: now,
            vacated: None,
            resigned: None,
            preempt_at: None,
            blocked: None,
            fault: None,
            holding: None,
            lapse: None,
            removing: None,
            unanswered: 0,
            farewell: None,
            leftover: false,
        };
        router.listen_anew(now);
        router
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The priority it advertises.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// Takes a new priority; running timers stay as they are.
    pub fn set_priority(&mut self, priority: u8) {
        self.priority = priority;
        if self.state == State::Initialize && self.followed.is_none() && self.vacated.is_none() {
            self.down_at = self.listening_since + self.master_down();
        }
    }

    /// Takes new settings. How the address is announced holds from the next announcement on.
    pub fn set_settings(&mut self, settings: Settings) {
        if let Some(holding) = &mut self.holding {
            holding.announcements.set(settings.announcements);
        }
        self.settings = settings;
    }

    /// Takes a new list of receivers.
    pub fn set_targets(&mut self, targets: Vec<IpAddr>) {
        self.targets = targets;
    }

    /// Whether this host holds the address only because nobody took it.
    pub fn keeps_reluctantly(&self) -> bool {
        self.holding.as_ref().is_some_and(|holding| matches!(holding.leaving, Some(Leaving::Kept { .. })))
    }

    /// The Active this router follows.
    pub fn followed(&self) -> Option<Followed> {
        self.followed.filter(|_| self.state != State::Active)
    }

    /// What the rest of the core said last.
    pub fn stance(&self) -> &Stance {
        &self.stance
    }

    /// When the kernel drops the address unless it is renewed.
    pub fn lease_until(&self) -> Option<Time> {
        self.holding.as_ref().and_then(|holding| holding.lease.until())
    }

    /// Whether nothing of this run is left in the kernel, as far as can be known.
    pub fn is_clear(&self) -> bool {
        self.state != State::Active && self.removing.is_none()
    }

    /// The silence after which a claim is made.
    pub fn master_down(&self) -> Duration {
        timing::master_down(self.settings.version, self.priority, self.interval)
    }

    fn skew(&self) -> Duration {
        timing::skew(self.settings.version, self.priority, self.interval)
    }

    /// An advert of another router for this virtual router. `successor`: if it has priority 0, this host is
    /// the first in line after the sender.
    pub fn advert(
        &mut self,
        now: Time,
        from: IpAddr,
        advert: &Advert,
        successor: bool,
        out: &mut VecDeque<Command>,
    ) {
        let overtaken = |(who, at): (IpAddr, Time)| who == from && now < at + OVERTAKEN;
        // A Backup believes it: after a pause both are read in one go, and the leaver may have changed its mind.
        if self.state == State::Active && advert.priority > 0 && self.resigned.is_some_and(overtaken) {
            return;
        }
        if advert.priority > 0 {
            self.clear_leftover(now, out);
        }
        if advert.priority == 0 {
            self.former = self.former.filter(|former| former.from != from);
            if let Some(followed) = self.followed.as_mut().filter(|followed| followed.from == from) {
                followed.resigned = true;
            }
        }
        match (self.state, advert.priority) {
            (State::Active, 0) => self.heard_resignation(now, from, out),
            (State::Active, _) => self.heard_rival(now, from, advert, out),
            // Whose it was to give up is not known, or not for how long it has waited in the socket of an agent
            // that was stopped: somebody else may have it by now.
            (_, 0) if self.followed.is_none_or(|followed| followed.from != from) => {}
            (_, 0) if now < self.listening_since + self.interval => {}
            (_, 0) => {
                // Who was heard besides may be there still: the successor, whose first advert was faster than the
                // last ones of whom it relieved, or the other one of two holders.
                let turn = now + if successor { Duration::ZERO } else { self.skew() };
                self.followed = self.former.take().filter(|former| now < former.last + self.interval * 3);
                if let Some(other) = self.followed {
                    self.down_at = turn.max(other.last + self.master_down());
                    return;
                }
                self.resigned = Some((from, now));
                self.vacated = Some(format!("{from} gave the address up"));
                self.farewell = None;
                self.down_at = turn;
            }
            (State::Backup, priority) if self.preempts(now, from, priority) => {}
            (_, _) => self.follow(now, from, advert, out),
        }
    }

    /// What the kernel did about the address.
    pub fn kernel(&mut self, now: Time, answer: &Kernel, out: &mut VecDeque<Command>) {
        match (self.state, answer) {
            (_, Kernel::Removed | Kernel::Failed { to: Wish::Remove, .. }) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                if self.unanswered == 0 && *answer == Kernel::Removed {
                    self.removing = None;
                }
            }
            (State::Active, answer) if self.unanswered > 0 && answer.is_to_a_request() => {}
            (State::Active, answer) => self.kernel_active(now, answer, out),
            (_, Kernel::Leftover) => {
                self.leftover = true;
                let text = "an earlier run left the address behind: it stays until another host has it, or its \
                            lease ends";
                out.push_back(Command::Tell(Event::Notice(text.to_owned())));
            }
            // Answers to what was asked before the address was given up: its removal is on the way.
            (State::Initialize | State::Backup | State::Fault, _) => {}
        }
    }

    /// Brings the state in line with what the rest of the core says.
    pub fn settle(&mut self, now: Time, stance: Stance, out: &mut VecDeque<Command>) {
        self.stance = stance;
        let leave = self.stance.leave.as_ref().map(Leave::why);
        let hindrance = self.stance.unfit.clone().or(leave);
        match (self.state, self.stance.absent, hindrance) {
            (State::Initialize, true, _) => {}
            (State::Initialize, false, Some(why)) => self.enter(State::Fault, why, out),
            (State::Initialize, false, None) => {
                // As after a Fault: others may have been waiting for the same thing.
                self.down_at = self.down_at.max(now + self.skew());
                self.enter(State::Backup, "this host takes part and can serve".to_owned(), out);
            }
            (State::Fault, _, Some(why)) => {
                if self.fault.as_ref() != Some(&why) {
                    out.push_back(Command::Tell(Event::Detail(format!("still in Fault: {why}"))));
                    self.fault = Some(why);
                }
            }
            (State::Fault, _, None) => {
                self.down_at = self.down_at.max(now + self.skew());
                self.farewell = None;
                self.enter(State::Backup, "this host can serve".to_owned(), out);
            }
            (State::Backup, _, Some(why)) => self.enter(State::Fault, why, out),
            (State::Backup, _, None) => {
                if self.stance.no_claim.is_none()
                    && let Some(blocked) = self.blocked.take()
                {
                    // Others may have been held back by the same cause: go in turn.
                    let pause = if blocked.deaf { self.master_down() } else { self.skew() };
                    self.down_at = self.down_at.max(now + pause);
                }
            }
            (State::Active, _, _) => self.settle_active(now, out),
        }
        let elsewhere = self.followed.is_some() || self.borne.is_some();
        if elsewhere || self.state == State::Fault || self.stance.leave.is_some() {
            self.clear_leftover(now, out);
        }
    }

    fn clear_leftover(&mut self, now: Time, out: &mut VecDeque<Command>) {
        if std::mem::take(&mut self.leftover) {
            self.remove(now, out);
        }
    }

    fn remove(&mut self, now: Time, out: &mut VecDeque<Command>) {
        self.removing = Some(now);
        self.unanswered = self.unanswered.saturating_add(1);
        out.push_back(Command::Remove);
    }

    /// Acts on whatever is due.
    pub fn timeout(&mut self, now: Time, out: &mut VecDeque<Command>) {
        self.removing = self.removing.filter(|since| now < *since + REMOVAL);
        match self.state {
            State::Active => self.timeout_active(now, out),
            State::Backup if now >= self.down_at => self.claim(now, out),
            State::Fault => self.repeat_farewell(now, out),
            State::Initialize | State::Backup => {}
        }
    }

    /// When [`Router::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        let own = match (self.state, &self.holding) {
            (State::Active, Some(holding)) => Some(holding.deadline()),
            (State::Backup, _) if self.blocked.is_none() => Some(self.down_at),
            (State::Fault, _) => self.farewell.map(|(at, _)| at),
            _ => None,
        };
        own.into_iter().chain(self.removing.map(|since| since + REMOVAL)).min()
    }

    fn repeat_farewell(&mut self, now: Time, out: &mut VecDeque<Command>) {
        if let Some((at, left)) = self.farewell
            && now >= at
        {
            self.advertise(0, out);
            self.farewell = (left > 1).then(|| (now + self.resignation_pause(), left - 1));
        }
    }

    fn resignation_pause(&self) -> Duration {
        self.settings.interval * REPEAT_NUMERATOR / 2
    }

    fn advertise(&self, priority: u8, out: &mut VecDeque<Command>) {
        if !self.targets.is_empty() {
            out.push_back(Command::Advertise { priority, to: self.targets.clone() });
        }
    }

    fn enter(&mut self, state: State, why: String, out: &mut VecDeque<Command>) {
        let from = std::mem::replace(&mut self.state, state);
        // Whoever becomes a Backup again bears a lower priority from then on.
        self.preempt_at = None;
        self.fault = (state == State::Fault).then(|| why.clone());
        out.push_back(Command::Tell(Event::Transition { from, to: state, why }));
    }
}
