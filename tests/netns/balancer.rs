//! What becomes of the address when the load balancer dies, hangs, reloads, or all of them restart.

use crate::steady::steady;
use crate::support::{OVERLAP, SILENCE, SOON, Site};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_killed_load_balancer_loses_the_address() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.start_agents(0, &[]).await?;
        let since = Instant::now();
        site.balancer(0).kill9()?;
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        site.assert_held(1, since, OVERLAP, SILENCE).await?;
        let why = site.wait_for_change(0, since, "Active -> Fault").await?;
        ensure!(why.contains("http://127.0.0.1:80/") && why.contains("refused"), "{why}");
        let why = site.wait_for_change(1, since, "Backup -> Active").await?;
        ensure!(why.contains("10.10.10.11 gave the address up"), "{why}");
        let outage = site.lab.client().outage(since).await?;
        ensure!(outage.longest < SILENCE && outage.by.as_deref() == Some("lb2"), "{outage:?}");

        // It comes back, and nothing moves.
        let since = Instant::now();
        site.start_haproxy(0).await?;
        site.agent(0).wait_for_line_since(since, "Fault -> Backup", SOON).await?;
        site.assert_served(1, since).await?;
        site.assert_held(1, since, Duration::ZERO, Duration::ZERO).await
    })
    .await
}

/// A stopped haproxy still has connections opened for it by the kernel; only an answer proves life.
#[tokio::test]
async fn a_frozen_load_balancer_loses_the_address_after_fall_time_outs() -> Result<()> {
    steady(async || {
        let (interval, fall) = (Duration::from_millis(300), 3);
        let mut site = Site::with_haproxies(2).await?;
        let settings = [
            ("OUTRIDER_CHECK_INTERVAL", "300ms"),
            ("OUTRIDER_CHECK_TIMEOUT", "300ms"),
            ("OUTRIDER_CHECK_FALL", "3"),
        ];
        site.start_agents(0, &settings).await?;
        let since = Instant::now();
        site.balancer(0).stop()?;
        let fault = site.agent(0).wait_for_line_since(since, "Active -> Fault", SOON).await?;
        let took = fault.at.duration_since(since);
        // The first of the looks may have been under way.
        ensure!(took >= interval * (fall - 1), "after {took:?}");
        ensure!(took <= interval * 2 * (fall + 1) + SILENCE, "after {took:?}");
        ensure!(fault.text.contains("no answer from http://127.0.0.1/ within 300ms"), "{}", fault.text);
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        site.assert_held(1, since, OVERLAP, SILENCE).await?;

        let since = Instant::now();
        site.balancer(0).cont()?;
        site.agent(0).wait_for_line_since(since, "Fault -> Backup", SOON).await?;
        site.assert_held(1, since, Duration::ZERO, Duration::ZERO).await
    })
    .await
}

#[tokio::test]
async fn a_reload_disturbs_nothing() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.start_agents(0, &[]).await?;
        let since = Instant::now();
        for _ in 0..3 {
            site.reload_haproxy(0, true).await?;
            site.reload_haproxy(1, true).await?;
        }
        site.assert_served(0, since).await?;
        // Without handing the sockets over, haproxy itself drops a connection now and then; the address stays.
        for _ in 0..3 {
            site.reload_haproxy(0, false).await?;
        }
        site.lab.client().wait_for_answer_by("lb1", SOON).await?;
        for host in 0..2 {
            ensure!(site.states(host, since).is_empty(), "{:?}", site.states(host, since));
        }
        site.assert_held(0, since, Duration::ZERO, Duration::ZERO).await
    })
    .await
}

#[tokio::test]
async fn after_a_restart_everywhere_the_first_to_come_back_has_the_address() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.start_agents(0, &[]).await?;
        for first in [1, 0] {
            let since = Instant::now();
            for host in 0..2 {
                site.balancer(host).kill9()?;
            }
            for host in 0..2 {
                site.agent(host).wait_for_line_since(since, " -> Fault", SOON).await?;
            }
            let down = Instant::now();
            site.start_haproxy(first).await?;
            ensure!(site.lab.wait_for_holder(SOON).await? == first);
            let took = down.elapsed();
            ensure!(took < Duration::from_secs(2), "after {took:?}");
            site.start_haproxy(1 - first).await?;
            site.agent(1 - first).wait_for_line_since(down, "Fault -> Backup", SOON).await?;
            ensure!(site.lab.wait_for_holder(SOON).await? == first);
            site.assert_held(first, since, OVERLAP, SILENCE).await?;
        }

        // All at once, after about 100 ms.
        let since = Instant::now();
        for host in 0..2 {
            site.balancer(host).kill9()?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        for host in 0..2 {
            site.start_haproxy(host).await?;
        }
        for host in 0..2 {
            site.agent(host).wait_for_line_since(since, "Fault -> Backup", SOON).await?;
        }
        let holder = site.lab.wait_for_holder(SOON).await?;
        site.assert_held(holder, since, OVERLAP, SILENCE).await
    })
    .await
}
