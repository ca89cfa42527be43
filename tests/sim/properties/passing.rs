//! How the address passes from one to another: by a hand-over, after a heal, and in the eyes of the client.

use super::{ASKS, OVERLAP, SLACK};
use crate::foreign::Foreign;
use crate::outside::Balancer;
use crate::plan::{MS, Micros, SECOND};
use crate::watch::{Planned, Property};
use crate::world::World;
use outrider::core::event::State;

impl World {
    /// A holder that was cut off for as long as its peers need to take over advertises the lowest priority until
    /// they have had time to be heard; one that was not cut off yields to no such. (Where members changed meanwhile it
    /// may have known of one other alone, of which no sign of life is wanted.)
    pub fn judge_yielding(&mut self, h: usize, from: usize) {
        let gap = 3 * self.plan.interval.max(100 * MS);
        let (other, own) = (&self.router.watch.seen[from], &self.router.watch.seen[h]);
        let (since, until) = other.alone;
        let cut_off = until > since + gap + self.plan.interval && self.now < until + gap - 50 * MS;
        let held = other.tenure.is_some_and(|tenure| tenure.since < since) && other.viewed <= since;
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

    /// In calm, a second after somebody became the only holder (that is when the second burst is due), the client
    /// has it in its neighbour table: whatever it learnt from the former holder's kernel is corrected. (Not by one
    /// that has to go and waits for its successor: of two leavers at once one may be killed with the address. And a
    /// kernel that answers for what a dead router of another kind has left behind misleads the client for as long
    /// as it does, until the client asks again.)
    pub fn judge_traffic(&mut self) {
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
        // Who leaves while a dead host's kernel still answers announces nothing against that.
        let early = seen.dismissed > 0 && seen.dismissed < tenure.since + 2 * SECOND;
        let excused = self.leaves(holder)
            && (early || others.map(|h| self.router.watch.seen[h].dismissed).any(|at| at > before));
        if whole(holder, client) && !excused && self.router.watch.last_trouble <= before && self.is_calm(0) {
            let text = format!("the client's traffic goes to {:?}, not to lb{holder}", self.router.neighbour);
            self.violated(Property::Traffic, text);
        }
    }

    /// A host that holds the address is told to leave: is there one who must be able to take it? (One that leaves
    /// already, and found nobody, tries again every 5 s, and when a person asks again.)
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
        let able: Vec<usize> = others.clone().filter(|h| able(*h)).collect();
        // Whoever heard another holder besides, less than three intervals ago, claims after Master_Down from then.
        let besides = |h: &usize| {
            let seen = &self.router.watch.seen[*h];
            seen.before.map_or(0, |before| before.read).max(seen.ignored.1)
        };
        if let Some(besides) = able.iter().map(besides).min()
            && others.all(sound)
        {
            let since = self.now.max(besides + 3 * self.plan.interval);
            let told = self.now;
            self.router.watch.planned.push(Planned { leaver, told, since, done: None });
        }
    }

    /// One that is not ours takes over by its Skew_Time, if it hears the leaver.
    pub fn is_able_foreign(&self, h: usize, foreign: &Foreign, leaver: usize, long: Micros) -> bool {
        let settled = foreign.is_backup() && self.now > foreign.since + long && self.hosts[h].paused == 0;
        let heard = self.mutual_since(h, leaver).is_some_and(|since| self.now > since + long);
        settled && heard && self.hosts[h].balancer() == Balancer::Serves
    }

    /// From the signal (or the news that the label is gone) until 200 ms after the leaver has let go, somebody
    /// holds at every moment. The leaver says at once that it leaves, its successor (ours or not) waits for its
    /// Skew_Time at most, and is answered for 20 ms. Faults that begin meanwhile excuse.
    pub fn judge_hand_over(&mut self, holders: usize) {
        let Some(mut planned) = self.router.watch.planned.pop() else { return };
        let Planned { leaver, told, .. } = planned;
        if !self.has(leaver) && planned.done.is_none() {
            planned.done = Some(self.now);
        }
        if holders == 0 {
            self.violated(
                Property::HandOver,
                format!("lb{leaver} was told to leave at {told}, and nobody holds"),
            );
        }
        // Where the network swaps it and the advert before it, the leaver has to say it again.
        let again = self.plan.interval * 3 / 2;
        let successor = self.plan.skew(1) + 2 * self.plan.net.longest() + again;
        if planned.done.is_none() && self.now > planned.since + successor + OVERLAP + 5 * SLACK {
            let text = format!("lb{leaver} was told to leave at {told}, and still holds");
            self.violated(Property::HandOver, text);
        }
        let over = planned.done.is_some_and(|done| self.now > done + 200 * MS);
        if !over && self.now < told + self.plan.handover_limit {
            self.router.watch.planned.push(planned);
        }
    }

    pub fn judge_silence(&mut self, h: usize, priority: u8) {
        let (active, leaves) = (self.is_active(h), self.leaves(h));
        let seen = &mut self.router.watch.seen[h];
        seen.offered = active && leaves && (seen.offered || priority == 0);
        // One that nobody relieves keeps the address with the lowest priority.
        if seen.offered && priority > 1 {
            self.violated(Property::Silence, format!("lb{h} leaves and advertises priority {priority}"));
        }
    }
}
