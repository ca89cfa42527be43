//! Cables and network cards.

use crate::steady::steady;
use crate::support::{Ear, SILENCE, SOON, Site, ip, wait_until};
use anyhow::{Context, Result, ensure};
use outrider::lab::{VIP, metadata};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_host_without_carrier_loses_the_address_and_comes_back_as_backup() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.start_agents(0, &[]).await?;
        let since = Instant::now();
        site.host(0).cut().await?;
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        let why = site.wait_for_change(0, since, "Active -> Fault").await?;
        ensure!(why == "the link of eth0 is down", "{why}");
        // It lets go at once; the other one hears nothing, and waits for Master_Down.
        site.assert_held(1, since, Duration::ZERO, SILENCE).await?;
        let outage = site.lab.client().outage(since).await?;
        ensure!(outage.longest < SILENCE && outage.by.as_deref() == Some("lb2"), "{outage:?}");

        let since = Instant::now();
        site.host(0).restore().await?;
        site.agent(0).wait_for_line_since(since, "Fault -> Backup", SOON).await?;
        site.agent(0)
            .wait_for_line_since(since, "10.10.10.12 holds the address with priority ", SOON)
            .await?;
        stays_calm(&site, 1, 0, since).await
    })
    .await
}

/// Nobody takes the address from the holder for as long as twelve adverts take, four times Master_Down.
async fn stays_calm(site: &Site, holder: usize, other: usize, since: Instant) -> Result<()> {
    let (now, from) = (Instant::now(), site.host(holder).address());
    Ear::open(site.host(other).namespace()).await?.wait_for(12, from, now).await?;
    site.assert_served(holder, since).await?;
    site.assert_held(holder, since, Duration::ZERO, Duration::ZERO).await
}

/// A host that is cut off without noticing keeps the address, and nobody can tell: as soon as it is back, one of
/// the two must go. The higher priority wins, whoever of the two was cut off.
async fn a_healed_split_ends_with_the_higher_rank(cut_off: usize) -> Result<()> {
    let mut site = Site::with_balancers(2).await?;
    let ranks = site.by_rank(2);
    let (holder, other) = (ranks[cut_off], ranks[1 - cut_off]);
    site.start_agents(holder, &[]).await?;
    let split = Instant::now();
    site.host(holder).isolate().await?;
    site.lab.client().wait_for_answer_by(site.host(other).name(), SOON).await?;
    wait_until("both have it: the one cut off cannot know", async || {
        Ok(site.lab.watcher().holders(VIP.into())?.len() == 2)
    })
    .await?;
    site.wait_for_change(other, split, "Backup -> Active").await?;
    let outage = site.lab.client().outage(split).await?;
    ensure!(outage.longest < SILENCE, "{outage:?}");

    let healed = Instant::now();
    site.host(holder).rejoin().await?;
    let (winner, loser) = (ranks[0], ranks[1]);
    let lost = site.wait_for_loss(loser, healed, SOON).await?.duration_since(healed);
    ensure!(lost < SILENCE, "two holders for {lost:?} after the split was healed");
    ensure!(site.lab.wait_for_holder(SOON).await? == winner);
    ensure!(site.states(winner, healed).is_empty(), "{:?}", site.states(winner, healed));
    let why = site.wait_for_change(loser, healed, "Active -> Backup").await?;
    ensure!(
        why.contains(&format!(
            "{} took the address: its priority 254 > ours 238",
            site.host(winner).address()
        )),
        "{why}"
    );
    stays_calm(&site, winner, loser, Instant::now()).await
}

#[tokio::test]
async fn a_split_that_cut_off_the_lower_rank_ends_with_the_higher() -> Result<()> {
    steady(async || a_healed_split_ends_with_the_higher_rank(1).await).await
}

#[tokio::test]
async fn a_split_that_cut_off_the_higher_rank_ends_with_the_higher() -> Result<()> {
    steady(async || a_healed_split_ends_with_the_higher_rank(0).await).await
}

/// From three members on, a host that hears nobody at all knows that it is the one cut off.
#[tokio::test]
async fn of_three_hosts_one_that_is_cut_off_claims_nothing() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(3).await?;
        site.start_agents(0, &[]).await?;
        let since = Instant::now();
        site.host(1).isolate().await?;
        site.agent(1).wait_for_line_since(since, "there is no claim: this host seems cut off", SOON).await?;
        let healed = Instant::now();
        site.host(1).rejoin().await?;
        stays_calm(&site, 0, 1, healed).await?;
        for host in 0..3 {
            ensure!(site.states(host, since).is_empty(), "{:?}", site.states(host, since));
        }
        site.assert_held(0, since, Duration::ZERO, Duration::ZERO).await
    })
    .await
}

/// A holder that was cut off from both others yields to the one that took over, though its rank is higher: the
/// clients are there.
#[tokio::test]
async fn of_three_hosts_a_holder_that_was_cut_off_does_not_take_the_address_back() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(3).await?;
        let holder = site.by_rank(2)[0];
        site.start_agents(holder, &[]).await?;
        let split = Instant::now();
        site.host(holder).isolate().await?;
        let mut answers = site.lab.client().subscribe();
        let name = site.host(holder).name().to_owned();
        let by_another =
            answers.wait_for(|last| last.as_ref().is_some_and(|(at, by)| *at > split && *by != name));
        let by = tokio::time::timeout(SOON, by_another).await??.clone().map(|(_, by)| by);
        let other = site.lab.hosts().iter().position(|host| Some(host.name()) == by.as_deref());
        site.wait_for_change(other.context("a host")?, split, "Backup -> Active").await?;

        let healed = Instant::now();
        site.host(holder).rejoin().await?;
        site.wait_for_loss(holder, split, SOON).await?;
        let winner = site.lab.wait_for_successor(holder, SOON).await?;
        ensure!(site.states(winner, healed).is_empty(), "{:?}", site.states(winner, healed));
        stays_calm(&site, winner, holder, Instant::now()).await
    })
    .await
}

#[tokio::test]
async fn between_two_cards_of_one_subnet_somebody_must_choose() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(1).await?;
        let host = site.host(0);
        site.lab.switch().plug("second", host.namespace(), "eth1", "10.10.10.21/24".parse()?).await?;

        site.start_agent(0, &[]).await?;
        let status = site.agent(0).wait(SOON).await?;
        ensure!(status.code() == Some(2), "{status}");
        let wanted = "several interfaces have a subnet that contains 10.10.10.2: eth0, eth1; name one in \
                  OUTRIDER_INTERFACE or in the host label outrider.interface";
        site.agent(0).wait_for_line(wanted, SOON).await?;
        ensure!(site.lab.watcher().holders(VIP.into())?.is_empty());

        // A variable chooses.
        site.start_agent(0, &[("OUTRIDER_INTERFACE", "eth1")]).await?;
        site.lab.wait_for_holder(SOON).await?;
        ensure!(card_with_the_address(&site).await? == "eth1");
        site.agent(0).signal(nix::sys::signal::Signal::SIGTERM)?;
        ensure!(site.agent(0).wait(SOON).await?.code() == Some(0));
        ensure!(card_with_the_address(&site).await?.is_empty());

        // A host label does, and wins over the variable that all hosts have in common.
        let (uuid, address) = (site.host(0).uuid().to_owned(), site.host(0).address().to_string());
        let labelled = metadata::Host::new(&uuid, "lb1", &address).label("outrider.interface", "eth1");
        site.lab.world().put_host(&labelled);
        site.start_agent(0, &[("OUTRIDER_INTERFACE", "eth0")]).await?;
        site.lab.wait_for_holder(SOON).await?;
        ensure!(card_with_the_address(&site).await? == "eth1");
        Ok(())
    })
    .await
}

/// Interface that has the address on the first host.
async fn card_with_the_address(site: &Site) -> Result<String> {
    let listed = ip(site.host(0).namespace(), "-4 -o address show to 10.10.10.2/32").await?;
    Ok(listed.split_whitespace().nth(1).unwrap_or_default().to_owned())
}
