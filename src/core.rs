//! The decision: who may hold the address, when, and what is to be done about it.
//!
//! No socket, no clock, no channel, no log. Time comes in as an argument, deeds go out as
//! [`Command`]s; `run` carries them out in order.

pub mod advert;
pub mod members;

use std::time::Duration;

/// A moment: time since boot by `CLOCK_BOOTTIME`, so that a suspended host's sleep counts.
pub type Time = Duration;

/// What one look at one check of the load balancer showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Pass,
    /// It is certainly dead: the connection was refused, twice. Needs no `fall`.
    Dead(String),
    /// It did not answer as it should; counts up to `fall`.
    Fail(String),
}
