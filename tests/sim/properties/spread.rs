//! Several virtual routers in one agent: their first ranks are spread over the hosts.

use crate::plan::{MS, Micros, SECOND};
use crate::subject::Subject;
use crate::watch::Property;
use crate::world::World;

impl World {
    /// For each virtual router: the members with the highest rank, and who has the address.
    fn firsts(&mut self) -> Vec<(Vec<usize>, Vec<usize>)> {
        let hosts = self.plan.hosts;
        let mut firsts = Vec::new();
        self.each_router(|world| {
            let first = |h: &usize| world.router.cores[*h].as_ref().map(Subject::priority) == Some(254);
            let first = (0..hosts).filter(first).collect();
            firsts.push((first, (0..hosts).filter(|h| world.has(*h)).collect()));
        });
        firsts
    }

    fn is_ranked(&self) -> bool {
        let several = !self.aside.is_empty();
        several && self.plan.by_hand.is_none() && self.plan.omission.is_none() && self.plan.net.loss == 0
    }

    fn judge_spread(&mut self, firsts: &[(Vec<usize>, Vec<usize>)], held: bool) {
        let first: Vec<&Vec<usize>> = firsts.iter().map(|(first, _)| first).collect();
        let one_each = first.iter().all(|first| first.len() == 1);
        if !one_each || first.windows(2).any(|two| two[0] == two[1]) {
            self.violated(Property::Spread, format!("the first in rank are {first:?}"));
        }
        if held && firsts.iter().any(|(first, holders)| first != holders) {
            let text = format!("the first in rank, and the holders, of each are {firsts:?}");
            self.violated(Property::Spread, text);
        }
    }

    /// When the first fault begins: hosts that started at one moment, with nothing to hinder them, have claimed in
    /// turn. Each takes Master_Down, or 300 ms for its questions by ARP and then Skew_Time; ranks differ by more
    /// than the way of an advert.
    pub fn judge_start(&mut self) {
        let step = self.plan.skew(1) / 255 * (253 / self.plan.hosts as u64).clamp(1, 16);
        let long: Micros = self.plan.master_down(1) + SECOND;
        let together = self.plan.boot.iter().all(|at| *at == 0);
        let in_turn = step > self.plan.net.longest() + self.plan.net.jitter + 6 * MS;
        if self.is_ranked() && together && in_turn && self.now > long {
            let firsts = self.firsts();
            self.judge_spread(&firsts, true);
        }
    }

    /// At the end everybody knows the same members. With preemption each address is where it belongs; without, it
    /// may be anywhere. (A kernel that refused is not asked again for 5 s, after which the delay begins.)
    pub fn judge_ranks(&mut self) {
        if !self.is_ranked() {
            return;
        }
        let refused = self.router.watch.seen.iter().any(|seen| seen.refused_until > 0);
        let firsts = self.firsts();
        self.judge_spread(&firsts, self.plan.preempt && !refused);
    }
}
