//! The properties and their bounds.
//!
//! Terms: a *holder* is a host whose kernel has the address. L: the lease. D: the longest way of a message on
//! a whole link. Everything a process does takes up to 0.4 ms here (timer 0.2 ms late, wake-up 0.15 ms), a
//! request to the kernel up to 0.2 ms unless somebody holds its lock; `SLACK` covers several of each in a row.
//! Bounds are counted from when the last of their conditions began to hold.

mod claims;
mod holding;
mod passing;
mod spread;

use crate::foreign::Foreign;
use crate::outside::EAGER;
use crate::plan::{MS, Micros, SECOND};
use crate::watch::Property;
use crate::world::World;

/// Processing, see above.
const SLACK: Micros = 3 * MS;
/// A leaver keeps the address so long after its successor's first advert.
const OVERLAP: Micros = 20 * MS;
/// The kernel looks for expired addresses up to so long after they are due.
const EXPIRY: Micros = 500 * MS;
/// A load balancer that serves again is seen so in two eager looks, 5 ms each.
const FIT: Micros = 2 * EAGER + 30 * MS;
/// The client asks who has the address at least this often.
const ASKS: Micros = 1500 * MS;
/// A refused address is asked for again so long after, as is one that could not be advertised.
const REFUSAL: Micros = 5 * SECOND;

impl World {
    fn kernel_is_free(&self, h: usize) -> Micros {
        self.hosts[h].kernel.locked_until
    }

    /// After each event.
    pub fn watch_step(&mut self) {
        let hosts = self.plan.hosts;
        let mut holders = 0;
        let mut holder = 0;
        for h in 0..hosts {
            if self.has(h) {
                holders += 1;
                holder = h;
            }
            self.judge_leash(h);
            self.judge_idle(h);
            self.judge_unfit(h);
            self.judge_absent(h);
        }
        if holders > 1 {
            self.judge_two_holders();
        }
        let stray = |h: &usize| self.has(*h) && self.is_foreign(*h) && !self.hosts[*h].lives();
        if (0..hosts).any(|h| stray(&h)) {
            self.router.watch.stray = self.now;
        }
        self.router.watch.sole = match (holders, self.router.watch.sole) {
            (1, Some((before, since))) if before == holder => Some((before, since)),
            (1, _) => Some((holder, self.now)),
            _ => None,
        };
        self.judge_traffic();
        self.judge_hand_over(holders);
    }

    /// Whether it was told to let go of the address.
    pub fn leaves(&self, h: usize) -> bool {
        let seen = &self.router.watch.seen[h];
        seen.stopping || seen.drained || !seen.member
    }

    /// The other members by what the host was told.
    fn listed(&self, h: usize) -> Vec<usize> {
        let members = self.members(h, self.router.watch.seen[h].version);
        let listed = |other: &usize| {
            members.others.iter().any(|member| member.address == self.hosts[*other].member.address)
        };
        (0..self.plan.hosts).filter(listed).collect()
    }

    /// Everything has been whole for long: one holder, which is Active, and nobody else is.
    pub fn watch_end(&mut self) {
        self.now = self.plan.end;
        let holders: Vec<usize> = (0..self.plan.hosts).filter(|h| self.has(*h)).collect();
        let theirs = |h: usize| self.hosts[h].foreign.as_ref().is_some_and(Foreign::is_master);
        let active: Vec<usize> = (0..self.plan.hosts).filter(|h| self.is_active(*h) || theirs(*h)).collect();
        let lossy = self.plan.net.loss > 0;
        if !lossy && (holders.len() != 1 || holders != active) {
            let text = format!("at the end {holders:?} hold the address, and {active:?} are Active");
            self.violated(Property::Convergence, text);
        }
    }
}
