//! What the core needs to know of the settings.

use super::advert::{Checksum, Version};
use super::announce::Announcements;
use super::auth::Auth;
use super::guard::Guards;
use std::net::IpAddr;
use std::time::Duration;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// What the core needs to know of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// The virtual router, 1-255.
    pub vrid: u8,
    /// Version of VRRP.
    pub version: Version,
    /// The address our adverts come from.
    pub source: IpAddr,
    /// The addresses of the virtual router.
    pub addresses: Vec<IpAddr>,
    /// Advertisement interval.
    pub interval: Duration,
    /// Priority, if set by hand.
    pub priority: Option<u8>,
    /// Whether a higher priority takes the address from a lower one.
    pub preempt: bool,
    /// How long a lower priority is borne before that.
    pub preempt_delay: Duration,
    /// Lifetime of the address in the kernel, whole seconds; none: for ever.
    pub lease: Option<Duration>,
    /// How long a leaver waits for its successor.
    pub handover_limit: Duration,
    /// Gratuitous ARP.
    pub announcements: Announcements,
    /// Lowest TTL an advert may arrive with.
    pub min_ttl: u8,
    /// The multicast group that adverts go to; none: to each peer by unicast.
    pub group: Option<IpAddr>,
    /// Form of the checksum that is sent, to those who were not heard with another.
    pub checksum: Checksum,
    /// How adverts are authenticated.
    pub auth: Auth,
    /// The virtual routers of this agent that come before this one: the first ranks are spread.
    pub earlier: Vec<u8>,
    /// Successes that make an unfit host fit.
    pub rise: u32,
    /// Failures that make a fit host unfit.
    pub fall: u32,
    /// Whose sign of life is wanted before a claim.
    pub guards: Guards,
}
