//! Adverts over IPv4, and ARP.

use super::support::*;
use outrider::net::Family;
use outrider::net::announce::{Announcer, Claim};
use outrider::net::vrrp::{Receiver, Sender};
use socket2::Socket;
use std::net::UdpSocket;

#[test]
fn an_advert_arrives_as_it_was_sent() {
    with_hosts(async |_left, right| {
        let sender = Sender::open("left0", LEFT).unwrap();
        let echo = Receiver::open("left0", Family::V4).unwrap();
        right.enter();
        let receiver = Receiver::open("right0", Family::V4).unwrap();
        let mut whole = raw(Family::V4, 112);
        sender.send(b"an advert", RIGHT).unwrap();

        let received = soon(receiver.receive()).await.unwrap();
        assert_eq!((received.source, received.destination, received.ttl), (LEFT, RIGHT, 255));
        assert_eq!(received.payload, b"an advert");
        let header = read(&mut whole);
        assert_eq!(header[1], 0xc0, "type of service");
        assert_eq!(header[6] & 0x40, 0, "don't fragment");
        // What we send ourselves is not received, neither then nor after an answer.
        Sender::open("right0", RIGHT).unwrap().send(b"an answer", LEFT).unwrap();
        assert_eq!(soon(echo.receive()).await.unwrap().payload, b"an answer");
        assert_eq!(receiver.try_receive().unwrap(), None);
        assert_eq!(receiver.skipped() + echo.skipped(), 0);
    });
}

#[test]
fn nothing_but_vrrp_is_received() {
    with_hosts(async |_left, right| {
        let sender = Sender::open("left0", LEFT).unwrap();
        let (udp, other) = (UdpSocket::bind((LEFT, 0)).unwrap(), raw(Family::V4, 111));
        right.enter();
        let receiver = Receiver::open("right0", Family::V4).unwrap();
        udp.send_to(b"no advert", (RIGHT, 112)).unwrap();
        other.send_to(b"no advert", &address(RIGHT)).unwrap();
        // Over the other interface: the loopback one.
        raw(Family::V4, 112).send_to(b"not from here", &address(RIGHT)).unwrap();
        sender.send(b"an advert", RIGHT).unwrap();
        assert_eq!(soon(receiver.receive()).await.unwrap().payload, b"an advert");
        assert_eq!(receiver.try_receive().unwrap(), None);
        assert_eq!(receiver.skipped(), 0);
    });
}

#[test]
fn a_burst_is_drained_and_fragments_are_skipped() {
    with_hosts(async |_left, right| {
        let sender = Sender::open("left0", LEFT).unwrap();
        right.enter();
        let receiver = Receiver::open("right0", Family::V4).unwrap();
        sender.send(&[0; 2000], RIGHT).unwrap();
        for number in 0..20 {
            sender.send(&[number], RIGHT).unwrap();
        }
        assert_eq!(soon(receiver.receive()).await.unwrap().payload, [0]);
        for number in 1..20 {
            assert_eq!(receiver.try_receive().unwrap().unwrap().payload, [number]);
        }
        assert_eq!(receiver.try_receive().unwrap(), None);
        assert_eq!(receiver.skipped(), 2, "the two halves of what did not fit into one frame");
    });
}

/// The code of the next ICMP "destination unreachable" message.
fn unreachable(icmp: &mut Socket) -> u8 {
    loop {
        if let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, 3, code, ..] = *read(icmp) {
            return code;
        }
    }
}

#[test]
fn adverts_are_not_answered_with_icmp_and_a_dead_peer_stops_nothing() {
    const PROTOCOL: u8 = 2;
    const PORT: u8 = 3;
    with_hosts(async |_left, right| {
        let sender = Sender::open("left0", LEFT).unwrap();
        let udp = UdpSocket::bind((LEFT, 0)).unwrap();
        let mut icmp = raw(Family::V4, 1);
        // Nobody there: the kernel complains, and the next adverts are sent all the same.
        sender.send(b"an advert", RIGHT).unwrap();
        assert_eq!(unreachable(&mut icmp), PROTOCOL);
        sender.send(b"an advert", RIGHT).unwrap();
        assert_eq!(unreachable(&mut icmp), PROTOCOL);

        right.enter();
        let _open = Sender::open("right0", RIGHT).unwrap();
        let receiver = Receiver::open("right0", Family::V4).unwrap();
        sender.send(b"an advert", RIGHT).unwrap();
        soon(receiver.receive()).await.unwrap();
        // What is complained about next came after it.
        udp.send_to(b"anybody?", (RIGHT, 9)).unwrap();
        assert_eq!(unreachable(&mut icmp), PORT);
    });
}

#[test]
fn an_interface_that_goes_is_told_and_can_be_opened_anew() {
    with_hosts(async |left, right| {
        let sender = Sender::open("left0", LEFT).unwrap();
        let announcer = Announcer::open("left0").unwrap();
        right.enter();
        let receiver = Receiver::open("right0", Family::V4).unwrap();
        let hearing = Announcer::open("right0").unwrap();
        let telling = Announcer::open("right0").unwrap();
        let is_down = Some(nix::libc::ENETDOWN);

        ip("link set right0 down");
        assert_eq!(soon(receiver.receive()).await.unwrap_err().raw_os_error(), is_down);
        assert_eq!(soon(hearing.heard()).await.unwrap_err().raw_os_error(), is_down);
        let while_down = Receiver::open("right0", Family::V4).unwrap();
        assert_eq!(soon(while_down.receive()).await.unwrap_err().raw_os_error(), is_down);
        ip("link set right0 up");
        // It has not been told that the interface was down, and need not fail for it now.
        telling.announce(VIP).unwrap();
        assert_eq!(soon(announcer.heard()).await.unwrap().mac, RIGHT_MAC);
        sender.send(b"again", RIGHT).unwrap();
        assert_eq!(soon(receiver.receive()).await.unwrap().payload, b"again");
        assert_eq!(soon(while_down.receive()).await.unwrap().payload, b"again");

        left.enter();
        ip("link delete left0");
        assert!(sender.send(b"gone", RIGHT).is_err());
        assert!(announcer.announce(VIP).is_err());
        assert!(announcer.mac().is_err());
        assert_eq!(soon(receiver.receive()).await.unwrap_err().raw_os_error(), is_down);
        assert_eq!(soon(announcer.heard()).await.unwrap_err().raw_os_error(), is_down);
        let error = Receiver::open("left0", Family::V4).err().unwrap();
        assert_eq!(error.to_string(), "there is no interface left0; there are lo");
    });
}

#[test]
fn what_cannot_be_opened_is_named() {
    with_hosts(async |_left, _right| {
        let error = Sender::open("left0", RIGHT).err().unwrap();
        assert_eq!(error.to_string(), "cannot send from 10.0.0.2: it is not an address of this host");
        let error = Sender::open("eth7", LEFT).err().unwrap();
        assert_eq!(error.to_string(), "cannot bind a raw socket to interface eth7");
        let error = Announcer::open("lo").err().unwrap();
        assert_eq!(
            error.to_string(),
            "interface lo is not Ethernet (hardware type 772): no address can be announced there"
        );
    });
}

#[test]
fn an_announcement_is_heard_and_heeded() {
    with_hosts(async |_left, right| {
        let left = Announcer::open("left0").unwrap();
        right.enter();
        let right = Announcer::open("right0").unwrap();
        ip("neighbour add 10.0.0.9 lladdr 02:00:00:00:00:99 dev right0 nud stale");
        left.announce(VIP).unwrap();
        for _form in ["request", "reply"] {
            assert_eq!(soon(right.heard()).await.unwrap(), Claim { address: VIP, mac: LEFT_MAC });
        }
        assert!(ip("neighbour show 10.0.0.9").contains("02:00:00:00:00:01"));
        // The announcer does not hear itself: first comes what the other says.
        right.announce(VIP).unwrap();
        assert_eq!(soon(left.heard()).await.unwrap().mac, RIGHT_MAC);
    });
}

#[test]
fn a_probe_is_answered_by_who_has_the_address() {
    with_hosts(async |_left, right| {
        let left = Announcer::open("left0").unwrap();
        right.enter();
        let right = Announcer::open("right0").unwrap();
        left.probe(RIGHT).unwrap();
        let claim = soon(left.heard()).await.unwrap();
        assert_eq!(claim, Claim { address: RIGHT, mac: RIGHT_MAC });
        // The probe was no claim: the first that is heard is the announcement after it.
        left.announce(VIP).unwrap();
        assert_eq!(soon(right.heard()).await.unwrap().address, VIP);
    });
}

#[test]
fn a_changed_hardware_address_is_announced() {
    with_hosts(async |left_host, right| {
        let left = Announcer::open("left0").unwrap();
        right.enter();
        let right = Announcer::open("right0").unwrap();
        left_host.enter();
        ip("link set left0 address 02:00:00:00:00:77");
        left.announce(VIP).unwrap();
        let announced = async {
            loop {
                let claim = right.heard().await.unwrap();
                // The kernel may have announced its own address after the change.
                if claim.address == VIP {
                    return claim.mac;
                }
            }
        };
        assert_eq!(soon(announced).await, [2, 0, 0, 0, 0, 0x77]);
    });
}

#[test]
fn our_own_frames_brought_back_are_no_claim() {
    with_hosts(async |_left, right| {
        let left = Announcer::open("left0").unwrap();
        right.enter();
        let right = Announcer::open("right0").unwrap();
        ip("link set right0 address 02:00:00:00:00:01");
        right.announce(VIP).unwrap();
        ip("link set right0 address 02:00:00:00:00:02");
        right.announce(VIP).unwrap();
        assert_eq!(soon(left.heard()).await.unwrap().mac, RIGHT_MAC);
    });
}
