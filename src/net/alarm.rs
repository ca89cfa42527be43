//! The clock, and a timer on it that is exact to a tenth of a millisecond.

use crate::core::Time;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::io;
use std::time::Duration;
use tokio::net::unix::pipe;

/// The time since boot by `CLOCK_BOOTTIME`, which runs on while the machine is suspended.
pub fn now() -> Time {
    // Never negative; zero would only mean that everything looks early.
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

/// A timer of the kernel (timerfd on `CLOCK_BOOTTIME`): tokio's own rounds up to milliseconds.
///
/// A Backup puts off its alarm with every advert it hears, thousands of times a second where there are hundreds of
/// virtual routers. The kernel's timer is left alone then, and set again when it has rung in vain.
#[derive(Debug)]
pub struct Alarm {
    // A timerfd is read like a pipe, and tokio offers no other safe way to wait for a descriptor.
    timer: pipe::Receiver,
    /// When it is to ring.
    due: Option<Time>,
    /// What the kernel's timer is set to: `due` or earlier. None: it has rung.
    armed: Option<Time>,
}

impl Alarm {
    /// An alarm that is not set. Needs tokio's I/O driver around it.
    ///
    /// # Errors
    /// When the kernel has no timer or no descriptor left.
    pub fn new() -> io::Result<Alarm> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Alarm { timer: pipe::Receiver::from_owned_fd_unchecked(timer)?, due: None, armed: None })
    }

    /// Sets when it rings, in place of any time set before; a time in the past rings at once, `None` never. A
    /// ring that was not waited for is forgotten.
    ///
    /// # Errors
    /// None are known for a valid timer.
    pub fn set(&mut self, at: Option<Time>) -> io::Result<()> {
        self.due = at;
        match at {
            Some(at) if self.armed.is_none_or(|armed| at < armed) => self.arm(at),
            _ => Ok(()),
        }
    }

    fn arm(&mut self, at: Time) -> io::Result<()> {
        // To the kernel zero means "off", so the earliest moment is one nanosecond after boot.
        let value = Timespec::try_from(at.max(Duration::from_nanos(1)))
            .unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let setting = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &setting)?;
        self.armed = Some(at);
        Ok(())
    }

    /// Waits until it rings. Each time set rings once.
    ///
    /// Cancel-safe: the ring is taken in the same step that returns.
    ///
    /// # Errors
    /// When the runtime is shutting down.
    pub async fn rung(&mut self) -> io::Result<()> {
        let mut count = [0; 8];
        loop {
            self.timer.readable().await?;
            match self.timer.try_read(&mut count) {
                Ok(_) => self.armed = None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            match self.due {
                Some(due) if due <= now() => {
                    self.due = None;
                    return Ok(());
                }
                Some(due) => self.arm(due)?,
                None => {}
            }
        }
    }
}
