//! Does another station answer for the address? Asked by ARP before the first claim after a start.

use crate::core::Time;
use std::time::Duration;

/// Pause between two probes; an answer counts as long as two probes take.
const PERIOD: Duration = Duration::from_millis(150);

/// The probing before a first claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Probe {
    /// When the next probe is due; none: not probing.
    next: Option<Time>,
    sent: u32,
    rival: Option<([u8; 6], Time)>,
}

impl Probe {
    /// Probes while `wanted`; tells whether one is to be sent now.
    pub fn turn(&mut self, now: Time, wanted: bool) -> bool {
        if !wanted {
            *self = Probe::default();
            return false;
        }
        let due = self.next.is_none_or(|at| at <= now);
        if due {
            self.next = Some(now + PERIOD);
            self.sent += 1;
        }
        due
    }

    /// Somebody with this hardware address said the address is theirs.
    pub fn answered(&mut self, now: Time, mac: [u8; 6]) {
        if self.next.is_some() {
            self.rival = Some((mac, now));
        }
    }

    /// Who answers, if anybody does.
    pub fn rival(&self, now: Time) -> Option<[u8; 6]> {
        self.rival.filter(|(_, at)| now.saturating_sub(*at) <= PERIOD * 2).map(|(mac, _)| mac)
    }

    /// Whether a probe has had time to be answered.
    pub fn asked(&self) -> bool {
        self.sent > 1
    }

    /// When the next probe is due.
    pub fn deadline(&self) -> Option<Time> {
        self.next
    }
}
