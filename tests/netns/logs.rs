//! What the agent says.

use crate::steady::steady;
use crate::support::{SOON, Site, transitions};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::Instant;

/// Two hosts go through an election, a dead load balancer, and a stop.
async fn some_life(variables: &[(&str, &str)]) -> Result<Site> {
    let mut site = Site::with_balancers(2).await?;
    site.start_agents(0, variables).await?;
    site.balancer(0).kill9()?;
    ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
    site.start_balancer(0).await?;
    site.agent(0).wait_for_line("Fault -> Backup", SOON).await?;
    let since = Instant::now();
    site.agent(1).signal(Signal::SIGTERM)?;
    ensure!(site.agent(1).wait(SOON).await?.code() == Some(0));
    ensure!(site.lab.wait_for_successor(1, SOON).await? == 0);
    for host in 0..2 {
        site.agent(host).wait_for_line_since(since, " -> ", SOON).await?;
    }
    Ok(site)
}

#[tokio::test]
async fn each_change_of_state_is_one_line_that_says_why() -> Result<()> {
    steady(async || {
        let site = some_life(&[]).await?;
        for host in 0..2 {
            let log = transitions(site.agent(host));
            ensure!(log.first().is_some_and(|first| first.from == "Initialize"), "{log:?}");
            ensure!(log.iter().all(|change| change.from != change.to && !change.why.is_empty()), "{log:?}");
            ensure!(log.windows(2).all(|pair| pair[0].to == pair[1].from), "a change was not said: {log:?}");
            let lines = site.agent(host).lines();
            // The start, the changes, and whom it follows: nothing else is worth a line.
            let others: Vec<_> = lines.iter().filter(|line| !line.text.contains(" -> ")).collect();
            ensure!(others.len() <= 8, "{others:?}");
            ensure!(lines.iter().all(|line| !line.text.contains("WARN") && !line.text.contains("ERROR")));
        }
        let states = |host: usize| {
            transitions(site.agent(host)).into_iter().map(|change| change.to).collect::<Vec<_>>()
        };
        let first = states(0);
        ensure!(first.ends_with(&["Active", "Fault", "Backup", "Active"].map(String::from)), "{first:?}");
        let second = states(1);
        ensure!(second.ends_with(&["Backup", "Active", "Fault"].map(String::from)), "{second:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_log_in_json_is_json_line_by_line() -> Result<()> {
    steady(async || {
        let site = some_life(&[("OUTRIDER_LOG_FORMAT", "json")]).await?;
        for host in 0..2 {
            let lines = site.agent(host).lines();
            let mut changes = 0;
            for line in &lines {
                let value: Value = serde_json::from_str(&line.text).with_context(|| line.text.clone())?;
                let field =
                    |name: &str| value[name].as_str().with_context(|| format!("no {name}: {}", line.text));
                ensure!(field("timestamp")?.ends_with('Z') && !field("target")?.is_empty());
                ensure!(["INFO", "WARN", "ERROR"].contains(&field("level")?), "{}", line.text);
                changes += usize::from(
                    field("message")?.starts_with("10.10.10.2: ") && field("message")?.contains(" -> "),
                );
            }
            ensure!(changes >= 3, "{lines:?}");
        }
        Ok(())
    })
    .await
}
