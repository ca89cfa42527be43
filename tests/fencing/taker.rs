//! What the taker of the address does, and in which order.

use crate::support::{SOON, Site};
use crate::wire::What;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// An announcement may be late by as much on a busy machine.
const LATE: Duration = Duration::from_millis(120);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Add, announce, advertise: asserts it of host 1 since then, and returns when it announced the first time.
fn order(site: &Site, since: Instant) -> Result<Instant> {
    let sent = site.wire.sent(1, since);
    let announced = |what| matches!(what, What::Announcement { .. });
    let first = sent.iter().position(|frame| announced(frame.what)).context("no announcement")?;
    let advert =
        sent.iter().position(|frame| matches!(frame.what, What::Advert { .. })).context("no advert")?;
    // Twice five, in both forms each.
    let before = sent[..advert].iter().filter(|frame| announced(frame.what)).count();
    ensure!(first == 0 && before == 10, "{before} announcements before the first advert: {sent:?}");
    let hasty = sent.iter().filter(|frame| frame.what == What::Announcement { there: false });
    ensure!(hasty.count() == 0, "announced before the kernel had it: {sent:?}");
    Ok(sent[first].at)
}

/// Asserts that something was announced soon after each of these moments.
fn announced_after(announcements: &[Instant], start: Instant, moments: &[u64]) -> Result<()> {
    for moment in moments {
        // It counts from the acknowledgement of the kernel, a moment before the first announcement.
        let from = start + ms(*moment) - ms(5);
        let found = announcements.iter().any(|at| (from..from + LATE).contains(at));
        let after: Vec<_> = announcements.iter().map(|at| at.saturating_duration_since(start)).collect();
        ensure!(found, "nothing was announced {moment} ms after the claim: {after:?}");
    }
    Ok(())
}

#[tokio::test]
async fn after_a_silence_it_insists_until_the_former_lease_is_over() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    site.agent(0).kill9()?;
    site.wait_for_change(1, true, since).await?;
    // Three seconds, which is more than a lease and what the kernel adds to it.
    site.wire.wait_for_adverts(1, 16, since).await?;
    let start = order(&site, since)?;
    let announcements = site.wire.announcements(1, since);
    announced_after(&announcements, start, &[0, 30, 100, 250, 500, 750, 1000, 1250, 1500, 1750])?;
    // The last advert was heard 0.6 s before the claim: with the lease and the slack of the kernel that makes 1.9 s.
    let late = announcements.iter().filter(|at| **at > start + ms(1900) + LATE).count();
    ensure!(late == 0, "{late} announcements after the former lease must have ended");
    Ok(())
}

/// The leaver may die before it has removed the address.
#[tokio::test]
async fn after_a_hand_over_the_address_is_announced_until_the_leavers_lease_is_over() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    site.agent(0).signal(Signal::SIGTERM)?;
    ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
    site.wire.wait_for_adverts(1, 12, since).await?;
    let start = order(&site, since)?;
    let announcements = site.wire.announcements(1, since);
    announced_after(&announcements, start, &[0, 30, 100, 250, 500, 750, 1000])
}
