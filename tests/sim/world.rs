//! The event loop: hosts, the faults that befall them, and time.

use crate::foreign::Foreign;
use crate::kernel::{Kernel, Request};
use crate::network::{GROUP, Obstacles};
use crate::outside::Balancer;
use crate::plan::{Fault, MS, Micros, Plan, SECOND};
use crate::process::{Arrived, Process};
use crate::random::Random;
use crate::router::Router;
use crate::subject::{CHECK, Input, Mutation, Subject};
use crate::watch::{Property, Violation};
use outrider::core::advert::Checksum;
use outrider::core::announce::Announcements;
use outrider::core::auth::Auth;
use outrider::core::members::Member;
use outrider::core::{Settings, Time};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Duration;

/// Something that happens at a moment. What belongs to a process carries its `epoch`: it dies with it.
pub enum Happening {
    Boot { host: usize },
    Run { host: usize, epoch: u32 },
    Thread { host: usize, epoch: u32 },
    Rtnl { host: usize, epoch: u32, router: usize, request: Request, sent: Time },
    Expire { host: usize, router: usize, expiry: u64 },
    Look { host: usize, epoch: u32, tick: u64 },
    Looked { host: usize, epoch: u32, look: u64 },
    Metadata { host: usize, epoch: u32, round: u64 },
    Advert { to: usize, arrived: Arrived },
    Claim { to: usize, of: usize, about: About },
    Question { to: usize, by: usize, about: About },
    Gateway { host: usize, epoch: u32 },
    Ask,
    FaultBegins { fault: usize },
    FaultEnds { fault: usize },
    Resume { host: usize },
    Foreign { host: usize, turn: u64 },
    Script { host: usize, epoch: u32 },
}

/// Which address it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The virtual router's of this number.
    Router(usize),
    /// The station's own.
    Station,
}

struct Entry {
    at: Micros,
    order: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    // Reversed: the heap has the greatest first.
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// A host.
pub struct Host {
    pub member: Member,
    pub mac: [u8; 6],
    pub kernel: Kernel,
    pub process: Option<Process>,
    /// What runs here is not ours.
    pub foreign: Option<Foreign>,
    /// Number of the process.
    pub epoch: u32,
    pub powered: bool,
    pub unplugged: u32,
    pub paused: u32,
    /// What came due for a stopped process: done when it goes on.
    pub parked: Vec<Happening>,
    pub dead_balancer: u32,
    pub hung_balancer: u32,
    pub no_metadata: u32,
    pub mute: u32,
    /// Pauses that are to begin after so many commands, one after the other.
    pub pause_after: Vec<u32>,
    pub pause_in_thread: u32,
    /// How long those last that begin on demand.
    pub pauses: Vec<Micros>,
}

impl Host {
    pub fn balancer(&self) -> Balancer {
        match (self.dead_balancer, self.hung_balancer) {
            (0, 0) => Balancer::Serves,
            (0, _) => Balancer::Hangs,
            _ => Balancer::Dead,
        }
    }

    /// Whether an agent of ours runs.
    pub fn running(&self) -> bool {
        self.process.is_some() && self.paused == 0
    }

    /// Whether a process lives, ours or not.
    pub fn lives(&self) -> bool {
        self.process.is_some() || self.foreign.as_ref().is_some_and(|foreign| foreign.alive)
    }
}

/// Everything, and what is watched about it.
pub struct World {
    pub plan: Plan,
    pub mutation: Option<Mutation>,
    pub random: Random,
    pub now: Micros,
    order: u64,
    queue: BinaryHeap<Entry>,
    pub hosts: Vec<Host>,
    pub gateway: IpAddr,
    pub obstacles: Obstacles,
    /// Who is a member, after each change so far: a bit for each host.
    pub labels: Vec<u32>,
    /// The virtual router that is dealt with just now; the others are aside.
    pub router: Router,
    pub aside: Vec<Router>,
    pub violation: Option<Violation>,
    /// Violations of other properties do not count.
    only: Option<Property>,
    trace: Option<Vec<String>>,
    pub events: u64,
}

pub fn address(last: usize) -> IpAddr {
    IpAddr::from([10, 10, 10, u8::try_from(last).unwrap()])
}

impl World {
    pub fn new(plan: Plan, mutation: Option<Mutation>, only: Option<Property>, trace: bool) -> World {
        let hosts = (0..plan.hosts).map(|h| {
            let id = plan.ids[h].clone();
            Host {
                member: Member { id, name: format!("lb{h}"), address: address(11 + h), priority: None },
                mac: [2, 0, 0, 0, 0, u8::try_from(h).unwrap()],
                kernel: Kernel::default(),
                process: None,
                foreign: plan.foreign[h].map(Foreign::new),
                epoch: 0,
                powered: true,
                unplugged: 0,
                paused: 0,
                parked: Vec::new(),
                dead_balancer: 0,
                hung_balancer: 0,
                no_metadata: 0,
                mute: 0,
                pause_after: Vec::new(),
                pause_in_thread: 0,
                pauses: Vec::new(),
            }
        });
        let mut world = World {
            random: Random::new(!plan.seed),
            hosts: hosts.collect(),
            obstacles: Obstacles::new(plan.hosts + 1),
            labels: vec![u32::MAX],
            router: Router::new(&plan, 0),
            aside: (1..plan.vrids.len()).map(|number| Router::new(&plan, number)).collect(),
            mutation,
            now: 0,
            order: 0,
            queue: BinaryHeap::new(),
            gateway: address(1),
            violation: None,
            only,
            trace: trace.then(Vec::new),
            events: 0,
            plan,
        };
        for host in 0..world.plan.hosts {
            world.at(world.plan.boot[host], Happening::Boot { host });
        }
        for fault in 0..world.plan.faults.len() {
            let Fault { at, until, .. } = world.plan.faults[fault];
            world.at(at, Happening::FaultBegins { fault });
            world.at(until, Happening::FaultEnds { fault });
        }
        world.at(1, Happening::Ask);
        world
    }

    /// Runs to the end of the plan, or to the first violation.
    pub fn run_plan(mut self) -> (Option<Violation>, Vec<String>, u64) {
        while let Some(Entry { at, what, .. }) = self.queue.pop() {
            if at > self.plan.end || self.violation.is_some() {
                break;
            }
            self.now = at;
            self.events += 1;
            self.happen(what);
            self.each_router(World::watch_step);
        }
        if self.violation.is_none() {
            self.each_router(World::watch_end);
            self.judge_ranks();
        }
        (self.violation, self.trace.unwrap_or_default(), self.events)
    }

    pub fn at(&mut self, at: Micros, what: Happening) {
        self.order += 1;
        self.queue.push(Entry { at, order: self.order, what });
    }

    pub fn after(&mut self, delay: Micros, what: Happening) {
        self.at(self.now + delay, what);
    }

    /// What a host's clock shows.
    pub fn clock(&self, h: usize) -> Time {
        Duration::from_micros(self.now + self.plan.clocks[h])
    }

    pub fn say(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let (seconds, micros) = (self.now / SECOND, self.now % SECOND);
            let router =
                if self.aside.is_empty() { String::new() } else { format!("[{}] ", self.router.number) };
            trace.push(format!("{seconds:3}.{micros:06} {router}{}", text()));
        }
    }

    pub fn violated(&mut self, property: Property, text: String) {
        if self.violation.is_none() && self.only.is_none_or(|only| only == property) {
            self.say(|| format!("VIOLATED ({property:?}): {text}"));
            self.violation = Some(Violation { property, at: self.now, text });
        }
    }

    fn current(&self, host: usize, epoch: u32) -> bool {
        self.hosts[host].epoch == epoch && self.hosts[host].process.is_some()
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Boot { host } => self.start(host),
            Happening::Run { host, epoch } if self.current(host, epoch) => self.run(host),
            Happening::Thread { host, epoch } if self.current(host, epoch) => self.run_thread(host),
            Happening::Rtnl { host, epoch, router, request, sent } => {
                self.turn_to(router);
                self.rtnl(host, epoch, request, sent);
            }
            Happening::Expire { host, router, expiry } => {
                self.turn_to(router);
                if self.router.addresses[host].expiry == expiry {
                    self.watch_expiry(host);
                    self.take(host, "expired", false);
                }
            }
            Happening::Look { host, epoch, tick } if self.current(host, epoch) => self.look(host, tick),
            Happening::Looked { host, epoch, look } if self.current(host, epoch) => self.looked(host, look),
            Happening::Metadata { host, epoch, round } if self.current(host, epoch) => {
                self.metadata(host, round);
            }
            Happening::Advert { to, arrived } if self.hosts[to].unplugged == 0 => self.receive(to, arrived),
            Happening::Claim { to, of, about } => self.claim(to, of, about),
            Happening::Question { to, by, about } => self.question(to, by, about),
            Happening::Gateway { host, epoch } if self.current(host, epoch) => self.find_gateway(host),
            Happening::Ask => self.ask(),
            Happening::FaultBegins { fault } => self.fault(fault, true),
            Happening::FaultEnds { fault } => self.fault(fault, false),
            Happening::Resume { host } => self.resume(host),
            Happening::Foreign { host, turn } => self.run_foreign(host, turn),
            Happening::Script { host, epoch } if self.hosts[host].epoch == epoch => self.run_script(host),
            _ => {}
        }
    }

    pub fn start(&mut self, h: usize) {
        if self.hosts[h].lives() || !self.hosts[h].powered {
            return;
        }
        if self.is_foreign(h) {
            return self.start_foreign(h);
        }
        self.say(|| format!("lb{h}: the agent starts"));
        self.hosts[h].epoch += 1;
        let (version, clock) = (self.latest(), self.clock(h));
        let mut process = Process::new(self.plan.vrids.len());
        process.watcher.version = version;
        self.hosts[h].process = Some(process);
        let members = self.members(h, version);
        let metadata = self.plan.metadata;
        self.each_router(|world| {
            let settings = world.settings(h);
            world.router.cores[h] = Some(Subject::new(settings, world.mutation, clock));
            world.watch_start(h);
            world.watch_members(h, version, &members);
            world.tell(h, Input::Members(&members, metadata.then_some(clock)));
            world.tell(h, Input::Checks(&[CHECK.to_owned()]));
        });
        self.start_checks(h);
        self.schedule_metadata(h, 20 * SECOND);
        self.poke_thread(h);
        let found = self.random.between(100, 5 * MS);
        self.after(found, Happening::Gateway { host: h, epoch: self.hosts[h].epoch });
        self.run(h);
    }

    fn settings(&self, h: usize) -> Settings {
        let plan = &self.plan;
        Settings {
            vrid: self.router.vrid,
            version: plan.version,
            source: self.hosts[h].member.address,
            addresses: vec![self.router.vip],
            interval: Duration::from_micros(plan.interval),
            priority: plan.by_hand.as_ref().map(|priorities| priorities[h]),
            preempt: plan.preempt,
            preempt_delay: Duration::from_micros(plan.preempt_delay),
            lease: Some(Duration::from_micros(plan.lease())),
            handover_limit: Duration::from_micros(plan.handover_limit),
            announcements: Announcements {
                repeat: 5,
                delay: Duration::from_secs(1),
                refresh: Duration::from_secs(60),
                interval: Duration::ZERO,
            },
            min_ttl: 255,
            group: plan.multicast.then_some(GROUP),
            checksum: Checksum::PseudoHeader,
            auth: Auth::None,
            earlier: plan.vrids[..self.router.number].to_vec(),
            rise: 2,
            fall: 2,
            guards: plan.guards.clone(),
        }
    }

    fn find_gateway(&mut self, h: usize) {
        let gateway = self.plan.gateway.then_some(self.gateway);
        if let Some(process) = &mut self.hosts[h].process {
            process.gateway = Some(gateway);
            self.poke(h);
        }
    }
}
