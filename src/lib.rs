//! outrider keeps one address on whichever host has a load balancer that answers.
//!
//! `config → core ← adapters ← run`: the core imports nothing of ours but itself, adapters do not know each
//! other, `run` is the one place where they meet.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod config;
pub mod core;
#[cfg(feature = "lab")]
pub mod demo;
pub mod health;
#[cfg(feature = "lab")]
pub mod lab;
pub mod metadata;
pub mod net;
pub mod run;
pub mod status;
pub mod wire;
