//! Who comes first, and what host labels and variables change about it.

use crate::station;
use crate::support::*;
use std::time::Instant;

/// What each agent said last of its own priority.
fn priorities(site: &Site, hosts: std::ops::Range<usize>) -> Vec<u8> {
    hosts
        .map(|host| {
            let lines = site.agent(host).lines();
            let last = lines.iter().rev().find_map(|line| line.text.split_once("own priority "));
            let (_, text) = last.expect("a priority");
            text.split(',').next().unwrap().parse().unwrap()
        })
        .collect()
}

/// Ranks of all members, as `check-config` on each host has them: by the last byte of their address.
async fn ranks(site: &Site, host: usize) -> Vec<(u8, String)> {
    let mut ranks = Vec::new();
    for line in site.check_config(host, &[]).await {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["rank", rank, "of", ..] => ranks.push((site.source(host).octets()[3], (*rank).to_owned())),
            ["peer", _, address, "rank", rank, ..] => {
                let last = address.trim_matches(|c: char| "(),".contains(c)).rsplit('.').next();
                ranks.push((last.unwrap().parse().unwrap(), (*rank).to_owned()));
            }
            _ => {}
        }
    }
    ranks.sort();
    ranks
}

#[tokio::test]
async fn all_hosts_agree_on_the_order_and_a_third_changes_nothing_between_two() {
    let (mut site, holder) = Site::running(2).await;
    let before = priorities(&site, 0..2);
    let mut sorted = before.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [238, 254]);
    let first = usize::from(before[1] > before[0]);

    let since = Instant::now();
    let joiner = site.add_host().await;
    site.start_agent(joiner, &[]).await;
    let line = site.says(joiner, "Initialize -> Fault").await;
    assert!(line.contains("host label role=load-balancer is missing"), "no member yet: {line}");
    site.lab.join(joiner);
    site.says_since(joiner, since, "Fault -> Backup").await;
    for host in 0..2 {
        site.says_since(host, since, "lb3 (10.10.10.13)").await;
    }
    until("three priorities", || {
        let mut all = priorities(&site, 0..3);
        all.sort_unstable();
        all == [222, 238, 254]
    })
    .await;
    let after = priorities(&site, 0..3);
    assert_eq!(usize::from(after[1] > after[0]), first, "{before:?} became {after:?}");
    assert_eq!((site.holders(), site.changes(since)), (vec![holder], vec![]));

    // What the agents made of it is what each host thinks of all.
    let all = ranks(&site, 0).await;
    assert_eq!(all.len(), 3);
    for host in 1..3 {
        assert_eq!(ranks(&site, host).await, all);
    }
    for ((_, rank), priority) in all.iter().zip(after) {
        let rank: u8 = rank.parse().unwrap();
        assert_eq!(priority, 254 - 16 * (rank - 1));
    }
}

#[tokio::test]
async fn host_labels_win_over_variables_and_the_router_id_names_the_host() {
    let mut site = Site::new(2).await;
    let variables = [
        ("OUTRIDER_PRIORITY", "50"),
        ("OUTRIDER_INTERFACE", "nowhere0"),
        ("OUTRIDER_ROUTER_ID", "the-first"),
    ];
    site.start_agent(0, &variables).await;
    let line = site.says(0, "waiting, without a claim").await;
    assert!(line.contains("nowhere0"), "{line}");
    assert!(site.changes(None).is_empty());

    site.label(0, |labels| {
        labels.insert("outrider.interface".into(), "eth0".into());
        labels.insert("outrider.priority".into(), "77".into());
    });
    let line = site.says(0, "the-first: virtual router 2 (10.10.10.2/32) on eth0").await;
    assert!(line.ends_with("adverts from 10.10.10.11"), "{line}");
    site.says(0, "own priority 77").await;
    site.held_by(0).await;

    site.start_agent(1, &[("OUTRIDER_PRIORITY", "50")]).await;
    site.says(1, "own priority 50").await;
    site.says(1, "lb2: virtual router 2").await;
    site.says(1, "10.10.10.11 holds the address with priority 77").await;
    assert_eq!(station::hears(&site, site.source(0), site.source(1), |_| true).await, 77);
    assert_eq!(site.holders(), [0]);
    assert_eq!(site.changes(None).len(), 1);
}
