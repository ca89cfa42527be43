//! Where the model begins.

use crate::cluster::{Bounds, Cluster, Deed, Fault, MS, Start};
use crate::host::{HOSTS, Host, Slot};
use crate::judge::Watch;
use outrider::core::Time;
use std::collections::BTreeSet;

impl Cluster {
    pub fn new(first: usize, start: Start, bounds: &Bounds) -> Cluster {
        let split = start == Start::Split;
        let begin = 3600 * 1000 * MS;
        let routers = bounds.group.routers;
        let mut cluster = Cluster {
            steps: 0,
            now: begin,
            hosts: vec![Slot::new(Host::new(routers)); HOSTS],
            flying: Vec::new(),
            losses: bounds.losses,
            faults: bounds.faults,
            hindered: false,
            disturbed: true,
            guarded: bounds.group.guarded,
            latest: bounds.latest,
            watches: vec![Watch::default(); routers],
            wrong: BTreeSet::new(),
            relieved: false,
            first,
        };
        let unbroken = Bounds { mutation: None, ..*bounds };
        let spread = routers > 1;
        cluster.start(first, &unbroken);
        if !spread {
            cluster.pass(begin + 2000 * MS, &unbroken);
        }
        for host in (0..HOSTS).filter(|host| *host != first) {
            cluster.start(host, &unbroken);
        }
        let preempts = bounds.group.preempt || bounds.group.keepalived.is_some_and(|(_, preempts)| preempts);
        cluster.pass(cluster.now + if preempts { 250 * MS } else { 3000 * MS }, &unbroken);
        assert!(cluster.wrong.is_empty(), "{:?}", cluster.wrong);
        let holders = |router: usize| {
            let holds = |host: &usize| cluster.hosts[*host].holds(router, cluster.now);
            (0..HOSTS).filter(holds).collect::<Vec<usize>>()
        };
        let holders: Vec<Vec<usize>> = (0..routers).map(holders).collect();
        if spread {
            assert!(
                holders[0].len() == 1 && holders[1].len() == 1 && holders[0] != holders[1],
                "{holders:?}"
            );
            cluster.first = holders[0][0];
        } else {
            assert_eq!(holders[0], [first]);
        }
        if split {
            cluster.begin(Fault::Cut, cluster.first);
            cluster.pass(cluster.now + 900 * MS, &unbroken);
            assert!(cluster.wrong.is_empty(), "{:?}", cluster.wrong);
        }
        cluster.mutate(bounds);
        cluster.steps = 0;
        cluster.faults = bounds.faults;
        cluster.hindered = split;
        cluster.disturbed = split;
        cluster.excuse();
        cluster.hosts.iter_mut().for_each(Slot::seal);
        cluster
    }

    fn pass(&mut self, until: Time, bounds: &Bounds) {
        while self.now < until || !self.flying.is_empty() {
            let deed =
                if self.flying.is_empty() { Deed::Timer(self.timers(bounds)[0]) } else { Deed::Deliver(0) };
            self.act(deed, bounds);
        }
    }

    pub fn start(&mut self, host: usize, bounds: &Bounds) {
        self.hosts[host].start(host, &bounds.group, self.now);
        self.finish(host);
    }
}
