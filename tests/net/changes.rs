//! What others do, and what is told of it.

use super::host::{Agent, VIP, eventually, ip, on_host, settings, shown};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use outrider::net::address::{Event, Settings};
use outrider::net::link::Link;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

fn link_of(agent: &Agent) -> Link {
    let link = agent.heard.iter().rev().find_map(|event| match event {
        Event::Link(link) => Some(*link),
        _ => None,
    });
    link.unwrap()
}

fn is_up(event: &Event, wanted: bool) -> bool {
    matches!(event, Event::Link(Link { index: Some(_), up }) if *up == wanted)
}

#[test]
fn an_address_deleted_by_somebody_else_is_told_and_can_be_put_back() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        agent.must_add();
        ip("addr del 10.10.10.2/32 dev eth0");
        assert_eq!(agent.next(), Event::Gone { address: VIP });
        agent.must_add();
        assert!(shown("10.10.10.2/32", "eth0").is_some());
        // A renewal puts it back as well.
        ip("addr flush dev eth0");
        assert!(matches!(agent.renew(), Event::Renewed { .. }));
        assert!(shown("10.10.10.2/32", "eth0").unwrap().contains("valid_lft 60sec"));
    });
}

#[test]
fn a_foreign_address_that_comes_later_is_told_and_not_renewed() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        agent.must_add();
        ip("addr add 10.10.10.2/24 dev eth1");
        let foreign = agent.next();
        assert!(matches!(&foreign, Event::Foreign { interface, .. } if interface == "eth1"), "{foreign:?}");
        ip("addr del 10.10.10.2/24 dev eth1");
        assert_eq!(agent.next(), Event::ForeignGone { address: VIP });

        // Somebody makes ours his own.
        ip("addr replace 10.10.10.2/32 dev eth0 valid_lft forever preferred_lft forever");
        assert!(matches!(agent.next(), Event::Foreign { .. }));
        assert!(matches!(agent.renew(), Event::Failed { .. }));
        assert_eq!(agent.remove(), Event::Removed);
        assert!(shown("10.10.10.2/32", "eth0").unwrap().contains("valid_lft forever"), "his, not ours");
    });
}

#[test]
fn the_cable_is_cut_and_restored() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        assert!(is_up(&agent.heard[0], true), "{:?}", agent.heard);
        ip("link set peer0 down");
        agent.until(|event| is_up(event, false));
        ip("link set peer0 up");
        agent.until(|event| is_up(event, true));
        ip("link set eth0 down");
        agent.until(|event| is_up(event, false));
    });
}

#[test]
fn leaving_a_bridge_is_not_leaving_the_host() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        ip("link add br0 type bridge");
        ip("link set eth0 master br0");
        ip("link set eth0 nomaster");
        ip("link set eth0 down");
        agent.until(|event| is_up(event, false));
        assert!(!agent.heard.contains(&Event::Link(Link::ABSENT)), "{:?}", agent.heard);
    });
}

#[test]
fn the_interface_is_deleted_and_made_again() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        agent.must_add();
        let first = link_of(&agent).index;
        ip("link del eth0");
        agent.until(|event| *event == Event::Link(Link::ABSENT));
        assert!(agent.heard.contains(&Event::Gone { address: VIP }));
        let Event::Failed { error, .. } = agent.add() else { panic!("{:?}", agent.heard) };
        assert!(error.contains("no interface eth0"), "{error}");
        assert_eq!(agent.remove(), Event::Removed);

        ip("link add eth0 type veth peer name peer0");
        ip("link set eth0 up");
        ip("link set peer0 up");
        agent.until(|event| is_up(event, true));
        assert_ne!(link_of(&agent).index, first);
        agent.must_add();
        assert!(shown("10.10.10.2/32", "eth0").is_some());
    });
}

#[test]
fn an_interface_is_known_by_its_name() {
    on_host(|| {
        let mut agent = Agent::start(Settings { interface: "wan".to_owned(), ..settings() });
        assert_eq!(agent.heard, [Event::Link(Link::ABSENT)]);
        ip("link set eth1 down");
        ip("link set eth1 name wan");
        agent.until(|event| is_up(event, false));
        ip("link set wan up");
        agent.until(|event| is_up(event, true));
        agent.must_add();
        assert!(shown("10.10.10.2/32", "wan").is_some());
        ip("link set wan down");
        ip("link set wan name other");
        agent.until(|event| *event == Event::Link(Link::ABSENT));
    });
}

#[test]
fn the_source_address_comes_and_goes() {
    on_host(|| {
        let source = Some(Ipv4Addr::new(10, 10, 10, 11).into());
        let mut agent = Agent::start(Settings { source, ..settings() });
        assert_eq!(agent.heard[0], Event::Source { present: true });
        ip("addr add 10.10.10.11/32 dev eth1");
        ip("addr del 10.10.10.11/24 dev eth0");
        ip("addr del 10.10.10.11/32 dev eth1");
        assert_eq!(agent.next(), Event::Source { present: false }, "only once it is on no interface");
        ip("addr add 10.10.10.11/24 dev eth0");
        assert_eq!(agent.next(), Event::Source { present: true });
    });
}

/// Thousands of changes elsewhere on the host; the last two are about our address.
fn flood() {
    let mut batch = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = batch.stdin.take().unwrap();
    for n in 0..5_000 {
        let verb = if n % 2 == 0 { "add" } else { "del" };
        writeln!(input, "addr {verb} 172.16.0.1/24 dev eth1").unwrap();
    }
    writeln!(input, "addr del 10.10.10.2/32 dev eth0\naddr add 10.10.10.2/24 dev eth1").unwrap();
    drop(input);
    assert!(batch.wait().unwrap().success());
}

#[test]
fn requests_are_served_in_a_flood_of_changes() {
    on_host(|| {
        let mut agent = Agent::start(settings());
        agent.must_add();
        let namespace = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let flood = std::thread::spawn(move || {
            nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            flood();
        });
        let mut renewals = 0;
        while !flood.is_finished() {
            assert!(matches!(agent.renew(), Event::Renewed { .. }));
            renewals += 1;
        }
        flood.join().unwrap();
        assert!(renewals > 10, "{renewals}");
        // It may have been told between the answers.
        if !agent.heard.iter().any(|event| matches!(event, Event::Foreign { .. })) {
            agent.until(|event| matches!(event, Event::Foreign { .. }));
        }
    });
}

/// While the agent is stopped the kernel tells more than its socket holds, and drops the rest.
#[test]
fn what_the_kernel_could_not_tell_is_read() {
    on_host(|| {
        let mut agent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "changes::agent_process", "--nocapture"])
            .env("OUTRIDER_TEST_BE_AN_AGENT", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("Added")));
        let pid = Pid::from_raw(agent.id().try_into().unwrap());
        signal::kill(pid, Signal::SIGSTOP).unwrap();
        eventually("it is stopped", || {
            std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ")
        });
        flood();
        signal::kill(pid, Signal::SIGCONT).unwrap();
        assert!(lines.any(|line| line.contains("Gone { address: 10.10.10.2 }")));
        assert!(lines.any(|line| line.contains("Foreign { address: 10.10.10.2, interface: \"eth1\"")));
        agent.kill().unwrap();
        agent.wait().unwrap();
    });
}

/// Not a test by itself: the process of [`what_the_kernel_could_not_tell_is_read`].
#[test]
fn agent_process() {
    if std::env::var_os("OUTRIDER_TEST_BE_AN_AGENT").is_some() {
        let mut agent = Agent::start(settings());
        println!("{:?}", agent.add());
        loop {
            println!("{:?}", agent.next());
        }
    }
}
