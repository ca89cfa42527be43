//! What is seen of each host from outside, by which the properties (`properties.rs`) judge.
//!
//! Nothing here asks the core what it thinks, but for its state and priority.

use crate::plan::{Micros, Plan, What};
use crate::subject::Subject;
use crate::world::World;
use outrider::core::Kernel as Answer;
use outrider::core::command::Command;
use outrider::core::event::State;
use outrider::core::members::{Membership, Standing};

/// What must hold. See `properties.rs` for each one's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// Two holders that hear each other become one.
    TwoHolders,
    /// An address whose agent is not a running Active goes.
    Leash,
    /// Where nobody holds the address, a fit host takes it.
    Idle,
    /// Without preemption nobody claims over an Active whose adverts come.
    Patience,
    /// Nobody claims over a station that answers ARP when it has just started.
    Probe,
    /// Nobody claims who is cut off from everybody.
    Isolation,
    /// A holder that was cut off yields to the one it finds.
    Yielding,
    /// After the silence of an Active only one claims; after a resignation all but the first in line wait.
    OneSuccessor,
    /// A planned hand-over has no moment without a holder.
    HandOver,
    /// A leaver says nothing but that it leaves.
    Silence,
    /// An unfit host does not hold.
    Unfit,
    /// Nothing is touched after a lease or a sleep.
    Fence,
    /// An Active has the address.
    Absent,
    /// The lease of a running Active never lapses.
    Lapse,
    /// What is not there is not announced.
    HollowAnnouncement,
    /// The client's traffic goes to the holder.
    Traffic,
    /// Nothing stays behind an agent that has ended by itself.
    Exit,
    /// Of several virtual routers each has its first rank, and with it its address, on a host of its own.
    Spread,
    /// Once everything is whole there is one holder.
    Convergence,
    /// An agent with nothing to do rests.
    Rest,
}

/// A property that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    pub property: Property,
    pub at: Micros,
    pub text: String,
}

/// The last advert that made a host follow somebody.
#[derive(Clone, Copy, Debug)]
pub struct Following {
    pub from: usize,
    pub at: Micros,
    /// When it said that it gives the address up.
    pub resigned: Option<Micros>,
}

/// A time as Active.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    pub since: Micros,
    /// Whom it followed before.
    pub after: Option<Following>,
    /// The process slept past its Master_Down.
    pub slept: bool,
}

/// What is known of one host.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub started: Micros,
    pub resumed: Micros,
    pub last_turn: Micros,
    /// When it noticed, or should have, that it had slept past its Master_Down.
    pub woke: Option<Micros>,
    pub tenure: Option<Tenure>,
    /// When the last request that counts was sent: the lease is over a lease later.
    pub lease_base: Micros,
    pub following: Option<Following>,
    /// The one it followed before that.
    pub before: Option<Following>,
    /// Arrival of the last advert (not priority 0) that was taken in by a host that was not Active.
    pub accepted: Micros,
    pub heard_any: bool,
    /// When it heard anybody first.
    pub heard_first: Micros,
    pub held_before: bool,
    /// The lowest priority it had until a while ago: running timers keep to it.
    pub former: (u8, Micros),
    pub priority: u8,
    pub stale_since: Option<Micros>,
    pub vacant_since: Option<Micros>,
    pub absent_since: Option<Micros>,
    /// When its load balancer changed last, and whether a connection to it was held then.
    pub balancer_since: Micros,
    pub connection_held: bool,
    pub unplugged_since: Option<Micros>,
    pub plugged_since: Micros,
    /// Since when nobody reaches it, or how it was before: from when to when.
    pub alone_since: Option<Micros>,
    pub alone: (Micros, Micros),
    /// Since when it has been Backup, or has heard the lower priority it bears.
    pub bears: Micros,
    /// The last advert it did not follow though it was a Backup: its priority, and when it came.
    pub ignored: (u8, Micros),
    /// Whether it takes part by what it was told, and since when.
    pub member: bool,
    pub member_since: Micros,
    pub version: u64,
    /// When it was told of other members last.
    pub viewed: Micros,
    /// It was told to end.
    pub stopping: bool,
    /// It has begun to hand the address over.
    pub offered: bool,
    /// When it was told last, by whatever means, to let go of the address.
    pub dismissed: Micros,
    /// A person drains it, and since when one does not.
    pub drained: bool,
    pub undrained: Micros,
    pub mute_since: Option<Micros>,
    pub refused_until: Micros,
    /// When somebody else, or time, took the address from its kernel.
    pub lost: Option<Micros>,
}

/// A hand-over that must succeed.
#[derive(Clone, Debug)]
pub struct Planned {
    pub leaver: usize,
    pub since: Micros,
    /// When the leaver had let go.
    pub done: Option<Micros>,
}

/// All that is seen.
pub struct Watch {
    pub seen: Vec<Seen>,
    /// Since when messages of one station reach another unhindered.
    pub clean: Vec<Vec<Option<Micros>>>,
    /// Faults going on that excuse more than those they befall.
    pub troubles: u32,
    pub last_trouble: Micros,
    pub last_fault: Micros,
    /// Messages that were slowed may arrive until then.
    pub stragglers: Micros,
    /// Since when all that run know the same members.
    pub agreed: Option<Micros>,
    pub planned: Vec<Planned>,
    /// The only holder, and since when it is.
    pub sole: Option<(usize, Micros)>,
    /// When a host last had the address whose router is not ours and dead.
    pub stray: Micros,
}

impl Watch {
    pub fn new(plan: &Plan) -> Watch {
        let whole = (plan.net.loss == 0).then_some(0);
        Watch {
            seen: vec![Seen { member: true, ..Seen::default() }; plan.hosts],
            clean: vec![vec![whole; plan.hosts + 1]; plan.hosts + 1],
            troubles: 0,
            last_trouble: 0,
            last_fault: 0,
            stragglers: 0,
            agreed: Some(0),
            planned: Vec::new(),
            sole: None,
            stray: 0,
        }
    }
}

impl World {
    pub fn is_active(&self, h: usize) -> bool {
        self.state(h) == Some(State::Active)
    }

    /// Whether nothing has hindered network, processes or kernels for so long.
    pub fn is_calm(&self, for_long: Micros) -> bool {
        self.router.watch.troubles == 0
            && self.plan.net.loss == 0
            && self.hosts.iter().all(|host| host.paused == 0)
            && self.now.saturating_sub(self.router.watch.last_trouble) >= for_long
    }

    pub fn clean_since(&self, from: usize, to: usize) -> Option<Micros> {
        self.router.watch.clean[from][to]
    }

    /// Since when two stations reach each other unhindered.
    pub fn mutual_since(&self, one: usize, other: usize) -> Option<Micros> {
        Some(self.clean_since(one, other)?.max(self.clean_since(other, one)?))
    }

    pub fn watch_start(&mut self, h: usize) {
        let now = self.now;
        let seen = &mut self.router.watch.seen[h];
        let (refused_until, unplugged_since) = (seen.refused_until, seen.unplugged_since);
        let (mute_since, alone_since, alone) = (seen.mute_since, seen.alone_since, seen.alone);
        let (plugged_since, balancer_since) = (seen.plugged_since, seen.balancer_since);
        let dismissed = seen.dismissed;
        *seen = Seen {
            started: now,
            last_turn: now,
            refused_until,
            unplugged_since,
            mute_since,
            alone_since,
            alone,
            plugged_since,
            balancer_since,
            dismissed,
            ..Seen::default()
        };
    }

    pub fn watch_death(&mut self, h: usize) {
        let seen = &mut self.router.watch.seen[h];
        seen.tenure = None;
        seen.stopping = false;
        self.watch_agreement();
    }

    pub fn watch_pause(&mut self, h: usize) {
        self.router.watch.last_trouble = self.now;
        self.router.watch.last_fault = self.now;
        self.router.watch.planned.clear();
        self.router.watch.seen[h].resumed = self.now;
    }

    pub fn watch_fault(&mut self, what: &What, begins: bool) {
        let now = self.now;
        let trouble = match what {
            What::Crash(_) | What::PowerOff(_) | What::Terminate(_) => false,
            What::Balancers { .. } | What::Unplugged(_) | What::Label(_) | What::NoMetadata(_) => false,
            What::Pause { .. } | What::PauseInThread(_) => true,
            What::Cut { .. } | What::Loss(_) | What::Slow(_) => true,
            What::Contention(_) | What::Refusal(_) | What::Deletion(_) | What::Mute(_) => true,
            What::Drain { .. } => false,
        };
        if trouble {
            let troubles = &mut self.router.watch.troubles;
            *troubles = if begins { *troubles + 1 } else { troubles.saturating_sub(1) };
            self.router.watch.last_trouble = now;
        }
        if let What::Slow(slow) = what {
            self.router.watch.stragglers = self.router.watch.stragglers.max(now + slow);
            self.router.watch.last_trouble = self.router.watch.stragglers;
        }
        self.router.watch.planned.clear();
        for seen in &mut self.router.watch.seen {
            seen.offered = false;
        }
        if begins && let What::Terminate(h) | What::Drain { host: h, .. } | What::Label(h) = what {
            self.router.watch.seen[*h].dismissed = now;
        }
        if begins && let What::Terminate(h) = what {
            self.plan_hand_over(*h);
            self.router.watch.seen[*h].stopping = self.hosts[*h].process.is_some();
        }
        match what {
            What::Balancers { hosts, .. } => {
                for h in hosts {
                    let held = self.hosts[*h].process.as_ref().is_some_and(|p| p.checker.passed);
                    self.router.watch.seen[*h].balancer_since = now;
                    self.router.watch.seen[*h].connection_held = held;
                }
            }
            What::Unplugged(h) => {
                let again = self.router.watch.seen[*h].unplugged_since.filter(|_| begins);
                self.router.watch.seen[*h].unplugged_since = begins.then_some(again.unwrap_or(now));
                self.router.watch.seen[*h].plugged_since = now;
            }
            What::Refusal(h) => self.router.watch.seen[*h].refused_until = now,
            What::Mute(h) => {
                self.router.watch.seen[*h].refused_until = now;
                let again = self.router.watch.seen[*h].mute_since.filter(|_| begins);
                self.router.watch.seen[*h].mute_since = begins.then_some(again.unwrap_or(now));
            }
            What::Drain { host, .. } => {
                if begins {
                    self.plan_hand_over(*host);
                }
                self.router.watch.seen[*host].drained = begins && self.hosts[*host].process.is_some();
                self.router.watch.seen[*host].undrained = now;
            }
            What::Deletion(h) => self.router.watch.seen[*h].lost = Some(now),
            _ => {}
        }
        self.router.watch.last_fault = now;
    }

    /// After a fault has begun or ended: which links are whole now.
    pub fn watch_links(&mut self) {
        let whole = self.network_is_whole();
        for from in 0..=self.plan.hosts {
            for to in 0..=self.plan.hosts {
                let mute = self.hosts.get(from).is_some_and(|host| host.mute > 0);
                let clean = whole && !mute && self.reaches(from, to);
                let since = &mut self.router.watch.clean[from][to];
                *since = clean.then_some(since.unwrap_or(self.now.max(self.router.watch.stragglers)));
            }
        }
        for h in 0..self.plan.hosts {
            let alone = !(0..=self.plan.hosts).any(|from| from != h && self.reaches(from, h));
            let seen = &mut self.router.watch.seen[h];
            match seen.alone_since {
                None if alone => seen.alone_since = Some(self.now),
                Some(since) if !alone => {
                    seen.alone = (since, self.now);
                    seen.alone_since = None;
                }
                _ => {}
            }
        }
    }

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
            self.plan_hand_over(h);
        }
        self.router.watch.seen[h].member = member;
        self.watch_agreement();
    }

    pub fn watch_agreement(&mut self) {
        let latest = self.latest();
        let mut running = (0..self.plan.hosts).filter(|h| self.hosts[*h].process.is_some());
        let agreed = running.all(|h| self.router.watch.seen[h].version == latest);
        self.router.watch.agreed = agreed.then_some(self.router.watch.agreed.unwrap_or(self.now));
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
            self.router.watch.seen[h].lease_base = sent;
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
                let successor = seen.before.take().filter(|before| at < before.at + patience);
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
        let own = self.router.cores[h].as_ref().map_or(0, Subject::priority);
        let seen = &mut self.router.watch.seen[h];
        let ignored = self.plan.preempt && priority < own;
        if priority > 0 && !active {
            seen.accepted = at;
            if ignored {
                seen.ignored = (priority, at);
            }
            if !ignored {
                if let Some(following) = seen.following.filter(|following| following.from != from) {
                    seen.before = following.resigned.is_none().then_some(following);
                }
                seen.following = Some(Following { from, at, resigned: None });
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
            _ => {}
        }
    }

    fn judge_silence(&mut self, h: usize, priority: u8) {
        let (active, leaves) = (self.is_active(h), self.leaves(h));
        let seen = &mut self.router.watch.seen[h];
        seen.offered = active && leaves && (seen.offered || priority == 0);
        // One that nobody relieves keeps the address with the lowest priority.
        if seen.offered && priority > 1 {
            self.violated(Property::Silence, format!("lb{h} leaves and advertises priority {priority}"));
        }
    }

    pub fn watch_touch(&mut self, h: usize) {
        self.judge_lease(h, "asks the kernel for the address");
    }
}
