//! What goes wrong with containers and engines.

use crate::images::AGENT;
use crate::site::{Published, Site, may_run_engines};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// A lease of a second, and what the kernel adds.
const EXPIRY: Duration = Duration::from_millis(2500);
/// A failure that is noticed by silence (0.6 s), on a busy machine.
const SILENCE: Duration = Duration::from_millis(2500);
/// A hand-over: both have the address for a moment.
const OVERLAP: Duration = Duration::from_millis(500);

#[tokio::test]
async fn agents_that_stop_in_any_way() -> Result<()> {
    if !may_run_engines() {
        return Ok(());
    }
    let site = Site::new(2, Published::ByProxy).await?;
    let holder = site.settle().await?;

    let since = Instant::now();
    site.docker(holder, &["kill", "-s", "KILL", "outrider"]).await?;
    let next = site.successor(holder).await?;
    site.wait_until_free(holder).await?;
    site.assert_account("docker kill", since, EXPIRY, SILENCE, SILENCE).await?;
    ensure!(next != holder);
    let since = Instant::now();
    site.docker(holder, &["start", "outrider"]).await?;
    site.settle().await?;
    site.assert_account("docker start", since, Duration::ZERO, Duration::ZERO, Duration::ZERO).await?;
    site.up_agent(holder, AGENT).await?;
    site.take_down().await
}
