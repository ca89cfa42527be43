//! `outrider drain` and `undrain`: maintenance without a gap, and never the last one.

use crate::support::{OVERLAP, PROGRAM, SILENCE, SOON, Site, is_real_root};
use anyhow::{Result, ensure};
use outrider::lab::{VIP, tool};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

const DRAINED: &str = "this host is drained: it does not hold the address";
const REFUSED: &str = "no other member took the address, so this host keeps it and tries again every few seconds; \
                       `outrider undrain` ends that, `outrider drain --force` lets go of the address";

#[tokio::test]
async fn a_drained_host_hands_over_and_claims_no_more_until_undrained() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    let drained = site.command(0, &["drain"]).await?;
    ensure!(drained.code == Some(0) && drained.output == DRAINED, "{} {}", drained.output, drained.error);
    ensure!(site.lab.holders().await? == [1], "it answered before it was true");
    site.assert_held(1, since, OVERLAP, Duration::ZERO).await?;
    // Again is no mistake.
    let drained = site.command(0, &["drain"]).await?;
    ensure!(drained.code == Some(0) && drained.output == DRAINED, "{} {}", drained.output, drained.error);

    // The other one dies: out of service is out of service.
    let since = Instant::now();
    site.agent(1).kill9()?;
    site.wait_for_loss(1, since).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    site.wire.assert_mute(0, since)?;
    ensure!(site.lab.holders().await?.is_empty());

    let undrained = site.command(0, &["undrain"]).await?;
    ensure!(undrained.code == Some(0), "{}", undrained.error);
    ensure!(undrained.output == "this host takes part again", "{}", undrained.output);
    ensure!(site.lab.wait_for_holder(SOON).await? == 0);
    Ok(())
}

#[tokio::test]
async fn an_undrained_host_does_not_take_the_address_back() -> Result<()> {
    let mut site = Site::new(2).await?;
    let first = site.by_rank()[0];
    site.start_agents(first, &[]).await?;
    let since = Instant::now();
    ensure!(site.command(first, &["drain"]).await?.code == Some(0));
    site.assert_states(first, since, &["Active -> Fault"]).await?;
    site.assert_states(1 - first, since, &["Backup -> Active"]).await?;
    let since = Instant::now();
    ensure!(site.command(first, &["undrain"]).await?.code == Some(0));
    site.assert_states(first, since, &["Fault -> Backup"]).await?;
    site.stays_calm(1 - first, 12).await
}

#[tokio::test]
async fn a_backup_drains_without_a_trace() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    let drained = site.command(1, &["drain"]).await?;
    ensure!(drained.code == Some(0) && drained.output == DRAINED, "{} {}", drained.output, drained.error);
    site.assert_states(1, since, &["Backup -> Fault"]).await?;
    site.stays_calm(0, 6).await?;
    site.wire.assert_mute(1, since)?;
    // Then the holder is the last one.
    let refused = site.command(0, &["drain"]).await?;
    ensure!(refused.code == Some(1) && refused.error == REFUSED, "{} {}", refused.output, refused.error);
    site.assert_held(0, since, Duration::ZERO, Duration::ZERO).await
}

#[tokio::test]
async fn the_last_host_refuses_until_another_can_serve() -> Result<()> {
    let mut site = Site::with_agents(2, 0, &[]).await?;
    site.balancer(1).kill9()?;
    site.agent(1).wait_for_line("Backup -> Fault", SOON).await?;
    let since = Instant::now();
    let refused = site.command(0, &["drain"]).await?;
    let took = since.elapsed();
    ensure!(refused.code == Some(1) && refused.error == REFUSED, "{} {}", refused.output, refused.error);
    ensure!(refused.output.is_empty() && took < Duration::from_secs(3), "{took:?} {}", refused.output);
    site.agent(0).wait_for_line("ERROR", SOON).await?;
    site.wire.wait_for_adverts(0, 3, Instant::now()).await?;
    ensure!(site.lost(since).await?.is_empty());
    site.assert_held(0, since, Duration::ZERO, Duration::ZERO).await?;

    // It tries again by itself.
    let since = Instant::now();
    site.start_balancer(1).await?;
    ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
    site.assert_states(0, since, &["Active -> Fault"]).await?;
    ensure!(site.transitions(0, since)[0].why == "handed over to 10.10.10.12");
    site.assert_held(1, since, OVERLAP, Duration::ZERO).await
}

#[tokio::test]
async fn undrain_ends_the_tries_of_the_last_host() -> Result<()> {
    let site = Site::with_agents(1, 0, &[]).await?;
    let since = Instant::now();
    let refused = site.command(0, &["drain"]).await?;
    ensure!(refused.code == Some(1) && refused.error == REFUSED, "{} {}", refused.output, refused.error);
    ensure!(site.command(0, &["undrain"]).await?.code == Some(0));
    site.agent(0).wait_for_line("this host takes part again and keeps the address", SOON).await?;
    site.assert_undisturbed(0, since).await
}

#[tokio::test]
async fn force_lets_go_of_the_address() -> Result<()> {
    let site = Site::with_agents(1, 0, &[]).await?;
    let since = Instant::now();
    ensure!(site.command(0, &["drain"]).await?.code == Some(1));
    let forced = site.command(0, &["drain", "--force"]).await?;
    ensure!(forced.code == Some(0) && forced.output == DRAINED, "{} {}", forced.output, forced.error);
    ensure!(site.lab.holders().await?.is_empty());
    site.assert_states(0, since, &["Active -> Fault"]).await?;
    ensure!(site.transitions(0, since)[0].why.starts_with("drained on request"));
    ensure!(site.command(0, &["undrain"]).await?.code == Some(0));
    ensure!(site.lab.wait_for_holder(SOON).await? == 0);
    Ok(())
}

/// With somebody to take it, force is as gentle as the other way.
#[tokio::test]
async fn force_hands_over_where_it_can() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    ensure!(site.command(0, &["drain", "--force"]).await?.code == Some(0));
    site.assert_held(1, since, OVERLAP, Duration::ZERO).await
}

/// A wish to drain is not written down anywhere.
#[tokio::test]
async fn a_restart_ends_the_drain() -> Result<()> {
    let mut site = Site::with_agents(2, 0, &[]).await?;
    ensure!(site.command(0, &["drain"]).await?.code == Some(0));
    site.agent(0).signal(nix::sys::signal::Signal::SIGTERM)?;
    site.agent(0).wait(SOON).await?;
    site.start_agent(0, &[]).await?;
    site.wait_for_backup(0).await?;
    let since = Instant::now();
    site.agent(1).kill9()?;
    ensure!(site.lab.wait_for_successor(1, SOON).await? == 0);
    let holding = site.lab.watcher().holding(VIP.into(), since)?;
    ensure!(holding.none < SILENCE, "{holding:?}");
    Ok(())
}

#[tokio::test]
async fn no_other_user_may_drain() -> Result<()> {
    if !is_real_root() {
        println!("not tested: a user namespace has no second user");
        return Ok(());
    }
    let site = Site::with_agents(2, 0, &[]).await?;
    // Where another user can get at it.
    let files = tempfile::tempdir()?;
    std::fs::set_permissions(files.path(), PermissionsExt::from_mode(0o755))?;
    let program = files.path().join("outrider");
    tool::install(Path::new(PROGRAM), &program)?;
    let since = Instant::now();
    // The agent itself is nobody by now; so are other programs.
    for (order, user) in [("drain", 1000), ("undrain", 1000), ("drain", 65534)] {
        let mut command = Command::new(&program);
        command.arg(order).env_clear().env("OUTRIDER_VIP", VIP.to_string()).uid(user).gid(user);
        let refused = site.run(0, command).await?;
        ensure!(refused.code == Some(1), "{}", refused.output);
        ensure!(refused.error.contains(&format!("user {user} may not")), "{}", refused.error);
    }
    site.stays_calm(0, 3).await?;
    site.assert_undisturbed(0, since).await
}

#[tokio::test]
async fn without_an_agent_there_is_nobody_to_ask() -> Result<()> {
    let site = Site::new(1).await?;
    for order in ["drain", "undrain"] {
        let failed = site.command(0, &[order]).await?;
        let wanted = "no agent listens on @outrider/10.10.10.2: is it running, with the same settings?";
        ensure!(failed.code == Some(1) && failed.error.contains(wanted), "{}", failed.error);
    }
    Ok(())
}
