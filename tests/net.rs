//! The kernel's rooms against the real kernel: each test in a network namespace of its own. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used)] // The helpers are tests, too.

#[path = "net/address.rs"]
mod address;
#[path = "net/address6.rs"]
mod address6;
#[path = "net/alarm.rs"]
mod alarm;
#[path = "net/changes.rs"]
mod changes;
#[path = "net/host.rs"]
mod host;
#[path = "net/interface.rs"]
mod interface;
#[path = "net/lock.rs"]
mod lock;
#[path = "net/several.rs"]
mod several;
#[path = "net/surroundings.rs"]
mod surroundings;
