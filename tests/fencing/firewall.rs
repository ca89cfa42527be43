//! Firewalls that let pass one direction only: on the host, and on the way.

use crate::support::{Closed, OVERLAP, SILENCE, SOON, Site, close_port, count, nft, open_ports, wait_until};
use anyhow::{Result, ensure};
use outrider::lab::VIP;
use std::time::{Duration, Instant};

/// Drops protocol 112 on the host itself.
fn drop_vrrp(hook: &str) -> String {
    format!(
        "add table ip fencing; add chain ip fencing gate {{ type filter hook {hook} priority 0; }}; \
         add rule ip fencing gate ip protocol vrrp drop"
    )
}

const ALLOW: &str = "delete table ip fencing";

#[tokio::test]
async fn a_holder_that_may_not_send_says_so_and_steps_down() -> Result<()> {
    // It ranks first: otherwise it would yield as soon as it hears the other one.
    let mut site = Site::new(2).await?;
    let [holder, other] = site.by_rank()[..] else { anyhow::bail!("two hosts") };
    site.start_agents(holder, &[]).await?;
    let since = Instant::now();
    nft(site.namespace(holder), &drop_vrrp("output")).await?;
    let said = site.agent(holder).wait_for_line("no advert can be sent: ", SOON).await?;
    let peer = site.host(other).address().to_string();
    ensure!(said.text.contains(&peer) && said.text.contains("not permitted"), "{}", said.text);
    site.assert_states(holder, since, &["Active -> Fault"]).await?;
    let why = &site.transitions(holder, since)[0].why;
    ensure!(why.contains("no advert could be sent") && why.contains("not permitted"), "{why}");
    site.assert_states(other, since, &["Backup -> Active"]).await?;
    site.lab.client().wait_for_answer_by(site.host(other).name(), SOON).await?;
    site.assert_held(other, since, OVERLAP * 2, SILENCE).await?;

    // Said once for the cause, and once for the change of state.
    site.stays_calm(other, 12).await?;
    ensure!(count(site.agent(holder), "no advert can be sent") == 1);
    ensure!(
        count(site.agent(holder), "not permitted") <= 3,
        "too much noise:\n{}",
        site.agent(holder).tail(20)
    );

    let allowed = Instant::now();
    nft(site.namespace(holder), ALLOW).await?;
    site.agent(holder).wait_for_line_since(said.at, "Fault -> Backup", SOON).await?;
    site.stays_calm(other, 12).await?;
    site.assert_held(other, allowed, Duration::ZERO, Duration::ZERO).await
}

/// A firewall that hides the holder from everybody else on this host does not hide it from the agent.
#[tokio::test]
async fn a_firewall_before_the_backup_hides_no_holder() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    for hook in ["input", "prerouting"] {
        nft(site.namespace(1), &drop_vrrp(hook)).await?;
        site.stays_calm(0, 12).await?;
        nft(site.namespace(1), ALLOW).await?;
    }
    // Nor a successor from the leaver.
    nft(site.namespace(0), &drop_vrrp("input")).await?;
    let since = Instant::now();
    ensure!(site.command(0, &["drain"]).await?.code == Some(0));
    site.assert_held(1, since, OVERLAP, Duration::ZERO).await
}

/// What the holder sends is lost on the way, and it hears all: a peer takes over, as it must. The holder sees that.
/// If it ranks lower, it yields; if it ranks higher, it keeps an address under which nobody can hear it, says so,
/// and gets its way when the network is whole again. Clients are served by the other one all the while.
#[tokio::test]
async fn a_holder_that_nobody_hears_is_replaced() -> Result<()> {
    for unheard in [0, 1] {
        let mut site = Site::new(2).await?;
        let ranks = site.by_rank();
        let (holder, other) = (ranks[unheard], ranks[1 - unheard]);
        site.start_agents(holder, &[]).await?;
        let since = Instant::now();
        close_port(&site, holder, Closed::From).await?;
        site.lab.client().wait_for_answer_by(site.host(other).name(), SOON).await?;
        if unheard == 0 {
            site.agent(holder).wait_for_line("claims the address as well, with priority 238", SOON).await?;
            // The kernel may have taken its time to add what was advertised already.
            let both = async || Ok(site.lab.watcher().holders(VIP.into())?.len() == 2);
            wait_until("both have the address", both).await?;
        } else {
            site.assert_states(holder, since, &["Active -> Backup"]).await?;
        }
        let served = Instant::now();
        site.wire.wait_for_adverts(other, 12, served).await?;
        let outage = site.lab.client().outage(served).await?;
        ensure!(outage.by.as_deref() == Some(site.host(other).name()), "{outage:?}");
        ensure!(site.lost(served).await?.is_empty(), "{outage:?}");

        open_ports(&site).await?;
        ensure!(site.lab.wait_for_holder(SOON).await? == ranks[0]);
        site.stays_calm(ranks[0], 12).await?;
    }
    Ok(())
}

/// What the holder should get is lost on the way, and everybody hears it: nobody takes over, since whoever did would
/// be the second one. Two of two cannot do better.
#[tokio::test]
async fn a_holder_that_hears_nobody_keeps_the_address() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    close_port(&site, 0, Closed::To).await?;
    site.wire.wait_for_adverts(0, 16, since).await?;
    site.assert_undisturbed(0, since).await?;
    open_ports(&site).await?;
    ensure!(site.lab.wait_for_holder(SOON).await? == 0);
    site.assert_undisturbed(0, since).await
}

/// A Backup that gets nothing any more: with three members it knows that the silence is its own.
#[tokio::test]
async fn of_three_a_backup_that_hears_nobody_makes_no_claim() -> Result<()> {
    let site = Site::with_agents(3, 0, &[]).await?;
    let since = Instant::now();
    close_port(&site, 1, Closed::To).await?;
    site.agent(1).wait_for_line("there is no claim: this host seems cut off", SOON).await?;
    site.stays_calm(0, 12).await?;
    open_ports(&site).await?;
    site.stays_calm(0, 12).await?;
    site.wire.assert_mute(1, since)
}
