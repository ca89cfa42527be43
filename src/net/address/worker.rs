//! The thread: waits, takes in what the kernel tells, does what it is asked to do, answers.

use super::kernel::{Change, Kernel};
use super::view::{View, interface_name, other_agent};
use super::{Event, Request, Settings};
use crate::core::Time;
use crate::net::alarm::now;
use crate::net::link::{self, Entry, Link, Monitor};
use crate::net::lock::Lock;
use ipnet::Ipv4Net;
use nix::errno::Errno;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tracing::{info, warn};

/// Pause before anything that did not work at once is tried again.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    view: View,
    events: UnboundedSender<Event>,
    kernel: Kernel,
    /// None: it broke, and is opened again.
    monitor: Option<Monitor>,
    /// The last read failed and must be done again.
    unread: bool,
    /// That reading fails has been said.
    warned: bool,
}

impl Worker {
    pub(super) fn new(settings: Settings, events: UnboundedSender<Event>) -> anyhow::Result<Worker> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Worker {
            view: View::new(settings, &release),
            events,
            kernel: Kernel::open()?,
            monitor: Some(Monitor::open()?),
            unread: true,
            warned: false,
        })
    }

    /// Works until the last sender of requests is gone.
    pub(super) async fn run(mut self, mut requests: UnboundedReceiver<Request>) {
        self.read_everything().await;
        let mut retry = tokio::time::interval(RETRY);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let unsettled = self.unread || self.view.locks.len() < self.view.settings.vips.len();
            tokio::select! {
                // A flood of changes elsewhere on the host must not hold up a request.
                biased;
                request = requests.recv() => match request {
                    None => return,
                    Some(request) => {
                        let answer = self.handle(request).await;
                        self.tell([answer]);
                    }
                },
                change = next_change(&mut self.monitor) => self.follow(change).await,
                _ = retry.tick(), if unsettled => self.settle().await,
            }
        }
    }

    fn tell(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            // Nobody listens any more: the process is about to end, and requests end with it.
            let _ = self.events.send(event);
        }
    }

    /// Takes in a change that the kernel told unasked.
    async fn follow(&mut self, change: Option<link::Change>) {
        let own = match &change {
            None => {
                warn!("the netlink socket that tells of changes broke; opening another");
                self.monitor = None;
                self.unread = true;
                return;
            }
            Some(link::Change::Lost) => return self.read_everything().await,
            Some(link::Change::Address { by, .. } | link::Change::AddressGone { by, .. }) => {
                self.kernel.is_own(*by)
            }
            Some(_) => false,
        };
        let gone = change.map(|change| self.view.follow(change, own));
        self.tell(gone.into_iter().flatten());
        self.tell_news();
    }

    /// Reads anew what the changes could not tell: at start, after a loss, after a contradiction.
    async fn read_everything(&mut self) {
        match self.read().await {
            Ok((link, entries)) => {
                self.unread = false;
                self.warned = false;
                let gone = self.view.see(link, entries);
                self.tell(gone);
                self.settle_owners().await;
            }
            Err(error) => {
                self.unread = true;
                if !std::mem::replace(&mut self.warned, true) {
                    warn!("{error:#}; trying again");
                }
            }
        }
    }

    async fn read(&mut self) -> anyhow::Result<(Link, Vec<Entry>)> {
        let monitor = match &mut self.monitor {
            Some(monitor) => monitor,
            None => self.monitor.insert(Monitor::open()?),
        };
        Ok((monitor.link(&self.view.settings.interface).await?, monitor.addresses().await?))
    }

    /// Tries again what did not work before.
    async fn settle(&mut self) {
        if self.unread {
            self.read_everything().await;
        } else {
            self.settle_owners().await;
        }
    }

    /// Takes the locks that are free, and removes what an earlier run left behind.
    async fn settle_owners(&mut self) {
        self.take_locks();
        if !self.view.held {
            let left = self.view.ours();
            for entry in &left {
                let (name, Entry { address, prefix, .. }) = (interface_name(entry.index), entry);
                info!("removing {address}/{prefix} from {name}: an earlier run left it behind");
            }
            if let Err(error) = self.delete(&left).await {
                warn!("cannot remove what an earlier run left behind: {error}");
            }
        }
        self.tell_news();
    }

    fn take_locks(&mut self) {
        for (vip, _) in &self.view.settings.vips {
            if !self.view.locks.contains_key(vip) {
                match Lock::address(*vip) {
                    Ok(Some(lock)) => {
                        self.view.locks.insert(*vip, lock);
                    }
                    Ok(None) => {}
                    Err(error) => warn!("cannot take the lock of {vip}: {error}"),
                }
            }
        }
    }

    fn tell_news(&mut self) {
        let news = self.view.news();
        self.tell(news);
    }

    async fn handle(&mut self, request: Request) -> Event {
        let done = match request {
            Request::Add { not_after } => match self.add(not_after).await {
                // Somebody was quicker than the news of it: look again, once.
                Err(Refusal::Exists) => self.add(not_after).await,
                done => done,
            },
            Request::Renew { not_after } => self.renew(not_after).await,
            Request::Remove => self.remove().await,
        };
        // What it changed, or what it found out on the way, may be news beyond the answer.
        self.tell_news();
        match done {
            Ok(event) => event,
            Err(Refusal::TooLate) => Event::TooLate(request),
            Err(Refusal::Late) => Event::Late(request),
            Err(Refusal::Exists) => Event::Failed {
                request,
                error: "the address comes and goes by somebody else's doing".to_owned(),
            },
            Err(Refusal::Failed(error)) => Event::Failed { request, error },
        }
    }

    async fn add(&mut self, not_after: Time) -> Result<Event, Refusal> {
        self.take_locks();
        if let Some((vip, _)) =
            self.view.settings.vips.iter().find(|(vip, _)| !self.view.locks.contains_key(vip))
        {
            return Err(Refusal::Failed(other_agent(*vip)));
        }
        let index = self.index()?;
        if !self.view.settings.adopt
            && let Some(entry) = self.view.foreign().next()
        {
            return Err(Refusal::Failed(self.view.blocked_by(entry)));
        }
        // Leftovers on other interfaces, and what is to be adopted: removed once ours are there, so that none is
        // missed meanwhile.
        let elsewhere = self.view.elsewhere();
        self.check_dependants(&elsewhere).await?;

        let places = self.view.places(index);
        let (renewed, new): (Vec<Entry>, Vec<Entry>) =
            places.iter().partition(|place| self.view.is_known(place));
        let put = |replace| Change::Put { replace, lease: self.view.settings.lease };
        let changes: Vec<_> = renewed
            .iter()
            .map(|entry| change(entry, put(true)))
            .chain(new.iter().map(|entry| change(entry, put(false))))
            .collect();
        let (sent_at, answers, acked_at) = self.apply_before(not_after, &changes).await?;

        let failure = answers.iter().find_map(|answer| answer.err());
        if let Some(errno) = failure {
            let added =
                new.iter().zip(answers.iter().skip(renewed.len())).filter(|(_, answer)| answer.is_ok());
            let added: Vec<Entry> = added.map(|(entry, _)| *entry).collect();
            if let Err(error) = self.delete(&added).await {
                warn!("cannot undo what was added: {error}");
            }
            if errno == Errno::EEXIST {
                self.read_everything().await;
                return Err(Refusal::Exists);
            }
            return Err(self.explain(errno));
        }
        for place in places {
            self.view.learn(place);
        }
        self.view.held = true;
        if acked_at > not_after {
            return Err(self.undo().await);
        }
        if let Err(error) = self.delete(&elsewhere).await {
            warn!("the addresses are added, but a second entry of one cannot be removed: {error}");
        }
        Ok(Event::Added { sent_at, acked_at })
    }

    async fn renew(&mut self, not_after: Time) -> Result<Event, Refusal> {
        if !self.view.held {
            return Err(Refusal::Failed("there is nothing to renew: the addresses are not held".to_owned()));
        }
        let index = self.index()?;
        if let Some(entry) = self.view.foreign().find(|entry| self.view.is_our_place(entry)) {
            return Err(Refusal::Failed(self.view.blocked_by(entry)));
        }
        let places = self.view.places(index);
        let put = Change::Put { replace: true, lease: self.view.settings.lease };
        let changes: Vec<_> = places.iter().map(|entry| change(entry, put)).collect();
        let (sent_at, answers, acked_at) = self.apply_before(not_after, &changes).await?;
        for (place, answer) in places.into_iter().zip(&answers) {
            if answer.is_ok() {
                self.view.learn(place);
            }
        }
        if acked_at > not_after {
            return Err(self.undo().await);
        }
        match answers.into_iter().find_map(Result::err) {
            None => Ok(Event::Renewed { sent_at, acked_at }),
            Some(errno) => Err(self.explain(errno)),
        }
    }

    async fn remove(&mut self) -> Result<Event, Refusal> {
        let ours = self.view.ours();
        self.view.held = false;
        self.delete(&ours).await.map_err(Refusal::Failed)?;
        Ok(Event::Removed)
    }

    /// Takes back what was put there too late.
    async fn undo(&mut self) -> Refusal {
        match self.remove().await {
            Ok(_) => Refusal::Late,
            Err(Refusal::Failed(error)) => Refusal::Failed(format!("acknowledged too late, and {error}")),
            Err(other) => other,
        }
    }

    fn index(&self) -> Result<u32, Refusal> {
        self.view.link.index.ok_or_else(|| {
            Refusal::Failed(format!("there is no interface {} now", self.view.settings.interface))
        })
    }

    async fn apply_before(
        &mut self,
        not_after: Time,
        changes: &[(u32, Ipv4Addr, u8, Change)],
    ) -> Result<(Time, Vec<Result<(), Errno>>, Time), Refusal> {
        let sent_at = now();
        if sent_at >= not_after {
            return Err(Refusal::TooLate);
        }
        let answers = self.apply(changes).await.map_err(Refusal::Failed)?;
        Ok((sent_at, answers, now()))
    }

    async fn apply(
        &mut self,
        changes: &[(u32, Ipv4Addr, u8, Change)],
    ) -> Result<Vec<Result<(), Errno>>, String> {
        let answers = self.kernel.apply(changes).await;
        // Without an answer nobody knows what was done.
        self.unread |= answers.is_err();
        answers.map_err(|error| format!("{error:#}"))
    }

    /// Deletes entries. One that is gone already, or whose interface is, is no error.
    async fn delete(&mut self, entries: &[Entry]) -> Result<(), String> {
        let changes: Vec<_> = entries.iter().map(|entry| change(entry, Change::Delete)).collect();
        let answers = self.apply(&changes).await?;
        let mut result = Ok(());
        for (entry, answer) in entries.iter().zip(answers) {
            match answer {
                Ok(()) | Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => {
                    self.view.forget(entry);
                }
                Err(errno) => result = Err(describe(errno, &self.view.settings.interface)),
            }
        }
        result
    }

    /// Refuses to delete an entry whose deletion would take other addresses along.
    async fn check_dependants(&mut self, entries: &[Entry]) -> Result<(), Refusal> {
        if entries.is_empty() {
            return Ok(());
        }
        let (_, all) = self.read().await.map_err(|error| Refusal::Failed(format!("{error:#}")))?;
        let subnet = |entry: &Entry| Ipv4Net::new(entry.address, entry.prefix).map(|net| net.trunc()).ok();
        for entry in entries.iter().filter(|entry| !entry.secondary) {
            let dependant = all.iter().find(|other| {
                other.secondary && other.index == entry.index && subnet(other) == subnet(entry)
            });
            if let Some(dependant) = dependant {
                let Entry { address, prefix, .. } = entry;
                return Err(Refusal::Failed(format!(
                    "{address}/{prefix} on {} cannot be taken over: the kernel would delete {} along with it",
                    interface_name(entry.index),
                    dependant.address
                )));
            }
        }
        Ok(())
    }

    fn explain(&self, errno: Errno) -> Refusal {
        Refusal::Failed(describe(errno, &self.view.settings.interface))
    }
}

/// The next change, or never while the socket is broken. Cancel-safe.
async fn next_change(monitor: &mut Option<Monitor>) -> Option<link::Change> {
    match monitor {
        Some(monitor) => monitor.next().await,
        None => std::future::pending().await,
    }
}

/// Why a request was not carried out.
enum Refusal {
    TooLate,
    Late,
    /// An address was there against all that is known.
    Exists,
    Failed(String),
}

fn change(entry: &Entry, change: Change) -> (u32, Ipv4Addr, u8, Change) {
    (entry.index, entry.address, entry.prefix, change)
}

fn describe(errno: Errno, interface: &str) -> String {
    match errno {
        Errno::EPERM | Errno::EACCES => "changing addresses is not permitted: the container needs \
                                         cap_add: [NET_ADMIN] and network_mode: host"
            .to_owned(),
        Errno::ENODEV => format!("the interface {interface} is gone"),
        errno => format!("the kernel refuses: {}", errno.desc()),
    }
}
