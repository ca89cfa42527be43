//! Neighbour discovery for IPv6 over Ethernet (RFC 4861): unsolicited advertisements, solicitations, and who claims
//! which address. What ARP is for IPv4.

use super::arp::Mac;
use pnet_packet::Packet;
use pnet_packet::ethernet::{EtherTypes, Ethernet, EthernetPacket, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{
    Icmpv6Codes, MutableNeighborAdvertPacket, MutableNeighborSolicitPacket, NdpOption, NdpOptionType,
    NdpOptionTypes, NeighborAdvert, NeighborAdvertFlags, NeighborAdvertPacket, NeighborSolicit,
    NeighborSolicitPacket,
};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::{Ipv6, Ipv6Packet, MutableIpv6Packet};
use std::net::Ipv6Addr;

/// All nodes on the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// What no router has forwarded.
const HOP_LIMIT: u8 = 255;
/// An advertisement and a solicitation have this in common: type, code, checksum, flags, target.
const FIXED: usize = 24;

/// A station that says an address is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The address it claims.
    pub address: Ipv6Addr,
    /// The station.
    pub mac: Mac,
}

/// The frame that tells everybody on the link that `address` is at `mac` now: an unsolicited neighbour
/// advertisement that overrides what they know. It comes from the address itself, and not as a router's.
pub fn announce(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    let advert = NeighborAdvert {
        icmpv6_type: Icmpv6Types::NeighborAdvert,
        icmpv6_code: Icmpv6Codes::NoCode,
        checksum: 0,
        flags: NeighborAdvertFlags::Override,
        reserved: 0,
        target_addr: address,
        options: vec![option(NdpOptionTypes::TargetLLAddr, mac)],
        payload: Vec::new(),
    };
    let mut message = vec![0; NeighborAdvertPacket::packet_size(&advert)];
    if let Some(mut packet) = MutableNeighborAdvertPacket::new(&mut message) {
        packet.populate(&advert);
        if let Some(whole) = Icmpv6Packet::new(packet.packet()) {
            let sum = checksum(&whole, &address, &ALL_NODES);
            packet.set_checksum(sum);
        }
    }
    frame(mac, address, ALL_NODES, message)
}

/// The frame that asks whether anybody has `address`, without claiming it or any other: duplicate address
/// detection (RFC 4862, section 5.4.2).
pub fn probe(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    solicit(mac, Ipv6Addr::UNSPECIFIED, address, Vec::new())
}

/// The frame by which `source` at `mac` asks who has `target`.
pub fn request(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    solicit(mac, source, target, vec![option(NdpOptionTypes::SourceLLAddr, mac)])
}

fn solicit(mac: Mac, source: Ipv6Addr, target: Ipv6Addr, options: Vec<NdpOption>) -> Vec<u8> {
    let solicit = NeighborSolicit {
        icmpv6_type: Icmpv6Types::NeighborSolicit,
        icmpv6_code: Icmpv6Codes::NoCode,
        checksum: 0,
        reserved: 0,
        target_addr: target,
        options,
        payload: Vec::new(),
    };
    let group = solicited_node(target);
    let mut message = vec![0; NeighborSolicitPacket::packet_size(&solicit)];
    if let Some(mut packet) = MutableNeighborSolicitPacket::new(&mut message) {
        packet.populate(&solicit);
        if let Some(whole) = Icmpv6Packet::new(packet.packet()) {
            let sum = checksum(&whole, &source, &group);
            packet.set_checksum(sum);
        }
    }
    frame(mac, source, group, message)
}

/// The group that whoever has `address` listens to (RFC 4291, section 2.7.1).
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

fn option(option_type: NdpOptionType, mac: Mac) -> NdpOption {
    // The length counts words of eight bytes, type and length included.
    NdpOption { option_type, length: 1, data: mac.to_vec() }
}

/// To a group, whose hardware address is made of its last four bytes (RFC 2464).
fn frame(mac: Mac, source: Ipv6Addr, group: Ipv6Addr, message: Vec<u8>) -> Vec<u8> {
    let ipv6 = Ipv6 {
        version: 6,
        traffic_class: 0,
        flow_label: 0,
        payload_length: u16::try_from(message.len()).unwrap_or(u16::MAX),
        next_header: IpNextHeaderProtocols::Icmpv6,
        hop_limit: HOP_LIMIT,
        source,
        destination: group,
        payload: message,
    };
    let mut payload = vec![0; Ipv6Packet::packet_size(&ipv6)];
    if let Some(mut packet) = MutableIpv6Packet::new(&mut payload) {
        packet.populate(&ipv6);
    }
    let [.., a, b, c, d] = group.octets();
    let destination = [0x33, 0x33, a, b, c, d].into();
    let ethernet = Ethernet { destination, source: mac.into(), ethertype: EtherTypes::Ipv6, payload };
    let mut frame = vec![0; EthernetPacket::packet_size(&ethernet)];
    if let Some(mut packet) = MutableEthernetPacket::new(&mut frame) {
        packet.populate(&ethernet);
    }
    frame
}

/// Who claims which address in this Ethernet frame: by an advertisement, or by a solicitation that comes from it.
/// None: nobody does (a probe), or it is no valid message of either kind (RFC 4861, sections 7.1.1 and 7.1.2).
pub fn decode_frame(frame: &[u8]) -> Option<Claim> {
    let ethernet = EthernetPacket::new(frame)?;
    if ethernet.get_ethertype() != EtherTypes::Ipv6 {
        return None;
    }
    let ipv6 = Ipv6Packet::new(ethernet.payload())?;
    let length = usize::from(ipv6.get_payload_length());
    // What follows is padding.
    let message = ethernet.payload().get(Ipv6Packet::minimum_packet_size()..)?.get(..length)?;
    let (source, destination) = (ipv6.get_source(), ipv6.get_destination());
    let icmpv6 = Icmpv6Packet::new(message)?;
    let sound = ipv6.get_version() == 6
        && ipv6.get_next_header() == IpNextHeaderProtocols::Icmpv6
        && ipv6.get_hop_limit() == HOP_LIMIT
        && icmpv6.get_icmpv6_code() == Icmpv6Codes::NoCode
        && icmpv6.get_checksum() == checksum(&icmpv6, &source, &destination);
    if !sound {
        return None;
    }
    // pnet's own reader of options overflows on long ones.
    let options = message.get(FIXED..)?;
    let (address, kind) = match icmpv6.get_icmpv6_type() {
        Icmpv6Types::NeighborAdvert => {
            let advert = NeighborAdvertPacket::new(message)?;
            if destination.is_multicast() && advert.get_flags() & NeighborAdvertFlags::Solicited != 0 {
                return None;
            }
            (advert.get_target_addr(), NdpOptionTypes::TargetLLAddr)
        }
        Icmpv6Types::NeighborSolicit if NeighborSolicitPacket::new(message)?.get_target_addr().is_multicast() => {
            return None;
        }
        Icmpv6Types::NeighborSolicit => (source, NdpOptionTypes::SourceLLAddr),
        _ => return None,
    };
    let mac = link_layer(options, kind)?.unwrap_or_else(|| ethernet.get_source().octets());
    (!address.is_multicast() && !address.is_unspecified()).then_some(Claim { address, mac })
}

/// The hardware address in the option of this kind, if there is one. None: the options are broken.
fn link_layer(mut options: &[u8], kind: NdpOptionType) -> Option<Option<Mac>> {
    let mut found = None;
    while let [option_type, length, ..] = *options {
        let (option, rest) = options.split_at_checked(8 * usize::from(length)).filter(|_| length > 0)?;
        if let [_, _, a, b, c, d, e, f] = *option
            && option_type == kind.0
        {
            found.get_or_insert([a, b, c, d, e, f]);
        }
        options = rest;
    }
    options.is_empty().then_some(found)
}
