//! The event loop: hosts, the faults that befall them, and time.

use crate::foreign::Foreign;
use crate::kernel::{Kernel, News, Request};
use crate::network::{GROUP, Obstacles};
use crate::outside::Balancer;
use crate::plan::{Fault, MS, Micros, Plan, SECOND, What};
use crate::process::{Arrived, Process};
use crate::random::Random;
use crate::router::Router;
use crate::subject::{CHECK, Input, Mutation, Subject};
use crate::watch::{Property, Violation};
use outrider::core::advert::Checksum;
use outrider::core::announce::Announcements;
use outrider::core::auth::Auth;
use outrider::core::members::Member;
use outrider::core::{Force, Settings, Time};
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
    pauses: Vec<Micros>,
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

    fn start(&mut self, h: usize) {
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

    pub fn end_process(&mut self, h: usize, how: &str) {
        let lived = self.hosts[h].lives();
        self.hosts[h].process = None;
        self.each_router(|world| world.router.cores[h] = None);
        if let Some(foreign) = &mut self.hosts[h].foreign {
            foreign.alive = false;
        }
        if lived {
            self.say(|| format!("lb{h}: the agent {how}"));
            self.each_router(|world| world.watch_death(h));
        }
        let host = &mut self.hosts[h];
        host.parked.clear();
        host.pause_after.clear();
        host.pause_in_thread = 0;
        host.pauses.clear();
        host.paused = 0;
    }

    /// Stops the process for as long as the fault that asked for it says.
    pub fn pause(&mut self, h: usize) {
        if !self.hosts[h].lives() || self.hosts[h].pauses.is_empty() {
            return;
        }
        let lasts = self.hosts[h].pauses.remove(0).min(self.plan.healed.saturating_sub(self.now));
        self.hosts[h].paused += 1;
        self.say(|| format!("lb{h}: the agent is stopped for {} ms", lasts / MS));
        self.each_router(|world| world.watch_pause(h));
        self.after(lasts, Happening::Resume { host: h });
    }

    fn resume(&mut self, h: usize) {
        if self.hosts[h].paused == 0 {
            return;
        }
        self.hosts[h].paused -= 1;
        if self.hosts[h].paused > 0 {
            return;
        }
        self.say(|| format!("lb{h}: the agent goes on"));
        self.each_router(|world| world.watch_pause(h));
        if self.is_foreign(h) {
            return self.poke_foreign(h);
        }
        let epoch = self.hosts[h].epoch;
        for what in std::mem::take(&mut self.hosts[h].parked) {
            let delay = self.random.between(10, 100);
            self.after(delay, what);
        }
        let (first, second) = (self.random.between(10, 100), self.random.between(10, 100));
        self.after(first, Happening::Run { host: h, epoch });
        self.after(second, Happening::Thread { host: h, epoch });
    }

    fn fault(&mut self, fault: usize, begins: bool) {
        let Fault { at, until, what } = self.plan.faults[fault].clone();
        self.say(|| format!("{} {what:?}", if begins { "begin:" } else { "end:  " }));
        let count = |count: &mut u32| *count = if begins { *count + 1 } else { count.saturating_sub(1) };
        if begins && fault == 0 {
            self.judge_start();
        }
        self.each_router(|world| world.watch_fault(&what, begins));
        match what {
            What::Crash(h) if begins => self.end_process(h, "is killed"),
            What::Crash(h) => self.start(h),
            What::PowerOff(h) if begins => {
                self.end_process(h, "loses its power");
                self.each_router(|world| world.take(h, "is gone with the power", true));
                self.hosts[h].powered = false;
            }
            What::PowerOff(h) => {
                self.hosts[h].powered = true;
                self.start(h);
            }
            What::Terminate(h) if begins => {
                self.terminate_foreign(h);
                if let Some(process) = &mut self.hosts[h].process {
                    process.terminate = true;
                    self.poke(h);
                }
            }
            What::Terminate(h) => {
                self.end_process(h, "is killed");
                self.start(h);
            }
            What::Pause { host, after } if begins && self.hosts[host].lives() => {
                self.hosts[host].pauses.push(until - at);
                match after.filter(|_| !self.is_foreign(host)) {
                    None => self.pause(host),
                    Some(commands) => self.hosts[host].pause_after.push(commands),
                }
            }
            What::PauseInThread(h) if begins && self.hosts[h].process.is_some() => {
                self.hosts[h].pauses.push(until - at);
                self.hosts[h].pause_in_thread += 1;
            }
            What::Pause { .. } | What::PauseInThread(_) => {}
            What::Balancers { hosts, hangs } => {
                for h in hosts {
                    let host = &mut self.hosts[h];
                    count(if hangs { &mut host.hung_balancer } else { &mut host.dead_balancer });
                    self.balancer_changed(h);
                }
            }
            What::Unplugged(h) => {
                count(&mut self.hosts[h].unplugged);
                let up = self.hosts[h].unplugged == 0;
                self.news(h, News::Link(up));
                self.poke_foreign(h);
            }
            What::Cut { from, to, both } => {
                self.obstacles.cut(from, to, begins);
                if both {
                    self.obstacles.cut(to, from, begins);
                }
            }
            What::Loss(loss) => toggle(&mut self.obstacles.loss, loss, begins),
            What::Slow(slow) => toggle(&mut self.obstacles.slow, slow, begins),
            What::Contention(h) if begins => {
                let kernel = &mut self.hosts[h].kernel;
                kernel.locked_until = kernel.locked_until.max(until);
            }
            What::Contention(_) => {}
            What::Refusal(h) | What::Deletion(h) if self.is_foreign(h) => {}
            What::Refusal(h) => count(&mut self.hosts[h].kernel.refuses),
            What::Deletion(h) if begins => {
                self.each_router(|world| world.take(h, "deleted by somebody else", false));
            }
            What::Deletion(_) => {}
            // With a list of peers nobody ever sees a change.
            What::Label(_) if !self.plan.metadata => {}
            What::Label(host) => {
                let now = *self.labels.last().unwrap();
                self.labels.push(if begins { now & !(1 << host) } else { now | 1 << host });
                for h in 0..self.plan.hosts {
                    let seen = self.random.between(50 * MS, 3 * SECOND);
                    self.schedule_metadata(h, seen);
                }
            }
            What::Mute(h) => count(&mut self.hosts[h].mute),
            What::Drain { host, force } => {
                if let Some(process) = &mut self.hosts[host].process {
                    let force = if force { Force::Yes } else { Force::No };
                    process.orders.push_back(begins.then_some(force));
                    self.poke(host);
                }
            }
            What::NoMetadata(h) => {
                count(&mut self.hosts[h].no_metadata);
                let noticed = self.random.between(10 * MS, SECOND);
                self.schedule_metadata(h, noticed);
            }
        }
        self.each_router(|world| {
            world.watch_links();
            world.watch_agreement();
        });
    }
}

fn toggle(values: &mut Vec<u64>, value: u64, begins: bool) {
    if begins {
        values.push(value);
    } else if let Some(at) = values.iter().position(|other| *other == value) {
        values.remove(at);
    }
}
