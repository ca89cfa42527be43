//! The kernel: interface, alarm (timerfd), lock, raw and packet sockets, the address.

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
