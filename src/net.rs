//! The kernel: interface, alarm (timerfd), lock, raw and packet sockets, the address.

use std::fmt;
use std::net::IpAddr;

pub mod address;
pub mod alarm;
pub mod announce;
pub mod gateway;
pub mod interface;
pub mod link;
pub mod lock;
pub mod neighbour;
mod packet;
pub mod vrrp;

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

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// Whether an address means something else on every interface (fe80::/10).
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
