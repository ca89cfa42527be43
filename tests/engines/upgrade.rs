//! New images, host by host, as Rancher and careful people do it: one at a time, two seconds apart.

use crate::images::{AGENT, BALANCER, NEXT_AGENT, NEXT_BALANCER};
use crate::site::{Bounds, Published, Site, may_run_engines};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Pause between two hosts.
const APART: Duration = Duration::from_secs(2);
/// What moving away from a load balancer that is replaced may cost: what this project promises.
const MOVE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn agents_are_replaced_and_no_request_is_lost() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::new(3, Published::ByProxy).await?;
    site.settle().await?;
    for image in [NEXT_AGENT, AGENT] {
        let since = Instant::now();
        for host in 0..3 {
            site.up_agent(host, image).await?;
            ensure!(site.inspect(host, "outrider").await?["Config"]["Image"] == image);
            tokio::time::sleep(APART).await;
        }
        let account = site.assert_account("agents replaced", since, Bounds::HAND_OVER).await?;
        ensure!(account.lost == 0, "{account:?}");
        ensure!(site.moves(since) > 0, "the address did not move");
    }
    site.settle().await?;
    site.take_down().await
}

#[tokio::test]
async fn balancers_are_replaced_behind_docker_proxy() -> Result<()> {
    balancers_are_replaced(Published::ByProxy).await
}

#[tokio::test]
async fn balancers_are_replaced_behind_netfilter() -> Result<()> {
    balancers_are_replaced(Published::ByNetfilter).await
}

async fn balancers_are_replaced(published: Published) -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::new(2, published).await?;
    let mut moves = 0;
    let mut outages = Vec::new();
    site.settle().await?;
    for image in [NEXT_BALANCER, BALANCER, NEXT_BALANCER] {
        for host in 0..2 {
            let since = Instant::now();
            site.up_balancer(host, image).await?;
            tokio::time::sleep(APART).await;
            let account = site.assert_account("load balancer replaced", since, Bounds::NOTICED).await?;
            if site.moves(since) > 0 {
                moves += site.moves(since);
                outages.push(account.outage);
            }
        }
    }
    outages.sort();
    println!("{published:?}: {moves} moves: {outages:.1?}");
    ensure!(outages.len() >= 3, "the address moved only {moves} times");
    // The median: what else this machine has to do must not decide.
    ensure!(outages[outages.len() / 2] <= MOVE, "{outages:?}");
    site.take_down().await
}
