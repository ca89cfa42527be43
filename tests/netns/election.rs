//! Who gets the address when the agents start.

use crate::steady::steady;
use crate::support::{OVERLAP, SILENCE, SOON, Site};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// An interval at which ranks are this far apart in time: see [`cold_start`].
const SLOW: (&str, &str) = ("OUTRIDER_ADVERT_INTERVAL", "1s");
/// Skew_Times of neighbouring ranks differ by 16/256 of the interval.
const MARGIN: Duration = Duration::from_millis(60);

/// Starts all agents at once, the highest rank last, and returns the holder. Whoever begins to listen first, by
/// more than its Skew_Time is longer, is first to claim; so a start that was not at once is none, and there is
/// another.
async fn cold_start(hosts: usize) -> Result<(Site, usize, Instant)> {
    for _ in 0..5 {
        let mut site = Site::with_haproxies(hosts).await?;
        let since = Instant::now();
        for host in site.by_rank(2).into_iter().rev() {
            site.start_agent(host, &[SLOW]).await?;
        }
        let mut listening = Vec::new();
        for host in 0..hosts {
            listening
                .push(site.agent(host).wait_for_line("virtual router 2 (10.10.10.2/32)", SOON).await?.at);
        }
        let spread = listening.iter().max().into_iter().zip(listening.iter().min());
        if spread.into_iter().any(|(last, first)| last.duration_since(*first) < MARGIN) {
            let holder = site.lab.wait_for_holder(SOON).await?;
            return Ok((site, holder, since));
        }
    }
    anyhow::bail!("this machine is too busy to start {hosts} agents within {MARGIN:?}")
}

async fn highest_rank_wins(hosts: usize) -> Result<()> {
    let (site, holder, since) = cold_start(hosts).await?;
    let ranks = site.by_rank(2);
    ensure!(holder == ranks[0], "host {holder} has the address; in order of rank: {ranks:?}");
    for other in &ranks[1..] {
        site.agent(*other).wait_for_line(" holds the address with priority 254", SOON).await?;
        site.agent(*other).wait_for_line("-> Backup", SOON).await?;
    }
    site.assert_held(holder, since, OVERLAP, SOON).await?;
    site.assert_served(holder, Instant::now()).await
}

#[tokio::test]
async fn of_two_hosts_the_higher_rank_wins() -> Result<()> {
    steady(async || highest_rank_wins(2).await).await
}

#[tokio::test]
async fn of_three_hosts_the_highest_rank_wins() -> Result<()> {
    steady(async || highest_rank_wins(3).await).await
}

#[tokio::test]
async fn a_host_that_comes_later_does_not_take_the_address() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(3).await?;
        let lowest = *site.by_rank(2).last().expect("three hosts");
        site.start_agents(lowest, &[]).await?;
        let since = Instant::now();
        let other = (lowest + 1) % 3;
        site.agent(other).kill9()?;
        site.start_agent(other, &[]).await?;
        site.agent(other).wait_for_line("-> Backup", SOON).await?;
        site.agent(other).wait_for_line(" holds the address with priority ", SOON).await?;
        site.assert_served(lowest, since).await?;
        site.assert_held(lowest, since, Duration::ZERO, Duration::ZERO).await
    })
    .await
}

#[tokio::test]
async fn with_preemption_the_highest_rank_takes_it_back() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        let preempt = ("OUTRIDER_PREEMPT", "true");
        let ranks = site.by_rank(2);
        site.start_agent(ranks[1], &[preempt]).await?;
        ensure!(site.lab.wait_for_holder(SOON).await? == ranks[1]);
        let since = Instant::now();
        site.start_agent(ranks[0], &[preempt]).await?;
        ensure!(site.lab.wait_for_successor(ranks[1], SOON).await? == ranks[0]);
        site.agent(ranks[1]).wait_for_line("took the address: its priority 254 > ours 238", SOON).await?;
        site.assert_held(ranks[0], since, SILENCE, SILENCE).await
    })
    .await
}

/// No metadata at all: a list of addresses, our own among them.
#[tokio::test]
async fn a_list_of_peers_replaces_the_metadata() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.without_metadata();
        let peers = [("OUTRIDER_PEERS", "10.10.10.11, 10.10.10.12")];
        site.start_agents(1, &peers).await?;
        let since = Instant::now();
        site.balancer(1).kill9()?;
        ensure!(site.lab.wait_for_successor(1, SOON).await? == 0);
        site.assert_held(0, since, OVERLAP, SILENCE).await?;
        for host in site.lab.hosts() {
            ensure!(host.metadata().requests().is_empty(), "{:?}", host.metadata().requests());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn version_2_elects_and_fails_over() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        site.start_agents(0, &[("OUTRIDER_VRRP_VERSION", "2")]).await?;

        // Told: at once. By silence: after three seconds and Skew_Time.
        let since = Instant::now();
        site.balancer(0).kill9()?;
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        site.assert_held(1, since, OVERLAP, SILENCE).await?;
        site.start_balancer(0).await?;
        site.agent(0).wait_for_line_since(since, "-> Backup", SOON).await?;

        let since = Instant::now();
        site.agent(1).kill9()?;
        ensure!(site.lab.wait_for_successor(1, SOON).await? == 0);
        // The lease is four seconds here: the dead host may have had the address until now.
        site.wait_for_loss(1, since, SOON).await?;
        site.assert_held(0, since, Duration::from_secs(4), Duration::from_secs(4)).await
    })
    .await
}
