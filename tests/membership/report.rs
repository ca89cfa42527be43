//! `outrider check-config` on a host with metadata, and on one without.

use crate::support::*;
use outrider::lab::metadata::Fault;
use std::time::{Duration, Instant};

/// The value of a derived setting, words joined by single spaces.
fn derived(lines: &[String], name: &str) -> String {
    let derived = lines.iter().skip_while(|line| *line != "Derived:");
    let found = derived.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let found = found.filter_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned)).next();
    found.unwrap_or_else(|| panic!("no {name} in {lines:#?}"))
}

#[tokio::test]
async fn check_config_prints_what_was_derived() {
    let site = Site::new(2).await;
    site.label(1, |labels| drop(labels.insert("outrider.priority".into(), "9".into())));
    let since = Instant::now();
    let lines = site.check_config(0, &[("OUTRIDER_ROUTER_ID", "alpha")]).await;
    assert_eq!(derived(&lines, "interface"), "eth0 derived");
    assert_eq!(derived(&lines, "source"), "10.10.10.11 derived");
    assert_eq!(derived(&lines, "installed as"), "10.10.10.2/32 derived");
    assert_eq!(derived(&lines, "router id"), "alpha set");
    assert_eq!(derived(&lines, "VRID"), "2");
    let rank: u8 = match derived(&lines, "rank").as_str() {
        "1 of 2 derived" => 1,
        "2 of 2 derived" => 2,
        other => panic!("{other}"),
    };
    assert_eq!(derived(&lines, "priority"), format!("{} rank", 254 - 16 * (rank - 1)));
    assert_eq!(derived(&lines, "check"), "http://127.0.0.1:80/ metadata");
    assert_eq!(derived(&lines, "peer"), format!("lb2 (10.10.10.12), rank {}", 3 - rank));

    let lines = site.check_config(1, &[("OUTRIDER_CHECK", "tcp://127.0.0.1:81")]).await;
    assert_eq!(derived(&lines, "router id"), "lb2 host name");
    assert_eq!(derived(&lines, "priority"), "9 host label");
    assert_eq!(derived(&lines, "check"), "tcp://127.0.0.1:81 settings");
    // It touches nothing.
    assert_eq!(site.changes(since), []);
}

#[tokio::test]
async fn check_config_says_in_time_that_the_metadata_is_away() {
    let site = Site::new(1).await;
    // Whoever loses patience first: the one that asks, or the one that waits for it.
    for (fault, why) in [(Fault::Refuse, ["refused"; 2]), (Fault::Hang, ["in time", "within 3 s"])] {
        site.set_fault(&fault);
        let since = Instant::now();
        let lines = site.check_config(0, &[]).await;
        // Three seconds of patience, and a busy machine.
        assert!(since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
        let members = derived(&lines, "members");
        assert!(members.starts_with("unknown: ") && why.iter().any(|why| members.contains(why)), "{members}");
        assert!(derived(&lines, "checks").starts_with("unknown: the metadata did not answer yet"));
        assert_eq!(derived(&lines, "VRID"), "2", "what needs no metadata is there");
    }
}
