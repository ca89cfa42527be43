//! The real agent in one group with Debian's keepalived and FRR's vrrpd, on hosts in network namespaces. Needs root,
//! or a user namespace (tests/run), and the Debian packages frr, iproute2, keepalived and nftables: a test that
//! misses one says which.
#![cfg(feature = "lab")]
// clippy.toml exempts tests, but not the functions they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod frr;
mod holders;
mod keepalived;
mod migration;
mod mistakes;
mod scenarios;
mod several_addresses;
mod site;
mod speech;
mod steady;
mod with_frr;
mod with_keepalived;
