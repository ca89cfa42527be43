//! The sockets of VRRP over IPv4 and IPv6: adverts go out by a raw socket and come in by a packet socket.

mod datagram;

use super::Family;
use super::packet::{PacketSocket, RETURN, twice};
use anyhow::Context;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};
use pnet_packet::ip::IpNextHeaderProtocols;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

const PROTOCOL: u8 = IpNextHeaderProtocols::Vrrp.0;
/// Network control (CS6), as RFC 9568 wants it: type of service or traffic class.
const TOS: u32 = 0xc0;
/// Time to live or hop limit: more than what a router has forwarded.
const TTL: u32 = 255;
/// `TC_PRIO_INTERACTIVE` (linux/pkt_sched.h): ahead of the bulk in the interface's queue, and the highest that
/// needs no capability.
const PRIORITY: u32 = 6;

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// The multicast group of VRRP: 224.0.0.18 or ff02::12.
pub fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => GROUP_V4.into(),
        Family::V6 => GROUP_V6.into(),
    }
}

/// Sends adverts. While it is open, the kernel does not answer the peers' adverts with ICMP "protocol
/// unreachable" (IPv6: "unrecognized next header").
pub struct Sender {
    socket: Socket,
    family: Family,
    index: u32,
}

impl Sender {
    /// Opens a raw socket on `interface` that sends from `source`, to single hosts and to the group. What it sends
    /// to the group does not come back to this host.
    ///
    /// # Errors
    /// No such interface, no such address on this host, or the capability NET_RAW is missing.
    pub fn open(interface: &str, source: IpAddr) -> anyhow::Result<Sender> {
        let family = Family::of(source);
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))
            .context("cannot open a raw socket for VRRP: it takes the capability NET_RAW")?;
        // The packet socket receives; here nothing may pile up.
        socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
        // Multicasts leave by the device that the socket is bound to, too.
        socket
            .bind_device(Some(interface.as_bytes()))
            .with_context(|| format!("cannot bind a raw socket to interface {interface}"))?;
        let index =
            if_nametoindex(interface).with_context(|| format!("there is no interface {interface}"))?;
        socket.bind(&SocketAddr::new(source, 0).into()).with_context(|| match family {
            Family::V4 => format!("cannot send from {source}: it is not an address of this host"),
            Family::V6 => format!("cannot send from {source}: it is not an address of this host, or not yet"),
        })?;
        match family {
            Family::V4 => {
                socket.set_ttl_v4(TTL)?;
                socket.set_multicast_ttl_v4(TTL)?;
                socket.set_multicast_loop_v4(false)?;
                socket.set_tos_v4(TOS)?;
                // Without it the kernel sets "don't fragment", which other implementations do not.
                set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT)?;
            }
            // IPV6_CHECKSUM stays off, as it is on raw sockets: the message has its checksum, and what is tested
            // as bytes goes out as those bytes.
            Family::V6 => {
                socket.set_unicast_hops_v6(TTL)?;
                socket.set_multicast_hops_v6(TTL)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_tclass_v6(TOS)?;
            }
        }
        // After the TOS, which sets a priority of its own.
        socket.set_priority(PRIORITY)?;
        socket.set_nonblocking(true)?;
        Ok(Sender { socket, family, index })
    }

    /// Joins the [group] on the interface until the sender is closed, which also lets its adverts in through the
    /// interface's own filter and through switches that listen to IGMP and MLD. Once for each sender.
    ///
    /// # Errors
    /// `ENODEV`: the interface is gone. `ENOBUFS`: too many memberships.
    pub fn join(&self) -> io::Result<()> {
        match self.family {
            Family::V4 => {
                self.socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(self.index))
            }
            Family::V6 => self.socket.join_multicast_v6(&GROUP_V6, self.index),
        }
    }

    /// Sends one VRRP message, complete with its checksum, to a peer or to the [group]; never blocks.
    ///
    /// # Errors
    /// What the kernel says, among it `ENODEV` (the interface is gone: open anew), `ENETUNREACH` (no route),
    /// `EINVAL` (the source address is gone, or `to` is of the other family), `EPERM` (a firewall of this host).
    /// That an IPv6 source is gone it does not say, and sends from it:
    /// [`Event::Source`](super::address::Event::Source) tells.
    pub fn send(&self, message: &[u8], to: IpAddr) -> io::Result<()> {
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        twice(|| sendto(self.socket.as_raw_fd(), message, &to, MsgFlags::MSG_DONTWAIT))
    }
}

/// A VRRP message as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub source: IpAddr,
    /// Where it was sent to: not necessarily an address of ours.
    pub destination: IpAddr,
    /// Time to live, or hop limit, it arrived with.
    pub ttl: u8,
    /// The VRRP message, without padding.
    pub payload: Vec<u8>,
}

/// Receives adverts, whatever the firewall of this host thinks of them: one family's, of all virtual routers on
/// the interface. What this host sends is not received. Multicasts need a [member](Sender::join).
pub struct Receiver {
    socket: PacketSocket,
    family: Family,
    skipped: AtomicU64,
}

impl Receiver {
    /// Opens a packet socket on `interface`, which may be down. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// No such interface, or the capability NET_RAW is missing.
    pub fn open(interface: &str, family: Family) -> anyhow::Result<Receiver> {
        let socket = match family {
            Family::V4 => {
                PacketSocket::open(interface, Type::DGRAM, libc::ETH_P_IP as u16, &datagram::filter_v4())?
            }
            Family::V6 => {
                PacketSocket::open(interface, Type::DGRAM, libc::ETH_P_IPV6 as u16, &datagram::filter_v6())?
            }
        };
        Ok(Receiver { socket, family, skipped: AtomicU64::new(0) })
    }

    /// Waits for the next message of protocol 112. Cancel-safe.
    ///
    /// # Errors
    /// `ENETDOWN` once, when the interface goes down or away or was down at the opening. A socket of an
    /// interface that comes up again goes on by itself, one of an interface that was made anew does not, and
    /// the two cannot be told apart here: open anew. Opening fails while the interface is away.
    pub async fn receive(&self) -> io::Result<Received> {
        self.socket.receive(|packet| self.message(packet)).await
    }

    /// The next message, if one has arrived already: for a look at the queue before silence is taken for death.
    ///
    /// # Errors
    /// As [`Receiver::receive`].
    pub fn try_receive(&self) -> io::Result<Option<Received>> {
        self.socket.try_receive(|packet| self.message(packet))
    }

    /// How many packets were skipped because their IP header is broken, they are fragments, or they have an
    /// IPv6 extension header: no advert needs one.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    fn message(&self, packet: &[u8]) -> Option<Received> {
        let (is_vrrp, message) = match self.family {
            Family::V4 => (datagram::is_vrrp_v4(packet), datagram::read_v4(packet)),
            Family::V6 => (datagram::is_vrrp_v6(packet), datagram::read_v6(packet)),
        };
        // Before the socket had its filter, anything may have come in.
        if is_vrrp && message.is_none() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
        message
    }
}
