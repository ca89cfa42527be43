//! Adverts to the group.

use super::support::*;
use outrider::net::Family;
use outrider::net::vrrp::{Receiver, Sender, group};
use std::net::IpAddr;

/// Whether this host is a member of VRRP's group on the interface.
fn is_member(family: Family, interface: &str) -> bool {
    let (file, group) = match family {
        Family::V4 => ("/proc/thread-self/net/igmp", "120000E0"),
        Family::V6 => ("/proc/thread-self/net/igmp6", "ff020000000000000000000000000012"),
    };
    let listed = std::fs::read_to_string(file).unwrap();
    // IGMP: a line with the interface, then its groups; MLD: both in each line.
    let mut here = false;
    listed.lines().any(|line| {
        if file.ends_with("igmp6") || !line.starts_with('\t') {
            here = line.contains(interface);
        }
        here && line.contains(group)
    })
}

const CASES: [(Family, IpAddr, IpAddr); 3] =
    [(Family::V4, LEFT, RIGHT), (Family::V6, LEFT_LINK, RIGHT_LINK), (Family::V6, LEFT6, RIGHT6)];

#[test]
fn a_member_hears_what_is_sent_to_the_group() {
    for (family, from, at) in CASES {
        with_hosts(async move |left, right| {
            let sender = Sender::open("left0", from).unwrap();
            let echo = Receiver::open("left0", family).unwrap();
            // Another program on the sender's host that listens to the group.
            let mut raw = raw(family, 112);
            raw.set_read_timeout(None).unwrap();
            raw.set_nonblocking(true).unwrap();
            let member = Sender::open("left0", from).unwrap();
            member.join().unwrap();
            assert!(is_member(family, "left0"));

            right.enter();
            let receiver = Receiver::open("right0", family).unwrap();
            assert!(!is_member(family, "right0"));
            let other = Sender::open("right0", at).unwrap();
            other.join().unwrap();
            assert!(is_member(family, "right0"));

            sender.send(b"to all", group(family)).unwrap();
            let received = soon(receiver.receive()).await.unwrap();
            assert_eq!((received.source, received.destination), (from, group(family)));
            assert_eq!((received.ttl, received.payload.as_slice()), (255, b"to all".as_slice()));
            assert_eq!(receiver.skipped(), 0);
            // Nothing of it came back to the sender's own host; the answer is the first that does.
            other.send(b"an answer", group(family)).unwrap();
            assert_eq!(soon(echo.receive()).await.unwrap().payload, b"an answer");
            eventually("the raw socket has the answer", || {
                let mut buffer = [std::mem::MaybeUninit::uninit(); 100];
                raw.peek(&mut buffer).is_ok()
            });
            let first = read(&mut raw);
            assert!(first.ends_with(b"an answer"), "{first:?}");

            // Membership and receiver outlive an interface that was down for a moment.
            ip("link set right0 down");
            assert!(soon(receiver.receive()).await.is_err());
            ip("link set right0 up");
            assert!(is_member(family, "right0"));
            eventually("adverts arrive again", || {
                sender.send(b"again", group(family)).unwrap();
                receiver.try_receive().unwrap().is_some_and(|received| received.payload == b"again")
            });

            drop(other);
            eventually("the membership ends with the sender", || !is_member(family, "right0"));
            left.enter();
            drop(member);
            eventually("here, too", || !is_member(family, "left0"));
        });
    }
}
