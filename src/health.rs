//! Is the co-located load balancer serving? Schedule, time-outs, the held connection.
//!
//! Each target is looked at once an interval; what a look shows goes out as a [`Report`], and the core counts
//! rise and fall. Between two looks an idle connection to the target's port is held open (`held`): a load
//! balancer that dies ends it, and that is the sign for a look at once, a few milliseconds after the death.
//!
//! ```text
//! set_targets ─► supervise ─┬─► watch_target (one each) ─────── look ──► Report
//!                           │      ▲ tick, pace, check_now, end    │ passed
//!                           └─► held::keep (one per host:port) ◄───┘
//! ```

mod held;
mod http;
mod tcp;

use crate::child::{Program, Rest, Running};
use crate::config::{CheckSettings, Target};
use crate::core::{Outcome, Time};
use crate::net::alarm::{self, Alarm};
use held::Held;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep};

/// Pause between two looks while the host is unfit.
const EAGER: Duration = Duration::from_millis(100);

/// Pause before a port that refused is asked again.
const AGAIN: Duration = Duration::from_millis(1);

/// Pause between two knocks at a port that refused, and for how long that goes on: where a load balancer is
/// restarted on every host at once, nobody has the address until one of them is back.
const KNOCK: Duration = Duration::from_millis(10);
const KNOCKING: Duration = Duration::from_secs(10);

/// A far end that closes within this time of the connect serves nobody: docker-proxy with nothing behind it
/// accepts every connection, and closes it when its own connect fails.
const AT_ONCE: Duration = Duration::from_millis(50);

/// What one look at one target showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was looked at. It may have left the set of targets while the report was on its way.
    pub target: Target,
    /// What was seen.
    pub outcome: Outcome,
    /// How long the look took.
    pub took: Duration,
    /// When the look ended.
    pub at: Time,
}

/// How often the targets are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Once each [`CheckSettings::interval`].
    Normal,
    /// Every 100 ms (or each interval, if that is shorter): while the host is unfit.
    Eager,
}

/// The running checks. May be used from any thread; dropping it ends them all.
#[derive(Debug)]
pub struct Checker {
    targets: watch::Sender<Vec<Target>>,
    pace: watch::Sender<Pace>,
    asked: watch::Sender<()>,
    running: Running,
}

impl Checker {
    /// Replaces the set of targets. Unchanged ones go on undisturbed, new ones are looked at at once, those that
    /// are gone end together with the connection held to them.
    pub fn set_targets(&self, targets: Vec<Target>) {
        self.targets.send_replace(targets);
    }

    /// Sets the pace, for the current pause too: a change to [`Pace::Eager`] brings a look at once, one to
    /// [`Pace::Normal`] the next look an interval later.
    pub fn set_pace(&self, pace: Pace) {
        self.pace.send_if_modified(|current| std::mem::replace(current, pace) != pace);
    }

    /// Looks at every target at once (where a look is on its way: right after it). The schedule stays as it is.
    pub fn check_now(&self) {
        self.asked.send_replace(());
    }
}

impl Drop for Checker {
    /// The tasks end when their thread finds the time, which it may not get any more: programs end here and now.
    fn drop(&mut self) {
        self.running.end();
    }
}

/// Starts the checks on the current tokio runtime, with no target yet.
///
/// `reports` receives what each look showed; `now` is the clock of [`Report::at`].
///
/// # Panics
/// Outside a tokio runtime with everything enabled.
pub fn start(settings: CheckSettings, reports: mpsc::UnboundedSender<Report>, now: fn() -> Time) -> Checker {
    // The crate is built without a default TLS provider; an Err says that another room was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (targets, wanted) = watch::channel(Vec::new());
    let (pace, pace_seen) = watch::channel(Pace::Normal);
    let (asked, asked_seen) = watch::channel(());
    let running = Running::new();
    let orders = Orders {
        settings: Arc::new(settings),
        reports,
        now,
        pace: pace_seen,
        asked: asked_seen,
        running: running.clone(),
    };
    tokio::spawn(supervise(wanted, orders));
    Checker { targets, pace, asked, running }
}

/// What every target's task works by.
#[derive(Clone)]
struct Orders {
    settings: Arc<CheckSettings>,
    reports: mpsc::UnboundedSender<Report>,
    now: fn() -> Time,
    pace: watch::Receiver<Pace>,
    asked: watch::Receiver<()>,
    running: Running,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs one task per wanted target, until the [`Checker`] is dropped.
async fn supervise(mut wanted: watch::Receiver<Vec<Target>>, orders: Orders) {
    let mut running: BTreeMap<Target, Task> = BTreeMap::new();
    // Several targets on one port share a connection, which ends with the last of them.
    let mut connections: BTreeMap<(String, u16), Weak<Held>> = BTreeMap::new();
    while wanted.changed().await.is_ok() {
        let targets = wanted.borrow_and_update().clone();
        running.retain(|target, _| targets.contains(target));
        for target in targets {
            running.entry(target).or_insert_with_key(|target| {
                let looker = Looker::new(target, &orders);
                let held = looker.endpoint().map(|endpoint| {
                    let shared = connections.get(&endpoint).and_then(Weak::upgrade).unwrap_or_else(|| {
                        Arc::new(Held::start(endpoint.0.clone(), endpoint.1, &orders.settings))
                    });
                    connections.insert(endpoint, Arc::downgrade(&shared));
                    shared
                });
                Task(tokio::spawn(watch_target(target.clone(), looker, held, orders.clone())))
            });
        }
        connections.retain(|_, held| held.strong_count() > 0);
    }
}

/// Looks at one target each interval, and at once when there is a reason to; never twice at the same time.
async fn watch_target(target: Target, mut looker: Looker, held: Option<Arc<Held>>, orders: Orders) {
    let Orders { settings, reports, now, mut pace, mut asked, running: _ } = orders;
    let mut ended = held.as_deref().map(Held::ended);
    let mut current = *pace.borrow_and_update();
    let mut knock_until = None;
    asked.mark_unchanged();
    let mut schedule = ticks(interval(period(current, settings.interval)));
    loop {
        let mut suspect = false;
        tokio::select! {
            _ = schedule.tick() => {}
            changed = pace.changed() => {
                let new = *pace.borrow_and_update();
                if changed.is_err() {
                    return;
                }
                if new == current {
                    continue; // there and back again during a look
                }
                current = new;
                let period = period(current, settings.interval);
                if current == Pace::Normal {
                    schedule = ticks(interval_at(Instant::now() + period, period));
                    continue;
                }
                schedule = ticks(interval(period));
                schedule.tick().await; // the first tick is due at once: the look below
            }
            changed = asked.changed() => if changed.is_err() { return },
            () = changed(&mut ended) => suspect = true,
            () = looker.opened(knock_until) => {}
        }

        let begun = Instant::now();
        let Look { outcome, connection, refused } = looker.look(&settings, suspect).await;
        knock_until = if refused { knock_until.or(Some(Instant::now() + KNOCKING)) } else { None };
        match &held {
            Some(held) if outcome == Outcome::Pass => held.passed(connection),
            Some(held) => held.failed(),
            None => {}
        }
        let report = Report { target: target.clone(), outcome, took: begun.elapsed(), at: now() };
        if reports.send(report).is_err() {
            return;
        }
    }
}

/// Ends when the held connection has ended; never, where none is held.
async fn changed(ended: &mut Option<watch::Receiver<()>>) {
    if let Some(ended) = ended
        && ended.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn period(pace: Pace, interval: Duration) -> Duration {
    let period = match pace {
        Pace::Normal => interval,
        Pace::Eager => interval.min(EAGER),
    };
    // tokio's interval panics at zero.
    period.max(Duration::from_millis(1))
}

/// A late tick moves no later one, and missed ones are not made up for.
fn ticks(mut interval: Interval) -> Interval {
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

/// What one look showed.
struct Look {
    outcome: Outcome,
    /// The look's own connection, to be held.
    connection: Option<TcpStream>,
    /// Nobody listens on the port.
    refused: bool,
}

/// What one attempt within a look showed.
enum Attempt {
    /// It serves. A TCP attempt hands its connection over, to be held.
    Served(Option<TcpStream>),
    /// Nobody listens on the port.
    Refused(String),
    /// Closed as soon as it was open: nobody is there.
    Gone(String),
    /// The connection broke before there was an answer: worth another attempt, but no proof.
    Broken(String),
    /// It did not answer as it should.
    Wrong(String),
}

/// How one kind of target is looked at.
enum Looker {
    Tcp { host: String, port: u16 },
    Http(Box<http::Request>),
    Exec(Program),
    Never(String),
}

impl Looker {
    fn new(target: &Target, orders: &Orders) -> Self {
        match target {
            Target::Tcp { host, port } => Looker::Tcp { host: tcp::bare(host), port: *port },
            Target::Http { url } => match http::Request::new(url, &orders.settings) {
                Ok(request) => Looker::Http(Box::new(request)),
                Err(why) => Looker::Never(why),
            },
            Target::Exec { argv } => Looker::Exec(Program::new(argv, Rest::Killed, &orders.running)),
        }
    }

    /// Host and port of the connection to hold.
    fn endpoint(&self) -> Option<(String, u16)> {
        match self {
            Looker::Tcp { host, port } => Some((host.clone(), *port)),
            Looker::Http(request) => Some(request.endpoint()),
            Looker::Exec(_) | Looker::Never(_) => None,
        }
    }

    /// One look. Refused twice, or closed at once twice (or one after the other), is certain death: a single
    /// refusal may be a restart, a single close the old process of a reload, which drops what it had not yet
    /// accepted. Behind docker-proxy the closed connection is the only sign that the load balancer is gone.
    ///
    /// A `suspect` port is not asked for more than a connection first: whether somebody listens is seen sooner
    /// without a request.
    async fn look(&mut self, settings: &CheckSettings, suspect: bool) -> Look {
        let deadline = Instant::now() + settings.timeout;
        let first = match suspect {
            true => self.refusal(deadline).await,
            false => None,
        };
        let attempt = match first {
            Some(first) => first,
            None => self.attempt(settings, deadline).await,
        };
        let attempt = match attempt {
            Attempt::Refused(_) => {
                pause(AGAIN).await;
                match self.refusal(deadline).await {
                    Some(refused) => refused,
                    None => self.attempt(settings, deadline).await,
                }
            }
            Attempt::Gone(_) | Attempt::Broken(_) => {
                pause(AGAIN).await;
                self.attempt(settings, deadline).await
            }
            first => first,
        };
        let refused = matches!(attempt, Attempt::Refused(_));
        let (outcome, connection) = match attempt {
            Attempt::Served(connection) => (Outcome::Pass, connection),
            Attempt::Refused(why) | Attempt::Gone(why) => (Outcome::Dead(format!("{why} (twice)")), None),
            Attempt::Broken(why) | Attempt::Wrong(why) => (Outcome::Fail(why), None),
        };
        Look { outcome, connection, refused }
    }

    /// Whether nobody listens on the port, if there is one.
    async fn refusal(&self, deadline: Instant) -> Option<Attempt> {
        let (host, port) = self.endpoint()?;
        tcp::is_refused(&host, port, deadline).await.then(|| tcp::refused(&host, port))
    }

    /// Ends when a port that refused takes connections again; never, where there is none or after `until`.
    /// Cancel-safe.
    async fn opened(&self, until: Option<Instant>) {
        if let (Some(until), Some((host, port))) = (until, self.endpoint()) {
            while Instant::now() < until {
                sleep(KNOCK).await;
                if !tcp::is_refused(&host, port, until).await {
                    return;
                }
            }
        }
        std::future::pending().await
    }

    async fn attempt(&mut self, settings: &CheckSettings, deadline: Instant) -> Attempt {
        match self {
            Looker::Tcp { host, port } => tcp::attempt(host, *port, settings.timeout, deadline).await,
            Looker::Http(request) => request.attempt(settings, deadline).await,
            // Asked no second time, so that the whole time is its own.
            Looker::Exec(program) => match program.run(&[], &[], settings.timeout).await {
                Ok(()) => Attempt::Served(None),
                Err(why) => Attempt::Wrong(why),
            },
            Looker::Never(why) => Attempt::Wrong(why.clone()),
        }
    }
}

/// A pause to a tenth of a millisecond: tokio's own timer would make up to twice [`AGAIN`] of it.
async fn pause(pause: Duration) {
    if let Ok(mut alarm) = Alarm::new()
        && alarm.set(Some(alarm::now() + pause)).is_ok()
        && alarm.rung().await.is_ok()
    {
        return;
    }
    sleep(pause).await;
}
