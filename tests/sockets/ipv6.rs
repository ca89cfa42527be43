//! Adverts over IPv6, and neighbour discovery.

use super::support::*;
use outrider::net::Family;
use outrider::net::announce::{Announcer, Claim};
use outrider::net::vrrp::{Receiver, Sender};
use socket2::Socket;
use std::net::{IpAddr, Ipv6Addr, UdpSocket};

fn v6(address: IpAddr) -> Ipv6Addr {
    let IpAddr::V6(address) = address else { panic!("{address}") };
    address
}

/// The next packet of IPv6 with this next header.
fn header(tap: &mut Socket, next: u8) -> Vec<u8> {
    loop {
        let packet = read(tap);
        if packet.first().is_some_and(|first| first >> 4 == 6) && packet.get(6) == Some(&next) {
            return packet;
        }
    }
}

#[test]
fn an_advert_arrives_as_it_was_sent() {
    for (from, to) in [(LEFT6, RIGHT6), (LEFT_LINK, RIGHT_LINK)] {
        with_hosts(async move |_left, right| {
            let sender = Sender::open("left0", from).unwrap();
            let echo = Receiver::open("left0", Family::V6).unwrap();
            right.enter();
            let receiver = Receiver::open("right0", Family::V6).unwrap();
            let mut whole = wiretap();
            // With a checksum that is none: the kernel leaves it as it is.
            sender.send(b"an advert!!!", to).unwrap();

            let received = soon(receiver.receive()).await.unwrap();
            assert_eq!((received.source, received.destination, received.ttl), (from, to, 255));
            assert_eq!(received.payload, b"an advert!!!");
            let header = header(&mut whole, 112);
            assert_eq!((header[0], header[1] >> 4), (0x6c, 0), "traffic class");
            // What we send ourselves is not received, neither then nor after an answer.
            Sender::open("right0", to).unwrap().send(b"an answer", from).unwrap();
            assert_eq!(soon(echo.receive()).await.unwrap().payload, b"an answer");
            assert_eq!(receiver.try_receive().unwrap(), None);
            assert_eq!(receiver.skipped() + echo.skipped(), 0);
        });
    }
}

#[test]
fn each_family_hears_its_own() {
    with_hosts(async |_left, right| {
        let (v4, v6) = (Sender::open("left0", LEFT).unwrap(), Sender::open("left0", LEFT6).unwrap());
        right.enter();
        let hears_v4 = Receiver::open("right0", Family::V4).unwrap();
        let hears_v6 = Receiver::open("right0", Family::V6).unwrap();
        v4.send(b"four", RIGHT).unwrap();
        v6.send(b"six", RIGHT6).unwrap();
        assert_eq!(soon(hears_v4.receive()).await.unwrap().payload, b"four");
        assert_eq!(soon(hears_v6.receive()).await.unwrap().payload, b"six");
        assert_eq!(hears_v4.try_receive().unwrap(), None);
        assert_eq!(hears_v6.try_receive().unwrap(), None);
        assert!(v4.send(b"to the other", RIGHT6).is_err());
        assert!(v6.send(b"to the other", RIGHT).is_err());
    });
}

/// An IPv6 packet from left to right; `next`: what its header says is in `rest`.
fn packet(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, rest.len() as u8, next, 255];
    packet.extend(v6(LEFT6).octets());
    packet.extend(v6(RIGHT6).octets());
    packet.extend(rest);
    packet
}

#[test]
fn extension_headers_are_counted_and_anything_else_is_not_received() {
    const HOP_BY_HOP: u8 = 0;
    const FRAGMENT: u8 = 44;
    const OPTIONS: u8 = 60;
    const UDP: u8 = 17;
    const VRRP: u8 = 112;
    with_hosts(async |_left, right| {
        let with_header = raw(Family::V6, 255); // IPPROTO_RAW: the packet is sent as it is.
        let udp = UdpSocket::bind((LEFT6, 0)).unwrap();
        let sender = Sender::open("left0", LEFT6).unwrap();
        right.enter();
        let receiver = Receiver::open("right0", Family::V6).unwrap();
        let send = |packet: Vec<u8>| with_header.send_to(&packet, &to_raw(RIGHT6)).unwrap();
        // Eight bytes: what comes next, no more words; six bytes of padding, or of a fragment's place.
        let extension = |next: u8| [[next, 0, 1, 4, 0, 0, 0, 0].as_slice(), b"an advert"].concat();
        let fragment = |next: u8| [[next, 0, 0, 1, 0, 0, 0, 1].as_slice(), b"an advert"].concat();
        udp.send_to(b"no advert", (RIGHT6, 112)).unwrap();
        send(packet(UDP, b"no advert"));
        send(packet(HOP_BY_HOP, &extension(UDP)));
        send(packet(FRAGMENT, &fragment(UDP)));
        sender.send(b"an advert", RIGHT6).unwrap();
        assert_eq!(soon(receiver.receive()).await.unwrap().payload, b"an advert");
        assert_eq!(receiver.skipped(), 0);

        send(packet(HOP_BY_HOP, &extension(VRRP)));
        send(packet(OPTIONS, &extension(VRRP)));
        send(packet(FRAGMENT, &fragment(VRRP)));
        send(packet(VRRP, b"bare"));
        assert_eq!(soon(receiver.receive()).await.unwrap().payload, b"bare");
        assert_eq!(receiver.skipped(), 3);
    });
}

/// With IPPROTO_RAW the port must be zero.
fn to_raw(address: IpAddr) -> socket2::SockAddr {
    std::net::SocketAddr::from((address, 0)).into()
}

/// The type and code of the next ICMPv6 message that complains of something.
fn complaint(icmp: &mut Socket) -> (u8, u8) {
    loop {
        if let [kind @ 1..=4, code, ..] = *read(icmp) {
            return (kind, code);
        }
    }
}

#[test]
fn adverts_are_not_answered_with_icmp_and_a_dead_peer_stops_nothing() {
    const UNRECOGNIZED_NEXT_HEADER: (u8, u8) = (4, 1);
    const PORT_UNREACHABLE: (u8, u8) = (1, 4);
    with_hosts(async |_left, right| {
        let sender = Sender::open("left0", LEFT6).unwrap();
        let udp = UdpSocket::bind((LEFT6, 0)).unwrap();
        let mut icmp = raw(Family::V6, 58);
        right.enter();
        std::fs::write("/proc/sys/net/ipv6/icmp/ratelimit", "0").unwrap();
        // Nobody there: the kernel complains, and the next adverts are sent all the same.
        for _ in 0..2 {
            sender.send(b"an advert", RIGHT6).unwrap();
            assert_eq!(complaint(&mut icmp), UNRECOGNIZED_NEXT_HEADER);
        }
        let _open = Sender::open("right0", RIGHT6).unwrap();
        let receiver = Receiver::open("right0", Family::V6).unwrap();
        sender.send(b"an advert", RIGHT6).unwrap();
        soon(receiver.receive()).await.unwrap();
        // What is complained about next came after it.
        udp.send_to(b"anybody?", (RIGHT6, 9)).unwrap();
        assert_eq!(complaint(&mut icmp), PORT_UNREACHABLE);
    });
}

#[test]
fn what_cannot_be_opened_is_named() {
    with_hosts(async |_left, _right| {
        let error = Sender::open("left0", RIGHT6).err().unwrap();
        let text = "cannot send from 2001:db8::2: it is not an address of this host, or not yet";
        assert_eq!(error.to_string(), text);
        // Duplicate address detection takes a second.
        ip("address add 2001:db8::55/64 dev left0");
        assert!(Sender::open("left0", "2001:db8::55".parse().unwrap()).is_err());
        assert!(Sender::open("left0", LEFT_LINK).is_ok());
        assert!(Sender::open("lo", LEFT_LINK).is_err(), "a link-local address of another interface");
    });
}

#[test]
fn an_announcement_is_heard_and_heeded() {
    for vip in [VIP6, "fe80::9".parse().unwrap()] {
        with_hosts(async move |_left, right| {
            let left = Announcer::open("left0").unwrap();
            right.enter();
            let right = Announcer::open("right0").unwrap();
            for state in ["stale", "reachable"] {
                ip(&format!("neighbour replace {vip} lladdr 02:00:00:00:00:99 dev right0 nud {state}"));
                left.announce(vip).unwrap();
                assert_eq!(soon(right.heard()).await.unwrap(), Claim { address: vip, mac: LEFT_MAC });
                let entry = ip(&format!("neighbour show {vip} dev right0"));
                assert!(entry.contains("02:00:00:00:00:01") && !entry.contains("router"), "{state}: {entry}");
            }
            // The announcer does not hear itself: first comes what the other says.
            right.announce(vip).unwrap();
            assert_eq!(soon(left.heard()).await.unwrap().mac, RIGHT_MAC);
        });
    }
}

#[test]
fn a_probe_is_answered_by_who_has_the_address() {
    with_hosts(async |_left, right| {
        let left = Announcer::open("left0").unwrap();
        right.enter();
        let right = Announcer::open("right0").unwrap();
        left.probe(VIP6).unwrap(); // Nobody has it.
        left.probe(RIGHT6).unwrap();
        assert_eq!(soon(left.heard()).await.unwrap(), Claim { address: RIGHT6, mac: RIGHT_MAC });
        // The probe was no claim: the first that is heard is the announcement after it.
        left.announce(VIP6).unwrap();
        assert_eq!(soon(right.heard()).await.unwrap().address, VIP6);
        assert!(!ip("address show dev right0").contains("dadfailed"), "nor did it shake the holder");
    });
}

#[test]
fn a_question_is_answered_and_is_a_claim_of_who_asks() {
    for (source, target) in [(LEFT6, RIGHT6), (LEFT_LINK, RIGHT_LINK), (LEFT6, RIGHT_LINK)] {
        with_hosts(async move |_left, right| {
            let left = Announcer::open("left0").unwrap();
            right.enter();
            let right = Announcer::open("right0").unwrap();
            left.ask(source, VIP6).unwrap(); // Nobody has it.
            left.ask(source, target).unwrap();
            assert_eq!(soon(left.heard()).await.unwrap(), Claim { address: target, mac: RIGHT_MAC });
            for _question in [VIP6, target] {
                assert_eq!(soon(right.heard()).await.unwrap(), Claim { address: source, mac: LEFT_MAC });
            }
            // Whoever asks from an address claims it, though nobody answers for it.
            left.ask(VIP6, target).unwrap();
            assert_eq!(soon(right.heard()).await.unwrap(), Claim { address: VIP6, mac: LEFT_MAC });
            assert!(left.ask(LEFT, target).is_err(), "two families");
        });
    }
}

#[test]
fn a_changed_hardware_address_is_announced() {
    with_hosts(async |left_host, right| {
        let left = Announcer::open("left0").unwrap();
        right.enter();
        let right = Announcer::open("right0").unwrap();
        left_host.enter();
        ip("link set left0 address 02:00:00:00:00:77");
        left.announce(VIP6).unwrap();
        let claim = soon(async {
            loop {
                let claim = right.heard().await.unwrap();
                if claim.address == VIP6 {
                    return claim;
                }
            }
        });
        assert_eq!(claim.await.mac, [2, 0, 0, 0, 0, 0x77]);
    });
}
