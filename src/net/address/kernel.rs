//! The sockets: requests, several addresses in one datagram and one answer for each; and what the kernel tells.

use super::MARK;
use crate::net::link::{self, Entry, Link, Monitor, errno};
use anyhow::Context;
use futures_util::StreamExt;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::SocketAddr;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;
use rtnetlink::proto::{ConnectionHandle, new_connection};
use std::net::IpAddr;

/// Changes in one datagram: the answers to several hundred would not fit into the socket's buffer, and the lost
/// ones never come.
const BATCH: usize = 64;

/// One change to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Put it there.
    Put {
        /// Renew it if it is there already; else its presence is an error (`EEXIST`).
        replace: bool,
        /// Seconds it lives; none: without limit.
        lease: Option<u32>,
    },
    /// Take it away.
    Delete,
}

/// The sockets of the thread, opened again by themselves should they break.
pub(super) struct Kernel {
    connection: Option<ConnectionHandle<RouteNetlinkMessage>>,
    monitor: Option<Monitor>,
    /// What is known may be wrong: everything must be read.
    pub(super) unread: bool,
}

impl Kernel {
    /// Opens them. Needs a tokio runtime around it.
    pub(super) fn open() -> anyhow::Result<Kernel> {
        Ok(Kernel { connection: Some(connect()?), monitor: Some(Monitor::open()?), unread: false })
    }

    /// The next change that is told, or never while the socket is broken. Cancel-safe.
    pub(super) async fn next(&mut self) -> link::Change {
        let Some(monitor) = &mut self.monitor else { return std::future::pending().await };
        match monitor.next().await {
            Some(change) => change,
            None => {
                tracing::warn!("the netlink socket that tells of changes broke; opening another");
                self.monitor = None;
                link::Change::Lost
            }
        }
    }

    /// The state of an interface.
    pub(super) async fn link(&mut self, name: &str) -> anyhow::Result<Link> {
        self.monitor()?.link(name).await
    }

    /// All addresses of this host.
    pub(super) async fn addresses(&mut self) -> anyhow::Result<Vec<Entry>> {
        self.monitor()?.addresses().await
    }

    fn monitor(&mut self) -> anyhow::Result<&Monitor> {
        if self.monitor.is_none() {
            self.monitor = Some(Monitor::open()?);
        }
        self.monitor.as_ref().context("there is no netlink socket")
    }

    /// Makes changes, which the kernel works off in order and in one go, so that addresses renewed together also
    /// expire together. The answers are in the order of the changes.
    pub(super) async fn apply(
        &mut self,
        changes: &[(Entry, Change)],
    ) -> Result<Vec<Result<(), Errno>>, String> {
        let mut answers = Vec::with_capacity(changes.len());
        for batch in changes.chunks(BATCH) {
            match self.apply_batch(batch).await {
                Ok(more) => answers.extend(more),
                Err(error) => {
                    // Without an answer nobody knows what was done.
                    self.connection = None;
                    self.unread = true;
                    return Err(format!("{error:#}"));
                }
            }
        }
        Ok(answers)
    }

    async fn apply_batch(&mut self, batch: &[(Entry, Change)]) -> anyhow::Result<Vec<Result<(), Errno>>> {
        let handle = match &mut self.connection {
            Some(open) => open,
            None => self.connection.insert(connect()?),
        };
        let messages: Vec<_> = batch.iter().map(|(entry, change)| message(entry, *change)).collect();
        let mut answers = Vec::with_capacity(batch.len());
        if let Ok(mut stream) = handle.request_batch(messages, SocketAddr::new(0, 0)) {
            while let Some(answer) = stream.next().await {
                if let NetlinkPayload::Error(error) = answer.payload {
                    answers.push(if error.code.is_none() { Ok(()) } else { Err(errno(&error)) });
                }
            }
        }
        anyhow::ensure!(answers.len() == batch.len(), "the netlink socket broke");
        Ok(answers)
    }
}

fn connect() -> anyhow::Result<ConnectionHandle<RouteNetlinkMessage>> {
    let (mut connection, handle, _unasked) =
        new_connection::<RouteNetlinkMessage>(NETLINK_ROUTE).context("cannot open a netlink socket")?;
    connection.set_forward_ack(true);
    tokio::spawn(connection);
    Ok(handle)
}

fn message(entry: &Entry, change: Change) -> NetlinkMessage<RouteNetlinkMessage> {
    let Entry { index, address, prefix, .. } = *entry;
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.header.family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    let (message, flags) = match change {
        Change::Put { replace, lease } => {
            // Without it, a replaced address would become permanent.
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_valid = lease.unwrap_or(u32::MAX);
            lifetime.ifa_preferred = lifetime.ifa_valid;
            if address.is_ipv6() {
                let mut flags = AddressFlags::Nodad;
                if prefix == 128 {
                    // An IPv4 /32 is not chosen as a source by itself, an IPv6 /128 is, unless it is deprecated.
                    lifetime.ifa_preferred = 0;
                    // The route to an address with a lifetime would stay for the rest of it.
                    flags |= AddressFlags::Noprefixroute;
                }
                message.attributes.push(AddressAttribute::Flags(flags));
            }
            message.attributes.push(AddressAttribute::CacheInfo(lifetime));
            message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(MARK)));
            let flags = NLM_F_CREATE | if replace { NLM_F_REPLACE } else { NLM_F_EXCL };
            (RouteNetlinkMessage::NewAddress(message), flags)
        }
        Change::Delete => (RouteNetlinkMessage::DelAddress(message), 0),
    };
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message
}
