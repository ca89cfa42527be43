//! Who takes part, and in which order.

use std::net::IpAddr;

/// A host that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Stable identity: the host's uuid in Rancher, its address in a peer list.
    pub id: String,
    /// How people call it.
    pub name: String,
    /// The address its adverts come from and go to.
    pub address: IpAddr,
    /// Set by the host label `outrider.priority` (1-254).
    pub priority: Option<u8>,
}

/// Whether this host takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Member(Member),
    /// It does not (any more): why, in words for people ("host label role=load-balancer is gone").
    Left(String),
}

/// Everybody who takes part, as one answer of the metadata (or the peer list) gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// This host.
    pub me: Standing,
    /// The other members, sorted by id.
    pub others: Vec<Member>,
}
