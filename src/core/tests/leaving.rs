//! Hand-over and drain.

use super::*;

// Hand-over.

#[test]
fn a_stopping_active_keeps_the_address_until_its_successor_was_heard() {
    let mut trace = Trace::active();
    trace.act(Agent::handle_shutdown);
    assert_eq!(trace.sent(), [0]);
    trace.wait(299);
    assert_eq!((trace.sent(), trace.state()), (vec![], State::Active));
    trace.wait(1);
    assert_eq!(trace.sent(), [0]);
    trace.hear(12, 90);
    trace.wait(19);
    assert_eq!(trace.state(), State::Active);
    trace.wait(1);
    assert_eq!(trace.count(&Command::Remove), 1);
    assert_eq!(trace.count(&Command::Exit), 1);
    assert_eq!(trace.sent(), [0u8; 0]);
}

#[test]
fn a_leaver_whose_successor_gives_up_at_once_waits_for_the_next_one() {
    let mut trace = Trace::active_of(settings(11), &[12, 13]);
    trace.act(Agent::handle_shutdown);
    trace.hear(12, 90);
    trace.wait(5);
    trace.did.clear();
    trace.hear(12, 0);
    trace.wait(100);
    assert_eq!((trace.state(), trace.count(&Command::Announce)), (State::Active, 5));
    trace.hear(13, 80);
    trace.wait(20);
    assert_eq!(trace.count(&Command::Exit), 1);
}

/// Simulation seed 1137181: it was told to leave before the kernel had added the address.
#[test]
fn a_leaver_announces_nothing_that_the_kernel_has_not_confirmed() {
    let mut trace = Trace::backup();
    trace.kernel = false;
    trace.wait(800);
    trace.act(Agent::handle_shutdown);
    trace.hear(12, 90);
    trace.hear(12, 0);
    trace.wait(10);
    assert_eq!((trace.state(), trace.count(&Command::Announce)), (State::Active, 0));
}

#[test]
fn a_stopping_active_without_a_successor_lets_go_at_the_limit_or_at_once_if_alone() {
    let mut trace = Trace::active();
    trace.act(Agent::handle_shutdown);
    trace.wait(4999);
    assert_eq!(trace.count(&Command::Exit), 0);
    trace.wait(1);
    assert_eq!((trace.count(&Command::Remove), trace.count(&Command::Exit)), (1, 1));
    let mut alone = Trace::active_of(settings(11), &[]);
    alone.act(Agent::handle_shutdown);
    assert_eq!(alone.count(&Command::Exit), 1);
}

#[test]
fn a_stopping_active_with_a_dead_load_balancer_lets_go_at_once() {
    let mut trace = Trace::active();
    trace.act(Agent::handle_shutdown);
    trace.health(&Outcome::Dead("refused".to_owned()));
    assert_eq!(trace.count(&Command::Exit), 1);
}

#[test]
fn a_stopping_backup_ends_at_once() {
    let mut trace = Trace::backup();
    trace.act(Agent::handle_shutdown);
    assert_eq!(trace.count(&Command::Exit), 1);
    assert_eq!(trace.sent(), [0u8; 0]);
}

#[test]
fn a_leaver_does_not_answer_another_leaver() {
    let mut trace = Trace::active();
    trace.act(Agent::handle_shutdown);
    trace.sent();
    trace.hear(12, 0);
    assert_eq!(trace.sent(), [0u8; 0]);
}

fn left(others: &[u8]) -> Membership {
    Membership { me: Standing::Left("host label is gone".to_owned()), ..members(11, others) }
}

#[test]
fn a_host_that_lost_its_label_hands_over_and_claims_no_more() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_members(now, &left(&[12]), None));
    assert_eq!(trace.sent(), [0]);
    trace.hear(12, 50);
    trace.wait(20);
    assert_eq!(trace.state(), State::Fault);
    assert_eq!(trace.said("handed over to 10.10.10.12"), 1);
    trace.wait(60_000);
    assert_eq!(trace.state(), State::Fault);
}

#[test]
fn a_host_that_lost_its_label_keeps_the_address_where_nobody_takes_it_and_tries_again() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_members(now, &left(&[12]), None));
    trace.wait(899);
    assert_eq!(trace.sent(), [0, 0, 0]);
    trace.wait(4000);
    assert_eq!(trace.said("no other member took the address"), 1);
    let sent = trace.sent();
    assert!(sent.len() > 15 && sent.iter().all(|priority| *priority == 1), "{sent:?}");
    trace.wait(1500);
    assert_eq!(trace.state(), State::Active);
    assert!(trace.sent().contains(&0), "tried again");
    trace.act(|agent, now| agent.handle_members(now, &members(11, &[12]), None));
    assert_eq!(trace.sent(), [100], "with its label back it is a full Active again");
}

#[test]
fn of_two_that_keep_the_address_for_want_of_a_successor_one_gives_way() {
    for (other, state) in [(10, State::Active), (12, State::Fault)] {
        let mut trace = Trace::active_of(settings(11), &[other]);
        trace.act(|agent, now| agent.handle_members(now, &left(&[other]), None));
        trace.wait(1000);
        trace.hear(other, 1);
        trace.wait(20);
        assert_eq!(trace.state(), state);
    }
}

/// Simulation seed 703480: one was heard while it was leaving, to another it lost after it took part again.
#[test]
fn whom_a_leaver_heard_counts_when_it_has_taken_part_again_and_lost() {
    let mut trace = Trace::active_of(settings(11), &[12, 13]);
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::No)));
    trace.hear(13, 100);
    trace.hear(12, 150);
    trace.wait(10);
    trace.act(|agent, now| agent.handle_drain(now, None));
    trace.hear(12, 150);
    assert_eq!(trace.state(), State::Backup);
    trace.wait(50);
    trace.hear(12, 0);
    trace.wait(600);
    assert_eq!(trace.state(), State::Backup, "13 was heard 660 ms ago");
    trace.wait(100);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn a_leaver_that_keeps_the_address_after_all_announces_it_again() {
    let mut trace = Trace::active_of(settings(11), &[12]);
    trace.act(|agent, now| agent.handle_members(now, &left(&[12]), None));
    trace.hear(12, 50);
    trace.hear(12, 0);
    trace.did.clear();
    trace.wait(1000);
    assert_eq!((trace.state(), trace.count(&Command::Announce)), (State::Active, 7));
}

#[test]
fn a_leaver_that_takes_part_again_announces_until_the_lease_of_a_successor_that_died_is_over() {
    let mut trace = Trace::active_of(settings(11), &[12]);
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::No)));
    trace.hear(12, 50);
    trace.act(|agent, now| agent.handle_drain(now, None));
    trace.wait(1500);
    trace.did.clear();
    // A lease of 1 s, and what its kernel may take longer.
    trace.wait(900);
    assert_eq!((trace.state(), trace.count(&Command::Announce)), (State::Active, 3));
    trace.wait(1000);
    assert_eq!(trace.count(&Command::Announce), 3);
}

// Drain.

fn drained(trace: &Trace) -> Vec<Result<(), ()>> {
    let answers = trace.did.iter().filter_map(|command| match command {
        Command::Drained(answer) => Some(answer.clone().map_err(|_| ())),
        _ => None,
    });
    answers.collect()
}

#[test]
fn a_drained_active_hands_over_and_claims_no_more_until_it_is_undrained() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::No)));
    assert!(drained(&trace).is_empty(), "not before it is done");
    trace.hear(12, 50);
    trace.wait(20);
    assert_eq!((trace.state(), drained(&trace)), (State::Fault, vec![Ok(())]));
    trace.wait(10_000);
    assert_eq!(trace.state(), State::Fault);
    trace.act(|agent, now| agent.handle_drain(now, None));
    trace.wait(1000);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn the_last_host_that_can_serve_refuses_to_drain_and_lets_go_when_forced() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::No)));
    trace.wait(1000);
    assert_eq!((trace.state(), drained(&trace)), (State::Active, vec![Err(())]));
    trace.wait(10_000);
    assert_eq!(drained(&trace).len(), 1, "answered once");
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::Yes)));
    trace.wait(1000);
    assert_eq!((trace.state(), drained(&trace).pop()), (State::Fault, Some(Ok(()))));
}

/// Simulation seeds 116084, 238688, 383854, 405097, 600653: there is somebody now who takes it.
#[test]
fn who_asks_again_to_drain_is_answered_by_another_attempt() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::No)));
    trace.wait(2000);
    assert_eq!(drained(&trace), [Err(())]);
    trace.did.clear();
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::No)));
    assert_eq!((trace.sent(), drained(&trace)), (vec![0], vec![]));
    trace.hear(12, 50);
    trace.wait(20);
    assert_eq!((trace.state(), drained(&trace)), (State::Fault, vec![Ok(())]));
}

#[test]
fn a_drain_is_done_when_the_kernel_has_removed_the_address() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::No)));
    trace.kernel = false;
    trace.hear(12, 50);
    trace.wait(20);
    assert_eq!((trace.state(), drained(&trace)), (State::Fault, vec![]));
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Removed));
    assert_eq!(drained(&trace), [Ok(())]);
}

#[test]
fn a_drained_backup_takes_no_part() {
    let mut trace = Trace::backup();
    trace.act(|agent, now| agent.handle_drain(now, Some(Force::No)));
    assert_eq!(drained(&trace), [Ok(())]);
    trace.wait(10_000);
    assert_eq!(trace.state(), State::Fault);
}

/// Simulation seeds 5209146, 5612346: its load balancer fails while it yields to its successor.
#[test]
fn a_leaver_that_becomes_unfit_does_not_forget_its_successor() {
    for resigns in [false, true] {
        let mut trace = Trace::active();
        trace.act(|agent, now| agent.handle_drain(now, Some(Force::Yes)));
        trace.hear(12, 50);
        trace.health(&Outcome::Dead("refused".to_owned()));
        assert_eq!(trace.state(), State::Fault);
        trace.act(|agent, now| agent.handle_drain(now, None));
        trace.health(&Outcome::Pass);
        trace.health(&Outcome::Pass);
        trace.wait(if resigns { 200 } else { 721 });
        assert_eq!(trace.state(), State::Backup);
        if resigns {
            trace.hear(12, 0);
        }
        trace.wait(1);
        assert_eq!(trace.state(), State::Active, "{resigns}");
    }
}

/// FRR announces the address once, and advertises 200 ms later: nothing of ours may come in between.
#[test]
fn a_leaver_announces_nothing_not_even_against_a_dead_holder() {
    let mut trace = Trace::with(settings(11), &[12, 13]);
    trace.hear(12, 150);
    trace.wait(750);
    assert_eq!(trace.state(), State::Active);
    trace.act(Agent::handle_shutdown);
    trace.did.clear();
    trace.wait(2000);
    assert_eq!(trace.count(&Command::Announce), 0);
}

/// Simulation seed 113678: two leavers have the address, and the one that was announced last lets go first.
#[test]
fn a_leaver_defends_the_address_against_another_one() {
    let mut trace = Trace::active();
    trace.act(Agent::handle_shutdown);
    trace.did.clear();
    trace.wait(1);
    trace.act(|agent, now| agent.handle_arp(now, ip(2), [2, 0, 0, 0, 0, 12]));
    trace.wait(350);
    assert_eq!(trace.count(&Command::Announce), 6, "{:?}", trace.did);
    let mut yielding = Trace::active();
    yielding.act(Agent::handle_shutdown);
    yielding.did.clear();
    yielding.act(|agent, now| agent.handle_arp(now, ip(2), [2, 0, 0, 0, 0, 12]));
    yielding.hear(12, 100);
    yielding.wait(400);
    assert_eq!(yielding.count(&Command::Announce), 0, "that was the successor");
}
