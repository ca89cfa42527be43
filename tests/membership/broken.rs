//! The metadata service fails while the agents run: the last good members stay in force.

use crate::station::nudge;
use crate::support::*;
use outrider::lab::metadata::Fault;
use std::time::Instant;

const AWAY: &str = "the metadata service does not answer, the last members stay";
const UNUSABLE: &str = "the metadata is not usable, the last members stay";
const BACK: &str = "the metadata service answers again";

/// Breaks both hosts' services for several tries: both agents say so once, and nothing moves. Then all is well
/// again, and a change arrives.
async fn moves_nothing(fault: Fault, said: &str, why: &str, tries: u64) {
    let (site, holder) = Site::running(2).await;
    let since = Instant::now();
    site.set_fault(&fault);
    nudge(&site).await;
    for host in 0..2 {
        let line = site.says_since(host, since, said).await;
        assert!(line.contains(why), "{line}");
    }
    match fault {
        // Nobody counts there.
        Fault::Refuse => calm().await,
        _ => {
            let before: Vec<u64> = (0..2).map(|host| site.asked(host, "version")).collect();
            until("further tries", || (0..2).all(|host| site.asked(host, "version") >= before[host] + tries))
                .await;
        }
    }
    for host in 0..2 {
        assert_eq!((site.count(host, AWAY) + site.count(host, UNUSABLE), site.count(host, BACK)), (1, 0));
        assert_eq!(site.count(host, "taking part with"), 1);
    }
    site.undisturbed(since, holder);

    site.set_fault(&Fault::None);
    for host in 0..2 {
        site.says_since(host, since, BACK).await;
    }
    site.label(holder, |labels| drop(labels.insert("outrider.priority".into(), "77".into())));
    site.says_since(holder, since, "own priority 77").await;
    site.undisturbed(since, holder);
}

#[tokio::test]
async fn a_service_that_refuses_connections_moves_nothing() {
    moves_nothing(Fault::Refuse, AWAY, "/version: ", 0).await;
}

#[tokio::test]
async fn a_service_that_hangs_moves_nothing() {
    moves_nothing(Fault::Hang, AWAY, "no whole answer within 3 s", 1).await;
}

#[tokio::test]
async fn half_a_body_moves_nothing() {
    moves_nothing(Fault::HalfBody, AWAY, "/version: ", 3).await;
}

#[tokio::test]
async fn garbage_moves_nothing() {
    moves_nothing(Fault::Garbage, AWAY, "not the JSON it should be", 3).await;
}

#[tokio::test]
async fn a_service_that_has_lost_its_data_moves_nothing() {
    moves_nothing(Fault::NotLoaded, AWAY, "404", 3).await;
}

#[tokio::test]
async fn an_empty_answer_moves_nothing() {
    let (site, holder) = Site::running(2).await;
    let since = Instant::now();
    site.set_fault(&Fault::Empty);
    site.lab.world().update(|_| {});
    for host in 0..2 {
        let line = site.says_since(host, since, UNUSABLE).await;
        assert!(line.contains("/hosts is empty"), "{line}");
    }
    let before: Vec<u64> = (0..2).map(|host| site.asked(host, "hosts")).collect();
    until("further tries", || (0..2).all(|host| site.asked(host, "hosts") >= before[host] + 2)).await;
    for host in 0..2 {
        assert_eq!((site.count(host, UNUSABLE), site.count(host, AWAY)), (1, 0));
    }
    site.undisturbed(since, holder);
}

#[tokio::test]
async fn the_last_members_go_on_electing_among_themselves() {
    let (mut site, first) = Site::running(2).await;
    let since = Instant::now();
    site.set_fault(&Fault::Garbage);
    for host in 0..2 {
        site.says_since(host, since, AWAY).await;
    }
    site.kill_balancer(first).await;
    let second = site.successor(first).await;
    site.start_balancer(first).await;
    site.says_since(first, since, "Fault -> Backup").await;
    site.kill_balancer(second).await;
    assert_eq!(site.successor(second).await, first);
    site.never_two(since, OVERLAP);
}

#[tokio::test]
async fn frozen_data_is_no_reason_for_anything() {
    let (site, holder) = Site::running(2).await;
    let since = Instant::now();
    site.set_fault(&Fault::Frozen);
    // The Rancher server is down: what would be a reason to leave is not heard of.
    site.label(holder, |labels| labels.clear());
    nudge(&site).await;
    calm().await;
    for host in 0..2 {
        assert_eq!(site.count(host, "taking part with") + site.count(host, "metadata: "), 2);
        assert_eq!(site.count(host, AWAY) + site.count(host, UNUSABLE), 0);
    }
    site.undisturbed(since, holder);

    site.set_fault(&Fault::None);
    site.says_since(holder, since, "handing the address over: host label role=load-balancer is missing")
        .await;
    site.successor(holder).await;
    site.never_two(since, OVERLAP);
}
