//! Requests to the kernel: several addresses in one datagram, one answer for each.

use super::MARK;
use crate::net::link::errno;
use anyhow::Context;
use futures_util::StreamExt;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressProtocol, CacheInfo};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, SocketAddr};
use nix::errno::Errno;
use rtnetlink::proto::{ConnectionHandle, new_connection};
use std::net::Ipv4Addr;

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

/// A socket for requests, opened again by itself should it break.
pub(super) struct Kernel {
    connection: Option<(ConnectionHandle<RouteNetlinkMessage>, u32)>,
}

impl Kernel {
    /// Opens it. Needs a tokio runtime around it.
    pub(super) fn open() -> anyhow::Result<Kernel> {
        Ok(Kernel { connection: Some(connect()?) })
    }

    /// Whether a change that carries this port was our own doing.
    pub(super) fn is_own(&self, port: u32) -> bool {
        self.connection.as_ref().is_some_and(|(_, own)| *own == port)
    }

    /// Sends changes as one datagram, which the kernel works off in order and in one go, so that addresses
    /// renewed together also expire together. The answers are in the order of the changes.
    pub(super) async fn apply(
        &mut self,
        changes: &[(u32, Ipv4Addr, u8, Change)],
    ) -> anyhow::Result<Vec<Result<(), Errno>>> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let (handle, _) = match &self.connection {
            Some(open) => open.clone(),
            None => self.connection.insert(connect()?).clone(),
        };
        let messages: Vec<_> = changes
            .iter()
            .map(|&(index, address, prefix, change)| message(index, address, prefix, change))
            .collect();
        let mut answers = Vec::with_capacity(changes.len());
        if let Ok(mut stream) = handle.request_batch(messages, SocketAddr::new(0, 0)) {
            while let Some(answer) = stream.next().await {
                if let NetlinkPayload::Error(error) = answer.payload {
                    answers.push(if error.code.is_none() { Ok(()) } else { Err(errno(&error)) });
                }
            }
        }
        if answers.len() < changes.len() {
            self.connection = None;
            anyhow::bail!("the netlink socket broke");
        }
        Ok(answers)
    }
}

fn connect() -> anyhow::Result<(ConnectionHandle<RouteNetlinkMessage>, u32)> {
    let (mut connection, handle, _unasked) =
        new_connection::<RouteNetlinkMessage>(NETLINK_ROUTE).context("cannot open a netlink socket")?;
    connection.set_forward_ack(true);
    let own = connection.socket_mut().socket_mut().bind_auto().context("cannot bind a netlink socket")?;
    tokio::spawn(connection);
    Ok((handle, own.port_number()))
}

fn message(index: u32, address: Ipv4Addr, prefix: u8, change: Change) -> NetlinkMessage<RouteNetlinkMessage> {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.index = index;
    message.header.prefix_len = prefix;
    message.attributes =
        vec![AddressAttribute::Local(address.into()), AddressAttribute::Address(address.into())];
    let (message, flags) = match change {
        Change::Put { replace, lease } => {
            // Without it, a replaced address would become permanent.
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_valid = lease.unwrap_or(u32::MAX);
            lifetime.ifa_preferred = lifetime.ifa_valid;
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
