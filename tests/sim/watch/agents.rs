//! What is seen of each agent: what it is told, what it becomes, and what it does.

use super::{Following, Property, Tenure};
use crate::plan::Micros;
use crate::subject::Subject;
use crate::world::World;
use outrider::core::command::Command;
use outrider::core::event::State;
use outrider::core::members::{Membership, Standing};
use outrider::core::{Force, Kernel as Answer};

impl World {
    pub fn watch_members(&mut self, h: usize, version: u64, members: &Membership) {
        let member = matches!(members.me, Standing::Member(_));
        let seen = &mut self.router.watch.seen[h];
        if seen.version != version {
            seen.viewed = self.now;
        }
        seen.version = version;
        let left = seen.member && !member;
        if member && !seen.member {
            seen.member_since = self.now;
        }
        if left {
            self.router.watch.planned.clear();
            // To one that leaves already it is no news.
            if !self.leaves(h) {
                self.plan_hand_over(h);
            }
        }
        self.router.watch.seen[h].member = member;
        self.watch_agreement();
    }

    /// A stopped process takes its orders in one after the other when it goes on.
    pub fn watch_order(&mut self, h: usize, drain: Option<Force>) {
        if drain.is_none() {
            self.router.watch.seen[h].offered = false;
        }
    }

    pub fn watch_link(&mut self, h: usize, up: bool) {
        if up {
            // It listens anew.
            self.router.watch.seen[h].following = None;
        }
    }

    pub fn watch_answer(&mut self, h: usize, answer: &Answer) {
        if let Answer::Added { sent } | Answer::Renewed { sent } = answer {
            let sent = u64::try_from(sent.as_micros()).unwrap() - self.plan.clocks[h];
            // An answer to an earlier claim may come after the next one.
            let base = &mut self.router.watch.seen[h].lease_base;
            *base = sent.max(*base);
        }
    }

    /// Before an advert is handed in.
    pub fn watch_hearing(&mut self, h: usize, from: usize, priority: u8, at: Micros) {
        let patience = 3 * self.plan.interval;
        let seen = &mut self.router.watch.seen[h];
        if !std::mem::replace(&mut seen.heard_any, true) {
            seen.heard_first = self.now;
        }
        if priority == 0 {
            seen.ignored.1 = 0;
        }
        if priority > 0 {
            return;
        }
        match &mut seen.following {
            Some(following) if following.from == from => {
                // Whoever was heard besides, not long ago, may be there still.
                let successor = seen.before.take().filter(|before| self.now < before.read + patience);
                match successor {
                    Some(successor) if following.resigned.is_none() => *following = successor,
                    _ => {
                        following.resigned.get_or_insert(at);
                    }
                }
            }
            _ => seen.before = seen.before.filter(|before| before.from != from),
        }
    }

    /// After it was handed in.
    pub fn watch_heard(&mut self, h: usize, from: usize, priority: u8, at: Micros) {
        let active = self.is_active(h);
        // A leaver follows its successor, and whoever else claims the address meanwhile.
        let follows = !active || self.leaves(h);
        let own = self.router.cores[h].as_ref().map_or(0, Subject::priority);
        let seen = &mut self.router.watch.seen[h];
        let ignored = self.plan.preempt && priority < own;
        if priority > 0 && follows {
            seen.accepted = if active { seen.accepted } else { at };
            if ignored {
                seen.ignored = (priority, at);
            }
            if !ignored {
                if let Some(following) = seen.following.filter(|following| following.from != from) {
                    seen.before = following.resigned.is_none().then_some(following);
                }
                seen.following = Some(Following { from, at, read: self.now, resigned: None });
            }
        }
    }

    /// After the agent was told anything.
    pub fn watch_turn(&mut self, h: usize, before: State, after: State) {
        let now = self.now;
        let Some(priority) = self.router.cores[h].as_ref().map(Subject::priority) else { return };
        let master_down = self.plan.master_down(priority);
        let seen = &mut self.router.watch.seen[h];
        if priority != seen.priority {
            let lowest = if now < seen.former.1 { seen.former.0 } else { u8::MAX };
            seen.former = (lowest.min(seen.priority), now + self.plan.master_down(1));
            seen.priority = priority;
        }
        let gap = now - seen.last_turn;
        seen.last_turn = now;
        if gap > master_down + 1 {
            seen.woke = Some(now);
            seen.following = None;
            if let Some(tenure) = &mut seen.tenure {
                tenure.slept = true;
            }
        }
        if before == after {
            return;
        }
        seen.ignored.1 = 0;
        if after == State::Backup {
            seen.bears = now;
        }
        seen.offered = false;
        if after != State::Active {
            seen.tenure = None;
            if before == State::Active {
                // Only one that was relieved knows whom it follows from then on.
                let relieved = |following: &Following| following.resigned.is_none();
                seen.following = seen.following.filter(relieved);
                seen.before = seen.before.filter(relieved);
                self.judge_lapse(h);
            }
            return;
        }
        let after = seen.following.take();
        seen.tenure = Some(Tenure { since: now, after, slept: false });
        seen.lease_base = now;
        seen.lost = None;
        self.judge_claim(h, after);
        self.router.watch.seen[h].held_before = true;
    }

    pub fn watch_command(&mut self, h: usize, command: &Command) {
        match command {
            Command::Announce => {
                self.judge_touch(h, "announces the address");
                let seen = &self.router.watch.seen[h];
                if !self.has(h) && seen.tenure.is_some() && seen.lost.is_none() {
                    let text = format!("lb{h} announces an address that it does not have");
                    self.violated(Property::HollowAnnouncement, text);
                }
            }
            Command::Advertise { priority, .. } => {
                self.judge_silence(h, *priority);
                if *priority > 0 {
                    self.judge_touch(h, "advertises");
                }
            }
            Command::Peers(stations) => {
                let now = self.now;
                let peers = &mut self.router.watch.seen[h].peers;
                let known = |peer: &usize| stations.contains(&self.hosts[*peer].member.address);
                *peers = (0..self.plan.hosts)
                    .filter(known)
                    .map(|peer| (peer, peers.get(&peer).copied().unwrap_or(now)))
                    .collect();
            }
            _ => {}
        }
    }

    pub fn watch_touch(&mut self, h: usize) {
        self.judge_lease(h, "asks the kernel for the address");
    }
}
