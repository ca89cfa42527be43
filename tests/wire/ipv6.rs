//! Adverts over IPv6: version 3 alone, 16 bytes an address, always with the pseudo-header.

use super::{GROUP6, address, bytes, resum6};
use outrider::core::advert::{Advert, Version};
use outrider::wire::advert::{Auth, ChecksumForm, Decoded, Fault, Malformed, decode, encode};
use std::net::IpAddr;
use std::time::Duration;

/// Router 2 with 2001:db8::2 and 2001:db8::3, from 2001:db8::1 to the group: fields and checksum are those of
/// scapy's test/scapy/layers/vrrp.uts.
const MESSAGE: &str = "3102fe020001481b 20010db8000000000000000000000002 20010db8000000000000000000000003";

fn source() -> IpAddr {
    address("2001:db8::1")
}

fn advert() -> Advert {
    Advert {
        version: Version::V3,
        vrid: 2,
        priority: 254,
        interval: Duration::from_millis(10),
        addresses: vec![address("2001:db8::2"), address("2001:db8::3")],
    }
}

#[test]
fn the_group_is_the_one_of_rfc_9568() {
    assert_eq!(GROUP6, address("ff02::12"));
}

#[test]
fn a_message_is_understood_and_written_byte_for_byte() {
    let decoded =
        Decoded { advert: advert(), auth: Auth::None, trailer: None, checksum: ChecksumForm::PseudoHeader };
    assert_eq!(decode(&bytes(MESSAGE), source(), GROUP6), Ok(decoded));
    // There is but one checksum, and no password.
    for form in [ChecksumForm::PseudoHeader, ChecksumForm::Message, ChecksumForm::OldUnicast] {
        assert_eq!(encode(&advert(), form, source(), GROUP6, Some(*b"password")), bytes(MESSAGE));
    }
}

#[test]
fn the_checksum_covers_both_addresses() {
    let message = bytes(MESSAGE);
    for (from, to) in [("2001:db8::4", "ff02::12"), ("2001:db8::1", "2001:db8::4")] {
        assert_eq!(decode(&message, address(from), address(to)).unwrap_err().fault, Fault::Checksum);
    }
}

#[test]
fn the_checksum_without_pseudo_header_is_refused() {
    let mut message = bytes(MESSAGE);
    super::resum(&mut message);
    assert_eq!(decode(&message, source(), GROUP6).unwrap_err().fault, Fault::Checksum);
}

#[test]
fn every_truncation_is_refused() {
    let message = bytes(MESSAGE);
    for length in 0..message.len() {
        let expected = match length {
            0..8 => Malformed { vrid: None, fault: Fault::Short(length) },
            _ => Malformed { vrid: Some(2), fault: Fault::Length { expected: 40, got: length } },
        };
        assert_eq!(decode(&message[..length], source(), GROUP6), Err(expected));
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for bit in 0..8 * bytes(MESSAGE).len() {
        let mut damaged = bytes(MESSAGE);
        damaged[bit / 8] ^= 1 << (bit % 8);
        let result = decode(&damaged, source(), GROUP6);
        assert!(result.is_err(), "bit {bit}: {result:?}");
    }
}

#[test]
fn what_no_advert_may_say_is_refused_by_name() {
    let cases: [(usize, u8, Fault, Option<u8>); 6] = [
        (0, 0x11, Fault::Version(1), None),
        (0, 0x32, Fault::Type(2), None),
        (1, 0, Fault::Vrid, None),
        (5, 0, Fault::Interval, Some(2)),
        (3, 3, Fault::Length { expected: 56, got: 40 }, Some(2)),
        // As many bytes as IPv4 would ask for.
        (3, 8, Fault::Length { expected: 136, got: 40 }, Some(2)),
    ];
    for (offset, value, fault, vrid) in cases {
        let mut message = bytes(MESSAGE);
        message[offset] = value;
        resum6(&mut message, source(), GROUP6);
        assert_eq!(decode(&message, source(), GROUP6), Err(Malformed { vrid, fault }));
    }
    let mut empty = bytes("3102fe0000010000");
    resum6(&mut empty, source(), GROUP6);
    assert_eq!(decode(&empty, source(), GROUP6).unwrap_err().fault, Fault::NoAddress);
}

#[test]
fn version_2_is_refused_by_name() {
    // Whatever it would look like: with IPv4's addresses, or with IPv6's.
    for addresses in ["0a0a0a02", "20010db8000000000000000000000002"] {
        let mut message = bytes(&format!("2133640100010000 {addresses} 0000000000000000"));
        resum6(&mut message, source(), GROUP6);
        let error = decode(&message, source(), GROUP6).unwrap_err();
        assert_eq!(error, Malformed { vrid: Some(51), fault: Fault::V2OverIpv6 });
        assert_eq!(error.to_string(), "VRRP version 2 over IPv6; that takes version 3");
    }
}

#[test]
fn carp_is_named() {
    let mut message = bytes("2101640700010000");
    message.extend([0xa5; 28]);
    resum6(&mut message, source(), GROUP6);
    assert_eq!(decode(&message, source(), GROUP6), Err(Malformed { vrid: None, fault: Fault::Carp }));
}

#[test]
fn addresses_of_the_other_family_are_left_out() {
    let mut mixed = advert();
    mixed.addresses.insert(1, address("10.0.0.1"));
    assert_eq!(encode(&mixed, ChecksumForm::PseudoHeader, source(), GROUP6, None), bytes(MESSAGE));
}

#[test]
fn no_more_than_255_addresses_are_sent() {
    let many = Advert { addresses: vec![address("2001:db8::2"); 300], ..advert() };
    let message = encode(&many, ChecksumForm::PseudoHeader, source(), GROUP6, None);
    let sent = decode(&message, source(), GROUP6).unwrap().advert;
    assert_eq!(sent.addresses, vec![address("2001:db8::2"); 255]);
}
