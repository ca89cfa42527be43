//! The checksums of VRRP: two versions, two address families, and what implementations make of them.

use super::{ChecksumForm, GROUP_V4};
use crate::core::advert::Version;
use pnet_packet::ip::IpNextHeaderProtocols::Vrrp;
use pnet_packet::util;
use std::net::{IpAddr, Ipv6Addr};

/// A word that no message has, for the checksum functions that leave one out.
const NO_WORD: usize = usize::MAX;

/// The checksum of a message whose checksum field is zero; zero for one that has it and is sound.
///
/// Over IPv6 the trailer is part of the message, over IPv4 it is not.
pub(in crate::wire) fn sum(
    message: &[u8],
    version: Version,
    form: ChecksumForm,
    source: IpAddr,
    destination: IpAddr,
) -> u16 {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let with_header =
                |destination| util::ipv4_checksum(message, NO_WORD, &[], &source, &destination, Vrrp);
            match (version, form) {
                (Version::V2, _) | (Version::V3, ChecksumForm::Message) => util::checksum(message, NO_WORD),
                (Version::V3, ChecksumForm::PseudoHeader) => with_header(destination),
                (Version::V3, ChecksumForm::OldUnicast) => with_header(GROUP_V4),
            }
        }
        _ => util::ipv6_checksum(message, NO_WORD, &[], &v6(source), &v6(destination), Vrrp),
    }
}

/// Which checksum a message carries, if it is a known one.
pub(super) fn find(
    message: &[u8],
    version: Version,
    source: IpAddr,
    destination: IpAddr,
) -> Option<ChecksumForm> {
    use ChecksumForm::{Message, OldUnicast, PseudoHeader};
    let forms: &[ChecksumForm] = match (version, source) {
        (_, IpAddr::V6(_)) => &[PseudoHeader],
        (Version::V2, _) => &[Message],
        (Version::V3, _) => &[PseudoHeader, Message, OldUnicast],
    };
    forms.iter().copied().find(|&form| sum(message, version, form, source, destination) == 0)
}

/// For two addresses of one family nothing is mapped; it is here so that a pair of both has a (useless) sum.
fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
