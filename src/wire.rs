//! What is on the wire: VRRP adverts, their authentication, ARP and neighbour discovery.
//!
//! Bytes in, values out, and back: no socket, no clock, no setting. Whatever arrives, decoding ends in a value or
//! in a reason for people, never in a panic.

pub mod advert;
pub mod arp;
pub mod auth;
pub mod ndp;
