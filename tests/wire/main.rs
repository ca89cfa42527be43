//! What is on the wire: messages captured from others, every way to damage them, and whatever else may come.
// clippy.toml exempts tests, but not the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod advert;
mod any;
mod arp;
mod auth;
mod captures;
mod ipv6;
mod scapy;

use outrider::wire::advert::{GROUP_V4, GROUP_V6};
use std::net::IpAddr;

const GROUP: IpAddr = IpAddr::V4(GROUP_V4);
const GROUP6: IpAddr = IpAddr::V6(GROUP_V6);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Puts the checksum (the one without pseudo-header) right again after a change.
fn resum(message: &mut [u8]) {
    resum_with(&[], message);
}

/// The same for IPv6, of which the pseudo-header is RFC 8200's, section 8.1.
fn resum6(message: &mut [u8], source: IpAddr, destination: IpAddr) {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (source, destination) else { panic!("not IPv6") };
    let mut header = [source.octets(), destination.octets()].concat();
    header.extend((message.len() as u32).to_be_bytes());
    header.extend([0, 0, 0, 112]);
    resum_with(&header, message);
}

fn resum_with(header: &[u8], message: &mut [u8]) {
    message[6..8].fill(0);
    let words = header.chunks(2).chain(message.chunks(2));
    let mut sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    message[6..8].copy_from_slice(&(!sum as u16).to_be_bytes());
}
