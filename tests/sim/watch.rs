//! What is seen of each host from outside, by which the properties (`properties.rs`) judge.
//!
//! Nothing here asks the core what it thinks, but for its state and priority.

mod agents;
mod faults;

use crate::plan::{Micros, Plan};
use crate::world::World;
use outrider::core::event::State;
use std::collections::BTreeMap;

/// What must hold. See `properties.rs` for each one's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// Two holders that hear each other become one.
    TwoHolders,
    /// An address whose agent is not a running Active goes.
    Leash,
    /// Where nobody holds the address, a fit host takes it.
    Idle,
    /// Without preemption nobody claims over an Active whose adverts come.
    Patience,
    /// Nobody claims over a station that answers ARP when it has just started.
    Probe,
    /// Nobody claims who is cut off from everybody.
    Isolation,
    /// A holder that was cut off yields to the one it finds.
    Yielding,
    /// After the silence of an Active only one claims; after a resignation all but the first in line wait.
    OneSuccessor,
    /// A planned hand-over has no moment without a holder.
    HandOver,
    /// A leaver says nothing but that it leaves.
    Silence,
    /// An unfit host does not hold.
    Unfit,
    /// Nothing is touched after a lease or a sleep.
    Fence,
    /// An Active has the address.
    Absent,
    /// The lease of a running Active never lapses.
    Lapse,
    /// What is not there is not announced.
    HollowAnnouncement,
    /// The client's traffic goes to the holder.
    Traffic,
    /// Nothing stays behind an agent that has ended by itself.
    Exit,
    /// Of several virtual routers each has its first rank, and with it its address, on a host of its own.
    Spread,
    /// Once everything is whole there is one holder.
    Convergence,
    /// An agent with nothing to do rests.
    Rest,
}

/// A property that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    pub property: Property,
    pub at: Micros,
    pub text: String,
}

/// The last advert that made a host follow somebody.
#[derive(Clone, Copy, Debug)]
pub struct Following {
    pub from: usize,
    pub at: Micros,
    /// When it was read: a stopped process does so later, and cannot know since when it was there.
    pub read: Micros,
    /// When it said that it gives the address up.
    pub resigned: Option<Micros>,
}

/// A time as Active.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    pub since: Micros,
    /// Whom it followed before.
    pub after: Option<Following>,
    /// The process slept past its Master_Down.
    pub slept: bool,
}

/// What is known of one host.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub started: Micros,
    pub resumed: Micros,
    pub last_turn: Micros,
    /// When it noticed, or should have, that it had slept past its Master_Down.
    pub woke: Option<Micros>,
    pub tenure: Option<Tenure>,
    /// When the last request that counts was sent: the lease is over a lease later.
    pub lease_base: Micros,
    pub following: Option<Following>,
    /// The one it followed before that.
    pub before: Option<Following>,
    /// Arrival of the last advert (not priority 0) that was taken in by a host that was not Active.
    pub accepted: Micros,
    pub heard_any: bool,
    /// To whom its adverts go, and since when.
    pub peers: BTreeMap<usize, Micros>,
    /// When it heard anybody first.
    pub heard_first: Micros,
    pub held_before: bool,
    /// The lowest priority it had until a while ago: running timers keep to it.
    pub former: (u8, Micros),
    pub priority: u8,
    pub stale_since: Option<Micros>,
    pub vacant_since: Option<Micros>,
    pub absent_since: Option<Micros>,
    /// When its load balancer changed last, and whether a connection to it was held then.
    pub balancer_since: Micros,
    pub connection_held: bool,
    pub unplugged_since: Option<Micros>,
    pub plugged_since: Micros,
    /// Since when nobody reaches it, or how it was before: from when to when.
    pub alone_since: Option<Micros>,
    pub alone: (Micros, Micros),
    /// Since when it has been Backup, or has heard the lower priority it bears.
    pub bears: Micros,
    /// The last advert it did not follow though it was a Backup: its priority, and when it came.
    pub ignored: (u8, Micros),
    /// Whether it takes part by what it was told, and since when.
    pub member: bool,
    pub member_since: Micros,
    pub version: u64,
    /// When it was told of other members last.
    pub viewed: Micros,
    /// It was told to end.
    pub stopping: bool,
    /// It has begun to hand the address over.
    pub offered: bool,
    /// When it was told last, by whatever means, to let go of the address.
    pub dismissed: Micros,
    /// A person drains it, and since when one does not.
    pub drained: bool,
    pub undrained: Micros,
    pub mute_since: Option<Micros>,
    pub refused_until: Micros,
    /// When somebody else, or time, took the address from its kernel.
    pub lost: Option<Micros>,
}

/// A hand-over that must succeed.
#[derive(Clone, Debug)]
pub struct Planned {
    pub leaver: usize,
    /// When it was told.
    pub told: Micros,
    /// From when on whoever can take the address waits for nobody else.
    pub since: Micros,
    /// When the leaver had let go.
    pub done: Option<Micros>,
}

/// All that is seen.
pub struct Watch {
    pub seen: Vec<Seen>,
    /// Since when messages of one station reach another unhindered.
    pub clean: Vec<Vec<Option<Micros>>>,
    /// Faults going on that excuse more than those they befall.
    pub troubles: u32,
    pub last_trouble: Micros,
    pub last_fault: Micros,
    /// Messages that were slowed may arrive until then.
    pub stragglers: Micros,
    /// Since when all that run know the same members.
    pub agreed: Option<Micros>,
    pub planned: Vec<Planned>,
    /// The only holder, and since when it is.
    pub sole: Option<(usize, Micros)>,
    /// When a host last had the address whose router is not ours and dead.
    pub stray: Micros,
}

impl Watch {
    pub fn new(plan: &Plan) -> Watch {
        let whole = (plan.net.loss == 0).then_some(0);
        Watch {
            seen: vec![Seen { member: true, ..Seen::default() }; plan.hosts],
            clean: vec![vec![whole; plan.hosts + 1]; plan.hosts + 1],
            troubles: 0,
            last_trouble: 0,
            last_fault: 0,
            stragglers: 0,
            agreed: Some(0),
            planned: Vec::new(),
            sole: None,
            stray: 0,
        }
    }
}

impl World {
    pub fn is_active(&self, h: usize) -> bool {
        self.state(h) == Some(State::Active)
    }

    /// Whether nothing has hindered network, processes or kernels for so long.
    pub fn is_calm(&self, for_long: Micros) -> bool {
        self.router.watch.troubles == 0
            && self.plan.net.loss == 0
            && self.hosts.iter().all(|host| host.paused == 0)
            && self.now.saturating_sub(self.router.watch.last_trouble) >= for_long
    }

    pub fn clean_since(&self, from: usize, to: usize) -> Option<Micros> {
        self.router.watch.clean[from][to]
    }

    /// Since when two stations reach each other unhindered.
    pub fn mutual_since(&self, one: usize, other: usize) -> Option<Micros> {
        Some(self.clean_since(one, other)?.max(self.clean_since(other, one)?))
    }
}
