//! Whole answers of a real metadata service.

use crate::support::*;
use outrider::lab::metadata::World;
use serde_json::Value;
use std::time::Instant;

const ANSWERS: [&str; 3] = [
    include_str!("../metadata/host1.json"),
    include_str!("../metadata/host2.json"),
    include_str!("../metadata/host3.json"),
];

#[tokio::test]
async fn of_three_real_hosts_the_two_load_balancers_elect_one() {
    let mut site = Site::new(3).await;
    site.move_to("10.0.0.2".parse().unwrap()).await;
    for (host, text) in ANSWERS.into_iter().enumerate() {
        let answer: Value = serde_json::from_str(text).unwrap();
        let uuid = answer["self"]["host"]["uuid"].as_str().unwrap().to_owned();
        site.serve_metadata(host, World::from_answer(answer), &uuid).await;
    }
    let since = Instant::now();
    for host in 0..3 {
        site.start_agent(host, &[OTHER_URL]).await;
    }
    let holder = site.holder().await;
    assert!(holder < 2, "a load balancer host");
    let other = 1 - holder;
    site.says(other, &format!("{} holds the address with priority", site.source(holder))).await;
    let line = site.says(2, "Initialize -> Fault").await;
    assert!(line.contains("host label role=load-balancer is missing"), "{line}");
    for host in 0..2 {
        let peer = format!("node{} (10.0.0.1{})", 2 - host, 2 - host);
        let line = site.says(host, "metadata: ").await;
        let all = format!(
            "node{} (10.0.0.1{}) takes part; other members: {peer}; published ports: 80 of lb/lb",
            host + 1,
            host + 1
        );
        assert!(line.ends_with(&all), "{line}");
        site.says(host, &format!("taking part with {peer}; own priority")).await;
    }
    site.never_two(since, OVERLAP);

    // What is checked is the HTTP rule's port 80.
    let since = Instant::now();
    site.kill_balancer(holder).await;
    site.held_by(other).await;
    let line = site.says_since(holder, since, "Active -> Fault").await;
    assert!(line.contains("http://127.0.0.1:80/"), "{line}");

    // With the last load balancer gone nobody serves, the third host least of all.
    site.kill_balancer(other).await;
    until("nobody holds it", || site.holders().is_empty()).await;
    calm().await;
    assert!(site.holders().is_empty());
    site.start_balancer(other).await;
    site.held_by(other).await;
    assert!(site.changes(None).iter().all(|change| change.host != 2));
    site.never_two(since, OVERLAP);
}
