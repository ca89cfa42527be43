//! A router of another kind: RFC 9568 section 6.4 as keepalived does it.
//!
//! What differs from ours: the address has no lease, and a killed process leaves it; a sleep is not noticed; whoever
//! gives the address up lets go of it at once; priority 0 is believed of anybody, and everybody waits for its
//! Skew_Time.

use crate::cluster::INTERVAL;
use crate::host::skew;
use outrider::core::Time;
use outrider::core::event::State;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keepalived {
    address: IpAddr,
    priority: u8,
    preempts: bool,
    state: State,
    /// The next advert, or the end of Master_Down.
    pub due: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Advertise(u8),
    Take,
    LetGo,
}

impl Keepalived {
    pub fn new(address: IpAddr, priority: u8, preempts: bool, now: Time) -> Keepalived {
        let mut new = Keepalived { address, priority, preempts, state: State::Backup, due: None };
        new.listen(now);
        new
    }

    pub fn state(&self) -> State {
        self.state
    }

    fn listen(&mut self, now: Time) {
        self.state = State::Backup;
        self.due = Some(now + 3 * INTERVAL + skew(self.priority));
    }

    pub fn hear(&mut self, now: Time, from: IpAddr, priority: u8) -> Vec<Does> {
        match self.state {
            State::Backup if priority == 0 => self.due = Some(now + skew(self.priority)),
            State::Backup if !self.preempts || priority >= self.priority => self.listen(now),
            State::Active if (priority, from) > (self.priority, self.address) => {
                self.listen(now);
                return vec![Does::LetGo];
            }
            // Priority 0, or a lower one: whoever it is must hear of us.
            State::Active => {
                self.due = Some(now + INTERVAL);
                return vec![Does::Advertise(self.priority)];
            }
            State::Initialize | State::Backup | State::Fault => {}
        }
        Vec::new()
    }

    pub fn ring(&mut self, now: Time) -> Vec<Does> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        self.due = Some(now + INTERVAL);
        if std::mem::replace(&mut self.state, State::Active) == State::Active {
            vec![Does::Advertise(self.priority)]
        } else {
            vec![Does::Take, Does::Advertise(self.priority)]
        }
    }

    /// Its check fails, or it is told to end.
    pub fn give_up(&mut self) -> Vec<Does> {
        self.due = None;
        if std::mem::replace(&mut self.state, State::Fault) == State::Active {
            vec![Does::Advertise(0), Does::LetGo]
        } else {
            Vec::new()
        }
    }

    /// Its check passes again.
    pub fn recover(&mut self, now: Time) {
        self.listen(now);
    }
}
