//! Who is told when the address moves: by mail, by an HTTP POST, by a program.
//!
//! Each way has a queue and a task of its own: a mail server that hangs holds up neither the webhook nor the command.
//!
//! ```text
//! tell ─► Queue ─► lane ─► smtp      one for each who gets mail: a burst in one mail
//!                          webhook   one POST for each change, in order
//!                          exec      one run for each change, in order; STOP at the end
//! ```
//!
//! What does not get through is tried again, less and less often, and given up in the end. That a way fails is said
//! once, and once that it works again.

mod exec;
mod lane;
mod queue;
mod smtp;
mod text;
mod webhook;

use crate::child::Running;
use crate::config::Notify;
use crate::core::event::State;
use futures_util::future::BoxFuture;
use queue::Queue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use text::one_line;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// A virtual router changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: SystemTime,
    /// Router id: how this host is called.
    pub host: String,
    /// Name of the virtual router, or its first address.
    pub router: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Its VRID.
    pub vrid: u8,
    /// Interface of the addresses.
    pub interface: String,
    /// State before.
    pub from: State,
    /// State after.
    pub to: State,
    /// This host's priority, 1-254.
    pub priority: u8,
    /// Cause, in words for people.
    pub why: String,
}

impl Change {
    /// Without what could end a line or a header, or could be no argument.
    fn cleaned(mut self) -> Self {
        let texts = [&mut self.host, &mut self.router, &mut self.interface, &mut self.why];
        for text in texts.into_iter().chain(&mut self.addresses) {
            *text = one_line(text);
        }
        self
    }
}

/// Asks for the state of the group in words, for the end of a mail.
pub type Describe = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// How long things may take. The default is for use; tests have less patience.
#[derive(Clone, Debug)]
pub struct Pace {
    /// A mail waits for further changes until there was none for this long, ...
    pub quiet: Duration,
    /// ... but no longer than this.
    pub gather: Duration,
    /// Pause before the second attempt; each further one is twice as long, ...
    pub retry: Duration,
    /// ... but no longer than this.
    pub retry_most: Duration,
    /// A change that could not be told for this long is dropped.
    pub give_up: Duration,
    /// Longest wait for the answer to a POST.
    pub webhook: Duration,
    /// Longest run of the command.
    pub command: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(2),
            gather: Duration::from_secs(10),
            retry: Duration::from_secs(1),
            retry_most: Duration::from_secs(60),
            give_up: Duration::from_secs(900),
            webhook: Duration::from_secs(10),
            command: Duration::from_secs(60),
        }
    }
}

/// Tells of changes, in the background. Dropping it ends everything at once, [`Notifier::finish`] in good order.
#[derive(Debug)]
pub struct Notifier {
    settings: Notify,
    lanes: Vec<Lane>,
    running: Running,
}

/// A setting that its lanes come and go with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mail,
    Webhook,
    Command,
}

/// One way of telling.
#[derive(Debug)]
struct Lane {
    kind: Kind,
    /// Whom a mail is for; otherwise nothing.
    receiver: String,
    name: String,
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Starts a task for each way, on the current tokio runtime. Without any way, nothing is told.
    ///
    /// # Panics
    /// Outside a tokio runtime with everything enabled.
    pub fn start(settings: &Notify, pace: &Pace, describe: &Describe) -> Notifier {
        // The crate is built without a default TLS provider; an Err says that another room was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut notifier =
            Notifier { settings: Notify::default(), lanes: Vec::new(), running: Running::new() };
        notifier.apply(settings, pace, describe);
        notifier
    }

    /// Tells by these settings from now on. A way that stays the same goes on undisturbed; what waits for one that
    /// only changed is told by its new settings.
    ///
    /// # Panics
    /// As [`Notifier::start`].
    pub fn apply(&mut self, settings: &Notify, pace: &Pace, describe: &Describe) {
        let old = std::mem::replace(&mut self.settings, settings.clone());
        if settings.mail != old.mail {
            let queues = self.end(Kind::Mail);
            for way in settings.mail.iter().flat_map(|mail| smtp::Recipient::all(mail, describe)) {
                self.add(Kind::Mail, way.to.to_string(), way, pace, &queues);
            }
        }
        if settings.webhook != old.webhook {
            let queues = self.end(Kind::Webhook);
            if let Some(webhook) = &settings.webhook {
                let way = webhook::Hook::new(webhook, pace.webhook);
                self.add(Kind::Webhook, String::new(), way, pace, &queues);
            }
        }
        if settings.command != old.command {
            let queues = self.end(Kind::Command);
            if let Some(argv) = &settings.command {
                let way = exec::Command::new(argv, pace.command, &self.running);
                self.add(Kind::Command, String::new(), way, pace, &queues);
            }
        }
    }

    /// Ends these lanes, and returns what waits there by its receiver.
    fn end(&mut self, kind: Kind) -> BTreeMap<String, Arc<Queue>> {
        let ended = self.lanes.extract_if(.., |lane| lane.kind == kind);
        ended
            .map(|lane| {
                lane.task.abort();
                (lane.receiver, lane.queue)
            })
            .collect()
    }

    fn add(
        &mut self,
        kind: Kind,
        receiver: String,
        way: impl lane::Way + Send + 'static,
        pace: &Pace,
        queues: &BTreeMap<String, Arc<Queue>>,
    ) {
        let name = way.name();
        let queue = queues.get(&receiver).cloned().unwrap_or_default();
        let task = tokio::spawn(lane::run(way, queue.clone(), pace.clone()));
        self.lanes.push(Lane { kind, receiver, name, queue, task });
    }

    /// Has a change told. Never waits: from any thread. Where too many wait already, the oldest is dropped.
    pub fn tell(&self, change: Change) {
        let change = Arc::new(change.cleaned());
        for lane in &self.lanes {
            lane.queue.push(change.clone());
        }
    }

    /// Tells what still waits, and the command that the agent stops (`last`: how each virtual router stands), within
    /// `limit`; then ends everything. The runtime of [`Notifier::start`] must go on meanwhile; this may be awaited on
    /// another one.
    pub async fn finish(mut self, limit: Duration, last: Vec<Change>) {
        let deadline = Instant::now() + limit;
        let last: Vec<Change> = last.into_iter().map(Change::cleaned).collect();
        for lane in &self.lanes {
            lane.queue.close(last.clone());
        }
        for lane in &mut self.lanes {
            if timeout_at(deadline, &mut lane.task).await.is_err() {
                let told = match lane.queue.len() {
                    1 => "1 change was told".to_owned(),
                    number => format!("{number} changes were told"),
                };
                tracing::warn!("{}: the end came before {told}", lane.name);
            }
        }
    }
}

impl Drop for Notifier {
    /// The tasks end when their thread finds the time, which it may not get any more: programs end here and now.
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.task.abort();
        }
        self.running.end();
    }
}
