//! A list of peers instead of Rancher.

use crate::support::*;
use std::collections::BTreeSet;
use std::time::Instant;

#[tokio::test]
async fn a_list_of_peers_needs_no_metadata_and_may_name_this_host() {
    let mut site = Site::new(3).await;
    let since = Instant::now();
    // The first names all three, itself among them; the second only the others; the third is untidy.
    let lists =
        ["10.10.10.11,10.10.10.12,10.10.10.13", "10.10.10.11,10.10.10.13", " 10.10.10.12 , 10.10.10.11"];
    for (host, peers) in lists.into_iter().enumerate() {
        site.start_agent(host, &[("OUTRIDER_PEERS", peers)]).await;
    }
    let holder = site.holder().await;
    site.all_know(holder).await;
    let mut priorities = BTreeSet::new();
    for host in 0..3 {
        let line = site.says(host, "taking part with").await;
        for peer in (0..3).filter(|peer| *peer != host) {
            let address = site.source(peer).to_string();
            assert_eq!(line.matches(&address).count(), 2, "once as its name, once as its address: {line}");
        }
        assert!(!line.contains(&site.source(host).to_string()), "{line}");
        priorities.insert(line.rsplit("own priority ").next().unwrap().split(',').next().unwrap().to_owned());
        assert_eq!(site.asked(host, "version"), 0, "nobody asks for metadata");
        assert_eq!(site.count(host, "metadata"), 0);
    }
    assert_eq!(priorities, ["222", "238", "254"].map(String::from).into());
    site.never_two(since, OVERLAP);

    let since = Instant::now();
    site.kill_balancer(holder).await;
    let next = site.successor(holder).await;
    let line = site.says_since(holder, since, "Active -> Fault").await;
    assert!(line.contains("tcp://127.0.0.1:80"), "the check of a peer list: {line}");
    let line = site.says_since(next, since, "Backup -> Active").await;
    assert!(line.contains("gave the address up"), "{line}");
    site.never_two(since, OVERLAP);
}
