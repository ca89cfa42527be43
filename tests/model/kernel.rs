//! The addresses in a host's kernel, and the thread that asks for them: `src/net/address` for all virtual routers of
//! the process, one request after the other.

use crate::cluster::LEASE;
use outrider::core::{Kernel as Answer, Time};
use std::collections::VecDeque;

/// What the thread is asked to do for a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    Add { not_after: Option<Time> },
    Renew { not_after: Option<Time> },
    Remove,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// When it drops the address of each virtual router.
    pub until: Vec<Option<Time>>,
    /// When that may be at the earliest, by what was answered or by the claim.
    pub lease_until: Vec<Time>,
    /// Somebody else holds the rtnl lock.
    pub locked: bool,
    requests: VecDeque<(usize, Request)>,
    /// What waits for the lock, and when it was asked.
    asked: Option<(usize, Request, Time)>,
    /// What was done while the process was stopped.
    done: Option<(usize, Request, Time)>,
}

/// What came of a turn of the thread.
#[derive(Debug, Default)]
pub struct Work {
    pub answers: Vec<(usize, Answer)>,
    /// The kernel was asked for an address whose lease was over.
    pub late: bool,
}

impl Kernel {
    pub fn new(routers: usize) -> Kernel {
        Kernel {
            until: vec![None; routers],
            lease_until: vec![Time::MAX; routers],
            locked: false,
            requests: VecDeque::new(),
            asked: None,
            done: None,
        }
    }

    pub fn holds(&self, router: usize, now: Time) -> bool {
        self.until[router].is_some_and(|until| now < until)
    }

    pub fn waits(&self) -> bool {
        self.asked.is_some()
    }

    pub fn request(&mut self, router: usize, request: Request) {
        self.requests.push_back((router, request));
    }

    /// The process is no more. What waits for the lock is done all the same.
    pub fn orphan(&mut self) {
        self.requests.clear();
        self.done = None;
    }

    /// A new process removes what an earlier one may have left: keepalived's, whose addresses have no lease.
    pub fn clean(&mut self, router: usize) {
        self.until[router] = None;
    }

    /// Somebody else lets go of the lock.
    pub fn unlock(&mut self, now: Time, process: bool) {
        self.locked = false;
        if let Some((router, request, sent)) = self.asked.take() {
            self.carry_out(now, router, request);
            self.done = process.then_some((router, request, sent));
        }
    }

    /// The thread goes on until it has nothing to do, or must wait.
    pub fn work(&mut self, now: Time) -> Work {
        let mut work = Work::default();
        while self.asked.is_none() {
            if let Some((router, request, sent)) = self.done.take() {
                work.answers.push((router, self.acknowledge(now, router, request, sent)));
                continue;
            }
            let Some((router, request)) = self.requests.pop_front() else { break };
            if let Request::Add { not_after } | Request::Renew { not_after } = request {
                if not_after.is_some_and(|limit| now >= limit) {
                    work.answers.push((router, Answer::TooLate));
                    continue;
                }
                work.late |= now >= self.lease_until[router];
            }
            if self.locked {
                self.asked = Some((router, request, now));
            } else {
                self.carry_out(now, router, request);
                self.done = Some((router, request, now));
            }
        }
        work
    }

    fn carry_out(&mut self, now: Time, router: usize, request: Request) {
        self.until[router] = match request {
            Request::Add { .. } | Request::Renew { .. } => Some(now + LEASE),
            Request::Remove => None,
        };
    }

    /// What was acknowledged too late is undone.
    fn acknowledge(&mut self, now: Time, router: usize, request: Request, sent: Time) -> Answer {
        match request {
            Request::Add { not_after } | Request::Renew { not_after }
                if not_after.is_some_and(|limit| now > limit) =>
            {
                self.until[router] = None;
                return Answer::TooLate;
            }
            Request::Add { .. } | Request::Renew { .. } => self.lease_until[router] = sent + LEASE,
            Request::Remove => {}
        }
        match request {
            Request::Add { .. } => Answer::Added { sent },
            Request::Renew { .. } => Answer::Renewed { sent },
            Request::Remove => Answer::Removed,
        }
    }
}
