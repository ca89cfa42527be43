//! The agent stopped, killed, frozen; and what a connection through it goes through.

use crate::steady::steady;
use crate::support::{EXPIRY, Ear, OVERLAP, SILENCE, SOON, Site, ip};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use outrider::lab::VIP;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// After that, Docker kills.
const DOCKER: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_stopped_agent_hands_over_without_a_lost_request() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.start_agents(0, &[]).await?;
        let mut holder = 0;
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let since = Instant::now();
            site.agent(holder).signal(signal)?;
            let status = site.agent(holder).wait(DOCKER).await?;
            ensure!(status.code() == Some(0), "{status}");
            let other = 1 - holder;
            ensure!(site.lab.wait_for_successor(holder, SOON).await? == other);
            site.assert_smooth(holder, other, since).await?;
            site.assert_held(other, since, OVERLAP, Duration::ZERO).await?;
            let why = site.wait_for_change(holder, since, "Active -> Fault").await?;
            ensure!(why == format!("handed over to {}", site.host(other).address()), "{why}");

            site.start_agent(holder, &[]).await?;
            site.agent(holder).wait_for_line("-> Backup", SOON).await?;
            site.agent(holder).wait_for_line(" holds the address with priority ", SOON).await?;
            holder = other;
        }

        // A Backup goes without a trace.
        let since = Instant::now();
        site.agent(1 - holder).signal(Signal::SIGTERM)?;
        ensure!(site.agent(1 - holder).wait(DOCKER).await?.code() == Some(0));
        site.assert_served(holder, since).await?;
        site.assert_held(holder, since, Duration::ZERO, Duration::ZERO).await
    })
    .await
}

#[tokio::test]
async fn an_agent_without_a_successor_ends_in_time_too() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        site.start_agents(0, &[]).await?;
        let since = Instant::now();
        site.balancer(1).kill9()?;
        site.agent(1).wait_for_line_since(since, "Backup -> Fault", SOON).await?;
        let since = Instant::now();
        site.agent(0).signal(Signal::SIGTERM)?;
        let status = site.agent(0).wait(DOCKER).await?;
        ensure!(status.code() == Some(0), "{status}");
        let why = site.wait_for_change(0, since, "Active -> Fault").await?;
        ensure!(why.contains("nobody took over"), "{why}");
        // It served until it went, and left nothing behind.
        let lost = site.wait_for_loss(0, since, SOON).await?;
        ensure!(lost.duration_since(since) >= Duration::from_secs(4), "it did not wait for a successor");
        ensure!(site.lab.holders().await?.is_empty());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_killed_agent_leaves_no_address_behind() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.start_agents(0, &[]).await?;
        let since = Instant::now();
        site.agent(0).kill9()?;
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        let lost = site.wait_for_loss(0, since, SOON).await?.duration_since(since);
        ensure!(lost < EXPIRY, "the address stayed on the dead host for {lost:?}");
        site.assert_held(1, since, EXPIRY, SILENCE).await?;
        let outage = site.lab.client().outage(since).await?;
        ensure!(outage.longest < SILENCE && outage.by.as_deref() == Some("lb2"), "{outage:?}");

        let since = Instant::now();
        site.start_agent(0, &[]).await?;
        site.agent(0).wait_for_line("10.10.10.12 holds the address with priority ", SOON).await?;
        site.agent(0).wait_for_line("-> Backup", SOON).await?;
        site.assert_held(1, since, Duration::ZERO, Duration::ZERO).await
    })
    .await
}

#[tokio::test]
async fn a_frozen_agent_is_replaced_and_wakes_up_as_backup() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        site.start_agents(0, &[]).await?;
        let (frozen, other) = (site.host(0).address(), site.host(1).address());
        let (at_frozen, at_other) =
            (Ear::open(site.host(0).namespace()).await?, Ear::open(site.host(1).namespace()).await?);
        at_other.wait_for(3, frozen, Instant::now()).await?;

        let since = Instant::now();
        site.agent(0).stop()?;
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        let lost = site.wait_for_loss(0, since, SOON).await?.duration_since(since);
        ensure!(lost < EXPIRY, "the kernel let a frozen agent keep the address for {lost:?}");
        site.assert_held(1, since, EXPIRY, SILENCE).await?;

        // While both had it, the client may have learnt the way to the frozen one again.
        site.lab.client().wait_for_answer_by("lb2", SOON).await?;
        let woken = Instant::now();
        site.agent(0).cont()?;
        let line = site.agent(0).wait_for_line_since(woken, "Active -> Backup", SOON).await?;
        ensure!(
            line.text.contains("slept for") || line.text.contains("10.10.10.12 took the address"),
            "{}",
            line.text
        );
        // As long as it would take to do something wrong.
        at_frozen.wait_for(8, other, woken).await?;
        ensure!(
            at_other.heard(frozen, woken).iter().all(|advert| advert.priority == 0),
            "{:?}",
            at_other.heard(frozen, woken)
        );
        ensure!(site.states(0, woken) == ["Active -> Backup"], "{:?}", site.states(0, woken));
        ensure!(site.states(1, woken).is_empty(), "{:?}", site.states(1, woken));
        site.assert_served(1, woken).await?;
        site.assert_held(1, woken, Duration::ZERO, Duration::ZERO).await
    })
    .await
}

#[tokio::test]
async fn a_connection_outlives_many_leases() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(1).await?;
        site.start_agents(0, &[]).await?;
        let listed = ip(site.host(0).namespace(), "-4 -o address show dev eth0 to 10.10.10.2/32").await?;
        ensure!(
            listed.contains("valid_lft 1sec") || listed.contains("valid_lft 0sec"),
            "no lease of a second: {listed}"
        );

        let listening = site.host(0).namespace().run(async { TcpListener::bind((VIP, 7)).await });
        let listener = listening.await??;
        let echo = site.host(0).namespace().spawn(async move {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (mut from, mut to) = stream.into_split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        let since = Instant::now();
        let talk = site.lab.client_namespace().run(async move {
            let mut stream = TcpStream::connect((VIP, 7)).await?;
            let mut number = 0_u32;
            while since.elapsed() < Duration::from_millis(3500) {
                number += 1;
                stream.write_u32(number).await?;
                let back = timeout(Duration::from_secs(5), stream.read_u32()).await.context("no echo")??;
                ensure!(back == number);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            anyhow::Ok(number)
        });
        let echoes = talk.await??;
        ensure!(echoes > 3, "{echoes} echoes");
        echo.abort();
        site.assert_served(0, since).await?;
        ensure!(site.states(0, since).is_empty());
        site.assert_held(0, since, Duration::ZERO, Duration::ZERO).await
    })
    .await
}
