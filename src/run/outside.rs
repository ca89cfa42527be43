//! The thread of everything slow that the core depends on: the metadata and the checks.
//!
//! A large answer of the metadata takes milliseconds to read, a TLS handshake likewise; adverts must not wait
//! for either.

use super::realtime;
use crate::config::{CheckSetting, Config, Peers, Router};
use crate::core::Time;
use crate::health::{self, Checker, Report};
use crate::metadata::{self, Local, Update, WatcherSettings};
use crate::net::{alarm, gateway, interface, neighbour};
use crate::status::socket::{self, Request};
use anyhow::{Context, Result};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{Notify, oneshot, watch};

/// Pause between two looks at the default gateway, and between two tries to open the local socket.
const PAUSE: Duration = Duration::from_secs(5);

/// What the thread tells, and what it can be told.
pub struct Outside {
    /// The metadata. Silent with a list of peers.
    pub updates: mpsc::Receiver<Update>,
    /// Asks for the metadata to be read again.
    pub nudge: Arc<Notify>,
    /// Results of the checks.
    pub reports: UnboundedReceiver<Report>,
    /// What to check, and how often.
    pub checker: Checker,
    /// The default gateway behind the interface that was named by [`Outside::set_interface`], when it changes.
    pub gateways: mpsc::Receiver<Option<Ipv4Addr>>,
    surroundings: watch::Sender<Surroundings>,
    /// Orders of people on this host.
    pub orders: mpsc::Receiver<Request>,
}

/// What the thread looks after once it is known.
#[derive(Clone, Default)]
struct Surroundings {
    interface: Option<String>,
    peers: Vec<IpAddr>,
}

impl Outside {
    /// Names the interface whose default gateway is wanted.
    pub fn set_interface(&self, interface: &str) {
        self.surroundings.send_modify(|surroundings| surroundings.interface = Some(interface.to_owned()));
    }

    /// Looks around at once. With a host's last address the kernel forgets its neighbours, too.
    pub fn look_around(&self) {
        self.surroundings.send_modify(|_| {});
    }

    /// Names the peers whose neighbour entries are kept fresh.
    pub fn set_peers(&self, peers: Vec<IpAddr>) {
        self.surroundings.send_modify(|surroundings| surroundings.peers = peers);
    }
}

/// Starts the thread, in the network namespace of the caller.
///
/// # Errors
/// When there is no thread or runtime to be had.
pub async fn start(config: &Config, router: &Router) -> Result<Outside> {
    let (updates_in, updates) = mpsc::channel(8);
    let (reports_in, reports) = mpsc::unbounded_channel();
    let (checker_in, checker) = oneshot::channel();
    let nudge = Arc::new(Notify::new());
    let settings = watcher_settings(config, router);
    let checks = router.checks.clone();
    let nudged = nudge.clone();
    let (gateways_in, gateways) = mpsc::channel(1);
    let (surroundings, seen) = watch::channel(Surroundings::default());
    let (orders_in, orders) = mpsc::channel(4);
    let socket = config.socket.clone();
    std::thread::Builder::new()
        .name("outside".to_owned())
        .spawn(move || {
            realtime::ordinary();
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!("cannot start the runtime of the checks: {error}"),
            };
            runtime.block_on(async {
                let _ = checker_in.send(health::start(checks, reports_in, alarm::now));
                tokio::spawn(look_around(seen, gateways_in));
                tokio::spawn(listen(socket, orders_in));
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
    let checker = checker.await.context("the thread of the metadata and the checks died at start")?;
    Ok(Outside { updates, nudge, reports, checker, gateways, surroundings, orders })
}

/// Opens the local socket as soon as it is free, and serves it. Another agent may have it until it ends.
async fn listen(name: String, orders: mpsc::Sender<Request>) {
    let mut said = false;
    while !orders.is_closed() {
        match socket::listen(&name) {
            Ok(listener) => return socket::serve(listener, orders).await,
            Err(error) if !said => tracing::info!("no drain and undrain for now: {error:#}"),
            Err(_) => {}
        }
        said = true;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks up the default gateway and keeps the peers' neighbour entries fresh.
async fn look_around(mut seen: watch::Receiver<Surroundings>, gateways: mpsc::Sender<Option<Ipv4Addr>>) {
    let handle = match rtnetlink::new_connection() {
        Ok((connection, handle, _)) => {
            tokio::spawn(connection);
            handle
        }
        Err(error) => return tracing::warn!("the default gateway cannot be looked up: {error}"),
    };
    let mut last = None;
    while !gateways.is_closed() {
        let Surroundings { interface, peers } = seen.borrow_and_update().clone();
        if let Some(interface) = interface {
            if let Ok(found) = gateway::find(&handle, &interface).await
                && last != Some(found)
            {
                last = Some(found);
                let _ = gateways.send(found).await;
            }
            for peer in peers {
                if let Err(error) = neighbour::refresh(&handle, &interface, peer).await {
                    tracing::debug!("neighbour entry of {peer}: {error:#}");
                }
            }
        }
        // Whoever is gone is noticed by the closed channel.
        let _ = tokio::time::timeout(PAUSE, seen.changed()).await;
    }
}

fn watcher_settings(config: &Config, router: &Router) -> Option<WatcherSettings> {
    let (read_services, balancer) = match &router.check {
        CheckSetting::Published(balancer) => (true, balancer.clone()),
        CheckSetting::These(_) => (false, None),
    };
    (router.peers == Peers::Rancher).then(|| WatcherSettings {
        base_url: config.metadata_url.as_str().to_owned(),
        settings: metadata::Settings { host_label: config.host_label.clone(), balancer },
        read_services,
        state_file: config.state_file.clone(),
        pace: metadata::Pace::default(),
    })
}

/// What this machine knows of itself.
pub fn local() -> Local {
    let addresses = interface::local_addresses().unwrap_or_default();
    Local { addresses: addresses.into_iter().map(IpAddr::V4).collect(), hostname: hostname() }
}

/// The host name, as the kernel has it.
pub fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Metadata of unknown age, as from the state file: older than anything.
pub const AGES_AGO: Time = Time::ZERO;
