//! Who holds an address, moment by moment.

use super::namespace::Namespace;
use anyhow::{Context, Result, ensure};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of rtnetlink(7).
const ADDRESS_GROUPS: u32 = 0x10 | 0x100;

/// An address came to a host or went from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When its notification was read. All hosts' are read by one thread, in the order they were sent; late by
    /// up to a few hundred microseconds on a busy machine.
    pub at: Instant,
    /// Number of the host.
    pub host: usize,
    /// The address.
    pub address: IpAddr,
    /// Whether the host has it from now on.
    pub held: bool,
}

/// How long an address was where, over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Time with two holders or more, added up.
    pub two: Duration,
    /// Time with no holder, added up.
    pub none: Duration,
    /// The holders at the end.
    pub now: Vec<usize>,
}

/// Keeps every change of every watched host's addresses.
pub struct Watcher {
    changes: watch::Sender<Vec<Change>>,
    blind: Arc<AtomicBool>,
}

impl Watcher {
    pub(super) fn new() -> Self {
        Self { changes: watch::Sender::new(Vec::new()), blind: Arc::default() }
    }

    /// Watches one more host from now on. Addresses it has already are not seen. `reader`'s thread does the
    /// reading: the same for all hosts, so that the order of their changes is kept.
    pub(super) async fn add(&self, host: usize, namespace: &Namespace, reader: &Namespace) -> Result<()> {
        let socket = namespace.run(async { address_monitor() }).await?.context("watch addresses")?;
        let (changes, blind) = (self.changes.clone(), self.blind.clone());
        reader
            .run(async move {
                // A netlink socket sends and receives datagrams; tokio's type for those serves it.
                let socket = tokio::net::UdpSocket::from_std(socket)?;
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(length) = socket.recv(&mut buffer).await {
                        note(host, buffer.get(..length).unwrap_or_default(), &changes);
                    }
                    blind.store(true, Ordering::Relaxed);
                });
                std::io::Result::Ok(())
            })
            .await?
            .context("watch addresses")
    }

    /// All changes so far; the receiver wakes with each.
    pub fn subscribe(&self) -> watch::Receiver<Vec<Change>> {
        self.changes.subscribe()
    }

    /// Who holds the address, as the last notifications say.
    ///
    /// # Errors
    /// When the kernel dropped notifications: better no answer than a wrong one.
    pub fn holders(&self, address: IpAddr) -> Result<Vec<usize>> {
        Ok(holders(&self.complete()?, address))
    }

    /// When a host lost the address for the first time from `since` on.
    ///
    /// # Errors
    /// When the kernel dropped notifications.
    pub fn lost(&self, host: usize, address: IpAddr, since: Instant) -> Result<Option<Instant>> {
        let lost = |change: &&Change| {
            change.host == host && change.address == address && !change.held && change.at >= since
        };
        Ok(self.complete()?.iter().find(lost).map(|change| change.at))
    }

    /// How many had the address, from `since` until now.
    ///
    /// # Errors
    /// When the kernel dropped notifications.
    pub fn holding(&self, address: IpAddr, since: Instant) -> Result<Holding> {
        Ok(holding(&self.complete()?, address, since, Instant::now()))
    }

    fn complete(&self) -> Result<watch::Ref<'_, Vec<Change>>> {
        ensure!(!self.blind.load(Ordering::Relaxed), "notifications of addresses were lost");
        Ok(self.changes.borrow())
    }
}

fn holders(changes: &[Change], address: IpAddr) -> Vec<usize> {
    let mut holders = Vec::new();
    for change in changes.iter().filter(|change| change.address == address) {
        holders.retain(|holder| *holder != change.host);
        if change.held {
            holders.push(change.host);
        }
    }
    holders.sort_unstable();
    holders
}

fn holding(changes: &[Change], address: IpAddr, since: Instant, until: Instant) -> Holding {
    let mut sum = Holding::default();
    let (before, after): (Vec<_>, Vec<_>) =
        changes.iter().filter(|change| change.address == address).partition(|change| change.at < since);
    let mut history: Vec<Change> = before.into_iter().copied().collect();
    let mut from = since;
    let mut account = |history: &[Change], from: Instant, to: Instant| {
        sum.now = holders(history, address);
        match sum.now.len() {
            0 => sum.none += to.saturating_duration_since(from),
            1 => {}
            _ => sum.two += to.saturating_duration_since(from),
        }
    };
    for change in after {
        account(&history, from, change.at);
        history.push(*change);
        from = change.at;
    }
    account(&history, from, until);
    sum
}

fn address_monitor() -> Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, ADDRESS_GROUPS))?;
    Ok(socket.into())
}

/// A datagram from rtnetlink: one or more messages.
fn note(host: usize, mut bytes: &[u8], changes: &watch::Sender<Vec<Change>>) {
    let at = Instant::now();
    while !bytes.is_empty() {
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) else { return };
        // Messages are aligned to four bytes.
        let length = (message.header.length as usize).next_multiple_of(4).max(4);
        bytes = bytes.get(length..).unwrap_or_default();
        let (address, held) = match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => (local(&message), true),
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(message)) => {
                (local(&message), false)
            }
            _ => continue,
        };
        let Some(address) = address else { continue };
        changes.send_if_modified(|changes| {
            // A renewed lease is notified too.
            let new = holders(changes, address).contains(&host) != held;
            if new {
                changes.push(Change { at, host, address, held });
            }
            new
        });
    }
}

fn local(message: &AddressMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) | AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })
}
