//! Who this host is: another host's answer, and a host behind NAT.

use crate::support::*;
use outrider::lab::metadata::Fault;
use std::time::Instant;

const UNUSABLE: &str = "no usable metadata, nothing is claimed before there is";

#[tokio::test]
async fn another_hosts_answer_is_refused_and_no_ground_for_a_claim() {
    let mut site = Site::new(2).await;
    site.metadata(0).set_fault(Fault::OtherHost(site.host(1).uuid().into()));
    site.start_agent(0, &[]).await;
    let line = site.says(0, UNUSABLE).await;
    let why = "takes this machine for host lb2 with agent_ip 10.10.10.12, which is on none of its interfaces";
    assert!(line.contains(why) && line.contains("rancher/rancher#8383"), "{line}");
    let before = site.asked(0, "self/host");
    until("further tries", || site.asked(0, "self/host") >= before + 3).await;
    assert_eq!((site.count(0, "WARN"), site.count(0, "ERROR")), (1, 0), "said once");
    assert!(site.changes(None).is_empty());

    site.metadata(0).set_fault(Fault::None);
    site.held_by(0).await;
    // Later on it moves nothing.
    let since = Instant::now();
    site.metadata(0).set_fault(Fault::OtherHost(site.host(1).uuid().into()));
    site.lab.world().update(|_| {});
    let line = site.says_since(0, since, "the metadata is not usable, the last members stay").await;
    assert!(line.contains(why), "{line}");
    let before = site.asked(0, "self/host");
    until("further tries", || site.asked(0, "self/host") >= before + 3).await;
    assert_eq!(site.count(0, why), 2, "one line for each time");
    site.undisturbed(since, 0);
}

#[tokio::test]
async fn a_host_behind_nat_takes_part_by_its_source_label() {
    let mut site = Site::new(2).await;
    let uuid = site.host(0).uuid().to_owned();
    site.lab.world().change_host(&uuid, |host| host["agent_ip"] = "203.0.113.7".into());
    for host in 0..2 {
        site.start_agent(host, &[]).await;
    }
    let line = site.says(0, UNUSABLE).await;
    assert!(
        line.contains("agent_ip 203.0.113.7") && line.contains("set its host label outrider.source"),
        "{line}"
    );
    site.held_by(1).await;
    site.says(1, "taking part with lb1 (203.0.113.7)").await;

    let since = Instant::now();
    site.label(0, |labels| drop(labels.insert("outrider.source".into(), "10.10.10.11".into())));
    let line = site.says_since(0, since, "virtual router 2 (10.10.10.2/32) on eth0").await;
    assert!(line.ends_with("adverts from 10.10.10.11"), "{line}");
    site.says_since(1, since, "taking part with lb1 (10.10.10.11)").await;
    site.says_since(0, since, "10.10.10.12 holds the address").await;
    assert_eq!((site.holders(), site.changes(since)), (vec![1], vec![]));

    site.kill_balancer(1).await;
    site.held_by(0).await;
    site.says_since(1, since, "10.10.10.11 holds the address with priority").await;
    assert_eq!(site.count(1, "is not listed"), 0, "it is known by the address of its label");
    site.never_two(since, OVERLAP);
}
