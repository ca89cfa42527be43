//! What the agent says of itself: one document for HTTP, the local socket, the table in a terminal and the page.
//!
//! Its fields are public: they are added to, renamed only with an alias. Moments are seconds since 1970 (UTC), lengths
//! of time are seconds; both have fractions. `…_ago` counts from [`Status::now`].

use super::histogram::Histogram;
use crate::core::event::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The version of the document. Another one has fields with another meaning.
pub const VERSION: u32 = 1;

/// A moment as the document has it.
pub fn moment(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| (since.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the document.
    pub version: u32,
    /// How this host is called (OUTRIDER_ROUTER_ID).
    pub name: String,
    /// Version of the program.
    pub program: String,
    /// When this was put together.
    pub now: f64,
    /// When the agent started.
    pub started: f64,
    /// Whether it holds, or could hold, the address of each of its virtual routers.
    pub ready: bool,
    /// Whether a person has taken this host out of service.
    pub drained: bool,
    /// Rancher's metadata; none with a list of peers.
    pub metadata: Option<Metadata>,
    /// The virtual routers, in the order of the settings.
    pub routers: Vec<Router>,
    /// The last changes of state, the oldest first; a hundred at most.
    pub transitions: Vec<Transition>,
    /// What is wrong, here or at a peer, in the agent's own words.
    pub warnings: Vec<Warning>,
    /// The settings in force, without secrets.
    pub settings: Vec<Setting>,
    /// How long the looks of the checks took.
    pub check_seconds: Histogram,
}

/// Rancher's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The service's version of its data; none: not known.
    pub version: Option<String>,
    /// When it was read, or confirmed, last; none: never.
    pub confirmed_ago: Option<f64>,
    /// Whether the service answers.
    pub reachable: bool,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Router {
    /// Its name, or its first address.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Its id.
    pub vrid: u8,
    /// Version of VRRP, 2 or 3.
    pub vrrp_version: u8,
    /// The interface it is on; none: it is not known yet.
    pub interface: Option<String>,
    /// Where this host's adverts come from.
    pub source: Option<String>,
    /// Time between two adverts.
    pub interval: f64,
    /// Whether a higher priority takes the address from a lower one.
    pub preempt: bool,
    /// The state.
    pub state: State,
    /// When it began.
    pub since: f64,
    /// Why.
    pub why: String,
    /// The priority this host advertises.
    pub priority: u8,
    /// Who holds the address, as far as this host knows.
    pub holder: Option<Holder>,
    /// Everybody who takes part, by rank.
    pub members: Vec<Member>,
    /// The checks of the load balancer.
    pub checks: Vec<Check>,
    /// Why this host cannot serve.
    pub unfit: Option<String>,
    /// Why it does not claim the address although nobody is heard.
    pub no_claim: Option<String>,
    /// Whether it holds the address only because nobody else took it.
    pub reluctant: bool,
    /// Signs of life from the network.
    pub guard: Guard,
    /// When the kernel drops the address unless it is renewed.
    pub lease_ends_in: Option<f64>,
    /// What was counted since the start.
    pub counters: Counters,
    /// How late adverts went out.
    pub lateness_seconds: Histogram,
    /// From the last advert of whoever held the address before until it was here.
    pub takeover_seconds: Histogram,
}

impl Router {
    /// Whether this host holds the address, or could.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Active | State::Backup) && self.no_claim.is_none()
    }
}

/// Who holds the address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// How it is called.
    pub name: String,
    /// Where its adverts come from.
    pub address: String,
    /// Its priority.
    pub priority: u8,
    /// Whether it is this host.
    pub me: bool,
}

/// Somebody who takes part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// How it is called.
    pub name: String,
    /// Where its adverts come from.
    pub address: String,
    /// Whether it is this host.
    pub me: bool,
    /// Whether it is listed. Who is not counts because it was heard, or was listed not long ago.
    pub listed: bool,
    /// Its rank, from 1; none where ranks do not count.
    pub rank: Option<usize>,
    /// Its priority by rank, or by its host label.
    pub priority: Option<u8>,
    /// Whether it has ever shown that it exists: by an advert or an answer to ARP. (A Backup is silent.)
    pub seen: bool,
    /// When its last advert came.
    pub advert_ago: Option<f64>,
    /// The priority in it.
    pub advert_priority: Option<u8>,
}

/// A check of the load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is looked at.
    pub name: String,
    /// Whether it counts as passed.
    pub passing: bool,
    /// What the last look saw: `pass`, or why not; none: there was none yet.
    pub last: Option<String>,
    /// When that ended.
    pub ago: Option<f64>,
    /// How long it took.
    pub took: Option<f64>,
}

/// Signs of life from the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Guard {
    /// Whose are wanted; empty: nobody's.
    pub guards: Vec<String>,
    /// When the last one came.
    pub life_ago: Option<f64>,
    /// Whether this host counts as cut off.
    pub isolated: bool,
}

/// For what adverts are rejected: kinds of mistakes, as in [`Counters::adverts_rejected`].
pub const REJECTED: [&str; 15] = [
    "version",
    "type",
    "length",
    "checksum",
    "interval",
    "addresses",
    "TTL",
    "own address",
    "password",
    "authentication",
    "authentication type",
    "signature",
    "key",
    "replay",
    "clock",
];

/// What was counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// Adverts sent, one for each receiver, those with priority 0 among them.
    pub adverts_sent: u64,
    /// Those with priority 0.
    pub priority_zero_sent: u64,
    /// Adverts that could not be sent.
    pub send_errors: u64,
    /// Adverts of peers that were taken in, those with priority 0 among them.
    pub adverts_received: u64,
    /// Those with priority 0.
    pub priority_zero_received: u64,
    /// Adverts for this virtual router that were rejected, by the kind of mistake; see [`REJECTED`].
    pub adverts_rejected: BTreeMap<String, u64>,
    /// Adverts that went out later than a tenth of the interval.
    pub adverts_late: u64,
    /// Announcements of an address (gratuitous ARP, unsolicited neighbour advertisements).
    pub announcements: u64,
    /// How often this host became Active.
    pub became_active: u64,
    /// How often it stopped being Active.
    pub left_active: u64,
    /// How often it became unfit.
    pub became_fault: u64,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: f64,
    /// Of which virtual router, by its name.
    pub router: String,
    /// State before.
    pub from: State,
    /// State after.
    pub to: State,
    /// Priority of this host then.
    pub priority: u8,
    /// Why.
    pub why: String,
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// Of which virtual router.
    pub router: String,
    /// Who does it; this host's own address for what is wrong here.
    pub from: String,
    /// Its kind, one word.
    pub kind: String,
    /// What is wrong, and what to do about it.
    pub text: String,
    /// How often it has happened.
    pub count: u64,
}

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Of which virtual router; none: of all.
    pub router: Option<String>,
    /// Its variable.
    pub name: String,
    /// Its value, without secrets.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}
