//! The address in the kernel: others' addresses, other agents', and what an earlier run left.

use crate::steady::steady;
use crate::support::{EXPIRY, OVERLAP, SILENCE, SOON, Site, ip, transitions, wait_until};
use anyhow::{Context, Result, ensure};
use outrider::lab::VIP;
use outrider::lab::client::Client;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// A second address: its virtual router is another one, 3.
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 3);

#[tokio::test]
async fn two_agents_for_two_addresses_fail_over_each_on_its_own() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.start_agents(0, &[]).await?;
        let client = Client::start(site.lab.client_namespace(), SocketAddr::from((SECOND, 80)));
        let mut second = Vec::new();
        for host in 0..2 {
            second.push(site.host(host).start_agent(&[("OUTRIDER_VIP", "10.10.10.3")]).await?);
            // The first of the two agents for this address gets it.
            client.wait_for_answer_by("lb1", SOON).await?;
        }
        second[1].wait_for_line("10.10.10.11 holds the address with priority ", SOON).await?;
        second[1].wait_for_line("-> Backup", SOON).await?;

        // The agent of one address dies: the other address stays.
        let since = Instant::now();
        second[0].kill9()?;
        client.wait_for_answer_by("lb2", SOON).await?;
        site.assert_held(0, since, Duration::ZERO, Duration::ZERO).await?;
        ensure!(site.states(0, since).is_empty() && site.states(1, since).is_empty());
        second[0] = site.host(0).start_agent(&[("OUTRIDER_VIP", "10.10.10.3")]).await?;
        second[0].wait_for_line("10.10.10.12 holds the address with priority ", SOON).await?;
        second[0].wait_for_line("-> Backup", SOON).await?;
        second[1].wait_for_line_since(since, "Backup -> Active", SOON).await?;
        let before = transitions(&second[1]).len();
        // What the dead one left went when the new one heard who has the address now.
        wait_until("one host has the second address", async || {
            Ok(site.lab.watcher().holders(SECOND.into())? == [1])
        })
        .await?;

        // And the other way round.
        let since = Instant::now();
        site.agent(0).kill9()?;
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        site.assert_held(1, since, EXPIRY, SILENCE).await?;
        let of_second = site.lab.watcher().holding(SECOND.into(), since)?;
        ensure!(
            (of_second.two, of_second.none) == Default::default() && of_second.now == [1],
            "{of_second:?}"
        );
        ensure!(transitions(&second[1]).len() == before);

        // They share the load balancer: when it dies, both go.
        site.start_agent(0, &[]).await?;
        site.agent(0).wait_for_line("10.10.10.12 holds the address with priority ", SOON).await?;
        site.agent(0).wait_for_line("-> Backup", SOON).await?;
        site.balancer(1).kill9()?;
        ensure!(site.lab.wait_for_successor(1, SOON).await? == 0);
        client.wait_for_answer_by("lb1", SOON).await
    })
    .await
}

#[tokio::test]
async fn two_addresses_of_one_virtual_router_go_together() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        site.start_agents(0, &[("OUTRIDER_VIP", "10.10.10.2, 10.10.10.3")]).await?;
        let client = Client::start(site.lab.client_namespace(), SocketAddr::from((SECOND, 80)));
        client.wait_for_answer_by("lb1", SOON).await?;
        let since = Instant::now();
        site.balancer(0).kill9()?;
        ensure!(site.lab.wait_for_successor(0, SOON).await? == 1);
        client.wait_for_answer_by("lb2", SOON).await?;
        site.assert_held(1, since, OVERLAP, SILENCE).await?;
        let of_second = site.lab.watcher().holding(SECOND.into(), since)?;
        ensure!(
            of_second.now == [1] && of_second.two <= OVERLAP && of_second.none <= SILENCE,
            "{of_second:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_agent_for_the_same_virtual_router_waits_for_the_first() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(1).await?;
        site.start_agents(0, &[]).await?;
        let second = site.host(0).start_agent(&[("OUTRIDER_VIP", "10.10.10.2")]).await?;
        let waits = "waiting, without a claim: another agent on this host serves virtual router 2 on eth0";
        second.wait_for_line(waits, SOON).await?;

        let since = Instant::now();
        site.agent(0).kill9()?;
        second.wait_for_line("Backup -> Active", SOON).await?;
        ensure!(
            second.lines().iter().filter(|line| line.text.contains(waits)).count() == 1,
            "said more than once"
        );
        ensure!(site.lab.wait_for_holder(SOON).await? == 0);
        site.assert_held(0, since, Duration::ZERO, SILENCE).await
    })
    .await
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_never_removed() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(1).await?;
        site.host(0).namespace().add_address("eth0", "10.10.10.2/24".parse()?).await?;
        wait_until("it is seen", async || Ok(site.lab.watcher().holders(VIP.into())? == [0])).await?;
        let since = Instant::now();
        site.start_agent(0, &[]).await?;
        let fault =
            site.agent(0).wait_for_line("10.10.10.2 is on eth0 already and is not ours", SOON).await?;
        let (_, command) = fault.text.split_once("to clear it: ").context("how to clear it")?;
        ensure!(command == "ip addr del 10.10.10.2/24 dev eth0", "{command}");
        site.assert_held(0, since, Duration::ZERO, Duration::ZERO).await?;
        let states = site.states(0, since);
        ensure!(states.last().is_some_and(|last| last.ends_with("-> Fault")), "{states:?}");
        ensure!(!states.iter().any(|state| state.contains("Active")), "{states:?}");

        // A person does as told.
        ip(site.host(0).namespace(), command.strip_prefix("ip ").context("a command of ip")?).await?;
        site.agent(0).wait_for_line("Fault -> Backup", SOON).await?;
        site.agent(0).wait_for_line("Backup -> Active", SOON).await?;
        site.lab.wait_for_holder(SOON).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_address_that_turns_up_on_a_backup_makes_it_unfit() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        site.start_agents(0, &[]).await?;
        let since = Instant::now();
        site.host(1).namespace().add_address("eth0", "10.10.10.2/24".parse()?).await?;
        let fault = site.agent(1).wait_for_line("Backup -> Fault", SOON).await?;
        ensure!(fault.text.ends_with("to clear it: ip addr del 10.10.10.2/24 dev eth0"), "{}", fault.text);
        // The holder goes, and a host that is unfit does not take over; the foreign address stays where it is.
        site.agent(0).kill9()?;
        site.wait_for_loss(0, since, SOON).await?;
        ensure!(site.lab.holders().await? == [1]);
        ensure!(site.states(1, since) == ["Backup -> Fault"], "{:?}", site.states(1, since));
        let cleared = Instant::now();
        site.host(1).namespace().remove_address(VIP.into()).await?;
        site.agent(1).wait_for_line("Backup -> Active", SOON).await?;
        ensure!(site.lab.wait_for_holder(SOON).await? == 1);
        site.assert_held(1, cleared, Duration::ZERO, SILENCE).await
    })
    .await
}

#[tokio::test]
async fn an_address_that_somebody_deletes_is_put_back() -> Result<()> {
    steady(async || {
        let mut site = Site::with_haproxies(2).await?;
        site.start_agents(0, &[]).await?;
        for _ in 0..3 {
            let since = Instant::now();
            site.host(0).namespace().remove_address(VIP.into()).await?;
            site.wait_for_loss(0, since, SOON).await?;
            ensure!(site.lab.wait_for_holder(SOON).await? == 0);
            let outage = site.lab.client().outage(since).await?;
            ensure!(outage.longest < Duration::from_secs(1), "{outage:?}");
            site.agent(0)
                .wait_for_line_since(since, "somebody else removed the address; it is put back", SOON)
                .await?;
            for host in 0..2 {
                ensure!(site.states(host, since).is_empty(), "{:?}", site.states(host, since));
            }
            site.assert_held(0, since, Duration::ZERO, Duration::from_secs(1)).await?;
        }
        Ok(())
    })
    .await
}

/// The others have not missed it yet: what it had stays until one of them has it.
#[tokio::test]
async fn a_holder_that_crashes_and_is_there_again_at_once_leaves_no_gap() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        site.start_agents(0, &[]).await?;

        let since = Instant::now();
        site.agent(0).kill9()?;
        site.start_agent(0, &[]).await?;
        site.agent(0).wait_for_line("an earlier run left the address behind", SOON).await?;
        site.agent(1).wait_for_line_since(since, "Backup -> Active", SOON).await?;
        site.wait_for_loss(0, since, SOON).await?;
        site.assert_held(1, since, OVERLAP, Duration::ZERO).await?;
        ensure!(site.states(0, since) == ["Initialize -> Backup"], "{:?}", site.states(0, since));
        site.assert_served(1, Instant::now()).await
    })
    .await
}

/// Without a lease the kernel cannot clean up after a killed agent: the next one does.
#[tokio::test]
async fn what_an_earlier_run_left_behind_is_removed_at_start() -> Result<()> {
    steady(async || {
        let mut site = Site::with_balancers(2).await?;
        let forever = [("OUTRIDER_LEASE", "forever")];
        site.start_agents(0, &forever).await?;
        site.agent(0).kill9()?;
        site.agent(1).wait_for_line("Backup -> Active", SOON).await?;
        wait_until("both have it: this is what the lease is for", async || {
            Ok(site.lab.holders().await? == [0, 1])
        })
        .await?;

        let since = Instant::now();
        site.start_agent(0, &forever).await?;
        site.agent(0)
            .wait_for_line("removing 10.10.10.2/32 from eth0: an earlier run left it behind", SOON)
            .await?;
        site.wait_for_loss(0, since, SOON).await?;
        site.agent(0).wait_for_line("-> Backup", SOON).await?;
        ensure!(site.lab.wait_for_holder(SOON).await? == 1);
        ensure!(site.states(1, since).is_empty(), "{:?}", site.states(1, since));
        site.assert_held(1, since, SILENCE + OVERLAP, Duration::ZERO).await
    })
    .await
}
