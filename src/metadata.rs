//! Rancher's metadata service: who belongs, and which ports the load balancer publishes.
//!
//! [`watch`] long-polls the version, reads `/self/host`, `/hosts` and `/services` when it changes, and tells
//! what it understood as [`Update`]s. An answer that is missing, broken or another host's changes nothing: the
//! last good [`Snapshot`] stays in force with whoever received it.

mod client;
pub mod model;
mod state;

use self::client::Client;
use self::model::answer::Reading;
pub use self::model::{Balancer, Local, Me, PublishedPort, Refusal, Settings, Snapshot, from_list};
use crate::core::Time;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

/// What is watched, and how.
#[derive(Clone, Debug)]
pub struct WatcherSettings {
    /// Base URL with the API version, without a slash at its end.
    pub base_url: String,
    /// What is wanted of the metadata.
    pub settings: Settings,
    /// Whether the published ports are wanted, too. Services are most of the data: not read without need.
    pub read_services: bool,
    /// File that keeps the last good reading for a start while the service is away.
    pub state_file: Option<PathBuf>,
    /// How often and how soon.
    pub pace: Pace,
}

/// How often the service is asked. Waits are jittered, so that not all hosts ask at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long the service may hold a long poll; whole seconds, 1-120.
    pub max_wait: Duration,
    /// Everything is read again at this age, changed or not.
    pub reread: Duration,
    /// Longest pause between a change and its reading: changes come in bursts.
    pub debounce: Duration,
    /// Pause after the first failure; it doubles with each further one.
    pub first_retry: Duration,
    /// Longest pause after a failure.
    pub last_retry: Duration,
    /// Shortest time between two readings asked for by the caller.
    pub nudge_gap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            max_wait: Duration::from_secs(20),
            reread: Duration::from_secs(60),
            debounce: Duration::from_millis(800),
            first_retry: Duration::from_millis(100),
            last_retry: Duration::from_secs(5),
            nudge_gap: Duration::from_millis(300),
        }
    }
}

/// What the watcher has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// This is in force from now on.
    Snapshot {
        /// What was understood.
        snapshot: Box<Snapshot>,
        /// When the request that brought it was sent; none: it comes from the state file, its age is unknown.
        read_at: Option<Time>,
        /// The service's version of its data; empty: not known.
        version: String,
    },
    /// The snapshot in force was still current when a request was sent at this time.
    Confirmed {
        /// When it was sent.
        read_at: Time,
        /// The service's version of its data.
        version: String,
    },
    /// There is no usable answer: none came, or it is broken, or about another host. The snapshot in force, if
    /// there is one, stays so.
    Unreachable {
        /// When that was established.
        at: Time,
        /// In words for people.
        why: String,
    },
}

/// Watches until `updates` is closed; never gives up on the service. An error means that the base URL is none.
///
/// `now` is `CLOCK_BOOTTIME`. `nudge` ([`Notify::notify_one`]) cuts every wait short and asks the service at
/// once, at most every [`Pace::nudge_gap`]: for when an unlisted peer was heard, or a claim waits for fresh data.
/// Each nudge is answered by at least one update whose time is not before it.
pub async fn watch(
    settings: WatcherSettings,
    local: impl Fn() -> Local + Send,
    now: fn() -> Time,
    updates: mpsc::Sender<Update>,
    nudge: Arc<Notify>,
) -> anyhow::Result<()> {
    let client = Client::new(&settings.base_url)?;
    let mut watcher = Watcher {
        client,
        settings,
        local,
        now,
        updates,
        nudge,
        version: String::new(),
        reading: None,
        read: Instant::now(),
        snapshot: None,
        live: false,
        remarks: Vec::new(),
        trouble: None,
        poll_failures: 0,
        nudged: None,
        file_remark: None,
        save_failed: false,
    };
    while !watcher.updates.is_closed() {
        let outcome = match watcher.read().await {
            Ok(()) => watcher.follow().await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = outcome {
            watcher.fail(fault).await;
        }
    }
    Ok(())
}

/// Why a look at the service brought nothing.
enum Fault {
    Unreachable(anyhow::Error),
    Refused(Refusal),
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Fault::Unreachable(error)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Fault::Refused(refusal)
    }
}

/// A time without a usable answer.
struct Trouble {
    since: Instant,
    tries: u32,
    /// Whether "does not answer" and "answers, but refused" have been said.
    said: [bool; 2],
}

struct Watcher<L> {
    client: Client,
    settings: WatcherSettings,
    local: L,
    now: fn() -> Time,
    updates: mpsc::Sender<Update>,
    nudge: Arc<Notify>,
    /// Version of `reading`.
    version: String,
    /// The last good one.
    reading: Option<Reading>,
    /// When it was last read whole.
    read: Instant,
    /// What was last told.
    snapshot: Option<Snapshot>,
    /// Whether it came from the service, not from the state file.
    live: bool,
    /// What was odd about the last reading.
    remarks: Vec<String>,
    trouble: Option<Trouble>,
    /// Long polls that failed in a row although everything else worked.
    poll_failures: u32,
    /// When a nudge was last obeyed.
    nudged: Option<Instant>,
    /// What was last said about the state file.
    file_remark: Option<String>,
    save_failed: bool,
}

impl<L: Fn() -> Local + Send> Watcher<L> {
    /// Reads everything.
    async fn read(&mut self) -> Result<(), Fault> {
        const TRIES: u32 = 3;
        for left in (0..TRIES).rev() {
            let read_at = (self.now)();
            let version = self.client.version().await?;
            let me = self.client.get("/self/host").await?;
            // Before the lists are asked for: this may stay so for long.
            model::recognise(&me, &(self.local)())?;
            let hosts = self.client.list("/hosts").await?;
            let services = match self.settings.read_services {
                true => Some(self.client.list("/services").await?),
                false => None,
            };
            // Three answers are one reading only if nothing changed between them. If it always does, each list
            // is consistent in itself, and the long poll from the older version leads to a further reading.
            if self.client.version().await? != version && left > 0 {
                debug!("the metadata changed while it was read: reading again");
                continue;
            }
            let mut reading = Reading { me, hosts, services };
            model::condense(&mut reading, &self.settings.settings);
            return self.accept(reading, version, read_at).await;
        }
        Ok(())
    }

    async fn accept(&mut self, reading: Reading, version: String, read_at: Time) -> Result<(), Fault> {
        let former = std::mem::replace(&mut self.version, version);
        if let Err(refusal) = self.understand(&reading, Some(read_at)).await {
            self.version = former;
            return Err(refusal.into());
        }
        self.read = Instant::now();
        if let Some(trouble) = self.trouble.take() {
            let Trouble { since, tries, .. } = trouble;
            info!(
                "the metadata service answers again after {:.1} s ({tries} tries)",
                since.elapsed().as_secs_f64()
            );
        }
        if self.reading.as_ref() != Some(&reading) {
            self.save(&reading).await;
            self.reading = Some(reading);
        }
        Ok(())
    }

    /// Tells what a reading means, if that is news. `read_at`: none for the state file.
    async fn understand(&mut self, reading: &Reading, read_at: Option<Time>) -> Result<(), Refusal> {
        let (snapshot, remarks) = model::interpret(reading, &self.settings.settings, &(self.local)())?;
        for remark in remarks.iter().filter(|remark| !self.remarks.contains(remark)) {
            warn!("metadata: {remark}");
        }
        self.remarks = remarks;
        let live = read_at.is_some();
        let known = self.snapshot.as_ref() == Some(&snapshot);
        if !known {
            info!("metadata: {snapshot}");
        }
        let version = self.version.clone();
        let update = match read_at {
            Some(read_at) if known && self.live => Update::Confirmed { read_at, version },
            _ => Update::Snapshot { snapshot: Box::new(snapshot.clone()), read_at, version },
        };
        self.live = live;
        self.snapshot = Some(snapshot);
        self.tell(update).await;
        Ok(())
    }

    /// Waits until everything should be read again.
    async fn follow(&mut self) -> Result<(), Fault> {
        let Pace { max_wait, reread, debounce, .. } = self.settings.pace;
        let nudge = self.nudge.clone();
        loop {
            let (read_at, asked) = ((self.now)(), Instant::now());
            let answer = tokio::select! {
                answer = self.client.version_after(&self.version, max_wait) => answer,
                () = nudge.notified() => {
                    self.obey().await;
                    let read_at = (self.now)();
                    if self.client.version().await? != self.version {
                        return Ok(());
                    }
                    self.confirm(read_at).await?;
                    continue;
                }
            };
            match answer {
                Ok(version) if version == self.version => {
                    self.poll_failures = 0;
                    self.confirm(read_at).await?;
                    if self.read.elapsed() >= reread {
                        return Ok(());
                    }
                    // Something that answers without waiting would have us spin.
                    if asked.elapsed() < max_wait / 2 {
                        self.pause(debounce).await;
                    }
                }
                Ok(_) => {
                    self.poll_failures = 0;
                    self.pause(debounce).await;
                    return Ok(());
                }
                Err(error) => {
                    // A service that restarts breaks it off. Whether it is away, the next reading shows.
                    debug!("long poll: {error:#}");
                    if self.poll_failures > 0 {
                        self.pause(self.back_off(self.poll_failures)).await;
                    }
                    self.poll_failures = self.poll_failures.saturating_add(1);
                    return Ok(());
                }
            }
        }
    }

    /// The version has not changed; what it means to us may have, if our addresses have.
    async fn confirm(&mut self, read_at: Time) -> Result<(), Refusal> {
        let Some(reading) = self.reading.take() else { return Ok(()) };
        let understood = self.understand(&reading, Some(read_at)).await;
        self.reading = Some(reading);
        understood
    }

    /// Tells that there is no usable answer, and waits before the next try.
    async fn fail(&mut self, fault: Fault) {
        let (why, kind) = match fault {
            Fault::Unreachable(error) => (format!("{error:#}"), 0),
            Fault::Refused(refusal) => (format!("{}: {refusal}", self.client.shown()), 1),
        };
        if self.snapshot.is_none() {
            self.remember().await;
        }
        let mut trouble =
            self.trouble.take().unwrap_or(Trouble { since: Instant::now(), tries: 0, said: [false; 2] });
        if let Some(said @ false) = trouble.said.get_mut(kind) {
            *said = true;
            match (self.snapshot.is_some(), kind) {
                (false, 0) => {
                    info!("waiting for the metadata service, nothing is claimed before it answers: {why}")
                }
                (false, _) => warn!("no usable metadata, nothing is claimed before there is: {why}"),
                (true, 0) => warn!("the metadata service does not answer, the last members stay: {why}"),
                (true, _) => warn!("the metadata is not usable, the last members stay: {why}"),
            }
        }
        self.tell(Update::Unreachable { at: (self.now)(), why }).await;
        let pause = self.back_off(trouble.tries);
        trouble.tries = trouble.tries.saturating_add(1);
        self.trouble = Some(trouble);
        self.pause(pause).await;
    }

    /// Falls back on the state file. Tried at each failure: at boot our own addresses may come late.
    async fn remember(&mut self) {
        let Some(path) = self.settings.state_file.clone() else { return };
        let remark = match state::load(path.clone()).await {
            Ok(None) => return,
            Ok(Some(reading)) => match self.understand(&reading, None).await {
                Ok(()) => return info!("these are the members kept in {}", path.display()),
                Err(refusal) => format!("of no use here: {refusal}"),
            },
            Err(error) => format!("{error:#}"),
        };
        if self.file_remark.as_ref() != Some(&remark) {
            warn!("state file {} is ignored: {remark}", path.display());
            self.file_remark = Some(remark);
        }
    }

    async fn save(&mut self, reading: &Reading) {
        let Some(path) = self.settings.state_file.clone() else { return };
        match state::save(path.clone(), reading).await {
            Ok(()) => self.save_failed = false,
            Err(error) if !self.save_failed => {
                warn!("cannot write the state file {} (OUTRIDER_STATE_FILE): {error:#}", path.display());
                self.save_failed = true;
            }
            Err(_) => {}
        }
    }

    async fn tell(&self, update: Update) {
        // Fails only if nobody listens any more; `watch` ends then.
        let _ = self.updates.send(update).await;
    }

    /// Waits, roughly that long, or until nudged.
    async fn pause(&mut self, longest: Duration) {
        let nudge = self.nudge.clone();
        tokio::select! {
            () = sleep(longest.mul_f64(0.4 + 0.6 * random())) => {}
            () = nudge.notified() => self.obey().await,
        }
    }

    /// Keeps nudges apart.
    async fn obey(&mut self) {
        if let Some(last) = self.nudged {
            sleep_until(last + self.settings.pace.nudge_gap).await;
        }
        self.nudged = Some(Instant::now());
    }

    /// Longest pause after so many failures in a row.
    fn back_off(&self, failures: u32) -> Duration {
        let Pace { first_retry, last_retry, .. } = self.settings.pace;
        first_retry.saturating_mul(1 << failures.min(16)).min(last_retry)
    }
}

/// From 0 to 1. Spreads requests of many hosts, no more.
fn random() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}
