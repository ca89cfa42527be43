//! Living among others: their mistakes, their signatures, their checksums; and several routers on one host.

use super::*;
use crate::core::auth::{Mode, Signature, Stamp, Verdict};

fn advert(priority: u8) -> Advert {
    Advert { version: Version::V3, vrid: 2, priority, interval: 200 * MS, addresses: vec![ip(2)] }
}

/// Hears the same again and again, every 200 ms.
fn insist(trace: &mut Trace, heard: &Heard, times: u32) {
    for _ in 0..times {
        trace.act(|agent, now| agent.handle_advert(now, heard));
        trace.wait(200);
    }
}

#[test]
fn an_unlisted_source_is_warned_about_with_a_list_and_after_a_while_with_metadata() {
    let mut trace = Trace::backup();
    insist(&mut trace, &heard(99, advert(200)), 3);
    assert_eq!(trace.said("add it to OUTRIDER_PEERS"), 1);

    let mut trace = Trace::backup();
    let at = trace.now;
    trace.act(|agent, now| agent.handle_members(now, &members(11, &[12]), Some(at)));
    insist(&mut trace, &heard(99, advert(200)), 30);
    assert_eq!((trace.said("it counts"), trace.said("give its host the label")), (1, 0), "not listed yet");
    insist(&mut trace, &heard(99, advert(200)), 30);
    assert_eq!(trace.said("give its host the label"), 1);
}

#[test]
fn our_vrid_used_by_somebody_else_is_told_from_another_set_of_addresses() {
    let mut trace = Trace::backup();
    trace.hear_with(12, |advert| advert.addresses = vec![ip(2), ip(3)]);
    trace.hear_with(13, |advert| advert.addresses = vec![ip(77)]);
    assert_eq!(trace.said("10.10.10.12 advertises other addresses for our virtual router (10.10.10.2, "), 1);
    assert_eq!(trace.said("our VRID 2 is used by somebody else: 10.10.10.13 advertises 10.10.10.77"), 1);
    assert_eq!(trace.state(), State::Backup, "it counts all the same");
}

#[test]
fn carp_is_named_once_and_counts_for_nothing() {
    let mut trace = Trace::backup();
    for _ in 0..8 {
        trace.act(|agent, _| agent.handle_carp(ip(50)));
        trace.wait(100);
    }
    assert_eq!(trace.said("10.10.10.50 speaks CARP"), 1);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn who_stays_active_beside_a_higher_priority_is_named_once() {
    let mut trace = Trace::active();
    insist(&mut trace, &heard(12, advert(50)), 15);
    assert_eq!(trace.said("does not yield"), 0, "it may be on its way");
    insist(&mut trace, &heard(12, advert(50)), 30);
    assert_eq!(trace.said("10.10.10.12 does not yield to our higher priority"), 1);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn two_rivals_an_hour_apart_are_not_stubborn() {
    let mut trace = Trace::active();
    for _ in 0..4 {
        insist(&mut trace, &heard(12, advert(50)), 5);
        trace.wait(60_000);
    }
    assert_eq!(trace.said("does not yield"), 0);
}

#[test]
fn a_peer_is_answered_in_the_form_of_checksum_it_was_heard_with() {
    let mut trace = Trace::backup();
    assert_eq!(trace.agent.checksum_for(ip(12)), Checksum::PseudoHeader);
    for form in [Checksum::Message, Checksum::OldUnicast, Checksum::PseudoHeader, Checksum::Message] {
        insist(&mut trace, &Heard { checksum: form, ..heard(12, advert(200)) }, 1);
        assert_eq!(trace.agent.checksum_for(ip(12)), form);
    }
    assert_eq!(trace.agent.checksum_for(ip(13)), Checksum::PseudoHeader);
}

#[test]
fn another_form_of_checksum_is_named_once_where_all_get_the_same() {
    let group = Some(IpAddr::from([224, 0, 0, 18]));
    let message = |advert| Heard { checksum: Checksum::Message, ..heard(12, advert) };
    let mut trace = Trace::with(Settings { group, ..settings(11) }, &[]);
    insist(&mut trace, &message(advert(200)), 3);
    assert_eq!(
        trace.said("10.10.10.12 uses the message form of checksum, this host the pseudo-header form"),
        1
    );

    // Version 2 has but one form, and by unicast everybody gets his own.
    let mut trace = Trace::with(Settings { group, version: Version::V2, ..settings(11) }, &[]);
    insist(&mut trace, &message(Advert { version: Version::V2, ..advert(200) }), 3);
    assert_eq!(trace.said("form of checksum"), 0);
    let mut trace = Trace::backup();
    insist(&mut trace, &message(advert(200)), 3);
    assert_eq!(trace.said("form of checksum"), 0);
}

#[test]
fn a_listed_peer_that_was_never_heard_is_reported_once() {
    let mut trace = Trace::with(settings(11), &[12, 13, 14]);
    insist(&mut trace, &heard(12, advert(200)), 1);
    trace.act(|agent, now| agent.handle_arp(now, ip(13), [2, 0, 0, 0, 0, 13]));
    trace.wait(119_000);
    assert_eq!(trace.said("was never heard"), 0);
    trace.wait(200_000);
    assert_eq!((trace.said("the member 10.10.10.14 was never heard"), trace.said("was never heard")), (1, 1));
}

#[test]
fn with_multicast_adverts_go_to_the_group_and_everybody_is_welcome_without_a_list() {
    let group = IpAddr::from([224, 0, 0, 18]);
    let mut trace = Trace::active_of(Settings { group: Some(group), ..settings(11) }, &[]);
    trace.wait(400);
    let groups: Vec<_> = trace
        .did
        .iter()
        .filter_map(|c| if let Command::Advertise { to, .. } = c { Some(to) } else { None })
        .collect();
    assert!(!groups.is_empty() && groups.iter().all(|to| **to == [group]), "{groups:?}");
    insist(&mut trace, &heard(99, advert(50)), 3);
    assert_eq!(trace.said("not listed"), 0);
    trace.did.clear();
    trace.act(|agent, now| agent.handle_shutdown(now));
    assert_eq!(trace.sent(), [0], "somebody may be there to take over");
}

#[test]
fn late_adverts_are_counted_and_the_schedule_does_not_drift() {
    let mut trace = Trace::active();
    trace.wait(200);
    let before = trace.agent.view(trace.now).late;
    for late in [19, 21, 199, 201] {
        let due = trace.agent.router.advert_due().unwrap();
        trace.now = due + late * MS;
        trace.act(|_, _| {});
        let next = trace.agent.router.advert_due().unwrap();
        let skipped = if late > 200 { trace.now } else { due };
        assert_eq!(next, skipped + 200 * MS);
    }
    assert_eq!(trace.agent.view(trace.now).late - before, 3);
    assert_eq!(trace.said("201 ms late"), 1);
}

// Passwords and signatures.

const WALL: Duration = Duration::from_secs(1_700_000_000);

fn signed(last: u8, at: Time, verdict: Verdict) -> Heard {
    let wall = WALL + at;
    let signature = Signature { key: 1, stamp: Stamp::next(wall, None), verdict, wall };
    let proof = Proof { signature: Some(signature), ..Proof::default() };
    Heard { proof, ..heard(last, advert(200)) }
}

#[test]
fn another_password_holds_a_claim_back_and_is_named_once() {
    let auth = Auth::Pass(*b"1111\0\0\0\0");
    let version_2 = Settings { version: Version::V2, interval: 1000 * MS, auth, ..settings(11) };
    let mut trace = Trace::with(version_2, &[12]);
    let other = Proof { kind: 1, password: Some(*b"2222\0\0\0\0"), signature: None };
    let told = Advert { version: Version::V2, interval: 1000 * MS, ..advert(200) };
    for _ in 0..10 {
        let heard = Heard { proof: other, ..heard(12, told.clone()) };
        trace.act(|agent, now| agent.handle_advert(now, &heard));
        trace.wait(1000);
    }
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.said("another password; set OUTRIDER_AUTH_PASS"), 1);
    trace.wait(8000);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn where_signatures_are_enforced_nobody_else_holds_a_claim_back() {
    let enforced = Settings { auth: Auth::Signed(Mode::Enforce), ..settings(11) };
    let forged: [fn(&mut Trace); 4] = [
        |trace| trace.hear(12, 200),
        |trace| trace.hear_with(12, |advert| advert.version = Version::V2),
        |trace| trace.act(|agent, now| agent.handle_rejected(now, ip(12), "wrong checksum")),
        |trace| trace.act(|agent, now| agent.handle_advert(now, &signed(12, now, Verdict::Wrong))),
    ];
    for forge in forged {
        let mut trace = Trace::with(enforced.clone(), &[12]);
        for _ in 0..10 {
            forge(&mut trace);
            trace.wait(100);
        }
        assert_eq!(trace.state(), State::Active);
        forge(&mut trace);
        assert_eq!(trace.state(), State::Active, "nor takes the address away");
        assert_eq!(trace.did.iter().filter(|c| matches!(c, Command::Tell(Event::Warning(_)))).count(), 1);
    }
    let mut trace = Trace::with(enforced, &[12]);
    for _ in 0..10 {
        trace.act(|agent, now| agent.handle_advert(now, &signed(12, now, Verdict::Valid)));
        trace.wait(200);
    }
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn a_holder_whose_clock_is_off_is_named_and_not_taken_over_from() {
    let enforced = Settings { auth: Auth::Signed(Mode::Enforce), ..settings(11) };
    let mut trace = Trace::with(enforced, &[12]);
    for _ in 0..20 {
        trace.act(|agent, now| {
            let mut heard = signed(12, now, Verdict::Valid);
            if let Some(signature) = &mut heard.proof.signature {
                signature.wall += 60 * 1000 * MS;
            }
            agent.handle_advert(now, &heard);
        });
        trace.wait(200);
    }
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.said("the clock of 10.10.10.12 is 60.0 s behind"), 1);
}

// Several virtual routers in one agent.

fn group(ids: &[&str]) -> Membership {
    let member = |id: &&str| Member { id: (*id).to_owned(), ..member(11) };
    Membership { me: Standing::Left("an onlooker".to_owned()), others: ids.iter().map(member).collect() }
}

#[test]
fn first_ranks_of_several_routers_are_spread() {
    for hosts in [["a", "b", "c"], ["x", "y", "z"], ["host-1", "host-2", "host-3"]] {
        let members = group(&hosts);
        let routers: Vec<u8> = (20..80).collect();
        let mut firsts = BTreeMap::new();
        for (at, vrid) in routers.iter().enumerate() {
            let ranks: Vec<usize> = hosts.iter().map(|id| members.rank(&routers[..at], *vrid, id)).collect();
            let mut sorted = ranks.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2], "every rank once");
            let first = ranks.iter().position(|rank| *rank == 0).unwrap();
            *firsts.entry(first).or_insert(0) += 1;
            let (most, least) = (firsts.values().max().unwrap(), firsts.values().min().unwrap());
            assert!(firsts.len() == 3.min(at + 1) && most - least <= 1, "{firsts:?}");
        }
    }
}

#[test]
fn a_single_router_is_ranked_by_hash_alone_and_a_host_that_leaves_moves_no_two_others() {
    let (three, two) = (group(&["a", "b", "c"]), group(&["a", "c"]));
    for vrid in 1..=255 {
        let before = three.rank(&[], vrid, "a") < three.rank(&[], vrid, "c");
        let after = two.rank(&[], vrid, "a") < two.rank(&[], vrid, "c");
        assert_eq!(before, after, "{vrid}");
    }
}

#[test]
fn priorities_without_a_list_are_valid_and_differ_by_host() {
    let priorities: std::collections::BTreeSet<u8> =
        (0..200).map(|host| members::lone_priority(2, &format!("10.0.0.{host}"))).collect();
    assert!(!priorities.contains(&0) && !priorities.contains(&255) && priorities.len() > 100);
    assert_eq!(members::lone_priority(2, "10.0.0.1"), members::lone_priority(2, "10.0.0.1"));
}
