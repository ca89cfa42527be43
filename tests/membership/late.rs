//! The metadata service comes later than the agents.

use crate::support::*;
use outrider::lab::metadata::Fault;
use std::time::{Duration, Instant};

const WAITING: &str = "waiting for the metadata service, nothing is claimed before it answers";

#[tokio::test]
async fn nobody_claims_before_the_first_answer_and_each_says_so_once() {
    let mut site = Site::new(2).await;
    // As at boot: nobody listens, then the service has no data yet.
    site.metadata(0).set_fault(Fault::Refuse);
    site.metadata(1).set_fault(Fault::NotLoaded);
    for host in 0..2 {
        site.start_agent(host, &[]).await;
    }
    assert!(site.says(0, WAITING).await.contains("refused"));
    assert!(site.says(1, WAITING).await.contains("404"));
    site.metadata(0).set_fault(Fault::NotLoaded);
    until("several tries of both", || (0..2).all(|host| site.asked(host, "version") >= 3)).await;
    for host in 0..2 {
        assert_eq!(site.count(host, WAITING), 1);
        assert_eq!(site.count(host, "metadata"), 1, "one line says it");
    }
    assert!(site.changes(None).is_empty());

    let since = Instant::now();
    site.set_fault(&Fault::None);
    let holder = site.holder().await;
    site.all_know(holder).await;
    for host in 0..2 {
        site.says(host, "the metadata service answers again after").await;
    }
    assert_eq!(site.holders(), [holder]);
    site.never_two(since, OVERLAP);
}

#[tokio::test]
async fn a_hanging_service_holds_up_the_start_and_nothing_else() {
    let mut site = Site::new(2).await;
    site.metadata(0).set_fault(Fault::Hang);
    site.start_agent(0, &[]).await;
    site.start_agent(1, &[]).await;
    assert_eq!(site.holder().await, 1, "the other one does not wait for it");
    assert!(site.says(0, WAITING).await.contains("no whole answer within 3 s"));
    assert_eq!(site.holders(), [1]);

    let since = Instant::now();
    site.metadata(0).set_fault(Fault::None);
    site.says(0, "10.10.10.12 holds the address with priority").await;
    site.says(0, " -> Backup").await;
    assert_eq!((site.holders(), site.changes(since)), (vec![1], vec![]));
    let outage = site.outage(since).await;
    assert_eq!(outage.by.as_deref(), Some("lb2"), "{outage:?}");
    assert!(outage.longest < Duration::from_secs(1), "{outage:?}");
}
