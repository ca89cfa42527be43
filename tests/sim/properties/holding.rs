//! Who has the address: not two, not without an agent, not unfit, not after the lease.

use super::{EXPIRY, OVERLAP, SLACK};
use crate::outside::Balancer;
use crate::plan::{MS, Micros, SECOND};
use crate::watch::Property;
use crate::world::World;
use outrider::core::event::State;

impl World {
    /// Two that run, are Active and hear each other: one advert is due within an interval; it, or the answer to
    /// it, makes one of the two step down. A leaver is silent, but hears the other's adverts, and stays 20 ms
    /// longer. (Two leavers at once say nothing to each other: the hand-over limit ends that. One whose list leaves
    /// the other out says nothing to it before it has heard it: a leaver's priority 0, every 1.5 intervals. Two that
    /// do not know of each other say nothing to each other.)
    ///
    /// The same between one of ours and a Master of another kind: FRR's does not answer a lower priority, but
    /// advertises within the interval. Two of those are their own affair.
    pub fn judge_two_holders(&mut self) {
        for one in 0..self.plan.hosts {
            for other in one + 1..self.plan.hosts {
                if let Some(since) = self.two_holders_since(one, other) {
                    let unheard = |from, to| self.addressed_since(from, to).is_none_or(|known| known > since);
                    let limit = match (self.leaves(one), self.leaves(other)) {
                        (true, true) => self.plan.handover_limit + SECOND,
                        (true, false) if unheard(other, one) => self.plan.interval / 2,
                        (false, true) if unheard(one, other) => self.plan.interval / 2,
                        _ => 0,
                    };
                    let bound = self.plan.interval + 2 * self.plan.net.longest() + OVERLAP + SLACK + limit;
                    if self.now > since + bound {
                        let text = format!("lb{one} and lb{other} both hold the address since {since}");
                        self.violated(Property::TwoHolders, text);
                    }
                }
            }
        }
    }

    fn two_holders_since(&self, one: usize, other: usize) -> Option<Micros> {
        let acquainted = match (self.addressed_since(one, other), self.addressed_since(other, one)) {
            (Some(one), Some(other)) => one.min(other),
            (one, other) => one.or(other)?,
        };
        let mut since = self.mutual_since(one, other)?.max(acquainted);
        if self.is_foreign(one) && self.is_foreign(other) {
            return None;
        }
        for h in [one, other] {
            let tenure = match &self.hosts[h].foreign {
                Some(foreign) => foreign.is_master().then_some(foreign.since)?,
                None => self.router.watch.seen[h].tenure?.since,
            };
            if !self.has(h) || self.hosts[h].paused > 0 {
                return None;
            }
            since = since
                .max(tenure)
                .max(self.router.addresses[h].since)
                .max(self.router.watch.seen[h].resumed)
                .max(self.router.watch.seen[h].undrained)
                .max(self.router.watch.seen[h].member_since)
                .max(self.kernel_is_free(h));
        }
        Some(since)
    }

    /// Since when adverts of one go to the other.
    fn addressed_since(&self, from: usize, to: usize) -> Option<Micros> {
        let everybody = self.plan.multicast || self.is_foreign(from);
        if everybody { Some(0) } else { self.router.watch.seen[from].peers.get(&to).copied() }
    }

    /// An agent that runs and is not Active removes the address at once. One that is dead or stopped leaves it
    /// to the kernel: L and the expiry's slack. A request that waits for the kernel's lock when the agent dies
    /// is carried out, and its lease begins then.
    ///
    /// What an earlier run left behind stays for its lease, too, while the agent that runs now is a Backup that has
    /// heard nobody: perhaps nobody else has it.
    pub fn judge_leash(&mut self, h: usize) {
        if self.is_foreign(h) {
            return;
        }
        let stale = self.has(h) && !(self.hosts[h].running() && self.is_active(h));
        let (spares, free) = (self.spares_leftover(h), self.kernel_is_free(h));
        let seen = &mut self.router.watch.seen[h];
        if stale && spares {
            seen.stale_since = Some(self.now);
            if self.now > seen.started.max(free) + self.plan.lease() + EXPIRY + SLACK {
                self.violated(Property::Leash, format!("lb{h} still has what an earlier run left behind"));
            }
            return;
        }
        seen.stale_since = stale.then_some(seen.stale_since.unwrap_or(self.now));
        let Some(since) = seen.stale_since else { return };
        let since = since.max(free);
        let (bound, why) = if self.hosts[h].running() {
            (since.max(self.router.watch.seen[h].resumed) + SLACK, "though its agent runs and is not Active")
        } else {
            (since + self.plan.lease() + EXPIRY + SLACK, "without its agent")
        };
        if self.now > bound {
            self.violated(Property::Leash, format!("lb{h} has the address since {since} {why}"));
        }
    }

    /// Whether its agent leaves alone what an earlier run left behind.
    pub fn spares_leftover(&self, h: usize) -> bool {
        let seen = &self.router.watch.seen[h];
        let waits = matches!(self.state(h), Some(State::Initialize | State::Backup));
        self.hosts[h].running() && waits && seen.lease_base < seen.started && seen.accepted < seen.started
    }

    /// A dead load balancer ends the held connection (3 ms here) and is looked at (5 ms); without a held
    /// connection the next look may be an interval (1 s) away. One that hangs: up to 1 s to the next look, which
    /// waits for 1 s, and another one right after that (`fall` is 2). The link: at once.
    pub fn judge_unfit(&mut self, h: usize) {
        if !(self.hosts[h].running() && self.is_active(h) && self.has(h)) {
            return;
        }
        let seen = &self.router.watch.seen[h];
        let awake = seen.resumed.max(seen.started).max(self.kernel_is_free(h));
        let balancer = match self.hosts[h].balancer() {
            Balancer::Serves => None,
            Balancer::Dead if seen.connection_held => Some(10 * MS),
            Balancer::Dead => Some(SECOND + 10 * MS),
            Balancer::Hangs => Some(3 * SECOND + 10 * MS),
        };
        let balancer = balancer.map(|bound| seen.balancer_since.max(awake) + bound);
        let link = seen.unplugged_since.map(|since| since.max(awake));
        // It finds out with its next advert, and bears it for Master_Down.
        let mute = seen.mute_since.filter(|_| !self.listed(h).is_empty()).map(|since| {
            let awake =
                since.max(awake).max(self.router.watch.seen[h].tenure.map_or(0, |tenure| tenure.since));
            awake.max(seen.viewed) + self.plan.master_down(1) + 2 * self.plan.interval
        });
        if let Some(bound) = balancer.into_iter().chain(link).chain(mute).min()
            && self.now > bound + SLACK
        {
            self.violated(Property::Unfit, format!("lb{h} is unfit and holds the address"));
        }
    }

    /// An Active whose kernel can do so has the address, and has it back at once if somebody deletes it.
    pub fn judge_absent(&mut self, h: usize) {
        let absent = self.hosts[h].running() && self.is_active(h) && !self.has(h);
        let since = &mut self.router.watch.seen[h].absent_since;
        *since = absent.then_some(since.unwrap_or(self.now));
        let Some(since) = *since else { return };
        let since = since.max(self.kernel_is_free(h)).max(self.router.watch.seen[h].resumed);
        if self.now > since + SLACK {
            let text = format!("lb{h} is Active without the address since {since}");
            self.violated(Property::Absent, text);
        }
    }

    /// Announcements and adverts: not after the lease, not after a sleep, and not because they were decided on
    /// before a sleep.
    pub fn judge_touch(&mut self, h: usize, what: &str) {
        let seen = &self.router.watch.seen[h];
        if seen.tenure.is_some_and(|tenure| tenure.slept) || seen.woke == Some(self.now) {
            self.violated(Property::Fence, format!("lb{h} {what} after it slept"));
        }
        self.judge_lease(h, what);
    }

    /// At the look at the clock right before: L after the last request that the kernel confirmed, or after the
    /// claim, nothing may be touched.
    pub fn judge_lease(&mut self, h: usize, what: &str) {
        let base = self.router.watch.seen[h].lease_base;
        if self.now > base + self.plan.lease() {
            self.violated(Property::Fence, format!("lb{h} {what} after its lease, which began at {base}"));
        }
    }

    /// The kernel lets an address expire: not one whose agent has been running as Active all the time, with a
    /// kernel that answered. (What an earlier run left behind may lapse while it is being taken on.)
    pub fn watch_expiry(&mut self, h: usize) {
        let seen = &self.router.watch.seen[h];
        let long = self.plan.lease() + EXPIRY;
        let quiet = |at: Micros| at == 0 || self.now > at + long;
        let settled = seen.tenure.is_some_and(|tenure| self.now > tenure.since + SLACK);
        let healthy = self.hosts[h].running() && settled && quiet(seen.resumed);
        if healthy && quiet(self.kernel_is_free(h)) {
            self.violated(Property::Lapse, format!("the lease of lb{h} lapses though its agent runs"));
        }
        self.router.watch.seen[h].lost = Some(self.now);
    }

    /// Nor does such an agent give up because its lease ends.
    pub fn judge_lapse(&mut self, h: usize) {
        let (long, seen) = (self.plan.lease() + SECOND, &self.router.watch.seen[h]);
        let over = self.now >= seen.lease_base + self.plan.lease();
        let free = self.now > self.kernel_is_free(h) + long || self.kernel_is_free(h) == 0;
        if over && free && self.is_calm(long) {
            self.violated(Property::Lapse, format!("lb{h} gives up: its lease was not renewed"));
        }
    }

    /// An agent that ends by itself has removed the address, unless the kernel was locked, or it was told to end
    /// before it knew that an earlier run had left one behind.
    pub fn watch_exit(&mut self, h: usize) {
        let seen = &self.router.watch.seen[h];
        let late = seen.resumed.max(seen.started).max(self.kernel_is_free(h) + SECOND);
        if self.has(h) && self.now > late + SLACK {
            self.violated(Property::Exit, format!("lb{h} ends and leaves the address behind"));
        }
    }
}
