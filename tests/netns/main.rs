//! The real agent on hosts in network namespaces, with a real haproxy beside it where it matters. Needs root, or
//! a user namespace (tests/run), and the Debian packages haproxy, iproute2, nftables and tshark: a test that
//! misses one says which.
#![cfg(feature = "lab")]
// clippy.toml exempts tests, but not the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod address;
mod agent;
mod balancer;
mod capture;
mod election;
mod link;
mod logs;
mod neighbours;
mod steady;
mod support;
