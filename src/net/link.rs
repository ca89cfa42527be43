//! What the kernel tells about links and IPv4 addresses, asked for and unasked.

use anyhow::Context;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use netlink_packet_core::{ErrorMessage, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rtnetlink::{Handle, MulticastGroup};
use std::net::{IpAddr, Ipv4Addr};

/// An IPv4 address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index of the interface.
    pub index: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// Its prefix length.
    pub prefix: u8,
    /// Who put it there (`IFA_PROTO`); none: nobody said, or the kernel is older than 5.18.
    pub mark: Option<u8>,
    /// Seconds it has left; none: no limit.
    pub valid: Option<u32>,
    /// Whether the kernel deletes it along with the first address of its subnet.
    pub secondary: bool,
}

impl Entry {
    /// Whether both are the same address in the kernel's eyes.
    pub fn same_place(&self, other: &Entry) -> bool {
        (self.index, self.address, self.prefix) == (other.index, other.address, other.prefix)
    }

    fn read(message: &AddressMessage) -> Option<Entry> {
        if message.header.family != AddressFamily::Inet {
            return None;
        }
        let mut entry = Entry {
            index: message.header.index,
            address: Ipv4Addr::UNSPECIFIED,
            prefix: message.header.prefix_len,
            mark: None,
            valid: None,
            secondary: message.header.flags.contains(AddressHeaderFlags::Secondary),
        };
        for attribute in &message.attributes {
            match attribute {
                // IFA_ADDRESS is the far end on a point-to-point link, so only IFA_LOCAL counts.
                AddressAttribute::Local(IpAddr::V4(address)) => entry.address = *address,
                AddressAttribute::Protocol(mark) => entry.mark = Some(u8::from(*mark)),
                AddressAttribute::CacheInfo(info) if info.ifa_valid != u32::MAX => {
                    entry.valid = Some(info.ifa_valid);
                }
                _ => {}
            }
        }
        (!entry.address.is_unspecified()).then_some(entry)
    }
}

/// The state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index while it exists; another one after it was deleted and made again.
    pub index: Option<u32>,
    /// Whether packets can pass: it is switched on, and the kernel sees a carrier and calls it operational.
    pub up: bool,
}

impl Link {
    /// The interface does not exist.
    pub const ABSENT: Link = Link { index: None, up: false };

    fn read(message: &LinkMessage) -> Link {
        // IFF_RUNNING is the operational state (RFC 2863) as the kernel sums it up.
        let needed = LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp;
        Link { index: Some(message.header.index), up: message.header.flags.contains(needed) }
    }
}

/// Something the kernel told unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An address is there, or something about it is new. `by`: netlink port of who did it, 0 for the kernel.
    Address {
        /// The address.
        entry: Entry,
        /// Who did it.
        by: u32,
    },
    /// An address is gone.
    AddressGone {
        /// The address.
        entry: Entry,
        /// Who did it.
        by: u32,
    },
    /// A link is there, or something about it is new.
    Link {
        /// Its name, if the message says it.
        name: Option<String>,
        /// Its state.
        link: Link,
    },
    /// A link is gone.
    LinkGone {
        /// Index it had.
        index: u32,
    },
    /// Something was lost: everything must be read again.
    Lost,
}

/// A subscription to the changes of links and IPv4 addresses in this network namespace, and a way to read them.
pub struct Monitor {
    messages: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    /// On a socket of its own: on the subscribed one the kernel drops answers, too, when changes flood it.
    reader: Handle,
}

impl Monitor {
    /// Subscribes. What is read later is never older than the changes that are told. Needs a tokio runtime
    /// around it.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> anyhow::Result<Monitor> {
        let why = "cannot open a netlink socket to watch the interface";
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr])
                .context(why)?;
        tokio::spawn(connection);
        let (connection, reader, _) = rtnetlink::new_connection().context(why)?;
        tokio::spawn(connection);
        Ok(Monitor { messages: messages.map(|(message, _)| message).boxed(), reader })
    }

    /// The next change; `None` when the socket is broken and must be opened again. Cancel-safe.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            let message = self.messages.next().await?;
            if let Some(change) = read(&message) {
                return Some(change);
            }
        }
    }

    /// All IPv4 addresses of this network namespace.
    ///
    /// # Errors
    /// When the kernel refuses, or the socket is broken.
    pub async fn addresses(&self) -> anyhow::Result<Vec<Entry>> {
        let mut request = self.reader.address().get();
        request.message_mut().header.family = AddressFamily::Inet;
        request
            .execute()
            .try_filter_map(|message| std::future::ready(Ok(Entry::read(&message))))
            .try_collect()
            .await
            .context("cannot read the addresses of this host")
    }

    /// The state of one interface.
    ///
    /// # Errors
    /// When the kernel refuses, or the socket is broken. An interface that does not exist is no error.
    pub async fn link(&self, name: &str) -> anyhow::Result<Link> {
        let mut links = Box::pin(self.reader.link().get().match_name(name).execute());
        match links.try_next().await {
            Ok(Some(message)) => Ok(Link::read(&message)),
            Ok(None) => anyhow::bail!("no answer about the interface {name}"),
            Err(rtnetlink::Error::NetlinkError(error)) if errno(&error) == Errno::ENODEV => Ok(Link::ABSENT),
            Err(error) => {
                Err(error).with_context(|| format!("cannot read the state of the interface {name}"))
            }
        }
    }
}

/// The error in an answer of the kernel.
pub(super) fn errno(error: &ErrorMessage) -> Errno {
    Errno::from_raw(error.raw_code().wrapping_neg())
}

fn read(message: &NetlinkMessage<RouteNetlinkMessage>) -> Option<Change> {
    let by = message.header.port_number;
    let message = match &message.payload {
        NetlinkPayload::InnerMessage(message) => message,
        NetlinkPayload::Overrun(_) => return Some(Change::Lost),
        _ => return None,
    };
    match message {
        RouteNetlinkMessage::NewAddress(message) => {
            Entry::read(message).map(|entry| Change::Address { entry, by })
        }
        RouteNetlinkMessage::DelAddress(message) => {
            Entry::read(message).map(|entry| Change::AddressGone { entry, by })
        }
        // A bridge tells of its ports by the same messages: one that is taken out of a bridge is not gone.
        RouteNetlinkMessage::NewLink(message) | RouteNetlinkMessage::DelLink(message)
            if message.header.interface_family != AddressFamily::Unspec =>
        {
            None
        }
        RouteNetlinkMessage::NewLink(message) => {
            let name = message.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            });
            Some(Change::Link { name, link: Link::read(message) })
        }
        RouteNetlinkMessage::DelLink(message) => Some(Change::LinkGone { index: message.header.index }),
        _ => None,
    }
}
