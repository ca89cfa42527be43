//! Adverts as they arrive, with the kernel's time of each.

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, bind, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Room for all that comes between two looks.
const BUFFER: usize = 64 << 20;
const VRRP: u32 = 112;

/// One that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Advert {
    source: Ipv4Addr,
    pub vrid: u8,
    /// By the clock of the day.
    pub at: Duration,
}

/// A packet socket that sees VRRP over IPv4.
pub struct Capture {
    socket: Socket,
    adverts: Vec<Advert>,
    /// Packets that found no room.
    dropped: u32,
}

impl Capture {
    /// Sees from now on what an interface of this namespace receives.
    pub fn open(interface: &str) -> Result<Self> {
        let protocol = Protocol::from(i32::from((libc::ETH_P_IP as u16).to_be()));
        let socket =
            Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol)).context("open a packet socket")?;
        // The byte of the IP header that names the protocol.
        let (load, equal, end) = (0x30, 0x15, 0x06);
        socket.attach_filter(&[
            SockFilter::new(load, 0, 0, 9),
            SockFilter::new(equal, 0, 1, VRRP),
            SockFilter::new(end, 0, 0, u32::MAX),
            SockFilter::new(end, 0, 0, 0),
        ])?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).context("a large buffer takes root")?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        let card = getifaddrs()?.find(|card| {
            let is_link = card.address.as_ref().is_some_and(|address| address.as_link_addr().is_some());
            card.interface_name == interface && is_link
        });
        let address = card.and_then(|card| card.address).with_context(|| format!("no {interface}"))?;
        bind(socket.as_raw_fd(), &address)?;
        Ok(Self { socket, adverts: Vec::new(), dropped: 0 })
    }

    /// Takes what has arrived.
    pub fn read(&mut self) -> Result<()> {
        let mut buffer = [0; 2048];
        let mut control = nix::cmsg_space!(TimeSpec, u32);
        loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let fd = self.socket.as_raw_fd();
            let message =
                recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT);
            let message = match message {
                Err(Errno::EAGAIN) => return Ok(()),
                other => other?,
            };
            let mut at = None;
            for control in message.cmsgs()? {
                match control {
                    ControlMessageOwned::ScmTimestampns(time) => at = Some(Duration::from(time)),
                    ControlMessageOwned::RxqOvfl(dropped) => self.dropped = dropped,
                    _ => {}
                }
            }
            let (at, length) = (at.context("a packet without a time")?, message.bytes);
            self.adverts.extend(advert(buffer.get(..length).unwrap_or_default(), at));
        }
    }

    /// What came from a host.
    pub fn adverts(self, source: Ipv4Addr) -> Result<Vec<Advert>> {
        ensure!(self.dropped == 0, "{} packets found no room", self.dropped);
        Ok(self.adverts.into_iter().filter(|advert| advert.source == source).collect())
    }
}

/// An IPv4 packet with a VRRP advert of version 3.
fn advert(packet: &[u8], at: Duration) -> Option<Advert> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let [0x31, vrid, ..] = *packet.get(header..)? else { return None };
    Some(Advert { source: source.into(), vrid, at })
}
