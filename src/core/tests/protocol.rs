//! The rows of the RFC's tables.

use super::*;

// RFC 9568 section 6.4.1, Initialize.

#[test]
fn initialize_waits_for_members() {
    let mut trace = Trace::bare(settings(11));
    trace.act(|agent, now| agent.handle_link(now, Ok(())));
    trace.act(|agent, now| agent.handle_checks(now, Ok(&[])));
    trace.wait(60_000);
    assert_eq!(trace.state(), State::Initialize);
    trace.act(|agent, now| agent.handle_members(now, &members(11, &[]), None));
    trace.wait(1000);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn a_startup_event_never_makes_an_active_at_once() {
    let mut trace = Trace::backup();
    // 3 x 200 ms + (256 - 100) / 256 x 200 ms = 721.875 ms
    trace.wait(721);
    assert_eq!(trace.state(), State::Backup);
    trace.wait(1);
    assert_eq!(trace.state(), State::Active);
}

// RFC 9568 section 6.4.2, Backup.

#[test]
fn backup_claims_when_master_down_ends_in_the_order_add_announce_advertise() {
    let mut trace = Trace::backup();
    trace.hear(12, 50);
    trace.wait(721);
    trace.did.clear();
    trace.wait(1);
    let deeds: Vec<_> = trace.did.iter().filter(|c| !matches!(c, Command::Tell(_))).cloned().collect();
    let mut expected = vec![Command::Add {
        not_after: deeds.first().and_then(|c| match c {
            Command::Add { not_after } => *not_after,
            _ => None,
        }),
    }];
    expected.extend(std::iter::repeat_n(Command::Announce, 5));
    expected.push(Command::Advertise { priority: 100, to: vec![ip(12)] });
    assert_eq!(deeds, expected);
    assert_eq!(trace.said("nothing heard from 10.10.10.12 for 721 ms"), 1, "{:?}", trace.did);
}

#[test]
fn a_silence_does_not_end_before_the_adverts_that_have_arrived_are_handed_in() {
    let mut trace = Trace::backup();
    trace.hear(12, 50);
    // Stopped for a while, shorter than Master_Down; adverts wait in the socket, a check's result in a channel.
    trace.wait(300);
    trace.sleep(450);
    let now = trace.now;
    trace.agent.handle_health(now, "lb", &Outcome::Pass);
    assert_eq!(trace.agent.state(), State::Backup);
    trace.hear(12, 50);
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn backup_waits_skew_time_after_priority_0() {
    let mut trace = Trace::with(settings(11), &[12, 13]);
    trace.wait(200);
    trace.hear(12, 50);
    trace.hear(12, 0);
    trace.wait(121);
    assert_eq!(trace.state(), State::Backup);
    trace.wait(1);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn the_first_in_line_claims_at_once_on_priority_0() {
    let mut trace = Trace::backup();
    trace.wait(200);
    trace.hear(12, 50);
    trace.hear(12, 0);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn an_advert_that_the_network_let_priority_0_overtake_takes_nothing_back() {
    let mut trace = Trace::backup();
    trace.wait(200);
    trace.hear(12, 150);
    trace.wait(200);
    trace.hear(12, 0);
    assert_eq!(trace.state(), State::Active);
    trace.wait(1);
    trace.hear(12, 150);
    assert_eq!(trace.state(), State::Active);
    trace.wait(20);
    trace.hear(12, 150);
    assert_eq!(trace.state(), State::Backup, "the leaver has changed its mind");
}

/// After a pause both are read in one go, and the leaver may have changed its mind in between.
#[test]
fn a_backup_believes_whatever_comes_last() {
    let mut trace = Trace::backup();
    trace.wait(200);
    trace.hear(12, 150);
    trace.wait(200);
    let addresses = vec![ip(2)];
    let advert = Advert { version: Version::V3, vrid: 2, priority: 150, interval: 200 * MS, addresses };
    trace.act(|agent, now| {
        agent.handle_advert(now, &heard(12, Advert { priority: 0, ..advert.clone() }));
        agent.handle_advert(now, &heard(12, advert));
    });
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn a_successor_insists_since_the_leaver_may_die_before_it_has_let_go() {
    let mut trace = Trace::backup();
    trace.wait(200);
    trace.hear(12, 50);
    trace.hear(12, 0);
    trace.wait(1500);
    trace.did.clear();
    trace.wait(900);
    assert!(trace.count(&Command::Announce) >= 3);
}

#[test]
fn backup_ignores_priority_0_from_anyone_but_its_active() {
    let mut trace = Trace::with(settings(11), &[12, 13]);
    trace.hear(12, 50);
    trace.hear(13, 0);
    trace.wait(300);
    assert_eq!(trace.state(), State::Backup);
}

/// Simulation seed 230797: of two holders one resigns, and the other one was heard not long ago.
#[test]
fn one_of_two_holders_vacates_nothing() {
    let mut trace = Trace::with(settings(11), &[12, 13]);
    trace.wait(200);
    trace.hear(12, 250);
    trace.wait(150);
    trace.hear(13, 150);
    trace.wait(150);
    trace.hear(13, 0);
    trace.wait(721 - 300);
    assert_eq!(trace.state(), State::Backup, "12 may hold it still");
    trace.wait(1);
    assert_eq!(trace.state(), State::Active);
}

/// Simulation seed 252771: a resignation that came too soon after the start proved nothing, but it was one.
#[test]
fn who_has_resigned_is_not_followed_again() {
    let mut trace = Trace::with(settings(11), &[12, 13]);
    trace.hear(12, 250);
    trace.wait(50);
    trace.hear(12, 0);
    trace.hear(13, 150);
    trace.wait(300);
    trace.hear(13, 0);
    trace.wait(121);
    assert_eq!(trace.state(), State::Backup);
    trace.wait(1);
    assert_eq!(trace.state(), State::Active);
}

/// Found by the model: the former Active's last advert and its priority 0 come after its successor's first advert.
#[test]
fn what_a_successors_first_advert_overtook_vacates_nothing() {
    let mut trace = Trace::with(settings(11), &[12, 13]);
    trace.wait(200);
    trace.hear(12, 50);
    trace.wait(200);
    trace.hear(13, 150);
    trace.wait(3);
    trace.hear(12, 50);
    trace.hear(12, 0);
    trace.wait(718);
    assert_eq!(trace.state(), State::Backup, "13 holds the address, and was heard");
    trace.wait(1);
    assert_eq!(trace.state(), State::Active);

    let mut trace = Trace::with(settings(11), &[12, 13]);
    trace.wait(200);
    trace.hear(13, 150);
    trace.hear(12, 50);
    trace.hear(13, 0);
    trace.hear(12, 0);
    trace.wait(122);
    assert_eq!(trace.state(), State::Active, "nor does it keep one that gave the address up as well");
}

#[test]
fn backup_accepts_a_lower_priority_without_preemption() {
    let mut trace = Trace::backup();
    for _ in 0..20 {
        trace.hear(12, 1);
        trace.wait(200);
    }
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.said("10.10.10.12 holds the address with priority 1"), 1);
}

#[test]
fn backup_ignores_a_lower_priority_with_preemption_and_the_timer_runs_on() {
    let mut trace = Trace::with(Settings { preempt: true, ..settings(11) }, &[12]);
    for _ in 0..4 {
        trace.hear(12, 99);
        trace.wait(200);
    }
    assert_eq!(trace.state(), State::Active);
    let mut trace = Trace::with(Settings { preempt: true, ..settings(11) }, &[12]);
    for _ in 0..20 {
        trace.hear(12, 100);
        trace.wait(200);
    }
    assert_eq!(trace.state(), State::Backup, "an equal priority is accepted");
}

/// It may have died since, with the address: its kernel answers until its lease ends.
#[test]
fn a_preempted_router_that_was_never_followed_is_announced_against() {
    let mut trace = Trace::with(Settings { preempt: true, ..settings(11) }, &[12]);
    trace.hear(12, 50);
    trace.wait(100);
    trace.hear(12, 50);
    trace.wait(700);
    assert_eq!(trace.state(), State::Active);
    assert_eq!(trace.said("preempting 10.10.10.12: its priority 50 < ours"), 1);
    trace.did.clear();
    trace.wait(800);
    assert!(trace.count(&Command::Announce) >= 3);
}

#[test]
fn preemption_waits_for_its_delay() {
    let mut trace = Trace::with(Settings { preempt: true, preempt_delay: 3000 * MS, ..settings(11) }, &[12]);
    for _ in 0..14 {
        trace.hear(12, 99);
        trace.wait(200);
        assert_eq!(trace.state(), State::Backup);
    }
    for _ in 0..6 {
        trace.hear(12, 99);
        trace.wait(200);
    }
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn the_delay_before_preemption_begins_anew_when_a_host_recovers() {
    let mut trace = Trace::with(Settings { preempt: true, preempt_delay: 3000 * MS, ..settings(11) }, &[12]);
    let bear = |trace: &mut Trace, adverts: u32| {
        for _ in 0..adverts {
            trace.hear(12, 99);
            trace.wait(200);
        }
    };
    bear(&mut trace, 10);
    trace.health(&Outcome::Dead("refused".to_owned()));
    bear(&mut trace, 10);
    trace.health(&Outcome::Pass);
    trace.health(&Outcome::Pass);
    bear(&mut trace, 15);
    assert_eq!(trace.state(), State::Backup);
    bear(&mut trace, 5);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn backup_learns_the_actives_interval_in_version_3() {
    let mut trace = Trace::backup();
    trace.hear_with(12, |advert| advert.interval = 1000 * MS);
    trace.wait(3609);
    assert_eq!(trace.state(), State::Backup);
    trace.wait(1);
    assert_eq!(trace.state(), State::Active);
    trace.did.clear();
    trace.wait(1000);
    assert_eq!(trace.sent().len(), 5, "as Active it goes back to its own interval");
}

// RFC 9568 section 6.4.3, Active.

#[test]
fn active_advertises_every_interval_without_drift() {
    let mut trace = Trace::active();
    let start = trace.now;
    for lateness in [3, 7, 1, 9, 2] {
        let due = trace.agent.router.deadline().unwrap();
        trace.now = due + lateness * MS;
        trace.act(Agent::handle_timeout);
    }
    trace.wait(2000);
    let elapsed = trace.now - start;
    let adverts = trace.sent().len() as u128;
    assert!(adverts.abs_diff(elapsed.as_millis() / 200) <= 1, "{adverts} adverts in {elapsed:?}");
}

#[test]
fn active_answers_priority_0_at_once() {
    let mut trace = Trace::active();
    trace.hear(12, 0);
    assert_eq!(trace.sent(), [100]);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn active_yields_to_a_higher_priority_without_priority_0() {
    let mut trace = Trace::active();
    trace.hear(12, 101);
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.count(&Command::Remove), 1);
    assert_eq!(trace.said("10.10.10.12 took the address: its priority 101 > ours 100"), 1);
    assert_eq!(trace.sent(), [100], "told of us, the winner announces the address again");
    trace.wait(700);
    assert_eq!(trace.state(), State::Backup, "it follows the winner");
}

#[test]
fn active_yields_to_an_equal_priority_from_a_higher_address_only() {
    let mut trace = Trace::active();
    trace.hear(10, 100);
    assert_eq!(trace.state(), State::Active);
    trace.hear(12, 100);
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn active_answers_a_lower_priority_and_announces_again() {
    let mut trace = Trace::active();
    trace.wait(5000);
    trace.did.clear();
    trace.hear(12, 99);
    assert_eq!(trace.count(&Command::Announce), 5);
    assert_eq!(trace.sent(), [100]);
    assert_eq!(trace.state(), State::Active);
}
