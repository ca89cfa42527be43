//! What is on the wire: VRRP adverts, ARP and neighbour discovery.
//!
//! Bytes in, values out, and back: no socket, no setting. Whatever arrives, decoding ends in a value or in a
//! reason for people, never in a panic.

pub mod advert;
pub mod arp;
pub mod ndp;
