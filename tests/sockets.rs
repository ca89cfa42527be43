//! The raw and packet sockets on two hosts joined by a cable: network namespaces and a veth pair. Needs root, or
//! a user namespace that looks like it.
// clippy.toml exempts tests, but not the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![cfg(feature = "lab")]

#[path = "sockets/ipv4.rs"]
mod ipv4;
#[path = "sockets/ipv6.rs"]
mod ipv6;
#[path = "sockets/multicast.rs"]
mod multicast;
#[path = "sockets/support.rs"]
mod support;
