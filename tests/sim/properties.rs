//! The properties and their bounds.
//!
//! Terms: a *holder* is a host whose kernel has the address. L: the lease. D: the longest way of a message on
//! a whole link. Everything a process does takes up to 0.4 ms here (timer 0.2 ms late, wake-up 0.15 ms), a
//! request to the kernel up to 0.2 ms unless somebody holds its lock; `SLACK` covers several of each in a row.
//! Bounds are counted from when the last of their conditions began to hold.

use crate::foreign::Foreign;
use crate::outside::{Balancer, EAGER};
use crate::plan::{MS, Micros, SECOND};
use crate::subject::Subject;
use crate::watch::{Following, Planned, Property};
use crate::world::World;
use outrider::core::event::State;
use outrider::core::guard::Guards;

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

    /// Two that run, are Active and hear each other: one advert is due within an interval; it, or the answer to
    /// it, makes one of the two step down. A leaver is silent, but hears the other's adverts, and stays 20 ms
    /// longer. (Two leavers at once say nothing to each other: the hand-over limit ends that. One whose list leaves
    /// the other out says nothing to it before it has heard it: a leaver's priority 0, every 1.5 intervals.)
    ///
    /// The same between one of ours and a Master of another kind: FRR's does not answer a lower priority, but
    /// advertises within the interval. Two of those are their own affair.
    fn judge_two_holders(&mut self) {
        for one in 0..self.plan.hosts {
            for other in one + 1..self.plan.hosts {
                if let Some(since) = self.two_holders_since(one, other) {
                    let leavers = [one, other].into_iter().filter(|h| self.leaves(*h)).count();
                    let limit = match leavers {
                        2 => self.plan.handover_limit + SECOND,
                        1 if self.plan.omission.is_some() => self.plan.interval / 2,
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

    /// Whether it was told to let go of the address.
    pub fn leaves(&self, h: usize) -> bool {
        let seen = &self.router.watch.seen[h];
        seen.stopping || seen.drained || !seen.member
    }

    fn two_holders_since(&self, one: usize, other: usize) -> Option<Micros> {
        let mut since = self.mutual_since(one, other)?;
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

    /// An agent that runs and is not Active removes the address at once. One that is dead or stopped leaves it
    /// to the kernel: L and the expiry's slack. A request that waits for the kernel's lock when the agent dies
    /// is carried out, and its lease begins then.
    fn judge_leash(&mut self, h: usize) {
        if self.is_foreign(h) {
            return;
        }
        let stale = self.has(h) && !(self.hosts[h].running() && self.is_active(h));
        let since = &mut self.router.watch.seen[h].stale_since;
        *since = stale.then_some(since.unwrap_or(self.now));
        let Some(since) = *since else { return };
        let since = since.max(self.kernel_is_free(h));
        let (bound, why) = if self.hosts[h].running() {
            (since.max(self.router.watch.seen[h].resumed) + SLACK, "though its agent runs and is not Active")
        } else {
            (since + self.plan.lease() + EXPIRY + SLACK, "without its agent")
        };
        if self.now > bound {
            self.violated(Property::Leash, format!("lb{h} has the address since {since} {why}"));
        }
    }

    /// A fit member that is not cut off from everybody, with nobody to be heard holding the address, has it (or
    /// hears of another who claims it) within Master_Down after the last advert it accepted, after it became
    /// fit, after it woke up. Within Skew_Time, where the Active it follows gave the address up. Just started
    /// and having heard nobody, it asks by ARP first (two questions 150 ms apart, an answer counts 300 ms, and
    /// Skew_Time in turn after that) and confirms its metadata (50 ms here; 2 s while nobody answers).
    ///
    /// An address that a dead router of another kind left behind is nobody's, but answers ARP: that counts where
    /// nobody was heard.
    fn judge_idle(&mut self, h: usize) {
        let asks = !(self.router.watch.seen[h].heard_any || self.router.watch.seen[h].held_before);
        let vacant = !(0..self.plan.hosts).any(|other| {
            let left = self.is_foreign(other) && !self.hosts[other].lives() && !asks;
            self.has(other) && !left && (other == h || self.reaches(other, h))
        });
        let since = &mut self.router.watch.seen[h].vacant_since;
        *since = vacant.then_some(since.unwrap_or(self.now));
        let Some(vacant) = *since else { return };
        let Some(priority) = self.router.cores[h].as_ref().map(Subject::priority) else { return };
        let (host, seen) = (&self.hosts[h], &self.router.watch.seen[h]);
        let serves = host.balancer() == Balancer::Serves && host.unplugged == 0 && host.kernel.refuses == 0;
        if host.paused > 0 || !serves || self.leaves(h) || host.mute > 0 {
            return;
        }
        let Some(company) = self.company_since(h) else { return };
        let former = if self.now < seen.former.1 { seen.former.0 } else { u8::MAX };
        let priority = priority.min(former).max(1);
        let (master_down, skew) = (self.plan.master_down(priority), self.plan.skew(priority));
        let locked = host.kernel.locked_until;
        let asleep = [seen.started, seen.resumed, seen.plugged_since, locked].into_iter().max().unwrap_or(0);
        // Who asked while the kernel was locked learns at the end of the lease that it was in vain.
        let locked = if locked > 0 { locked + self.plan.lease() } else { 0 };
        let refused =
            if seen.refused_until > 0 { seen.refused_until + REFUSAL + self.plan.interval } else { 0 };
        let mut ready =
            vacant.max(asleep).max(locked).max(refused).max(seen.member_since).max(seen.undrained);
        ready = ready.max(company);
        ready = ready.max(if seen.balancer_since > 0 { seen.balancer_since + FIT } else { 0 });
        let resigned = seen.following.and_then(|following| following.resigned);
        // One that comes within an interval after waking may have waited in the socket.
        let awake = if asleep > 0 { asleep + self.plan.interval + SLACK } else { 0 };
        let deaf = if company > 0 { company + master_down } else { 0 };
        // With preemption and its delay, whom a host follows is not easily said.
        let in_order =
            resigned.filter(|at| *at > awake && *at > seen.accepted && *at > deaf && !self.plan.preempt);
        let mut bound = match in_order {
            Some(resigned) => ready.max(resigned) + skew,
            // A resignation has its turn waited for, even where that ends later.
            None => (ready.max(seen.accepted) + master_down).max(resigned.map_or(0, |at| at + skew)),
        };
        if !seen.heard_any {
            let metadata = if self.plan.metadata { 2 * SECOND + 100 * MS } else { 0 };
            bound += 600 * MS + skew + metadata;
        }
        // Hearing anybody ends the questions: then in turn.
        bound = bound.max(seen.heard_first + skew);
        if self.now > bound + SLACK {
            let text = format!("lb{h} is fit and leaves the address to nobody since {vacant}");
            self.violated(Property::Idle, text);
        }
    }

    /// Since when a guard's sign of life can be had: a question is due each half interval, 50 to 300 ms.
    fn company_since(&self, h: usize) -> Option<Micros> {
        let peers = self.listed(h);
        let wanted = self.plan.guards == Guards::Auto && (self.plan.gateway || peers.len() > 1);
        let viewed = self.router.watch.seen[h].viewed;
        if !wanted {
            return Some(viewed);
        }
        let gateway = self.plan.gateway.then_some(self.plan.hosts);
        let since = peers.into_iter().chain(gateway).filter_map(|guard| self.mutual_since(h, guard)).min()?;
        let pause = (self.plan.interval / 2).clamp(50 * MS, 300 * MS);
        let since = since.max(viewed);
        Some(if since > 0 { since + pause + 2 * self.plan.net.longest() } else { 0 })
    }

    /// The other members by what the host was told.
    fn listed(&self, h: usize) -> Vec<usize> {
        let members = self.members(h, self.router.watch.seen[h].version);
        let listed = |other: &usize| {
            members.others.iter().any(|member| member.address == self.hosts[*other].member.address)
        };
        (0..self.plan.hosts).filter(listed).collect()
    }

    /// A dead load balancer ends the held connection (3 ms here) and is looked at (5 ms); without a held
    /// connection the next look may be an interval (1 s) away. One that hangs: up to 1 s to the next look, which
    /// waits for 1 s, and another one right after that (`fall` is 2). The link: at once.
    fn judge_unfit(&mut self, h: usize) {
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
    fn judge_absent(&mut self, h: usize) {
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

    /// At the moment of a claim.
    pub fn judge_claim(&mut self, h: usize, after: Option<Following>) {
        let resigned = after.is_some_and(|following| following.resigned.is_some());
        if let Some(following) = after
            && !resigned
        {
            // Skew_Time is never below 1/256 of an interval, but three intervals are what protects.
            let patience = 3 * self.plan.interval;
            let queued = self.hosts[h].process.as_ref().is_some_and(|process| {
                process.adverts.iter().any(|arrived| {
                    let advert = &arrived.heard.advert;
                    advert.vrid == self.router.vrid && advert.priority > 0 && !self.plan.preempt
                })
            });
            if self.now < following.at + patience || queued {
                let text = format!("lb{h} claims over lb{}, heard at {}", following.from, following.at);
                self.violated(Property::Patience, text);
            }
            self.judge_one_successor(h, following);
        }
        if let Some(following) = after
            && let Some(resigned) = following.resigned
        {
            self.judge_turn(h, following.from, resigned);
        }
        self.judge_probe(h);
        self.judge_isolation(h);
        self.judge_preemption(h);
    }

    /// A lower priority is borne for the delay after it is first heard, or after this host became a Backup.
    fn judge_preemption(&mut self, h: usize) {
        let Some(own) = self.router.cores[h].as_ref().map(Subject::priority) else { return };
        let seen = &self.router.watch.seen[h];
        let (lower, heard) = seen.ignored;
        let preempts = heard > 0 && lower < own && self.now < heard + 2 * self.plan.interval;
        if preempts && self.now < seen.bears + self.plan.preempt_delay {
            self.violated(Property::Patience, format!("lb{h} preempts before its delay is over"));
        }
    }

    fn guards(&self, h: usize) -> usize {
        match (&self.plan.guards, self.plan.gateway, self.listed(h).len()) {
            (Guards::Auto, true, peers) => peers + 1,
            (Guards::Auto, false, peers) if peers > 1 => peers,
            _ => 0,
        }
    }

    /// A sign of life is wanted since an interval after the last advert, or since the last second or
    /// Master_Down: nobody whom none reached for longer claims.
    fn judge_isolation(&mut self, h: usize) {
        let long = self.plan.master_down(1).max(SECOND) + self.plan.net.longest() + SLACK;
        let alone = self.router.watch.seen[h].alone_since;
        let alone = alone.is_some_and(|since| self.now > since.max(self.router.watch.stragglers) + long);
        let slow = !self.obstacles.slow.is_empty();
        if alone && !slow && self.guards(h) > 0 {
            self.violated(Property::Isolation, format!("lb{h} claims while nobody reaches it"));
        }
    }

    /// A holder that was cut off for as long as its peers need to take over advertises the lowest priority until
    /// they have had time to be heard; one that was not cut off yields to no such.
    pub fn judge_yielding(&mut self, h: usize, from: usize) {
        let gap = 3 * self.plan.interval.max(100 * MS);
        let (other, own) = (&self.router.watch.seen[from], &self.router.watch.seen[h]);
        let (since, until) = other.alone;
        let cut_off = until > since + gap + self.plan.interval && self.now < until + gap - 50 * MS;
        let held = other.tenure.is_some_and(|tenure| tenure.since < since);
        let sound = own.alone_since.is_none() && self.now > own.alone.1.max(own.resumed) + 2 * gap;
        let life = (0..=self.plan.hosts).any(|guard| {
            let guards = guard != h && (guard < self.plan.hosts || self.plan.gateway);
            guards && self.mutual_since(h, guard).is_some_and(|since| self.now > since + 2 * gap)
        });
        if cut_off && held && sound && life && !self.leaves(h) && self.guards(h) > 0 && self.guards(from) > 0
        {
            let text = format!("lb{h} yields to lb{from}, which was cut off from {since} to {until}");
            self.violated(Property::Yielding, text);
        }
    }

    /// Where priorities are derived from one and the same membership, Skew_Times differ by more than the way of
    /// the first claimant's advert: nobody else claims after one and the same silence.
    fn judge_one_successor(&mut self, h: usize, following: Following) {
        let plan = &self.plan;
        let step = plan.skew(1) / 255 * (253 / plan.hosts as u64).clamp(1, 16);
        if plan.by_hand.is_some() || plan.preempt || plan.omission.is_some() {
            return;
        }
        let long = plan.master_down(1);
        let settled =
            self.is_calm(long) && self.router.watch.agreed.is_some_and(|since| self.now > since + long);
        // Who became fit during the silence waits for its Skew_Time from then on.
        let since: Vec<Micros> = self.router.watch.seen.iter().map(|seen| seen.bears).collect();
        let waited = |h: usize, following: Following| since[h] <= following.at;
        if step < plan.net.longest() + plan.net.jitter + MS || !settled || !waited(h, following) {
            return;
        }
        for other in (0..self.plan.hosts).filter(|other| *other != h) {
            let twice = self.router.watch.seen[other].tenure.is_some_and(|tenure| {
                let same = tenure.after.is_some_and(|theirs| {
                    theirs.resigned.is_none()
                        && waited(other, theirs)
                        && theirs.from == following.from
                        && theirs.at.abs_diff(following.at) <= self.plan.net.jitter + MS
                });
                let heard = self.clean_since(other, h).is_some_and(|since| self.now > since + long);
                same && heard && self.hosts[other].running() && self.now < tenure.since + self.plan.interval
            });
            if twice {
                let text =
                    format!("lb{h} and lb{other} both claim after the silence of lb{}", following.from);
                self.violated(Property::OneSuccessor, text);
            }
        }
    }

    /// After a resignation everybody but the first in line waits for its Skew_Time. Who is first is agreed on where
    /// priorities are derived from one and the same membership.
    fn judge_turn(&mut self, h: usize, leaver: usize, resigned: Micros) {
        let plan = &self.plan;
        let long = plan.master_down(1);
        let agreed = self.router.watch.agreed.is_some_and(|since| self.now > since + long);
        if plan.by_hand.is_some() || plan.preempt || plan.omission.is_some() || !agreed {
            return;
        }
        let priority = |host: usize| self.router.cores[host].as_ref().map_or(0, Subject::priority);
        let own = priority(h);
        let labels = self.labels.last().copied().unwrap_or_default();
        let takes_part = |other: &usize| *other != leaver && labels & (1 << *other) != 0;
        let first = (0..plan.hosts).filter(takes_part).all(|other| priority(other) <= own);
        if !first && self.now < resigned + plan.skew(own) {
            let text = format!("lb{h} claims at once when lb{leaver} resigns, and is not the first in line");
            self.violated(Property::OneSuccessor, text);
        }
    }

    /// A host that has heard nobody since it started has asked for at least 150 ms, and an answer counts for
    /// 300 ms, so nobody may have had the address within its reach for the last 500 ms.
    fn judge_probe(&mut self, h: usize) {
        let seen = &self.router.watch.seen[h];
        let long = 500 * MS;
        if seen.heard_any
            || seen.held_before
            || self.now < seen.resumed + long
            || self.now < seen.plugged_since + long
        {
            return;
        }
        for other in (0..self.plan.hosts).filter(|other| *other != h) {
            let there = self.has(other) && self.now >= self.router.addresses[other].since + long;
            if there && self.mutual_since(h, other).is_some_and(|since| self.now >= since + long) {
                let text = format!("lb{h} claims at its start what lb{other} answers for");
                self.violated(Property::Probe, text);
            }
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
    /// kernel that answered.
    pub fn watch_expiry(&mut self, h: usize) {
        let seen = &self.router.watch.seen[h];
        let long = self.plan.lease() + EXPIRY;
        let quiet = |at: Micros| at == 0 || self.now > at + long;
        let healthy = self.hosts[h].running() && seen.tenure.is_some() && quiet(seen.resumed);
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

    /// In calm, a second after somebody became the only holder (that is when the second burst is due), the client
    /// has it in its neighbour table: whatever it learnt from the former holder's kernel is corrected. (Not by one
    /// that has to go and waits for its successor: of two leavers at once one may be killed with the address. And a
    /// kernel that answers for what a dead router of another kind has left behind misleads the client for as long
    /// as it does, until the client asks again.)
    fn judge_traffic(&mut self) {
        let Some((holder, since)) = self.router.watch.sole else { return };
        let seen = &self.router.watch.seen[holder];
        let Some(tenure) = seen.tenure else { return };
        let stray = if self.router.watch.stray > 0 { self.router.watch.stray + ASKS } else { 0 };
        let since = since.max(tenure.since).max(stray);
        let client = self.plan.hosts;
        if self.now < since + SECOND + SLACK + self.plan.net.longest()
            || self.router.neighbour == Some(holder)
        {
            return;
        }
        let before = tenure.since.saturating_sub(2 * SECOND);
        let whole = |from, to| self.clean_since(from, to).is_some_and(|since| since <= before);
        let others = (0..client).filter(|h| *h != holder);
        let excused =
            self.leaves(holder) && others.map(|h| self.router.watch.seen[h].dismissed).any(|at| at > before);
        if whole(holder, client) && !excused && self.router.watch.last_trouble <= before && self.is_calm(0) {
            let text = format!("the client's traffic goes to {:?}, not to lb{holder}", self.router.neighbour);
            self.violated(Property::Traffic, text);
        }
    }

    /// A host that holds the address is told to leave: is there one who must be able to take it?
    pub fn plan_hand_over(&mut self, leaver: usize) {
        let long = self.plan.master_down(1) + SECOND;
        let (host, seen) = (&self.hosts[leaver], &self.router.watch.seen[leaver]);
        let holds =
            host.running() && self.has(leaver) && self.now > self.router.addresses[leaver].since + 50 * MS;
        let settled = seen.tenure.is_some() && host.balancer() == Balancer::Serves;
        if !(holds && settled && self.is_calm(long) && self.router.watch.planned.is_empty()) {
            return;
        }
        let able = |h: usize| {
            if let Some(foreign) = &self.hosts[h].foreign {
                return self.is_able_foreign(h, foreign, leaver, long);
            }
            let (host, seen) = (&self.hosts[h], &self.router.watch.seen[h]);
            let fit = host.balancer() == Balancer::Serves && self.state(h) == Some(State::Backup);
            let follows = seen.following.is_some_and(|following| {
                following.from == leaver
                    && following.resigned.is_none()
                    && self.now < following.at + self.plan.interval * 3 / 2
            });
            let labelled = self.labels.last().is_some_and(|labels| labels & (1 << h) != 0);
            let heard = self.mutual_since(h, leaver).is_some_and(|since| self.now > since + long);
            let awake = seen.started.max(seen.resumed).max(seen.plugged_since);
            let listens = awake == 0 || self.now > awake + 2 * self.plan.interval;
            let stays = listens && labelled && !self.leaves(h);
            host.running() && fit && follows && heard && stays
        };
        // Nor one whose load balancer hangs, and who does not know it yet.
        let sound = |h: usize| {
            let backup = self.state(h) == Some(State::Backup)
                || self.hosts[h].foreign.as_ref().is_some_and(Foreign::is_backup);
            !backup || self.hosts[h].balancer() == Balancer::Serves
        };
        let mut others = (0..self.plan.hosts).filter(|h| *h != leaver);
        if others.clone().any(able) && others.all(sound) {
            self.router.watch.planned.push(Planned { leaver, since: self.now, done: None });
        }
    }

    /// One that is not ours takes over by its Skew_Time, if it hears the leaver.
    fn is_able_foreign(&self, h: usize, foreign: &Foreign, leaver: usize, long: Micros) -> bool {
        let settled = foreign.is_backup() && self.now > foreign.since + long && self.hosts[h].paused == 0;
        let heard = self.mutual_since(h, leaver).is_some_and(|since| self.now > since + long);
        settled && heard && self.hosts[h].balancer() == Balancer::Serves
    }

    /// From the signal (or the news that the label is gone) until 200 ms after the leaver has let go, somebody
    /// holds at every moment. The leaver says at once that it leaves, its successor (ours or not) waits for its
    /// Skew_Time at most, and is answered for 20 ms. Faults that begin meanwhile excuse.
    fn judge_hand_over(&mut self, holders: usize) {
        let Some(mut planned) = self.router.watch.planned.pop() else { return };
        let leaver = planned.leaver;
        if !self.has(leaver) && planned.done.is_none() {
            planned.done = Some(self.now);
        }
        if holders == 0 {
            let text = format!("lb{leaver} was told to leave at {}, and nobody holds", planned.since);
            self.violated(Property::HandOver, text);
        }
        let successor = self.plan.skew(1) + 2 * self.plan.net.longest();
        if planned.done.is_none() && self.now > planned.since + successor + OVERLAP + 5 * SLACK {
            let text = format!("lb{leaver} was told to leave at {}, and still holds", planned.since);
            self.violated(Property::HandOver, text);
        }
        let over = planned.done.is_some_and(|done| self.now > done + 200 * MS);
        if !over && self.now < planned.since + self.plan.handover_limit {
            self.router.watch.planned.push(planned);
        }
    }

    /// An agent that ends by itself has removed the address, unless the kernel was locked.
    pub fn watch_exit(&mut self, h: usize) {
        let late = self.router.watch.seen[h].resumed.max(self.kernel_is_free(h) + SECOND);
        if self.has(h) && self.now > late + SLACK {
            self.violated(Property::Exit, format!("lb{h} ends and leaves the address behind"));
        }
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
