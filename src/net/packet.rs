//! Packet sockets: what one interface receives, before netfilter, conntrack and rp_filter have their say.

use anyhow::Context;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::sys::socket::{LinkAddr, MsgFlags, SockaddrStorage, bind, getsockname, recvfrom, send};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Longer than any advert (8 + 255 x 16 bytes) with its IP header and an authentication trailer, and than any frame
/// of ARP or neighbour discovery.
const BUFFER: usize = 4608;

/// Classic BPF (linux/bpf_common.h): load a byte, load a half-word, compare, return.
pub(super) const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
pub(super) const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
pub(super) const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
pub(super) const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// The program that keeps what has `value` at `offset` and drops the rest.
pub(super) fn only(load: u16, offset: u32, value: u32) -> [SockFilter; 4] {
    [
        SockFilter::new(load, 0, 0, offset),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, value),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// A packet socket bound to one interface and one protocol. Being bound to a protocol, it does not get to see
/// what this host sends.
pub(super) struct PacketSocket {
    // Not UDP at all: the safe way to have tokio wait for a socket of another kind.
    socket: UdpSocket,
    interface: LinkAddr,
}

impl PacketSocket {
    /// `kind`: `RAW` with, `DGRAM` without the link-layer header; `filter` sees what `kind` leaves.
    pub(super) fn open(
        interface: &str,
        kind: Type,
        protocol: u16,
        filter: &[SockFilter],
    ) -> anyhow::Result<PacketSocket> {
        let address = link(interface)?;
        let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(i32::from(protocol.to_be()))))
            .context("cannot open a packet socket: it takes the capability NET_RAW")?;
        socket.attach_filter(filter).context("cannot attach a filter to the packet socket")?;
        socket.set_nonblocking(true)?;
        bind(socket.as_raw_fd(), &address)
            .with_context(|| format!("cannot bind a packet socket to interface {interface}"))?;
        let socket = UdpSocket::from_std(OwnedFd::from(socket).into())?;
        Ok(PacketSocket { socket, interface: address })
    }

    /// Waits for the next packet of which `read` makes something. Cancel-safe.
    pub(super) async fn receive<T>(&self, read: impl Fn(&[u8]) -> Option<T>) -> io::Result<T> {
        // An interface that goes down is told by an error alone: nothing becomes readable.
        let interest = Interest::READABLE | Interest::ERROR;
        loop {
            // The buffer is no part of the future: waits are begun and given up thousands of times a second.
            let next = self.socket.async_io(interest, || {
                let mut buffer = [0; BUFFER];
                Ok(self.read(&mut buffer)?.and_then(|length| read(buffer.get(..length)?)))
            });
            if let Some(next) = next.await? {
                return Ok(next);
            }
        }
    }

    /// The next packet of which `read` makes something, if one is there.
    pub(super) fn try_receive<T>(&self, read: impl Fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
        let mut buffer = [0; BUFFER];
        loop {
            match self.read(&mut buffer) {
                Ok(length) => {
                    let next = length.and_then(|length| read(buffer.get(..length)?));
                    if next.is_some() {
                        return Ok(next);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes one packet off the queue; none: it is not for us.
    fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        // As SockaddrStorage, because kernels before 5.2 return an address shorter than nix's LinkAddr asks for.
        let (length, from) = recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), buffer)?;
        let ours = from.as_ref().and_then(SockaddrStorage::as_link_addr).is_some_and(|from| {
            // Between socket() and bind() any interface's packets come in. And in promiscuous mode, or from a
            // VLAN that is not configured here, come frames for other stations.
            from.ifindex() == self.interface.ifindex()
                && matches!(
                    from.pkttype(),
                    libc::PACKET_HOST | libc::PACKET_BROADCAST | libc::PACKET_MULTICAST
                )
        });
        Ok(ours.then_some(length))
    }

    /// Sends one packet out of the interface; never blocks.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        twice(|| send(self.socket.as_raw_fd(), packet, MsgFlags::MSG_DONTWAIT))
    }

    /// What the socket is bound to, with the hardware address the interface has now. Unlike netlink's answers
    /// it does not wait for the kernel's rtnl lock.
    pub(super) fn link(&self) -> io::Result<LinkAddr> {
        let address = getsockname::<SockaddrStorage>(self.socket.as_raw_fd())?;
        match address.as_link_addr() {
            Some(link) if link.halen() > 0 => Ok(*link),
            _ => Err(Errno::ENODEV.into()),
        }
    }
}

/// Sends, and once more after an error: a socket reports what went wrong before (an ICMP error, an interface
/// that was down for a moment) on the next call, and so is rid of it.
pub(super) fn twice(mut send: impl FnMut() -> nix::Result<usize>) -> io::Result<()> {
    match send() {
        Err(error) if error != Errno::EAGAIN => send()?,
        other => other?,
    };
    Ok(())
}

/// The interface as an address to bind to. Asks netlink, which may wait for the kernel's rtnl lock.
fn link(interface: &str) -> anyhow::Result<LinkAddr> {
    let mut names = Vec::new();
    for entry in getifaddrs().context("cannot list the interfaces")? {
        let Some(link) = entry.address.as_ref().and_then(SockaddrStorage::as_link_addr).copied() else {
            continue;
        };
        if entry.interface_name == interface {
            return Ok(link);
        }
        names.push(entry.interface_name);
    }
    anyhow::bail!("there is no interface {interface}; there are {}", names.join(", "))
}
