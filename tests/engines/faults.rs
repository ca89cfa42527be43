//! What goes wrong with containers and engines, on the host that has the address.

use crate::images::BALANCER;
use crate::site::{Bounds, Published, Site, may_run_engines};
use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use std::time::Instant;

#[tokio::test]
async fn agents_that_stop_in_any_way() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::new(2, Published::ByProxy).await?;

    let (holder, since) = (site.settle().await?, Instant::now());
    site.docker(holder, &["kill", "--signal", "KILL", "outrider"]).await?;
    site.successor(holder).await?;
    site.wait_until_free(holder).await?;
    site.assert_account("docker kill", since, Bounds::SILENCE).await?;
    let since = Instant::now();
    site.docker(holder, &["start", "outrider"]).await?;
    site.settle().await?;
    site.assert_account("docker start", since, Bounds::NOTHING).await?;

    // Docker starts this one again by itself.
    let (holder, since) = (site.settle().await?, Instant::now());
    site.crash(holder, "outrider").await?;
    site.wait_for_restart(holder, "outrider", 1).await?;
    site.settle().await?;
    site.assert_account("agent crashed", since, Bounds::CRASHED).await?;

    let (holder, since) = (site.settle().await?, Instant::now());
    site.docker(holder, &["pause", "outrider"]).await?;
    site.successor(holder).await?;
    site.wait_until_free(holder).await?;
    site.assert_account("docker pause", since, Bounds::SILENCE).await?;
    let since = Instant::now();
    site.docker(holder, &["unpause", "outrider"]).await?;
    site.settle().await?;
    site.assert_account("docker unpause", since, Bounds::NOTHING).await?;

    let (holder, since) = (site.settle().await?, Instant::now());
    site.docker(holder, &["stop", "outrider"]).await?;
    site.successor(holder).await?;
    site.assert_account("docker stop", since, Bounds::HAND_OVER).await?;
    let ended = site.inspect(holder, "outrider").await?;
    ensure!(ended["State"]["ExitCode"] == 0, "{}", ended["State"]);
    site.take_down().await
}

/// One engine is gone, and with it all containers, and then back: what is to be started again is in Docker's books.
#[tokio::test]
async fn engines_that_are_restarted() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let mut site = Site::new(2, Published::ByProxy).await?;

    let (holder, since) = (site.settle().await?, Instant::now());
    site.end_engine(holder, Signal::SIGTERM).await?;
    site.successor(holder).await?;
    site.assert_account("engine stopped", since, Bounds::NOTICED).await?;
    let since = Instant::now();
    site.boot_engine(holder).await?;
    site.settle().await?;
    site.assert_account("engine started", since, Bounds::NOTHING).await?;

    // The containers live on, docker-proxy does not: the check of the load balancer fails.
    let (holder, since) = (site.settle().await?, Instant::now());
    site.end_engine(holder, Signal::SIGKILL).await?;
    site.successor(holder).await?;
    site.assert_account("engine killed", since, Bounds::NOTICED).await?;
    let since = Instant::now();
    site.boot_engine(holder).await?;
    // It restarts them; but connections that had not ended keep the network of the old load balancer alive, with the
    // same address, and what Docker 20.10 publishes leads there: the host is no good until a person sees to it.
    site.docker(holder, &["rm", "-f", "balancer"]).await?;
    site.docker(holder, &["network", "rm", "balancer_default"]).await?;
    site.up_balancer(holder, BALANCER).await?;
    site.settle().await?;
    site.assert_account("engine started again", since, Bounds::NOTHING).await?;
    site.take_down().await
}
