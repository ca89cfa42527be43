//! Several virtual routers on one thread.

use super::host::{PATIENCE, ip, on_host, settings};
use outrider::net::address::{Addresses, Event, Request, Settings};
use outrider::net::alarm::now;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// As many as make a bad design slow.
const MANY: usize = 200;

struct Fleet {
    addresses: Addresses,
    events: UnboundedReceiver<(usize, Event)>,
    runtime: tokio::runtime::Runtime,
}

impl Fleet {
    fn start() -> Fleet {
        let (tell, events) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Fleet { addresses: Addresses::start(tell).unwrap(), events, runtime }
    }

    fn next(&mut self) -> (usize, Event) {
        let events = &mut self.events;
        let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, events.recv()).await });
        next.expect("nothing more").expect("the thread died")
    }

    /// Serves routers with these numbers and waits until each has told what it found.
    fn serve(&mut self, settings: impl IntoIterator<Item = (usize, Settings)>) {
        let mut waiting = BTreeSet::new();
        for (router, settings) in settings {
            self.addresses.serve(router, settings);
            waiting.insert(router);
        }
        while !waiting.is_empty() {
            if let (router, Event::Link(_)) = self.next() {
                waiting.remove(&router);
            }
        }
    }

    /// The next events, as many from each of these routers as it is named; told in the order of the names.
    fn one_of_each(&mut self, routers: impl Iterator<Item = usize>) -> Vec<Event> {
        let named: Vec<usize> = routers.collect();
        let mut heard: BTreeMap<usize, VecDeque<Event>> = BTreeMap::new();
        for _ in &named {
            let (router, event) = self.next();
            heard.entry(router).or_default().push_back(event);
        }
        let mut take = |router| heard.get_mut(router).and_then(VecDeque::pop_front);
        let events: Option<Vec<Event>> = named.iter().map(&mut take).collect();
        events.unwrap_or_else(|| panic!("others told something, too: {heard:?}"))
    }
}

/// Half of them IPv4, half IPv6.
fn vip(router: usize) -> IpAddr {
    if router.is_multiple_of(2) {
        Ipv4Addr::new(10, 10, 11, router as u8).into()
    } else {
        format!("2001:db8::{router:x}").parse().unwrap()
    }
}

fn router(number: usize) -> Settings {
    let vip = vip(number);
    let source = Some(Ipv4Addr::new(10, 10, 10, 11).into());
    Settings { vips: vec![(vip, if vip.is_ipv4() { 32 } else { 128 })], source, ..settings() }
}

/// How many addresses of ours are there.
fn count() -> usize {
    let all = ip("-oneline addr show dev eth0");
    all.lines().filter(|line| line.contains(" 10.10.11.") || line.contains(" 2001:db8::")).count()
}

#[test]
fn many_are_served_at_once_and_each_is_answered_in_order() {
    on_host(|| {
        let mut fleet = Fleet::start();
        fleet.serve((0..MANY).map(|number| (number, router(number))));
        let start = Instant::now();
        for number in 0..MANY {
            fleet.addresses.add(number, now() + PATIENCE);
        }
        for event in fleet.one_of_each(0..MANY) {
            assert!(matches!(event, Event::Added { .. }), "{event:?}");
        }
        assert_eq!(count(), MANY);
        for number in 0..MANY {
            fleet.addresses.renew(number, now() + PATIENCE);
            fleet.addresses.renew(number, Duration::ZERO);
        }
        for number in 0..MANY {
            let [renewed, late] = fleet.one_of_each([number, number].into_iter()).try_into().unwrap();
            assert!(matches!(renewed, Event::Renewed { .. }), "{renewed:?}");
            assert_eq!(late, Event::TooLate(Request::Renew { not_after: Duration::ZERO }));
        }
        for number in (0..MANY).filter(|number| number % 3 == 0) {
            fleet.addresses.remove(number);
        }
        for event in fleet.one_of_each((0..MANY).filter(|number| number % 3 == 0)) {
            assert_eq!(event, Event::Removed);
        }
        assert_eq!(count(), (0..MANY).filter(|number| number % 3 != 0).count());
        // Some 600 changes; a busy machine has all the time it may need.
        assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    });
}

#[test]
fn each_hears_of_its_own_addresses_and_of_what_all_share() {
    on_host(|| {
        let mut fleet = Fleet::start();
        fleet.serve((0..4).map(|number| (number, router(number))));
        for number in 0..4 {
            fleet.addresses.add(number, now() + PATIENCE);
        }
        fleet.one_of_each(0..4);
        ip("addr del 10.10.11.2/32 dev eth0");
        assert_eq!(fleet.next(), (2, Event::Gone { address: vip(2) }));
        ip("addr del 2001:db8::3/128 dev eth0");
        assert_eq!(fleet.next(), (3, Event::Gone { address: vip(3) }));
        ip("addr add 2001:db8::1/64 dev eth1 nodad");
        let (number, event) = fleet.next();
        assert!(number == 1 && matches!(event, Event::Foreign { .. }), "{number}: {event:?}");
        ip("addr del 10.10.10.11/24 dev eth0");
        for event in fleet.one_of_each(0..4) {
            assert_eq!(event, Event::Source { present: false });
        }
        // All at once, too: an interface that goes.
        ip("link del eth0");
        let mut gone = BTreeSet::new();
        let mut away = BTreeSet::new();
        while away.len() < 4 {
            match fleet.next() {
                (number, Event::Gone { .. }) => assert!(gone.insert(number), "{number} twice"),
                (number, Event::Link(link)) if link.index.is_none() => assert!(away.insert(number)),
                (_, Event::Link(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(gone, BTreeSet::from([0, 1]), "2 and 3 were told before");
    });
}

#[test]
fn one_that_cannot_have_its_address_holds_up_nobody() {
    on_host(|| {
        ip("addr add 10.10.11.2/24 dev eth1");
        let mut fleet = Fleet::start();
        let lost = Settings { interface: "eth9".to_owned(), ..router(4) };
        fleet.serve([(0, router(0)), (2, router(2)), (4, lost)]);
        // Nothing was said of 6.
        for number in [2, 4, 6, 0] {
            fleet.addresses.add(number, now() + PATIENCE);
        }
        let [foreign, lost, unknown, fine] = fleet.one_of_each([2, 4, 6, 0].into_iter()).try_into().unwrap();
        assert!(
            matches!(&foreign, Event::Failed { error, .. } if error.contains("10.10.11.2")),
            "{foreign:?}"
        );
        assert!(matches!(&lost, Event::Failed { error, .. } if error.contains("eth9")), "{lost:?}");
        assert!(matches!(&unknown, Event::Failed { .. }), "{unknown:?}");
        assert!(matches!(&fine, Event::Added { .. }), "{fine:?}");
    });
}

#[test]
fn one_may_come_later_and_cleans_up_after_itself_alone() {
    on_host(|| {
        let mut fleet = Fleet::start();
        fleet.serve([(0, router(0)), (1, router(1))]);
        for number in 0..2 {
            fleet.addresses.add(number, now() + PATIENCE);
        }
        fleet.one_of_each(0..2);
        // What the second agent leaves behind for router 2 goes when router 2 comes; the rest is held.
        let mut other = Fleet::start();
        other.serve([(2, Settings { lease: None, ..router(2) })]);
        other.addresses.add(2, now() + PATIENCE);
        other.one_of_each(2..3);
        drop(other);
        super::host::eventually("the dead agent's lock is free", || {
            outrider::net::lock::Lock::address(vip(2), "eth0").unwrap().is_some()
        });
        assert_eq!(count(), 3);
        fleet.serve([(2, router(2))]);
        assert_eq!(count(), 2);
        // No need to wait until a new one has told what it found.
        for number in 2..4 {
            fleet.addresses.serve(number + 10, router(number));
            fleet.addresses.add(number + 10, now() + PATIENCE);
        }
        let mut answers = Vec::new();
        while answers.len() < 2 {
            match fleet.next() {
                (12.., event @ (Event::Added { .. } | Event::Failed { .. })) => answers.push(event),
                (12.., Event::Link(_) | Event::Source { .. } | Event::Foreign { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(answers[0], Event::Failed { .. }), "2 has the address: {answers:?}");
        assert!(matches!(answers[1], Event::Added { .. }), "{answers:?}");
        assert_eq!(count(), 3);
    });
}
