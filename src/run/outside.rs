//! The thread of everything slow that the core depends on: the metadata and the checks.
//!
//! A large answer of the metadata takes milliseconds to read, a TLS handshake likewise; adverts must not wait
//! for either.

use super::checks::Checks;
use super::realtime;
use crate::child;
use crate::config::{CheckSetting, Config, Peers};
use crate::core::Time;
use crate::health::Report;
use crate::metadata::{self, Local, Update, WatcherSettings};
use crate::net::{Family, alarm, gateway, interface, neighbour};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{Notify, oneshot, watch};

/// Pause between two looks at the default gateway.
const PAUSE: Duration = Duration::from_secs(5);

/// What the thread tells, and what it can be told.
pub struct Outside {
    /// The metadata. Silent with a list of peers.
    pub updates: mpsc::Receiver<Update>,
    /// Asks for the metadata to be read again.
    pub nudge: Arc<Notify>,
    /// Results of the checks, each with the number of its group.
    pub reports: UnboundedReceiver<(usize, Report)>,
    /// What to check, and how often.
    pub checks: Checks,
    /// The default gateway behind an interface that was named by [`Outside::set_place`], when it changes.
    pub gateways: mpsc::Receiver<(Link, Option<IpAddr>)>,
    surroundings: watch::Sender<Surroundings>,
}

/// An interface, and which of its gateways is meant.
pub type Link = (String, Family);

/// What the thread looks after once it is known: of each virtual router, by its number.
#[derive(Clone, Default)]
struct Surroundings {
    links: BTreeMap<usize, Link>,
    peers: BTreeMap<usize, Vec<IpAddr>>,
}

impl Outside {
    /// Names the interface of a virtual router, whose default gateway is wanted.
    pub fn set_place(&self, router: usize, interface: &str, family: Family) {
        let link = (interface.to_owned(), family);
        self.surroundings.send_modify(|surroundings| drop(surroundings.links.insert(router, link)));
    }

    /// Looks around at once. With a host's last address the kernel forgets its neighbours, too.
    pub fn look_around(&self) {
        self.surroundings.send_modify(|_| {});
    }

    /// Names the peers of a virtual router, whose neighbour entries are kept fresh.
    pub fn set_peers(&self, router: usize, peers: Vec<IpAddr>) {
        self.surroundings.send_modify(|surroundings| drop(surroundings.peers.insert(router, peers)));
    }
}

/// Starts the thread, in the network namespace of the caller.
///
/// # Errors
/// When there is no thread or runtime to be had.
pub async fn start(config: &Config) -> Result<Outside> {
    let (updates_in, updates) = mpsc::channel(8);
    let (reports_in, reports) = mpsc::unbounded_channel();
    let (checks_in, checks) = oneshot::channel();
    let nudge = Arc::new(Notify::new());
    let settings = watcher_settings(config);
    let checked = config.clone();
    let nudged = nudge.clone();
    let (gateways_in, gateways) = mpsc::channel(1);
    let (surroundings, seen) = watch::channel(Surroundings::default());
    std::thread::Builder::new()
        .name("outside".to_owned())
        .spawn(move || {
            realtime::ordinary();
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!("cannot start the runtime of the checks: {error}"),
            };
            runtime.block_on(async {
                let _ = checks_in.send(Checks::start(&checked, &reports_in));
                tokio::spawn(look_around(seen, gateways_in));
                tokio::spawn(child::collect_strangers());
                if let Some(settings) = settings
                    && let Err(error) =
                        metadata::watch(settings, local, alarm::now, updates_in.clone(), nudged).await
                {
                    tracing::error!("the metadata cannot be watched: {error:#}");
                }
                // With a list of peers the channel stays open, and the checks go on.
                updates_in.closed().await;
            });
        })
        .context("cannot start the thread of the metadata and the checks")?;
    let checks = checks.await.context("the thread of the metadata and the checks died at start")?;
    Ok(Outside { updates, nudge, reports, checks, gateways, surroundings })
}

/// Looks up the default gateways and keeps the peers' neighbour entries fresh.
async fn look_around(
    mut seen: watch::Receiver<Surroundings>,
    gateways: mpsc::Sender<(Link, Option<IpAddr>)>,
) {
    let handle = match rtnetlink::new_connection() {
        Ok((connection, handle, _)) => {
            tokio::spawn(connection);
            handle
        }
        Err(error) => return tracing::warn!("the default gateway cannot be looked up: {error}"),
    };
    let mut last: BTreeMap<usize, Option<IpAddr>> = BTreeMap::new();
    while !gateways.is_closed() {
        let Surroundings { links, peers } = seen.borrow_and_update().clone();
        let mut found: BTreeMap<&Link, Option<IpAddr>> = BTreeMap::new();
        for (router, link) in &links {
            let gateway = match found.get(link) {
                Some(gateway) => *gateway,
                None => match gateway::find(&handle, &link.0, link.1).await {
                    Ok(gateway) => *found.entry(link).or_insert(gateway),
                    Err(_) => continue,
                },
            };
            // Each virtual router is to hear of it, also one that came later.
            if last.insert(*router, gateway) != Some(gateway) {
                let _ = gateways.send((link.clone(), gateway)).await;
            }
        }
        let stations: BTreeSet<(&str, IpAddr)> = (peers.iter())
            .filter_map(|(router, peers)| Some((links.get(router)?, peers)))
            .flat_map(|((interface, _), peers)| peers.iter().map(|peer| (interface.as_str(), *peer)))
            .filter(|(_, peer)| !peer.is_multicast())
            .collect();
        for (interface, peer) in stations {
            if let Err(error) = neighbour::refresh(&handle, interface, peer).await {
                tracing::debug!("neighbour entry of {peer}: {error:#}");
            }
        }
        // Whoever is gone is noticed by the closed channel.
        let _ = tokio::time::timeout(PAUSE, seen.changed()).await;
    }
}

fn watcher_settings(config: &Config) -> Option<WatcherSettings> {
    let published = |check: &CheckSetting| match check {
        CheckSetting::Published(balancer) => Some(balancer.clone()),
        CheckSetting::These(_) => None,
    };
    let balancers: BTreeSet<_> =
        config.routers.iter().filter_map(|router| published(&router.check)).collect();
    let asked = config.routers.iter().any(|router| router.peers == Peers::Rancher);
    asked.then(|| WatcherSettings {
        base_url: config.metadata_url.as_str().to_owned(),
        read_services: !balancers.is_empty(),
        settings: metadata::Settings { host_label: config.host_label.clone(), balancers },
        state_file: config.state_file.clone(),
        pace: metadata::Pace::default(),
    })
}

/// What this machine knows of itself.
pub fn local() -> Local {
    let addresses = interface::local_addresses().unwrap_or_default();
    Local { addresses, hostname: hostname() }
}

/// The host name, as the kernel has it.
pub fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Metadata of unknown age, as from the state file: older than anything.
pub const AGES_AGO: Time = Time::ZERO;
