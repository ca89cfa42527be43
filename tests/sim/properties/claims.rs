//! Who claims the address: somebody, in time and in turn, and nobody who must not.

use super::{FIT, REFUSAL, SLACK};
use crate::outside::Balancer;
use crate::plan::{MS, Micros, SECOND};
use crate::subject::Subject;
use crate::watch::{Following, Property};
use crate::world::World;
use outrider::core::guard::Guards;

impl World {
    /// A fit member that is not cut off from everybody, with nobody to be heard holding the address, has it (or
    /// hears of another who claims it) within Master_Down after the last advert it accepted, after it became
    /// fit, after it woke up. Within Skew_Time, where the Active it follows gave the address up. Just started
    /// and having heard nobody, it asks by ARP first (two questions 150 ms apart, an answer counts 300 ms, and
    /// Skew_Time in turn after that) and confirms its metadata (50 ms here; 2 s while nobody answers).
    ///
    /// An address that a dead router of another kind left behind, or one of ours that is there again, is nobody's,
    /// but answers ARP: that counts where nobody was heard.
    pub fn judge_idle(&mut self, h: usize) {
        let asks = !(self.router.watch.seen[h].heard_any || self.router.watch.seen[h].held_before);
        let vacant = !(0..self.plan.hosts).any(|other| {
            let dead = self.is_foreign(other) && !self.hosts[other].lives();
            let left = (dead || self.spares_leftover(other)) && (other == h || !asks);
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
        // It may have claimed just now.
        let following = seen.following.or(seen.tenure.and_then(|tenure| tenure.after));
        let resigned = following.and_then(|following| following.resigned);
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
    pub fn company_since(&self, h: usize) -> Option<Micros> {
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

    /// At the moment of a claim.
    pub fn judge_claim(&mut self, h: usize, after: Option<Following>) {
        let resigned = after.is_some_and(|following| following.resigned.is_some());
        if let Some(following) = after
            && !resigned
        {
            // Skew_Time is never below 1/256 of an interval, but three intervals are what protects.
            let patience = 3 * self.plan.interval;
            // What has come since the turn began, as where the process was stopped when it had dealt with the first of
            // its virtual routers, is heard in the next one.
            let queued = self.hosts[h].process.as_ref().is_some_and(|process| {
                process.adverts.iter().any(|arrived| {
                    let advert = &arrived.heard.advert;
                    let ours = advert.vrid == self.router.vrid && advert.priority > 0;
                    ours && arrived.at <= process.turned && !self.plan.preempt
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
    pub fn judge_preemption(&mut self, h: usize) {
        let Some(own) = self.router.cores[h].as_ref().map(Subject::priority) else { return };
        let seen = &self.router.watch.seen[h];
        let (lower, heard) = seen.ignored;
        let preempts = heard > 0 && lower < own && self.now < heard + 2 * self.plan.interval;
        if preempts && self.now < seen.bears + self.plan.preempt_delay {
            self.violated(Property::Patience, format!("lb{h} preempts before its delay is over"));
        }
    }

    pub fn guards(&self, h: usize) -> usize {
        match (&self.plan.guards, self.plan.gateway, self.listed(h).len()) {
            (Guards::Auto, true, peers) => peers + 1,
            (Guards::Auto, false, peers) if peers > 1 => peers,
            _ => 0,
        }
    }

    /// A sign of life is wanted since an interval after the last advert, or since the last second or
    /// Master_Down: nobody whom none reached for longer claims.
    pub fn judge_isolation(&mut self, h: usize) {
        let long = self.plan.master_down(1).max(SECOND) + self.plan.net.longest() + SLACK;
        let alone = self.router.watch.seen[h].alone_since;
        let alone = alone.is_some_and(|since| self.now > since.max(self.router.watch.stragglers) + long);
        let slow = !self.obstacles.slow.is_empty();
        if alone && !slow && self.guards(h) > 0 {
            self.violated(Property::Isolation, format!("lb{h} claims while nobody reaches it"));
        }
    }

    /// Where priorities are derived from one and the same membership, Skew_Times differ by more than the way of
    /// the first claimant's advert: nobody else claims after one and the same silence. (Who is told to leave right
    /// after its claim has said nothing else than that, and is to be relieved.)
    pub fn judge_one_successor(&mut self, h: usize, following: Following) {
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
                let goes_on = self.hosts[other].running() && !self.leaves(other);
                same && heard && goes_on && self.now < tenure.since + self.plan.interval
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
    pub fn judge_turn(&mut self, h: usize, leaver: usize, resigned: Micros) {
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
    pub fn judge_probe(&mut self, h: usize) {
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
}
