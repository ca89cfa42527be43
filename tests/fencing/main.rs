//! Never two holders, never none: the real agent in network namespaces, paused, cut off, fire-walled, drained, and
//! robbed of its address. Needs root (for the cgroup freezer and a second user), and the Debian packages
//! iproute2 and nftables: a test that misses one says which.
#![cfg(feature = "lab")]
// clippy.toml exempts tests, but not the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod address;
mod connections;
mod drain;
mod firewall;
mod handover;
mod isolation;
mod pause;
mod socket;
mod support;
mod taker;
mod wire;
