//! One way of telling: take from the queue, try, try again, say how it goes.

use super::queue::Queue;
use super::{Change, Pace};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Pause between two attempts while the agent ends.
const HASTE: Duration = Duration::from_millis(200);

/// What a way of telling can do.
pub(super) trait Way {
    /// Whether a burst is told at once; otherwise one change at a time, at once.
    const GATHERS: bool;

    /// In words for the log; no secret.
    fn name(&self) -> String;

    /// Tells of these changes, the oldest first; at least one.
    fn deliver(&mut self, changes: &[Arc<Change>]) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The agent ends, and there is nothing more to tell; how each virtual router stands.
    fn end(&mut self, _last: Vec<Change>) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }
}

/// Why something could not be told.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another attempt may succeed.
    Later(String),
    /// No other attempt will.
    Never(String),
}

/// Serves a way until its queue is closed and empty.
pub(super) async fn run<W: Way>(mut way: W, queue: Arc<Queue>, pace: Pace) {
    let mut outage = Outage::new(way.name());
    while queue.filled().await {
        gather::<W>(&queue, &pace).await;
        while tell(&mut way, &queue, &mut outage, &pace).await {}
    }
    if let Err(Failure::Later(why) | Failure::Never(why)) = way.end(queue.last()).await {
        outage.lose(1, why);
    }
}

/// Waits for the end of a burst.
async fn gather<W: Way>(queue: &Queue, pace: &Pace) {
    let latest = Instant::now() + pace.gather;
    while W::GATHERS && !queue.closing() {
        let quiet = Instant::now() + pace.quiet;
        tokio::select! {
            () = sleep_until(quiet.min(latest)) => return,
            () = queue.news() => {}
        }
    }
}

/// Tells of the head of the queue, with as many attempts as it takes. False: the queue is empty, or what has come
/// since is another burst.
async fn tell<W: Way>(way: &mut W, queue: &Queue, outage: &mut Outage, pace: &Pace) -> bool {
    let mut pause = pace.retry;
    loop {
        outage.lose(queue.overrun(), "too many were waiting");
        let (changes, mark) = queue.head(if W::GATHERS { usize::MAX } else { 1 });
        if changes.is_empty() {
            return false;
        }
        match way.deliver(&changes).await {
            Ok(()) => outage.end(),
            Err(Failure::Never(why)) => outage.lose(changes.len(), why),
            Err(Failure::Later(why)) => {
                outage.begin(&why, pace.give_up);
                wait(queue, pause).await;
                pause = (pause * 2).min(pace.retry_most);
                outage.lose(queue.expire(pace.give_up), why);
                continue;
            }
        }
        queue.done(mark);
        return !W::GATHERS;
    }
}

/// A pause, which the end of the agent cuts short.
async fn wait(queue: &Queue, pause: Duration) {
    let until = Instant::now() + pause;
    while !queue.closing() {
        tokio::select! {
            () = sleep_until(until) => return,
            () = queue.news() => {}
        }
    }
    sleep(HASTE).await;
}

/// Says once that a way fails, and once that it works again.
struct Outage {
    name: String,
    since: Option<Instant>,
    lost: usize,
}

impl Outage {
    fn new(name: String) -> Self {
        Self { name, since: None, lost: 0 }
    }

    fn begin(&mut self, why: &str, give_up: Duration) {
        let name = &self.name;
        if self.since.is_none() {
            tracing::warn!("{name}: {why}; it is tried again for {give_up:?}");
            self.since = Some(Instant::now());
        } else {
            tracing::debug!("{name}: {why}");
        }
    }

    fn lose(&mut self, changes: usize, why: impl Display) {
        let name = &self.name;
        match (changes, self.lost) {
            (0, _) => return,
            (_, 0) => tracing::warn!("{name}: {} not told: {why}", count(changes)),
            _ => tracing::debug!("{name}: {} not told: {why}", count(changes)),
        }
        self.since.get_or_insert_with(Instant::now);
        self.lost += changes;
    }

    fn end(&mut self) {
        let Some(since) = self.since.take() else { return };
        let after = Duration::from_secs(since.elapsed().as_secs());
        match std::mem::take(&mut self.lost) {
            0 => tracing::info!("{}: works again after {after:?}", self.name),
            lost => tracing::info!("{}: works again after {after:?}; {} not told", self.name, count(lost)),
        }
    }
}

fn count(changes: usize) -> String {
    match changes {
        1 => "1 change was".to_owned(),
        changes => format!("{changes} changes were"),
    }
}
