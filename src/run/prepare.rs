//! The wait for a start: the metadata, an interface, an address, the lock.

use super::place::{self, NoPlace, Place};
use super::{Misconfigured, RETRY, Signals, outside};
use crate::config::{CheckSetting, Peers, Router, Target};
use crate::core::Time;
use crate::core::members::Membership;
use crate::metadata::{self, Snapshot, Update};
use crate::net::lock::Lock;
use anyhow::{Result, bail};
use outside::Outside;
use tracing::info;

/// What the wait for a start has brought.
pub(super) struct Start {
    pub(super) place: Place,
    pub(super) lock: Lock,
    pub(super) members: Membership,
    pub(super) read_at: Option<Time>,
    pub(super) unreachable: bool,
    pub(super) snapshot: Option<Snapshot>,
}

/// Waits, without a claim, for what may yet come: the metadata, an interface, an address, the lock. Says once
/// what it is waiting for. None: the process is to end.
pub(super) async fn prepare(
    router: &Router,
    outside: &mut Outside,
    signals: &mut Signals,
) -> Result<Option<Start>> {
    let mut waiting = String::new();
    let mut wait_for = move |why: &str| {
        if waiting != why {
            info!("waiting, without a claim: {why}");
            why.clone_into(&mut waiting);
        }
    };
    let mut latest: Option<(Snapshot, Option<Time>)> = None;
    let mut unreachable = false;
    loop {
        let known = latest.is_some() || router.peers != Peers::Rancher;
        if known {
            match place::find(router, latest.as_ref().map(|(snapshot, _)| &snapshot.me)) {
                Ok(place) => match Lock::acquire(&place.interface, "4", router.vrid)? {
                    Some(lock) => {
                        let (snapshot, read_at) = latest.unzip();
                        let members = match (&snapshot, &router.peers) {
                            (Some(snapshot), _) => snapshot.membership.clone(),
                            (None, Peers::List(peers)) => metadata::from_list(peers, place.source.into()),
                            (None, Peers::None) => metadata::from_list(&[], place.source.into()),
                            (None, Peers::Rancher) => bail!("there is no membership"),
                        };
                        let read_at = read_at.map(|at| at.unwrap_or(outside::AGES_AGO));
                        return Ok(Some(Start { place, lock, members, read_at, unreachable, snapshot }));
                    }
                    None => wait_for(&format!(
                        "another agent on this host serves virtual router {} on {}",
                        router.vrid, place.interface
                    )),
                },
                Err(NoPlace::Wait(why)) => wait_for(&why),
                Err(NoPlace::Wrong(why)) => return Err(Misconfigured(why).into()),
            }
        }
        tokio::select! {
            () = signals.end() => return Ok(None),
            update = outside.updates.recv() => match update {
                Some(Update::Snapshot { snapshot, read_at }) => {
                    latest = Some((*snapshot, read_at));
                    unreachable = false;
                }
                Some(Update::Confirmed { read_at }) => {
                    unreachable = false;
                    if let Some((_, at)) = &mut latest {
                        *at = Some(read_at);
                    }
                }
                Some(Update::Unreachable { .. }) => unreachable = true,
                None => bail!("the metadata is not watched any more"),
            },
            () = tokio::time::sleep(RETRY), if known => {}
        }
    }
}

/// What is to be checked, or why that is not known.
pub(super) fn targets(router: &Router, snapshot: Option<&Snapshot>) -> Result<Vec<Target>, String> {
    match (&router.check, snapshot) {
        (CheckSetting::These(targets), _) => Ok(targets.clone()),
        (CheckSetting::Published(_), None) => Err("the metadata did not answer yet".to_owned()),
        (CheckSetting::Published(wanted), Some(snapshot)) if snapshot.ports.is_empty() => Err(match wanted {
            None => "no load balancer service publishes a TCP port on the member hosts; set OUTRIDER_LB or \
                     OUTRIDER_CHECK"
                .to_owned(),
            Some((stack, service)) => {
                format!("the service {stack}/{service} publishes no TCP port on the member hosts")
            }
        }),
        (CheckSetting::Published(_), Some(snapshot)) => {
            let target = |port: &metadata::PublishedPort| match port.http {
                true => Target::Http { url: format!("http://127.0.0.1:{}/", port.port) },
                false => Target::Tcp { host: "127.0.0.1".to_owned(), port: port.port },
            };
            Ok(snapshot.ports.iter().map(target).collect())
        }
    }
}
