//! What single steps cost: `cargo bench --bench micro`.
//!
//! The steps are those that an agent takes all the time: an advert read and written, its HMAC, a turn of the core.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use outrider::core::advert::{Advert, Checksum, Version};
use outrider::core::announce::Announcements;
use outrider::core::auth::{Auth, Proof, Stamp, Verdict};
use outrider::core::command::Command;
use outrider::core::event::State;
use outrider::core::guard::Guards;
use outrider::core::members::{Member, Membership, Standing};
use outrider::core::{Agent, Heard, Kernel, Outcome, Settings, Time};
use outrider::wire::advert::{decode, encode};
use outrider::wire::auth::{Key, TRAILER, sign, verify};
use std::net::IpAddr;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const INTERVAL: Duration = Duration::from_millis(200);
const VRID: u8 = 2;
const CHECK: &str = "tcp://127.0.0.1:80";
const PASSWORD: [u8; 8] = *b"seaside\0";

fn main() {
    divan::main();
}

/// What is written and read.
#[derive(Clone, Copy, Debug)]
enum Kind {
    V2Pass,
    V3,
    V3Ipv6,
}

const KINDS: [Kind; 3] = [Kind::V2Pass, Kind::V3, Kind::V3Ipv6];

struct Message {
    advert: Advert,
    source: IpAddr,
    destination: IpAddr,
    pass: Option<[u8; 8]>,
}

impl Message {
    fn new(kind: Kind) -> Message {
        let (version, interval) = match kind {
            Kind::V2Pass => (Version::V2, 1000 * MS),
            Kind::V3 | Kind::V3Ipv6 => (Version::V3, INTERVAL),
        };
        let [source, destination, address] = match kind {
            Kind::V2Pass | Kind::V3 => ["10.10.10.11", "10.10.10.12", "10.10.10.2"],
            Kind::V3Ipv6 => ["fe80::11", "fe80::12", "fe80::2"],
        }
        .map(|text| text.parse().unwrap());
        let advert = Advert { version, vrid: VRID, priority: 100, interval, addresses: vec![address] };
        Message { advert, source, destination, pass: matches!(kind, Kind::V2Pass).then_some(PASSWORD) }
    }

    fn encode(&self) -> Vec<u8> {
        encode(&self.advert, Checksum::PseudoHeader, self.source, self.destination, self.pass)
    }
}

#[divan::bench(args = KINDS)]
fn encode_advert(bencher: Bencher, kind: Kind) {
    let message = Message::new(kind);
    bencher.bench(|| black_box(&message).encode());
}

#[divan::bench(args = KINDS)]
fn decode_advert(bencher: Bencher, kind: Kind) {
    let message = Message::new(kind);
    let bytes = message.encode();
    bencher.bench(|| decode(black_box(&bytes), message.source, message.destination).unwrap());
}

#[divan::bench]
fn sign_advert(bencher: Bencher) {
    let message = Message::new(Kind::V3);
    let key = Key::new(1, &[7; 32]).unwrap();
    let stamp = Stamp::next(Duration::from_secs(1_700_000_000), None);
    let unsigned = || {
        let mut bytes = message.encode();
        bytes.reserve(TRAILER);
        bytes
    };
    bencher.with_inputs(unsigned).bench_refs(|bytes| {
        sign(bytes, message.source, message.destination, black_box(&key), stamp);
    });
}

#[divan::bench]
fn verify_advert(bencher: Bencher) {
    let message = Message::new(Kind::V3);
    let keys = [Key::new(1, &[7; 32]).unwrap()];
    let stamp = Stamp::next(Duration::from_secs(1_700_000_000), None);
    let mut bytes = message.encode();
    sign(&mut bytes, message.source, message.destination, &keys[0], stamp);
    assert_eq!(verify(&bytes, message.source, &keys), Verdict::Valid);
    bencher.bench(|| verify(black_box(&bytes), message.source, &keys));
}

fn ip(last: u8) -> IpAddr {
    [10, 10, 10, last].into()
}

fn member(last: u8) -> Member {
    let address = ip(last);
    Member { id: format!("uuid-{last}"), name: format!("lb{last}"), address, priority: None }
}

fn settings(vrid: u8) -> Settings {
    Settings {
        vrid,
        version: Version::V3,
        source: ip(11),
        addresses: vec![ip(2)],
        interval: INTERVAL,
        priority: Some(200),
        preempt: false,
        preempt_delay: Duration::ZERO,
        lease: Some(1000 * MS),
        handover_limit: 5000 * MS,
        announcements: Announcements {
            repeat: 5,
            delay: 1000 * MS,
            refresh: 60_000 * MS,
            interval: Duration::ZERO,
        },
        min_ttl: 255,
        group: None,
        checksum: Checksum::PseudoHeader,
        auth: Auth::None,
        earlier: Vec::new(),
        rise: 2,
        fall: 2,
        guards: Guards::Auto,
    }
}

/// A fit Backup with three peers that has just begun to listen.
fn backup(vrid: u8) -> (Agent, Time) {
    let now = 1_000_000 * MS;
    let mut agent = Agent::new(settings(vrid), now);
    let members = Membership { me: Standing::Member(member(11)), others: [12, 13, 14].map(member).to_vec() };
    agent.handle_members(now, &members, None);
    agent.handle_link(now, Ok(()));
    agent.handle_gateway(now, Some(ip(1)));
    agent.handle_checks(now, Ok(&[CHECK.to_owned()]));
    agent.handle_health(now, CHECK, &Outcome::Pass);
    carry_out(&mut agent, now);
    assert_eq!(agent.state(), State::Backup);
    (agent, now)
}

/// An Active that has announced its address, at a moment when its next advert is due.
fn active(vrid: u8) -> (Agent, Time) {
    let (mut agent, began) = backup(vrid);
    loop {
        let now = agent.next_deadline();
        assert!(now < began + 20_000 * MS, "there is no advert");
        let mut next = agent.clone();
        next.handle_timeout(now);
        let mut commands = std::iter::from_fn(|| next.next_command(now));
        let is_due = commands.any(|command| matches!(command, Command::Advertise { .. }));
        if is_due && now > began + 5000 * MS {
            return (agent, now);
        }
        // The gateway answers.
        agent.handle_arp(now, ip(1), [2, 0, 0, 0, 0, 1]);
        agent.handle_timeout(now);
        carry_out(&mut agent, now);
    }
}

/// As `run` does it, with a kernel that answers at once and nothing sent.
fn carry_out(agent: &mut Agent, now: Time) -> usize {
    let mut count = 0;
    while let Some(command) = agent.next_command(now) {
        count += 1;
        match command {
            Command::Add { .. } => agent.handle_kernel(now, &Kernel::Added { sent: now }),
            Command::Renew { .. } => agent.handle_kernel(now, &Kernel::Renewed { sent: now }),
            _ => {}
        }
    }
    count
}

#[divan::bench]
fn active_sends_an_advert(bencher: Bencher) {
    let (agent, now) = active(VRID);
    bencher.with_inputs(|| agent.clone()).bench_refs(|agent| {
        agent.handle_timeout(now);
        carry_out(agent, now)
    });
}

#[divan::bench]
fn backup_hears_an_advert(bencher: Bencher) {
    let (mut agent, now) = backup(VRID);
    let advert = Advert {
        version: Version::V3,
        vrid: VRID,
        priority: 254,
        interval: INTERVAL,
        addresses: vec![ip(2)],
    };
    let checksum = Checksum::PseudoHeader;
    let heard = Heard { from: ip(12), ttl: 255, advert, checksum, proof: Proof::default() };
    let mut hear = |now| {
        agent.handle_advert(now, black_box(&heard));
        agent.handle_timeout(now);
        carry_out(&mut agent, now)
    };
    hear(now);
    let mut now = now;
    bencher.bench_local(|| {
        now += INTERVAL;
        hear(now)
    });
    // Had it not been heard, it would have claimed the address.
    assert_eq!(agent.state(), State::Backup);
}

#[divan::bench]
fn deadlines_of_200_cores(bencher: Bencher) {
    let agents: Vec<Agent> = (1..=200).map(|vrid| active(vrid).0).collect();
    bencher
        .counter(ItemsCount::new(agents.len()))
        .bench(|| black_box(&agents).iter().map(Agent::next_deadline).min());
}
