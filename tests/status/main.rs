//! What the running agent says of itself, over HTTP, the local socket and in a terminal; and what it makes of those
//! who ask too much. Real agents in network namespaces. Needs root, or a user namespace (tests/run).
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod answers;
mod flood;
mod group;
mod reload;
mod site;
mod table;
mod telling;
