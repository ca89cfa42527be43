//! The Backup: it listens, measures silence, and claims.

use super::{Followed, Holding, Router};
use crate::core::Time;
use crate::core::advert::Advert;
use crate::core::announce::Schedule;
use crate::core::command::Command;
use crate::core::event::{Event, State};
use crate::core::lease::Lease;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// The first advert of a new Active waits for its address this long, should the kernel be slow to add it.
const FIRST_ADVERT: Duration = Duration::from_millis(10);
/// The kernel looks for expired addresses this late at worst.
const EXPIRY_SLACK: Duration = Duration::from_millis(1500);

impl Router {
    /// Whether nobody is known to hold the address.
    pub fn is_vacant(&self, now: Time) -> bool {
        self.state != State::Active && (self.followed.is_none() || now >= self.down_at)
    }

    /// Whether nothing but the rest of the core stands in the way of a claim.
    pub fn would_claim(&self, now: Time) -> bool {
        self.state == State::Backup && now >= self.down_at
    }

    /// Whether an advert of the Active is overdue, or nobody is known to hold the address.
    pub fn is_suspicious(&self, now: Time) -> bool {
        self.state != State::Active && now >= self.suspicious_at().unwrap_or(now)
    }

    /// When an advert of the Active is overdue: guards are asked then, so that the answer is there in time.
    pub fn suspicious_at(&self) -> Option<Time> {
        self.followed.map(|followed| followed.last + self.interval * 5 / 4)
    }

    /// From when on a sign of life shows that the silence, if there is one, is not this host's own.
    pub fn life_wanted_since(&self, now: Time) -> Time {
        let recent = now.saturating_sub(self.master_down().max(Duration::from_secs(1)));
        self.followed.map_or(recent, |followed| recent.max(followed.last + self.interval))
    }

    /// Whether a lower priority is borne no longer, so that its adverts do not reset the timer.
    pub(super) fn preempts(&mut self, now: Time, from: IpAddr, priority: u8) -> bool {
        if !self.settings.preempt || priority >= self.priority {
            self.preempt_at = None;
            return false;
        }
        if let Some(followed) = self.followed.as_mut().filter(|followed| followed.from == from) {
            // What it has now is why it is not followed any more.
            followed.priority = priority;
        }
        let over = now >= *self.preempt_at.get_or_insert(now + self.settings.preempt_delay);
        self.borne = over.then_some(Followed { from, priority, last: now, resigned: false });
        over
    }

    /// Somebody holds the address.
    pub(super) fn follow(&mut self, now: Time, from: IpAddr, advert: &Advert, out: &mut VecDeque<Command>) {
        if self.followed.is_none_or(|followed| followed.from != from) {
            let text = format!("{from} holds the address with priority {}", advert.priority);
            out.push_back(Command::Tell(Event::Notice(text)));
            self.former = self.followed.filter(|followed| !followed.resigned);
        }
        self.interval = advert.interval;
        self.borne = None;
        self.followed = Some(Followed { from, priority: advert.priority, last: now, resigned: false });
        self.down_at = now + self.master_down();
        self.vacated = None;
        self.blocked = None;
        self.farewell = None;
    }

    /// The process slept past its own Master_Down: whoever took over is not to be disturbed, and silence that
    /// was not listened to proves nothing.
    pub fn slept(&mut self, now: Time, slept: Duration, out: &mut VecDeque<Command>) {
        if self.state == State::Active {
            let why = format!("this host slept for {} ms and may have been replaced", slept.as_millis());
            self.step_down(now, State::Backup, why, out);
        }
        self.listen_anew(now);
    }

    /// Silence is measured from now on.
    pub fn listen_anew(&mut self, now: Time) {
        self.followed = None;
        self.borne = None;
        self.vacated = None;
        self.interval = self.settings.interval;
        self.listening_since = now;
        self.down_at = now + self.master_down();
    }

    /// Nobody holds the address: takes it, unless the rest of the core says why not.
    pub(super) fn claim(&mut self, now: Time, out: &mut VecDeque<Command>) {
        if let Some(no_claim) = &self.stance.no_claim {
            if self.blocked.as_ref() != Some(no_claim) {
                let text = format!("nobody is heard, but there is no claim: {}", no_claim.why);
                let event = if no_claim.alarming { Event::Alarm(text) } else { Event::Notice(text) };
                out.push_back(Command::Tell(event));
                self.blocked = Some(no_claim.clone());
            }
            return;
        }
        let silent = self.followed.take().into_iter().chain(self.borne.take()).max_by_key(|heard| heard.last);
        // A leaver may die before it has removed the address.
        let resigned = self.resigned.filter(|_| self.vacated.is_some()).map(|(_, at)| at);
        let why = match (&silent, self.vacated.take()) {
            (_, Some(why)) => why,
            (Some(silent), None) if self.settings.preempt && silent.priority < self.priority => {
                format!(
                    "preempting {}: its priority {} < ours {}",
                    silent.from, silent.priority, self.priority
                )
            }
            (Some(silent), None) => format!(
                "nothing heard from {} for {} ms",
                silent.from,
                now.saturating_sub(silent.last).as_millis()
            ),
            (None, None) => format!("nobody was heard for {} ms", self.master_down().as_millis()),
        };
        let lease = self.settings.lease;
        let alive = silent.map(|silent| silent.last).or(resigned);
        let rival_until = alive.map(|alive| self.dropped_by(alive));
        let holding = Holding {
            since: now,
            confirmed: false,
            advert_at: now + FIRST_ADVERT.min(self.settings.interval),
            lease: Lease::new(lease, now),
            announcements: Schedule::new(self.settings.announcements),
            rival_until,
            rivals: BTreeSet::new(),
            leaving: None,
        };
        let not_after = holding.lease.until();
        self.holding = Some(holding);
        self.interval = self.settings.interval;
        self.preempt_at = None;
        self.blocked = None;
        self.removing = None;
        self.leftover = false;
        out.push_back(Command::Add { not_after });
        self.enter(State::Active, why, out);
    }

    /// When the kernel of a host that was heard then has dropped the address, even if the host is dead.
    pub(super) fn dropped_by(&self, heard: Time) -> Time {
        heard + self.settings.lease.unwrap_or_default() + EXPIRY_SLACK
    }
}
