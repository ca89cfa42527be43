//! The metadata changes while the agents run.

use crate::station;
use crate::support::*;
use outrider::lab::metadata;
use std::time::Instant;

#[tokio::test]
async fn what_is_none_of_our_business_disturbs_nobody() {
    let (site, holder) = Site::running(2).await;
    let since = Instant::now();
    let mut other = metadata::Host::new("0-other", "app1", "10.10.10.50");
    other.labels.clear();
    // Each reload brings all lists in another order; the first of these changes is nothing else.
    let changes: [&dyn Fn(&Site); 4] = [
        &|site| site.lab.world().update(|_| {}),
        &|site| site.lab.world().put_host(&other),
        &|site| site.label(0, |labels| drop(labels.insert("rack".into(), "7".into()))),
        &|site| site.lab.world().remove_host("0-other"),
    ];
    for change in changes {
        site.change(&[0, 1], |site| change(site)).await;
    }
    // Only whoever was disconnected for long is called so, and stays a member all the same.
    site.change(&[0, 1], |site| {
        site.lab
            .world()
            .change_host(site.host(holder).uuid(), |host| host["agent_state"] = "disconnected".into());
    })
    .await;
    calm().await;
    site.undisturbed(since, holder);
    for host in 0..2 {
        assert_eq!(site.count(host, "taking part with"), 1, "membership has not changed");
        assert_eq!(site.count(host, "metadata: "), 1);
    }
}

#[tokio::test]
async fn members_come_and_go_without_disturbing_the_holder() {
    let (site, holder) = Site::running(2).await;
    let since = Instant::now();
    let ghost = metadata::Host::new("9-ghost", "ghost", "10.10.10.60");
    site.lab.world().put_host(&ghost);
    for host in 0..2 {
        let line = site.says_since(host, since, "ghost (10.10.10.60); own priority").await;
        assert!(line.contains("taking part with"), "{line}");
    }
    // The holder's adverts go to the new member, too.
    let heard = Instant::now();
    site.lab.client_namespace().add_address("eth0", "10.10.10.60/24".parse().unwrap()).await.unwrap();
    station::hears(&site, site.source(holder), "10.10.10.60".parse().unwrap(), |_| true).await;
    assert!(heard.elapsed() < LIMIT);

    let gone = Instant::now();
    site.lab.world().remove_host("9-ghost");
    for host in 0..2 {
        let other = site.source(1 - host);
        let line = site.says_since(host, gone, &format!("taking part with lb{} ({other});", 2 - host)).await;
        assert!(!line.contains("ghost"), "{line}");
    }
    site.undisturbed(since, holder);
}

#[tokio::test]
async fn a_priority_label_reaches_the_running_holder_and_moves_nothing() {
    let (site, holder) = Site::running(2).await;
    let since = Instant::now();
    site.label(holder, |labels| drop(labels.insert("outrider.priority".into(), "3".into())));
    site.says_since(holder, since, "own priority 3, was").await;
    let (from, to) = (site.source(holder), site.source(1 - holder));
    station::hears(&site, from, to, |priority| priority == 3).await;
    calm().await;
    site.undisturbed(since, holder);

    site.label(holder, |labels| drop(labels.remove("outrider.priority")));
    station::hears(&site, from, to, |priority| priority > 200).await;
    site.undisturbed(since, holder);
}

#[tokio::test]
async fn with_preemption_a_priority_label_moves_the_address() {
    let mut site = Site::new(2).await;
    for (host, priority) in ["200", "100"].into_iter().enumerate() {
        site.label(host, |labels| drop(labels.insert("outrider.priority".into(), priority.into())));
    }
    for host in 0..2 {
        site.start_agent(host, &[("OUTRIDER_PREEMPT", "true")]).await;
    }
    site.held_by(0).await;
    site.says(1, "10.10.10.11 holds the address with priority 200").await;

    let since = Instant::now();
    site.label(0, |labels| drop(labels.insert("outrider.priority".into(), "50".into())));
    site.held_by(1).await;
    site.says_since(1, since, "preempting 10.10.10.11: its priority 50 < ours 100").await;
    site.says_since(0, since, "Active -> Backup: 10.10.10.12 took the address").await;
    site.never_two(since, OVERLAP);
}
