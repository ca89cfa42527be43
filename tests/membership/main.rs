//! Who belongs, as real agents in network namespaces take it from a metadata service that is late, broken, stuck
//! or right, from a list, and from host labels. Needs root, or a user namespace (tests/run).
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod broken;
mod changing;
mod checks;
mod identity;
mod joining;
mod late;
mod leaving;
mod list;
mod rank;
mod report;
mod servers;
mod stale;
mod station;
mod support;
