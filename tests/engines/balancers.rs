//! Load balancers that stop, and that are replaced, on the host that has the address.

use crate::images::{AGENT, BALANCER, NEXT_BALANCER};
use crate::site::{Bounds, Published, Site, may_run_engines};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// What moving away from a load balancer that is replaced may cost: what this project promises.
const MOVE: Duration = Duration::from_millis(20);
/// Pause between two hosts: Rancher's.
const APART: Duration = Duration::from_secs(2);

#[tokio::test]
async fn behind_docker_proxy() -> Result<()> {
    balancers(Published::ByProxy).await
}

#[tokio::test]
async fn behind_netfilter() -> Result<()> {
    balancers(Published::ByNetfilter).await
}

async fn balancers(published: Published) -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::new(2, published).await?;
    let ends: [&[&str]; 3] = [&["stop", "balancer"], &["kill", "balancer"], &["rm", "-f", "balancer"]];
    for end in ends {
        let (holder, since) = (site.settle().await?, Instant::now());
        site.docker(holder, end).await?;
        site.successor(holder).await?;
        let what = format!("docker {} {published:?}", end.join(" "));
        site.assert_account(&what, since, Bounds::NOTICED).await?;
        let since = Instant::now();
        site.up_balancer(holder, BALANCER).await?;
        site.settle().await?;
        site.assert_account("load balancer back", since, Bounds::NOTHING).await?;
    }

    let mut outages = Vec::new();
    for image in [NEXT_BALANCER, BALANCER, NEXT_BALANCER] {
        for host in 0..2 {
            let since = Instant::now();
            site.up_balancer(host, image).await?;
            tokio::time::sleep(APART).await;
            let account = site.assert_account("load balancer replaced", since, Bounds::NOTICED).await?;
            if site.moves(since) > 0 {
                ensure!(site.moves(since) == 1, "it moved {} times", site.moves(since));
                outages.push(account.outage);
            }
        }
    }
    outages.sort();
    println!("{published:?}: moves: {outages:.1?}");
    ensure!(outages.len() >= 5, "the address moved only {} times", outages.len());
    // Most moves take longer while Docker and others need both processors: that must not decide.
    ensure!(outages[outages.len() / 4] <= MOVE, "{outages:?}");
    site.take_down().await
}

/// haproxy's own image is stopped with SIGUSR1: it takes no new connections, and serves those it has. What is held by
/// the agent does not end then; the next check, within a second, notices, and lets haproxy go.
#[tokio::test]
async fn one_that_ends_softly() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let mut site = Site::bare(2, Published::ByProxy).await?;
    site.stop_signal = "SIGUSR1";
    for host in 0..2 {
        site.up_balancer(host, BALANCER).await?;
        site.up_agent(host, AGENT).await?;
    }
    let (holder, since) = (site.settle().await?, Instant::now());
    site.docker(holder, &["stop", "balancer"]).await?;
    ensure!(since.elapsed() < Duration::from_secs(8), "it had to be killed");
    site.successor(holder).await?;
    site.assert_account("docker stop, softly", since, Bounds::CHECKED).await?;
    site.take_down().await
}
