//! outrider keeps one address on whichever host has a load balancer that answers.
//!
//! ```text
//!               config        settings: validated, typed, with the origin of every value
//!                 │
//!                 ▼
//!   metadata ─►         ─► net::vrrp, net::announce   adverts, ARP, neighbour discovery
//!   health   ─►  core   ─► net::address               the address, on a thread of its own
//!   net      ─►         ─► health, metadata           look more often; read again
//!                 ▲
//!                run          waits, feeds the core, carries out its commands
//! ```
//!
//! `config → core ← adapters ← run`: the core imports nothing of ours but itself, adapters do not know each
//! other, [`run`] is the one place where they meet. Who knows one adapter knows them all: it takes settings,
//! runs where it cannot hold up an advert, and tells what it found through a channel.
//!
//! | room | subject |
//! |---|---|
//! | [`config`] | environment over a TOML file; every fault told at once |
//! | [`core`] | who may hold the address, when, and what is to be done; no I/O, no clock |
//! | [`wire`] | VRRP, its authentication, ARP and neighbour discovery as bytes |
//! | [`metadata`] | Rancher: who takes part, which ports are published |
//! | [`health`] | does the load balancer answer? |
//! | [`net`] | the kernel: interface, timer, lock, sockets, addresses |
//! | [`import`] | keepalived's configuration as settings |
//! | [`status`] | the local socket: drain and undrain |
//! | [`run`] | threads, the loop over all virtual routers, rights, the log |
//! | `lab`, `demo` | hosts as network namespaces: for the demo, the tests and the benches (feature `lab`) |
//!
//! Where this departs from the first sketch of the house, and why:
//!
//! - **The lock is taken before the core exists** ([`run`] waits for it): a core without a lock would have nothing
//!   to decide. Each address has a lock of its own besides, so that two agents with one address and different
//!   VRIDs do not clean up after each other.
//! - **Peers who leave the metadata keep getting adverts for an hour**, not only until Master_Down: a Backup is
//!   always silent, and one whose metadata is stuck would claim the address as soon as it heard nobody.
//! - **The lease is computed for priority 1**, so that it is the same on every host: the taker announces the
//!   address until the former holder's lease must be over.
//! - **An isolated holder, and one that should leave but has no successor, advertise priority 1**: whoever holds the
//!   address besides wins by the ordinary rules.
//! - **An outranked Active sends its own advert once more**, so that the winner knows of it and announces again.
//! - **One core is one virtual router.** An agent with several has as many cores, which know of each other only the ids
//!   that come before their own (for the spread of first ranks). [`run`] gives each the events that are its own.
//! - **Bytes are verified in [`wire`], believed in [`core`]**: which signature is fresh, new, and wanted is a decision.
//!   A valid signature whose time is off counts as a holder that cannot be followed (two holders would be worse),
//!   as long as its sequence grows; anything else unsigned does not count where signatures are enforced.
//! - **A peer is answered in the form of checksum it was heard with**; the setting is for those not heard yet.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod config;
pub mod core;
#[cfg(feature = "lab")]
pub mod demo;
pub mod health;
pub mod import;
#[cfg(feature = "lab")]
pub mod lab;
pub mod metadata;
pub mod net;
pub mod run;
pub mod status;
pub mod wire;
