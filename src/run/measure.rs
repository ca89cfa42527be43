//! What is counted and timed of one virtual router, for the status. Only additions: this is on the adverts' thread.

use crate::core::Time;
use crate::core::event::State;
use crate::status::document::{Counters, moment};
use crate::status::histogram::Histogram;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

/// Up to a tenth of the shortest interval, a tenth of the usual one, and beyond.
const LATENESS: [f64; 11] = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 1.0];
/// From a load balancer that was refused on the way to one that was frozen; version 2 takes seconds.
const TAKEOVER: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.7, 1.0, 2.5, 5.0];
/// Senders that are remembered, so that forged ones cannot fill the memory.
const HEARD_MAX: usize = 64;

/// Of one virtual router.
pub struct Measures {
    /// See [`Counters`].
    pub counters: Counters,
    /// How late adverts went out.
    pub lateness: Histogram,
    /// See [`Measures::is_added`].
    pub takeover: Histogram,
    /// The last advert of each peer: when, and its priority.
    pub heard: BTreeMap<IpAddr, (Time, u8)>,
    /// The last change of state: when, and why.
    pub since: f64,
    /// See [`Measures::since`].
    pub why: String,
    /// The address is on its way, and whoever had it was heard then.
    taking: Option<Time>,
}

impl Measures {
    /// Nothing yet.
    pub fn new() -> Measures {
        Measures {
            counters: Counters::default(),
            lateness: Histogram::new(&LATENESS),
            takeover: Histogram::new(&TAKEOVER),
            heard: BTreeMap::new(),
            since: moment(SystemTime::now()),
            why: "the agent has started".to_owned(),
            taking: None,
        }
    }

    /// An advert came in, and was taken for one of a peer's or rejected for this kind of mistake.
    pub fn hear(&mut self, now: Time, from: IpAddr, priority: u8, taken: Result<(), &'static str>) {
        let counters = &mut self.counters;
        if let Err(kind) = taken {
            let count = counters.adverts_rejected.entry(kind.to_owned()).or_default();
            *count = count.saturating_add(1);
            return;
        }
        counters.adverts_received = counters.adverts_received.saturating_add(1);
        if priority == 0 {
            counters.priority_zero_received = counters.priority_zero_received.saturating_add(1);
        }
        if self.heard.len() < HEARD_MAX || self.heard.contains_key(&from) {
            self.heard.insert(from, (now, priority));
        }
    }

    /// So many adverts left this host, and so many could not.
    pub fn sent(&mut self, priority: u8, sent: u64, failed: u64) {
        let counters = &mut self.counters;
        counters.adverts_sent = counters.adverts_sent.saturating_add(sent);
        counters.send_errors = counters.send_errors.saturating_add(failed);
        if priority == 0 {
            counters.priority_zero_sent = counters.priority_zero_sent.saturating_add(sent);
        }
    }

    /// The state changed.
    pub fn turned(&mut self, at: SystemTime, from: State, to: State, why: &str) {
        self.since = moment(at);
        why.clone_into(&mut self.why);
        let counters = &mut self.counters;
        let last = self.heard.values().map(|(at, _)| *at).max();
        self.taking = last.filter(|_| to == State::Active);
        match (from, to) {
            (_, State::Active) => counters.became_active = counters.became_active.saturating_add(1),
            (State::Active, _) => counters.left_active = counters.left_active.saturating_add(1),
            _ => {}
        }
        if to == State::Fault {
            counters.became_fault = counters.became_fault.saturating_add(1);
        }
    }

    /// The address is here: the take-over took from the last advert of its former holder until now.
    pub fn is_added(&mut self, now: Time) {
        if let Some(since) = self.taking.take() {
            self.takeover.observe(now.saturating_sub(since));
        }
    }
}
