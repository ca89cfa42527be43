//! What is checked, read off the services in the metadata.

use crate::servers::Recorder;
use crate::support::*;
use outrider::lab::metadata::Service;
use std::time::Instant;

/// The lab's load balancer service, changed.
fn service(site: &Site, change: impl FnOnce(&mut Service)) {
    let uuids: Vec<&str> = site.lab.hosts().iter().map(|host| host.uuid()).collect();
    let mut service = Service::load_balancer(&uuids);
    change(&mut service);
    site.lab.world().put_service(&service);
}

#[tokio::test]
async fn an_http_rule_gets_a_request_and_a_tcp_rule_a_connection() {
    let mut site = Site::new(1).await;
    site.kill_balancer(0).await;
    service(&site, |service| {
        service.ports = vec!["80:80/tcp".into(), "6000:6000/tcp".into(), "53:53/udp".into()];
        service.rules = vec![(80, "http".into()), (6000, "tcp".into()), (53, "udp".into())];
    });
    let http = Recorder::http(site.host(0), 80).await;
    site.start_agent(0, &[]).await;
    let line = site.says(0, "Initialize -> Fault").await;
    assert!(line.contains("tcp://127.0.0.1:6000: connection to 127.0.0.1:6000 refused"), "{line}");
    until("a request", || !http.seen().is_empty()).await;
    calm().await;
    assert_eq!(site.changes(None), [], "the other port does not answer");

    let tcp = Recorder::tcp(site.host(0), 6000).await;
    until("the address is there", || site.holders() == [0]).await;
    assert!(http.seen().iter().all(|line| line == "GET / HTTP/1.1"), "{:?}", http.seen());
    assert!(!tcp.seen().is_empty() && tcp.seen().iter().all(|seen| seen == "connected"), "{:?}", tcp.seen());

    let since = Instant::now();
    drop(tcp);
    let line = site.says_since(0, since, "Active -> Fault").await;
    assert!(line.contains("tcp://127.0.0.1:6000: connection to 127.0.0.1:6000 refused"), "{line}");
    until("the address is gone", || site.holders().is_empty()).await;
}

#[tokio::test]
async fn a_load_balancer_without_a_container_is_a_failing_check() {
    let mut site = Site::new(2).await;
    service(&site, |service| service.hosts.clear());
    site.kill_balancer(0).await;
    for host in 0..2 {
        site.start_agent(host, &[]).await;
    }
    // The service is to run on both: where it does not, the check fails.
    site.held_by(1).await;
    site.says(0, "published ports: 80 of lb/lb").await;
    site.says(0, "Initialize -> Fault").await;
    site.says(0, "10.10.10.12 holds the address").await;
    assert_eq!(site.count(0, " -> Backup"), 0);
    site.start_balancer(0).await;
    site.says(0, "Fault -> Backup").await;
    assert_eq!(site.holders(), [1]);
    assert_eq!(site.changes(None).len(), 1);
}

#[tokio::test]
async fn without_a_load_balancer_service_there_is_no_claim_and_the_message_names_the_remedy() {
    let mut site = Site::new(1).await;
    service(&site, |service| service.kind = "service".into());
    site.start_agent(0, &[]).await;
    let line = site.says(0, "Initialize -> Fault").await;
    assert!(line.contains("OUTRIDER_LB") && line.contains("OUTRIDER_CHECK"), "{line}");
    calm().await;
    assert!(site.changes(None).is_empty());

    // It comes, and is found.
    let since = Instant::now();
    service(&site, |_| {});
    site.held_by(0).await;
    site.says_since(0, since, "Fault -> Backup").await;
    // It goes again. Nothing is known of its health then, and a holder is not to be trusted blindly.
    let since = Instant::now();
    service(&site, |service| service.kind = "service".into());
    let line = site.says_since(0, since, "Active -> Fault").await;
    assert!(line.contains("OUTRIDER_LB") && line.contains("OUTRIDER_CHECK"), "{line}");
}

#[tokio::test]
async fn outrider_lb_picks_one_service_and_outrider_check_needs_none() {
    let mut site = Site::new(3).await;
    // Nothing listens on the other one's port.
    service(&site, |service| {
        (service.stack, service.name) = ("edge".into(), "other".into());
        (service.ports, service.rules) = (vec!["9000:9000".into()], vec![]);
    });
    site.start_agent(0, &[]).await;
    let line = site.says(0, "metadata: ").await;
    assert!(line.contains("published ports: 80 of lb/lb, 9000 of edge/other"), "{line}");
    site.says(0, "Initialize -> Fault").await;
    calm().await;
    assert!(site.changes(None).is_empty());

    site.start_agent(1, &[("OUTRIDER_LB", "lb/lb")]).await;
    site.held_by(1).await;
    let line = site.says(1, "metadata: ").await;
    assert!(line.ends_with("published ports: 80 of lb/lb"), "{line}");
    site.stop_agent(1).await;

    site.start_agent(2, &[("OUTRIDER_CHECK", "tcp://127.0.0.1:80")]).await;
    site.held_by(2).await;
    assert_eq!(site.asked(2, "services"), 0, "not needed, not read");
    site.stop_agent(2).await;

    site.start_agent(2, &[("OUTRIDER_LB", "edge/nowhere")]).await;
    let line = site.says(2, "no service edge/nowhere (OUTRIDER_LB)").await;
    assert!(line.contains("nothing to check"), "{line}");
    site.says(2, "Initialize -> Fault: the service edge/nowhere publishes no TCP port").await;
}

#[tokio::test]
async fn a_port_added_later_is_checked_and_disturbs_nobody() {
    let (site, holder) = Site::running(2).await;
    let mut listeners = Vec::new();
    for host in 0..2 {
        listeners.push(Recorder::tcp(site.host(host), 9000).await);
    }
    let since = Instant::now();
    service(&site, |service| service.ports.push("9000:9000/tcp".into()));
    for (host, listener) in listeners.iter().enumerate() {
        let line = site.says_since(host, since, "metadata: ").await;
        assert!(line.ends_with("published ports: 80 of lb/lb, 9000 of lb/lb"), "{line}");
        until("the new port is checked", || !listener.seen().is_empty()).await;
    }
    calm().await;
    site.undisturbed(since, holder);

    drop(listeners.swap_remove(holder));
    site.held_by(1 - holder).await;
    let line = site.says_since(holder, since, "Active -> Fault").await;
    assert!(line.contains("tcp://127.0.0.1:9000"), "{line}");
    site.never_two(since, OVERLAP);
}
