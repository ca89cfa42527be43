//! ARP on one interface: tells the link where an address is, and listens to who else claims it.

use super::packet::{LOAD_HALF, PacketSocket, only};
use crate::wire::arp::{self, Claim, Form, Mac};
use nix::libc;
use socket2::Type;
use std::io;
use std::net::Ipv4Addr;

/// Where the Ethernet header says what the frame carries.
const ETHERTYPE_OFFSET: u32 = 12;
/// Longer than an ARP frame; what follows is padding.
const BUFFER: usize = 128;

/// Announces and probes addresses, and hears the claims of other stations.
///
/// Every frame carries the hardware address the interface has at that moment, so a bond that changes it needs
/// nothing.
pub struct Announcer {
    socket: PacketSocket,
}

impl Announcer {
    /// Opens a packet socket for ARP on `interface`. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// No such interface, one that is not Ethernet, or the capability NET_RAW is missing.
    pub fn open(interface: &str) -> anyhow::Result<Announcer> {
        let arp = libc::ETH_P_ARP as u16;
        let filter = only(LOAD_HALF, ETHERTYPE_OFFSET, arp.into());
        let socket = PacketSocket::open(interface, Type::RAW, arp, &filter)?;
        let kind = socket.link()?.hatype();
        anyhow::ensure!(
            kind == libc::ARPHRD_ETHER,
            "interface {interface} is not Ethernet (hardware type {kind}): no address can be announced there"
        );
        Ok(Announcer { socket })
    }

    /// Tells the link that `address` is here, in both forms; never blocks.
    ///
    /// # Errors
    /// `ENETDOWN`: the interface is down. `ENODEV`, `ENXIO`: it is gone, open anew. The second form is sent
    /// even if the first fails.
    pub fn announce(&self, address: Ipv4Addr) -> io::Result<()> {
        let mac = self.mac()?;
        let first = self.socket.send(&arp::announce(mac, address, Form::Request));
        first.and(self.socket.send(&arp::announce(mac, address, Form::Reply)))
    }

    /// Asks whether any station has `address`, without claiming it; [`Announcer::heard`] brings the answer.
    ///
    /// # Errors
    /// As [`Announcer::announce`].
    pub fn probe(&self, address: Ipv4Addr) -> io::Result<()> {
        self.socket.send(&arp::probe(self.mac()?, address))
    }

    /// Asks the station at `target` for a sign of life, in the name of our own address `source`;
    /// [`Announcer::heard`] brings the answer.
    ///
    /// # Errors
    /// As [`Announcer::announce`].
    pub fn ask(&self, source: Ipv4Addr, target: Ipv4Addr) -> io::Result<()> {
        self.socket.send(&arp::request(self.mac()?, source, target))
    }

    /// Waits for the next claim of another station to any address. Cancel-safe.
    ///
    /// # Errors
    /// As [`Receiver::receive`](super::vrrp::Receiver::receive).
    pub async fn heard(&self) -> io::Result<Claim> {
        let mut frame = [0; BUFFER];
        loop {
            let length = self.socket.receive(&mut frame).await?;
            if let Some(claim) = frame.get(..length).and_then(arp::decode_frame)
                // A hub or a bridge may bring back what we sent.
                && claim.mac != self.mac()?
            {
                return Ok(claim);
            }
        }
    }

    /// The hardware address the interface has now.
    ///
    /// # Errors
    /// `ENODEV`: the interface is gone.
    pub fn mac(&self) -> io::Result<Mac> {
        self.socket.link()?.addr().ok_or_else(|| nix::errno::Errno::ENODEV.into())
    }
}
