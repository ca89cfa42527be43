//! What people and programs can ask of the running agent, and tell it.
//!
//! A thread of its own, with the lowest priority: however many ask, adverts do not wait for them. It asks the
//! adverts' thread for a fresh document at most every [`FRESH`](desk), and is told of every change of state.

pub mod command;
pub mod desk;
pub mod document;
pub mod group;
pub mod histogram;
pub mod metrics;
pub mod server;
pub mod socket;
pub mod terminal;
