//! Hosts that do not know each other: the joiner knows the holder, and the holder's metadata is stuck.

use crate::station::{self, STATION};
use crate::support::*;
use outrider::lab::metadata::Fault;
use std::time::Instant;

const IN_USE: &str = "nobody is heard, but there is no claim: the address is in use by";

/// Host 0 holds the address and hears nothing new from its metadata; host 1 has joined after that.
async fn with_a_stuck_holder() -> Site {
    let (mut site, holder) = Site::running(1).await;
    assert_eq!(holder, 0);
    site.metadata(0).set_fault(Fault::Frozen);
    let joiner = site.add_host().await;
    site.lab.join(joiner);
    site.start_agent(joiner, &[]).await;
    site
}

#[tokio::test]
async fn a_joiner_unknown_to_the_holder_finds_it_by_arp_and_claims_nothing() {
    let since = Instant::now();
    let site = with_a_stuck_holder().await;
    let line = site.says(1, IN_USE).await;
    let mac = station::mac(&site, 0).await;
    assert!(line.contains(&format!("in use by {mac}, which answers for it")), "{line}");
    calm().await;
    assert_eq!(site.count(1, IN_USE), 1, "said once");
    assert_eq!(site.count(0, "taking part with"), 1, "it does not know yet");

    site.metadata(0).set_fault(Fault::None);
    site.says(0, "taking part with lb2 (10.10.10.12)").await;
    site.says(1, "10.10.10.11 holds the address with priority").await;
    calm().await;
    assert_eq!(site.count(1, " -> Active"), 0);
    assert!(site.changes(None).iter().all(|change| change.host == 0 && change.held));
    site.never_two(since, std::time::Duration::ZERO);
}

#[tokio::test]
async fn a_holder_that_is_not_listed_counts_and_is_answered() {
    let since = Instant::now();
    let mut site = with_a_stuck_holder().await;
    site.says(1, IN_USE).await;
    let asked = site.asked(0, "version");
    site.kill_balancer(0).await;
    site.held_by(1).await;
    let unlisted = "10.10.10.12 is not listed as a member, but advertises our address: it counts";
    site.says(0, unlisted).await;
    site.says(0, "10.10.10.12 holds the address with priority").await;
    until("the metadata is asked at once", || site.asked(0, "version") > asked).await;

    // It is followed like any other.
    let back = Instant::now();
    site.start_balancer(0).await;
    site.says_since(0, back, "Fault -> Backup").await;
    calm().await;
    assert_eq!((site.holders(), site.changes(back)), (vec![1], vec![]));

    // And told, when the address goes back.
    let dead = Instant::now();
    site.kill_balancer(1).await;
    site.held_by(0).await;
    site.says_since(0, dead, "Backup -> Active: 10.10.10.12 gave the address up").await;
    site.says_since(1, dead, "10.10.10.11 holds the address with priority").await;
    assert_eq!(site.count(0, "is not listed"), 1, "named once");
    assert_eq!(site.count(0, "taking part with"), 1, "all that with the old metadata");
    site.never_two(since, OVERLAP);
}

#[tokio::test]
async fn an_unlisted_rival_is_named_once_and_answered_by_unicast() {
    let (site, holder) = Site::running(2).await;
    let since = Instant::now();
    let asked = site.asked(holder, "version");
    let source = site.source(holder);
    let answer =
        tokio::join!(station::advertise(&site, 1, 5), station::hears(&site, source, STATION, |_| true)).1;
    assert!(answer > 1, "{answer}");
    until("the metadata is asked at once", || site.asked(holder, "version") > asked).await;
    for host in 0..2 {
        assert_eq!(site.count(host, "10.10.10.100 is not listed as a member"), 1);
    }
    assert_eq!(site.count(holder, "10.10.10.100 claims the address as well"), 1, "repeated, and said once");
    site.undisturbed(since, holder);
}

#[tokio::test]
async fn an_unlisted_holder_of_higher_priority_is_given_way() {
    let (site, holder) = Site::running(2).await;
    let since = Instant::now();
    station::advertise(&site, 255, 3).await;
    let lines = site.says_since(holder, since, "10.10.10.100 took the address: its priority 255").await;
    assert!(lines.contains("Active -> Backup"), "{lines}");
    // It falls silent, and the address comes back to one of the members.
    site.holder().await;
    site.never_two(since, OVERLAP);
}
