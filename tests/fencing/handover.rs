//! Planned hand-overs: no moment without a holder, and none with two but the overlap.

use crate::support::{INTERVAL, OVERLAP, SOON, Site};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use outrider::lab::client::Outcome;
use outrider::lab::metadata;
use std::time::{Duration, Instant};

/// How long the leaver keeps the address after its successor's first advert.
const AFTER: Duration = Duration::from_millis(20);
/// Time stamps of frames and of netlink's notifications come from different places.
const BLUR: Duration = Duration::from_millis(1);

/// Two hosts, of which the first holds the address, and 1,000 requests a second.
async fn under_load() -> Result<Site> {
    let mut site = Site::with_agents(2, 0, &[]).await?;
    site.double_the_load().await?;
    Ok(site)
}

/// Host 0 has just been made to leave; host 1 takes over.
async fn without_a_gap(site: &Site, since: Instant) -> Result<()> {
    let taken = site.wait_for_change(1, true, since).await?;
    let lost = site.wait_for_loss(0, since).await?;
    site.lab.client().wait_for_answer_by("lb2", SOON).await?;

    let (answered, _) = site.wire.first_advert(1, since, |priority| priority > 0).await?;
    let offers = site.wire.adverts(0, since).into_iter().filter(|(_, priority)| *priority == 0);
    let offers: Vec<Instant> = offers.map(|(at, _)| at).collect();
    let (first_offer, last_offer) = (offers.first().context("no offer")?, offers.last().context("none")?);
    ensure!(answered > *first_offer && taken > *first_offer, "taken before it was given");
    ensure!(*last_offer <= answered + AFTER, "an offer after the successor was there");
    // Each priority 0 restarts a keepalived peer's Skew_Time.
    for pair in offers.windows(2) {
        ensure!(pair[1] - pair[0] >= INTERVAL * 3 / 2 - BLUR, "offers too close: {offers:?}");
    }
    let kept = lost.saturating_duration_since(answered);
    ensure!(kept + BLUR >= AFTER, "the leaver went {kept:?} after its successor's first advert");
    ensure!(kept < AFTER + OVERLAP, "the leaver stayed for {kept:?}");
    site.assert_held(1, since, OVERLAP, Duration::ZERO).await?;

    // A connection that was begun with one host and goes on with the other, which knows nothing of it, cannot be
    // saved. There is no other loss.
    let moved = *site.wire.announcements(1, since).first().context("no announcement")?;
    let (middle, lost): (Vec<_>, Vec<_>) = site.lost(since).await?.into_iter().partition(|request| {
        matches!(request.outcome, Outcome::Lost(at) if request.sent <= moved + BLUR && at + BLUR >= moved)
    });
    println!("{} requests were lost in the middle of the hand-over", middle.len());
    ensure!(lost.is_empty(), "clients were told at {moved:?}: {lost:?}");
    // Nothing comes after it.
    let after = site.wire.adverts(0, since).into_iter().filter(|(at, _)| *at > answered + AFTER * 2);
    ensure!(after.count() == 0, "the leaver went on");
    site.assert_states(1, since, &["Backup -> Active"]).await
}

#[tokio::test]
async fn at_sigterm() -> Result<()> {
    let site = under_load().await?;
    let since = Instant::now();
    site.agent(0).signal(Signal::SIGTERM)?;
    without_a_gap(&site, since).await?;
    let status = site.agent(0).wait(SOON).await?;
    ensure!(status.code() == Some(0), "{status}");
    site.assert_states(0, since, &["Active -> Fault"]).await
}

#[tokio::test]
async fn at_a_drain() -> Result<()> {
    let site = under_load().await?;
    let since = Instant::now();
    let drained = site.command(0, &["drain"]).await?;
    ensure!(drained.code == Some(0), "{}", drained.error);
    without_a_gap(&site, since).await?;
    site.assert_states(0, since, &["Active -> Fault"]).await
}

#[tokio::test]
async fn at_a_loss_of_membership() -> Result<()> {
    let site = under_load().await?;
    let since = Instant::now();
    let host = site.host(0);
    let mut entry = metadata::Host::new(host.uuid(), host.name(), &host.address().to_string());
    entry.labels.clear();
    site.lab.world().put_host(&entry);
    without_a_gap(&site, since).await?;
    site.assert_states(0, since, &["Active -> Fault"]).await
}

/// A host that cannot serve does not wait for anybody: not for a successor, not for the end of the limit.
#[tokio::test]
async fn a_dead_load_balancer_lets_go_at_once() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    site.balancer(1).kill9()?;
    site.agent(1).wait_for_line("Backup -> Fault", SOON).await?;
    let since = Instant::now();
    site.balancer(0).kill9()?;
    let lost = site.wait_for_loss(0, since).await?;
    let (offer, _) = site.wire.first_advert(0, since, |priority| priority == 0).await?;
    let kept = lost.saturating_duration_since(offer);
    ensure!(kept < Duration::from_millis(300), "it kept the address for {kept:?} after having given it up");
    site.assert_states(0, since, &["Active -> Fault"]).await
}

/// The first in line claims at once; the others wait their Skew, and stay what they are. With an interval of two
/// seconds the first one's Skew would be 141 ms, which is longer than even a busy machine takes.
#[tokio::test]
async fn of_three_the_first_in_line_does_not_wait() -> Result<()> {
    let mut site = Site::new(3).await?;
    let ranks = site.by_rank();
    let [leaver, first, other] = ranks[..] else { anyhow::bail!("three hosts") };
    site.start_agents(leaver, &[("OUTRIDER_ADVERT_INTERVAL", "2s")]).await?;
    let since = Instant::now();
    site.agent(leaver).signal(Signal::SIGTERM)?;
    let lost = site.wait_for_loss(leaver, since).await?;
    let (offer, _) = site.wire.first_advert(leaver, since, |priority| priority == 0).await?;
    let (claimed, priority) = site.wire.first_advert(first, since, |_| true).await?;
    let took = claimed.duration_since(offer);
    ensure!(priority == 238 && took < Duration::from_millis(100), "priority {priority} after {took:?}");
    ensure!(lost > claimed);
    site.wire.wait_for_adverts(first, 4, claimed).await?;
    site.assert_states(first, since, &["Backup -> Active"]).await?;
    site.assert_states(other, since, &[]).await?;
    site.wire.assert_mute(other, since)?;
    site.assert_held(first, since, OVERLAP, Duration::ZERO).await
}
