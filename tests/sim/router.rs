//! One virtual router, on all hosts and in the eyes of the client.

use crate::kernel::Address;
use crate::plan::Plan;
use crate::subject::Subject;
use crate::watch::Watch;
use crate::world::{World, address};
use std::net::IpAddr;

/// What each virtual router has of its own. Hosts, processes and network are shared.
pub struct Router {
    pub number: usize,
    pub vrid: u8,
    pub vip: IpAddr,
    /// Its address in the kernel of each host.
    pub addresses: Vec<Address>,
    /// Its core on each host, while the agent lives.
    pub cores: Vec<Option<Subject>>,
    /// Who the client believes to have the address.
    pub neighbour: Option<usize>,
    pub watch: Watch,
}

impl Router {
    pub fn new(plan: &Plan, number: usize) -> Router {
        Router {
            number,
            vrid: plan.vrids[number],
            vip: address(2 + number),
            addresses: (0..plan.hosts).map(|_| Address::default()).collect(),
            cores: (0..plan.hosts).map(|_| None).collect(),
            neighbour: None,
            watch: Watch::new(plan),
        }
    }
}

impl World {
    /// From here on it is this one that is dealt with.
    pub fn turn_to(&mut self, number: usize) {
        if let Some(router) = self.aside.iter_mut().find(|router| router.number == number) {
            std::mem::swap(&mut self.router, router);
        }
    }

    /// Does something for one after the other, and goes on with the one that was dealt with before.
    pub fn each_router(&mut self, mut deed: impl FnMut(&mut World)) {
        let before = self.router.number;
        for number in 0..=self.aside.len() {
            self.turn_to(number);
            deed(self);
        }
        self.turn_to(before);
    }

    /// Whether the host's kernel has the address.
    pub fn has(&self, h: usize) -> bool {
        self.router.addresses[h].has()
    }
}
