//! What must not happen, and when it has.

use crate::cluster::{Bounds, Cluster, INTERVAL, LATENESS, LEASE, MS};
use crate::host::{Follows, HOSTS, Host, skew};
use outrider::core::Time;
use outrider::core::command::Command;
use outrider::core::event::State;
use std::time::Duration;

/// A leaver keeps the address so long after its successor's first advert.
const OVERLAP: Duration = Duration::from_millis(20);

/// What must not happen to any of the virtual routers, and why it cannot be bounded more loosely, or tighter.
///
/// A *whole* host runs and is neither stopped nor cut off nor kept from its kernel. All that is counted in time is
/// counted from the last fault or loss. A way is as long as the bounds say, a timer `LATENESS` late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wrong {
    /// Each holder advertises once an interval (the leaver is silent, and listens). That advert or the answer to it
    /// makes one of two give way; a leaver stays 20 ms longer. Two that both leave are bounded by the hand-over limit.
    Two,
    /// Skew_Times by rank differ by 12.5 ms, by hand by more: the claimant's advert is there before the next one's
    /// turn, if its way and that of what it follows upon are shorter together.
    Twice,
    /// The last advert, or whatever was heard of it, came at most a way after the holder was gone; then Master_Down of
    /// the lowest priority. With a guard, a sign of life may have to be asked for once more.
    Nobody,
    /// No time at all: a leaver keeps the address until its successor has it. Adverts may even be lost.
    Gap,
    /// No time at all, where the kernel answers: with the state goes the address.
    Stale,
    /// The same the other way round.
    Absent,
    /// A renewal is due after a third of the lease.
    Lapse,
    /// No time at all: a dead load balancer is believed at once.
    Unfit,
    /// No time at all. What was sent before its sender gave up proves nothing (20 ms).
    Defiant,
    /// Skew_Time comes on top, but three intervals are what protects an Active of which two adverts were lost.
    Hasty,
    /// Only the first by rank need not wait. Nobody is first where priorities are set by hand.
    Rash,
    /// The other side of it. Not right after it woke up: what it hears then may be old.
    Slow,
    /// The silence that preemption pretends began at the last advert that was accepted.
    Meek,
    /// Guards are asked as soon as an advert is overdue, and answers of the last second count. So nobody claims to
    /// whom nothing came since the advert was due, or for a second.
    Isolated,
    /// One that was cut off knows it after three intervals, and says so for three more.
    Usurped,
    /// Counted from when the kernel was last asked and did answer, or from the claim.
    Late,
    /// No time at all: others may have taken over, so nothing that was decided before is done.
    Sleepwalk,
    /// Add, announce, advertise. Where the kernel does not answer, its advert comes first.
    Boast,
    /// 0 gives the address up, 1 keeps it for want of anybody else. Anything else would hold the successor back.
    Loud,
    /// Each one starts keepalived's Skew_Time anew, which is shorter than an interval.
    Nagging,
    /// Others would take it for a vacancy.
    Farewell,
    /// The agent is what it would be by time alone.
    Mixed,
    /// No time at all, where the kernel answers.
    Litter,
    /// Once more may be for something that has just become due.
    Restless,
}

/// Since when two that run and hear each other hold an address, and since when nobody who runs does; counted
/// from the last fault or loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Watch {
    two_since: Option<Time>,
    none_since: Option<Time>,
}

impl Wrong {
    pub fn says(self) -> &'static str {
        match self {
            Wrong::Two => {
                "two that run and hear each other hold for longer than an interval and a round trip"
            }
            Wrong::Twice => {
                "two are Active, though every advert came in time, nobody was stopped or kept from its kernel, and \
                 neither leaves"
            }
            Wrong::Nobody => "nobody who runs holds for longer than Master_Down, though somebody could",
            Wrong::Gap => "nobody holds, though nothing happened but that one was told to leave, and losses",
            Wrong::Stale => "a host that runs holds and is not Active",
            Wrong::Absent => "a host that runs is Active and does not hold",
            Wrong::Lapse => "the kernel drops the address of an Active that runs and could have renewed it",
            Wrong::Unfit => "an unfit host is Active",
            Wrong::Defiant => "an Active has heard one that outranks it, and stays Active",
            Wrong::Hasty => "somebody claims within three intervals of an advert it accepted",
            Wrong::Rash => "somebody who is not first in line claims within Skew_Time of a resignation",
            Wrong::Slow => {
                "after a resignation the first in line does not claim at once, or another not after Skew_Time"
            }
            Wrong::Meek => "with preemption somebody bears a lower priority for longer than Master_Down",
            Wrong::Isolated => "a guarded host claims, though nothing reached it since its silence began",
            Wrong::Usurped => {
                "a guarded host yields the address to one that was cut off for as long as a take-over takes"
            }
            Wrong::Late => {
                "something is asked of the kernel, announced or advertised after the end of the lease"
            }
            Wrong::Sleepwalk => "an agent that slept past its Master_Down does any of that, or is Active",
            Wrong::Boast => "an address is advertised or announced that is not there",
            Wrong::Loud => "a leaver advertises another priority than 0, or 1 where it may stay",
            Wrong::Nagging => "priority 0 is repeated within one and a half intervals",
            Wrong::Farewell => "somebody who neither leaves nor is unfit says priority 0",
            Wrong::Mixed => "an advert of another virtual router makes a difference",
            Wrong::Litter => "an agent ends and leaves the address behind",
            Wrong::Restless => "an agent is woken again and again with nothing to do",
        }
    }
}

impl Cluster {
    /// A fault or a loss: what is bounded is bounded from now on.
    pub fn excuse(&mut self) {
        self.watches.fill(Watch::default());
    }

    fn numbers(&self) -> std::ops::Range<usize> {
        0..self.watches.len()
    }

    /// Time passes, and nothing happens but that the kernels drop addresses.
    pub fn advance(&mut self, to: Time) {
        let to = to.max(self.now);
        for r in self.numbers() {
            let last =
                |hosts: &mut dyn Iterator<Item = &Host>| hosts.filter_map(|host| host.kernel.until[r]).max();
            let anybody = last(&mut self.all());
            if !self.disturbed && anybody.is_some_and(|until| until < to) {
                self.wrong.insert(Wrong::Gap);
            }
            let living = last(&mut self.all().filter(|host| host.runs() && host.cut.is_none()));
            if let Some(until) = living.filter(|until| *until < to && self.watches[r].none_since.is_none()) {
                self.watches[r].none_since = Some(until.max(self.now));
            }
            let lapses = |host: &Host| {
                let until = host.kernel.until[r].is_some_and(|until| until <= to);
                until && host.runs() && host.is(r, State::Active) && !host.kernel.locked
            };
            if self.all().any(lapses) {
                self.wrong.insert(Wrong::Lapse);
            }
        }
        self.now = to;
    }

    /// After anything that happens.
    pub fn look(&mut self, bounds: &Bounds) {
        for router in self.numbers() {
            self.look_at(router, bounds);
        }
    }

    fn look_at(&mut self, r: usize, bounds: &Bounds) {
        let now = self.now;
        let mut watch = self.watches[r];
        let holds = |host: &&Host| host.runs() && host.cut.is_none() && host.holds(r, now);
        let stay = self.all().filter(holds).filter(|host| !host.kernel.locked && !host.leaves()).count();
        let all = self.all().filter(holds).filter(|host| !host.kernel.locked).count();
        // Two that both leave say nothing to each other: the hand-over's limit ends that.
        watch.two_since = (all > 1 && stay > 0).then_some(watch.two_since.unwrap_or(now));
        let both_ways = 2 * (bounds.latest + LATENESS);
        if watch.two_since.is_some_and(|since| now > since + INTERVAL + both_ways + OVERLAP) {
            self.wrong.insert(Wrong::Two);
        }
        let locked = self.all().any(|host| host.kernel.locked);
        // Nobody claims to whom nobody shows that it is not cut off: that is asked each half interval.
        let company = !self.guarded || self.all().filter(|host| host.cut.is_none()).count() > 1;
        let asked = if self.guarded { INTERVAL / 2 } else { Duration::ZERO };
        let able = |host: &Host| {
            let well = host.runs() && host.cut.is_none() && !host.unfit && !host.leaves();
            well && company && (host.routers[r].past.heard || host.is_foreign())
        };
        let held = self.all().any(|host| holds(&host) && !host.spares(r));
        let none = !locked && self.all().any(able) && !held;
        watch.none_since = none.then_some(watch.none_since.unwrap_or(now));
        let longest = self.all().map(|host| skew(host.routers[r].priority)).max().unwrap_or_default();
        if watch.none_since.is_some_and(|since| now > since + 3 * INTERVAL + longest + both_ways + asked) {
            self.wrong.insert(Wrong::Nobody);
        }
        if !self.disturbed && !self.all().any(|host| host.holds(r, now)) {
            self.wrong.insert(Wrong::Gap);
        }
        let active = |host: &&Host| host.runs() && host.is_ours(r) && host.is(r, State::Active);
        let twice = self.all().filter(active).filter(|host| !host.leaves()).count() > 1;
        let turns =
            !bounds.group.preempt && bounds.group.by_hand.is_none_or(|[a, b, c]| a != b && b != c && c != a);
        // Skew_Times by rank differ by 12.5 ms: a claimant's advert comes in time only if its way and that of what
        // it follows upon are shorter.
        if twice && !self.hindered && turns && bounds.latest < 6 * MS {
            self.wrong.insert(Wrong::Twice);
        }
        let ours = self.all().filter(|host| host.runs() && host.is_ours(r));
        let mut wrongs = Vec::new();
        for host in ours {
            let past = &host.routers[r].past;
            let is_active = host.is(r, State::Active);
            let master_down = 3 * INTERVAL + skew(host.routers[r].priority);
            let overdue = |due: Option<Time>, wait| due.is_some_and(|due| now > due + wait + LATENESS);
            let backup = host.is(r, State::Backup);
            let wrong = [
                (Wrong::Stale, !is_active && host.holds(r, now) && !host.kernel.locked && !host.spares(r)),
                (Wrong::Absent, is_active && !host.holds(r, now) && !host.kernel.locked),
                (Wrong::Unfit, is_active && host.unfit),
                (Wrong::Slow, backup && overdue(past.due, Duration::ZERO)),
                (Wrong::Meek, backup && overdue(past.bears, master_down)),
            ];
            wrongs.extend(wrong.into_iter().filter(|(_, is)| *is).map(|(wrong, _)| wrong));
        }
        self.wrong.extend(wrongs);
        self.watches[r] = watch;
    }

    /// An agent of ours becomes Active.
    pub fn judge_claim(&mut self, h: usize, r: usize) {
        let now = self.now;
        let host = &mut *self.hosts[h];
        host.kernel.lease_until[r] = now + LEASE;
        let cut = host.cut;
        let router = &mut host.routers[r];
        router.past.due = None;
        router.past.claimed = now;
        router.past.leftover = false;
        router.past.farewells = [None; HOSTS];
        let (own, resigned, follows) = (router.priority, router.past.resigned, router.past.follows.take());
        let outranks = follows.is_some_and(|follows| router.outranks(follows.priority));
        if let Some(Follows { at, .. }) = follows {
            if now < at + 3 * INTERVAL && !outranks {
                self.wrong.insert(Wrong::Hasty);
            }
        } else if let Some((leaver, at)) = resigned
            && now < at + skew(own)
            && !self.is_first(h, r, leaver)
        {
            self.wrong.insert(Wrong::Rash);
        }
        // A sign of life counts from when an advert is overdue on, and no longer than a second.
        let silent = follows.map_or(Time::ZERO, |follows| follows.at + INTERVAL).max(now - LEASE);
        if self.guarded && cut.is_some_and(|cut| cut + self.latest < silent) {
            self.wrong.insert(Wrong::Isolated);
        }
    }

    /// Whether `from` is a former holder that noticed long ago that it is cut off: three intervals without a sign of
    /// life, and as many until it trusts that they are back. Then it says so by its priority.
    pub fn is_usurped(&self, h: usize, r: usize, from: usize) -> bool {
        let (host, other) = (&self.hosts[h], &self.hosts[from]);
        let whole = |host: &Host| host.cut.is_none() && host.was_cut.is_none();
        // Somebody else shows this one that it is not cut off itself, if it has been awake to see it.
        let company =
            (0..HOSTS).filter(|other| *other != h && *other != from).all(|other| whole(&self.hosts[other]));
        let sound = company && whole(host) && !host.was_stopped;
        let noticed = 3 * INTERVAL;
        let held = other.was_cut.is_some_and(|(since, until)| {
            let long = until > since + noticed + INTERVAL + LATENESS;
            long && self.now < until + noticed && other.routers[r].past.claimed <= since
        });
        self.guarded && sound && held && !host.leaves()
    }

    /// An agent of ours does something.
    pub fn judge_command(&mut self, h: usize, r: usize, command: &Command) {
        let now = self.now;
        let host = &mut *self.hosts[h];
        let (leaves, may_leave) = (host.leaves(), host.leaves() || host.unfit);
        let there = host.holds(r, now) || host.kernel.locked || host.kernel.waits();
        let lapsed = now >= host.kernel.lease_until[r];
        let sleepwalks = host.routers[r].sleepwalks(now);
        let says = match command {
            Command::Advertise { priority, .. } => Some(*priority),
            _ => None,
        };
        let shows = says.is_some_and(|priority| priority > 0) || matches!(command, Command::Announce);
        let touches = shows || matches!(command, Command::Add { .. } | Command::Renew { .. });
        let farewells = &mut host.routers[r].past.farewells;
        let mut nagging = false;
        if let Command::Advertise { priority: 0, to } = command {
            for to in to {
                let to = (0..HOSTS).find(|host| crate::cluster::address(*host) == *to).unwrap();
                let before = farewells[to].replace(now);
                nagging |= before.is_some_and(|before| now < before + INTERVAL * 3 / 2);
            }
        }
        let highest = u8::from(!host.stopping);
        let wrong = [
            (Wrong::Sleepwalk, touches && sleepwalks),
            (Wrong::Late, touches && lapsed),
            (Wrong::Boast, shows && !there),
            (Wrong::Loud, leaves && says.is_some_and(|priority| priority > highest)),
            (Wrong::Nagging, nagging),
            (Wrong::Farewell, says == Some(0) && !may_leave),
        ];
        self.wrong.extend(wrong.into_iter().filter(|(_, is)| *is).map(|(wrong, _)| wrong));
    }

    /// Whether a host is the first in line besides the leaver. Nobody is where priorities are set by hand.
    pub fn is_first(&self, host: usize, router: usize, leaver: usize) -> bool {
        let rank = |host: usize| self.hosts[host].routers[router].rank;
        let others = (0..HOSTS).filter(|other| *other != leaver);
        rank(host).is_some() && others.filter_map(rank).min() == rank(host)
    }
}
