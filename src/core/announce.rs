//! When to announce the address: the bursts after a claim, and the refresh.

use crate::core::Time;
use std::time::Duration;

/// How the address is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Announcements {
    /// Announcements in one burst.
    pub repeat: u32,
    /// When the second burst follows the first; zero: none.
    pub delay: Duration,
    /// Pause between periodic announcements while the address is held; zero: none.
    pub refresh: Duration,
    /// Pause between the announcements of a burst.
    pub interval: Duration,
}

/// Single announcements after a claim: a switch that was just learning ports drops what comes first.
const AFTERTHOUGHTS: [Duration; 2] = [Duration::from_millis(30), Duration::from_millis(100)];
/// While a silent former holder's kernel may still answer ARP for the address.
const INSIST: Duration = Duration::from_millis(250);

/// The moments at which the address is still to be announced.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    settings: Announcements,
    /// Descending, so that the next one is last.
    pending: Vec<Time>,
    refresh_at: Option<Time>,
}

impl Schedule {
    /// Nothing to announce yet.
    pub fn new(settings: Announcements) -> Schedule {
        Schedule { settings, pending: Vec::new(), refresh_at: None }
    }

    /// Other settings, from the next beginning and the next refresh on.
    pub fn set(&mut self, settings: Announcements) {
        self.settings = settings;
        if settings.refresh.is_zero() {
            self.refresh_at = None;
        }
    }

    /// Begins anew at `now`: two bursts and the afterthoughts. `rival_until`: somebody else may answer for the
    /// address until then.
    pub fn start(&mut self, now: Time, rival_until: Option<Time>) {
        let settings = self.settings;
        let burst = |at: Time| (0..settings.repeat).map(move |n| at + settings.interval * n);
        let second = (!settings.delay.is_zero()).then(|| burst(now + settings.delay)).into_iter().flatten();
        let insist =
            (1..).map(|n| now + INSIST * n).take_while(|at| rival_until.is_some_and(|end| *at < end));
        self.pending = burst(now).chain(AFTERTHOUGHTS.map(|pause| now + pause)).chain(second).collect();
        self.pending.extend(insist);
        self.pending.sort_unstable_by(|a, b| b.cmp(a));
        self.refresh_at = (!settings.refresh.is_zero()).then(|| now + settings.refresh);
    }

    /// How many announcements are due.
    pub fn take_due(&mut self, now: Time) -> usize {
        let mut due = 0;
        while self.pending.last().is_some_and(|at| *at <= now) {
            self.pending.pop();
            due += 1;
        }
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = Some(now + self.settings.refresh);
            due += 1;
        }
        due
    }

    /// When the next one is due.
    pub fn deadline(&self) -> Option<Time> {
        self.pending.last().copied().into_iter().chain(self.refresh_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn times(settings: Announcements, rival_until: Option<Time>, until: u32) -> Vec<u128> {
        let mut schedule = Schedule::new(settings);
        schedule.start(1000 * MS, rival_until);
        let mut times = Vec::new();
        while let Some(at) = schedule.deadline().filter(|at| *at <= until * MS) {
            times.extend(std::iter::repeat_n(at.as_millis(), schedule.take_due(at)));
        }
        times
    }

    #[test]
    fn two_bursts_afterthoughts_and_refresh() {
        let settings = Announcements { repeat: 2, delay: 1000 * MS, refresh: 60_000 * MS, interval: 10 * MS };
        let expected = [1000, 1010, 1030, 1100, 2000, 2010, 61_000, 121_000];
        assert_eq!(times(settings, None, 150_000), expected);
    }

    #[test]
    fn insists_while_the_former_holders_kernel_may_answer() {
        let settings =
            Announcements { repeat: 1, delay: Duration::ZERO, refresh: Duration::ZERO, interval: MS };
        let expected = [1000, 1030, 1100, 1250, 1500, 1750];
        assert_eq!(times(settings, Some(2000 * MS), 150_000), expected);
    }
}
