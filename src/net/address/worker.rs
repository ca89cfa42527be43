//! The thread: what it knows of the addresses, what it does about them, what it tells.

use super::kernel::{Change, Kernel};
use super::{Event, MARK, Request, Settings};
use crate::core::Time;
use crate::net::alarm::now;
use crate::net::link::{self, Entry, Link, Monitor};
use crate::net::lock::Lock;
use ipnet::Ipv4Net;
use nix::errno::Errno;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tracing::{info, warn};

/// Pause before anything that did not work at once is tried again.
const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    settings: Settings,
    events: UnboundedSender<Event>,
    kernel: Kernel,
    /// None: it broke, and is opened again.
    monitor: Option<Monitor>,
    /// The locks of our addresses. One that is missing belongs to another agent for now.
    locks: HashMap<Ipv4Addr, Lock>,
    /// The last read failed and must be done again.
    unread: bool,
    /// The kernel has been seen to keep marks.
    marks_kept: bool,
    /// Added, and not removed since: the addresses ought to be there.
    held: bool,
    link: Link,
    /// What is known of the virtual router's addresses and the source address.
    known: Vec<Entry>,
    told_foreign: Vec<Entry>,
    told_source: Option<bool>,
    told_link: Option<Link>,
}

impl Worker {
    pub(super) fn new(settings: Settings, events: UnboundedSender<Event>) -> anyhow::Result<Worker> {
        Ok(Worker {
            settings,
            events,
            kernel: Kernel::open()?,
            monitor: Some(Monitor::open()?),
            locks: HashMap::new(),
            unread: true,
            marks_kept: false,
            held: false,
            link: Link::ABSENT,
            known: Vec::new(),
            told_foreign: Vec::new(),
            told_source: None,
            told_link: None,
        })
    }

    /// Works until the last sender of requests is gone.
    pub(super) async fn run(mut self, mut requests: UnboundedReceiver<Request>) {
        self.read_everything().await;
        let mut retry = tokio::time::interval(RETRY);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let unsettled = self.unread || self.locks.len() < self.settings.vips.len();
            tokio::select! {
                // A flood of changes elsewhere on the host must not hold up a request.
                biased;
                request = requests.recv() => match request {
                    None => return,
                    Some(request) => {
                        let answer = self.handle(request).await;
                        self.tell(answer);
                    }
                },
                change = next_change(&mut self.monitor) => self.follow(change).await,
                _ = retry.tick(), if unsettled => self.settle().await,
            }
        }
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more: the process is about to end, and requests end with it.
        let _ = self.events.send(event);
    }

    // ---- what is known ----

    fn is_vip(&self, address: Ipv4Addr) -> bool {
        self.settings.vips.iter().any(|(vip, _)| *vip == address)
    }

    /// Where our entry of an address would be.
    fn is_our_place(&self, entry: &Entry) -> bool {
        Some(entry.index) == self.link.index && self.settings.vips.contains(&(entry.address, entry.prefix))
    }

    fn is_ours(&self, entry: &Entry) -> bool {
        let by_its_looks = if self.marks_kept {
            entry.mark == Some(MARK)
        } else {
            self.is_our_place(entry)
                && match self.settings.lease {
                    Some(lease) => entry.valid.is_some_and(|valid| valid <= lease),
                    None => self.held,
                }
        };
        by_its_looks && self.locks.contains_key(&entry.address)
    }

    fn foreign(&self) -> impl Iterator<Item = &Entry> {
        self.known.iter().filter(|entry| self.is_vip(entry.address) && !self.is_ours(entry))
    }

    fn learn(&mut self, entry: Entry) {
        self.known.retain(|known| !known.same_place(&entry));
        self.known.push(entry);
    }

    /// Takes in a change that the kernel told unasked.
    async fn follow(&mut self, change: Option<link::Change>) {
        match change {
            None => {
                warn!("the netlink socket that tells of changes broke; opening another");
                self.monitor = None;
                self.unread = true;
            }
            Some(link::Change::Lost) => return self.read_everything().await,
            Some(link::Change::Address { entry, by }) => {
                self.marks_kept |= entry.mark.is_some();
                // Our own doings were taken in when they were acknowledged; what is told of them may be outdated.
                let news = !(self.kernel.is_own(by) && self.is_vip(entry.address));
                if news && (self.is_vip(entry.address) || self.settings.source == Some(entry.address)) {
                    self.learn(entry);
                }
            }
            Some(link::Change::AddressGone { entry, by }) => {
                if !(self.kernel.is_own(by) && self.is_vip(entry.address)) {
                    let known =
                        self.known.iter().filter(|known| !known.same_place(&entry)).copied().collect();
                    self.know(known);
                }
            }
            Some(link::Change::Link { name, link }) => {
                let same_index = link.index == self.link.index;
                match name {
                    Some(name) if name == self.settings.interface => self.link = link,
                    Some(_) if same_index => self.link = Link::ABSENT, // It was renamed.
                    None if same_index => self.link = link,
                    _ => {}
                }
            }
            Some(link::Change::LinkGone { index }) => {
                if self.link.index == Some(index) {
                    self.link = Link::ABSENT;
                }
            }
        }
        self.tell_changes();
    }

    /// Replaces what is known, and tells which of the addresses we hold are gone.
    fn know(&mut self, known: Vec<Entry>) {
        let before = std::mem::replace(&mut self.known, known);
        if !self.held {
            return;
        }
        for entry in before {
            let there = self.known.iter().any(|known| known.same_place(&entry));
            if !there && self.settings.vips.contains(&(entry.address, entry.prefix)) && self.is_ours(&entry) {
                self.tell(Event::Gone { address: entry.address });
            }
        }
    }

    /// Reads anew what the changes could not tell: at start, after a loss, after a contradiction.
    async fn read_everything(&mut self) {
        match self.read().await {
            Ok((link, entries)) => {
                self.unread = false;
                self.marks_kept |= entries.iter().any(|entry| entry.mark.is_some());
                let known = entries
                    .into_iter()
                    .filter(|entry| self.is_vip(entry.address) || self.settings.source == Some(entry.address))
                    .collect();
                self.know(known);
                self.link = link;
                self.settle_owners().await;
            }
            Err(error) => {
                warn!("{error:#}; trying again");
                self.unread = true;
            }
        }
    }

    async fn read(&mut self) -> anyhow::Result<(Link, Vec<Entry>)> {
        let monitor = match &mut self.monitor {
            Some(monitor) => monitor,
            None => self.monitor.insert(Monitor::open()?),
        };
        Ok((monitor.link(&self.settings.interface).await?, monitor.addresses().await?))
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
        if !self.held {
            let left: Vec<Entry> = self.known.iter().filter(|entry| self.is_ours(entry)).copied().collect();
            for entry in &left {
                let (name, Entry { address, prefix, .. }) = (interface_name(entry.index), entry);
                info!("removing {address}/{prefix} from {name}: an earlier run left it behind");
            }
            if let Err(error) = self.delete(&left).await {
                warn!("cannot remove what an earlier run left behind: {error}");
            }
        }
        self.tell_changes();
    }

    fn take_locks(&mut self) {
        for (vip, _) in &self.settings.vips {
            if !self.locks.contains_key(vip) {
                match Lock::address(*vip) {
                    Ok(Some(lock)) => {
                        self.locks.insert(*vip, lock);
                    }
                    Ok(None) => {}
                    Err(error) => warn!("cannot take the lock of {vip}: {error}"),
                }
            }
        }
    }

    fn tell_changes(&mut self) {
        let foreign: Vec<Entry> =
            if self.settings.adopt { Vec::new() } else { self.foreign().copied().collect() };
        let before = std::mem::replace(&mut self.told_foreign, foreign);
        for entry in &self.told_foreign {
            if !before.iter().any(|told| told.same_place(entry)) {
                self.tell(Event::Foreign {
                    address: entry.address,
                    interface: interface_name(entry.index),
                    clear_with: self.clear_with(entry),
                });
            }
        }
        for (vip, _) in &self.settings.vips {
            let has = |entries: &[Entry]| entries.iter().any(|entry| entry.address == *vip);
            if has(&before) && !has(&self.told_foreign) {
                self.tell(Event::ForeignGone { address: *vip });
            }
        }
        if let Some(source) = self.settings.source {
            let present = self.known.iter().any(|entry| entry.address == source);
            if self.told_source.replace(present) != Some(present) {
                self.tell(Event::Source { present });
            }
        }
        if self.told_link.replace(self.link) != Some(self.link) {
            self.tell(Event::Link(self.link));
        }
    }

    fn clear_with(&self, entry: &Entry) -> String {
        let Entry { address, prefix, index, .. } = entry;
        format!("ip addr del {address}/{prefix} dev {}", interface_name(*index))
    }

    fn blocked_by(&self, entry: &Entry) -> String {
        let (address, name) = (entry.address, interface_name(entry.index));
        if self.locks.contains_key(&address) {
            let clear_with = self.clear_with(entry);
            format!(
                "{address} is on {name} already, and not by this agent; remove it with `{clear_with}`, or set \
                 OUTRIDER_ADOPT=true to take it over"
            )
        } else {
            format!("another agent on this host serves {address} (it is on {name}); stop one of the two")
        }
    }

    // ---- what is done ----

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
        self.tell_changes();
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
        if let Some((vip, _)) = self.settings.vips.iter().find(|(vip, _)| !self.locks.contains_key(vip)) {
            return Err(Refusal::Failed(format!(
                "another agent on this host serves {vip}; stop one of the two"
            )));
        }
        let index = self.index()?;
        if !self.settings.adopt
            && let Some(entry) = self.foreign().next()
        {
            return Err(Refusal::Failed(self.blocked_by(entry)));
        }
        // Leftovers on other interfaces, and what is to be adopted: removed once ours are there, so that none is
        // missed meanwhile.
        let elsewhere: Vec<Entry> = self
            .known
            .iter()
            .filter(|entry| self.is_vip(entry.address) && !self.is_our_place(entry))
            .copied()
            .collect();
        self.check_dependants(&elsewhere).await?;

        let places = self.places(index);
        let is_known = |place: &Entry| self.known.iter().any(|known| known.same_place(place));
        let (renewed, new): (Vec<Entry>, Vec<Entry>) = places.iter().partition(|place| is_known(place));
        let put = |replace| Change::Put { replace, lease: self.settings.lease };
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
            self.learn(place);
        }
        self.held = true;
        if acked_at > not_after {
            return Err(self.undo().await);
        }
        if let Err(error) = self.delete(&elsewhere).await {
            warn!("the addresses are added, but a second entry of one cannot be removed: {error}");
        }
        Ok(Event::Added { sent_at, acked_at })
    }

    async fn renew(&mut self, not_after: Time) -> Result<Event, Refusal> {
        if !self.held {
            return Err(Refusal::Failed("there is nothing to renew: the addresses are not held".to_owned()));
        }
        let index = self.index()?;
        if let Some(entry) = self.foreign().find(|entry| self.is_our_place(entry)) {
            return Err(Refusal::Failed(self.blocked_by(entry)));
        }
        let places = self.places(index);
        let put = Change::Put { replace: true, lease: self.settings.lease };
        let changes: Vec<_> = places.iter().map(|entry| change(entry, put)).collect();
        let (sent_at, answers, acked_at) = self.apply_before(not_after, &changes).await?;
        for (place, answer) in places.into_iter().zip(&answers) {
            if answer.is_ok() {
                self.learn(place);
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
        let ours: Vec<Entry> = self.known.iter().filter(|entry| self.is_ours(entry)).copied().collect();
        self.held = false;
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
        self.link
            .index
            .ok_or_else(|| Refusal::Failed(format!("there is no interface {} now", self.settings.interface)))
    }

    /// Our addresses as they are once we have put them there.
    fn places(&self, index: u32) -> Vec<Entry> {
        let entry = |&(address, prefix)| Entry {
            index,
            address,
            prefix,
            mark: Some(MARK),
            valid: self.settings.lease,
            secondary: false,
        };
        self.settings.vips.iter().map(entry).collect()
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
        let answers =
            self.kernel.apply(changes).await.map_err(|error| Refusal::Failed(format!("{error:#}")))?;
        Ok((sent_at, answers, now()))
    }

    /// Deletes entries. One that is gone already, or whose interface is, is no error.
    async fn delete(&mut self, entries: &[Entry]) -> Result<(), String> {
        let changes: Vec<_> = entries.iter().map(|entry| change(entry, Change::Delete)).collect();
        let answers = self.kernel.apply(&changes).await.map_err(|error| format!("{error:#}"))?;
        let mut result = Ok(());
        for (entry, answer) in entries.iter().zip(answers) {
            match answer {
                Ok(()) | Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => {
                    self.known.retain(|known| !known.same_place(entry));
                }
                Err(errno) => result = Err(describe(errno, &self.settings.interface)),
            }
        }
        result
    }

    /// Refuses to delete an entry whose deletion would take other addresses along.
    async fn check_dependants(&self, entries: &[Entry]) -> Result<(), Refusal> {
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
        Refusal::Failed(describe(errno, &self.settings.interface))
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
        Errno::EPERM | Errno::EACCES => {
            "the kernel does not let this process change addresses; in a container \
                                         it needs cap_add: [NET_ADMIN] and the host's network"
                .to_owned()
        }
        Errno::ENODEV => format!("the interface {interface} is gone"),
        errno => format!("the kernel refuses: {}", errno.desc()),
    }
}

fn interface_name(index: u32) -> String {
    nix::net::if_::if_indextoname(index)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|_| format!("interface {index}"))
}
