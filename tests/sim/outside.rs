//! What the agent learns from outside: its load balancer's checks, and the metadata.

use crate::plan::{MS, Micros, SECOND};
use crate::process::Update;
use crate::world::{Happening, World};
use outrider::core::Outcome;
use outrider::core::members::{Membership, Standing};

/// A load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balancer {
    Serves,
    Dead,
    Hangs,
}

/// Pause between two checks, and the longest wait for an answer.
pub const CHECK_INTERVAL: Micros = SECOND;
/// The same while unfit.
pub const EAGER: Micros = 100 * MS;

/// The checks of a process.
#[derive(Debug, Default)]
pub struct Checker {
    /// Whether each virtual router is in a hurry.
    hurried: Vec<bool>,
    /// A look began then and has not ended.
    looking: Option<Micros>,
    /// The last look passed, so that a connection is held.
    pub passed: bool,
    /// Events of an earlier schedule are void.
    tick: u64,
    look: u64,
}

impl Checker {
    pub fn new(routers: usize) -> Checker {
        Checker { hurried: vec![false; routers], ..Checker::default() }
    }

    fn is_eager(&self) -> bool {
        self.hurried.contains(&true)
    }
}

/// The watch over the metadata.
#[derive(Debug, Default)]
pub struct Watcher {
    /// The change that was told last.
    pub version: u64,
    /// Events of an earlier wait are void.
    round: u64,
    unreachable: bool,
}

impl World {
    pub fn start_checks(&mut self, h: usize) {
        self.schedule_look(h, 0);
    }

    fn schedule_look(&mut self, h: usize, after: Micros) {
        let epoch = self.hosts[h].epoch;
        let Some(process) = &mut self.hosts[h].process else { return };
        process.checker.tick += 1;
        let tick = process.checker.tick;
        self.after(after, Happening::Look { host: h, epoch, tick });
    }

    pub fn hurry(&mut self, h: usize, hurry: bool) {
        let router = self.router.number;
        let Some(process) = &mut self.hosts[h].process else { return };
        let before = process.checker.is_eager();
        process.checker.hurried[router] = hurry;
        let hurry = process.checker.is_eager();
        if before != hurry {
            // The pace does not make it overlook that the held connection has ended.
            let ended = self.hosts[h].balancer() == Balancer::Dead;
            let pause = if hurry || ended { 1 } else { CHECK_INTERVAL };
            self.schedule_look(h, pause);
        }
    }

    /// Time for a look.
    pub fn look(&mut self, h: usize, tick: u64) {
        let paused = self.hosts[h].paused > 0;
        let now = self.now;
        let Some(process) = &mut self.hosts[h].process else { return };
        if process.checker.tick != tick {
            return;
        }
        if paused {
            let epoch = self.hosts[h].epoch;
            return self.hosts[h].parked.push(Happening::Look { host: h, epoch, tick });
        }
        let pause = if process.checker.is_eager() { EAGER } else { CHECK_INTERVAL };
        if process.checker.looking.is_none() {
            process.checker.looking = Some(now);
            self.schedule_end_of_look(h, true);
        }
        self.schedule_look(h, pause);
    }

    fn schedule_end_of_look(&mut self, h: usize, at_all: bool) {
        let hangs = self.hosts[h].balancer() == Balancer::Hangs;
        let takes = self.random.between(MS, 5 * MS);
        let epoch = self.hosts[h].epoch;
        let now = self.now;
        let Some(process) = &mut self.hosts[h].process else { return };
        let Some(begun) = process.checker.looking else { return };
        if !at_all && hangs {
            return;
        }
        process.checker.look += 1;
        let look = process.checker.look;
        let at = if hangs { (begun + CHECK_INTERVAL).max(now) } else { now + takes };
        self.at(at, Happening::Looked { host: h, epoch, look });
    }

    /// A look ends.
    pub fn looked(&mut self, h: usize, look: u64) {
        let paused = self.hosts[h].paused > 0;
        let balancer = self.hosts[h].balancer();
        let now = self.now;
        let Some(process) = &mut self.hosts[h].process else { return };
        if process.checker.look != look {
            return;
        }
        let Some(begun) = process.checker.looking else { return };
        if paused {
            let epoch = self.hosts[h].epoch;
            return self.hosts[h].parked.push(Happening::Looked { host: h, epoch, look });
        }
        if balancer == Balancer::Hangs && now < begun + CHECK_INTERVAL {
            return self.schedule_end_of_look(h, true);
        }
        let outcome = match balancer {
            Balancer::Serves => Outcome::Pass,
            Balancer::Dead => Outcome::Dead("refused".to_owned()),
            Balancer::Hangs => Outcome::Fail("no answer".to_owned()),
        };
        process.checker.looking = None;
        process.checker.passed = outcome == Outcome::Pass;
        process.reports.push_back(outcome);
        self.poke(h);
    }

    /// The load balancer changed: the held connection ends if it died, a look on its way gets its answer.
    pub fn balancer_changed(&mut self, h: usize) {
        let delay = self.random.between(200, 3 * MS);
        let balancer = self.hosts[h].balancer();
        let Some(process) = &mut self.hosts[h].process else { return };
        if balancer == Balancer::Dead && process.checker.passed && process.checker.looking.is_none() {
            self.schedule_look(h, delay);
        } else {
            self.schedule_end_of_look(h, false);
        }
    }

    /// The members as the host sees them when it has seen `version` changes.
    pub fn members(&self, h: usize, version: u64) -> Membership {
        let labelled = |host: usize| self.labels[usize::try_from(version).unwrap()] & (1 << host) != 0;
        let listed = |host: usize| self.plan.metadata || self.plan.omission != Some((h, host));
        let others = |host: &usize| *host != h && labelled(*host) && listed(*host);
        let mut others: Vec<_> =
            (0..self.plan.hosts).filter(others).map(|host| self.hosts[host].member.clone()).collect();
        others.sort_by(|a, b| a.id.cmp(&b.id));
        let me = if labelled(h) {
            Standing::Member(self.hosts[h].member.clone())
        } else {
            Standing::Left("host label is gone".to_owned())
        };
        Membership { me, others }
    }

    pub fn latest(&self) -> u64 {
        self.labels.len() as u64 - 1
    }

    /// The next news or confirmation comes in so long.
    pub fn schedule_metadata(&mut self, h: usize, after: Micros) {
        if !self.plan.metadata {
            return;
        }
        let epoch = self.hosts[h].epoch;
        let Some(process) = &mut self.hosts[h].process else { return };
        process.watcher.round += 1;
        let round = process.watcher.round;
        self.after(after, Happening::Metadata { host: h, epoch, round });
    }

    pub fn reread(&mut self, h: usize) {
        let after = if self.hosts[h].no_metadata > 0 {
            self.random.between(50 * MS, 2 * SECOND)
        } else {
            self.random.between(2 * MS, 50 * MS)
        };
        self.schedule_metadata(h, after);
    }

    /// An answer of the metadata, or none.
    pub fn metadata(&mut self, h: usize, round: u64) {
        let latest = self.latest();
        let away = self.hosts[h].no_metadata > 0;
        let clock = self.clock(h);
        let paused = self.hosts[h].paused > 0;
        let Some(process) = &mut self.hosts[h].process else { return };
        if process.watcher.round != round {
            return;
        }
        if paused {
            let epoch = self.hosts[h].epoch;
            return self.hosts[h].parked.push(Happening::Metadata { host: h, epoch, round });
        }
        if away {
            if !std::mem::replace(&mut process.watcher.unreachable, true) {
                process.updates.push_back(Update::Unreachable);
            }
        } else {
            process.watcher.unreachable = false;
            let seen = std::mem::replace(&mut process.watcher.version, latest);
            if seen == latest {
                process.updates.push_back(Update::Confirmed { read_at: clock });
            } else {
                let members = self.members(h, latest);
                let update = Update::Members { version: latest, members, read_at: clock };
                if let Some(process) = &mut self.hosts[h].process {
                    process.updates.push_back(update);
                }
            }
        }
        let next = if away { SECOND } else { 20 * SECOND };
        self.schedule_metadata(h, next);
        self.poke(h);
    }
}
