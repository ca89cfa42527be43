//! The kernel of a host, and the thread that asks it for the address, as `src/net/address` does.
//!
//! A request waits for the rtnl lock for as long as somebody else holds it; it is carried out even if the
//! process is stopped or killed meanwhile, since that wait cannot be interrupted. What is acknowledged after
//! its `not_after` is undone.

use crate::plan::{MS, Micros};
use crate::process::Told;
use crate::random::Random;
use crate::world::{Happening, World};
use outrider::core::{Kernel as Answer, Time, Wish};
use std::collections::VecDeque;

/// A virtual router's address on one host.
#[derive(Debug, Default)]
pub struct Address {
    /// When the address was put there, or its lifetime began anew last.
    pub touched: Option<Micros>,
    /// When it was put there.
    pub since: Micros,
    /// Its lifetime ends when this event comes: older ones are void.
    pub expiry: u64,
}

/// The kernel of one host.
#[derive(Debug, Default)]
pub struct Kernel {
    /// Until then somebody else holds the rtnl lock.
    pub locked_until: Micros,
    /// Until then it is busy with requests that were made before.
    pub busy_until: Micros,
    /// Requests to add are refused while above zero.
    pub refuses: u32,
}

impl Address {
    pub fn has(&self) -> bool {
        self.touched.is_some()
    }
}

/// What the thread is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Add {
        not_after: Option<Time>,
    },
    Renew {
        not_after: Option<Time>,
    },
    Remove,
    /// At the start, the link is told, and what an earlier run left behind. Only a router that is not ours removes
    /// that at once: it has no lease.
    Look,
    /// Takes back what was acknowledged too late.
    Undo,
}

/// Where the thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    /// It has looked at the clock and is about to ask.
    Checked {
        request: Request,
        sent: Time,
    },
    Asked {
        request: Request,
        sent: Time,
    },
    /// The kernel is done; the answer has not been read.
    Done {
        request: Request,
        sent: Time,
        refused: bool,
    },
}

/// News of the kernel that the thread has not taken in.
#[derive(Clone, Debug)]
pub enum News {
    Gone(usize),
    Link(bool),
}

/// The address thread of a process.
#[derive(Debug)]
pub struct Thread {
    /// Of each virtual router, by its number; one after the other.
    pub requests: VecDeque<(usize, Request)>,
    pub news: VecDeque<News>,
    pub stage: Stage,
    /// What it is at now is this virtual router's.
    at: usize,
    /// Of each virtual router: it added the addresses and has not removed them since.
    held: Vec<bool>,
    /// It believes them to be there.
    known: Vec<bool>,
    /// A step is in the queue of events.
    pub due: bool,
}

impl Thread {
    pub fn new(routers: usize) -> Thread {
        Thread {
            requests: (0..routers).map(|router| (router, Request::Look)).collect(),
            news: VecDeque::new(),
            stage: Stage::Waiting,
            at: 0,
            held: vec![false; routers],
            known: vec![false; routers],
            due: false,
        }
    }
}

/// How long the kernel takes when nobody is in its way.
pub const QUICK: (Micros, Micros) = (30, 100);

fn wake(random: &mut Random) -> Micros {
    random.between(10, 60)
}

impl World {
    /// The thread has something to do.
    pub fn poke_thread(&mut self, h: usize) {
        let delay = wake(&mut self.random);
        let epoch = self.hosts[h].epoch;
        let Some(process) = &mut self.hosts[h].process else { return };
        if !process.thread.due && !matches!(process.thread.stage, Stage::Asked { .. }) {
            process.thread.due = true;
            self.after(delay, Happening::Thread { host: h, epoch });
        }
    }

    /// Goes on for as long as there is nothing to wait for.
    pub fn run_thread(&mut self, h: usize) {
        if let Some(process) = &mut self.hosts[h].process {
            process.thread.due = false;
        }
        while self.hosts[h].paused == 0 {
            let clock = self.clock(h);
            let Some(process) = &mut self.hosts[h].process else { return };
            match process.thread.stage {
                Stage::Waiting => {
                    // A flood of news must not hold up a request.
                    if let Some((router, request)) = process.thread.requests.pop_front() {
                        process.thread.at = router;
                        self.turn_to(router);
                        self.begin(h, request, clock);
                    } else if let Some(news) = process.thread.news.pop_front() {
                        self.follow(h, news);
                    } else {
                        return;
                    }
                }
                Stage::Checked { request, sent } => {
                    process.thread.stage = Stage::Asked { request, sent };
                    let router = process.thread.at;
                    self.turn_to(router);
                    self.ask_kernel(h, request, sent);
                }
                Stage::Asked { .. } => return,
                Stage::Done { request, sent, refused } => {
                    process.thread.stage = Stage::Waiting;
                    let router = process.thread.at;
                    self.turn_to(router);
                    self.acknowledge(h, request, sent, refused);
                }
            }
        }
    }

    pub fn ask_kernel(&mut self, h: usize, request: Request, sent: Time) {
        let (low, high) = QUICK;
        let quick = self.random.between(low, high);
        // Whoever waits for the lock gets it in turn, a killed process's request among them.
        let kernel = &mut self.hosts[h].kernel;
        let at = self.now.max(kernel.locked_until).max(kernel.busy_until) + quick;
        kernel.busy_until = at;
        let epoch = self.hosts[h].epoch;
        let router = self.router.number;
        self.at(at, Happening::Rtnl { host: h, epoch, router, request, sent });
    }

    fn begin(&mut self, h: usize, request: Request, sent: Time) {
        let limit = match request {
            Request::Add { not_after } | Request::Renew { not_after } => not_after,
            _ => None,
        };
        let Some(process) = &mut self.hosts[h].process else { return };
        if limit.is_some_and(|limit| sent >= limit) {
            return self.tell_kernel(h, Answer::TooLate);
        }
        if matches!(request, Request::Renew { .. }) && !process.thread.held[self.router.number] {
            let why = "there is nothing to renew".to_owned();
            return self.tell_kernel(h, Answer::Failed { to: Wish::Renew, why });
        }
        process.thread.stage = Stage::Checked { request, sent };
        if matches!(request, Request::Add { .. } | Request::Renew { .. }) {
            self.watch_touch(h);
            if self.hosts[h].pause_in_thread > 0 {
                self.hosts[h].pause_in_thread -= 1;
                self.pause(h);
            }
        }
    }

    /// The kernel has got its lock and does what it was asked.
    pub fn rtnl(&mut self, h: usize, epoch: u32, request: Request, sent: Time) {
        let mut refused = false;
        if self.hosts[h].powered {
            match request {
                Request::Add { .. } if self.hosts[h].kernel.refuses > 0 => refused = true,
                Request::Add { .. } | Request::Renew { .. } => self.put(h),
                Request::Look if !self.is_foreign(h) => {}
                Request::Remove | Request::Look | Request::Undo => self.take(h, "removed", true),
            }
        }
        if self.hosts[h].epoch != epoch {
            return;
        }
        if self.is_foreign(h) {
            return self.foreign_done(h, request);
        }
        let Some(process) = &mut self.hosts[h].process else { return };
        process.thread.stage = Stage::Done { request, sent, refused };
        self.poke_thread(h);
    }

    fn acknowledge(&mut self, h: usize, request: Request, sent: Time, refused: bool) {
        let (acked, router) = (self.clock(h), self.router.number);
        let Some(process) = &mut self.hosts[h].process else { return };
        let thread = &mut process.thread;
        match request {
            Request::Add { .. } if refused => {
                let why = "operation not permitted".to_owned();
                self.tell_kernel(h, Answer::Failed { to: Wish::Add, why });
            }
            Request::Add { not_after } | Request::Renew { not_after } => {
                thread.held[router] = true;
                thread.known[router] = true;
                if not_after.is_some_and(|limit| acked > limit) {
                    thread.stage = Stage::Checked { request: Request::Undo, sent: acked };
                } else if matches!(request, Request::Add { .. }) {
                    self.tell_kernel(h, Answer::Added { sent });
                } else {
                    self.tell_kernel(h, Answer::Renewed { sent });
                }
            }
            Request::Remove | Request::Undo | Request::Look => {
                thread.held[router] = false;
                thread.known[router] = false;
                match request {
                    Request::Remove => self.tell_kernel(h, Answer::Removed),
                    Request::Undo => self.tell_kernel(h, Answer::TooLate),
                    _ => {
                        if self.router.addresses[h].has() {
                            self.tell_kernel(h, Answer::Leftover);
                        }
                        let up = self.hosts[h].unplugged == 0;
                        self.tell_main(h, Told::Link(up));
                    }
                }
            }
        }
    }

    fn follow(&mut self, h: usize, news: News) {
        match news {
            News::Link(up) => self.each_router(|world| world.tell_main(h, Told::Link(up))),
            News::Gone(router) => {
                self.turn_to(router);
                let Some(process) = &mut self.hosts[h].process else { return };
                if process.thread.held[router] && process.thread.known[router] {
                    process.thread.known[router] = false;
                    self.tell_kernel(h, Answer::Gone);
                }
            }
        }
    }

    pub fn tell_kernel(&mut self, h: usize, answer: Answer) {
        self.tell_main(h, Told::Kernel(answer));
    }

    fn put(&mut self, h: usize) {
        let lease = self.plan.lease();
        // The kernel looks for expired addresses up to half a second after they are due.
        let late = self.random.between(0, 500 * MS);
        let kernel = &mut self.router.addresses[h];
        let new = !kernel.has();
        if new {
            kernel.since = self.now;
        }
        kernel.touched = Some(self.now);
        kernel.expiry += 1;
        let expiry = kernel.expiry;
        if !self.is_foreign(h) {
            let router = self.router.number;
            self.at(self.now + lease + late, Happening::Expire { host: h, router, expiry });
        }
        if new {
            self.say(|| format!("lb{h}: kernel: address added"));
        }
    }

    /// The address goes. `own`: at the wish of the process that is told of it by an answer.
    pub fn take(&mut self, h: usize, how: &str, own: bool) {
        let kernel = &mut self.router.addresses[h];
        if kernel.touched.take().is_none() {
            return;
        }
        kernel.expiry += 1;
        self.say(|| format!("lb{h}: kernel: address {how}"));
        if !own {
            self.news(h, News::Gone(self.router.number));
        }
    }

    /// The kernel tells the thread something unasked.
    pub fn news(&mut self, h: usize, news: News) {
        if let Some(process) = &mut self.hosts[h].process {
            process.thread.news.push_back(news);
            self.poke_thread(h);
        }
    }
}
