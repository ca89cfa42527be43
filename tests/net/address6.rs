//! IPv6 addresses, alone and beside IPv4's.

use super::host::{Agent, PATIENCE, ROUTER, VIP, eventually, ip, on_host, settings, shown};
use outrider::net::address::{Event, MARK, Request, Settings};
use outrider::net::alarm::now;
use outrider::net::link::{Entry, Monitor};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
/// How `ip` shows it.
const SHOWN: &str = "2001:db8::2/128";

fn settings6() -> Settings {
    Settings { vips: vec![(VIP6, 128)], ..settings() }
}

/// As [`on_host`], with 2001:db8::11/64 on `eth0`.
fn on_host6(test: impl FnOnce() + Send + 'static) {
    on_host(|| {
        ip("addr add 2001:db8::11/64 dev eth0 nodad");
        test();
    });
}

/// The entry of an address as the kernel tells it.
fn entry(address: IpAddr) -> Entry {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = runtime.block_on(async { Monitor::open().unwrap().addresses().await.unwrap() });
    *all.iter().find(|entry| entry.address == address).unwrap()
}

#[test]
fn added_with_a_lease_usable_at_once_and_removed() {
    on_host6(|| {
        ip("link set lo up");
        let mut agent = Agent::start(settings6());
        agent.must_add();
        // Neither would go with a tentative address; nor would the second before the kernel has a route to it.
        let listener = TcpListener::bind((VIP6, 80)).unwrap();
        TcpStream::connect((VIP6, 80)).unwrap();
        listener.accept().unwrap();
        let line = shown(SHOWN, "eth0").unwrap();
        assert!(line.contains("scope global nodad deprecated"), "{line}");
        assert!(!line.contains("tentative"), "{line}");
        assert!(line.contains("valid_lft 60sec preferred_lft 0sec"), "{line}");
        assert_eq!(entry(VIP6).mark, Some(MARK));

        assert!(matches!(agent.renew(), Event::Renewed { .. }));
        let line = shown(SHOWN, "eth0").unwrap();
        assert!(line.contains("deprecated") && !line.contains("tentative"), "{line}");
        assert!(line.contains("valid_lft 60sec preferred_lft 0sec"), "{line}");
        assert_eq!(entry(VIP6).mark, Some(MARK));

        assert_eq!(agent.remove(), Event::Removed);
        assert_eq!(shown(SHOWN, "eth0"), None);
        assert!(!ip("-6 route show table all").contains("2001:db8::2"), "no route outlives it");
        assert_eq!(agent.remove(), Event::Removed, "nothing to remove is no error");
    });
}

#[test]
fn the_host_does_not_speak_from_it() {
    on_host6(|| {
        // Nearer to the destination than the host's own: the kernel would choose it.
        let vip: IpAddr = "2001:db8::f1".parse().unwrap();
        let mut agent = Agent::start(Settings { vips: vec![(vip, 128)], ..settings() });
        agent.must_add();
        let socket = UdpSocket::bind(("::", 0)).unwrap();
        socket.connect(("2001:db8::f0", 9)).unwrap();
        assert_eq!(socket.local_addr().unwrap().ip().to_string(), "2001:db8::11");
    });
}

#[test]
fn with_a_prefix_of_its_own_it_is_an_address_like_any_other() {
    on_host(|| {
        let mut agent = Agent::start(Settings { vips: vec![(VIP6, 64)], ..settings() });
        agent.must_add();
        let line = shown("2001:db8::2/64", "eth0").unwrap();
        assert!(
            line.contains("valid_lft 60sec preferred_lft 60sec") && !line.contains("tentative"),
            "{line}"
        );
        assert!(ip("-6 route show dev eth0").contains("2001:db8::/64"));
        assert_eq!(agent.remove(), Event::Removed);
        assert_eq!(shown("2001:db8::2/64", "eth0"), None);
    });
}

#[test]
fn forever_has_no_lease() {
    on_host6(|| {
        let mut agent = Agent::start(Settings { lease: None, ..settings6() });
        agent.must_add();
        assert!(matches!(agent.renew(), Event::Renewed { .. }));
        assert!(shown(SHOWN, "eth0").unwrap().contains("valid_lft forever preferred_lft 0sec"));
        assert_eq!(agent.remove(), Event::Removed);
        assert_eq!(shown(SHOWN, "eth0"), None);
    });
}

#[test]
fn renewals_keep_it_and_without_them_the_kernel_drops_it() {
    on_host6(|| {
        let mut agent = Agent::start(Settings { lease: Some(2), ..settings6() });
        let Event::Added { acked_at, .. } = agent.add() else { panic!("{:?}", agent.heard) };
        let mut last = acked_at;
        while last < acked_at + Duration::from_secs(3) {
            let Event::Renewed { acked_at, .. } = agent.renew() else { panic!("{:?}", agent.heard) };
            last = acked_at;
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(shown(SHOWN, "eth0").is_some(), "longer than one lease");
        assert!(!agent.heard.contains(&Event::Gone { address: VIP6 }));

        agent.until(|event| *event == Event::Gone { address: VIP6 });
        let lasted = now() - last;
        assert!(lasted > Duration::from_millis(1900) && lasted < Duration::from_secs(4), "{lasted:?}");
        assert_eq!(shown(SHOWN, "eth0"), None);

        // Whoever wakes up now must not put it back.
        agent.addresses.renew(ROUTER, last + Duration::from_secs(2));
        assert!(matches!(agent.answer(), Event::TooLate(Request::Renew { .. })));
        assert_eq!(shown(SHOWN, "eth0"), None);
    });
}

#[test]
fn what_is_acknowledged_too_late_is_undone() {
    on_host6(|| {
        let mut agent = Agent::start(settings6());
        let mut allowed = Duration::from_micros(100);
        for _ in 0..10_000 {
            agent.addresses.add(ROUTER, now() + allowed);
            match agent.answer() {
                Event::Late(_) => {
                    assert_eq!(shown(SHOWN, "eth0"), None);
                    assert!(matches!(agent.renew(), Event::Failed { .. }), "it is not held");
                    return;
                }
                Event::TooLate(_) => allowed += Duration::from_micros(3),
                Event::Added { .. } => {
                    agent.remove();
                    allowed = allowed.saturating_sub(Duration::from_micros(5));
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("never between the two");
    });
}

/// The kernel tells late, and for IPv6 without saying who did it.
#[test]
fn our_own_doings_are_no_news_however_late_they_are_told() {
    on_host6(|| {
        let both = vec![(VIP, 32), (VIP6, 128)];
        let mut agent = Agent::start(Settings { vips: both, ..settings() });
        let found = agent.heard.len();
        for _ in 0..100 {
            // All at once: what the kernel tells of the first is heard after the last is done.
            agent.addresses.add(ROUTER, now() + PATIENCE);
            agent.addresses.remove(ROUTER);
            agent.addresses.add(ROUTER, now() + PATIENCE);
            agent.addresses.renew(ROUTER, now() + PATIENCE);
            for _ in 0..4 {
                agent.answer();
            }
        }
        assert_eq!(agent.remove(), Event::Removed);
        let told: Vec<_> = agent.heard.iter().skip(found).filter(|event| !is_done(event)).collect();
        assert!(told.is_empty(), "{told:?}");
    });
}

fn is_done(event: &Event) -> bool {
    matches!(event, Event::Added { .. } | Event::Renewed { .. } | Event::Removed)
}

#[test]
fn what_others_do_to_it_is_told() {
    on_host6(|| {
        let mut agent = Agent::start(settings6());
        agent.must_add();
        ip("addr del 2001:db8::2/128 dev eth0");
        assert_eq!(agent.next(), Event::Gone { address: VIP6 });
        // A renewal puts it back.
        assert!(matches!(agent.renew(), Event::Renewed { .. }));
        assert!(shown(SHOWN, "eth0").unwrap().contains("valid_lft 60sec"));

        ip("addr add 2001:db8::2/64 dev eth1 nodad");
        let foreign = agent.next();
        assert!(matches!(&foreign, Event::Foreign { interface, .. } if interface == "eth1"), "{foreign:?}");
        ip("addr del 2001:db8::2/64 dev eth1");
        assert_eq!(agent.next(), Event::ForeignGone { address: VIP6 });

        // With the interface the kernel takes it down.
        ip("link set eth0 down");
        agent.until(|event| *event == Event::Gone { address: VIP6 });
        ip("link set eth0 up");
        agent.must_add();
    });
}

#[test]
fn one_that_somebody_else_put_in_its_place_is_not_renewed() {
    for replaced in ["128 dev eth0 valid_lft forever preferred_lft forever", "64 dev eth0 nodad"] {
        on_host6(move || {
            let mut agent = Agent::start(settings6());
            agent.must_add();
            ip("addr del 2001:db8::2/128 dev eth0");
            ip(&format!("addr add 2001:db8::2/{replaced}"));
            agent.until(|event| matches!(event, Event::Foreign { .. }));
            assert!(matches!(agent.renew(), Event::Failed { .. }));
            assert_eq!(agent.remove(), Event::Removed);
            let prefix = replaced.split(' ').next().unwrap();
            let line = shown(&format!("2001:db8::2/{prefix}"), "eth0").unwrap();
            assert!(line.contains("valid_lft forever"), "his, not ours: {line}");
        });
    }
}

#[test]
fn a_foreign_address_is_left_alone_and_named() {
    for (interface, prefix) in [("eth0", 64), ("eth0", 128), ("eth1", 64)] {
        on_host6(move || {
            ip(&format!("addr add 2001:db8::2/{prefix} dev {interface} nodad"));
            let mut agent = Agent::start(settings6());
            let clear_with = format!("ip addr del 2001:db8::2/{prefix} dev {interface}");
            let foreign = Event::Foreign {
                address: VIP6,
                interface: interface.to_owned(),
                clear_with: clear_with.clone(),
            };
            assert_eq!(agent.heard[0], foreign);
            let Event::Failed { error, .. } = agent.add() else { panic!("{:?}", agent.heard) };
            assert!(error.contains(&clear_with) && error.contains("OUTRIDER_ADOPT"), "{error}");
            assert_eq!(agent.remove(), Event::Removed);
            let line = shown(&format!("2001:db8::2/{prefix}"), interface).unwrap();
            assert!(line.contains("valid_lft forever"), "untouched: {line}");

            ip(clear_with.strip_prefix("ip ").unwrap());
            assert_eq!(agent.next(), Event::ForeignGone { address: VIP6 });
            agent.must_add();
        });
    }
}

#[test]
fn a_foreign_address_is_adopted_on_request() {
    for (interface, prefix) in [("eth0", 64), ("eth0", 128), ("eth1", 64)] {
        on_host6(move || {
            ip(&format!("addr add 2001:db8::2/{prefix} dev {interface} nodad"));
            let mut agent = Agent::start(Settings { adopt: true, ..settings6() });
            agent.must_add();
            assert!(shown(SHOWN, "eth0").unwrap().contains("valid_lft 60sec preferred_lft 0sec"));
            assert!(prefix == 128 || shown(&format!("2001:db8::2/{prefix}"), interface).is_none());
            assert!(shown("2001:db8::11/64", "eth0").is_some());
            assert!(matches!(agent.renew(), Event::Renewed { .. }));
            assert_eq!(agent.remove(), Event::Removed);
            assert_eq!(shown(SHOWN, "eth0"), None);
            assert!(!agent.heard.contains(&Event::Gone { address: VIP6 }), "{:?}", agent.heard);
        });
    }
}

#[test]
fn leftovers_of_an_earlier_run_are_removed() {
    for (interface, prefix) in [("eth0", 128), ("eth0", 64), ("eth1", 128)] {
        on_host6(move || {
            let vips = vec![(VIP6, prefix)];
            let earlier = Settings { interface: interface.to_owned(), vips, lease: None, ..settings() };
            let mut earlier = Agent::start(earlier);
            earlier.must_add();
            earlier.die(VIP6);
            assert!(shown(&format!("2001:db8::2/{prefix}"), interface).is_some());
            let mut agent = Agent::start(settings6());
            assert_eq!(shown(&format!("2001:db8::2/{prefix}"), interface), None);
            assert!(!agent.heard.iter().any(|event| matches!(event, Event::Foreign { .. })));
            agent.must_add();
        });
    }
}

#[test]
fn both_families_come_and_go_together() {
    on_host6(|| {
        let both = vec![(VIP, 32), (VIP6, 128)];
        let mut agent = Agent::start(Settings { vips: both.clone(), lease: Some(1), ..settings() });
        agent.must_add();
        assert!(shown("10.10.10.2/32", "eth0").is_some() && shown(SHOWN, "eth0").is_some());
        assert!(matches!(agent.renew(), Event::Renewed { .. }));
        let mut gone = Vec::new();
        while gone.len() < 2 {
            if let Event::Gone { address } = agent.next() {
                gone.push(address);
            }
        }
        gone.sort();
        assert_eq!(gone, [VIP, VIP6]);

        // One that is in the way keeps both away, and nothing half done is left.
        drop(agent);
        ip("addr add 2001:db8::2/64 dev eth0 nodad");
        let mut agent = Agent::start(Settings { vips: both, ..settings() });
        assert!(matches!(agent.add(), Event::Failed { .. }));
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);
    });
}

#[test]
fn a_link_local_address_of_another_interface_is_another_address() {
    on_host6(|| {
        let vip: IpAddr = "fe80::2".parse().unwrap();
        ip("addr add fe80::2/64 dev eth1 nodad");
        let settings = Settings { vips: vec![(vip, 128)], source: Some(vip), ..settings() };
        let mut agent = Agent::start(settings);
        assert!(!agent.heard.iter().any(|event| matches!(event, Event::Foreign { .. })), "{:?}", agent.heard);
        assert!(agent.heard.contains(&Event::Source { present: false }));
        agent.must_add();
        let line = shown("fe80::2/128", "eth0").unwrap();
        assert!(line.contains("scope link nodad deprecated"), "{line}");
        assert_eq!(agent.remove(), Event::Removed);
        assert!(shown("fe80::2/64", "eth1").is_some());
    });
}

#[test]
fn a_source_is_there_once_duplicate_address_detection_is_over() {
    on_host6(|| {
        let source = "fe80::11".parse().unwrap();
        let mut agent = Agent::start(Settings { source: Some(source), ..settings6() });
        assert!(agent.heard.contains(&Event::Source { present: false }));
        ip("addr add fe80::11/64 dev eth0");
        assert!(shown("fe80::11/64", "eth0").unwrap().contains("tentative"));
        assert_eq!(agent.next(), Event::Source { present: true });
        assert!(!shown("fe80::11/64", "eth0").unwrap().contains("tentative"));
        ip("addr del fe80::11/64 dev eth0");
        assert_eq!(agent.next(), Event::Source { present: false });
    });
}

#[test]
fn where_ipv6_is_off_the_message_says_so() {
    on_host(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
        let mut agent = Agent::start(settings6());
        let Event::Failed { error, .. } = agent.add() else { panic!("{:?}", agent.heard) };
        assert!(error.contains("net.ipv6.conf.eth0.disable_ipv6"), "{error}");
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "0").unwrap();
        agent.must_add();
        eventually("it is there", || shown(SHOWN, "eth0").is_some());
    });
}
