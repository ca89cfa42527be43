//! One host: its process with an agent for each virtual router, its kernel, and what is remembered of it by which the
//! properties judge.

use crate::cluster::{Flying, Group, INTERVAL, LEASE, MS, VIPS, VRIDS, address};
use crate::keepalived::Keepalived;
use crate::kernel::Kernel;
use crate::mutant::{CHECK, Input, Mutant};
use outrider::core::advert::{Checksum, Version};
use outrider::core::announce::Announcements;
use outrider::core::auth::Auth;
use outrider::core::event::State;
use outrider::core::guard::Guards;
use outrider::core::members::{Member, Membership, Standing};
use outrider::core::{Kernel as Answer, Outcome, Settings, Time};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

pub const HOSTS: usize = 3;
/// The host that may run keepalived.
pub const FOREIGN: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    pub routers: Vec<Router>,
    pub killed: bool,
    pub stopped: bool,
    /// It was stopped before.
    pub was_stopped: bool,
    /// The process is stopped when it has decided what to do next and done nothing of it.
    pub freezes: bool,
    /// Since when nothing comes in or goes out.
    pub cut: Option<Time>,
    /// From when to when it was, the last time.
    pub was_cut: Option<(Time, Time)>,
    pub unfit: bool,
    /// It was told to end; a person drains it; it is no member any more.
    pub stopping: bool,
    pub drained: bool,
    pub dismissed: bool,
    /// Adverts that wait for a stopped process.
    pub socket: Vec<Flying>,
    pub kernel: Kernel,
    /// What the agents will be told next.
    pub answers: VecDeque<(usize, Told)>,
}

/// A virtual router on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Router {
    /// None: the process was killed, or has ended.
    pub mind: Option<Mind>,
    /// It has let go of everything, and waits for the process to end.
    pub exited: bool,
    pub priority: u8,
    pub preempts: bool,
    /// Place in the order of the members; none where priorities are set by hand.
    pub rank: Option<usize>,
    pub past: Past,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Mind {
    Outrider(Box<Mutant>),
    Keepalived(Keepalived),
}

/// What an agent is told by other threads of its process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    Kernel(Answer),
    Arp(IpAddr, [u8; 6]),
}

/// What an observer remembers of a virtual router on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Past {
    /// When it last claimed the address.
    pub claimed: Time,
    /// When it last did anything.
    pub turned: Time,
    /// When it began to listen, or woke up from a sleep past its own Master_Down.
    pub woke: Time,
    /// It has heard somebody since it started.
    pub heard: bool,
    /// It has what an earlier process left behind: nobody else has been heard to have it since.
    pub leftover: bool,
    /// The Active whose adverts it accepts, and the one before.
    pub follows: Option<Follows>,
    pub before: Option<Follows>,
    /// Who gave the address up to it, and when that came.
    pub resigned: Option<(usize, Time)>,
    /// It has to claim by then.
    pub due: Option<Time>,
    /// Since when it hears a lower priority than its own, and nothing else, as a Backup.
    pub bears: Option<Time>,
    /// When it last told each host that it gives the address up.
    pub farewells: [Option<Time>; HOSTS],
}

/// An Active, by its last advert that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Follows {
    pub from: usize,
    pub priority: u8,
    pub at: Time,
}

pub fn skew(priority: u8) -> Duration {
    INTERVAL * (256 - u32::from(priority)) / 256
}

fn settings(host: usize, router: usize, group: &Group) -> Settings {
    Settings {
        vrid: VRIDS[router],
        version: Version::V3,
        source: address(host),
        addresses: vec![VIPS[router]],
        interval: INTERVAL,
        priority: group.by_hand.map(|priorities| priorities[host]),
        preempt: group.preempt,
        preempt_delay: Duration::ZERO,
        lease: Some(LEASE),
        handover_limit: 5000 * MS,
        announcements: Announcements {
            repeat: 1,
            delay: Duration::ZERO,
            refresh: Duration::ZERO,
            interval: Duration::ZERO,
        },
        min_ttl: 255,
        group: None,
        checksum: Checksum::PseudoHeader,
        auth: Auth::None,
        earlier: VRIDS[..router].to_vec(),
        rise: 1,
        fall: 1,
        guards: if group.guarded { Guards::Auto } else { Guards::Off },
    }
}

fn member(host: usize) -> Member {
    Member { id: format!("host-{host}"), name: format!("lb{host}"), address: address(host), priority: None }
}

pub fn members(host: usize, dismissed: bool) -> Membership {
    let me = Standing::Member(member(host));
    let me = if dismissed { Standing::Left("the label is gone".to_owned()) } else { me };
    Membership { me, others: (0..HOSTS).filter(|other| *other != host).map(member).collect() }
}

impl Host {
    pub fn new(routers: usize) -> Host {
        Host {
            routers: vec![Router::default(); routers],
            killed: false,
            stopped: false,
            was_stopped: false,
            freezes: false,
            cut: None,
            was_cut: None,
            unfit: false,
            stopping: false,
            drained: false,
            dismissed: false,
            socket: Vec::new(),
            kernel: Kernel::new(routers),
            answers: VecDeque::new(),
        }
    }

    /// A new process on a fit host.
    pub fn start(&mut self, me: usize, group: &Group, now: Time) {
        let count = self.routers.len();
        let (cut, was_cut) = (self.cut, self.was_cut);
        *self = Host { cut, was_cut, kernel: self.kernel.clone(), ..Host::new(count) };
        for (number, router) in self.routers.iter_mut().enumerate() {
            let rank = members(me, false).rank(&VRIDS[..number], VRIDS[number], &member(me).id);
            router.rank = group.by_hand.is_none().then_some(rank);
            router.past = Past { turned: now, woke: now, ..Past::default() };
            if let Some((priority, preempts)) = group.keepalived.filter(|_| me == FOREIGN) {
                router.priority = priority;
                router.preempts = preempts;
                let mind = Keepalived::new(address(me), priority, preempts, now);
                router.mind = Some(Mind::Keepalived(mind));
                self.kernel.clean(number);
                continue;
            }
            let mut agent = Mutant::new(settings(me, number, group), now);
            agent.tell(now, Input::Members(&members(me, false)));
            agent.tell(now, Input::Checks(&[CHECK.to_owned()]));
            agent.tell(now, Input::Link);
            agent.tell(now, Input::Health(&Outcome::Pass));
            router.priority = agent.priority();
            router.preempts = group.preempt;
            router.mind = Some(Mind::Outrider(Box::new(agent)));
            if self.kernel.holds(number, now) {
                router.past.leftover = true;
                self.answers.push_back((number, Told::Kernel(Answer::Leftover)));
            }
        }
    }

    /// The process is no more.
    pub fn end(&mut self) {
        for router in &mut self.routers {
            router.mind = None;
        }
        self.stopped = false;
        self.freezes = false;
        self.socket.clear();
        self.answers.clear();
        self.kernel.orphan();
    }

    pub fn is_there(&self) -> bool {
        self.routers.iter().any(|router| router.mind.is_some())
    }

    pub fn runs(&self) -> bool {
        self.is_there() && !self.stopped
    }

    pub fn is_foreign(&self) -> bool {
        self.routers.iter().any(|router| matches!(router.mind, Some(Mind::Keepalived(_))))
    }

    pub fn leaves(&self) -> bool {
        self.stopping || self.drained || self.dismissed
    }

    pub fn holds(&self, router: usize, now: Time) -> bool {
        self.kernel.holds(router, now)
    }

    /// Whether it leaves alone what an earlier process left behind.
    pub fn spares(&self, router: usize) -> bool {
        self.is(router, State::Backup) && self.routers[router].past.leftover
    }

    pub fn is(&self, router: usize, state: State) -> bool {
        self.routers[router].state() == Some(state)
    }

    pub fn deadline(&self) -> Option<Time> {
        if !self.runs() {
            return None;
        }
        let deadline = |router: &Router| match &router.mind {
            Some(Mind::Outrider(agent)) => Some(agent.next_deadline()),
            Some(Mind::Keepalived(keepalived)) => keepalived.due,
            None => None,
        };
        self.routers.iter().filter_map(deadline).min()
    }
}

impl Router {
    pub fn state(&self) -> Option<State> {
        match &self.mind {
            Some(Mind::Outrider(agent)) => Some(agent.state()),
            Some(Mind::Keepalived(keepalived)) => Some(keepalived.state()),
            None => None,
        }
    }

    pub fn agent(&mut self) -> Option<&mut Mutant> {
        match &mut self.mind {
            Some(Mind::Outrider(agent)) => Some(agent),
            Some(Mind::Keepalived(_)) | None => None,
        }
    }

    pub fn keepalived(&mut self) -> Option<&mut Keepalived> {
        match &mut self.mind {
            Some(Mind::Keepalived(keepalived)) => Some(keepalived),
            Some(Mind::Outrider(_)) | None => None,
        }
    }

    /// Whether it need not bear an Active of that priority.
    pub fn outranks(&self, priority: u8) -> bool {
        self.preempts && priority < self.priority
    }

    /// Whether it does something right after a sleep past its Master_Down.
    pub fn sleepwalks(&self, now: Time) -> bool {
        self.past.woke == now
    }
}

/// A host that is shared by all states in which it is the same, and hashed once.
#[derive(Clone, Debug)]
pub struct Slot {
    host: Arc<Host>,
    hash: Option<u64>,
}

impl Slot {
    pub fn new(host: Host) -> Slot {
        Slot { host: Arc::new(host), hash: None }
    }

    pub fn seal(&mut self) {
        self.hash.get_or_insert_with(|| {
            let mut hasher = Mixer(0);
            self.host.hash(&mut hasher);
            hasher.finish()
        });
    }
}

impl Deref for Slot {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl DerefMut for Slot {
    fn deref_mut(&mut self) -> &mut Host {
        self.hash = None;
        Arc::make_mut(&mut self.host)
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Slot) -> bool {
        self.host == other.host
    }
}

impl Hash for Slot {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        assert!(self.hash.is_some(), "not sealed");
        self.hash.hash(hasher);
    }
}

/// The standard library's hasher takes most of the time where nothing is optimized.
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
