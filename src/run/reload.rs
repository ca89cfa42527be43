//! SIGHUP: the settings are read again, and what changed is applied as far as that is possible without a restart.
//!
//! What is wrong changes nothing at all. What others know a virtual router by (addresses, VRID, version, interval), its
//! place on this host, and whom the agent asks stays as it is until the next start, which is said.

use super::Runner;
use super::logging;
use super::observe;
use super::realtime;
use super::telling;
use crate::config::{Config, Faults, Loaded, Router};
use crate::net::alarm;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{error, info, warn};

/// What only a start can change.
const FIXED: [&str; 18] = [
    "OUTRIDER_VIP",
    "OUTRIDER_INTERFACE",
    "OUTRIDER_SOURCE",
    "OUTRIDER_PEERS",
    "OUTRIDER_METADATA_URL",
    "OUTRIDER_HOST_LABEL",
    "OUTRIDER_STATE_FILE",
    "OUTRIDER_ROUTER_ID",
    "OUTRIDER_VRID",
    "OUTRIDER_VRRP_VERSION",
    "OUTRIDER_ADVERT_INTERVAL",
    "OUTRIDER_TRANSPORT",
    "OUTRIDER_LEASE",
    "OUTRIDER_ADOPT",
    "OUTRIDER_STATUS_LISTEN",
    "OUTRIDER_SOCKET",
    "OUTRIDER_LOG_FORMAT",
    "OUTRIDER_CONFIG",
];

/// Reads the settings on a thread of its own: files may be slow.
pub fn read(answer: UnboundedSender<Result<Loaded, Faults>>) {
    let spawned = std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
        realtime::ordinary();
        let _ = answer.send(Config::load(std::env::vars_os()));
    });
    if let Err(error) = spawned {
        error!("the settings are not read again: {error}");
    }
}

impl Runner {
    /// Takes over what was read.
    pub(super) fn reload(&mut self, read: Result<Loaded, Faults>) {
        let mut new = match read {
            Ok(new) => new,
            Err(Faults(faults)) => {
                for fault in faults {
                    error!("{fault}");
                }
                return error!("the settings are wrong, so nothing was changed");
            }
        };
        let (now, then) = (new.config.routers.len(), self.loaded.config.routers.len());
        if now != then {
            return error!(
                "there are {now} virtual routers now, not {then}: restart to use them; nothing was changed"
            );
        }
        for warning in &new.warnings {
            warn!("{warning}");
        }
        let changed = self.loaded.changes(&new);
        let (fixed, applied): (Vec<&str>, Vec<&str>) = changed.iter().partition(|name| FIXED.contains(name));
        if !fixed.is_empty() {
            warn!("restart to use the new {}", fixed.join(", "));
        }
        new.keep(&self.loaded, &FIXED);
        for (new, old) in new.config.routers.iter_mut().zip(&self.loaded.config.routers) {
            *new = keep(old, std::mem::replace(new, old.clone()));
        }
        telling::apply(&mut self.tools.notifier, &new.config.notify, &self.tools.desk);
        logging::set_levels(&new.config.log);
        self.tools.desk.tell_settings(new.config.status.token.clone(), observe::settings(&new));
        let known = self.known.as_ref().map(|known| &known.snapshot);
        for pending in &mut self.pending {
            if let Some(config) = new.config.routers.get(pending.number) {
                pending.config = Arc::new(config.clone());
            }
        }
        for router in &mut self.routers {
            if let Some(config) = new.config.routers.get(router.number) {
                router.apply(config.clone(), known, &mut self.tools);
                router.deadline = alarm::now();
            }
        }
        self.loaded = new;
        match applied.as_slice() {
            [] => info!("the settings were read again: nothing changed that can be applied"),
            applied => info!("the settings were read again: {} changed", applied.join(", ")),
        }
    }
}

/// The new settings of a virtual router, but for what only a start can change.
fn keep(old: &Router, new: Router) -> Router {
    Router {
        name: old.name.clone(),
        vips: old.vips.clone(),
        interface: old.interface.clone(),
        source: old.source,
        peers: old.peers.clone(),
        vrid: old.vrid,
        version: old.version,
        interval: old.interval,
        transport: old.transport,
        lease: old.lease,
        adopt: old.adopt,
        ..new
    }
}
