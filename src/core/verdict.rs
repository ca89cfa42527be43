//! What this host may do: whether it can serve, should leave, may claim; and which priority it has.

use super::event::State;
use super::members::{self, Membership, Standing};
use super::router::{Leave, NoClaim, Stance};
use super::{Agent, CONTEST, Command, Drain, FRESH, Freshness, REFUSAL, Time, UNSEEN, hardware};
use std::net::IpAddr;
use std::time::Duration;

impl Agent {
    pub(super) fn stance(&self, now: Time, first: bool) -> Stance {
        let absent = self.members.is_none() || self.link.is_none() || self.fitness.is_pending();
        let refused = || self.refused.as_ref().map(|(why, _)| why.clone());
        let link = self.link.as_ref().and_then(|link| link.clone().err());
        let unfit = link.or_else(|| self.foreign.clone()).or_else(refused);
        let leave = match &self.members {
            _ if self.stopping => Some(Leave::Shutdown),
            _ if let Drain::Yes { force, .. } = self.drain => Some(Leave::Drain { force }),
            Some(Membership { me: Standing::Left(why), .. }) => Some(Leave::Membership(why.clone())),
            _ => None,
        };
        Stance {
            absent,
            unfit: unfit.or_else(|| self.fitness.unfit()),
            leave,
            no_claim: if self.router.would_claim(now) { self.no_claim(now, first) } else { None },
            isolated: self.guard.is_isolated(now),
        }
    }

    /// Tells the person who drains how it went, once.
    pub(super) fn answer_drain(&mut self) {
        let Drain::Yes { force, answered: false } = self.drain else { return };
        let result = match self.router.state() {
            State::Active if self.router.keeps_reluctantly() => Err(
                "no other member took the address, so this host keeps it and tries again every few seconds; \
                 `outrider undrain` ends that, `outrider drain --force` lets go of the address"
                    .to_owned(),
            ),
            State::Active => return,
            // The kernel has still to take it away.
            _ if !self.router.is_clear() => return,
            State::Initialize | State::Backup | State::Fault => Ok(()),
        };
        self.drain = Drain::Yes { force, answered: true };
        self.commands.push_back(Command::Drained(result));
    }

    /// FRR's first advert over IPv6 is lost, and any may be: whoever announces the address is given the time of the
    /// next. Were it a router that takes over, our answer would mislead clients for good, since FRR announces once.
    pub(super) fn contest(&self) -> Duration {
        CONTEST.max(self.settings.interval * 3 / 2)
    }

    /// Announces again what another station has announced as its own, unless that was a router that takes over:
    /// its advert would have been here by now.
    pub(super) fn defend(&mut self, now: Time) {
        let Some((mac, at)) = self.contested else { return };
        if self.router.state() != State::Active {
            self.contested = None;
        } else if now >= at + self.contest() {
            self.contested = None;
            let text =
                format!("the address is announced by {}, too, which is no router of ours", hardware(mac));
            self.warn(self.settings.source, "contest", text);
            self.router.announce_anew(now);
        }
    }

    /// A holder nobody can hear gives up, as its peers have taken over.
    pub(super) fn give_up_sending(&mut self, now: Time) {
        // A Backup sends nothing that would show that it can send again.
        if self.router.state() != State::Active {
            self.unsent = None;
        }
        if let Some((since, why)) = &self.unsent
            && now.saturating_sub(*since) > self.router.master_down()
        {
            self.refused = Some((format!("no advert could be sent: {why}"), now + REFUSAL));
            self.unsent = None;
        }
    }

    /// Why the address must not be claimed just now although nobody is believed to hold it.
    pub(super) fn no_claim(&self, now: Time, first: bool) -> Option<NoClaim> {
        let alarming = |why: String| Some(NoClaim { why, alarming: true, deaf: false });
        let passing = |why: &str| Some(NoClaim { why: why.to_owned(), alarming: false, deaf: false });
        let window = UNSEEN.max(self.router.master_down());
        if let Some((from, at)) = self.unseen
            && now.saturating_sub(at) < window
        {
            return alarming(format!("{from} advertises the address in a way that this host must reject"));
        }
        if !self.guard.alive_since(self.router.life_wanted_since(now)) {
            let asked: Vec<_> = self.guard.targets().iter().map(IpAddr::to_string).collect();
            let why = format!("this host seems cut off: no sign of life from {}", asked.join(", "));
            return Some(NoClaim { why, alarming: true, deaf: true });
        }
        if !first {
            return None;
        }
        if let Some(mac) = self.probe.rival(now) {
            return alarming(format!("the address is in use by {}, which answers for it", hardware(mac)));
        }
        if !self.probe.asked() {
            return passing("other stations are still being asked by ARP");
        }
        if self.is_stale(now) { passing("the metadata has to be confirmed first") } else { None }
    }

    pub(super) fn link_is_up(&self) -> bool {
        matches!(self.link, Some(Ok(())))
    }

    pub(super) fn is_stale(&self, now: Time) -> bool {
        matches!(self.freshness, Freshness::AsOf(at) if now.saturating_sub(at) > FRESH)
    }

    pub(super) fn derived_priority(&self) -> u8 {
        let by_hand = self.settings.priority;
        let Some(members) = &self.members else { return self.router.priority() };
        let Some(me) = members.me() else { return self.router.priority() };
        let rank = members.rank(&self.settings.earlier, self.settings.vrid, &me.id);
        me.priority.or(by_hand).unwrap_or_else(|| members::priority(rank, members.all().count()))
    }

    /// Whether this host is first in line after `leaver`. Where priorities were set by hand and more than two
    /// take part, nobody knows the others' well enough.
    pub(super) fn is_successor_of(&self, leaver: IpAddr) -> bool {
        let Some(members) = &self.members else { return false };
        let by_hand = self.settings.priority.is_some() || members.all().any(|m| m.priority.is_some());
        let first = members.first_besides(&self.settings.earlier, self.settings.vrid, leaver);
        !(by_hand && members.all().count() > 2)
            && first.is_some_and(|first| members.me().is_some_and(|me| me.id == first.id))
    }
}
