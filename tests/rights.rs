//! What the agent's process may do, as the kernel tells it: capabilities, users, policies of its threads, and
//! those of the programs it starts. Needs root, or a user namespace that looks like it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // The helpers are tests, too.
#![cfg(feature = "lab")]

#[path = "rights/capabilities.rs"]
mod capabilities;
#[path = "rights/programs.rs"]
mod programs;
#[path = "rights/realtime.rs"]
mod realtime;
#[path = "rights/support.rs"]
mod support;
