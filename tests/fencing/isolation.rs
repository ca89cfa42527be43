//! Cut off, with and without noticing: who claims, who holds, and who yields when the network is whole again.

use crate::support::{Closed, EXPIRY, INTERVAL, SILENCE, SOON, Site, close_port, count, ip, open_ports};
use anyhow::{Result, ensure};
use outrider::lab::VIP;
use std::time::{Duration, Instant};

const CUT_OFF: &str = "there is no claim: this host seems cut off: no sign of life from ";
/// The client, which stands for a router here.
const GATEWAY: &str = "10.10.10.100";
/// Long enough for a claim that should not be: four times Master_Down.
const WHILE: usize = 12;

/// A Backup that hears nobody says so once, and stays what it is: while it is cut off, and after.
async fn makes_no_claim(site: &Site, host: usize, holder: usize, asked: &str) -> Result<()> {
    let since = Instant::now();
    close_port(site, host, Closed::BothWays).await?;
    let line = site.agent(host).wait_for_line(CUT_OFF, SOON).await?;
    ensure!(line.text.ends_with(asked), "{}", line.text);
    site.stays_calm(holder, WHILE).await?;
    open_ports(site).await?;
    site.stays_calm(holder, WHILE).await?;
    // Questions after others by ARP are all it has sent.
    site.wire.assert_mute(host, since)?;
    ensure!(count(site.agent(host), CUT_OFF) == 1, "said more than once");
    site.assert_undisturbed(holder, since).await
}

#[tokio::test]
async fn of_three_a_backup_that_is_cut_off_makes_no_claim() -> Result<()> {
    let site = Site::with_agents(3, 0, &[]).await?;
    // Any peer counts.
    makes_no_claim(&site, 1, 0, "10.10.10.11, 10.10.10.13").await?;
    // It still takes over when it should.
    site.agent(2).kill9()?;
    site.agent(0).kill9()?;
    ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
    Ok(())
}

#[tokio::test]
async fn the_guard_can_be_an_address() -> Result<()> {
    let site = Site::with_agents(2, 0, &[("OUTRIDER_GUARD", GATEWAY)]).await?;
    makes_no_claim(&site, 1, 0, GATEWAY).await?;
    // With a guard, a lone survivor can be told from an isolated one.
    site.agent(0).kill9()?;
    ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
    Ok(())
}

#[tokio::test]
async fn the_default_gateway_is_found_and_guards() -> Result<()> {
    let mut site = Site::new(2).await?;
    for host in 0..2 {
        ip(site.namespace(host), &format!("route add default via {GATEWAY}")).await?;
    }
    site.start_agents(0, &[]).await?;
    makes_no_claim(&site, 1, 0, "10.10.10.100, 10.10.10.11").await?;
    site.agent(0).kill9()?;
    ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
    Ok(())
}

#[tokio::test]
async fn without_a_guard_a_host_that_is_cut_off_claims() -> Result<()> {
    let site = Site::with_agents(3, 0, &[("OUTRIDER_GUARD", "off")]).await?;
    let since = Instant::now();
    close_port(&site, 1, Closed::BothWays).await?;
    site.wait_for_change(1, true, since).await?;
    ensure!(site.lab.watcher().holders(VIP.into())? == [0, 1]);
    let healed = Instant::now();
    open_ports(&site).await?;
    // One of the two goes, by priority.
    site.lab.wait_for_holder(SOON).await?;
    let holding = site.lab.watcher().holding(VIP.into(), healed)?;
    ensure!(holding.two < SILENCE && holding.none.is_zero(), "{holding:?}");
    Ok(())
}

/// Nobody claims while the guard is silent, and somebody does as soon as it speaks.
#[tokio::test]
async fn a_guard_that_is_down_keeps_everybody_from_claiming() -> Result<()> {
    let mut site = Site::new(1).await?;
    let since = Instant::now();
    site.start_agent(0, &[("OUTRIDER_GUARD", "10.10.10.99")]).await?;
    site.agent(0).wait_for_line(CUT_OFF, SOON).await?;
    tokio::time::sleep(INTERVAL * 8).await;
    site.wire.assert_mute(0, since)?;
    ensure!(site.lab.holders().await?.is_empty());
    site.lab.client_namespace().add_address("eth0", "10.10.10.99/24".parse()?).await?;
    ensure!(site.lab.wait_for_holder(SOON).await? == 0);
    Ok(())
}

#[tokio::test]
async fn a_host_that_starts_with_its_port_closed_does_not_claim() -> Result<()> {
    let mut site = Site::new(3).await?;
    let newcomer = site.by_rank()[0];
    let (holder, other) = ((newcomer + 1) % 3, (newcomer + 2) % 3);
    close_port(&site, newcomer, Closed::BothWays).await?;
    site.start_agent(holder, &[]).await?;
    ensure!(site.lab.wait_for_holder(SOON).await? == holder);
    site.start_agent(other, &[]).await?;
    site.wait_for_backup(other).await?;

    let started = Instant::now();
    site.start_agent(newcomer, &[]).await?;
    site.agent(newcomer).wait_for_line(CUT_OFF, SOON).await?;
    let cut_off = Instant::now();
    site.wire.wait_for_adverts(holder, 2 * WHILE, cut_off).await?;
    site.wire.assert_mute(newcomer, started)?;
    let opened = Instant::now();
    open_ports(&site).await?;
    site.wait_for_backup(newcomer).await?;
    site.wire.assert_mute(newcomer, opened)?;
    for host in [holder, other] {
        site.assert_states(host, started, &[]).await?;
    }
    site.stays_calm(holder, WHILE).await?;
    site.assert_held(holder, started, Duration::ZERO, Duration::ZERO).await
}

/// The holder is cut off, ranks first, and yields when it is back.
async fn yields_after_the_heal(site: &Site, isolated: usize) -> Result<()> {
    let split = Instant::now();
    site.host(isolated).isolate().await?;
    let taker = site.wait_for_taker(isolated, split).await?;
    site.lab.client().wait_for_answer_by(site.host(taker).name(), SOON).await?;
    let outage = site.lab.client().outage(split).await?;
    ensure!(outage.longest < SILENCE, "{outage:?}");

    site.assert_states(taker, split, &["Backup -> Active"]).await?;

    let healed = Instant::now();
    site.host(isolated).rejoin().await?;
    let lost = site.wait_for_loss(isolated, healed).await?.duration_since(healed);
    ensure!(lost < SILENCE, "two holders for {lost:?} after the heal");
    site.assert_states(isolated, healed, &["Active -> Backup"]).await?;
    // Nobody else moves, and nobody does later: no flapping.
    site.assert_states(taker, healed, &[]).await?;
    site.stays_calm(taker, 2 * WHILE).await?;
    let mut changes = site.lab.watcher().subscribe().borrow().clone();
    changes.retain(|change| change.address == VIP && change.at >= healed);
    ensure!(changes.len() == 1, "one loss should be all: {changes:?}");
    ensure!(site.lab.wait_for_holder(SOON).await? == taker);
    Ok(())
}

#[tokio::test]
async fn of_three_a_holder_that_was_cut_off_yields_whatever_the_priorities() -> Result<()> {
    let mut site = Site::new(3).await?;
    let first = site.by_rank()[0];
    site.start_agents(first, &[]).await?;
    yields_after_the_heal(&site, first).await
}

#[tokio::test]
async fn with_a_guard_a_holder_that_was_cut_off_yields_to_the_other() -> Result<()> {
    let mut site = Site::new(2).await?;
    let first = site.by_rank()[0];
    site.start_agents(first, &[("OUTRIDER_GUARD", GATEWAY)]).await?;
    yields_after_the_heal(&site, first).await
}

#[tokio::test]
async fn without_carrier_a_holder_gives_up_at_once() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    site.host(0).cut().await?;
    let lost = site.wait_for_loss(0, since).await?.duration_since(since);
    ensure!(lost < Duration::from_millis(500), "it kept the address for {lost:?}");
    site.lab.client().wait_for_answer_by("lb2", SOON).await?;
    site.assert_held(1, since, Duration::ZERO, SILENCE).await?;
    site.assert_states(0, since, &["Active -> Fault"]).await?;

    let since = Instant::now();
    site.host(0).restore().await?;
    site.assert_states(0, since, &["Fault -> Backup"]).await?;
    site.wire.wait_for_adverts(1, WHILE, since).await?;
    site.assert_states(0, since, &["Fault -> Backup"]).await?;
    site.assert_held(1, since, Duration::ZERO, Duration::ZERO).await
}

/// Whoever turned link tracking off has a reason: a cross-over cable to a peer that is down, for example.
#[tokio::test]
async fn with_link_tracking_off_the_holder_stays_without_carrier() -> Result<()> {
    let site = Site::with_agents(1, 0, &[("OUTRIDER_TRACK_LINK", "false")]).await?;
    let since = Instant::now();
    site.host(0).cut().await?;
    tokio::time::sleep(EXPIRY).await;
    site.assert_undisturbed(0, since).await?;
    site.host(0).restore().await?;
    ensure!(site.lab.wait_for_holder(SOON).await? == 0);
    site.assert_undisturbed(0, since).await
}
