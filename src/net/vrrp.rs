//! The sockets of VRRP over IPv4: adverts go out by a raw socket and come in by a packet socket.

use super::packet::{LOAD_BYTE, PacketSocket, RETURN, only, twice};
use anyhow::Context;
use nix::libc;
use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use pnet_packet::Packet;
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

const PROTOCOL: u8 = IpNextHeaderProtocols::Vrrp.0;
/// Network control (CS6), as RFC 9568 wants it.
const TOS: u32 = 0xc0;
const TTL: u32 = 255;
/// `TC_PRIO_INTERACTIVE` (linux/pkt_sched.h): ahead of the bulk in the interface's queue, and the highest that
/// needs no capability.
const PRIORITY: u32 = 6;
/// Longer than any advert (8 + 255 x 4 + 8 bytes) with its IP header and an authentication trailer.
const BUFFER: usize = 2048;

/// Sends adverts. While it is open, the kernel does not answer the peers' adverts with ICMP "protocol
/// unreachable".
pub struct Sender {
    socket: Socket,
}

impl Sender {
    /// Opens a raw socket on `interface` that sends from `source`.
    ///
    /// # Errors
    /// No such interface, no such address on this host, or the capability NET_RAW is missing.
    pub fn open(interface: &str, source: Ipv4Addr) -> anyhow::Result<Sender> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))
            .context("cannot open a raw socket for VRRP: it takes the capability NET_RAW")?;
        // The packet socket receives; here nothing may pile up.
        socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
        socket
            .bind_device(Some(interface.as_bytes()))
            .with_context(|| format!("cannot bind a raw socket to interface {interface}"))?;
        socket
            .bind(&SocketAddrV4::new(source, 0).into())
            .with_context(|| format!("cannot send from {source}: it is not an address of this host"))?;
        socket.set_ttl_v4(TTL)?;
        socket.set_tos_v4(TOS)?;
        // After the TOS, which sets a priority of its own.
        socket.set_priority(PRIORITY)?;
        // Without it the kernel sets "don't fragment", which other implementations do not.
        set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DONT)?;
        socket.set_nonblocking(true)?;
        Ok(Sender { socket })
    }

    /// Sends one VRRP message to a peer; never blocks.
    ///
    /// # Errors
    /// What the kernel says, among it `ENODEV` (the interface is gone: open anew), `ENETUNREACH` (no route),
    /// `EINVAL` (the source address is gone), `EPERM` (a firewall of this host).
    pub fn send(&self, message: &[u8], to: Ipv4Addr) -> io::Result<()> {
        let to = SockaddrIn::from(SocketAddrV4::new(to, 0));
        twice(|| sendto(self.socket.as_raw_fd(), message, &to, MsgFlags::MSG_DONTWAIT))
    }
}

/// A VRRP message as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Where it was sent to: not necessarily an address of ours.
    pub destination: Ipv4Addr,
    /// Time to live it arrived with.
    pub ttl: u8,
    /// The VRRP message, without padding.
    pub payload: Vec<u8>,
}

/// Receives adverts, whatever the firewall of this host thinks of them. What this host sends is not received.
pub struct Receiver {
    socket: PacketSocket,
    skipped: AtomicU64,
}

impl Receiver {
    /// Opens a packet socket on `interface`, which may be down. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// No such interface, or the capability NET_RAW is missing.
    pub fn open(interface: &str) -> anyhow::Result<Receiver> {
        let filter = only(LOAD_BYTE, 9, PROTOCOL.into());
        let socket = PacketSocket::open(interface, Type::DGRAM, libc::ETH_P_IP as u16, &filter)?;
        Ok(Receiver { socket, skipped: AtomicU64::new(0) })
    }

    /// Waits for the next message of protocol 112. Cancel-safe.
    ///
    /// # Errors
    /// `ENETDOWN` once, when the interface goes down or away or was down at the opening. A socket of an
    /// interface that comes up again goes on by itself, one of an interface that was made anew does not, and
    /// the two cannot be told apart here: open anew. Opening fails while the interface is away.
    pub async fn receive(&self) -> io::Result<Received> {
        let mut buffer = [0; BUFFER];
        loop {
            let length = self.socket.receive(&mut buffer).await?;
            if let Some(received) = self.message(&buffer, length) {
                return Ok(received);
            }
        }
    }

    /// The next message, if one has arrived already: for a look at the queue before silence is taken for death.
    ///
    /// # Errors
    /// As [`Receiver::receive`].
    pub fn try_receive(&self) -> io::Result<Option<Received>> {
        let mut buffer = [0; BUFFER];
        while let Some(length) = self.socket.try_receive(&mut buffer)? {
            if let Some(received) = self.message(&buffer, length) {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// How many packets were skipped because their IP header is broken or they are fragments.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    fn message(&self, buffer: &[u8], length: usize) -> Option<Received> {
        let message = buffer.get(..length).and_then(datagram);
        if message.is_none() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
        message
    }
}

/// Reads an IPv4 datagram of protocol 112 that may be followed by padding. The kernel has not looked at it yet,
/// so its checks are made up for (RFC 1122, section 3.2.1). Fragments are refused: no advert needs them.
fn datagram(packet: &[u8]) -> Option<Received> {
    let header = Ipv4Packet::new(packet)?;
    let header_length = 4 * usize::from(header.get_header_length());
    let total_length = usize::from(header.get_total_length());
    let fragment = header.get_flags() & Ipv4Flags::MoreFragments != 0 || header.get_fragment_offset() != 0;
    if header.get_version() != 4
        || header_length < Ipv4Packet::minimum_packet_size()
        || header.get_next_level_protocol() != IpNextHeaderProtocols::Vrrp
        || fragment
    {
        return None;
    }
    let payload = packet.get(header_length..total_length)?;
    // Sums to zero with the checksum in it.
    let sound = pnet_packet::util::checksum(header.packet().get(..header_length)?, usize::MAX) == 0;
    sound.then(|| Received {
        source: header.get_source(),
        destination: header.get_destination(),
        ttl: header.get_ttl(),
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests;
