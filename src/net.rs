//! The kernel: interface, alarm (timerfd), lock, raw and packet sockets, the address.

pub use crate::core::Family;
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

/// Whether an address means something else on every interface (fe80::/10).
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
