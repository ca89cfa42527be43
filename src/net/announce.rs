//! ARP and neighbour discovery on one interface: tells the link where an address is, and listens to who else
//! claims it.

use super::packet::{JUMP_IF_EQUAL, LOAD_BYTE, LOAD_HALF, PacketSocket, RETURN, only};
use crate::wire::arp::{self, Form, Mac};
use crate::wire::ndp;
use nix::libc;
use pnet_packet::icmpv6::Icmpv6Types;
use pnet_packet::ip::IpNextHeaderProtocols;
use socket2::{SockFilter, Type};
use std::fmt;
use std::io;
use std::net::IpAddr;

/// Where the Ethernet header says what the frame carries.
const ETHERTYPE_OFFSET: u32 = 12;
/// Where the IPv6 header in a frame says what it carries, and where an ICMPv6 message says what it is.
const NEXT_HEADER_OFFSET: u32 = 14 + 6;
const ICMPV6_TYPE_OFFSET: u32 = 14 + 40;

/// Another station says that an address is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address it claims.
    pub address: IpAddr,
    /// The station.
    pub mac: Mac,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [a, b, c, d, e, g] = self.mac;
        write!(f, "{} is at {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}", self.address)
    }
}

/// Announces and probes addresses of both families, and hears the claims of other stations.
///
/// Every frame carries the hardware address the interface has at that moment, so a bond that changes it needs
/// nothing.
pub struct Announcer {
    arp: PacketSocket,
    ndp: PacketSocket,
}

impl Announcer {
    /// Opens packet sockets for ARP and neighbour discovery on `interface`. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// No such interface, one that is not Ethernet, or the capability NET_RAW is missing.
    pub fn open(interface: &str) -> anyhow::Result<Announcer> {
        let protocol = libc::ETH_P_ARP as u16;
        let filter = only(LOAD_HALF, ETHERTYPE_OFFSET, protocol.into());
        let arp = PacketSocket::open(interface, Type::RAW, protocol, &filter)?;
        let kind = arp.link()?.hatype();
        anyhow::ensure!(
            kind == libc::ARPHRD_ETHER,
            "interface {interface} is not Ethernet (hardware type {kind}): no address can be announced there"
        );
        let ndp = PacketSocket::open(interface, Type::RAW, libc::ETH_P_IPV6 as u16, &neighbours())?;
        Ok(Announcer { arp, ndp })
    }

    /// Tells the link that `address` is here; never blocks. IPv4: gratuitous ARP in both forms; IPv6: an
    /// unsolicited neighbour advertisement.
    ///
    /// # Errors
    /// `ENETDOWN`: the interface is down. `ENODEV`, `ENXIO`: it is gone, open anew. ARP's second form is sent
    /// even if the first fails.
    pub fn announce(&self, address: IpAddr) -> io::Result<()> {
        let mac = self.mac()?;
        match address {
            IpAddr::V4(address) => {
                let first = self.arp.send(&arp::announce(mac, address, Form::Request));
                first.and(self.arp.send(&arp::announce(mac, address, Form::Reply)))
            }
            IpAddr::V6(address) => self.ndp.send(&ndp::announce(mac, address)),
        }
    }

    /// Asks whether any station has `address`, without claiming it; [`Announcer::heard`] brings the answer.
    ///
    /// # Errors
    /// As [`Announcer::announce`].
    pub fn probe(&self, address: IpAddr) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => self.arp.send(&arp::probe(self.mac()?, address)),
            IpAddr::V6(address) => self.ndp.send(&ndp::probe(self.mac()?, address)),
        }
    }

    /// Asks the station at `target` for a sign of life, in the name of our own address `source` of the same
    /// family; [`Announcer::heard`] brings the answer.
    ///
    /// # Errors
    /// As [`Announcer::announce`]; `EAFNOSUPPORT`: the addresses are of two families.
    pub fn ask(&self, source: IpAddr, target: IpAddr) -> io::Result<()> {
        match (source, target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                self.arp.send(&arp::request(self.mac()?, source, target))
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                self.ndp.send(&ndp::request(self.mac()?, source, target))
            }
            _ => Err(nix::errno::Errno::EAFNOSUPPORT.into()),
        }
    }

    /// Waits for the next claim of another station to any address. Cancel-safe.
    ///
    /// # Errors
    /// As [`Receiver::receive`](super::vrrp::Receiver::receive), once for each of the two sockets.
    pub async fn heard(&self) -> io::Result<Claim> {
        loop {
            let claim = tokio::select! {
                claim = self.arp.receive(arp::decode_frame) => claim
                    .map(|claim| Claim { address: claim.address.into(), mac: claim.mac }),
                claim = self.ndp.receive(ndp::decode_frame) => claim
                    .map(|claim| Claim { address: claim.address.into(), mac: claim.mac }),
            }?;
            // A hub or a bridge may bring back what we sent.
            if claim.mac != self.mac()? {
                return Ok(claim);
            }
        }
    }

    /// The hardware address the interface has now.
    ///
    /// # Errors
    /// `ENODEV`: the interface is gone.
    pub fn mac(&self) -> io::Result<Mac> {
        self.arp.link()?.addr().ok_or_else(|| nix::errno::Errno::ENODEV.into())
    }
}

/// Lets neighbour solicitations and advertisements through, where no extension header hides them.
fn neighbours() -> [SockFilter; 7] {
    let is = |value, then, otherwise| SockFilter::new(JUMP_IF_EQUAL, then, otherwise, value);
    [
        SockFilter::new(LOAD_BYTE, 0, 0, NEXT_HEADER_OFFSET),
        is(IpNextHeaderProtocols::Icmpv6.0.into(), 0, 4),
        SockFilter::new(LOAD_BYTE, 0, 0, ICMPV6_TYPE_OFFSET),
        is(Icmpv6Types::NeighborSolicit.0.into(), 1, 0),
        is(Icmpv6Types::NeighborAdvert.0.into(), 0, 1),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
