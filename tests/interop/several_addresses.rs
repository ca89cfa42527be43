//! Virtual routers with more than one address: all of them go together, whoever has them.

use crate::site::{BUSY, Kind, OVERLAP, Settings, Site, count, wait_until};
use crate::speech::Speech;
use crate::steady::steady;
use anyhow::{Result, ensure};
use std::net::IpAddr;
use std::time::Instant;

const OURS: usize = 0;
const THEIRS: usize = 1;

/// outrider has the addresses, keepalived gets them, and outrider again. Neither finds fault with the other's list.
async fn go_together(theirs: Settings, ours: Settings, others: &[&str]) -> Result<()> {
    let speech = Speech::V3_UNICAST;
    let mut site = Site::new(2, speech).await?;
    let others: Vec<IpAddr> = others.iter().map(|address| address.parse().unwrap()).collect();
    let together = async |site: &Site, holder| {
        wait_until("all addresses are at one host", async || {
            let at = |address: &IpAddr| Ok(site.lab.watcher().holders(*address)? == [holder]);
            others.iter().map(at).collect::<Result<Vec<bool>>>().map(|at| !at.contains(&false))
        })
        .await
    };
    site.start_holder(OURS, ours).await?;
    let since = Instant::now();
    site.start_backup(THEIRS, theirs).await?;
    site.assert_calm(OURS).await?;
    site.assert_alone(OURS, since)?;
    together(&site, OURS).await?;

    let since = site.client_uses(OURS).await?;
    site.stop(OURS).await?;
    site.assert_settles(THEIRS, since, OVERLAP, OVERLAP).await?;
    together(&site, THEIRS).await?;

    let since = Instant::now();
    site.start_backup(OURS, ours).await?;
    site.assert_calm(THEIRS).await?;
    site.assert_alone(THEIRS, since)?;
    ensure!(count(site.log(OURS), "WARN") == 0, "{}", site.log(OURS).tail(10));

    let since = site.client_uses(THEIRS).await?;
    site.stop(THEIRS).await?;
    site.assert_settles(OURS, since, OVERLAP, speech.skew() + BUSY).await?;
    together(&site, OURS).await
}

/// In another order.
#[tokio::test]
async fn two_of_ipv4() -> Result<()> {
    steady(async || {
        let theirs = Settings { more_addresses: &["10.10.10.3"], ..Kind::Keepalived.at(100) };
        let ours = Settings {
            variables: &[("OUTRIDER_VIP", "10.10.10.3, 10.10.10.2"), ("OUTRIDER_VRID", "2")],
            ..Kind::Outrider.at(150)
        };
        go_together(theirs, ours, &["10.10.10.3"]).await
    })
    .await
}

/// One router of IPv4; the address of IPv6 is not in its adverts.
#[tokio::test]
async fn one_of_ipv4_and_one_of_ipv6() -> Result<()> {
    steady(async || {
        let theirs = Settings { excluded_addresses: &["2001:db8::2"], ..Kind::Keepalived.at(100) };
        let ours =
            Settings { variables: &[("OUTRIDER_VIP", "10.10.10.2, 2001:db8::2")], ..Kind::Outrider.at(150) };
        go_together(theirs, ours, &["2001:db8::2"]).await
    })
    .await
}
