//! The one place where core and adapters meet: wait, feed the core, carry out its commands.
//!
//! Three threads: this one, with the adverts and the virtual routers' cores; the addresses', since netlink can
//! block; and the metadata's and the checks'. (The log has a fourth.)

mod checks;
mod interpret;
mod lines;
pub mod logging;
mod measure;
mod observe;
pub mod outside;
mod pending;
pub mod place;
pub mod privileges;
pub mod realtime;
mod reload;
pub mod report;
mod router;
mod signing;
mod telling;

use crate::config::{Loaded, Notify};
use crate::core::Outcome;
use crate::core::{Force, Time};
use crate::health::Report;
use crate::metadata::{Snapshot, Update};
use crate::net::address::{self, Addresses};
use crate::net::alarm::{self, Alarm};
use crate::net::announce::Claim;
use crate::net::vrrp::Received;
use crate::notify::Notifier;
use crate::status::desk::{self, Desk};
use crate::status::document::moment;
use crate::status::histogram::Histogram;
use crate::status::socket::{Order, Request};
use crate::wire::advert::{Fault, decode};
use anyhow::{Context, Result, bail};
use interpret::membership;
use lines::{Lines, News};
use outside::Outside;
use pending::{Found, Pending};
use router::VirtualRouter;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::error;

/// Pause between two looks at what is missing for a start, and between two tries to open lost sockets or the local one.
const RETRY: Duration = Duration::from_millis(500);

/// Pause after the first look. Each that follows is twice as long, up to [`RETRY`]: the agent before this one may hold
/// its lock for the moment that the kernel needs to clear away a killed process.
const RETRY_FIRST: Duration = Duration::from_millis(20);

/// Datagrams that are heard in one go, or two of each virtual router (after a pause all may have spoken): a flood of
/// them must not keep the core from its timers.
const DRAINED: usize = 128;

/// How long those who are told of changes may keep the process from ending.
const FINISH: Duration = Duration::from_secs(2);

/// Bounds of what looks of the checks take, in seconds.
const CHECKS: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Checks that are remembered: ports come and go with the metadata.
const LOOKS_MAX: usize = 256;

/// Something in the settings contradicts what was found on this host.
#[derive(Debug)]
pub struct Misconfigured(pub String);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misconfigured {}

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// [`Misconfigured`], a missing capability, or the death of a thread.
pub fn run(loaded: Loaded) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let signals = Signals::new()?;
        let outside = outside::start(&loaded.config).await?;
        let desk = Desk::start(
            desk::Settings {
                status: loaded.config.status.clone(),
                socket: loaded.config.socket.clone(),
                shown: observe::settings(&loaded),
            },
            realtime::background,
        )
        .await?;
        Runner::new(loaded, outside, desk)?.run(signals).await
    });
    runtime.shutdown_background();
    result
}

/// What a signal asks for.
enum Wanted {
    End,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let signal = |kind| signal(kind).context("cannot listen to signals");
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Wanted {
        tokio::select! {
            _ = self.terminate.recv() => Wanted::End,
            _ = self.interrupt.recv() => Wanted::End,
            _ = self.hangup.recv() => Wanted::Reload,
        }
    }
}

/// What the virtual routers share.
struct Tools {
    /// How this host is called.
    name: String,
    lines: Lines,
    addresses: Addresses,
    outside: Outside,
    desk: Desk,
    notifier: Notifier,
}

/// The last look of a check.
struct Look {
    text: String,
    at: Time,
    took: Duration,
}

/// The last good answer of the metadata service.
struct Known {
    snapshot: Snapshot,
    read_at: Time,
    version: String,
}

/// The running agent.
struct Runner {
    /// The settings in force.
    loaded: Loaded,
    tools: Tools,
    kernel: UnboundedReceiver<(usize, address::Event)>,
    vrids: Vec<u8>,
    pending: Vec<Pending>,
    routers: Vec<VirtualRouter>,
    known: Option<Known>,
    unreachable: bool,
    retry_at: Instant,
    retry_after: Duration,
    stopping: bool,
    /// A person wants this host out of service.
    drained: Option<Force>,
    /// People who wait for a drain to end.
    draining: Vec<oneshot::Sender<Result<String, String>>>,
    /// Seconds since 1970.
    started: f64,
    /// The last look of each check, by its name.
    looks: BTreeMap<String, Look>,
    check_seconds: Histogram,
}

impl Runner {
    fn new(loaded: Loaded, outside: Outside, desk: Desk) -> Result<Runner> {
        let config = &loaded.config;
        let routers = || config.routers.iter().cloned().map(Arc::new).enumerate();
        let (events, kernel) = unbounded_channel();
        let tools = Tools {
            name: config.router_id.clone().unwrap_or_else(outside::hostname),
            lines: Lines::default(),
            addresses: Addresses::start(events)?,
            outside,
            notifier: telling::start(&config.notify, &desk),
            desk,
        };
        Ok(Runner {
            tools,
            kernel,
            vrids: config.routers.iter().map(|router| router.vrid).collect(),
            pending: routers().map(|(n, router)| Pending::new(n, router)).collect(),
            routers: Vec::new(),
            known: None,
            unreachable: false,
            retry_at: Instant::now(),
            retry_after: RETRY_FIRST,
            stopping: false,
            drained: None,
            draining: Vec::new(),
            started: moment(SystemTime::now()),
            looks: BTreeMap::new(),
            check_seconds: Histogram::new(&CHECKS),
            loaded,
        })
    }

    async fn run(mut self, mut signals: Signals) -> Result<()> {
        let mut alarm = Alarm::new().context("cannot make a timer")?;
        let (reading, mut read) = unbounded_channel();
        self.start_pending()?;
        loop {
            self.turn();
            if self.stopping && self.routers.iter().all(|router| router.exited) {
                self.finish().await;
                return Ok(());
            }
            let next = self.routers.iter().map(|router| router.deadline).min();
            alarm.set(next).context("cannot set the timer")?;
            // Each branch only waits, or takes one item: dropping it loses nothing.
            tokio::select! {
                (line, news) = self.tools.lines.news() => self.take_news(line, news),
                rung = alarm.rung() => rung.context("cannot wait for the timer")?,
                event = self.kernel.recv() => match event {
                    Some((router, event)) => self.with(router, |router, tools| router.take_kernel(event, tools)),
                    None => bail!("the thread of the addresses died"),
                },
                report = self.tools.outside.reports.recv() => match report {
                    Some((group, report)) => self.take_look(group, &report),
                    None => bail!("the thread of the checks died"),
                },
                wanted = signals.next() => match wanted {
                    Wanted::End => {
                        self.stopping = true;
                        self.pending.clear();
                        self.with_all(|router, _| router.agent.handle_shutdown(alarm::now()));
                    }
                    Wanted::Reload => reload::read(reading.clone()),
                },
                Some(settings) = read.recv() => self.reload(settings),
                update = self.tools.outside.updates.recv() => match update {
                    Some(update) => {
                        self.update(update);
                        self.start_pending()?;
                    }
                    None => bail!("the metadata is not watched any more"),
                },
                Some((interface, gateway)) = self.tools.outside.gateways.recv() => {
                    self.with_all(|router, _| {
                        let same = (router.place.interface.as_str(), router.config.family());
                        if same == (interface.0.as_str(), interface.1) {
                            router.agent.handle_gateway(alarm::now(), gateway);
                        }
                    });
                }
                Some(request) = self.tools.desk.orders.recv() => self.obey(request),
                Some(answer) = self.tools.desk.asked.recv() => drop(answer.send(self.observe())),
                line = self.tools.lines.reopening() => {
                    self.tools.lines.reopen(line);
                    self.tell_links(line);
                }
                () = tokio::time::sleep_until(self.retry_at), if !self.pending.is_empty() => self.start_pending()?,
            }
            self.drain();
        }
    }

    /// Lets those be told who want to be, for a moment.
    async fn finish(&mut self) {
        let nobody = telling::start(&Notify::default(), &self.tools.desk);
        let last = self.routers.iter().map(|router| router.last_change(&self.tools.name)).collect();
        let finishing = std::mem::replace(&mut self.tools.notifier, nobody).finish(FINISH, last);
        tokio::pin!(finishing);
        loop {
            tokio::select! {
                () = &mut finishing => return,
                // A mail tells how things stand.
                Some(answer) = self.tools.desk.asked.recv() => drop(answer.send(self.observe())),
            }
        }
    }

    /// What a check saw.
    fn take_look(&mut self, group: usize, report: &Report) {
        let name = report.target.to_string();
        for router in self.tools.outside.checks.routers(group, &report.target) {
            self.with(router, |router, _| {
                router.agent.handle_health(alarm::now(), &name, &report.outcome);
            });
        }
        self.check_seconds.observe(report.took);
        let text = match &report.outcome {
            Outcome::Pass => "pass".to_owned(),
            Outcome::Dead(why) | Outcome::Fail(why) => why.clone(),
        };
        if self.looks.len() < LOOKS_MAX || self.looks.contains_key(&name) {
            self.looks.insert(name, Look { text, at: report.at, took: report.took });
        }
    }

    /// Lets the virtual routers act on time and carries out what they want: those that something has happened to,
    /// and those that are due. It is one moment for all of them: what comes while one acts, as when the process is
    /// stopped there, is heard before anybody takes a later one for silence.
    fn turn(&mut self) {
        let now = alarm::now();
        for router in self.routers.iter_mut().filter(|router| router.deadline <= now) {
            router.act(now, &mut self.tools);
        }
        self.answer_drain();
    }

    /// Does something to one virtual router, and has it act on it in this turn.
    fn with(&mut self, number: usize, deed: impl FnOnce(&mut VirtualRouter, &mut Tools)) {
        if let Some(router) = self.routers.iter_mut().find(|router| router.number == number) {
            deed(router, &mut self.tools);
            router.deadline = Time::ZERO;
        }
    }

    fn with_all(&mut self, mut deed: impl FnMut(&mut VirtualRouter, &mut Tools)) {
        for router in &mut self.routers {
            deed(router, &mut self.tools);
            router.deadline = Time::ZERO;
        }
    }

    /// Starts the virtual routers that have found their place.
    fn start_pending(&mut self) -> Result<()> {
        self.retry_at = Instant::now() + self.retry_after;
        self.retry_after = RETRY.min(self.retry_after * 2);
        let known = self.known.as_ref().map(|known| &known.snapshot);
        let mut waiting = Vec::new();
        for mut pending in std::mem::take(&mut self.pending) {
            match pending.look(known)? {
                Found::NotYet => waiting.push(pending),
                // What runs already goes on running.
                Found::Wrong(why) if self.routers.is_empty() => return Err(Misconfigured(why).into()),
                Found::Wrong(why) => error!("{why}; restart the agent once that is mended"),
                Found::Place(place, lock) => {
                    let earlier = self.vrids.get(..pending.number).unwrap_or_default().to_vec();
                    let Pending { number, config, .. } = pending;
                    let source = place.source;
                    let mut router =
                        VirtualRouter::start(number, config, earlier, place, lock, &mut self.tools)?;
                    if let Some(Known { snapshot, read_at, .. }) = &self.known {
                        router.take_snapshot(snapshot, *read_at, &mut self.tools);
                    } else if let Ok(members) = membership(&router.config, source, None) {
                        router.agent.handle_members(alarm::now(), &members, None);
                        router.set_targets(None, &mut self.tools);
                    }
                    if self.unreachable {
                        router.agent.handle_unreachable(alarm::now());
                    }
                    if let Some(force) = self.drained {
                        router.agent.handle_drain(alarm::now(), Some(force));
                    }
                    self.routers.push(router);
                }
            }
        }
        self.pending = waiting;
        Ok(())
    }

    /// Adverts that are already here may have ended a silence: they are heard before time is looked at.
    fn drain(&mut self) {
        for _ in 0..DRAINED.max(2 * self.routers.len()) {
            let Some((line, news)) = self.tools.lines.try_receive() else { return };
            self.take_news(line, news);
        }
    }

    fn take_news(&mut self, line: usize, news: News) {
        match news {
            News::Advert(received) => self.hear(line, &received),
            News::Claim(claim) => self.see(line, &claim),
            News::Lost(error) => {
                self.tools.lines.lose(line, &error);
                self.tell_links(line);
            }
        }
    }

    fn hear(&mut self, line: usize, received: &Received) {
        let decoded = decode(&received.payload, received.source, received.destination);
        let vrid = match &decoded {
            Ok(decoded) => Some(decoded.advert.vrid),
            Err(malformed) => {
                tracing::debug!("datagram of {}: {malformed}", received.source);
                malformed.vrid
            }
        };
        let carp = decoded.as_ref().is_err_and(|malformed| malformed.fault == Fault::Carp);
        for router in self.routers.iter_mut().filter(|router| router.line == line) {
            if vrid.is_some_and(|vrid| router.is_addressed(received, vrid)) {
                router.hear(received, &decoded);
                router.deadline = Time::ZERO;
            } else if carp {
                router.agent.handle_carp(received.source);
                router.deadline = Time::ZERO;
                return;
            }
        }
    }

    fn see(&mut self, line: usize, claim: &Claim) {
        let routers = self.routers.iter_mut().filter(|router| router.line == line);
        for router in routers.filter(|router| router.agent.watches(claim.address)) {
            router.agent.handle_arp(alarm::now(), claim.address, claim.mac);
            router.deadline = Time::ZERO;
        }
    }

    fn tell_links(&mut self, line: usize) {
        for router in self.routers.iter_mut().filter(|router| router.line == line) {
            router.tell_link(&mut self.tools);
            router.deadline = Time::ZERO;
        }
    }

    fn obey(&mut self, request: Request) {
        let now = alarm::now();
        match request.order {
            Order::Drain { force } => {
                let force = if force { Force::Yes } else { Force::No };
                self.draining.push(request.answer);
                self.drained = Some(force);
                self.with_all(|router, _| {
                    router.drained = None;
                    router.agent.handle_drain(now, Some(force));
                });
            }
            Order::Undrain => {
                self.drained = None;
                self.with_all(|router, _| router.agent.handle_drain(now, None));
                let _ = request.answer.send(Ok("this host takes part again".to_owned()));
                for answer in self.draining.drain(..) {
                    let _ = answer.send(Err("undrained meanwhile".to_owned()));
                }
            }
        }
    }

    /// Tells those who drain this host how it went, once that is known of every virtual router.
    fn answer_drain(&mut self) {
        if self.draining.is_empty() || self.routers.iter().any(|router| router.drained.is_none()) {
            return;
        }
        let several = self.routers.len() > 1;
        let kept: Vec<String> = (self.routers.iter())
            .filter_map(|router| {
                let why = router.drained.as_ref()?.as_ref().err()?;
                Some(if several { format!("{}: {why}", router.config.name) } else { why.clone() })
            })
            .collect();
        let done = match kept.is_empty() {
            true => Ok("this host is drained: it does not hold the address".to_owned()),
            false => Err(kept.join("; ")),
        };
        for answer in self.draining.drain(..) {
            let _ = answer.send(done.clone());
        }
    }

    fn update(&mut self, update: Update) {
        let now = alarm::now();
        match update {
            Update::Snapshot { snapshot, read_at, version } => {
                let read_at = read_at.unwrap_or(outside::AGES_AGO);
                self.unreachable = false;
                self.with_all(|router, tools| router.take_snapshot(&snapshot, read_at, tools));
                self.known = Some(Known { snapshot: *snapshot, read_at, version });
            }
            Update::Confirmed { read_at, version } => {
                self.unreachable = false;
                if let Some(known) = &mut self.known {
                    known.read_at = read_at;
                    known.version = version;
                }
                self.with_all(|router, _| router.agent.handle_confirmed(now, read_at));
            }
            Update::Unreachable { .. } => {
                self.unreachable = true;
                self.with_all(|router, _| router.agent.handle_unreachable(now));
            }
        }
    }
}
