//! What is done for one virtual router when it asks for it.

use super::kernel::{Change, Kernel};
use super::router::{Router, interface_name, other_agent};
use super::{Event, Request};
use crate::core::Time;
use crate::net::alarm::now;
use crate::net::link::Entry;
use crate::net::lock::Lock;
use ipnet::IpNet;
use nix::errno::Errno;
use tracing::{info, warn};

/// Why a request was not carried out.
pub(super) enum Refusal {
    /// Nothing was touched.
    TooLate,
    /// What was done was undone.
    Late,
    /// An address was there against all that is known.
    Exists,
    Failed(String),
}

impl Router {
    pub(super) async fn carry_out(
        &mut self,
        kernel: &mut Kernel,
        request: Request,
    ) -> Result<Event, Refusal> {
        self.unasked = false;
        match request {
            Request::Add { not_after } => self.add(kernel, not_after).await,
            Request::Renew { not_after } => self.renew(kernel, not_after).await,
            Request::Remove => self.remove(kernel).await,
        }
    }

    /// Takes the locks that are free, and removes what an earlier run left behind for good.
    pub(super) async fn settle(&mut self, kernel: &mut Kernel) {
        self.take_locks();
        let left = self.leftovers();
        for entry in &left {
            let (name, Entry { address, prefix, .. }) = (interface_name(entry.index), entry);
            info!("removing {address}/{prefix} from {name}: an earlier run left it behind");
        }
        if let Err(error) = self.delete(kernel, &left).await {
            warn!("cannot remove what an earlier run left behind: {error}");
        }
    }

    fn take_locks(&mut self) {
        for (vip, _) in &self.settings.vips {
            if !self.locks.contains_key(vip) {
                match Lock::address(*vip, &self.settings.interface) {
                    Ok(Some(lock)) => {
                        self.locks.insert(*vip, lock);
                    }
                    Ok(None) => {}
                    Err(error) => warn!("cannot take the lock of {vip}: {error}"),
                }
            }
        }
    }

    async fn add(&mut self, kernel: &mut Kernel, not_after: Time) -> Result<Event, Refusal> {
        self.take_locks();
        if let Some((vip, _)) = self.settings.vips.iter().find(|(vip, _)| !self.locks.contains_key(vip)) {
            return Err(Refusal::Failed(other_agent(*vip)));
        }
        let index = self.index()?;
        if !self.settings.adopt
            && let Some(entry) = self.foreign().next()
        {
            return Err(Refusal::Failed(self.blocked_by(entry)));
        }
        // Leftovers on other interfaces, and what is to be adopted: removed once ours are there, so that none is
        // missed meanwhile. Only where the kernel has no room for both (IPv6), they go before.
        let places = self.places(index);
        let (before, after): (Vec<Entry>, Vec<Entry>) = self
            .elsewhere()
            .into_iter()
            .partition(|there| places.iter().any(|place| place.same_place(there)));
        check_dependants(kernel, &after).await?;

        let (renewed, new): (Vec<Entry>, Vec<Entry>) = places.iter().partition(|place| self.is_there(place));
        let put = |replace| Change::Put { replace, lease: self.settings.lease };
        let changes: Vec<_> = before
            .iter()
            .map(|entry| (*entry, Change::Delete))
            .chain(renewed.iter().map(|entry| (*entry, put(true))))
            .chain(new.iter().map(|entry| (*entry, put(false))))
            .collect();
        let (sent_at, answers, acked_at) = apply_before(kernel, not_after, &changes).await?;

        let answers = answers.get(before.len()..).unwrap_or_default();
        if let Some(errno) = answers.iter().find_map(|answer| answer.err()) {
            let added =
                new.iter().zip(answers.iter().skip(renewed.len())).filter(|(_, answer)| answer.is_ok());
            let added: Vec<Entry> = added.map(|(entry, _)| *entry).collect();
            if let Err(error) = self.delete(kernel, &added).await {
                warn!("cannot undo what was added: {error}");
            }
            for entry in &before {
                self.forget(entry);
            }
            return Err(match errno {
                Errno::EEXIST => Refusal::Exists,
                errno => self.explain(errno),
            });
        }
        for place in places {
            self.learn(place);
        }
        self.held = true;
        if acked_at > not_after {
            return Err(self.undo(kernel).await);
        }
        self.awaited = new.into_iter().filter(|entry| entry.address.is_ipv6()).collect();
        if let Err(error) = self.delete(kernel, &after).await {
            warn!("the addresses are added, but a second entry of one cannot be removed: {error}");
        }
        Ok(Event::Added { sent_at, acked_at })
    }

    async fn renew(&mut self, kernel: &mut Kernel, not_after: Time) -> Result<Event, Refusal> {
        if !self.held {
            return Err(Refusal::Failed("there is nothing to renew: the addresses are not held".to_owned()));
        }
        let places = self.places(self.index()?);
        let in_the_way = |entry: &&Entry| places.iter().any(|place| place.same_place(entry));
        if let Some(entry) = self.foreign().find(in_the_way) {
            return Err(Refusal::Failed(self.blocked_by(entry)));
        }
        let put = Change::Put { replace: true, lease: self.settings.lease };
        let changes: Vec<_> = places.iter().map(|entry| (*entry, put)).collect();
        let (sent_at, answers, acked_at) = apply_before(kernel, not_after, &changes).await?;
        for (place, answer) in places.into_iter().zip(&answers) {
            if answer.is_ok() {
                self.learn(place);
            }
        }
        if acked_at > not_after {
            return Err(self.undo(kernel).await);
        }
        match answers.into_iter().find_map(Result::err) {
            None => Ok(Event::Renewed { sent_at, acked_at }),
            Some(errno) => Err(self.explain(errno)),
        }
    }

    async fn remove(&mut self, kernel: &mut Kernel) -> Result<Event, Refusal> {
        let ours = self.ours();
        self.held = false;
        self.delete(kernel, &ours).await.map_err(Refusal::Failed)?;
        Ok(Event::Removed)
    }

    /// Takes back what was put there too late.
    async fn undo(&mut self, kernel: &mut Kernel) -> Refusal {
        match self.remove(kernel).await {
            Ok(_) => Refusal::Late,
            Err(Refusal::Failed(error)) => Refusal::Failed(format!("acknowledged too late, and {error}")),
            Err(other) => other,
        }
    }

    fn index(&self) -> Result<u32, Refusal> {
        let missing = || Refusal::Failed(format!("there is no interface {} now", self.settings.interface));
        self.link.index.ok_or_else(missing)
    }

    /// Deletes entries. One that is gone already, or whose interface is, is no error.
    async fn delete(&mut self, kernel: &mut Kernel, entries: &[Entry]) -> Result<(), String> {
        let changes: Vec<_> = entries.iter().map(|entry| (*entry, Change::Delete)).collect();
        let answers = kernel.apply(&changes).await?;
        let mut result = Ok(());
        for (entry, answer) in entries.iter().zip(answers) {
            match answer {
                Ok(()) | Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => self.forget(entry),
                Err(errno) => result = Err(describe(errno, &self.settings.interface)),
            }
        }
        result
    }

    fn explain(&self, errno: Errno) -> Refusal {
        Refusal::Failed(describe(errno, &self.settings.interface))
    }
}

/// Makes changes unless it is too late for them. Between the two times the kernel made them.
async fn apply_before(
    kernel: &mut Kernel,
    not_after: Time,
    changes: &[(Entry, Change)],
) -> Result<(Time, Vec<Result<(), Errno>>, Time), Refusal> {
    let sent_at = now();
    if sent_at >= not_after {
        return Err(Refusal::TooLate);
    }
    let answers = kernel.apply(changes).await.map_err(Refusal::Failed)?;
    Ok((sent_at, answers, now()))
}

/// Refuses to delete an entry whose deletion would take other addresses along, as IPv4's may.
async fn check_dependants(kernel: &mut Kernel, entries: &[Entry]) -> Result<(), Refusal> {
    if entries.iter().all(|entry| entry.address.is_ipv6()) {
        return Ok(());
    }
    let all = kernel.addresses().await.map_err(|error| Refusal::Failed(format!("{error:#}")))?;
    let subnet = |entry: &Entry| IpNet::new(entry.address, entry.prefix).map(|net| net.trunc()).ok();
    for entry in entries.iter().filter(|entry| !entry.secondary) {
        let dependant = all
            .iter()
            .find(|other| other.secondary && other.index == entry.index && subnet(other) == subnet(entry));
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

fn describe(errno: Errno, interface: &str) -> String {
    match errno {
        Errno::EPERM => "changing addresses is not permitted: the container needs cap_add: [NET_ADMIN] and \
                         network_mode: host"
            .to_owned(),
        // Of the two families only IPv6 says so.
        Errno::EACCES => {
            format!("IPv6 is off on {interface}: see sysctl net.ipv6.conf.{interface}.disable_ipv6")
        }
        Errno::EOPNOTSUPP => "this kernel has no IPv6".to_owned(),
        Errno::ENODEV => format!("the interface {interface} is gone"),
        errno => format!("the kernel refuses: {}", errno.desc()),
    }
}
