//! What others on the same network do: a station that has the address, a firewall that hides the adverts.

use crate::steady::steady;
use crate::support::{Ear, OVERLAP, SILENCE, SOON, Site, ip, run, wait_until};
use anyhow::{Context, Result, ensure};
use outrider::lab::VIP;
use outrider::lab::namespace::Namespace;
use std::time::{Duration, Instant};

#[tokio::test]
async fn another_station_that_has_the_address_is_named_and_left_in_peace() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        let station = Namespace::new("station").await?;
        site.lab.switch().plug("station", &station, "eth0", "10.10.10.2/24".parse()?).await?;
        let link = ip(&station, "-o link show dev eth0").await?;
        let mac =
            link.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).context("no MAC")?;

        for host in 0..2 {
            site.start_agent(host, &[]).await?;
        }
        for host in 0..2 {
            let line = site.agent(host).wait_for_line(&format!("is in use by {mac}"), SOON).await?;
            ensure!(line.text.contains("no claim"), "{}", line.text);
        }
        ensure!(site.lab.watcher().holders(VIP.into())?.is_empty());

        let gone = Instant::now();
        drop(station);
        let holder = site.lab.wait_for_holder(SOON).await?;
        site.assert_held(holder, gone, OVERLAP, SILENCE).await
    })
    .await
}

/// The packet socket sees adverts before netfilter does.
#[tokio::test]
async fn a_firewall_that_drops_adverts_does_not_hide_the_holder() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        let nft =
            async |rules: &str| run(site.host(1).namespace(), "nftables", &format!("nft {rules}")).await;
        nft("add table ip filter").await?;
        nft("add chain ip filter input { type filter hook input priority 0 ; }").await?;
        nft("add rule ip filter input ip protocol 112 counter drop").await?;
        site.start_agents(0, &[]).await?;

        let since = Instant::now();
        wait_until("twenty adverts are dropped, more than six times Master_Down", async || {
            let rules = nft_list(&site).await?;
            let packets = rules.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next());
            Ok(packets.context("a counter")?.parse::<u32>()? >= 20)
        })
        .await?;
        ensure!(site.states(1, since).is_empty(), "{:?}", site.states(1, since));
        site.assert_held(0, since, Duration::ZERO, Duration::ZERO).await?;

        // It is told by the same way when it is its turn.
        let ear = Ear::open(site.host(1).namespace()).await?;
        let since = Instant::now();
        site.agent(0).signal(nix::sys::signal::Signal::SIGTERM)?;
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        ensure!(ear.heard(site.host(0).address(), since).iter().any(|advert| advert.priority == 0));
        ensure!(site.agent(0).wait(SOON).await?.code() == Some(0));
        site.assert_held(1, since, SILENCE, Duration::ZERO).await
    })
    .await
}

async fn nft_list(site: &Site) -> Result<String> {
    run(site.host(1).namespace(), "nftables", "nft list chain ip filter input").await
}
