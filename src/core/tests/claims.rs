//! Who counts, and who keeps a claim from being made.

use super::*;

// Who counts, and who keeps a claim from being made.

#[test]
fn an_unlisted_sender_counts_is_answered_and_named_once() {
    let mut trace = Trace::backup();
    trace.act(|agent, now| agent.handle_members(now, &members(11, &[12]), Some(now)));
    trace.did.clear();
    for _ in 0..30 {
        trace.hear(99, 50);
        trace.wait(200);
    }
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.said("10.10.10.99 is not listed"), 1);
    assert!(trace.count(&Command::Reread) >= 1);
    trace.wait(800);
    assert_eq!(trace.state(), State::Active);
    assert!(trace.did.contains(&Command::Advertise { priority: 100, to: vec![ip(12), ip(99)] }));
}

#[test]
fn a_peer_that_leaves_the_metadata_still_gets_our_adverts() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_members(now, &members(11, &[13]), None));
    trace.wait(200);
    assert!(trace.did.contains(&Command::Advertise { priority: 100, to: vec![ip(13), ip(12)] }));
    trace.wait(3_700_000);
    trace.act(|agent, now| agent.handle_members(now, &members(11, &[13, 14]), None));
    trace.did.clear();
    trace.wait(200);
    assert!(trace.did.contains(&Command::Advertise { priority: 100, to: vec![ip(13), ip(14)] }));
}

#[test]
fn rejected_adverts_of_our_virtual_router_hold_a_claim_back() {
    let reject: [fn(&mut Trace); 3] = [
        |trace| trace.hear_with(12, |advert| advert.version = Version::V2),
        |trace| trace.act(|agent, now| agent.handle_rejected(now, ip(12), "wrong checksum")),
        |trace| trace.act(|agent, now| agent.handle_rejected(now, ip(99), "wrong checksum")),
    ];
    for reject in reject {
        let mut trace = Trace::backup();
        for _ in 0..30 {
            reject(&mut trace);
            trace.wait(1000);
        }
        assert_eq!(trace.state(), State::Backup);
        assert_eq!(trace.said("speaks VRRP V2") + trace.said("wrong checksum"), 1, "said once");
        trace.wait(6000);
        assert_eq!(trace.state(), State::Active);
    }
}

#[test]
fn a_version_2_interval_that_differs_is_rejected() {
    let settings = Settings { version: Version::V2, interval: 1000 * MS, ..settings(11) };
    let mut trace = Trace::with(settings, &[12]);
    for _ in 0..10 {
        trace.hear_with(12, |advert| advert.interval = 2000 * MS);
        trace.wait(2000);
    }
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.said("OUTRIDER_ADVERT_INTERVAL"), 1);
}

#[test]
fn a_peer_that_goes_on_having_our_priority_is_named_once() {
    let mut trace = Trace::backup();
    for _ in 0..40 {
        trace.hear(12, 100);
        trace.wait(200);
    }
    assert_eq!(trace.said("same priority"), 0, "members may not be known everywhere yet");
    for _ in 0..100 {
        trace.hear(12, 100);
        trace.wait(200);
    }
    assert_eq!(trace.said("10.10.10.12 has the same priority 100"), 1);
}

#[test]
fn a_low_ttl_and_our_own_address_count_for_nothing() {
    let mut trace = Trace::backup();
    let advert =
        Advert { version: Version::V3, vrid: 2, priority: 200, interval: 200 * MS, addresses: vec![ip(2)] };
    for _ in 0..8 {
        let heard = Heard { ttl: 254, ..heard(12, advert.clone()) };
        trace.act(|agent, now| agent.handle_advert(now, &heard));
        trace.hear(11, 200);
        trace.hear_with(12, |advert| advert.vrid = 3);
        trace.wait(100);
    }
    assert_eq!(trace.state(), State::Active);
    assert_eq!(trace.said("TTL 254"), 1);
}

#[test]
fn a_first_claim_is_held_back_while_another_station_answers_for_the_address() {
    let mut trace = Trace::backup();
    assert!(trace.count(&Command::Probe) > 0);
    for _ in 0..30 {
        trace.act(|agent, now| agent.handle_arp(now, VIP.parse().unwrap(), [2, 0, 0, 0, 0, 9]));
        trace.wait(150);
    }
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.said("in use by 02:00:00:00:00:09"), 1);
    trace.wait(1000);
    assert_eq!(trace.state(), State::Active);
    trace.did.clear();
    trace.wait(5000);
    assert_eq!(trace.count(&Command::Probe), 0);
}

#[test]
fn an_address_that_a_foreign_station_announces_is_announced_again() {
    let mut trace = Trace::active();
    trace.wait(5000);
    trace.did.clear();
    for _ in 0..3 {
        trace.act(|agent, now| agent.handle_arp(now, ip(2), [2, 0, 0, 0, 0, 9]));
        trace.wait(1);
    }
    trace.wait(300);
    assert_eq!(trace.count(&Command::Announce), 5, "{:?}", trace.did);
    assert_eq!(trace.said("is announced by 02:00:00:00:00:09"), 1);
    for pause in [0, 220] {
        let mut taken = Trace::active();
        taken.wait(2000);
        taken.did.clear();
        taken.act(|agent, now| agent.handle_arp(now, ip(2), [2, 0, 0, 0, 0, 9]));
        taken.wait(pause);
        taken.hear(12, 101);
        taken.wait(400);
        let answers = (taken.count(&Command::Announce), taken.said("is announced by"));
        assert_eq!(answers, (0, 0), "it was the taker, though its first advert may be lost");
    }
}

#[test]
fn a_rival_router_that_loses_is_not_taken_for_a_foreign_station() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_arp(now, VIP.parse().unwrap(), [2, 0, 0, 0, 0, 9]));
    trace.hear(12, 1);
    assert!(trace.count(&Command::Announce) > 0);
    trace.wait(1000);
    assert_eq!((trace.state(), trace.said("is announced by")), (State::Active, 0));
    trace.hear(12, 1);
    trace.act(|agent, now| agent.handle_arp(now, VIP.parse().unwrap(), [2, 0, 0, 0, 0, 9]));
    trace.wait(1000);
    assert_eq!(trace.said("is announced by"), 0, "in whatever order its packets are read");
}

#[test]
fn a_backup_that_has_heard_the_holder_takes_over_without_asking() {
    let mut trace = Trace::backup();
    trace.hear(12, 100);
    trace.did.clear();
    for _ in 0..5 {
        trace.act(|agent, now| agent.handle_arp(now, ip(2), [2, 0, 0, 0, 0, 9]));
        trace.wait(150);
    }
    assert_eq!(trace.state(), State::Active, "a dead holder's kernel answers until its lease ends");
}

#[test]
fn a_member_that_has_heard_nobody_confirms_old_metadata_first() {
    let mut trace = Trace::backup();
    let read_at = trace.now;
    trace.act(|agent, now| agent.handle_members(now, &members(11, &[12]), Some(read_at)));
    trace.health(&Outcome::Dead("refused".to_owned()));
    trace.wait(60_000);
    trace.did.clear();
    trace.health(&Outcome::Pass);
    trace.wait(5000);
    assert_eq!(trace.state(), State::Backup);
    assert!((2..4).contains(&trace.count(&Command::Reread)), "{}", trace.count(&Command::Reread));
    let mut unreachable = std::mem::replace(&mut trace, Trace::backup());
    unreachable.act(Agent::handle_unreachable);
    unreachable.wait(200);
    assert_eq!(unreachable.state(), State::Active);
}

#[test]
fn changes_of_members_leave_running_timers_alone() {
    let mut trace = Trace::backup();
    trace.hear(12, 50);
    trace.wait(400);
    for last in 20..40 {
        trace.act(|agent, now| agent.handle_members(now, &members(11, &[12, last]), None));
    }
    trace.wait(321);
    assert_eq!(trace.state(), State::Backup);
    trace.wait(1);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn derived_priorities_follow_the_rank() {
    let mut priorities = Vec::new();
    for me in [11, 12, 13] {
        let mut agent = Agent::new(Settings { priority: None, ..settings(me) }, Duration::ZERO);
        let others: Vec<u8> = [11, 12, 13].into_iter().filter(|last| *last != me).collect();
        agent.handle_members(Duration::ZERO, &members(me, &others), None);
        priorities.push(agent.priority());
    }
    priorities.sort_unstable();
    assert_eq!(priorities, [222, 238, 254]);
}
