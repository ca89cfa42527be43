//! One virtual router as the thread knows it: whose its addresses are, and what of it is news.

use super::{Event, MARK, Settings};
use crate::net::is_link_local;
use crate::net::link::{Change, Entry, Link};
use crate::net::lock::Lock;
use std::collections::HashMap;
use std::net::IpAddr;

pub(super) struct Router {
    pub(super) settings: Settings,
    /// The locks of our addresses. One that is missing belongs to another agent for now.
    pub(super) locks: HashMap<IpAddr, Lock>,
    /// Added, and not removed since: the addresses ought to be there.
    pub(super) held: bool,
    pub(super) link: Link,
    /// Nothing was asked for yet: what an earlier run left behind is left to its lifetime.
    pub(super) unasked: bool,
    /// What was added by the last request and is not in effect yet.
    pub(super) awaited: Vec<Entry>,
    /// Whether the kernel keeps marks: 5.18 and later do, and those it was ported back to show it.
    marks_kept: bool,
    /// What is known of the virtual router's addresses and the source address.
    known: Vec<Entry>,
    told_foreign: Vec<Entry>,
    told_leftover: bool,
    told_source: Option<bool>,
    told_link: Option<Link>,
}

impl Router {
    /// `release`: the kernel's, such as `6.1.0-18-amd64`.
    pub(super) fn new(settings: Settings, release: &str) -> Router {
        Router {
            settings,
            locks: HashMap::new(),
            held: false,
            unasked: true,
            link: Link::ABSENT,
            awaited: Vec::new(),
            marks_kept: keeps_marks(release),
            known: Vec::new(),
            told_foreign: Vec::new(),
            told_leftover: false,
            told_source: None,
            told_link: None,
        }
    }

    fn is_vip(&self, address: IpAddr) -> bool {
        self.settings.vips.iter().any(|(vip, _)| *vip == address)
    }

    fn matters(&self, entry: &Entry) -> bool {
        let wanted = self.is_vip(entry.address) || self.settings.source == Some(entry.address);
        // On another interface a link-local address is another address.
        wanted && (!is_link_local(entry.address) || Some(entry.index) == self.link.index)
    }

    /// Whether it is where our entry of an address is, or would be.
    pub(super) fn is_our_place(&self, entry: &Entry) -> bool {
        Some(entry.index) == self.link.index && self.settings.vips.contains(&(entry.address, entry.prefix))
    }

    /// See the documentation of [`super`].
    fn is_ours(&self, entry: &Entry) -> bool {
        let by_its_looks = if self.marks_kept {
            entry.mark == Some(MARK)
        } else {
            self.is_our_place(entry)
                && match self.settings.lease {
                    Some(lease) => entry.valid.is_some_and(|valid| valid <= lease),
                    None => self.held,
                }
        };
        by_its_looks && self.is_vip(entry.address) && self.locks.contains_key(&entry.address)
    }

    /// Whether another agent has one of our addresses, or had when we last looked.
    pub(super) fn lacks_locks(&self) -> bool {
        self.locks.len() < self.settings.vips.len()
    }

    pub(super) fn ours(&self) -> Vec<Entry> {
        self.known.iter().filter(|entry| self.is_ours(entry)).copied().collect()
    }

    /// What an earlier run left behind, to be removed now; without what the kernel itself removes soon enough.
    pub(super) fn leftovers(&self) -> Vec<Entry> {
        if self.held {
            return Vec::new();
        }
        self.ours().into_iter().filter(|entry| !self.is_spared(entry)).collect()
    }

    fn is_spared(&self, entry: &Entry) -> bool {
        // No longer than if this run had just renewed it.
        self.unasked && entry.valid.is_some() && entry.valid <= self.settings.lease
    }

    pub(super) fn foreign(&self) -> impl Iterator<Item = &Entry> {
        self.known.iter().filter(|entry| self.is_vip(entry.address) && !self.is_ours(entry))
    }

    /// Entries of our addresses, whoever's they are, anywhere but in our place.
    pub(super) fn elsewhere(&self) -> Vec<Entry> {
        let elsewhere = |entry: &&Entry| self.is_vip(entry.address) && !self.is_our_place(entry);
        self.known.iter().filter(elsewhere).copied().collect()
    }

    fn known(&self, entry: &Entry) -> Option<&Entry> {
        self.known.iter().find(|known| known.same_place(entry))
    }

    /// Whether the entry is known to be there, with this prefix.
    pub(super) fn is_there(&self, entry: &Entry) -> bool {
        self.known(entry).is_some_and(|known| known.prefix == entry.prefix)
    }

    /// Our entries as they are once we have put them there.
    pub(super) fn places(&self, index: u32) -> Vec<Entry> {
        let entry = |&(address, prefix)| Entry {
            index,
            address,
            prefix,
            mark: self.marks_kept.then_some(MARK),
            valid: self.settings.lease,
            secondary: false,
            tentative: false,
        };
        self.settings.vips.iter().map(entry).collect()
    }

    pub(super) fn learn(&mut self, entry: Entry) {
        self.forget(&entry);
        self.known.push(entry);
    }

    pub(super) fn forget(&mut self, entry: &Entry) {
        self.known.retain(|known| !known.same_place(entry));
    }

    /// Whether a change that was told contradicts what is known. If so, what is there now must be read: it may
    /// be old news. Our own doings are known once they are acknowledged, and contradict nothing when they are told.
    pub(super) fn is_contradicted_by(&self, change: &Change) -> bool {
        match change {
            Change::Address(entry) => {
                let looks = |entry: &Entry| (entry.prefix, entry.mark, entry.tentative, self.is_ours(entry));
                self.matters(entry) && self.known(entry).map(looks) != Some(looks(entry))
            }
            Change::AddressGone(entry) => self.known(entry).is_some(),
            Change::Link { name, link } => {
                let is_ours = self.link.index.is_some() && link.index == self.link.index;
                match name {
                    Some(name) if *name == self.settings.interface => *link != self.link,
                    Some(_) => is_ours, // It was renamed.
                    None => is_ours && *link != self.link,
                }
            }
            Change::LinkGone { index } => self.link.index == Some(*index),
            Change::Lost => true,
        }
    }

    /// Takes in everything there is; returns what of ours is gone.
    pub(super) fn see(&mut self, link: Link, entries: &[Entry]) -> Vec<Event> {
        let mut gone = if self.held { self.ours() } else { Vec::new() };
        self.marks_kept |= entries.iter().any(|entry| entry.mark.is_some());
        self.link = link;
        self.known = entries.iter().filter(|entry| self.matters(entry)).copied().collect();
        gone.retain(|entry| self.known(entry).is_none());
        gone.into_iter().map(|entry| Event::Gone { address: entry.address }).collect()
    }

    /// What has changed since it was last asked.
    pub(super) fn news(&mut self) -> Vec<Event> {
        let mut news = Vec::new();
        let foreign: Vec<Entry> =
            if self.settings.adopt { Vec::new() } else { self.foreign().copied().collect() };
        let before = std::mem::replace(&mut self.told_foreign, foreign);
        for entry in &self.told_foreign {
            if !before.iter().any(|told| told.same_place(entry)) {
                news.push(Event::Foreign {
                    address: entry.address,
                    interface: interface_name(entry.index),
                    clear_with: self.clear_with(entry),
                });
            }
        }
        for (vip, _) in &self.settings.vips {
            let has = |entries: &[Entry]| entries.iter().any(|entry| entry.address == *vip);
            if has(&before) && !has(&self.told_foreign) {
                news.push(Event::ForeignGone { address: *vip });
            }
        }
        if !self.told_leftover && self.ours().iter().any(|entry| self.is_spared(entry)) {
            self.told_leftover = true;
            news.push(Event::Leftover);
        }
        if let Some(source) = self.settings.source {
            let present = self.known.iter().any(|entry| entry.address == source && !entry.tentative);
            if self.told_source.replace(present) != Some(present) {
                news.push(Event::Source { present });
            }
        }
        if self.told_link.replace(self.link) != Some(self.link) {
            news.push(Event::Link(self.link));
        }
        news
    }

    /// What to say when an entry that is not ours is in the way.
    pub(super) fn blocked_by(&self, entry: &Entry) -> String {
        let (address, name, clear_with) =
            (entry.address, interface_name(entry.index), self.clear_with(entry));
        if self.locks.contains_key(&address) {
            format!(
                "{address} is on {name} already, and not by this agent; remove it with `{clear_with}`, or set \
                 OUTRIDER_ADOPT=true to take it over"
            )
        } else {
            format!("{address} is on {name} by another agent; {clear_with}")
        }
    }

    fn clear_with(&self, entry: &Entry) -> String {
        let Entry { address, prefix, index, .. } = entry;
        if self.locks.contains_key(address) {
            format!("ip addr del {address}/{prefix} dev {}", interface_name(*index))
        } else {
            other_agent(*address)
        }
    }
}

fn keeps_marks(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= (5, 18),
        // Unknown: then only a mark counts, so that nothing is touched that may be somebody else's.
        _ => true,
    }
}

/// What to say when another agent has the lock of an address.
pub(super) fn other_agent(address: IpAddr) -> String {
    format!("stop the other agent on this host that serves {address}")
}

/// The name of an interface, for messages.
pub(super) fn interface_name(index: u32) -> String {
    nix::net::if_::if_indextoname(index)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|_| format!("interface {index}"))
}

#[cfg(test)]
mod tests;
