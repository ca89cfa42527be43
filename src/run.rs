//! The one place where core and adapters meet: wait, feed the core, carry out its commands.
//!
//! Three threads: this one, with the adverts and the virtual routers' cores; the addresses', since netlink can
//! block; and the metadata's and the checks'. (The log has a fourth.)

mod checks;
mod interpret;
mod lines;
pub mod logging;
pub mod outside;
mod pending;
pub mod place;
pub mod privileges;
pub mod realtime;
pub mod report;
mod router;
mod signing;

use crate::config::{Config, Loaded};
use crate::core::{Force, Time};
use crate::metadata::{Snapshot, Update};
use crate::net::address::{self, Addresses};
use crate::net::alarm::{self, Alarm};
use crate::net::announce::Claim;
use crate::net::vrrp::Received;
use crate::status::socket::{Order, Request};
use crate::wire::advert::{Fault, decode};
use anyhow::{Context, Result, bail};
use interpret::membership;
use lines::{Lines, News};
use outside::Outside;
use pending::{Found, Pending};
use router::VirtualRouter;
use std::fmt;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::error;

/// Pause between two looks at what is missing for a start, and between two tries to open lost sockets or the local one.
const RETRY: Duration = Duration::from_millis(500);

/// Datagrams that are heard in one go, or two of each virtual router (after a pause all may have spoken): a flood of
/// them must not keep the core from its timers.
const DRAINED: usize = 128;

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
pub fn run(loaded: &Loaded) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let signals = Signals::new()?;
        let outside = outside::start(&loaded.config).await?;
        Runner::new(&loaded.config, outside)?.run(signals).await
    });
    runtime.shutdown_background();
    result
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals> {
        let signal = |kind| signal(kind).context("cannot listen to signals");
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
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
}

/// The last good answer of the metadata service.
struct Known {
    snapshot: Snapshot,
    read_at: Time,
}

/// The running agent.
struct Runner<'a> {
    tools: Tools,
    kernel: UnboundedReceiver<(usize, address::Event)>,
    vrids: Vec<u8>,
    pending: Vec<Pending<'a>>,
    routers: Vec<VirtualRouter<'a>>,
    known: Option<Known>,
    unreachable: bool,
    retry_at: Instant,
    stopping: bool,
    /// A person wants this host out of service.
    drained: Option<Force>,
    /// People who wait for a drain to end.
    draining: Vec<oneshot::Sender<Result<String, String>>>,
}

impl<'a> Runner<'a> {
    fn new(config: &'a Config, outside: Outside) -> Result<Runner<'a>> {
        let (events, kernel) = unbounded_channel();
        let tools = Tools {
            name: config.router_id.clone().unwrap_or_else(outside::hostname),
            lines: Lines::default(),
            addresses: Addresses::start(events)?,
            outside,
        };
        Ok(Runner {
            tools,
            kernel,
            vrids: config.routers.iter().map(|router| router.vrid).collect(),
            pending: config.routers.iter().enumerate().map(|(n, router)| Pending::new(n, router)).collect(),
            routers: Vec::new(),
            known: None,
            unreachable: false,
            retry_at: Instant::now(),
            stopping: false,
            drained: None,
            draining: Vec::new(),
        })
    }

    async fn run(mut self, mut signals: Signals) -> Result<()> {
        let mut alarm = Alarm::new().context("cannot make a timer")?;
        self.start_pending()?;
        loop {
            self.turn();
            if self.stopping && self.routers.iter().all(|router| router.exited) {
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
                    Some((group, report)) => {
                        let name = report.target.to_string();
                        for router in self.tools.outside.checks.routers(group, &report.target) {
                            self.with(router, |router, _| {
                                router.agent.handle_health(alarm::now(), &name, &report.outcome);
                            });
                        }
                    }
                    None => bail!("the thread of the checks died"),
                },
                () = signals.end() => {
                    self.stopping = true;
                    self.pending.clear();
                    self.with_all(|router, _| router.agent.handle_shutdown(alarm::now()));
                }
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
                Some(request) = self.tools.outside.orders.recv() => self.obey(request),
                line = self.tools.lines.reopening() => {
                    self.tools.lines.reopen(line);
                    self.tell_links(line);
                }
                () = tokio::time::sleep_until(self.retry_at), if !self.pending.is_empty() => self.start_pending()?,
            }
            self.drain();
        }
    }

    /// Lets the virtual routers act on time and carries out what they want: those that something has happened to,
    /// and those that are due.
    fn turn(&mut self) {
        let now = alarm::now();
        for router in self.routers.iter_mut().filter(|router| router.deadline <= now) {
            router.agent.handle_timeout(alarm::now());
            router.carry_out(&mut self.tools);
        }
        self.answer_drain();
    }

    /// Does something to one virtual router, and has it act on it in this turn.
    fn with(&mut self, number: usize, deed: impl FnOnce(&mut VirtualRouter<'a>, &mut Tools)) {
        if let Some(router) = self.routers.iter_mut().find(|router| router.number == number) {
            deed(router, &mut self.tools);
            router.deadline = Time::ZERO;
        }
    }

    fn with_all(&mut self, mut deed: impl FnMut(&mut VirtualRouter<'a>, &mut Tools)) {
        for router in &mut self.routers {
            deed(router, &mut self.tools);
            router.deadline = Time::ZERO;
        }
    }

    /// Starts the virtual routers that have found their place.
    fn start_pending(&mut self) -> Result<()> {
        self.retry_at = Instant::now() + RETRY;
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
                    if let Some(Known { snapshot, read_at }) = &self.known {
                        router.take_snapshot(snapshot, *read_at, &mut self.tools);
                    } else if let Ok(members) = membership(config, source, None) {
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
            Update::Snapshot { snapshot, read_at } => {
                let read_at = read_at.unwrap_or(outside::AGES_AGO);
                self.unreachable = false;
                self.with_all(|router, tools| router.take_snapshot(&snapshot, read_at, tools));
                self.known = Some(Known { snapshot: *snapshot, read_at });
            }
            Update::Confirmed { read_at } => {
                self.unreachable = false;
                if let Some(known) = &mut self.known {
                    known.read_at = read_at;
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
