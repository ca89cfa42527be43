//! ARP for IPv4 over Ethernet (RFC 826): announcements (RFC 5227), probes, and who claims which address.

use pnet_packet::Packet;
use pnet_packet::arp::{Arp, ArpHardwareTypes, ArpOperation, ArpOperations, ArpPacket, MutableArpPacket};
use pnet_packet::ethernet::{EtherTypes, Ethernet, EthernetPacket, MutableEthernetPacket};
use std::fmt;
use std::net::Ipv4Addr;

/// A hardware address.
pub type Mac = [u8; 6];

const BROADCAST: Mac = [0xff; 6];
const UNKNOWN: Mac = [0; 6];

/// The two forms of an announcement: some switches and hosts heed only the one, some only the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As a question nobody answers, what RFC 5227 asks for.
    Request,
    /// As an answer nobody asked for.
    Reply,
}

/// A station that says an address is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address it claims.
    pub address: Ipv4Addr,
    /// The station.
    pub mac: Mac,
    /// Whether it said so in a reply; else it asked for `target`.
    pub reply: bool,
    /// The address it asked for or answers to; its own in an announcement.
    pub target: Ipv4Addr,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [a, b, c, d, e, g] = self.mac;
        write!(f, "{} is at {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}", self.address)
    }
}

/// The frame that tells everybody on the link that `address` is at `mac` now.
pub fn announce(mac: Mac, address: Ipv4Addr, form: Form) -> Vec<u8> {
    let operation = match form {
        Form::Request => ArpOperations::Request,
        Form::Reply => ArpOperations::Reply,
    };
    broadcast(operation, mac, address, BROADCAST, address)
}

/// The frame that asks whether anybody has `address`, without claiming it or any other (RFC 5227).
pub fn probe(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    broadcast(ArpOperations::Request, mac, Ipv4Addr::UNSPECIFIED, UNKNOWN, address)
}

/// The frame by which `source` at `mac` asks who has `target`.
pub fn request(mac: Mac, source: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    broadcast(ArpOperations::Request, mac, source, UNKNOWN, target)
}

fn broadcast(
    operation: ArpOperation,
    mac: Mac,
    sender: Ipv4Addr,
    target_mac: Mac,
    target: Ipv4Addr,
) -> Vec<u8> {
    let arp = Arp {
        hardware_type: ArpHardwareTypes::Ethernet,
        protocol_type: EtherTypes::Ipv4,
        hw_addr_len: 6,
        proto_addr_len: 4,
        operation,
        sender_hw_addr: mac.into(),
        sender_proto_addr: sender,
        target_hw_addr: target_mac.into(),
        target_proto_addr: target,
        payload: Vec::new(),
    };
    let mut payload = vec![0; ArpPacket::packet_size(&arp)];
    if let Some(mut packet) = MutableArpPacket::new(&mut payload) {
        packet.populate(&arp);
    }
    let ethernet =
        Ethernet { destination: BROADCAST.into(), source: mac.into(), ethertype: EtherTypes::Arp, payload };
    let mut frame = vec![0; EthernetPacket::packet_size(&ethernet)];
    if let Some(mut packet) = MutableEthernetPacket::new(&mut frame) {
        packet.populate(&ethernet);
    }
    frame
}

/// Who claims which address in this ARP message, the payload of an Ethernet frame. None: nobody does (a probe),
/// or it is not ARP for IPv4 over Ethernet.
pub fn decode(frame_payload: &[u8]) -> Option<Claim> {
    let arp = ArpPacket::new(frame_payload)?;
    let reply = match arp.get_operation() {
        ArpOperations::Request => false,
        ArpOperations::Reply => true,
        _ => return None,
    };
    let understood = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && arp.get_hw_addr_len() == 6
        && arp.get_proto_addr_len() == 4;
    let address = arp.get_sender_proto_addr();
    (understood && !address.is_unspecified()).then(|| Claim {
        address,
        mac: arp.get_sender_hw_addr().octets(),
        reply,
        target: arp.get_target_proto_addr(),
    })
}

/// The same for a whole Ethernet frame.
pub fn decode_frame(frame: &[u8]) -> Option<Claim> {
    let ethernet = EthernetPacket::new(frame)?;
    (ethernet.get_ethertype() == EtherTypes::Arp).then(|| decode(ethernet.payload())).flatten()
}
