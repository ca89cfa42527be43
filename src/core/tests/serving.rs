//! A host that cannot serve, and the lease of one that does.

use super::*;

// Fault.

#[test]
fn a_dead_load_balancer_sends_priority_0_and_lets_go_at_once() {
    let mut trace = Trace::active();
    trace.health(&Outcome::Dead("refused".to_owned()));
    assert_eq!(trace.state(), State::Fault);
    let advert = Command::Advertise { priority: 0, to: vec![ip(12)] };
    let deeds: Vec<_> = trace.did.iter().filter(|c| **c == advert || **c == Command::Remove).collect();
    assert_eq!(deeds, [&advert, &Command::Remove]);
}

#[test]
fn a_lost_priority_0_is_repeated_after_one_and_a_half_intervals_until_somebody_claims() {
    let mut trace = Trace::active();
    trace.health(&Outcome::Dead("refused".to_owned()));
    trace.sent();
    trace.wait(299);
    assert_eq!(trace.sent(), [0u8; 0]);
    trace.wait(1);
    assert_eq!(trace.sent(), [0]);
    trace.hear(12, 100);
    trace.wait(1000);
    assert_eq!(trace.sent(), [0u8; 0]);
}

#[test]
fn an_unfit_host_never_claims_and_one_that_recovers_into_a_vacancy_does_after_its_skew() {
    let mut trace = Trace::backup();
    trace.health(&Outcome::Dead("refused".to_owned()));
    trace.wait(60_000);
    assert_eq!(trace.state(), State::Fault);
    trace.health(&Outcome::Pass);
    assert_eq!(trace.state(), State::Backup, "one success suffices while nobody holds the address");
    trace.wait(122);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn an_unfit_host_needs_rise_while_somebody_holds_the_address() {
    let mut trace = Trace::backup();
    trace.hear(12, 100);
    trace.health(&Outcome::Dead("refused".to_owned()));
    trace.health(&Outcome::Pass);
    assert_eq!(trace.state(), State::Fault);
    trace.health(&Outcome::Pass);
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn after_a_lost_link_silence_is_measured_anew() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_link(now, Err("eth0 has no carrier".to_owned())));
    assert_eq!(trace.state(), State::Fault);
    assert_eq!(trace.count(&Command::Remove), 1);
    trace.wait(5000);
    trace.act(|agent, now| agent.handle_link(now, Ok(())));
    trace.wait(721);
    assert_eq!(trace.state(), State::Backup);
    trace.wait(1);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn a_foreign_address_is_unfit_until_it_is_gone() {
    let mut trace = Trace::backup();
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Foreign("10.10.10.2 is on eth0".to_owned())));
    trace.wait(5000);
    assert_eq!(trace.state(), State::Fault);
    assert_eq!(trace.count(&Command::Remove), 0, "what is not ours is never removed");
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::ForeignGone));
    trace.wait(1000);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn a_foreign_address_is_told_also_to_a_host_that_is_unfit_already() {
    let mut trace = Trace::backup();
    trace.health(&Outcome::Dead("refused".to_owned()));
    assert_eq!(trace.state(), State::Fault);
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Foreign("10.10.10.2 is on eth0".to_owned())));
    assert_eq!(trace.said("10.10.10.2 is on eth0"), 1);
}

#[test]
fn an_address_the_kernel_refuses_is_tried_again_later() {
    let mut trace = Trace::backup();
    trace.kernel = false;
    trace.wait(1000);
    let why = "operation not permitted".to_owned();
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Failed { to: Wish::Add, why }));
    assert_eq!(trace.state(), State::Fault);
    assert_eq!(trace.said("operation not permitted"), 1);
    trace.kernel = true;
    trace.wait(6000);
    assert_eq!(trace.state(), State::Active);
}

// What an earlier run left behind.

#[test]
fn a_leftover_stays_until_somebody_else_has_the_address() {
    let mut trace = Trace::backup();
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Leftover));
    trace.wait(500);
    trace.hear(12, 0);
    assert_eq!(trace.count(&Command::Remove), 0, "nobody else has it yet");
    trace.hear(12, 100);
    assert_eq!(trace.count(&Command::Remove), 1);
    trace.hear(12, 100);
    assert_eq!((trace.count(&Command::Remove), trace.state()), (1, State::Backup));
}

#[test]
fn a_leftover_goes_at_once_where_somebody_else_has_the_address_or_this_host_cannot_serve() {
    let mut trace = Trace::backup();
    trace.hear(12, 100);
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Leftover));
    assert_eq!(trace.count(&Command::Remove), 1);

    let mut trace = Trace::backup();
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Leftover));
    trace.health(&Outcome::Dead("refused".to_owned()));
    assert_eq!((trace.count(&Command::Remove), trace.state()), (1, State::Fault));
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Leftover));
    assert_eq!(trace.count(&Command::Remove), 2);

    let preempts = Settings { preempt: true, preempt_delay: 5000 * MS, ..settings(11) };
    let mut trace = Trace::with(preempts, &[12]);
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Leftover));
    trace.hear(12, 50);
    assert_eq!(trace.count(&Command::Remove), 1, "whom it is about to preempt has it, too");
}

#[test]
fn whoever_ends_leaves_no_leftover() {
    let mut trace = Trace::bare(settings(11));
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Leftover));
    assert_eq!(trace.count(&Command::Remove), 0);
    trace.act(Agent::handle_shutdown);
    let deeds: Vec<_> =
        trace.did.iter().filter(|did| [Command::Remove, Command::Exit].contains(did)).collect();
    assert_eq!(deeds, [&Command::Remove, &Command::Exit]);
}

#[test]
fn a_leftover_is_taken_on_by_a_claim() {
    let mut trace = Trace::backup();
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Leftover));
    trace.wait(2000);
    trace.hear(12, 50);
    assert_eq!((trace.count(&Command::Remove), trace.state()), (0, State::Active));
}

// The lease.

#[test]
fn the_lease_is_renewed_long_before_it_ends() {
    let mut trace = Trace::active();
    for _ in 0..100 {
        trace.wait(100);
        assert!(trace.expires.is_some_and(|at| at > trace.now + 600 * MS));
    }
}

#[test]
fn a_renewal_that_is_acknowledged_too_late_makes_it_step_down_silently() {
    let mut trace = Trace::active();
    trace.kernel = false;
    trace.wait(500);
    trace.sent();
    let sent = trace.now - 1001 * MS;
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Renewed { sent }));
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.count(&Command::Remove), 1);
    assert_eq!(trace.sent(), [0u8; 0], "no priority 0");
}

#[test]
fn past_the_end_of_its_lease_a_router_says_nothing_whatever_comes_first() {
    // At 300 ms Master_Down is 1082 ms: a sleep of as much as that is not noticed as one.
    let deeds: [fn(&mut Trace); 4] = [
        |trace| trace.hear(12, 200),
        |trace| trace.hear(12, 50),
        |trace| trace.health(&Outcome::Dead("refused".to_owned())),
        |trace| trace.act(Agent::handle_shutdown),
    ];
    for deed in deeds {
        let mut trace = Trace::active_of(Settings { interval: 300 * MS, ..settings(11) }, &[12]);
        trace.sleep(1050);
        deed(&mut trace);
        assert_ne!(trace.state(), State::Active);
        assert_eq!((trace.count(&Command::Remove), trace.sent()), (1, vec![]));
    }
}

#[test]
fn a_kernel_that_does_not_answer_ends_the_lease() {
    let mut trace = Trace::active();
    trace.kernel = false;
    trace.wait(1100);
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn an_agent_that_slept_past_master_down_touches_nothing_and_rejoins() {
    let mut trace = Trace::active();
    trace.sleep(800);
    trace.act(Agent::handle_timeout);
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.count(&Command::Renew { not_after: None }), 0);
    assert!(
        !trace
            .did
            .iter()
            .any(|c| matches!(c, Command::Renew { .. } | Command::Add { .. } | Command::Announce))
    );
    assert_eq!(trace.sent(), [0u8; 0]);
    trace.wait(721);
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn what_was_decided_before_a_sleep_is_not_done_after_it() {
    let mut trace = Trace::active();
    let now = trace.now + 250 * MS;
    trace.agent.handle_timeout(now);
    trace.agent.handle_kernel(now, &Kernel::Gone);
    // Stopped before, or while, it carries that out.
    let mut did = Vec::new();
    while let Some(command) = trace.agent.next_command(now + 800 * MS) {
        did.push(command);
    }
    assert!(!did.iter().any(Command::is_for_an_active), "{did:?}");
    assert!(did.contains(&Command::Remove));
}

#[test]
fn what_was_decided_within_a_lease_is_not_done_after_it() {
    let mut trace = Trace::active_of(Settings { interval: 300 * MS, ..settings(11) }, &[12]);
    let now = trace.now + 300 * MS;
    trace.agent.handle_timeout(now);
    let late = now + 1050 * MS;
    let mut did = Vec::new();
    while let Some(command) = trace.agent.next_command(late) {
        did.push(command);
    }
    assert!(!did.iter().any(Command::is_for_an_active), "{did:?}");
    assert!(did.contains(&Command::Remove));
}

/// Of two virtual routers one was outranked, and the process was stopped while it did what the other one wanted
/// (simulation, two routers, seed 37051).
#[test]
fn what_an_active_decided_before_it_stepped_down_is_not_done_after_its_lease() {
    let mut trace = Trace::active_of(Settings { interval: 300 * MS, ..settings(11) }, &[12]);
    let advert =
        Advert { version: Version::V3, vrid: 2, priority: 200, interval: 300 * MS, addresses: vec![ip(2)] };
    trace.agent.handle_advert(trace.now, &heard(12, advert));
    assert_eq!(trace.state(), State::Backup);
    let late = trace.now + 1050 * MS;
    let mut did = Vec::new();
    while let Some(command) = trace.agent.next_command(late) {
        did.push(command);
    }
    assert!(!did.iter().any(Command::is_for_an_active), "{did:?}");
    assert!(did.contains(&Command::Remove));
}

#[test]
fn a_lease_that_is_over_does_not_keep_a_resignation_from_being_repeated() {
    let mut trace = Trace::active_of(Settings { interval: 500 * MS, ..settings(11) }, &[12]);
    trace.health(&Outcome::Dead("refused".to_owned()));
    trace.wait(1600);
    assert_eq!(trace.sent(), [0, 0, 0]);
}

#[test]
fn a_priority_0_that_waited_while_the_agent_slept_proves_nothing() {
    for queue in [&[0][..], &[50, 0][..]] {
        let mut trace = Trace::active();
        trace.sleep(10_000);
        queue.iter().for_each(|priority| trace.hear(12, *priority));
        assert_eq!(trace.state(), State::Backup);
        trace.wait(721);
        assert_eq!(trace.state(), State::Backup);
    }
}

#[test]
fn a_backup_that_slept_does_not_take_its_own_deafness_for_silence() {
    let mut trace = Trace::backup();
    trace.hear(12, 100);
    trace.sleep(10_000);
    trace.act(Agent::handle_timeout);
    trace.wait(721);
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn an_address_somebody_else_removed_is_put_back_and_announced() {
    let mut trace = Trace::active();
    trace.wait(5000);
    trace.did.clear();
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Gone));
    assert!(trace.did.iter().any(|c| matches!(c, Command::Add { .. })));
    assert_eq!(trace.count(&Command::Announce), 5);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn a_slow_kernel_does_not_keep_the_claim_from_being_advertised() {
    let mut trace = Trace::backup();
    trace.kernel = false;
    trace.wait(735);
    assert_eq!(trace.sent(), [100]);
    let sent = trace.now;
    trace.hear(12, 50);
    assert_eq!(trace.count(&Command::Announce), 0, "never announced before it is there");
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Added { sent }));
    assert_eq!(trace.count(&Command::Announce), 5);
}

#[test]
fn what_the_kernel_did_for_an_earlier_time_as_active_confirms_nothing() {
    let mut trace = Trace::active();
    trace.kernel = false;
    let sent = trace.now;
    trace.wait(200);
    trace.hear(12, 200);
    trace.wait(200);
    trace.hear(12, 0);
    assert_eq!(trace.state(), State::Active);
    trace.did.clear();
    // Sent later, since somebody held the kernel's lock: still what was asked before.
    for sent in [sent, trace.now] {
        trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Added { sent }));
        trace.act(|agent, now| agent.handle_kernel(now, &Kernel::TooLate));
        assert_eq!(trace.state(), State::Active);
        assert_eq!(trace.count(&Command::Announce), 0, "the removal comes next");
    }
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Removed));
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Added { sent: now }));
    assert_eq!(trace.count(&Command::Announce), 5);
}
