//! One Ethernet with every host and one client on it.

use crate::plan::Micros;
use crate::process::Arrived;
use crate::world::{About, Happening, World};
use outrider::core::Heard;
use outrider::core::advert::{Advert, Checksum};
use outrider::core::auth::Proof;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// VRRP's multicast group.
pub const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));

/// What stands in the way of messages now.
#[derive(Debug, Default)]
pub struct Obstacles {
    /// Cuts from one station to another.
    cuts: Vec<Vec<u32>>,
    /// In thousandths.
    pub loss: Vec<u64>,
    pub slow: Vec<Micros>,
}

impl Obstacles {
    pub fn new(stations: usize) -> Obstacles {
        Obstacles { cuts: vec![vec![0; stations]; stations], loss: Vec::new(), slow: Vec::new() }
    }

    pub fn cut(&mut self, from: u32, to: u32, begins: bool) {
        for (source, row) in self.cuts.iter_mut().enumerate() {
            for (target, cuts) in row.iter_mut().enumerate() {
                if from & (1 << source) != 0 && to & (1 << target) != 0 && source != target {
                    *cuts = if begins { *cuts + 1 } else { cuts.saturating_sub(1) };
                }
            }
        }
    }
}

impl World {
    /// Whether messages of `from` reach `to` at all.
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        let plugged = |station: usize| {
            station == self.plan.hosts || (self.hosts[station].powered && self.hosts[station].unplugged == 0)
        };
        plugged(from) && plugged(to) && self.obstacles.cuts[from][to] == 0
    }

    /// Whether the network loses and delays nothing beyond its nature.
    pub fn network_is_whole(&self) -> bool {
        self.plan.net.loss == 0 && self.obstacles.loss.is_empty() && self.obstacles.slow.is_empty()
    }

    /// When a message of `from` arrives at `to`, once for each copy; never, if it is lost.
    fn ways(&mut self, from: usize, to: usize) -> [Option<Micros>; 2] {
        if !self.reaches(from, to) {
            return [None, None];
        }
        let loss = self.plan.net.loss + self.obstacles.loss.iter().max().copied().unwrap_or(0);
        if self.random.per_mille(loss) {
            return [None, None];
        }
        let first = self.way();
        let again = self.random.per_mille(self.plan.net.duplicates).then(|| self.way());
        [Some(first), again]
    }

    fn way(&mut self) -> Micros {
        let net = &self.plan.net;
        let (latency, jitter) = (net.latency, net.jitter);
        let slow = self.obstacles.slow.iter().max().copied().unwrap_or(0);
        let extra = if slow > 0 { self.random.between(0, slow) } else { 0 };
        latency + self.random.between(0, jitter) + extra
    }

    pub fn advertise(&mut self, h: usize, priority: u8, to: &[IpAddr]) {
        let advert = Advert {
            version: self.plan.version,
            vrid: self.router.vrid,
            priority,
            interval: Duration::from_micros(self.plan.interval),
            addresses: vec![self.router.vip],
        };
        let targets: Vec<usize> = if to.contains(&GROUP) {
            (0..self.plan.hosts).filter(|target| *target != h).collect()
        } else {
            let position =
                |address: &IpAddr| self.hosts.iter().position(|host| host.member.address == *address);
            to.iter().filter_map(position).collect()
        };
        for target in targets {
            for way in self.ways(h, target).into_iter().flatten() {
                let heard = Heard {
                    from: self.hosts[h].member.address,
                    ttl: 255,
                    advert: advert.clone(),
                    checksum: Checksum::PseudoHeader,
                    proof: Proof::default(),
                };
                let at = self.now + way;
                let arrived = Arrived { heard, from: h, at };
                self.at(at, Happening::Advert { to: target, arrived });
            }
        }
    }

    /// A gratuitous ARP: every station hears it.
    pub fn announce(&mut self, h: usize) {
        let about = About::Router(self.router.number);
        for station in (0..=self.plan.hosts).filter(|station| *station != h) {
            for way in self.ways(h, station).into_iter().flatten() {
                self.after(way, Happening::Claim { to: station, of: h, about });
            }
        }
    }

    /// Who has the address? Kernels answer, whether their agents run or not.
    pub fn probe(&mut self, h: usize) {
        let about = About::Router(self.router.number);
        for station in (0..self.plan.hosts).filter(|station| *station != h) {
            for way in self.ways(h, station).into_iter().flatten() {
                self.after(way, Happening::Question { to: station, by: h, about });
            }
        }
    }

    /// Are these there? Kernels answer this, too, and the gateway does.
    pub fn ask_for_life(&mut self, h: usize, targets: &[IpAddr]) {
        for target in targets {
            let station = (0..=self.plan.hosts).find(|station| self.address(*station) == *target);
            if let Some(station) = station {
                for way in self.ways(h, station).into_iter().flatten() {
                    self.after(way, Happening::Question { to: station, by: h, about: About::Station });
                }
            }
        }
    }

    /// The address of a station; the client's is the gateway's.
    pub fn address(&self, station: usize) -> IpAddr {
        self.hosts.get(station).map_or(self.gateway, |host| host.member.address)
    }

    /// A question, for the virtual address or for the station's own, has come to a kernel.
    pub fn question(&mut self, station: usize, by: usize, about: About) {
        let there = match about {
            About::Station => true,
            About::Router(router) => {
                self.turn_to(router);
                self.has(station)
            }
        };
        if there {
            for way in self.ways(station, by).into_iter().flatten() {
                self.after(way, Happening::Claim { to: by, of: station, about });
            }
        }
    }

    /// A station hears who has an address.
    pub fn claim(&mut self, to: usize, of: usize, about: About) {
        if let About::Router(router) = about {
            self.turn_to(router);
        }
        if to == self.plan.hosts {
            self.router.neighbour = Some(of);
            return;
        }
        let mac = self.hosts.get(of).map_or([2; 6], |host| host.mac);
        let address = if about == About::Station { self.address(of) } else { self.router.vip };
        let claim = (address, mac);
        let plugged = self.hosts[to].unplugged == 0;
        // A burst is one thing to be told: what is there already says the same.
        if let Some(process) = &mut self.hosts[to].process
            && process.claims.back() != Some(&claim)
            && plugged
        {
            process.claims.push_back(claim);
            self.poke(to);
        }
    }

    /// The client, or one that has just come, asks everybody.
    pub fn ask(&mut self) {
        let client = self.plan.hosts;
        self.each_router(|world| {
            let about = About::Router(world.router.number);
            for station in 0..client {
                for way in world.ways(client, station).into_iter().flatten() {
                    world.after(way, Happening::Question { to: station, by: client, about });
                }
            }
        });
        let next = self.random.between(20_000, 1_500_000);
        self.after(next, Happening::Ask);
    }
}
