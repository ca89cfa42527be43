//! Messages of other implementations, published by others as test data.

use super::{GROUP, GROUP6, address, bytes};
use outrider::core::advert::{Advert, Version};
use outrider::wire::advert::{Auth, ChecksumForm, Decoded, Fault, Malformed, decode, encode};
use std::net::IpAddr;
use std::time::Duration;

struct Capture {
    message: Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    advert: Advert,
    auth: Auth,
    checksum: ChecksumForm,
}

/// A message to the group, of which the first byte tells the version.
fn capture(
    hex: &str,
    source: &str,
    (vrid, priority): (u8, u8),
    interval: u64,
    addresses: &[&str],
) -> Capture {
    let message = bytes(hex);
    let source = address(source);
    let version = if message[0] >> 4 == 2 { Version::V2 } else { Version::V3 };
    let addresses = addresses.iter().map(|text| address(text)).collect();
    let interval = Duration::from_millis(interval);
    Capture {
        message,
        source,
        destination: if source.is_ipv6() { GROUP6 } else { GROUP },
        advert: Advert { version, vrid, priority, interval, addresses },
        auth: Auth::None,
        checksum: if version == Version::V2 { ChecksumForm::Message } else { ChecksumForm::PseudoHeader },
    }
}

/// gopacket's layers/vrrp_test.go: captures of version 2 (a router with a virtual MAC) and 3 (keepalived), with
/// their Ethernet padding cut.
fn gopacket() -> Vec<Capture> {
    let addresses = ["192.168.200.16", "192.168.200.17", "192.168.200.18"];
    vec![
        capture(
            "210164010001ba52 c0a80001 0000000000000000",
            "192.168.0.30",
            (1, 100),
            1000,
            &["192.168.0.1"],
        ),
        capture("310164030064e54e c0a8c810 c0a8c811 c0a8c812", "10.0.0.130", (1, 100), 1000, &addresses),
    ]
}

/// scapy's test/scapy/layers/vrrp.uts: fields and checksums. Its IPv6 message is the one in `ipv6.rs`.
fn scapy() -> Vec<Capture> {
    let addresses = ["20.0.1.2", "20.0.1.3"];
    vec![capture("3102fe020001b25e 14000102 14000103", "20.0.0.3", (2, 254), 10, &addresses)]
}

/// tcpdump's tests/vrrp.pcap, IPv4: the messages made again from all fields that tests/vrrp-v.out tells, checksums
/// computed (tcpdump finds them valid). What it does not tell, the authentication data of type none, is zero.
fn tcpdump() -> Vec<Capture> {
    let three = ["10.4.42.1", "10.4.42.2", "10.4.42.3"];
    let two = ["10.4.44.100", "10.4.44.200"];
    let message = "212abf03010af11f 0a042a01 0a042a02 0a042a03 6162636465666768";
    let with_password = capture(message, "10.0.0.91", (42, 191), 10_000, &three);
    vec![
        Capture { auth: Auth::Pass(*b"abcdefgh"), ..with_password },
        capture(
            "212bbf01000aea2e 0a042b96 0000000000000000",
            "10.0.0.91",
            (43, 191),
            10_000,
            &["10.4.43.150"],
        ),
        capture("312cbf0203e8b3c6 0a042c64 0a042cc8", "10.0.0.91", (44, 191), 10_000, &two),
    ]
}

/// The same file's IPv6 messages: senders, priorities and checksums as an older tests/vrrp-v.out tells them (commit
/// 7885cfa1; it took them for IPv4 and so told the checksums as bad ones). Of the addresses it tells only the
/// beginning; they are the same in all messages of a router, so the last word here was chosen to make the first
/// checksum right, and the other three must follow.
fn tcpdump_ipv6() -> Vec<Capture> {
    let senders = [
        ("fe80::d6ca:6dff:fe66:cf60", 191, 0xcfa0, 0x5f12),
        ("fe80::d6ca:6dff:fe72:b1da", 192, 0xec1a, 0x7b8c),
        ("fe80::d6ca:6dff:fe66:cf65", 193, 0xcd9b, 0x5d0d),
        ("fe80::d6ca:6dff:fe65:d45c", 194, 0xc7a5, 0x5717),
    ];
    let two = ["fe80::200:5eff:fe00:22d", "2001::abd7"];
    let five = ["fe80::200:5eff:fe00:22e", "2001::1c31", "::", "::", "::"];
    let hex = |vrid: u8, priority: u8, checksum: u16, addresses: &[&str]| {
        let count = addresses.len();
        let mut hex = format!("31{vrid:02x}{priority:02x}{count:02x}03e8{checksum:04x}");
        for address in addresses {
            let address: std::net::Ipv6Addr = address.parse().unwrap();
            hex += &format!("{:032x}", address.to_bits());
        }
        hex
    };
    let mut captures = Vec::new();
    for (source, priority, first, second) in senders {
        captures.push(capture(&hex(45, priority, first, &two), source, (45, priority), 10_000, &two));
        captures.push(capture(&hex(46, priority, second, &five), source, (46, priority), 10_000, &five));
    }
    captures
}

#[test]
fn captures_are_understood_and_written_byte_for_byte() {
    for capture in gopacket().into_iter().chain(scapy()).chain(tcpdump()).chain(tcpdump_ipv6()) {
        let Capture { message, source, destination, advert, auth, checksum } = capture;
        let decoded = Decoded { advert: advert.clone(), auth, trailer: None, checksum };
        assert_eq!(decode(&message, source, destination), Ok(decoded));
        let pass = match auth {
            Auth::Pass(pass) => Some(pass),
            _ => None,
        };
        assert_eq!(encode(&advert, checksum, source, destination, pass), message);
    }
}

/// tcpdump's tests/vrrp-vrrp_print-oobr.pcap and -2.pcap, found by fuzzing: version, type, router, priority, count
/// and length as their .out files tell them; the rest does not matter.
#[test]
fn tcpdumps_malformed_messages_are_refused_by_name() {
    let length = |expected, got| Fault::Length { expected, got };
    let cases: [(&str, usize, Option<u8>, Fault); 8] = [
        ("21020001 01ff", 6, None, Fault::Short(6)),
        ("21020001 01ff", 12, Some(2), length(20, 12)),
        ("31ff1103 010d", 19, Some(255), length(20, 19)),
        ("31ff1103 0900", 19, Some(255), length(20, 19)),
        ("31ff1103 0100", 19, Some(255), length(20, 19)),
        ("31ff1103 0100", 7, None, Fault::Short(7)),
        ("31000400 0900", 19, None, length(8, 19)),
        ("f2", 19, None, Fault::Version(15)),
    ];
    for (header, got, vrid, fault) in cases {
        for filler in [0, 0xf2, 0xff] {
            let mut message = bytes(header);
            message.resize(got, filler);
            let malformed = Malformed { vrid, fault };
            assert_eq!(
                decode(&message, address("0.3.2.148"), address("54.0.0.16")),
                Err(malformed),
                "{header}"
            );
        }
    }
}

/// scapy's test/scapy/layers/vrrp.uts: its packets without addresses, and its "VRRPv1".
#[test]
fn scapys_incomplete_messages_are_refused_by_name() {
    let local = address("127.0.0.1");
    let empty = bytes("2101640000017afd 0000000000000000");
    assert_eq!(decode(&empty, local, local), Err(Malformed { vrid: Some(1), fault: Fault::NoAddress }));
    let cut = bytes("3101640100646a1f");
    let fault = Fault::Length { expected: 24, got: 8 };
    let local = address("::1");
    assert_eq!(decode(&cut, local, local), Err(Malformed { vrid: Some(1), fault }));
    let first = bytes("1102fe020001c6f4 14000102 14000103 0000000000000000");
    let fault = Fault::Version(1);
    assert_eq!(decode(&first, address("20.0.0.3"), GROUP), Err(Malformed { vrid: None, fault }));
}
