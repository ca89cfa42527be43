//! Who gets our adverts: the members of the last good membership, and whoever else was heard or was one.

use crate::core::Time;
use crate::core::advert::Checksum;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// How long somebody who is not listed keeps getting our adverts after last being heard or listed. An agent on
/// a host that was removed from Rancher never learns so from its own metadata service; were we to fall silent,
/// it would claim the address.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Unlisted peers that are kept, so that forged sources cannot fill the memory.
const UNLISTED_MAX: usize = 32;

/// A listed peer that has shown no sign of life for so long is named. Kernels confirm the way to a silent peer
/// every minute or so.
const MISSING: Duration = Duration::from_secs(120);

/// The peers of a virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peers {
    group: Option<IpAddr>,
    listed: Vec<IpAddr>,
    /// When they were first and last heard or listed.
    unlisted: BTreeMap<IpAddr, (Time, Time)>,
    heard: BTreeMap<IpAddr, Checksum>,
    /// Listed, but there has been neither an advert nor an answer to ARP: since when, and whether that was told.
    missing: BTreeMap<IpAddr, (Time, bool)>,
}

impl Peers {
    /// Nobody yet. `group`: adverts go to this multicast group, instead of to each peer.
    pub fn new(group: Option<IpAddr>) -> Peers {
        Peers {
            group,
            listed: Vec::new(),
            unlisted: BTreeMap::new(),
            heard: BTreeMap::new(),
            missing: BTreeMap::new(),
        }
    }

    /// Takes over a new list; who is no longer on it stays a peer for a while.
    pub fn set_listed(&mut self, now: Time, listed: Vec<IpAddr>) {
        for gone in self.listed.iter().filter(|peer| !listed.contains(peer)) {
            self.unlisted.insert(*gone, (now, now));
        }
        self.unlisted.retain(|peer, _| !listed.contains(peer));
        self.heard.retain(|peer, _| listed.contains(peer) || self.unlisted.contains_key(peer));
        self.missing.retain(|peer, _| listed.contains(peer));
        for new in listed.iter().filter(|peer| !self.listed.contains(peer) && !self.heard.contains_key(peer))
        {
            self.missing.insert(*new, (now, false));
        }
        self.listed = listed;
        self.forget(now);
    }

    /// A valid advert came from `peer`, with this form of checksum. Tells of one who is not listed for how long it
    /// has been heard.
    pub fn hear(&mut self, now: Time, peer: IpAddr, checksum: Checksum) -> Option<Duration> {
        let mut age = None;
        if !self.listed.contains(&peer) {
            self.forget(now);
            if !self.unlisted.contains_key(&peer) && self.unlisted.len() >= UNLISTED_MAX {
                return None;
            }
            let (first, last) = self.unlisted.entry(peer).or_insert((now, now));
            *last = now;
            age = Some(now.saturating_sub(*first));
        }
        self.heard.insert(peer, checksum);
        self.missing.remove(&peer);
        age
    }

    /// A station answered by ARP.
    pub fn saw(&mut self, peer: IpAddr) {
        self.missing.remove(&peer);
    }

    /// Whether nothing has shown yet that a listed peer exists.
    pub fn is_missing(&self, peer: IpAddr) -> bool {
        self.missing.contains_key(&peer)
    }

    /// A listed peer that has been missing for long; each is told once.
    pub fn take_missing(&mut self, now: Time) -> Option<IpAddr> {
        let long = |since: Time| now.saturating_sub(since) >= MISSING;
        let (peer, (_, told)) = self.missing.iter_mut().find(|(_, (since, told))| !*told && long(*since))?;
        *told = true;
        Some(*peer)
    }

    /// The form of checksum a peer was last heard with.
    pub fn checksum_of(&self, peer: IpAddr) -> Option<Checksum> {
        self.heard.get(&peer).copied()
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
        match self.group {
            Some(group) => vec![group],
            None => self.stations(),
        }
    }

    /// Everybody who takes part, as far as is known.
    pub fn stations(&self) -> Vec<IpAddr> {
        self.listed.iter().chain(self.unlisted.keys()).copied().collect()
    }

    fn forget(&mut self, now: Time) {
        self.unlisted.retain(|_, (_, last)| now.saturating_sub(*last) < REMEMBERED);
    }
}
