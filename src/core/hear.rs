//! What is heard: adverts, and who claims an address by ARP or neighbour discovery.

use super::advert::Checksum;
use super::auth::{Auth, Mode};
use super::event::State;
use super::{Agent, Heard, Time};
use std::net::IpAddr;

impl Agent {
    /// A datagram that was understood. Those of other virtual routers are ignored.
    pub fn handle_advert(&mut self, now: Time, heard: &Heard) {
        let _ = self.take_advert(now, heard);
    }

    /// The same, and whether it counts as an advert of a peer.
    ///
    /// # Errors
    /// The kind of mistake it is rejected for.
    pub fn take_advert(&mut self, now: Time, heard: &Heard) -> Result<(), &'static str> {
        self.wake(now);
        let (from, advert) = (heard.from, &heard.advert);
        if advert.vrid != self.settings.vrid {
            return Err("vrid");
        }
        if from == self.settings.source {
            let text = format!("an advert came in from our own address {from}: is it used by another host?");
            self.warn(from, "own address", text);
            return Err("own address");
        }
        if heard.ttl < self.settings.min_ttl {
            let text = format!("{from} sends with TTL {}; set OUTRIDER_MIN_TTL to accept it", heard.ttl);
            self.warn(from, "TTL", text);
            return Err("TTL");
        }
        self.understand(now, heard)?;
        self.believe(now, heard)?;
        self.notice_mistakes(now, heard);
        if advert.priority != 0 {
            // Whoever announced the address was this router: it is answered, or yielded to.
            self.contested = None;
            self.rival_at = Some(now);
        }
        self.guard.heard(now);
        self.hear_peer(now, from, heard.checksum);
        if !self.peers.is_listed(from) {
            self.reread(now);
        }
        let successor = advert.priority == 0 && self.is_successor_of(from);
        self.router.advert(now, from, advert, successor, &mut self.commands);
        self.notice_stubbornness(now, heard);
        self.settle(now);
        Ok(())
    }

    /// A datagram for our virtual router that is broken: somebody may hold the address who cannot be followed.
    pub fn handle_rejected(&mut self, now: Time, from: IpAddr, why: &str) {
        self.wake(now);
        if from != self.settings.source {
            let text = format!("adverts of {from} are rejected: {why}");
            let counts = self.settings.auth != Auth::Signed(Mode::Enforce);
            self.mistaken(now, from, "rejected", text, counts);
            self.settle(now);
        }
    }

    /// A station speaks CARP, which shares number and group with VRRP.
    pub fn handle_carp(&mut self, from: IpAddr) {
        let text = format!(
            "{from} speaks CARP, which shares protocol number and group with VRRP: give the two different ids"
        );
        self.warn(from, "CARP", text);
    }

    /// The form of checksum for an advert to this receiver: the one it was heard with, since it is sure to accept
    /// that.
    pub fn checksum_for(&self, receiver: IpAddr) -> Checksum {
        self.peers.checksum_of(receiver).unwrap_or(self.settings.checksum)
    }

    /// Whether it makes a difference to this virtual router that a station has said by ARP (or by neighbour
    /// discovery) that this address is its own.
    pub fn watches(&self, address: IpAddr) -> bool {
        self.settings.addresses.contains(&address)
            || self.guard.targets().contains(&address)
            || self.peers.is_missing(address)
    }

    /// Another station said by ARP that this address is its own.
    pub fn handle_arp(&mut self, now: Time, address: IpAddr, mac: [u8; 6]) {
        self.wake(now);
        self.guard.saw(now, address);
        self.peers.saw(address);
        if self.settings.addresses.contains(&address) {
            self.probe.answered(now, mac);
            let rival = self.rival_at.is_some_and(|at| now.saturating_sub(at) <= self.contest());
            if self.router.state() == State::Active && !rival {
                self.contested.get_or_insert((mac, now));
            }
        }
        self.settle(now);
    }
}
