//! Hosts that leave the metadata while they hold the address.

use crate::servers::serve_document;
use crate::station;
use crate::support::*;
use outrider::lab::metadata::Fault;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The holder hands over, twice at least, to one after the other; and the client notices nothing. A busy machine
/// loses a request by itself now and then, or starves a successor until the next one takes its place: but not each
/// time, and what a hand-over loses, it loses always.
async fn hands_over(
    site: &Site,
    mut holder: usize,
    leave: impl Fn(usize),
    rejoin: impl Fn(usize),
    why: &str,
) {
    let mut found = Vec::new();
    for _ in 0..5 {
        let since = Instant::now();
        leave(holder);
        site.says_since(holder, since, &format!("handing the address over: {why}")).await;
        site.says_since(holder, since, "Active -> Fault: handed over to").await;
        calm().await;
        let successor = site.successor(holder).await;
        let moves: Vec<_> = site.changes(since).iter().map(|change| (change.host, change.held)).collect();
        assert!(moves.first().is_some_and(|first| first.1), "it was let go before anybody had it: {moves:?}");
        site.never_two(since, OVERLAP);
        if moves == [(successor, true), (holder, false)] {
            let (from, to) = (site.source(holder), site.source(successor));
            site.says_since(holder, since, &format!("handed over to {to}")).await;
            site.says_since(successor, since, &format!("Backup -> Active: {from} gave the address up")).await;
            found.push(site.lost_nothing(since).await);
        } else {
            found.push(Err(format!("{moves:?}")));
        }

        // Back again, it is a Backup.
        let since = Instant::now();
        rejoin(holder);
        site.says_since(holder, since, "Fault -> Backup").await;
        assert!(site.changes(since).iter().all(|change| change.host != holder), "back, it takes nothing");
        holder = successor;
        if found.len() > 1 && found.iter().any(Result::is_ok) {
            return;
        }
    }
    panic!("requests were lost each time: {found:#?}");
}

#[tokio::test]
async fn a_holder_that_loses_its_label_hands_over_and_no_request_is_lost() {
    let (site, holder) = Site::running(3).await;
    let leave = |host| site.label(host, |labels| drop(labels.remove("role")));
    let rejoin = |host| site.label(host, |labels| drop(labels.insert("role".into(), "load-balancer".into())));
    hands_over(&site, holder, leave, rejoin, "host label role=load-balancer is missing").await;
}

#[tokio::test]
async fn a_deactivated_holder_hands_over_and_no_request_is_lost() {
    let (site, holder) = Site::running(2).await;
    let set = |host, state: &str| {
        site.lab.world().change_host(site.host(host).uuid(), |entry| entry["state"] = state.into());
    };
    let why = "this host is deactivated in Rancher (state inactive)";
    hands_over(&site, holder, |host| set(host, "inactive"), |host| set(host, "active"), why).await;
}

#[tokio::test]
async fn a_leaver_announces_nothing_once_its_successor_has_spoken() {
    let mut site = Site::new(2).await;
    // A burst that is still going on when the address moves.
    let burst = [
        ("OUTRIDER_GARP_REPEAT", "100"),
        ("OUTRIDER_GARP_INTERVAL", "15ms"),
        ("OUTRIDER_GARP_DELAY", "1500ms"),
    ];
    for host in 0..2 {
        site.start_agent(host, &burst).await;
    }
    let holder = site.holder().await;
    site.all_know(holder).await;
    let claims = station::claims(&site).await;
    let since = Instant::now();
    site.label(holder, |labels| drop(labels.remove("role")));
    let successor = site.successor(holder).await;
    site.says_since(holder, since, "handed over to").await;
    calm().await;
    let macs = [station::mac(&site, holder).await, station::mac(&site, successor).await];
    let claims: Vec<String> = claims.lock().unwrap().iter().map(|(_, mac)| mac.clone()).collect();
    let first = claims.iter().position(|mac| *mac == macs[1]).expect("the successor announces the address");
    let late = claims[first..].iter().filter(|mac| **mac == macs[0]).count();
    assert_eq!(late, 0, "the leaver pulled the traffic back");
}

#[tokio::test]
async fn a_holder_that_is_removed_hands_over_and_no_request_is_lost() {
    let mut site = Site::new(2).await;
    // In the lab's own services a host that is removed does not know itself any more.
    let mut listed = Value::Null;
    site.lab.world().update(|document| listed = document.clone());
    let entries = listed["hosts"].as_array().cloned().expect("hosts");
    let entry = |host| {
        let uuid = site.host(host).uuid();
        entries.iter().find(|entry| entry["uuid"] == uuid).expect("an entry").clone()
    };
    let answers: Vec<_> = (0..2)
        .map(|host| {
            let mut answer = listed.clone();
            answer["self"] = json!({ "host": entry(host) });
            answer["version"] = "1".into();
            Arc::new(Mutex::new(answer))
        })
        .collect();
    let entries = [entry(0), entry(1)];
    for (host, answer) in answers.iter().enumerate() {
        serve_document(site.host(host), OTHER_METADATA, answer).await;
        site.start_agent(host, &[OTHER_URL]).await;
    }
    let holder = site.holder().await;
    site.all_know(holder).await;

    let list = |hosts: Vec<Value>| {
        for answer in &answers {
            let mut answer = answer.lock().unwrap();
            answer["hosts"] = hosts.clone().into();
            answer["version"] = format!("{}+", answer["version"]).into();
        }
    };
    let remove = |host: usize| list(vec![entries[1 - host].clone()]);
    let restore = |_| list(entries.to_vec());
    hands_over(&site, holder, remove, restore, "Rancher no longer lists this host").await;
}

#[tokio::test]
async fn a_holder_that_left_the_metadata_and_does_not_know_it_stays_the_only_one() {
    let (site, holder) = Site::running(2).await;
    let other = 1 - holder;
    let since = Instant::now();
    // As on a host that was removed: its own service never tells it.
    site.metadata(holder).set_fault(Fault::Frozen);
    site.lab.world().remove_host(site.host(holder).uuid());
    site.says_since(other, since, "taking part with nobody").await;
    calm().await;
    site.undisturbed(since, holder);

    // When it ends it hands over to whom it knows.
    site.stop_agent(holder).await;
    site.held_by(other).await;
    site.says_since(other, since, "gave the address up").await;
    site.never_two(since, OVERLAP);
}

#[tokio::test]
async fn a_stuck_leaver_still_hears_who_holds_the_address() {
    let (mut site, holder) = Site::running(2).await;
    let other = 1 - holder;
    // The Backup is removed and never learns it; the holder goes on telling it that it is there.
    let since = Instant::now();
    site.metadata(other).set_fault(Fault::Frozen);
    site.lab.world().remove_host(site.host(other).uuid());
    site.says_since(holder, since, "taking part with nobody").await;
    calm().await;
    site.undisturbed(since, holder);

    // Nobody else can serve: it takes over all the same, and the holder that was sees it.
    let dead = Instant::now();
    site.kill_balancer(holder).await;
    site.held_by(other).await;
    site.says_since(holder, dead, &format!("{} holds the address", site.source(other))).await;
    site.never_two(since, OVERLAP);
}

#[tokio::test]
async fn a_leaver_without_a_successor_keeps_the_address_says_so_and_tries_again() {
    let (mut site, holder) = Site::running(2).await;
    let other = 1 - holder;
    let dead = Instant::now();
    site.kill_balancer(other).await;
    site.says_since(other, dead, "Backup -> Fault").await;

    let since = Instant::now();
    site.label(holder, |labels| drop(labels.remove("role")));
    let line =
        site.says_since(holder, since, "no other member took the address, so this host keeps it").await;
    assert!(line.contains("ERROR") && line.contains("host label role=load-balancer is missing"), "{line}");
    calm().await;
    site.undisturbed(since, holder);

    let back = Instant::now();
    site.start_balancer(other).await;
    site.says_since(other, back, "Fault -> Backup").await;
    site.held_by(other).await;
    site.says_since(holder, back, &format!("Active -> Fault: handed over to {}", site.source(other))).await;
    site.never_two(since, OVERLAP);
}

#[tokio::test]
async fn a_leaver_that_is_alone_keeps_the_address_until_it_belongs_again() {
    let (site, holder) = Site::running(1).await;
    let since = Instant::now();
    site.label(holder, |labels| drop(labels.remove("role")));
    site.says_since(holder, since, "no other member took the address, so this host keeps it").await;
    calm().await;
    site.undisturbed(since, holder);
    site.label(holder, |labels| drop(labels.insert("role".into(), "load-balancer".into())));
    site.says_since(holder, since, "this host takes part again and keeps the address").await;
    site.undisturbed(since, holder);
}
