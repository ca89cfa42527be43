//! How old the metadata may be that a first claim rests on, and the file that keeps it.

use crate::support::*;
use outrider::lab::metadata::Fault;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

#[tokio::test]
async fn who_has_heard_nobody_waits_until_the_metadata_is_confirmed_unreachable() {
    let mut site = Site::new(1).await;
    site.kill_balancer(0).await;
    site.start_agent(0, &[]).await;
    site.says(0, "Initialize -> Fault").await;
    site.metadata(0).set_fault(Fault::Hang);
    // A few seconds later what it knows is too old, and it asks; nothing comes.
    let asked = site.asked(0, "version");
    until("the metadata is asked again", || site.asked(0, "version") > asked).await;
    let since = Instant::now();
    site.start_balancer(0).await;
    site.says_since(0, since, "nobody is heard, but there is no claim: the metadata has to be confirmed")
        .await;
    site.held_by(0).await;
    let claimed = site.changes(None)[0].at;
    let away = site.agent(0).wait_for_line("the metadata service does not answer", LIMIT).await.unwrap();
    assert!(away.text.contains("no whole answer"), "{}", away.text);
    // Read off two pipes: the log, and the kernel's notifications.
    let early = away.at.saturating_duration_since(claimed);
    assert!(early.as_millis() < 500, "the claim came {early:?} before that was known");
}

#[tokio::test]
async fn a_service_that_confirms_its_answer_lets_the_first_fit_host_claim() {
    let mut site = Site::new(2).await;
    for host in 0..2 {
        site.kill_balancer(host).await;
        site.start_agent(host, &[]).await;
        site.says(host, "Initialize -> Fault").await;
    }
    // Old enough that it had to be asked again.
    let asked: Vec<u64> = (0..2).map(|host| site.asked(host, "version")).collect();
    until("the metadata is confirmed", || (0..2).all(|host| site.asked(host, "version") >= asked[host] + 2))
        .await;
    assert!(site.changes(None).is_empty());
    site.start_balancer(1).await;
    site.held_by(1).await;
    site.start_balancer(0).await;
    site.says(0, "10.10.10.12 holds the address").await;
    assert_eq!(site.holders(), [1]);
}

/// One that an agent may write to that is not root any more.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    directory
}

#[tokio::test]
async fn only_a_state_file_lets_a_host_start_while_the_metadata_is_away() {
    let directory = directory();
    let file = directory.path().join("members.json");
    let kept = [("OUTRIDER_STATE_FILE", file.to_str().unwrap())];
    let mut site = Site::new(2).await;
    site.start_agent(0, &kept).await;
    site.held_by(0).await;
    until("the members are kept", || file.exists()).await;
    site.stop_agent(0).await;
    until("nobody holds it", || site.holders().is_empty()).await;

    let since = Instant::now();
    site.set_fault(&Fault::Refuse);
    site.start_agent(1, &[]).await;
    site.says(1, "waiting for the metadata service, nothing is claimed before it answers").await;
    calm().await;
    assert_eq!(site.changes(since), [], "without a file there is no claim");

    site.start_agent(0, &kept).await;
    site.says(0, &format!("these are the members kept in {}", file.display())).await;
    site.held_by(0).await;
    site.says(0, "the metadata service does not answer, the last members stay").await;
    site.says(0, "taking part with lb2 (10.10.10.12)").await;

    let back = Instant::now();
    site.set_fault(&Fault::None);
    site.says(0, "the metadata service answers again").await;
    site.says(1, "10.10.10.11 holds the address").await;
    assert_eq!((site.holders(), site.changes(back)), (vec![0], vec![]));
    site.never_two(since, std::time::Duration::ZERO);
}

#[tokio::test]
async fn members_from_the_file_are_no_ground_for_a_claim_before_the_service_is_known_to_be_away() {
    let directory = directory();
    let file = directory.path().join("members.json");
    let kept = [("OUTRIDER_STATE_FILE", file.to_str().unwrap())];
    let mut site = Site::new(2).await;
    site.start_agent(0, &kept).await;
    until("the members are kept", || file.exists()).await;
    site.stop_agent(0).await;
    until("nobody holds it", || site.holders().is_empty()).await;

    // Another host's file means nothing, whatever is in it.
    let since = Instant::now();
    site.set_fault(&Fault::Refuse);
    site.start_agent(1, &kept).await;
    let line = site.says(1, "state file").await;
    assert!(line.contains("is ignored") && line.contains("takes this machine for host lb1"), "{line}");
    calm().await;
    assert_eq!(site.changes(since), []);

    // Its own counts as soon as the service has not answered in time.
    site.metadata(0).set_fault(Fault::Hang);
    site.start_agent(0, &kept).await;
    until("the service is asked", || site.asked(0, "version") > 0).await;
    site.says(0, "these are the members kept in").await;
    site.held_by(0).await;
    assert_eq!(site.count(1, "is ignored"), 1, "said once");
}
