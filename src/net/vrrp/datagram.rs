//! The IP header around an advert, which the kernel has not looked at yet.

use super::{PROTOCOL, Received};
use crate::net::packet::{JUMP_IF_EQUAL, LOAD_BYTE, RETURN, only};
use pnet_packet::Packet;
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet};
use pnet_packet::ipv6::Ipv6Packet;
use socket2::SockFilter;

/// Where the IPv6 header says what follows it, and where an extension header says it.
const NEXT_HEADER: u32 = 6;
const EXTENSION: u32 = 40;

/// What the socket lets through of IPv4: protocol 112.
pub(super) fn filter_v4() -> [SockFilter; 4] {
    only(LOAD_BYTE, 9, PROTOCOL.into())
}

/// What the socket lets through of IPv6: next header 112, and, so that they are counted, those that have it behind
/// one extension header.
pub(super) fn filter_v6() -> [SockFilter; 11] {
    let is = |value, then, otherwise| SockFilter::new(JUMP_IF_EQUAL, then, otherwise, value);
    [
        SockFilter::new(LOAD_BYTE, 0, 0, NEXT_HEADER),
        is(PROTOCOL.into(), 7, 0),
        is(IpNextHeaderProtocols::Hopopt.0.into(), 4, 0),
        is(IpNextHeaderProtocols::Ipv6Route.0.into(), 3, 0),
        is(IpNextHeaderProtocols::Ipv6Frag.0.into(), 2, 0),
        is(IpNextHeaderProtocols::Ah.0.into(), 1, 0),
        is(IpNextHeaderProtocols::Ipv6Opts.0.into(), 0, 3),
        SockFilter::new(LOAD_BYTE, 0, 0, EXTENSION),
        is(PROTOCOL.into(), 0, 1),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

/// Reads an IPv4 datagram of protocol 112 that may be followed by padding. The kernel has not looked at it yet,
/// so its checks are made up for (RFC 1122, section 3.2.1). Fragments are refused: no advert needs them.
pub(super) fn read_v4(packet: &[u8]) -> Option<Received> {
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
        source: header.get_source().into(),
        destination: header.get_destination().into(),
        ttl: header.get_ttl(),
        payload: payload.to_vec(),
    })
}

/// The same for IPv6, whose header has no checksum. Extension headers, among them those of fragments, are refused.
pub(super) fn read_v6(packet: &[u8]) -> Option<Received> {
    let header = Ipv6Packet::new(packet)?;
    if header.get_version() != 6 || header.get_next_header() != IpNextHeaderProtocols::Vrrp {
        return None;
    }
    let length = usize::from(header.get_payload_length());
    let payload = packet.get(Ipv6Packet::minimum_packet_size()..)?.get(..length)?;
    Some(Received {
        source: header.get_source().into(),
        destination: header.get_destination().into(),
        ttl: header.get_hop_limit(),
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests;
