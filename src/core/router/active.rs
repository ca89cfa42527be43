//! The Active: its adverts, its lease, its rivals, and how it leaves.

use super::{Holding, Leave, Router};
use crate::core::advert::Advert;
use crate::core::announce::Schedule;
use crate::core::command::Command;
use crate::core::event::{Event, State};
use crate::core::{Kernel, Time};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

/// How long the address stays after the successor's first advert: until its announcement has reached everybody.
const OVERLAP: Duration = Duration::from_millis(20);
/// Rivals that are named, so that forged sources cannot fill the memory and the log.
const RIVALS_MAX: usize = 32;
/// Pause before a successor is looked for again.
const RETRY: Duration = Duration::from_secs(5);
/// Priority of a host that should not hold the address but has nobody to give it to: anyone else wins.
const RELUCTANT: u8 = 1;

/// How far a hand-over has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Leaving {
    /// Priority 0 is out.
    Offering { repeat_at: Time, limit: Time },
    /// A successor was heard.
    Yielding { until: Time, limit: Time },
    /// Nobody came, and the address may stay.
    Kept { retry_at: Time },
}

impl Holding {
    pub(super) fn deadline(&self) -> Time {
        let next = match self.leaving {
            None => self.advert_at,
            Some(Leaving::Offering { repeat_at, limit }) => repeat_at.min(limit),
            Some(Leaving::Yielding { until, .. }) => until,
            Some(Leaving::Kept { retry_at }) => retry_at.min(self.advert_at),
        };
        self.lease.deadline().into_iter().chain(self.announcements.deadline()).fold(next, Time::min)
    }
}

impl Router {
    /// Another router gives the address up that we hold: tell it, and whoever it told, that we are here. One
    /// who is leaving stays silent: its advert would keep the successor from claiming. If it is the successor
    /// that gives up, the next one is waited for.
    pub(super) fn heard_resignation(&mut self, now: Time, from: IpAddr, out: &mut VecDeque<Command>) {
        let pause = self.resignation_pause();
        let successor = self.followed.is_some_and(|followed| followed.from == from);
        let Some(holding) = &mut self.holding else { return };
        match holding.leaving {
            None => self.advertise(self.own_priority(), out),
            Some(Leaving::Yielding { limit, .. }) if successor => {
                holding.leaving = Some(Leaving::Offering { repeat_at: now + pause, limit });
                // It has announced the address, and is letting go of it.
                let repeat = usize::try_from(self.settings.announcements.repeat).unwrap_or(usize::MAX);
                let repeat = if holding.confirmed { repeat } else { 0 };
                out.extend(std::iter::repeat_n(Command::Announce, repeat));
            }
            Some(_) => {}
        }
    }

    /// What an Active advertises: one that is cut off must lose to whoever took over meanwhile.
    fn own_priority(&self) -> u8 {
        if self.stance.isolated { RELUCTANT } else { self.priority }
    }

    /// Another router holds the address as well (RFC 9568 section 6.4.3; preemption is not consulted).
    pub(super) fn heard_rival(
        &mut self,
        now: Time,
        from: IpAddr,
        advert: &Advert,
        out: &mut VecDeque<Command>,
    ) {
        let own_priority = self.own_priority();
        let Some(holding) = &mut self.holding else { return };
        if matches!(holding.leaving, Some(Leaving::Kept { .. }))
            && (advert.priority, from) < (RELUCTANT, self.settings.source)
        {
            // Two that nobody relieves must not both give way to each other.
            return self.advertise(RELUCTANT, out);
        }
        if holding.leaving.is_some() {
            let limit = match holding.leaving {
                Some(Leaving::Yielding { .. }) => None,
                Some(Leaving::Offering { limit, .. }) => Some(limit),
                Some(Leaving::Kept { .. }) | None => Some(now),
            };
            if let Some(limit) = limit {
                holding.leaving = Some(Leaving::Yielding { until: now + OVERLAP, limit });
            }
            self.follow(now, from, advert, out);
            return;
        }
        let (theirs, ours) = (advert.priority, own_priority);
        if (theirs, from) > (ours, self.settings.source) {
            let relation = if theirs > ours {
                format!("its priority {theirs} > ours {ours}")
            } else {
                format!("both have priority {ours}, and its address is higher than ours")
            };
            // The winner may not have heard of us: without this it would not announce the address again, and
            // whoever took our announcement for true would go on sending here.
            self.advertise(ours, out);
            // Whom it heard while it was leaving, before it took part again, may be there still.
            self.let_go(now, State::Backup, format!("{from} took the address: {relation}"), out);
            self.follow(now, from, advert, out);
        } else {
            if holding.rivals.len() < RIVALS_MAX && holding.rivals.insert(from) {
                let text =
                    format!("{from} claims the address as well, with priority {theirs} against ours {ours}");
                out.push_back(Command::Tell(Event::Warning(text)));
            }
            // Whoever took its announcement for true must hear ours again, once the address is here.
            if holding.confirmed {
                holding.announcements.start(now, holding.rival_until);
            }
            self.advertise(ours, out);
            self.timeout_active(now, out);
        }
    }

    /// Announces the address anew: somebody may have been misled about it. Not once a successor was heard.
    pub fn announce_anew(&mut self, now: Time) {
        if let Some(holding) = &mut self.holding
            && holding.confirmed
            && !matches!(holding.leaving, Some(Leaving::Yielding { .. }))
        {
            holding.announcements.start(now, None);
        }
    }

    pub(super) fn kernel_active(&mut self, now: Time, answer: &Kernel, out: &mut VecDeque<Command>) {
        let Some(holding) = &mut self.holding else { return };
        match answer {
            Kernel::Added { sent } => {
                holding.lease.confirmed(*sent);
                if holding.lease.is_over(now) {
                    return self.too_late(now, out);
                }
                holding.announcements.start(now, holding.rival_until);
                if !std::mem::replace(&mut holding.confirmed, true) {
                    holding.advert_at = now;
                }
                self.timeout_active(now, out);
            }
            Kernel::Renewed { sent } => {
                holding.lease.confirmed(*sent);
                if holding.lease.is_over(now) {
                    self.too_late(now, out);
                }
            }
            Kernel::TooLate => self.too_late(now, out),
            Kernel::Gone if holding.confirmed && !holding.lease.is_over(now) => {
                let text = "somebody else removed the address; it is put back".to_owned();
                out.push_back(Command::Tell(Event::Warning(text)));
                out.push_back(Command::Add { not_after: holding.lease.until() });
            }
            // A renewal that failed is tried again until the lease ends. A failed addition makes this host
            // unfit, which the agent sees to.
            Kernel::Gone
            | Kernel::Failed { .. }
            | Kernel::Removed
            | Kernel::Foreign(_)
            | Kernel::ForeignGone
            | Kernel::Leftover => {}
        }
    }

    /// When the next advert is due, while adverts go out at all.
    pub fn advert_due(&self) -> Option<Time> {
        let holding = self.holding.as_ref().filter(|holding| holding.confirmed)?;
        let silent = matches!(holding.leaving, Some(Leaving::Offering { .. } | Leaving::Yielding { .. }));
        (!silent).then_some(holding.advert_at)
    }

    /// Whether the lease is over, so that the address must not be touched, nor anything be done that was decided
    /// within it.
    pub fn is_overdue(&self, now: Time) -> bool {
        let until = self.holding.as_ref().map_or(self.lapse, |holding| holding.lease.until());
        until.is_some_and(|until| now >= until)
    }

    /// Everything has been done that was decided before.
    pub fn forget_lapse(&mut self) {
        self.lapse = None;
    }

    /// Past the end of its lease a router is not Active any more, and says nothing.
    pub fn check_lease(&mut self, now: Time, out: &mut VecDeque<Command>) {
        if self.holding.is_some() && self.is_overdue(now) {
            self.too_late(now, out);
        }
    }

    /// The kernel may have dropped the address already: act as if it had.
    fn too_late(&mut self, now: Time, out: &mut VecDeque<Command>) {
        let why = "the address could not be renewed before its lease ended".to_owned();
        self.step_down(now, State::Backup, why, out);
        self.listen_anew(now);
    }

    pub(super) fn settle_active(&mut self, now: Time, out: &mut VecDeque<Command>) {
        if let Some(why) = self.stance.unfit.clone() {
            self.advertise(0, out);
            // Whom it heard take the address while it was leaving is there until it falls silent.
            if self.followed.is_some_and(|followed| !followed.resigned) && now < self.down_at {
                self.let_go(now, State::Fault, why, out);
            } else {
                self.step_down(now, State::Fault, why, out);
                self.down_at = now + self.skew();
            }
            self.farewell = Some((now + self.resignation_pause(), 2));
            return;
        }
        let leaving = self.holding.as_ref().and_then(|holding| holding.leaving);
        match (leaving, &self.stance.leave) {
            (None, None) => {}
            (Some(_), None) => {
                // A successor that was heard may have died: its kernel answers for it until the end of its lease.
                let successor = self.followed.filter(|followed| !followed.resigned);
                let dropped = successor.map(|successor| self.dropped_by(successor.last));
                let Some(holding) = &mut self.holding else { return };
                holding.leaving = None;
                holding.advert_at = now;
                holding.rival_until = holding.rival_until.max(dropped);
                if holding.confirmed {
                    holding.announcements.start(now, holding.rival_until);
                }
                let text = "this host takes part again and keeps the address".to_owned();
                out.push_back(Command::Tell(Event::Notice(text)));
                self.timeout_active(now, out);
            }
            (None, Some(_)) => self.offer(now, out),
            (Some(Leaving::Kept { .. }), Some(leave)) if !leave.may_stay() => self.offer(now, out),
            (Some(_), Some(_)) => {}
        }
    }

    /// A person asks for it who need not know that nobody came before: the answer is to be today's.
    pub fn offer_again(&mut self, now: Time, out: &mut VecDeque<Command>) {
        if self.keeps_reluctantly() {
            self.offer(now, out);
        }
    }

    /// Begins to hand over.
    fn offer(&mut self, now: Time, out: &mut VecDeque<Command>) {
        let pause = self.resignation_pause();
        let limit = match &self.stance.leave {
            Some(Leave::Shutdown) => now + self.settings.handover_limit,
            Some(leave) => {
                out.push_back(Command::Tell(Event::Notice(format!(
                    "handing the address over: {}",
                    leave.why()
                ))));
                now + self.settings.handover_limit.min(pause * 3)
            }
            None => return,
        };
        if self.targets.is_empty() {
            return self.nobody_came(now, out);
        }
        self.advertise(0, out);
        if let Some(holding) = &mut self.holding {
            holding.leaving = Some(Leaving::Offering { repeat_at: now + pause, limit });
            // What was still to be announced could be heard after the successor's, which FRR makes only once, and
            // 200 ms before its first advert. (A dead host's kernel may answer meanwhile, until that.)
            holding.announcements = Schedule::new(self.settings.announcements);
        }
    }

    fn nobody_came(&mut self, now: Time, out: &mut VecDeque<Command>) {
        let why = self.stance.leave.as_ref().map(Leave::why).unwrap_or_default();
        let may_stay = self.stance.leave.as_ref().is_some_and(Leave::may_stay);
        match &mut self.holding {
            Some(holding) if may_stay => {
                let text = format!(
                    "no other member took the address, so this host keeps it and tries again every {} s: {why}",
                    RETRY.as_secs()
                );
                out.push_back(Command::Tell(Event::Alarm(text)));
                holding.leaving = Some(Leaving::Kept { retry_at: now + RETRY });
                holding.advert_at = now;
                // A successor may have announced the address before it failed.
                self.announce_anew(now);
            }
            _ => self.step_down(now, State::Fault, format!("{why}; nobody took over"), out),
        }
    }

    pub(super) fn timeout_active(&mut self, now: Time, out: &mut VecDeque<Command>) {
        let interval = self.settings.interval;
        let repeat = now + self.resignation_pause();
        let own_priority = self.own_priority();
        let Some(holding) = &mut self.holding else { return };
        if holding.lease.is_over(now) {
            return self.too_late(now, out);
        }
        if holding.confirmed && holding.lease.take_renewal(now) {
            out.push_back(Command::Renew { not_after: holding.lease.until() });
        }
        let due = holding.announcements.take_due(now);
        // Ours could be heard after the successor's.
        if !matches!(holding.leaving, Some(Leaving::Yielding { .. })) {
            out.extend(std::iter::repeat_n(Command::Announce, due));
        }
        let priority = match &mut holding.leaving {
            None => own_priority,
            Some(Leaving::Kept { retry_at }) if now < *retry_at => RELUCTANT,
            Some(Leaving::Kept { .. }) => return self.offer(now, out),
            Some(Leaving::Offering { limit, .. }) if now >= *limit => return self.nobody_came(now, out),
            Some(Leaving::Offering { repeat_at, .. }) => {
                if now >= *repeat_at {
                    *repeat_at = repeat;
                    self.advertise(0, out);
                }
                return;
            }
            Some(Leaving::Yielding { until, .. }) => {
                if now >= *until {
                    let successor = self.followed.map(|followed| followed.from.to_string());
                    let why = format!("handed over to {}", successor.unwrap_or_default());
                    self.let_go(now, State::Fault, why, out);
                }
                return;
            }
        };
        if now >= holding.advert_at {
            // Due one interval after the last one was due, so that lateness does not add up.
            holding.advert_at += interval;
            if holding.advert_at <= now {
                holding.advert_at = now + interval;
            }
            self.advertise(priority, out);
        }
    }

    /// Gives the address up and forgets who held it before.
    pub(super) fn step_down(&mut self, now: Time, to: State, why: String, out: &mut VecDeque<Command>) {
        self.followed = None;
        self.down_at = now + self.master_down();
        self.let_go(now, to, why, out);
    }

    fn let_go(&mut self, now: Time, to: State, why: String, out: &mut VecDeque<Command>) {
        self.lapse = self.holding.take().and_then(|holding| holding.lease.until());
        self.vacated = None;
        self.remove(now, out);
        self.enter(to, why, out);
    }
}
