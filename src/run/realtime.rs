//! Real-time scheduling and locked memory, where the machine allows them: adverts and renewals on time, however
//! busy the host is.
//!
//! A new thread inherits the policy of the one that starts it. So the main thread, which has the adverts, takes
//! it at start, while the right to do so is there (SYS_NICE, or a limit: `ulimits: rtprio`); the address's thread
//! inherits it; all others give it up ([`ordinary`], [`aside`]).

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use preempt_rt::sched::{Pid, Scheduler, SchedulerParams, get_scheduler, set_scheduler};
use rustix::mm::{MlockAllFlags, mlockall};
use std::fmt;

/// The lowest there is: above everything ordinary, below everybody else who asked for real time.
const PRIORITY: i32 = 1;

/// What was allowed.
#[derive(Clone, Copy, Debug)]
pub struct Realtime {
    scheduled: bool,
    locked: bool,
}

/// Takes what is allowed, for the calling thread and those it will start.
pub fn enter() -> Realtime {
    // Whoever started us may have chosen for us.
    let scheduled = is_realtime() || set(Scheduler::SCHED_RR, PRIORITY);
    Realtime { scheduled, locked: lock_memory() }
}

/// Makes the calling thread an ordinary one again.
pub fn ordinary() {
    if is_realtime() {
        set(Scheduler::SCHED_NORMAL, 0);
    }
}

/// Makes the calling thread one that runs when no other has anything to do, more or less: people can wait.
pub fn background() {
    ordinary();
    // On Linux niceness belongs to the thread.
    let _ = rustix::process::nice(10);
}

/// Does something that starts threads which must be ordinary, and cannot be told so.
pub fn aside<T: Send>(start: impl FnOnce() -> T + Send) -> T {
    if !is_realtime() {
        return start();
    }
    let start = || {
        ordinary();
        start()
    };
    match std::thread::scope(|scope| scope.spawn(start).join()) {
        Ok(started) => started,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn is_realtime() -> bool {
    matches!(get_scheduler(Pid::current_thread()), Ok(Scheduler::SCHED_FIFO | Scheduler::SCHED_RR))
}

fn set(policy: Scheduler, priority: i32) -> bool {
    set_scheduler(Pid::current_thread(), policy, SchedulerParams { priority }).is_ok()
}

/// Pages are locked when they are first used (Linux 4.4): what no thread's stack ever reaches costs nothing.
///
/// Only without a limit: what is mapped later counts against it once the capability is given up, stacks of new
/// threads included.
fn lock_memory() -> bool {
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok()
        && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
}

impl fmt::Display for Realtime {
    /// Follows other words; empty, if nothing was allowed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.scheduled, self.locked) {
            (true, true) => ", in real time, with locked memory",
            (true, false) => ", in real time",
            (false, true) => ", with locked memory",
            (false, false) => "",
        })
    }
}
