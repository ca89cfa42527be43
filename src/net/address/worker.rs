//! The thread: waits, takes in what the kernel tells, does what it is asked to do, answers.

use super::kernel::Kernel;
use super::requests::Refusal;
use super::router::Router;
use super::{Event, Order, Request};
use crate::net::link::{Change, Entry, Link};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use tracing::warn;

/// Pause before anything that did not work at once is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Orders that are taken in one go.
const ORDERS: usize = 256;

/// Longest wait for an address that was added to come into effect.
const EFFECT: Duration = Duration::from_millis(100);

/// An answer that is told once the addresses are in effect: the kernel acknowledges an IPv6 address before it has
/// the route by which it takes packets to it, and tells of the address when it has.
struct Waiting {
    number: usize,
    answer: Event,
    missing: Vec<Entry>,
    until: Instant,
}

pub(super) struct Worker {
    routers: BTreeMap<usize, Router>,
    events: UnboundedSender<(usize, Event)>,
    kernel: Kernel,
    waiting: Vec<Waiting>,
    /// The kernel's, such as `6.1.0-18-amd64`.
    release: String,
    /// That reading fails has been said.
    warned: bool,
}

impl Worker {
    pub(super) fn new(events: UnboundedSender<(usize, Event)>) -> anyhow::Result<Worker> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let (routers, waiting, kernel) = (BTreeMap::new(), Vec::new(), Kernel::open()?);
        Ok(Worker { routers, events, kernel, waiting, release, warned: false })
    }

    /// Works until the last sender of orders is gone.
    pub(super) async fn run(mut self, mut orders: UnboundedReceiver<(usize, Order)>) {
        let mut retry = tokio::time::interval(RETRY);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut inbox = Vec::new();
        loop {
            let until = self.waiting.iter().map(|waiting| waiting.until).min();
            let unsettled = self.kernel.unread || self.routers.values().any(Router::lacks_locks);
            tokio::select! {
                // A flood of changes elsewhere on the host must not hold up a request.
                biased;
                count = orders.recv_many(&mut inbox, ORDERS) => match count {
                    0 => return,
                    _ => self.obey(&mut inbox).await,
                },
                change = self.kernel.next() => self.follow(&change).await,
                () = sleep_until(until) => self.tell_waiting(|waiting| waiting.until <= Instant::now()),
                _ = retry.tick(), if unsettled => self.settle().await,
            }
        }
    }

    async fn follow(&mut self, change: &Change) {
        if let Change::Address(entry) = change {
            for waiting in &mut self.waiting {
                waiting.missing.retain(|missing| !missing.same_place(entry));
            }
            self.tell_waiting(|waiting| waiting.missing.is_empty());
        }
        if self.routers.values().any(|router| router.is_contradicted_by(change)) {
            self.read_everything().await;
        }
    }

    async fn obey(&mut self, inbox: &mut Vec<(usize, Order)>) {
        // New routers, for which nothing was read yet.
        let mut new = false;
        for (number, order) in inbox.drain(..) {
            match order {
                Order::Serve(settings) => {
                    self.routers.insert(number, Router::new(settings, &self.release));
                    new = true;
                }
                Order::Request(request) => {
                    if std::mem::take(&mut new) {
                        self.read_everything().await;
                    }
                    self.tell_waiting(|waiting| waiting.number == number);
                    let answer = self.handle(number, request).await;
                    let awaited =
                        self.routers.get_mut(&number).map(|router| std::mem::take(&mut router.awaited));
                    match awaited.filter(|awaited| !awaited.is_empty()) {
                        Some(missing) => {
                            let until = Instant::now() + EFFECT;
                            self.waiting.push(Waiting { number, answer, missing, until });
                        }
                        None => self.tell(number, [answer]),
                    }
                }
            }
        }
        if new {
            self.read_everything().await;
        }
    }

    fn tell(&self, number: usize, events: impl IntoIterator<Item = Event>) {
        for event in events {
            // Nobody listens any more: the process is about to end, and requests end with it.
            let _ = self.events.send((number, event));
        }
    }

    /// Tells the answers that have waited long enough.
    fn tell_waiting(&mut self, is_over: impl Fn(&Waiting) -> bool) {
        for Waiting { number, answer, .. } in self.waiting.extract_if(.., |waiting| is_over(waiting)) {
            let _ = self.events.send((number, answer));
        }
    }

    /// Reads what is there: for a new router, after a loss, after a contradiction.
    async fn read_everything(&mut self) {
        match self.read().await {
            Ok((links, entries)) => {
                self.kernel.unread = false;
                self.warned = false;
                let mut gone = Vec::new();
                for (number, router) in &mut self.routers {
                    let link = links.get(&router.settings.interface).copied().unwrap_or(Link::ABSENT);
                    gone.extend(router.see(link, &entries).into_iter().map(|event| (*number, event)));
                }
                for (number, event) in gone {
                    self.tell_waiting(|waiting| waiting.number == number);
                    self.tell(number, [event]);
                }
                self.settle_routers().await;
            }
            Err(error) => {
                self.kernel.unread = true;
                if !std::mem::replace(&mut self.warned, true) {
                    warn!("{error:#}; trying again");
                }
            }
        }
    }

    async fn read(&mut self) -> anyhow::Result<(BTreeMap<String, Link>, Vec<Entry>)> {
        let mut links = BTreeMap::new();
        for router in self.routers.values() {
            let name = &router.settings.interface;
            if !links.contains_key(name) {
                links.insert(name.clone(), self.kernel.link(name).await?);
            }
        }
        Ok((links, self.kernel.addresses().await?))
    }

    /// Tries again what did not work before.
    async fn settle(&mut self) {
        if self.kernel.unread {
            self.read_everything().await;
        } else {
            self.settle_routers().await;
        }
    }

    async fn settle_routers(&mut self) {
        for (number, router) in &mut self.routers {
            router.settle(&mut self.kernel).await;
            router.news().into_iter().for_each(|event| drop(self.events.send((*number, event))));
        }
    }

    async fn handle(&mut self, number: usize, request: Request) -> Event {
        let mut done = self.carry_out(number, request).await;
        if matches!(done, Err(Refusal::Exists)) {
            // Somebody was quicker than the news of it: look again, once.
            self.read_everything().await;
            done = self.carry_out(number, request).await;
        }
        match done {
            Ok(event) => event,
            Err(Refusal::TooLate) => Event::TooLate(request),
            Err(Refusal::Late) => Event::Late(request),
            Err(Refusal::Exists) => {
                let error = "the address comes and goes by somebody else's doing".to_owned();
                Event::Failed { request, error }
            }
            Err(Refusal::Failed(error)) => Event::Failed { request, error },
        }
    }

    async fn carry_out(&mut self, number: usize, request: Request) -> Result<Event, Refusal> {
        let Some(router) = self.routers.get_mut(&number) else {
            return Err(Refusal::Failed(format!("there is no virtual router {number} here")));
        };
        let done = router.carry_out(&mut self.kernel, request).await;
        // What it changed, or what it found out on the way, may be news beyond the answer.
        let news = router.news();
        self.tell(number, news);
        done
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
