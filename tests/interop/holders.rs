//! Who has the address, moment by moment, whichever way its router takes it: keepalived and outrider add it and
//! remove it, vrrpd opens and closes the interface it is on.

use crate::frr;
use anyhow::{Context, Result};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use outrider::lab::namespace::Namespace;
use outrider::lab::watch::{Change, Watcher};
use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// RTMGRP_LINK of rtnetlink(7).
const LINK_GROUP: u32 = 1;

/// What a stretch of time was like at its worst.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Worst {
    /// The longest time with two holders or more.
    pub two: Duration,
    /// The longest time with no holder.
    pub none: Duration,
}

/// The changes of an address. Every one is told by the host's kernel: nothing is missed between two samples.
pub struct Holders {
    address: IpAddr,
    /// Of hosts where an interface opens and closes, and the changes there.
    links: Arc<Mutex<(BTreeSet<usize>, Vec<Change>)>>,
}

impl Holders {
    pub fn new(address: IpAddr) -> Holders {
        Holders { address, links: Arc::default() }
    }

    /// From now on this host has the address when its interface for vrrpd is open.
    pub async fn watch_link(&self, host: usize, namespace: &Namespace) -> Result<()> {
        self.links.lock().unwrap().0.insert(host);
        let socket = namespace.run(async { link_monitor() }).await?.context("watch links")?;
        let (address, links) = (self.address, self.links.clone());
        namespace
            .run(async move {
                // A netlink socket sends and receives datagrams; tokio's type for those serves it.
                let socket = tokio::net::UdpSocket::from_std(socket)?;
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 * 1024];
                    loop {
                        let length = socket.recv(&mut buffer).await.expect("every notification is read");
                        let at = Instant::now();
                        for held in states(&buffer[..length]) {
                            let changes = &mut links.lock().unwrap().1;
                            // Everything about an interface is told, not only whether it is open.
                            let last = changes.iter().rev().find(|change| change.host == host);
                            if last.is_some_and(|last| last.held) != held {
                                changes.push(Change { at, host, address, held });
                            }
                        }
                    }
                });
                std::io::Result::Ok(())
            })
            .await?
            .context("watch links")
    }

    /// All changes so far, the oldest first.
    pub fn changes(&self, watcher: &Watcher) -> Vec<Change> {
        let links = self.links.lock().unwrap();
        let addresses = watcher.subscribe();
        let mut changes: Vec<Change> = addresses
            .borrow()
            .iter()
            .filter(|change| change.address == self.address && !links.0.contains(&change.host))
            .chain(&links.1)
            .copied()
            .collect();
        changes.sort_by_key(|change| change.at);
        changes
    }
}

/// Who has it after these changes.
pub fn holders(changes: &[Change]) -> Vec<usize> {
    let mut holders = BTreeSet::new();
    for change in changes {
        if change.held {
            holders.insert(change.host);
        } else {
            holders.remove(&change.host);
        }
    }
    holders.into_iter().collect()
}

/// The worst of a stretch of time.
pub fn worst(changes: &[Change], since: Instant, until: Instant) -> Worst {
    let mut worst = Worst::default();
    // Since when it has been so, if it is.
    let (mut two, mut none) = (None, None);
    let first = changes.partition_point(|change| change.at < since);
    for known in first..=changes.len() {
        let from = if known == first { since } else { changes[known - 1].at };
        let to = changes.get(known).map_or(until, |change| change.at).min(until);
        let count = holders(&changes[..known]).len();
        for (state, begun, longest) in
            [(count > 1, &mut two, &mut worst.two), (count == 0, &mut none, &mut worst.none)]
        {
            if state {
                let begun = *begun.get_or_insert(from);
                *longest = (*longest).max(to.saturating_duration_since(begun));
            } else {
                *begun = None;
            }
        }
    }
    worst
}

fn link_monitor() -> Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, LINK_GROUP))?;
    Ok(socket.into())
}

/// What a datagram from rtnetlink says about vrrpd's interface: whether it is open.
fn states(mut bytes: &[u8]) -> Vec<bool> {
    let mut states = Vec::new();
    while !bytes.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).expect("a netlink message");
        // Messages are aligned to four bytes.
        let length = (message.header.length as usize).next_multiple_of(4);
        bytes = bytes.get(length..).unwrap_or_default();
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) if is_ours(&link) => {
                states.push(link.header.flags.contains(LinkFlags::Up | LinkFlags::Running));
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) if is_ours(&link) => {
                states.push(false);
            }
            _ => {}
        }
    }
    states
}

fn is_ours(link: &LinkMessage) -> bool {
    let named = |attribute: &LinkAttribute| matches!(attribute, LinkAttribute::IfName(name) if name == frr::INTERFACE);
    link.attributes.iter().any(named)
}

#[test]
fn the_worst_of_a_stretch_is_its_longest_spell() {
    let start = Instant::now();
    let ms = |ms| start + Duration::from_millis(ms);
    let change = |at, host, held| Change { at: ms(at), host, address: [10, 10, 10, 2].into(), held };
    let changes = [
        change(10, 0, true),
        change(100, 0, false),
        change(130, 1, true), // 30 without
        change(200, 0, true),
        change(210, 2, true), // two and three are one spell
        change(215, 0, false),
        change(240, 2, false), // 40 with two
        change(300, 1, false),
    ];
    let of = |since, until| worst(&changes, ms(since), ms(until));
    let expected = |two, none| Worst { two: Duration::from_millis(two), none: Duration::from_millis(none) };
    assert_eq!(of(20, 250), expected(40, 30));
    assert_eq!(of(110, 250), expected(40, 20), "only what is within counts");
    assert_eq!(of(20, 205), expected(5, 30));
    assert_eq!(of(220, 350), expected(20, 50), "to the end");
    assert_eq!(of(310, 320), expected(0, 10));
    assert_eq!(of(140, 150), expected(0, 0));
}
