//! Adverts over IPv4: messages captured from keepalived, every way to damage them, and whatever else may come.

use super::{GROUP, bytes, resum};
use outrider::core::advert::{Advert, Version};
use outrider::wire::advert::{Auth, ChecksumForm, Decoded, Fault, Malformed, decode, encode};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 10, 10, 11));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 10, 10, 12));
const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 10, 10, 2));

/// A message as it was captured, and what it says.
struct Golden {
    message: Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    decoded: Decoded,
}

fn golden(hex: &str, destination: IpAddr, priority: u8, auth: Auth, checksum: ChecksumForm) -> Golden {
    let message = bytes(hex);
    let version = if message[0] >> 4 == 2 { Version::V2 } else { Version::V3 };
    let interval = Duration::from_secs(1);
    let advert = Advert { version, vrid: 1, priority, interval, addresses: vec![VIP] };
    Golden {
        message,
        source: SOURCE,
        destination,
        decoded: Decoded { advert, auth, trailer: None, checksum },
    }
}

/// Captured from keepalived 2.2.7, but for the last two: computed for RFC 9568, and keepalived 1.4.5 in the wild.
fn golden_messages() -> Vec<Golden> {
    let pass = |text: &[u8; 8]| Auth::Pass(*text);
    let ones = pass(b"1111\0\0\0\0");
    use ChecksumForm::{Message, PseudoHeader};
    let wild = Advert {
        version: Version::V2,
        vrid: 51,
        priority: 51,
        interval: Duration::from_secs(1),
        addresses: vec![IpAddr::from([192, 168, 1, 238])],
    };
    vec![
        golden("210164010101038e0a0a0a023131313100000000", PEER, 100, ones, Message),
        golden("210100010101678e0a0a0a023131313100000000", PEER, 0, ones, Message),
        golden("210164010101951b0a0a0a023132333435363738", GROUP, 100, pass(b"12345678"), Message),
        golden("3101640100642de60a0a0a02", PEER, 100, Auth::None, PseudoHeader),
        golden("31016401006461e90a0a0a02", GROUP, 100, Auth::None, PseudoHeader),
        golden("310164010064568d0a0a0a02", PEER, 100, Auth::None, Message),
        Golden {
            message: bytes("213333010101bb25c0a801ee6430636b65720000"),
            source: IpAddr::from([192, 168, 1, 89]),
            destination: IpAddr::from([192, 168, 1, 141]),
            decoded: Decoded { advert: wild, auth: pass(b"d0cker\0\0"), trailer: None, checksum: Message },
        },
    ]
}

fn fault(message: &[u8]) -> Fault {
    decode(message, SOURCE, PEER).unwrap_err().fault
}

#[test]
fn golden_messages_are_understood() {
    for Golden { message, source, destination, decoded } in golden_messages() {
        assert_eq!(decode(&message, source, destination), Ok(decoded));
    }
}

#[test]
fn golden_messages_are_written_byte_for_byte() {
    for Golden { message, source, destination, decoded } in golden_messages() {
        let pass = match decoded.auth {
            Auth::Pass(pass) => Some(pass),
            _ => None,
        };
        assert_eq!(encode(&decoded.advert, decoded.checksum, source, destination, pass), message);
    }
}

#[test]
fn v2_without_authentication_ends_in_eight_zero_bytes() {
    let advert = golden_messages()[0].decoded.advert.clone();
    let message = encode(&advert, ChecksumForm::Message, SOURCE, PEER, None);
    assert_eq!(message, bytes("210164010001 66f0 0a0a0a02 0000000000000000"));
    assert_eq!(decode(&message, SOURCE, PEER).unwrap().auth, Auth::None);
}

#[test]
fn old_keepaliveds_unicast_checksum_is_accepted() {
    // Its sum is the one of the multicast message, though it was sent to a peer.
    let message = bytes("31016401006461e90a0a0a02");
    let decoded = decode(&message, SOURCE, PEER).unwrap();
    assert_eq!(decoded.checksum, ChecksumForm::OldUnicast);
    assert_eq!(encode(&decoded.advert, ChecksumForm::OldUnicast, SOURCE, PEER, None), message);
}

#[test]
fn a_pseudo_header_of_other_addresses_is_refused() {
    let message = bytes("3101640100642de60a0a0a02");
    assert_eq!(decode(&message, SOURCE, VIP).unwrap_err().fault, Fault::Checksum);
    assert_eq!(decode(&message, VIP, PEER).unwrap_err().fault, Fault::Checksum);
}

#[test]
fn every_truncation_is_refused() {
    for Golden { message, source, destination, .. } in golden_messages() {
        for length in 0..message.len() {
            let Malformed { vrid, fault } = decode(&message[..length], source, destination).unwrap_err();
            if length < 8 {
                assert_eq!((vrid, fault), (None, Fault::Short(length)));
            } else {
                assert_eq!(
                    (vrid, fault),
                    (Some(message[1]), Fault::Length { expected: message.len(), got: length })
                );
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for Golden { message, source, destination, .. } in golden_messages() {
        for bit in 0..8 * message.len() {
            let mut damaged = message.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let result = decode(&damaged, source, destination);
            assert!(result.is_err(), "bit {bit} of {message:02x?}: {result:?}");
        }
    }
}

#[test]
fn ethernet_padding_is_for_the_caller_to_cut() {
    for Golden { mut message, source, destination, .. } in golden_messages() {
        let expected = message.len();
        message.resize(46 - 20, 0);
        let error = decode(&message, source, destination).unwrap_err();
        assert_eq!(error, Malformed { vrid: Some(message[1]), fault: Fault::Length { expected, got: 26 } });
    }
}

#[test]
fn carp_is_named_and_is_nobodys_advert() {
    // Version 2, type 1, vhid 1, advskew 100, 7 words of authentication, advbase 1, counter and digest.
    let mut message = bytes("210164070001 0000");
    message.extend([0xa5; 28]);
    resum(&mut message);
    let error = decode(&message, SOURCE, GROUP).unwrap_err();
    assert_eq!(error, Malformed { vrid: None, fault: Fault::Carp });
    assert_eq!(error.to_string(), "CARP, not VRRP");
}

#[test]
fn five_addresses_are_as_long_as_carp_and_are_no_carp() {
    let addresses: Vec<IpAddr> = (1..=5).map(|last| IpAddr::from([10, 10, 10, last])).collect();
    let advert = Advert { addresses, ..golden_messages()[0].decoded.advert.clone() };
    let message = encode(&advert, ChecksumForm::Message, SOURCE, PEER, None);
    assert_eq!(message.len(), 36);
    assert_eq!(decode(&message, SOURCE, PEER).unwrap().advert, advert);
    let mut miscounted = message;
    miscounted[3] = 4;
    resum(&mut miscounted);
    assert_eq!(fault(&miscounted), Fault::Length { expected: 32, got: 36 });
}

#[test]
fn seven_addresses_are_counted_like_carps_words_and_are_no_carp() {
    let advert = Advert { addresses: vec![VIP; 7], ..golden_messages()[0].decoded.advert.clone() };
    let message = encode(&advert, ChecksumForm::Message, SOURCE, PEER, None);
    assert_eq!(decode(&message, SOURCE, PEER).unwrap().advert, advert);
}

#[test]
fn what_no_advert_may_say_is_refused_by_name() {
    let cases: [(usize, u8, Fault, Option<u8>); 7] = [
        (0, 0x11, Fault::Version(1), None),
        (0, 0x41, Fault::Version(4), None),
        (0, 0x32, Fault::Type(2), None),
        (0, 0x30, Fault::Type(0), None),
        (1, 0, Fault::Vrid, None),
        (5, 0, Fault::Interval, Some(1)),
        (3, 2, Fault::Length { expected: 16, got: 12 }, Some(1)),
    ];
    for (offset, value, fault, vrid) in cases {
        let mut message = bytes("310164010064568d0a0a0a02");
        message[offset] = value;
        resum(&mut message);
        assert_eq!(decode(&message, SOURCE, PEER), Err(Malformed { vrid, fault }));
    }
    let mut empty = bytes("3101640000640000");
    resum(&mut empty);
    assert_eq!(fault(&empty), Fault::NoAddress);
    let mut empty = bytes("21016400000100000000000000000000");
    resum(&mut empty);
    assert_eq!(fault(&empty), Fault::NoAddress);
    let mut never = bytes("2101640101000000 0a0a0a02 3131313100000000");
    resum(&mut never);
    assert_eq!(fault(&never), Fault::Interval);
}

#[test]
fn faults_are_told_in_words() {
    let told = |fault| Malformed { vrid: None, fault }.to_string();
    assert_eq!(told(Fault::Short(3)), "too short: 3 bytes, a VRRP header has 8");
    assert_eq!(told(Fault::Version(1)), "VRRP version 1; known are 2 and 3");
    assert_eq!(told(Fault::Type(2)), "type 2, not an advertisement (1)");
    assert_eq!(
        told(Fault::Length { expected: 20, got: 24 }),
        "wrong length: its header asks for 20 bytes, it has 24"
    );
    assert_eq!(told(Fault::NoAddress), "it names no address");
}

#[test]
fn reserved_bits_are_ignored() {
    let mut message = bytes("310164010064568d0a0a0a02");
    message[4] = 0xf0;
    resum(&mut message);
    assert_eq!(decode(&message, SOURCE, PEER).unwrap().advert.interval, Duration::from_secs(1));
}

#[test]
fn unknown_authentication_is_left_to_the_caller() {
    let mut message = golden_messages()[0].message.clone();
    message[4] = 2;
    resum(&mut message);
    assert_eq!(decode(&message, SOURCE, PEER).unwrap().auth, Auth::Other(2));
}

#[test]
fn a_password_is_not_printed() {
    let printed = format!("{:?}", golden_messages()[0].decoded);
    assert!(printed.contains("Pass(..)") && !printed.contains("49"), "{printed}");
}

#[test]
fn intervals_are_rounded_and_kept_in_range() {
    let sent = |version, millis| {
        let interval = Duration::from_millis(millis);
        let advert = Advert { version, interval, ..golden_messages()[3].decoded.advert.clone() };
        let message = encode(&advert, ChecksumForm::Message, SOURCE, PEER, None);
        decode(&message, SOURCE, PEER).unwrap().advert.interval.as_millis()
    };
    let cases = [(0, 10), (4, 10), (10, 10), (199, 200), (200, 200), (40_950, 40_950), (90_000, 40_950)];
    for (millis, expected) in cases {
        assert_eq!(sent(Version::V3, millis), expected);
    }
    for (millis, expected) in [(0, 1000), (200, 1000), (1000, 1000), (1500, 2000), (900_000, 255_000)] {
        assert_eq!(sent(Version::V2, millis), expected);
    }
}

#[test]
fn what_cannot_be_said_is_left_out() {
    let mut advert = golden_messages()[3].decoded.advert.clone();
    advert.interval = Duration::MAX;
    advert.addresses = std::iter::once(IpAddr::from([0; 16])).chain(vec![VIP; 300]).collect();
    let message = encode(&advert, ChecksumForm::PseudoHeader, SOURCE, PEER, None);
    let sent = decode(&message, SOURCE, PEER).unwrap().advert;
    assert_eq!(sent.addresses, vec![VIP; 255]);
    assert_eq!(sent.interval, Duration::from_millis(40_950));
}
