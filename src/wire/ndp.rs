//! Neighbour discovery for IPv6 over Ethernet (RFC 4861): unsolicited advertisements, solicitations, and who claims
//! which address. What ARP is for IPv4.

use super::arp::Mac;
use pnet_packet::Packet;
use pnet_packet::ethernet::{EtherTypes, Ethernet, EthernetPacket, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{
    Icmpv6Codes, MutableNeighborAdvertPacket, NdpOptionType, NdpOptionTypes, NeighborAdvert,
    NeighborAdvertFlags, NeighborAdvertPacket,
};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Type, Icmpv6Types, MutableIcmpv6Packet, checksum};
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
    let mut message = message(Icmpv6Types::NeighborAdvert, NeighborAdvertFlags::Override, address);
    message.extend(option(NdpOptionTypes::TargetLLAddr, mac));
    frame(mac, address, ALL_NODES, message)
}

/// The frame that asks whether anybody has `address`, without claiming it or any other: duplicate address
/// detection (RFC 4862, section 5.4.2).
pub fn probe(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    let message = message(Icmpv6Types::NeighborSolicit, 0, address);
    frame(mac, Ipv6Addr::UNSPECIFIED, solicited_node(address), message)
}

/// The frame by which `source` at `mac` asks who has `target`.
pub fn request(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let mut message = message(Icmpv6Types::NeighborSolicit, 0, target);
    message.extend(option(NdpOptionTypes::SourceLLAddr, mac));
    frame(mac, source, solicited_node(target), message)
}

/// The group that whoever has `address` listens to (RFC 4291, section 2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// A message without options and checksum. A solicitation looks like an advertisement without flags.
fn message(kind: Icmpv6Type, flags: u8, target: Ipv6Addr) -> Vec<u8> {
    let fixed = NeighborAdvert {
        icmpv6_type: kind,
        icmpv6_code: Icmpv6Codes::NoCode,
        checksum: 0,
        flags,
        reserved: 0,
        target_addr: target,
        options: Vec::new(), // pnet's writer of options panics.
        payload: Vec::new(),
    };
    let mut message = vec![0; FIXED];
    if let Some(mut packet) = MutableNeighborAdvertPacket::new(&mut message) {
        packet.populate(&fixed);
    }
    message
}

fn option(NdpOptionType(kind): NdpOptionType, [a, b, c, d, e, f]: Mac) -> [u8; 8] {
    // The length counts words of eight bytes, type and length included.
    [kind, 1, a, b, c, d, e, f]
}

/// Puts a message, once it has its checksum, on its way to a group.
fn frame(mac: Mac, source: Ipv6Addr, group: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    if let Some(mut packet) = MutableIcmpv6Packet::new(&mut message) {
        packet.set_checksum(checksum(&packet.to_immutable(), &source, &group));
    }
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
    // RFC 2464, section 7.
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
    // Both look alike. (pnet's own reader of options overflows on long ones.)
    let fixed = NeighborAdvertPacket::new(message)?;
    let (target, options) = (fixed.get_target_addr(), message.get(FIXED..)?);
    let solicited = fixed.get_flags() & NeighborAdvertFlags::Solicited != 0;
    let (address, kind) = match icmpv6.get_icmpv6_type() {
        Icmpv6Types::NeighborAdvert if destination.is_multicast() && solicited => return None,
        Icmpv6Types::NeighborAdvert => (target, NdpOptionTypes::TargetLLAddr),
        Icmpv6Types::NeighborSolicit if target.is_multicast() => return None,
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

#[cfg(test)]
mod tests;
