//! The core as it is, or with something wrong about it that a property must catch.
//!
//! A mutation is made at the core's boundary, by what it is told and what is done of what it says, so that the core
//! is free of it. (Those of the simulation are its own: there is more to it.)

use outrider::core::command::Command;
use outrider::core::event::State;
use outrider::core::members::{Membership, Standing};
use outrider::core::{Agent, Force, Heard, Kernel, Outcome, Settings, Time};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// The one check of each host.
pub const CHECK: &str = "lb";

/// What is wrong with the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// An Active sends no adverts.
    NeverAdvertises,
    /// All have the same priority.
    SameRank,
    /// Master_Down is almost three times as long.
    Sluggish,
    /// A leaver does not wait for its successor.
    LetsGoAtOnce,
    /// The address is not removed, though it counts as removed.
    NeverRemoves,
    /// The address is removed instead of renewed.
    LosesAddress,
    /// The lease is not renewed.
    NeverRenews,
    /// Failed checks count as passed.
    ClaimsUnfit,
    /// An Active does not hear others.
    DeafToRivals,
    /// Master_Down is a quarter as long.
    Impatient,
    /// Priority 0 is believed of anybody.
    BelievesAnyResignation,
    /// Everybody takes itself for the first in line after one that gave the address up.
    EverybodySucceeds,
    /// Priority 0 is not heard.
    DeafToResignations,
    /// The kernel may be asked at any time.
    LeaseUnchecked,
    /// A sleep of the process is not noticed.
    SleepUnnoticed,
    /// What was decided before a sleep is done after it.
    DoesWhatItDecided,
    /// A leaver answers another's priority 0.
    AnswersResignations,
    /// Priority 0 is said twice.
    Nags,
    /// Whoever becomes a Backup says priority 0.
    SaysFarewell,
    /// The first advert does not wait for the address.
    AdvertisesFirst,
    /// A lower priority is borne in spite of preemption.
    NeverPreempts,
    /// Adverts of the other virtual router count.
    AnyRouter,
    /// No sign of life is wanted.
    Unguarded,
    /// A holder that was cut off advertises its own priority.
    Proud,
    /// It wants to be woken all the time.
    Sleepless,
}

/// What the agent is told.
pub enum Input<'a> {
    Members(&'a Membership),
    Checks(&'a [String]),
    Health(&'a Outcome),
    Link,
    Advert(Heard),
    Arp(IpAddr, [u8; 6]),
    Kernel(Kernel),
    Drain(Option<Force>),
    Shutdown,
    Timeout,
}

/// One core under test.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mutant {
    agent: Agent,
    /// The rest stays as it is without a mutation, so that it makes no two states of one.
    mutation: Option<Mutation>,
    vrid: u8,
    members: Option<Membership>,
    turn: Time,
    /// Sender of the last advert that did not give the address up.
    followed: Option<IpAddr>,
    stopping: bool,
    /// What a mutated core wants done besides.
    besides: VecDeque<Command>,
}

impl Mutant {
    pub fn new(settings: Settings, now: Time) -> Mutant {
        Mutant {
            vrid: settings.vrid,
            agent: Agent::new(settings, now),
            mutation: None,
            members: None,
            turn: now,
            followed: None,
            stopping: false,
            besides: VecDeque::new(),
        }
    }

    /// From now on something is wrong with it.
    pub fn mutate(&mut self, mutation: Mutation, members: &Membership, followed: Option<IpAddr>, now: Time) {
        self.mutation = Some(mutation);
        self.members = Some(members.clone());
        self.followed = followed;
        self.turn = now;
        if mutation == Mutation::SameRank
            && let Standing::Member(me) = &members.me
        {
            let me = Standing::Member(outrider::core::members::Member { priority: Some(200), ..me.clone() });
            self.agent.handle_members(now, &Membership { me, others: members.others.clone() }, None);
        }
    }

    pub fn state(&self) -> State {
        self.agent.state()
    }

    pub fn priority(&self) -> u8 {
        self.agent.priority()
    }

    pub fn next_deadline(&self) -> Time {
        if self.mutation == Some(Mutation::Sleepless) { self.turn } else { self.agent.next_deadline() }
    }

    pub fn next_command(&mut self, now: Time) -> Option<Command> {
        let now = if self.mutation == Some(Mutation::DoesWhatItDecided) { self.turn } else { now };
        self.before(now);
        loop {
            if let Some(command) = self.besides.pop_front() {
                return Some(command);
            }
            let command = self.agent.next_command(now)?;
            let Some(mutation) = self.mutation else { return Some(command) };
            match (mutation, &command) {
                (Mutation::NeverAdvertises, Command::Advertise { priority: 1.., .. })
                | (Mutation::NeverRenews, Command::Renew { .. }) => {}
                (Mutation::NeverRemoves, Command::Remove) => self.agent.handle_kernel(now, &Kernel::Removed),
                (Mutation::LosesAddress, Command::Renew { .. }) => return Some(Command::Remove),
                (Mutation::LeaseUnchecked, Command::Add { .. }) => {
                    return Some(Command::Add { not_after: None });
                }
                (Mutation::LeaseUnchecked, Command::Renew { .. }) => {
                    return Some(Command::Renew { not_after: None });
                }
                (Mutation::AdvertisesFirst, Command::Add { .. }) => {
                    self.besides.push_back(command);
                    return Some(Command::Advertise { priority: self.agent.priority(), to: self.others() });
                }
                (Mutation::Proud, Command::Advertise { priority: 1, to }) => {
                    return Some(Command::Advertise { priority: self.agent.priority(), to: to.clone() });
                }
                (Mutation::Nags, Command::Advertise { priority: 0, to }) => {
                    return Some(Command::Advertise { priority: 0, to: [&to[..], to].concat() });
                }
                _ => return Some(command),
            }
        }
    }

    pub fn tell(&mut self, now: Time, input: Input) {
        self.before(now);
        let was = self.agent.state();
        match input {
            Input::Members(members) => self.agent.handle_members(now, members, None),
            Input::Checks(names) => self.agent.handle_checks(now, Ok(names)),
            Input::Health(_) if self.mutation == Some(Mutation::ClaimsUnfit) => {
                self.agent.handle_health(now, CHECK, &Outcome::Pass);
            }
            Input::Health(outcome) => self.agent.handle_health(now, CHECK, outcome),
            Input::Link => self.agent.handle_link(now, Ok(())),
            Input::Advert(heard) => self.advert(now, heard),
            Input::Arp(address, mac) => self.agent.handle_arp(now, address, mac),
            Input::Kernel(answer) => self.agent.handle_kernel(now, &answer),
            Input::Drain(drain) => self.agent.handle_drain(now, drain),
            Input::Shutdown => self.shutdown(now),
            Input::Timeout => self.agent.handle_timeout(now),
        }
        let stepped_down = was == State::Active && self.agent.state() == State::Backup;
        if stepped_down && self.mutation == Some(Mutation::SaysFarewell) {
            let to = self.others();
            self.besides.push_back(Command::Advertise { priority: 0, to });
        }
    }

    fn others(&self) -> Vec<IpAddr> {
        let others = self.members.iter().flat_map(|members| &members.others);
        others.map(|member| member.address).collect()
    }

    /// What a mutated core would have done before it looks at anything else.
    fn before(&mut self, now: Time) {
        match self.mutation {
            Some(Mutation::SleepUnnoticed) => {
                // As if it had been awake, in steps that are too short to be a sleep.
                while now.saturating_sub(self.turn) > Duration::from_millis(200) {
                    self.turn += Duration::from_millis(150);
                    self.agent.handle_confirmed(self.turn, self.turn);
                }
            }
            Some(Mutation::Unguarded) => {
                for other in self.others() {
                    self.agent.handle_arp(now, other, [2; 6]);
                }
            }
            _ => {}
        }
        if self.mutation.is_some() {
            self.turn = now;
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
            Some(Mutation::Impatient) => heard.advert.interval /= 4,
            Some(Mutation::Sluggish) => heard.advert.interval *= 3,
            Some(Mutation::NeverPreempts) if !active && !given_up => {
                heard.advert.priority = heard.advert.priority.max(self.agent.priority());
            }
            Some(Mutation::AnyRouter) => heard.advert.vrid = self.vrid,
            Some(Mutation::EverybodySucceeds) if given_up && !active => return self.succeed(now, &heard),
            Some(Mutation::AnswersResignations) if given_up && active && self.stopping => {
                let (priority, to) = (self.agent.priority(), vec![heard.from]);
                self.besides.push_back(Command::Advertise { priority, to });
            }
            _ => {}
        }
        if self.mutation.is_some() && !given_up && heard.advert.vrid == self.vrid {
            self.followed = Some(heard.from);
        }
        self.agent.handle_advert(now, &heard);
    }

    /// As if there were nobody else than the leaver.
    fn succeed(&mut self, now: Time, heard: &Heard) {
        let Some(members) = self.members.clone() else { return };
        let leaver = members.others.iter().filter(|member| member.address == heard.from).cloned().collect();
        let lonely = Membership { me: members.me.clone(), others: leaver };
        self.agent.handle_members(now, &lonely, None);
        self.agent.handle_advert(now, heard);
        self.agent.handle_members(now, &members, None);
    }

    fn shutdown(&mut self, now: Time) {
        if self.mutation == Some(Mutation::LetsGoAtOnce) {
            self.agent.handle_health(now, CHECK, &Outcome::Dead("the agent stops".to_owned()));
        }
        self.stopping = self.mutation.is_some();
        self.agent.handle_shutdown(now);
    }
}
