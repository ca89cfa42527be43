//! What every host sends and gets of VRRP and ARP, seen at its port of the switch: a host cannot hide anything
//! there, and nothing is lost before it, whatever the switch does with it afterwards.

use crate::support::SOON;
use anyhow::{Context, Result, ensure};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
    SockaddrStorage, bind, recv, recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use outrider::lab::{Lab, VIP};
use outrider::wire::{advert, arp};
use pnet_packet::Packet;
use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::ipv4::Ipv4Packet;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// A frame about the virtual router.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it passed the port: the kernel's time.
    pub at: Instant,
    /// Whose port.
    pub host: usize,
    /// Whether the host sent it; else it goes there.
    pub sent: bool,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Advert {
        to: Ipv4Addr,
        priority: u8,
    },
    /// Gratuitous ARP for [`VIP`].
    Announcement {
        /// Whether the host's kernel had told by then that it has the address.
        there: bool,
    },
    /// Any other ARP message that says the sender has [`VIP`].
    Claim,
}

/// One host's eyes.
struct Port {
    host: usize,
    index: usize,
    frames: Socket,
    /// Tells of the addresses of the host itself.
    addresses: OwnedFd,
    there: bool,
}

/// Sees the ports of all hosts of a lab from its opening on.
pub struct Wire {
    frames: watch::Receiver<Vec<Frame>>,
    renewals: watch::Receiver<Vec<(usize, Instant)>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    pub async fn open(lab: &Lab) -> Result<Wire> {
        let mut ports = Vec::new();
        for host in lab.hosts() {
            let name = host.name().to_owned();
            let (frames, index) = lab.switch().namespace().run(async move { packets(&name) }).await??;
            let addresses = host.namespace().run(async { addresses() }).await??;
            ports.push(Port { host: host.index(), index, frames, addresses, there: false });
        }
        let (write_frames, frames) = watch::channel(Vec::new());
        let (write_renewals, renewals) = watch::channel(Vec::new());
        let end = Arc::new(AtomicBool::new(false));
        let ended = end.clone();
        let thread =
            std::thread::spawn(move || see(&mut ports, &ended, &write_frames, &write_renewals).unwrap());
        Ok(Wire { frames, renewals, end, thread: Some(thread) })
    }

    /// What a host has sent since.
    pub fn sent(&self, host: usize, since: Instant) -> Vec<Frame> {
        let wanted = |frame: &&Frame| frame.host == host && frame.sent && frame.at >= since;
        let mut frames: Vec<Frame> = self.frames.borrow().iter().filter(wanted).cloned().collect();
        frames.sort_by_key(|frame| frame.at);
        frames
    }

    /// The adverts among it, by their priorities; one for each time, not for each peer.
    pub fn adverts(&self, host: usize, since: Instant) -> Vec<(Instant, u8)> {
        let mut first = None;
        let mut adverts = Vec::new();
        for frame in self.sent(host, since) {
            if let What::Advert { to, priority } = frame.what
                && *first.get_or_insert(to) == to
            {
                adverts.push((frame.at, priority));
            }
        }
        adverts
    }

    /// When it announced the address.
    pub fn announcements(&self, host: usize, since: Instant) -> Vec<Instant> {
        let is_announcement = |frame: &Frame| matches!(frame.what, What::Announcement { .. });
        self.sent(host, since).into_iter().filter(is_announcement).map(|frame| frame.at).collect()
    }

    /// Waits until a host has sent so many adverts since.
    pub async fn wait_for_adverts(&self, host: usize, count: usize, since: Instant) -> Result<()> {
        let mut frames = self.frames.clone();
        let enough = frames.wait_for(|frames| {
            let wanted = |frame: &&Frame| {
                let advert = matches!(frame.what, What::Advert { priority: 1.., .. });
                frame.host == host && frame.sent && frame.at >= since && advert
            };
            frames.iter().filter(wanted).count() >= count
        });
        tokio::time::timeout(SOON, enough)
            .await
            .with_context(|| format!("no {count} adverts of {host}"))??;
        Ok(())
    }

    /// When a host sent its first advert since that is like this, told as soon as it has.
    pub async fn first_advert(
        &self,
        host: usize,
        since: Instant,
        wanted: impl Fn(u8) -> bool,
    ) -> Result<(Instant, u8)> {
        let mut frames = self.frames.clone();
        let first = || self.adverts(host, since).into_iter().find(|(_, priority)| wanted(*priority));
        let found = async {
            loop {
                match first() {
                    Some(found) => return anyhow::Ok(found),
                    None => frames.changed().await?,
                }
            }
        };
        tokio::time::timeout(SOON, found).await.with_context(|| format!("no such advert of host {host}"))?
    }

    /// How often a host's kernel was given a lifetime for [`VIP`] since: the first time, and at renewals.
    pub fn renewals(&self, host: usize, since: Instant) -> usize {
        self.renewals.borrow().iter().filter(|(by, at)| *by == host && *at >= since).count()
    }

    /// Asserts that a host has said nothing at all about the address since.
    pub fn assert_mute(&self, host: usize, since: Instant) -> Result<()> {
        let said = self.sent(host, since);
        ensure!(said.is_empty(), "host {host} should have been silent: {said:?}");
        Ok(())
    }

    /// Longest pause between two adverts of a host since.
    pub fn longest_pause(&self, host: usize, since: Instant) -> Duration {
        let times: Vec<Instant> = self.adverts(host, since).into_iter().map(|(at, _)| at).collect();
        let ends = std::iter::once(since).chain(times.iter().copied());
        let pauses = ends.zip(times.iter().copied().chain([Instant::now()]));
        pauses.map(|(from, to)| to.saturating_duration_since(from)).max().unwrap_or_default()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn see(
    ports: &mut [Port],
    end: &AtomicBool,
    frames: &watch::Sender<Vec<Frame>>,
    renewals: &watch::Sender<Vec<(usize, Instant)>>,
) -> Result<()> {
    while !end.load(Ordering::Relaxed) {
        let mut files: Vec<PollFd> = (ports.iter())
            .flat_map(|port| [port.frames.as_fd(), port.addresses.as_fd()])
            .map(|file| PollFd::new(file, PollFlags::POLLIN))
            .collect();
        poll(&mut files, PollTimeout::from(50_u8))?;
        drop(files);
        for port in ports.iter_mut() {
            port.read_addresses(renewals)?;
            while let Some((at, sent, frame)) = port.read_frame()? {
                // Before the frame is judged: what the kernel did before the host sent it has been told by now.
                port.read_addresses(renewals)?;
                if let Some(what) = understand(&frame, port.there) {
                    let frame = Frame { at, host: port.host, sent, what };
                    frames.send_modify(|frames| frames.push(frame));
                }
            }
        }
    }
    Ok(())
}

impl Port {
    fn read_addresses(&mut self, renewals: &watch::Sender<Vec<(usize, Instant)>>) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match recv(self.addresses.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Err(nix::Error::EAGAIN) => return Ok(()),
                length => length.context("what the kernel tells of addresses")?,
            };
            let mut bytes = &buffer[..length];
            while !bytes.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes)?;
                bytes = bytes.get((message.header.length as usize).next_multiple_of(4)..).unwrap_or_default();
                match message.payload {
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(it)) if is_vip(&it) => {
                        self.there = true;
                        renewals.send_modify(|renewals| renewals.push((self.host, Instant::now())));
                    }
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(it)) if is_vip(&it) => {
                        self.there = false;
                    }
                    _ => {}
                }
            }
        }
    }

    /// The next frame: when it passed, whether the host sent it, what it is.
    fn read_frame(&self) -> Result<Option<(Instant, bool, Vec<u8>)>> {
        let mut buffer = [0; 2048];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let mut control = nix::cmsg_space!(TimeSpec);
        let descriptor = self.frames.as_raw_fd();
        let received =
            recvmsg::<SockaddrStorage>(descriptor, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT);
        let received = match received {
            // Told once when the port goes down; it goes on by itself.
            Err(nix::Error::EAGAIN | nix::Error::ENETDOWN) => return Ok(None),
            received => received.context("a packet socket")?,
        };
        let (now, wall) = (Instant::now(), SystemTime::now());
        let stamp = received.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        let passed = SystemTime::UNIX_EPOCH + stamp.context("no time stamp")?;
        let at = now - wall.duration_since(passed).unwrap_or_default();
        let from = received.address.context("no address")?;
        let from = from.as_link_addr().context("no address of a packet")?;
        // Between socket() and bind() come frames of all ports.
        if from.ifindex() != self.index {
            return self.read_frame();
        }
        let (sent, length) = (from.pkttype() != libc::PACKET_OUTGOING, received.bytes);
        Ok(Some((at, sent, buffer[..length].to_vec())))
    }
}

fn understand(frame: &[u8], there: bool) -> Option<What> {
    if let Some(claim) = arp::decode_frame(frame) {
        let what = if claim.target == VIP { What::Announcement { there } } else { What::Claim };
        return (claim.address == VIP).then_some(what);
    }
    let ethernet = EthernetPacket::new(frame)?;
    let packet = Ipv4Packet::new(ethernet.payload())?;
    let (source, to) = (packet.get_source(), packet.get_destination());
    let decoded = advert::decode(packet.payload(), source.into(), to.into()).ok()?;
    Some(What::Advert { to, priority: decoded.advert.priority })
}

fn is_vip(message: &AddressMessage) -> bool {
    message.attributes.contains(&AddressAttribute::Local(IpAddr::V4(VIP)))
}

/// A packet socket that sees ARP and protocol 112 on one interface, both ways; and the interface's number.
fn packets(interface: &str) -> Result<(Socket, usize)> {
    let everything = (libc::ETH_P_ALL as u16).to_be();
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(everything))))?;
    let load_half = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    let load_byte = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let done = (libc::BPF_RET | libc::BPF_K) as u16;
    socket.attach_filter(&[
        SockFilter::new(load_half, 0, 0, 12),
        SockFilter::new(equal, 3, 0, libc::ETH_P_ARP as u32),
        SockFilter::new(equal, 0, 3, libc::ETH_P_IP as u32),
        SockFilter::new(load_byte, 0, 0, 23),
        SockFilter::new(equal, 0, 1, 112),
        SockFilter::new(done, 0, 0, u32::MAX),
        SockFilter::new(done, 0, 0, 0),
    ])?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    let link = getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address?.as_link_addr().copied());
    let link: LinkAddr = link.with_context(|| format!("the switch has no port {interface}"))?;
    bind(socket.as_raw_fd(), &link)?;
    Ok((socket, link.ifindex()))
}

/// A netlink socket that tells of the IPv4 addresses of this namespace.
fn addresses() -> Result<OwnedFd> {
    // RTMGRP_IPV4_IFADDR of rtnetlink(7).
    let group = 0x10;
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, group))?;
    Ok(socket)
}
