//! Who gets our adverts: the members of the last good membership, and whoever else was heard or was one.

use crate::core::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How long somebody who is not listed keeps getting our adverts after last being heard or listed. An agent on
/// a host that was removed from Rancher never learns so from its own metadata service; were we to fall silent,
/// it would claim the address.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Unlisted peers that are kept, so that forged sources cannot fill the memory.
const UNLISTED_MAX: usize = 32;

/// The peers of a virtual router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Peers {
    listed: Vec<IpAddr>,
    unlisted: BTreeMap<IpAddr, Time>,
    heard: BTreeMap<IpAddr, Time>,
}

impl Peers {
    /// Takes over a new list; who is no longer on it stays a peer for a while.
    pub fn set_listed(&mut self, now: Time, listed: Vec<IpAddr>) {
        for gone in self.listed.iter().filter(|peer| !listed.contains(peer)) {
            self.unlisted.insert(*gone, now);
        }
        self.unlisted.retain(|peer, _| !listed.contains(peer));
        self.heard.retain(|peer, _| listed.contains(peer) || self.unlisted.contains_key(peer));
        self.listed = listed;
        self.forget(now);
    }

    /// A valid advert came from `peer`. Tells whether it is new and unlisted.
    pub fn hear(&mut self, now: Time, peer: IpAddr) -> bool {
        let mut stranger = false;
        if !self.listed.contains(&peer) {
            self.forget(now);
            if !self.unlisted.contains_key(&peer) && self.unlisted.len() >= UNLISTED_MAX {
                return false;
            }
            stranger = self.unlisted.insert(peer, now).is_none();
        }
        self.heard.insert(peer, now);
        stranger
    }

    /// Whether the peer is on the list.
    pub fn is_listed(&self, peer: IpAddr) -> bool {
        self.listed.contains(&peer)
    }

    /// Whether any peer was heard since the start.
    pub fn any_heard(&self) -> bool {
        !self.heard.is_empty()
    }

    /// Everybody who gets our adverts.
    pub fn targets(&self) -> Vec<IpAddr> {
        self.listed.iter().chain(self.unlisted.keys()).copied().collect()
    }

    fn forget(&mut self, now: Time) {
        self.unlisted.retain(|_, last| now.saturating_sub(*last) < REMEMBERED);
    }
}
