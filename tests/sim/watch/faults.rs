//! What is seen of the faults, and of processes that begin and end.

use super::Seen;
use crate::plan::What;
use crate::world::World;

impl World {
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

    /// A holder that could not send learns that it can from its next advert: one that was stopped before that gives
    /// up when it goes on.
    pub fn watch_resume(&mut self, h: usize) {
        let seen = &mut self.router.watch.seen[h];
        // Where it was stopped last.
        let stopped = seen.resumed;
        if seen.refused_until > 0 && stopped < seen.refused_until + self.plan.interval {
            seen.refused_until = seen.refused_until.max(self.now);
        }
        self.watch_pause(h);
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

    pub fn watch_agreement(&mut self) {
        let latest = self.latest();
        let mut running = (0..self.plan.hosts).filter(|h| self.hosts[*h].process.is_some());
        let agreed = running.all(|h| self.router.watch.seen[h].version == latest);
        self.router.watch.agreed = agreed.then_some(self.router.watch.agreed.unwrap_or(self.now));
    }
}
