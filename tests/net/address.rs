//! Requests and their answers.

use super::host::{Agent, PATIENCE, ROUTER, VIP, eventually, in_namespace, ip, on_host, settings, shown};
use outrider::net::address::{Event, Request, Settings};
use outrider::net::alarm::now;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 10, 10, 3));

#[test]
fn added_with_a_lease_and_removed() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        let before = now();
        let Event::Added { sent_at, acked_at } = agent.add() else { panic!("{:?}", agent.heard) };
        assert!(before <= sent_at && sent_at < acked_at && acked_at <= now());
        let line = shown("10.10.10.2/32", "eth0").unwrap();
        assert!(line.contains("scope global") && !line.contains("brd"), "{line}");
        assert!(line.contains("valid_lft 60sec preferred_lft 60sec"), "{line}");

        assert_eq!(agent.remove(), Event::Removed);
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);
        assert_eq!(agent.remove(), Event::Removed, "nothing to remove is no error");
        agent.must_add();
        // Neither deletion above was anybody else's.
        assert!(!agent.heard.iter().any(|event| matches!(event, Event::Gone { .. })), "{:?}", agent.heard);
    });
}

#[test]
fn renewals_keep_it_and_without_them_the_kernel_drops_it() {
    on_host(|| {
        let mut agent = Agent::start(Settings { lease: Some(2), ..settings() });
        let Event::Added { acked_at, .. } = agent.add() else { panic!("{:?}", agent.heard) };
        let mut last = acked_at;
        while last < acked_at + Duration::from_secs(3) {
            let Event::Renewed { sent_at, acked_at } = agent.renew() else { panic!("{:?}", agent.heard) };
            assert!(sent_at < acked_at);
            last = acked_at;
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(shown("10.10.10.2/32", "eth0").is_some(), "longer than one lease");
        assert!(!agent.heard.contains(&Event::Gone { address: VIP }));

        agent.until(|event| *event == Event::Gone { address: VIP });
        let lasted = now() - last;
        assert!(lasted > Duration::from_millis(1900) && lasted < Duration::from_secs(4), "{lasted:?}");
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);

        // Whoever wakes up now must not put it back.
        agent.addresses.renew(ROUTER, last + Duration::from_secs(2));
        assert!(matches!(agent.answer(), Event::TooLate(Request::Renew { .. })));
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);
    });
}

#[test]
fn several_addresses_are_added_and_expire_together() {
    on_host(|| {
        let vips = vec![(VIP, 32), (SECOND, 32), (Ipv4Addr::new(192, 0, 2, 2).into(), 28)];
        let mut agent = Agent::start(Settings { vips, lease: Some(1), ..settings() });
        agent.must_add();
        for address in ["10.10.10.2/32", "10.10.10.3/32", "192.0.2.2/28"] {
            assert!(shown(address, "eth0").unwrap().contains("valid_lft 1sec"));
        }
        assert!(matches!(agent.renew(), Event::Renewed { .. }));
        let mut gone = Vec::new();
        while gone.len() < 3 {
            if let Event::Gone { address } = agent.next() {
                gone.push((address, now()));
            }
        }
        assert!(gone[2].1 - gone[0].1 < Duration::from_millis(500), "in one go: {gone:?}");
    });
}

#[test]
fn a_connection_survives_renewals() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        agent.must_add();
        let listener = TcpListener::bind((VIP, 80)).unwrap();
        // The client is another host at the far end of the cable.
        let (tell, told) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel();
        let client = std::thread::spawn(move || {
            in_namespace(move || {
                tell.send(nix::unistd::gettid()).unwrap();
                may_go.recv().unwrap();
                ip("addr add 10.10.10.99/24 dev peer0");
                ip("link set peer0 up");
                let mut stream = TcpStream::connect((VIP, 80)).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut byte = [0];
                while stream.read(&mut byte).unwrap() == 1 {
                    stream.write_all(&byte).unwrap();
                }
            });
        });
        ip(&format!("link set peer0 netns {}", told.recv().unwrap()));
        go.send(()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        for n in 0..100 {
            assert!(matches!(agent.renew(), Event::Renewed { .. }));
            let mut back = [0];
            stream.write_all(&[n]).unwrap();
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, [n]);
        }
        drop(stream);
        client.join().unwrap();
    });
}

#[test]
fn forever_has_no_lease() {
    on_host(|| {
        let mut agent = Agent::start(Settings { lease: None, ..settings() });
        agent.must_add();
        assert!(matches!(agent.renew(), Event::Renewed { .. }));
        assert!(shown("10.10.10.2/32", "eth0").unwrap().contains("valid_lft forever"));
        assert_eq!(agent.remove(), Event::Removed);
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);
    });
}

#[test]
fn a_request_that_comes_too_late_touches_nothing() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        let past = now() - Duration::from_millis(1);
        agent.addresses.add(ROUTER, past);
        assert_eq!(agent.answer(), Event::TooLate(Request::Add { not_after: past }));
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);
        assert!(matches!(agent.renew(), Event::Failed { .. }), "nothing is held");
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);
    });
}

#[test]
fn what_is_acknowledged_too_late_is_undone() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        let mut allowed = Duration::from_micros(100);
        for _ in 0..10_000 {
            let not_after = now() + allowed;
            agent.addresses.add(ROUTER, not_after);
            match agent.answer() {
                Event::Late(request) => {
                    assert_eq!(request, Request::Add { not_after });
                    assert_eq!(shown("10.10.10.2/32", "eth0"), None);
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

#[test]
fn a_foreign_address_is_left_alone_and_named() {
    for (interface, prefix) in [("eth0", 24), ("eth0", 32), ("eth1", 24)] {
        on_host(move || {
            ip(&format!("addr add 10.10.10.2/{prefix} dev {interface}"));
            let mut agent = Agent::start(settings());
            let clear_with = format!("ip addr del 10.10.10.2/{prefix} dev {interface}");
            let foreign = Event::Foreign {
                address: VIP,
                interface: interface.to_owned(),
                clear_with: clear_with.clone(),
            };
            assert_eq!(agent.heard[0], foreign);
            let Event::Failed { error, .. } = agent.add() else { panic!("{:?}", agent.heard) };
            assert!(error.contains(&clear_with) && error.contains("OUTRIDER_ADOPT"), "{error}");
            assert_eq!(agent.remove(), Event::Removed);
            let line = shown(&format!("10.10.10.2/{prefix}"), interface).unwrap();
            assert!(line.contains("valid_lft forever"), "untouched: {line}");

            ip(clear_with.strip_prefix("ip ").unwrap());
            assert_eq!(agent.next(), Event::ForeignGone { address: VIP });
            agent.must_add();
        });
    }
}

#[test]
fn one_foreign_address_keeps_all_of_them_away() {
    on_host(|| {
        ip("addr add 10.10.10.3/24 dev eth0");
        let mut agent = Agent::start(Settings { vips: vec![(VIP, 32), (SECOND, 32)], ..settings() });
        assert!(matches!(agent.add(), Event::Failed { .. }));
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);
    });
}

#[test]
fn a_foreign_address_is_adopted_on_request() {
    for (interface, prefix) in [("eth0", 24), ("eth0", 32), ("eth1", 24)] {
        on_host(move || {
            ip(&format!("addr add 10.10.10.2/{prefix} dev {interface}"));
            let mut agent = Agent::start(Settings { adopt: true, ..settings() });
            agent.must_add();
            assert!(shown("10.10.10.2/32", "eth0").unwrap().contains("valid_lft 60sec"));
            assert!(prefix == 32 || shown(&format!("10.10.10.2/{prefix}"), interface).is_none());
            assert!(shown("10.10.10.11/24", "eth0").is_some());
            assert!(matches!(agent.renew(), Event::Renewed { .. }));
            assert_eq!(agent.remove(), Event::Removed);
            assert_eq!(shown("10.10.10.2/32", "eth0"), None);
        });
    }
}

#[test]
fn adopting_takes_no_other_address_along() {
    on_host(|| {
        ip("addr del 10.10.10.11/24 dev eth0");
        ip("addr add 10.10.10.2/24 dev eth0");
        ip("addr add 10.10.10.11/24 dev eth0"); // A secondary of the one before.
        let mut agent = Agent::start(Settings { adopt: true, ..settings() });
        let Event::Failed { error, .. } = agent.add() else { panic!("{:?}", agent.heard) };
        assert!(error.contains("10.10.10.11"), "{error}");
        assert!(shown("10.10.10.11/24", "eth0").is_some());
        assert!(shown("10.10.10.2/24", "eth0").is_some());
    });
}

#[test]
fn leftovers_of_an_earlier_run_are_removed() {
    for interface in ["eth0", "eth1"] {
        on_host(move || {
            let mut earlier =
                Agent::start(Settings { interface: interface.to_owned(), lease: None, ..settings() });
            earlier.must_add();
            earlier.die(VIP);
            assert!(shown("10.10.10.2/32", interface).is_some());
            let mut agent = Agent::start(settings());
            assert_eq!(shown("10.10.10.2/32", interface), None);
            assert!(!agent.heard.iter().any(|event| matches!(event, Event::Foreign { .. })));
            agent.must_add();
        });
    }
}

#[test]
fn leftovers_that_vanish_by_themselves_are_told_and_removed_at_request() {
    for (lease, spared) in [(60, true), (61, false)] {
        on_host(move || {
            let mut earlier = Agent::start(Settings { lease: Some(lease), ..settings() });
            earlier.must_add();
            earlier.die(VIP);
            let mut agent = Agent::start(settings());
            assert_eq!(agent.heard.contains(&Event::Leftover), spared, "{:?}", agent.heard);
            assert_eq!(shown("10.10.10.2/32", "eth0").is_some(), spared);
            assert_eq!(agent.remove(), Event::Removed);
            assert_eq!(shown("10.10.10.2/32", "eth0"), None);
            assert!(
                !agent.heard.iter().any(|event| matches!(event, Event::Gone { .. } | Event::Foreign { .. }))
            );
        });
    }
}

#[test]
fn where_marks_are_kept_a_short_lifetime_alone_makes_no_leftover() {
    on_host(|| {
        ip("addr add 10.10.10.2/32 dev eth0 valid_lft 50 preferred_lft 50");
        let agent = Agent::start(settings());
        assert!(matches!(agent.heard[0], Event::Foreign { .. }), "{:?}", agent.heard);
        assert!(shown("10.10.10.2/32", "eth0").is_some());
    });
}

#[test]
fn two_agents_live_side_by_side() {
    on_host(|| {
        let mut one = Agent::start(settings());
        one.must_add();
        let mut two = Agent::start(Settings { vips: vec![(SECOND, 32)], ..settings() });
        two.must_add();
        assert!(shown("10.10.10.2/32", "eth0").is_some(), "the other's mark is no leftover");
        assert_eq!(one.remove(), Event::Removed);
        assert!(shown("10.10.10.3/32", "eth0").is_some());
        assert!(matches!(two.renew(), Event::Renewed { .. }));
        assert!(!two.heard.contains(&Event::Gone { address: SECOND }));
    });
}

#[test]
fn two_agents_for_one_address_do_not_touch_each_others() {
    on_host(|| {
        let mut one = Agent::start(settings());
        one.must_add();
        let mut two = Agent::start(settings());
        assert!(matches!(two.heard[0], Event::Foreign { .. }), "{:?}", two.heard);
        let Event::Failed { error, .. } = two.add() else { panic!("{:?}", two.heard) };
        assert!(error.contains("other agent"), "{error}");
        assert_eq!(two.remove(), Event::Removed);
        assert!(shown("10.10.10.2/32", "eth0").is_some());
        // The first one is killed: what it leaves behind goes, without anybody asking.
        one.addresses.renew(ROUTER, now() + PATIENCE);
        drop(one);
        two.until(|event| *event == Event::ForeignGone { address: VIP });
        eventually("the leftover is gone", || shown("10.10.10.2/32", "eth0").is_none());
        two.must_add();
    });
}

#[test]
fn without_the_capability_the_message_names_it() {
    on_host(|| {
        // A user namespace of its own has no say in this network namespace.
        let output = std::process::Command::new("unshare")
            .args(["--user", "--map-root-user"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "address::add_without_capability", "--nocapture"])
            .env("OUTRIDER_TEST_ADD", "1")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.contains("cap_add: [NET_ADMIN]"), "{output}");
        assert_eq!(shown("10.10.10.2/32", "eth0"), None);
    });
}

/// Not a test by itself: the process of [`without_the_capability_the_message_names_it`].
#[test]
fn add_without_capability() {
    if std::env::var_os("OUTRIDER_TEST_ADD").is_some() {
        let mut agent = Agent::start(settings());
        println!("{:?}", agent.add());
    }
}
