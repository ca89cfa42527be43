use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

const GOOD: &[u8] = &[
    0x45, 0xc0, 0x00, 0x28, 0x04, 0x93, 0x00, 0x00, 0xff, 0x70, 0x31, 0xdc, 192, 168, 1, 89, 192, 168, 1,
    141, 0x21, 0x33, 0x33, 0x01, 0x01, 0x01, 0xbb, 0x25, 192, 168, 1, 238, b'd', b'0', b'c', b'k', b'e',
    b'r', 0, 0,
];

/// `GOOD` with other bytes at `offset` and its header's checksum put right.
fn with(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut packet = GOOD.to_vec();
    packet[offset..offset + bytes.len()].copy_from_slice(bytes);
    let header = (4 * usize::from(packet[0] & 15)).min(packet.len());
    packet[10..12].fill(0);
    let sum = pnet_packet::util::checksum(&packet[..header], 5);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

#[test]
fn a_datagram_is_read_to_its_own_length() {
    let expected = Received {
        source: Ipv4Addr::new(192, 168, 1, 89).into(),
        destination: Ipv4Addr::new(192, 168, 1, 141).into(),
        ttl: 255,
        payload: GOOD[20..].to_vec(),
    };
    assert_eq!(read_v4(GOOD), Some(expected.clone()));
    let padded = [GOOD, &[0xee; 6]].concat();
    assert_eq!(read_v4(&padded), Some(expected));
}

#[test]
fn options_are_no_part_of_the_message() {
    let received = read_v4(&with(0, &[0x46])).unwrap();
    assert_eq!(received.payload, &GOOD[24..]);
}

#[test]
fn what_the_kernel_would_refuse_is_refused() {
    let cases: [(&str, usize, &[u8]); 9] = [
        ("version 6", 0, &[0x65]),
        ("a header of 16 bytes", 0, &[0x44]),
        ("a header longer than the datagram", 0, &[0x4f]),
        ("longer than what came", 2, &[0x00, 0x29]),
        ("shorter than its header", 2, &[0x00, 0x13]),
        ("no length", 2, &[0x00, 0x00]),
        ("the first fragment", 6, &[0x20, 0x00]),
        ("a later fragment", 6, &[0x00, 0x01]),
        ("another protocol", 9, &[111]),
    ];
    for (what, offset, bytes) in cases {
        assert_eq!(read_v4(&with(offset, bytes)), None, "{what}");
    }
    for length in 0..GOOD.len() {
        assert_eq!(read_v4(&GOOD[..length]), None, "{length} bytes");
    }
    for bit in 0..160 {
        let mut damaged = GOOD.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read_v4(&damaged), None, "bit {bit} of the header");
    }
    assert!(read_v4(&with(6, &[0x40, 0x00])).is_some(), "\"don't fragment\" is fine");
}

proptest::proptest! {
    #[test]
    fn any_packet_is_borne(
        mut packet in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100),
        fits in proptest::prelude::any::<bool>(),
    ) {
        if let (true, [first, _, high, low, ..]) = (fits, packet.as_mut_slice()) {
            *first = 0x40 | *first & 15;
            (*high, *low) = (0, *low % 100);
        }
        let _ = read_v4(&packet);
        let _ = read_v6(&packet);
    }
}

/// A v3 advert from fe80::b to ff02::12.
fn good_v6() -> Vec<u8> {
    let mut packet = vec![0x6c, 0, 0, 0, 0, 24, 112, 255];
    packet.extend(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xb).octets());
    packet.extend(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12).octets());
    packet.extend([0x31, 1, 100, 1, 0, 100, 0x12, 0x34]);
    packet.extend(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2).octets());
    packet
}

#[test]
fn an_ipv6_datagram_is_read_to_its_own_length() {
    let good = good_v6();
    let expected = Received {
        source: "fe80::b".parse().unwrap(),
        destination: "ff02::12".parse().unwrap(),
        ttl: 255,
        payload: good[40..].to_vec(),
    };
    assert_eq!(read_v6(&good), Some(expected.clone()));
    assert_eq!(read_v6(&[good.as_slice(), &[0xee; 6]].concat()), Some(expected));
    for length in 0..good.len() {
        assert_eq!(read_v6(&good[..length]), None, "{length} bytes");
    }
}

#[test]
fn of_ipv6_only_bare_adverts_are_read() {
    for (what, offset, byte) in [
        ("version 4", 0, 0x4c),
        ("longer than what came", 5, 25),
        ("hop-by-hop options", 6, 0),
        ("routing header", 6, 43),
        ("fragment", 6, 44),
        ("authentication header", 6, 51),
        ("destination options", 6, 60),
        ("UDP", 6, 17),
    ] {
        let mut packet = good_v6();
        packet[offset] = byte;
        assert_eq!(read_v6(&packet), None, "{what}");
    }
}
