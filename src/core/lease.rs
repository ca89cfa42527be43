//! The finite lifetime of the address in the kernel: when to renew it, and when it is too old to touch.

use crate::core::Time;
use std::time::Duration;

/// The lease of a held address. All moments count from when a request was *sent*: the kernel cannot have
/// started the lifetime earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Lifetime; none: the address stays until it is removed.
    length: Option<Duration>,
    /// When the kernel may drop the address.
    until: Option<Time>,
    renew_at: Option<Time>,
}

impl Lease {
    /// A lease that starts with the request to add the address, sent at `now` or later. An address that the
    /// kernel has not confirmed by the end of the first lease is not held.
    pub fn new(length: Option<Duration>, now: Time) -> Lease {
        Lease { length, until: length.map(|length| now + length), renew_at: None }
    }

    /// The kernel confirmed what was sent at `sent`.
    pub fn confirmed(&mut self, sent: Time) {
        self.until = self.length.map(|length| sent + length);
        self.renew_at = self.length.map(|length| sent + length / 3);
    }

    /// The last moment at which the kernel may be asked to add or renew.
    pub fn until(&self) -> Option<Time> {
        self.until
    }

    /// Whether the address may be gone already, so that it must not be touched.
    pub fn is_over(&self, now: Time) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Whether a renewal is due. It is asked for once; an unanswered or failed one again after a ninth of the
    /// lease.
    pub fn take_renewal(&mut self, now: Time) -> bool {
        let due = self.renew_at.is_some_and(|at| now >= at);
        if due {
            self.renew_at = self.length.map(|length| now + length / 9);
        }
        due
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<Time> {
        self.until.into_iter().chain(self.renew_at).min()
    }
}
