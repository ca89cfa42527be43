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

/// See the file.
fn tcpdump() -> Vec<Capture> {
    let lines = include_str!("tcpdump.hex").lines().filter(|line| !line.starts_with('#'));
    let of_line = |line: &str| {
        let (source, hex) = line.split_once(' ').expect("sender and message");
        let (vrid, priority) = (bytes(hex)[1], bytes(hex)[2]);
        let addresses: &[&str] = match vrid {
            42 => &["10.4.42.1", "10.4.42.2", "10.4.42.3"],
            43 => &["10.4.43.150"],
            44 => &["10.4.44.100", "10.4.44.200"],
            45 => &["fe80::200:5eff:fe00:22d", "2001::abcd:a"],
            46 => {
                &["fe80::200:5eff:fe00:22e", "2001::eeff:a", "2001::eeff:b", "2001::eeff:c", "2001::eeff:d"]
            }
            _ => panic!("{line}"),
        };
        let auth = if vrid == 42 { Auth::Pass(*b"abcdefgh") } else { Auth::None };
        Capture { auth, ..capture(hex, source, (vrid, priority), 10_000, addresses) }
    };
    let captures: Vec<Capture> = lines.map(of_line).collect();
    assert_eq!(captures.len(), 35);
    captures
}

#[test]
fn captures_are_understood_and_written_byte_for_byte() {
    for capture in gopacket().into_iter().chain(scapy()).chain(tcpdump()) {
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

/// The messages of tcpdump 4.99.3's tests/vrrp-vrrp_print-oobr.pcap and -2.pcap, found by fuzzing.
#[test]
fn tcpdumps_malformed_messages_are_refused_by_name() {
    let length = |expected, got| Fault::Length { expected, got };
    let cases: [(&str, &str, &str, Option<u8>, Fault); 9] = [
        ("250.219.91.20", "209.150.251.64", "2102000101ff", None, Fault::Short(6)),
        ("250.219.91.20", "209.150.251.64", "2102000101ff000001000000", Some(2), length(20, 12)),
        ("250.219.91.20", "209.150.251.64", "2102000101ff00000100a102", Some(2), length(20, 12)),
        ("0.3.2.148", "54.0.0.16", "31ff1103010da20000000000000002000000ff", Some(255), length(20, 19)),
        ("255.251.2.148", "54.0.0.16", "31ff1103890000000000000000000300000000", Some(255), length(20, 19)),
        ("0.3.2.148", "54.90.0.16", "31ff11030100a2000000000000000300000000", Some(255), length(20, 19)),
        ("0.3.2.148", "54.90.0.16", "31ff11030100a2", None, Fault::Short(7)),
        ("0.3.2.148", "54.0.0.16", "31000400890000000000000000000300000000", None, length(8, 19)),
        (
            "242.242.242.242",
            "242.242.242.242",
            "f2f2f2f2f20000000000000000000300000000",
            None,
            Fault::Version(15),
        ),
    ];
    for (source, destination, hex, vrid, fault) in cases {
        let decoded = decode(&bytes(hex), address(source), address(destination));
        assert_eq!(decoded, Err(Malformed { vrid, fault }), "{hex}");
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
