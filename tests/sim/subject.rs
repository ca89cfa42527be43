//! The core as it is, or with something wrong about it: the mutations that the properties must catch.
//!
//! A mutation is made outside of the core, by what it is told and what is done of what it says: that keeps it
//! true to the core as it is today, and the core free of it.

use outrider::core::command::Command;
use outrider::core::event::State;
use outrider::core::guard::Guards;
use outrider::core::members::Membership;
use outrider::core::{Agent, Force, Heard, Kernel, Outcome, Settings, Time};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// What is wrong with the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// An Active does not step down for a higher priority.
    DeafToRivals,
    /// The kernel may be asked at any time, and what it acknowledges late counts.
    LeaseUnchecked,
    /// Nothing is announced.
    NeverAnnounces,
    /// Priority 0 is not heard.
    DeafToResignations,
    /// Priority 0 is believed of anybody.
    BelievesAnyResignation,
    /// A sleep of the process is not noticed.
    SleepUnnoticed,
    /// Failed checks count as passed.
    ClaimsUnfit,
    /// A link that is down counts as up.
    LinkIgnored,
    /// All have the same priority.
    SameRank,
    /// A leaver does not wait for its successor.
    LetsGoAtOnce,
    /// Who answers ARP does not count.
    ProbeIgnored,
    /// The address is not removed.
    NeverRemoves,
    /// It does not know what an earlier run left behind.
    LeftoverIgnored,
    /// The lease is not renewed.
    NeverRenews,
    /// An Active sends no adverts.
    NeverAdvertises,
    /// Master_Down is a quarter as long.
    Impatient,
    /// Time is looked at before the adverts that have arrived.
    TimeoutsFirst,
    /// An address that somebody deleted is not put back.
    GoneIgnored,
    /// What was decided before a sleep is done after it.
    DoesWhatItDecided,
    /// Adverts that cannot be sent count as sent.
    SendsBlindly,
    /// No sign of life is wanted.
    Unguarded,
    /// A holder that was cut off advertises its own priority.
    Proud,
    /// Everybody takes itself for the first in line after one that gave the address up.
    EverybodySucceeds,
    /// A leaver answers another's priority 0.
    AnswersResignations,
    /// First ranks are not spread.
    EarlierIgnored,
    /// Adverts of any virtual router count.
    HearsAll,
    /// A leaver repeats priority 0 five times an interval: each one restarts the Skew_Time of keepalived.
    Insists,
}

/// What the agent is told.
pub enum Input<'a> {
    Members(&'a Membership, Option<Time>),
    Confirmed(Time),
    Unreachable,
    Checks(&'a [String]),
    Health(&'a Outcome),
    Link(Result<(), String>),
    Advert(Heard),
    Arp(IpAddr, [u8; 6]),
    Kernel(Kernel),
    Gateway(Option<IpAddr>),
    Sent(Result<(), String>),
    Drain(Option<Force>),
    Shutdown,
    Timeout,
}

/// One agent under test.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    agent: Agent,
    mutation: Option<Mutation>,
    turn: Time,
    /// Sender of the last advert that did not give the address up.
    followed: Option<IpAddr>,
    stopping: bool,
    lease: Duration,
    /// When the kernel last did, or was made out to have done, what it was asked.
    vouched: Time,
    members: Option<(Membership, Option<Time>)>,
    /// What a mutated core wants done besides.
    besides: VecDeque<Command>,
    vrid: u8,
    interval: Duration,
    /// When it last said that it leaves, and to whom.
    farewell: Option<(Time, Vec<IpAddr>)>,
}

/// The one check of each host.
pub const CHECK: &str = "lb";

impl Subject {
    pub fn new(mut settings: Settings, mutation: Option<Mutation>, now: Time) -> Subject {
        match mutation {
            Some(Mutation::SameRank) => settings.priority = Some(100),
            Some(Mutation::Unguarded) => settings.guards = Guards::Off,
            Some(Mutation::EarlierIgnored) => settings.earlier.clear(),
            _ => {}
        }
        let (lease, interval, vrid) = (settings.lease.unwrap_or_default(), settings.interval, settings.vrid);
        let agent = Agent::new(settings, now);
        Subject {
            agent,
            mutation,
            turn: now,
            followed: None,
            stopping: false,
            lease,
            vouched: now,
            members: None,
            besides: VecDeque::new(),
            vrid,
            interval,
            farewell: None,
        }
    }

    pub fn state(&self) -> State {
        self.agent.state()
    }

    pub fn priority(&self) -> u8 {
        self.agent.priority()
    }

    pub fn next_deadline(&self) -> Time {
        let again = self.farewell.as_ref().map(|(at, _)| *at + self.interval / 5);
        self.agent.next_deadline().min(again.unwrap_or(Time::MAX))
    }

    /// Whether the adverts that have arrived are handed in before time is looked at.
    pub fn adverts_first(&self) -> bool {
        self.mutation != Some(Mutation::TimeoutsFirst)
    }

    pub fn next_command(&mut self, now: Time) -> Option<Command> {
        self.before(now);
        let blind = self.mutation == Some(Mutation::DoesWhatItDecided);
        self.turn = if blind { self.turn } else { now };
        loop {
            let command = self.besides.pop_front().or_else(|| self.agent.next_command(self.turn))?;
            let dropped = match (self.mutation, &command) {
                (Some(Mutation::NeverAnnounces), Command::Announce)
                | (Some(Mutation::NeverRemoves), Command::Remove)
                | (Some(Mutation::NeverRenews), Command::Renew { .. }) => true,
                (Some(Mutation::NeverAdvertises), Command::Advertise { priority, .. }) => *priority > 0,
                _ => false,
            };
            if dropped {
                continue;
            }
            if self.mutation == Some(Mutation::Insists)
                && let Command::Advertise { priority, to } = &command
            {
                self.farewell = (*priority == 0).then(|| (now, to.clone()));
            }
            return Some(match (self.mutation, command) {
                (Some(Mutation::LeaseUnchecked), Command::Add { .. }) => Command::Add { not_after: None },
                (Some(Mutation::LeaseUnchecked), Command::Renew { .. }) => Command::Renew { not_after: None },
                (Some(Mutation::Proud), Command::Advertise { priority: 1, to }) => {
                    Command::Advertise { priority: self.agent.priority(), to }
                }
                (_, command) => command,
            });
        }
    }

    pub fn tell(&mut self, now: Time, input: Input) {
        self.before(now);
        self.turn = now;
        match input {
            Input::Members(members, read_at) => {
                if self.mutation == Some(Mutation::EverybodySucceeds) {
                    self.members = Some((members.clone(), read_at));
                }
                self.agent.handle_members(now, members, read_at);
            }
            Input::Confirmed(at) => self.agent.handle_confirmed(now, at),
            Input::Unreachable => self.agent.handle_unreachable(now),
            Input::Checks(names) => self.agent.handle_checks(now, Ok(names)),
            Input::Health(_) if self.mutation == Some(Mutation::ClaimsUnfit) => {
                self.agent.handle_health(now, CHECK, &Outcome::Pass);
            }
            Input::Health(outcome) => self.agent.handle_health(now, CHECK, outcome),
            Input::Link(_) if self.mutation == Some(Mutation::LinkIgnored) => {
                self.agent.handle_link(now, Ok(()));
            }
            Input::Link(link) => self.agent.handle_link(now, link),
            Input::Advert(heard) => self.advert(now, heard),
            Input::Arp(..) if self.mutation == Some(Mutation::ProbeIgnored) => {}
            Input::Arp(address, mac) => self.agent.handle_arp(now, address, mac),
            Input::Kernel(Kernel::Gone) if self.mutation == Some(Mutation::GoneIgnored) => {}
            Input::Kernel(Kernel::Leftover) if self.mutation == Some(Mutation::LeftoverIgnored) => {}
            Input::Kernel(answer) => {
                self.vouched = now;
                self.agent.handle_kernel(now, &answer);
            }
            Input::Gateway(gateway) => self.agent.handle_gateway(now, gateway),
            Input::Sent(_) if self.mutation == Some(Mutation::SendsBlindly) => {}
            Input::Sent(sent) => self.agent.handle_sent(now, sent),
            Input::Drain(drain) => self.agent.handle_drain(now, drain),
            Input::Shutdown => self.shutdown(now),
            Input::Timeout => {
                self.agent.handle_timeout(now);
                self.insist(now);
            }
        }
    }

    /// What a mutated core would have done before it looks at anything else.
    fn before(&mut self, now: Time) {
        match self.mutation {
            Some(Mutation::SleepUnnoticed) => {
                // As if it had been awake, in steps that are too short to be a sleep.
                while now.saturating_sub(self.turn) > Duration::from_millis(20) {
                    self.turn += Duration::from_millis(15);
                    self.agent.handle_confirmed(self.turn, self.turn);
                }
            }
            // Only where the kernel does not answer: each answer puts the next renewal off.
            Some(Mutation::LeaseUnchecked)
                if self.agent.state() == State::Active
                    && now.saturating_sub(self.vouched) > self.lease * 7 / 10 =>
            {
                self.vouched = now;
                self.agent.handle_kernel(self.turn, &Kernel::Renewed { sent: self.turn });
            }
            _ => {}
        }
    }

    fn advert(&mut self, now: Time, mut heard: Heard) {
        let active = self.agent.state() == State::Active;
        let given_up = heard.advert.priority == 0;
        match self.mutation {
            Some(Mutation::DeafToRivals) if active && !given_up => return,
            Some(Mutation::DeafToResignations) if given_up => return,
            Some(Mutation::BelievesAnyResignation) if given_up && !active => {
                heard.from = self.followed.unwrap_or(heard.from);
            }
            Some(Mutation::HearsAll) => heard.advert.vrid = self.vrid,
            Some(Mutation::Impatient) => heard.advert.interval /= 4,
            Some(Mutation::EverybodySucceeds) if given_up && !active => return self.succeed(now, &heard),
            Some(Mutation::AnswersResignations) if given_up && active && self.stopping => {
                let (priority, to) = (self.agent.priority(), vec![heard.from]);
                self.besides.push_back(Command::Advertise { priority, to });
            }
            _ => {}
        }
        if !given_up {
            self.followed = Some(heard.from);
        }
        self.agent.handle_advert(now, &heard);
    }

    /// As if there were nobody else than the leaver.
    fn succeed(&mut self, now: Time, heard: &Heard) {
        let Some((members, read_at)) = self.members.clone() else { return };
        let leaver = members.others.iter().filter(|member| member.address == heard.from).cloned().collect();
        let lonely = Membership { me: members.me.clone(), others: leaver };
        self.agent.handle_members(now, &lonely, read_at);
        self.agent.handle_advert(now, heard);
        self.agent.handle_members(now, &members, read_at);
    }

    fn insist(&mut self, now: Time) {
        self.farewell.take_if(|_| self.agent.state() != State::Active);
        if let Some((at, to)) = &self.farewell
            && now >= *at + self.interval / 5
        {
            self.besides.push_back(Command::Advertise { priority: 0, to: to.clone() });
        }
    }

    fn shutdown(&mut self, now: Time) {
        if self.mutation == Some(Mutation::LetsGoAtOnce) && !self.stopping {
            self.agent.handle_health(now, CHECK, &Outcome::Dead("the agent stops".to_owned()));
        }
        self.stopping = true;
        self.agent.handle_shutdown(now);
    }
}
