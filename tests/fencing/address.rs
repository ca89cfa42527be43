//! Others have their hands on the address: they delete it, add it elsewhere, keep the kernel busy.

use crate::support::{INTERVAL, SILENCE, SOON, Site, count, ip, wait_until};
use anyhow::{Context, Result, ensure};
use outrider::lab::VIP;
use outrider::lab::namespace::Namespace;
use outrider::net::announce::Announcer;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_address_that_is_deleted_again_and_again_is_put_back_each_time() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let since = Instant::now();
    for _ in 0..12 {
        let deleted = Instant::now();
        site.namespace(0).remove_address(VIP.into()).await?;
        site.wait_for_change(0, true, deleted).await?;
        // Whoever has learnt that it was gone is told.
        let told = async || Ok(!site.wire.announcements(0, deleted).is_empty());
        wait_until("the address is announced again", told).await?;
        site.lab.client().wait_for_answer_by("lb1", SOON).await?;
        ensure!(deleted.elapsed() < Duration::from_secs(2), "put back after {:?}", deleted.elapsed());
    }
    for host in 0..2 {
        site.assert_states(host, since, &[]).await?;
    }
    ensure!(site.wire.longest_pause(0, since) < INTERVAL * 3);
    ensure!(site.wire.adverts(0, since).iter().all(|(_, priority)| *priority > 0));
    site.assert_held(0, since, Duration::ZERO, Duration::from_secs(2)).await
}

/// A DHCP client renews a lease: the lifetime of the host's own address changes, and nothing else.
#[tokio::test]
async fn a_renewal_of_the_hosts_own_address_is_none_of_our_business() -> Result<()> {
    let site = Site::with_agents(2, 0, &[("OUTRIDER_VIP", "10.10.10.2/24")]).await?;
    let since = Instant::now();
    for seconds in [60, 61, 62] {
        let change =
            format!("addr change 10.10.10.11/24 dev eth0 valid_lft {seconds} preferred_lft {seconds}");
        ip(site.namespace(0), &change).await?;
        // A second address of the subnet comes, and goes before the first: what depends on it would go, too.
        ip(site.namespace(0), "addr add 10.10.10.51/24 dev eth0").await?;
        site.wire.wait_for_adverts(0, 2, Instant::now()).await?;
        ip(site.namespace(0), "addr del 10.10.10.51/24 dev eth0").await?;
    }
    site.stays_calm(0, 6).await?;
    ensure!(site.lost(since).await?.is_empty());
    site.assert_undisturbed(0, since).await
}

/// A DHCP client that lost its lease takes the host's own address away and brings it back: the host cannot say who it
/// is meanwhile, so it lets go, and serves again as soon as it is asked to.
#[tokio::test]
async fn a_host_whose_own_address_comes_and_goes_recovers_by_itself() -> Result<()> {
    let site = Site::with_agents(2, 0, &[("OUTRIDER_VIP", "10.10.10.2/24")]).await?;
    let listed = ip(site.namespace(0), "-4 -o addr show dev eth0 to 10.10.10.2/32").await?;
    ensure!(
        listed.contains("10.10.10.2/32") && !listed.contains("secondary"),
        "it hangs on another: {listed}"
    );
    let mut holder = 0;
    for _ in 0..2 {
        let other = 1 - holder;
        let since = Instant::now();
        ip(site.namespace(holder), "addr flush dev eth0").await?;
        ensure!(site.lab.wait_for_successor(holder, SOON).await? == other);
        site.assert_held(other, since, SILENCE, SILENCE).await?;
        site.assert_states(holder, since, &["Active -> Fault"]).await?;
        let why = &site.transitions(holder, since)[0].why;
        ensure!(why.contains("source address"), "{why}");

        site.assert_states(other, since, &["Backup -> Active"]).await?;

        let back = Instant::now();
        let own = site.host(holder).address();
        ip(site.namespace(holder), &format!("addr add {own}/24 dev eth0")).await?;
        let agent = site.agent(holder);
        agent.wait_for_line_since(back, "Fault -> Backup", SOON).await?;
        agent.wait_for_line_since(back, " holds the address with priority ", SOON).await?;
        site.stays_calm(other, 8).await?;
        holder = other;
    }
    Ok(())
}

/// The same in one go, as `ip addr replace` or a restart of networkd does it, on a host without a peer to help.
#[tokio::test]
async fn a_lone_host_whose_own_address_is_re_added_keeps_serving() -> Result<()> {
    let site = Site::with_agents(1, 0, &[("OUTRIDER_VIP", "10.10.10.2/24")]).await?;
    for _ in 0..4 {
        let since = Instant::now();
        let again = "addr flush dev eth0; ip addr add 10.10.10.11/24 dev eth0";
        site.namespace(0).run_command("sh", &["-c", &format!("ip {again}")]).await?;
        site.lab.client().wait_for_answer_by("lb1", SOON).await?;
        ensure!(since.elapsed() < SILENCE + SILENCE, "back after {:?}", since.elapsed());
        site.stays_calm(0, 0).await?;
    }
    let since = Instant::now();
    tokio::time::sleep(INTERVAL * 6).await;
    site.assert_undisturbed(0, since).await
}

/// Another station takes the same address for its own while we hold it.
#[tokio::test]
async fn a_foreign_station_that_claims_the_address_is_named_and_answered() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let foreign = Namespace::new("foreign").await?;
    site.lab.switch().plug("foreign", &foreign, "eth0", "10.10.10.66/24".parse()?).await?;
    let shown = ip(&foreign, "-br link show dev eth0").await?;
    let mac = shown.split_whitespace().nth(2).context("a hardware address")?.to_owned();
    // The bursts after the claim are over.
    site.stays_calm(0, 8).await?;

    let since = Instant::now();
    foreign.add_address("eth0", "10.10.10.2/32".parse()?).await?;
    let announcing = foreign.run(async {
        let announcer = Announcer::open("eth0")?;
        Ok::<(), anyhow::Error>(announcer.announce(VIP.into())?)
    });
    announcing.await??;
    let said = site.agent(0).wait_for_line_since(since, &mac, SOON).await?;
    ensure!(said.text.contains("WARN") && said.text.contains("announced by"), "{}", said.text);
    let answered = async || Ok(!site.wire.announcements(0, since).is_empty());
    wait_until("the holder announces the address again", answered).await?;
    site.lab.client().wait_for_answer_by("lb1", SOON).await?;
    // There are routers enough for one address: ours stays, and the clients find it.
    let since = Instant::now();
    site.stays_calm(0, 8).await?;
    let outage = site.lab.client().outage(since).await?;
    ensure!(outage.by.as_deref() == Some("lb1") && site.lost(since).await?.is_empty(), "{outage:?}");
    ensure!(count(site.agent(0), &mac) == 1, "said more than once");
    Ok(())
}

/// Somebody creates and deletes interfaces by the hundred, each time under the kernel's lock that the renewals need.
#[tokio::test]
async fn a_kernel_that_is_busy_with_interfaces_disturbs_nothing() -> Result<()> {
    let site = Site::with_agents(2, 0, &[]).await?;
    let files = tempfile::tempdir()?;
    let (add, remove) = (files.path().join("add"), files.path().join("remove"));
    let added: String =
        (0..200).map(|n| format!("link add v{n} group 7 type veth peer name w{n} group 7\n")).collect();
    std::fs::write(&add, added)?;
    std::fs::write(&remove, "link del group 7\n")?;
    let since = Instant::now();
    let mut rounds = 0;
    while rounds < 2 || since.elapsed() < Duration::from_secs(4) {
        for file in [&add, &remove] {
            ip(site.namespace(0), &format!("-batch {}", file.display())).await?;
        }
        rounds += 1;
    }
    let pause = site.wire.longest_pause(0, since);
    let renewals = site.wire.renewals(0, since);
    println!("{rounds} rounds in {:?}: longest pause {pause:?}, {renewals} renewals", since.elapsed());
    ensure!(pause < INTERVAL * 3, "{pause:?} between two adverts");
    site.assert_undisturbed(0, since).await
}
