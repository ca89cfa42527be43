//! The whole group as one member tells of it.

use crate::site::{SOON, Site};
use outrider::core::event::State;
use outrider::status::group::{Group, Severity};
use std::time::{Duration, Instant};

async fn wait_for(site: &Site, host: usize, what: &str, is: impl Fn(&Group) -> bool) -> Group {
    let begun = Instant::now();
    loop {
        let (_, body) = site.get(host, "/group").await.unwrap();
        let group: Group = serde_json::from_str(&body).unwrap();
        if is(&group) {
            return group;
        }
        assert!(begun.elapsed() < SOON, "in vain: {what}: {body}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn every_member_tells_of_all_and_of_what_is_wrong() {
    let (mut site, holder) = Site::running(3, &[]).await;
    for host in 0..3 {
        let well =
            |group: &Group| group.alarms.is_empty() && group.members.iter().all(|it| it.status.is_some());
        let group = wait_for(&site, host, "all is well", well).await;
        let state =
            |member: &outrider::status::group::Report| member.status.as_ref().unwrap().routers[0].state;
        let active: Vec<_> = group.members.iter().filter(|member| state(member) == State::Active).collect();
        assert_eq!(active.len(), 1);
        assert_eq!(active[0].address, site.lab.hosts()[holder].address().to_string());
    }
    let others: Vec<usize> = (0..3).filter(|host| *host != holder).collect();
    site.kill_balancer(others[0]).await;
    let gone = others[1];
    let killed = site.agents[gone].take().unwrap();
    killed.kill9().unwrap();
    let text = "cannot be asked: ";
    let said = |group: &Group| group.alarms.iter().any(|alarm| alarm.text.contains(text));
    let group = wait_for(&site, holder, "one cannot be asked", said).await;
    let address = site.lab.hosts()[gone].address().to_string();
    let report = group.members.iter().find(|member| member.address == address).unwrap();
    assert!(report.status.is_none() && report.error.is_some(), "{report:?}");

    site.kill_balancer(holder).await;
    let nobody = |group: &Group| group.alarms.iter().any(|alarm| alarm.severity == Severity::Critical);
    let group = wait_for(&site, holder, "nobody can serve", nobody).await;
    assert!(group.alarms[0].text.contains("nobody can serve 10.10.10.2"), "{:#?}", group.alarms);
    assert_eq!(site.command(holder, &["status", "--group"]).await.0, 3);
}
