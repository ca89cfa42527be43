//! The thread of everything slow that the core depends on: the metadata and the checks.
//!
//! A large answer of the metadata takes milliseconds to read, a TLS handshake likewise; adverts must not wait
//! for either.

use crate::config::{Config, Peers};
use crate::core::Time;
use crate::health::{self, Checker, Report};
use crate::metadata::{self, Local, Update, WatcherSettings};
use crate::net::{alarm, interface};
use anyhow::{Context, Result};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{Notify, oneshot};

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
}

/// Starts the thread, in the network namespace of the caller.
///
/// # Errors
/// When there is no thread or runtime to be had.
pub async fn start(config: &Config) -> Result<Outside> {
    let (updates_in, updates) = mpsc::channel(8);
    let (reports_in, reports) = mpsc::unbounded_channel();
    let (checker_in, checker) = oneshot::channel();
    let nudge = Arc::new(Notify::new());
    let settings = watcher_settings(config);
    let checks = config.checks.clone();
    let nudged = nudge.clone();
    std::thread::Builder::new()
        .name("outside".to_owned())
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!("cannot start the runtime of the checks: {error}"),
            };
            runtime.block_on(async {
                let _ = checker_in.send(health::start(checks, reports_in, alarm::now));
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
    Ok(Outside { updates, nudge, reports, checker })
}

fn watcher_settings(config: &Config) -> Option<WatcherSettings> {
    let (read_services, balancer) = match &config.check {
        crate::config::CheckSetting::Published(balancer) => (true, balancer.clone()),
        crate::config::CheckSetting::These(_) => (false, None),
    };
    (config.peers == Peers::Rancher).then(|| WatcherSettings {
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
