//! A host to test on: a network namespace with two interfaces, and an agent's address thread on it.

use nix::sched::{CloneFlags, unshare};
use outrider::net::address::{Addresses, Event, Settings};
use outrider::net::alarm::now;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Longest wait for anything; reached only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(10);
pub const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 10, 10, 2));

/// The number of the only virtual router of an [`Agent`].
pub const ROUTER: usize = 7;

/// Runs a test on a thread that has a network namespace of its own.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// As [`in_namespace`], with `eth0` (10.10.10.11/24, its cable ends at `peer0`) and `eth1`. No IPv6 address.
pub fn on_host(test: impl FnOnce() + Send + 'static) {
    in_namespace(|| {
        for n in 0..2 {
            ip(&format!("link add eth{n} type veth peer name peer{n}"));
            for end in ["eth", "peer"] {
                // No link-local address of the kernel's choice: tests add those they want.
                ip(&format!("link set {end}{n} addrgenmode none"));
                ip(&format!("link set {end}{n} up"));
            }
        }
        ip("addr add 10.10.10.11/24 dev eth0");
        test();
    });
}

pub fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The line `ip` writes about an address with its prefix (`10.10.10.2/32`), if it is on the interface.
pub fn shown(address: &str, interface: &str) -> Option<String> {
    let family = if address.contains(':') { 6 } else { 4 };
    let all = ip(&format!("-{family} -oneline addr show dev {interface}"));
    all.lines().find(|line| line.contains(&format!(" {address} "))).map(str::to_owned)
}

pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn settings() -> Settings {
    Settings {
        interface: "eth0".to_owned(),
        vips: vec![(VIP, 32)],
        lease: Some(60),
        adopt: false,
        source: None,
    }
}

/// An agent's address thread, with one virtual router, and what it told.
pub struct Agent {
    pub addresses: Addresses,
    events: UnboundedReceiver<(usize, Event)>,
    runtime: tokio::runtime::Runtime,
    pub heard: Vec<Event>,
}

impl Agent {
    /// Starts it and waits until everything found at start is told; that is in `heard`.
    pub fn start(settings: Settings) -> Agent {
        let (tell, events) = unbounded_channel();
        let addresses = Addresses::start(tell).unwrap();
        addresses.serve(ROUTER, settings);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut agent = Agent { addresses, events, runtime, heard: Vec::new() };
        agent.until(|event| matches!(event, Event::Link(_)));
        agent
    }

    pub fn next(&mut self) -> Event {
        let events = &mut self.events;
        let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, events.recv()).await });
        let next = next.unwrap_or_else(|_| panic!("nothing more; heard {:?}", self.heard));
        let (router, next) = next.expect("the thread died");
        assert_eq!(router, ROUTER);
        self.heard.push(next.clone());
        next
    }

    pub fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next();
            if wanted(&event) {
                return event;
            }
        }
    }

    pub fn add(&mut self) -> Event {
        self.addresses.add(ROUTER, now() + PATIENCE);
        self.answer()
    }

    pub fn renew(&mut self) -> Event {
        self.addresses.renew(ROUTER, now() + PATIENCE);
        self.answer()
    }

    pub fn remove(&mut self) -> Event {
        self.addresses.remove(ROUTER);
        self.answer()
    }

    /// The answer to the last request.
    pub fn answer(&mut self) -> Event {
        self.until(|event| {
            !matches!(
                event,
                Event::Foreign { .. }
                    | Event::ForeignGone { .. }
                    | Event::Gone { .. }
                    | Event::Link(_)
                    | Event::Source { .. }
            )
        })
    }

    #[track_caller]
    pub fn must_add(&mut self) {
        let answer = self.add();
        assert!(matches!(answer, Event::Added { .. }), "{answer:?}");
    }

    /// Ends the thread as a killed process would, and waits until its locks are free.
    pub fn die(self, vip: IpAddr) {
        drop(self);
        eventually("the dead agent's lock is free", || {
            outrider::net::lock::Lock::address(vip, "eth0").unwrap().is_some()
        });
    }
}
