//! Three hosts go from keepalived to outrider and back, one at a time, while clients use the address.

use crate::site::{Kind, OVERLAP, SOON, Settings, Site};
use crate::speech::Speech;
use crate::steady::steady;
use anyhow::{Result, ensure};
use outrider::lab::process::Process;
use std::time::{Duration, Instant};

/// The longest time without an answer. keepalived removes the address before its successor knows; a keepalived would
/// then wait for Skew_Time, but outrider knows that it is the first in line, and waits for nothing. What is left is a
/// busy machine's.
const GAP: Duration = Duration::from_millis(1500);
/// Of the client's requests, one every 2 ms.
const RATE: usize = 500;

fn keepalived(host: usize) -> Settings {
    Kind::Keepalived.at([120, 110, 100][host]).preempting()
}

/// No priority is set: it comes from the list.
const OUTRIDER: Settings = Settings {
    variables: &[
        ("OUTRIDER_CHECK", "tcp://127.0.0.1:80"),
        ("OUTRIDER_PEERS", "10.10.10.11, 10.10.10.12, 10.10.10.13"),
    ],
    ..Kind::Outrider.at(0)
};

struct Migration {
    site: Site,
    _balancers: Vec<Process>,
}

impl Migration {
    async fn begin(speech: Speech) -> Result<Migration> {
        let mut site = Site::with_client(3, speech).await?;
        let mut balancers = Vec::new();
        for host in 0..3 {
            balancers.push(site.host(host).start_balancer().await?);
        }
        site.start_holder(0, keepalived(0)).await?;
        for host in [1, 2] {
            site.start_backup(host, keepalived(host)).await?;
        }
        site.lab.wait_for_holder(SOON).await?;
        Ok(Migration { site, _balancers: balancers })
    }

    /// Replaces the router of a host. If it has the address, another host takes it, and this one comes back as a
    /// Backup or, if it preempts, takes it back. Whoever has the address in the end.
    async fn replace(&mut self, host: usize, settings: Settings) -> Result<()> {
        let site = &mut self.site;
        let since = Instant::now();
        let held = site.holders() == [host];
        let was = site.holders();
        site.stop(host).await?;
        if held {
            site.lab.wait_for_successor(host, SOON).await?;
        }
        site.start_backup(host, settings).await?;
        // Preemption takes as long.
        tokio::time::sleep(site.speech.master_down() * 5 / 4).await;
        site.lab.wait_for_holder(SOON).await?;
        let worst = site.worst(since);
        ensure!(worst.two <= OVERLAP, "two holders for {:?}", worst.two);
        if !held && site.holders() == was {
            ensure!(worst.none.is_zero(), "host {host}, a Backup, was missed for {:?}", worst.none);
        }
        Ok(())
    }
}

async fn there_and_back(speech: Speech) -> Result<()> {
    let mut migration = Migration::begin(speech).await?;
    let begun = Instant::now();
    // The Backups first, as one does.
    for host in [2, 1, 0] {
        migration.replace(host, OUTRIDER).await?;
    }
    let there = migration.site.lab.client().outage(begun).await?;
    let half = Instant::now();
    for host in [2, 1, 0] {
        migration.replace(host, keepalived(host)).await?;
    }
    let back = migration.site.lab.client().outage(half).await?;
    let site = &migration.site;
    site.wait_for_holders(&[0]).await?;
    println!("there: {there:?}; back: {back:?}");
    for outage in [&there, &back] {
        ensure!(outage.longest <= GAP, "{outage:?}");
        let seconds = usize::try_from(GAP.as_secs() + 1)?;
        ensure!(outage.lost <= RATE * seconds, "{outage:?}");
        ensure!(outage.answered > outage.lost * 2, "{outage:?}");
    }
    let worst = site.worst(begun);
    ensure!(worst.two <= OVERLAP, "two holders for {:?}", worst.two);
    ensure!(worst.none <= GAP, "no holder for {:?}", worst.none);
    Ok(())
}

/// The group of Rancher's catalog: version 2, multicast, a password.
#[tokio::test]
async fn of_version_2_with_a_password() -> Result<()> {
    steady(async || there_and_back(Speech::V2_PASS).await).await
}

#[tokio::test]
async fn of_version_2_unicast() -> Result<()> {
    steady(async || there_and_back(Speech::V2_UNICAST).await).await
}

#[tokio::test]
async fn of_version_3_unicast() -> Result<()> {
    steady(async || there_and_back(Speech::V3_UNICAST).await).await
}
