//! What people are told.

use serde::{Deserialize, Serialize};
use std::fmt;

/// State of a virtual router (RFC 9568 section 6.4), with a fourth one for a host that cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// It is not known yet who takes part, or whether this host can serve.
    Initialize,
    /// Fit, and listening to the Active, or waiting out its silence.
    Backup,
    /// This host holds the address.
    Active,
    /// This host cannot or must not serve: it listens, and claims nothing.
    Fault,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Something worth a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The state changed.
    Transition {
        /// State before.
        from: State,
        /// State after.
        to: State,
        /// Cause, in words for people.
        why: String,
    },
    /// For a closer look only.
    Detail(String),
    /// Something changed that is no fault.
    Notice(String),
    /// Something is wrong, here or at a peer; said once for each cause.
    Warning(String),
    /// Something is wrong that keeps the address from being where it should be: somebody has to act.
    Alarm(String),
}
