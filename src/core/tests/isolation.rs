//! Cut off, or unable to send.

use super::*;

// Isolation.

fn guarded() -> Settings {
    Settings { guards: guard::Guards::Auto, ..settings(11) }
}

/// Lets time pass while the gateway answers whatever it is asked.
fn wait_answered(trace: &mut Trace, millis: u32) {
    for _ in 0..millis {
        trace.did.clear();
        trace.wait(1);
        if trace
            .did
            .iter()
            .any(|command| matches!(command, Command::Ask(targets) if targets.contains(&ip(1))))
        {
            trace.act(|agent, now| agent.handle_arp(now, ip(1), [2, 0, 0, 0, 0, 1]));
        }
    }
}

fn behind_gateway() -> Trace {
    let mut trace = Trace::with(guarded(), &[12]);
    trace.act(|agent, now| agent.handle_gateway(now, Some(ip(1))));
    trace
}

#[test]
fn no_claim_while_cut_off() {
    let mut trace = behind_gateway();
    trace.wait(10_000);
    assert_eq!(trace.state(), State::Backup);
    assert_eq!(trace.said("no sign of life from 10.10.10.1, 10.10.10.12"), 1);
    wait_answered(&mut trace, 700);
    assert_eq!(trace.state(), State::Backup, "a holder gets Master_Down to be heard");
    wait_answered(&mut trace, 200);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn a_backup_that_was_cut_off_does_not_claim_before_its_holder_can_be_heard_again() {
    let mut trace = behind_gateway();
    trace.hear(12, 100);
    trace.wait(10_000);
    assert_eq!(trace.said("no sign of life from 10.10.10.1, 10.10.10.12"), 1);
    wait_answered(&mut trace, 400);
    trace.hear(12, 100);
    wait_answered(&mut trace, 600);
    assert_eq!(trace.state(), State::Backup);
}

/// FRR's Active sends router advertisements, so that it becomes the default gateway of its own Backup; and the
/// address itself may be a gateway.
#[test]
fn a_gateway_that_dies_with_the_holder_guards_nothing() {
    let listed: &[u8] = &[12];
    for (peers, gateway) in [(listed, 12), (&[], 12), (&[], 2)] {
        let mut trace = Trace::with(guarded(), peers);
        trace.act(|agent, now| agent.handle_gateway(now, Some(ip(gateway))));
        trace.hear(12, 100);
        trace.wait(900);
        assert_eq!(trace.state(), State::Active, "{peers:?}, {gateway}");
        trace.wait(2000);
        assert!(trace.did.iter().all(|command| !matches!(command, Command::Advertise { priority: 1, .. })));
    }
}

#[test]
fn a_sign_of_life_from_before_the_silence_proves_nothing() {
    let mut trace = behind_gateway();
    for _ in 0..10 {
        trace.hear(12, 100);
        wait_answered(&mut trace, 200);
    }
    trace.hear(12, 100);
    trace.act(|agent, now| agent.handle_arp(now, ip(1), [2, 0, 0, 0, 0, 1]));
    trace.wait(2000);
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn watching_loses_no_time_when_the_holder_dies() {
    let mut trace = behind_gateway();
    trace.hear(12, 100);
    wait_answered(&mut trace, 721);
    assert_eq!(trace.state(), State::Backup);
    wait_answered(&mut trace, 1);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn a_holder_that_was_cut_off_yields_to_whom_it_finds_whatever_the_priorities() {
    let mut trace = behind_gateway();
    wait_answered(&mut trace, 1000);
    assert_eq!(trace.state(), State::Active);
    assert_eq!(trace.sent().into_iter().filter(|priority| *priority != 100).count(), 0);
    trace.wait(1000);
    trace.sent();
    trace.wait(1000);
    assert!(trace.sent().iter().all(|priority| *priority == 1), "whoever took over must win");
    trace.act(|agent, now| agent.handle_arp(now, ip(1), [2, 0, 0, 0, 0, 1]));
    trace.hear(12, 50);
    assert_eq!(trace.state(), State::Backup);
}

#[test]
fn nothing_is_asked_and_nothing_spins_without_a_link() {
    let mut trace = behind_gateway();
    wait_answered(&mut trace, 1000);
    trace.act(|agent, now| agent.handle_link(now, Err("eth0 has no carrier".to_owned())));
    trace.did.clear();
    trace.wait(10_000);
    assert!(!trace.did.iter().any(|command| matches!(command, Command::Ask(_))));
    trace.act(|agent, now| agent.handle_link(now, Ok(())));
    wait_answered(&mut trace, 1000);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn a_holder_that_was_not_cut_off_stays() {
    let mut trace = behind_gateway();
    wait_answered(&mut trace, 3000);
    trace.hear(12, 50);
    assert_eq!(trace.state(), State::Active);
}

/// Asked one at a time, the gateway would have its turn every 900 ms: too late for one that is cut off after 600 ms.
#[test]
fn a_holder_whose_many_peers_are_dead_is_not_cut_off_while_its_gateway_answers() {
    let mut trace = Trace::with(guarded(), &[12, 13, 14, 15, 16, 17, 18, 19]);
    trace.act(|agent, now| agent.handle_gateway(now, Some(ip(1))));
    wait_answered(&mut trace, 1000);
    assert_eq!(trace.state(), State::Active);
    for _ in 0..5000 {
        wait_answered(&mut trace, 1);
        assert!(trace.sent().iter().all(|priority| *priority == 100), "it is not cut off");
    }
    trace.hear(12, 50);
    assert_eq!(trace.state(), State::Active, "and yields to nobody");
}

#[test]
fn a_sign_of_life_is_not_good_for_ever() {
    let mut trace = behind_gateway();
    trace.hear(12, 100);
    trace.health(&Outcome::Dead("refused".to_owned()));
    wait_answered(&mut trace, 3000);
    trace.wait(3000);
    trace.health(&Outcome::Pass);
    trace.wait(500);
    assert_eq!(trace.state(), State::Backup, "it was cut off while it could not serve");
}

#[test]
fn adverts_that_waited_while_the_agent_slept_are_no_sign_of_life() {
    let mut trace = behind_gateway();
    wait_answered(&mut trace, 3000);
    assert_eq!(trace.state(), State::Active);
    trace.sleep(10_000);
    trace.hear(12, 100);
    assert_eq!(trace.state(), State::Backup);
    trace.wait(2000);
    assert_eq!(trace.state(), State::Backup);
}

// Sending fails.

#[test]
fn a_holder_that_cannot_send_for_longer_than_master_down_gives_up() {
    let mut trace = Trace::active();
    for _ in 0..7 {
        trace.act(|agent, now| agent.handle_sent(now, Err("EPERM".to_owned())));
        trace.wait(100);
    }
    trace.act(|agent, now| agent.handle_sent(now, Ok(())));
    trace.wait(1000);
    assert_eq!(trace.state(), State::Active, "one that left is enough");
    for _ in 0..10 {
        trace.act(|agent, now| agent.handle_sent(now, Err("EPERM".to_owned())));
        trace.wait(100);
    }
    assert_eq!(trace.state(), State::Fault);
    assert_eq!(trace.said("no advert can be sent: EPERM"), 1, "said once");
    assert_eq!(trace.said("kernel refused"), 0);
    // So was the priority 0, which says nothing of the next time as Active.
    trace.act(|agent, now| agent.handle_sent(now, Err("EPERM".to_owned())));
    trace.wait(6500);
    assert_eq!(trace.state(), State::Active);
}

#[test]
fn what_could_not_be_sent_long_ago_ends_no_later_claim() {
    let mut trace = Trace::active();
    trace.act(|agent, now| agent.handle_link(now, Err("the source address is gone".to_owned())));
    trace.act(|agent, now| agent.handle_sent(now, Err("ENETUNREACH".to_owned())));
    trace.wait(100);
    trace.act(|agent, now| agent.handle_link(now, Ok(())));
    trace.wait(5000);
    assert_eq!(trace.state(), State::Active);
    assert_eq!(trace.said("no advert could be sent"), 0, "{:?}", trace.did);
}
