//! What the kernel tells about links and addresses, asked for and unasked.

use anyhow::Context;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use netlink_packet_core::{
    ErrorMessage, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rtnetlink::{Handle, MulticastGroup};
use std::net::IpAddr;

/// How often the addresses are read anew when they change meanwhile.
const TRIES: usize = 8;

/// An address on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index of the interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
    /// Who put it there (`IFA_PROTO`); none: nobody said, or the kernel is older than 5.18.
    pub mark: Option<u8>,
    /// Seconds it has left; none: no limit.
    pub valid: Option<u32>,
    /// Whether the kernel deletes it along with the first address of its subnet (IPv4 only).
    pub secondary: bool,
    /// Whether nothing can be sent from it yet: duplicate address detection is under way, or failed (IPv6 only).
    pub tentative: bool,
}

impl Entry {
    /// Whether both are the same entry in the kernel's eyes, which for IPv6 does not look at the prefix.
    pub fn same_place(&self, other: &Entry) -> bool {
        (self.index, self.address) == (other.index, other.address)
            && (self.prefix == other.prefix || self.address.is_ipv6())
    }

    fn read(message: &AddressMessage) -> Option<Entry> {
        let header = &message.header;
        let has = |flag| header.flags.intersects(flag);
        let (secondary, tentative) = match header.family {
            AddressFamily::Inet => (has(AddressHeaderFlags::Secondary), false),
            // The bit that means "secondary" for IPv4 means "temporary" here.
            AddressFamily::Inet6 => {
                (false, has(AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed))
            }
            _ => return None,
        };
        let (mut local, mut far, mut mark, mut valid) = (None, None, None, None);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(address) => local = Some(*address),
                AddressAttribute::Address(address) => far = Some(*address),
                AddressAttribute::Protocol(by) => mark = Some(u8::from(*by)),
                AddressAttribute::CacheInfo(info) if info.ifa_valid != u32::MAX => {
                    valid = Some(info.ifa_valid);
                }
                _ => {}
            }
        }
        // IFA_ADDRESS is the far end on a point-to-point link; without one, IPv6 leaves IFA_LOCAL out.
        let address = local.or(far.filter(|address| address.is_ipv6()))?;
        let (index, prefix) = (header.index, header.prefix_len);
        Some(Entry { index, address, prefix, mark, valid, secondary, tentative })
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
    /// An address is there, or something about it is new.
    Address(Entry),
    /// An address is gone.
    AddressGone(Entry),
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

/// A subscription to the changes of links and addresses in this network namespace, and a way to read them.
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
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&groups).context(why)?;
        tokio::spawn(connection);
        let (mut connection, reader, _) = rtnetlink::new_connection().context(why)?;
        connection.set_forward_done(true);
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

    /// All addresses of this network namespace.
    ///
    /// # Errors
    /// When the kernel refuses, the socket is broken, or the addresses change faster than they can be read.
    pub async fn addresses(&self) -> anyhow::Result<Vec<Entry>> {
        for _ in 0..TRIES {
            if let Some(entries) =
                self.read_addresses().await.context("cannot read the addresses of this host")?
            {
                return Ok(entries);
            }
        }
        anyhow::bail!("the addresses of this host change faster than they can be read")
    }

    /// None: they changed meanwhile (`NLM_F_DUMP_INTR`), so that some may be missing.
    async fn read_addresses(&self) -> anyhow::Result<Option<Vec<Entry>>> {
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let mut question = NetlinkMessage::from(question);
        question.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut answers = self.reader.clone().request(question)?;
        let (mut entries, mut changed) = (Vec::new(), false);
        while let Some(answer) = answers.next().await {
            changed |= answer.header.flags & NLM_F_DUMP_INTR != 0;
            match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => {
                    entries.extend(Entry::read(&message));
                }
                NetlinkPayload::Done(_) => return Ok((!changed).then_some(entries)),
                NetlinkPayload::Error(error) => return Err(error.to_io().into()),
                _ => {}
            }
        }
        // Half of them would look as if the rest were gone.
        anyhow::bail!("the netlink socket broke")
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
    let message = match &message.payload {
        NetlinkPayload::InnerMessage(message) => message,
        NetlinkPayload::Overrun(_) => return Some(Change::Lost),
        _ => return None,
    };
    match message {
        RouteNetlinkMessage::NewAddress(message) => Entry::read(message).map(Change::Address),
        RouteNetlinkMessage::DelAddress(message) => Entry::read(message).map(Change::AddressGone),
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
