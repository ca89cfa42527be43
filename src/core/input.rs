//! What the core is told of the world.

use super::Time;
use super::advert::{Advert, Checksum};
use super::auth::Proof;
use std::net::IpAddr;

/// What one look at one check of the load balancer showed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It answered.
    Pass,
    /// It is certainly dead: the connection was refused, twice. Needs no `fall`.
    Dead(String),
    /// It did not answer as it should; counts up to `fall`.
    Fail(String),
}

/// What the kernel did about the addresses, or what happened to them. Requests are answered in their order, each
/// once: by `Added`, `Renewed`, `Removed`, `TooLate` or `Failed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// They were added by a request sent at this moment.
    Added {
        /// When the request was sent.
        sent: Time,
    },
    /// Their lifetime was renewed by a request sent at this moment.
    Renewed {
        /// When the request was sent.
        sent: Time,
    },
    /// They are removed.
    Removed,
    /// A request was not made, or was undone, because its time had passed.
    TooLate,
    /// A request failed.
    Failed {
        /// What it was to do.
        to: Wish,
        /// The error, for people.
        why: String,
    },
    /// Somebody else removed one of them.
    Gone,
    /// One of them is there and is not ours: what to do about it, for people.
    Foreign(String),
    /// That is over.
    ForeignGone,
    /// An earlier run left them behind, with a lifetime that ends within a lease from now. They still answer until
    /// somebody claims the address: removed before, nobody would.
    Leftover,
}

impl Kernel {
    /// Whether it answers a request; the others come unasked.
    pub fn is_to_a_request(&self) -> bool {
        !matches!(self, Kernel::Gone | Kernel::Foreign(_) | Kernel::ForeignGone | Kernel::Leftover)
    }
}

/// What the kernel was asked to do with the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// Add them.
    Add,
    /// Renew their lifetime.
    Renew,
    /// Remove them.
    Remove,
}

/// A datagram that was understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Heard {
    /// Source address.
    pub from: IpAddr,
    /// Time to live it arrived with.
    pub ttl: u8,
    /// What it says.
    pub advert: Advert,
    /// The form of its checksum.
    pub checksum: Checksum,
    /// What it brings to show who sent it.
    pub proof: Proof,
}

/// Whether a host that drains lets go of the address even if nobody takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Force {
    /// It does.
    Yes,
    /// It keeps the address until somebody does.
    No,
}
