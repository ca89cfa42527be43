//! Each row of the RFC's tables by name, and the rules of behaviour, as traces of inputs and commands.

use super::members::Member;
use super::*;

const MS: Duration = Duration::from_millis(1);
const VIP: &str = "10.10.10.2";

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 10, 10, last])
}

fn member(last: u8) -> Member {
    Member { id: format!("uuid-{last}"), name: format!("lb{last}"), address: ip(last), priority: None }
}

fn members(me: u8, others: &[u8]) -> Membership {
    let others = others.iter().map(|last| member(*last)).collect();
    Membership { me: Standing::Member(member(me)), others }
}

fn settings(me: u8) -> Settings {
    Settings {
        vrid: 2,
        version: Version::V3,
        source: ip(me),
        addresses: vec![ip(2)],
        interval: 200 * MS,
        priority: Some(100),
        preempt: false,
        preempt_delay: Duration::ZERO,
        lease: Some(1000 * MS),
        handover_limit: 5000 * MS,
        announcements: Announcements {
            repeat: 5,
            delay: 1000 * MS,
            refresh: 60_000 * MS,
            interval: Duration::ZERO,
        },
        min_ttl: 255,
        rise: 2,
        fall: 2,
        guards: guard::Guards::Off,
    }
}

/// One agent (10.10.10.11) with a clock of its own, and what it did.
struct Trace {
    agent: Agent,
    now: Time,
    did: Vec<Command>,
    /// Whether the kernel answers by itself.
    kernel: bool,
    /// When the addresses end, as the kernel sees it.
    expires: Option<Time>,
}

impl Trace {
    /// Listening, without members, link or health.
    fn bare(settings: Settings) -> Trace {
        let now = 1_000_000 * MS;
        Trace { agent: Agent::new(settings, now), now, did: Vec::new(), kernel: true, expires: None }
    }

    /// A fit Backup that has heard nobody yet, with these peers.
    fn with(settings: Settings, peers: &[u8]) -> Trace {
        let mut trace = Trace::bare(settings);
        let me = u8::try_from(11).unwrap();
        trace.act(|agent, now| agent.handle_members(now, &members(me, peers), None));
        trace.act(|agent, now| agent.handle_link(now, Ok(())));
        trace.act(|agent, now| agent.handle_checks(now, Ok(&["lb".to_owned()])));
        trace.health(&Outcome::Pass);
        assert_eq!(trace.agent.state(), State::Backup);
        trace
    }

    fn backup() -> Trace {
        Trace::with(settings(11), &[12])
    }

    /// An Active whose peer 10.10.10.12 was heard once.
    fn active() -> Trace {
        Trace::active_of(settings(11), &[12])
    }

    fn active_of(settings: Settings, peers: &[u8]) -> Trace {
        let mut trace = Trace::with(settings, peers);
        trace.wait(2000);
        assert_eq!(trace.agent.state(), State::Active);
        trace.did.clear();
        trace
    }

    fn act(&mut self, act: impl FnOnce(&mut Agent, Time)) {
        act(&mut self.agent, self.now);
        self.agent.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(command) = self.agent.next_command(self.now) {
            self.did.push(command.clone());
            if !self.kernel {
                continue;
            }
            match command {
                Command::Add { not_after } | Command::Renew { not_after } => {
                    assert!(
                        not_after.is_none_or(|limit| self.now < limit),
                        "touches an address whose lease is over"
                    );
                    self.expires = Some(self.now + 1000 * MS);
                    let sent = self.now;
                    let answer = match command {
                        Command::Add { .. } => Kernel::Added { sent },
                        _ => Kernel::Renewed { sent },
                    };
                    self.agent.handle_kernel(self.now, &answer);
                }
                Command::Remove => {
                    self.expires = None;
                    self.agent.handle_kernel(self.now, &Kernel::Removed);
                }
                _ => {}
            }
        }
    }

    /// Lets time pass, waking the agent whenever it wants to be.
    fn wait(&mut self, millis: u32) {
        let end = self.now + millis * MS;
        let mut idle = 0;
        while self.agent.next_deadline() <= end {
            idle = if self.agent.next_deadline() > self.now { 0 } else { idle + 1 };
            assert!(idle < 10, "the agent wants to be woken for nothing");
            self.now = self.now.max(self.agent.next_deadline());
            self.act(Agent::handle_timeout);
        }
        self.now = end;
    }

    /// Lets time pass without the agent noticing.
    fn sleep(&mut self, millis: u32) {
        self.now += millis * MS;
    }

    fn health(&mut self, outcome: &Outcome) {
        self.act(|agent, now| agent.handle_health(now, "lb", outcome));
    }

    fn hear(&mut self, last: u8, priority: u8) {
        self.hear_with(last, |advert| advert.priority = priority);
    }

    fn hear_with(&mut self, last: u8, change: impl FnOnce(&mut Advert)) {
        let version = self.agent.settings.version;
        let interval = self.agent.settings.interval;
        let mut advert = Advert { version, vrid: 2, priority: 100, interval, addresses: vec![ip(2)] };
        change(&mut advert);
        self.act(|agent, now| agent.handle_advert(now, &Heard { from: ip(last), ttl: 255, advert }));
    }

    /// Priorities of the adverts sent since the last look, and clears the record.
    fn sent(&mut self) -> Vec<u8> {
        let sent = std::mem::take(&mut self.did).into_iter().filter_map(|command| match command {
            Command::Advertise { priority, .. } => Some(priority),
            _ => None,
        });
        sent.collect()
    }

    fn count(&self, wanted: &Command) -> usize {
        self.did.iter().filter(|command| *command == wanted).count()
    }

    fn said(&self, part: &str) -> usize {
        let told = self.did.iter().filter(|command| match command {
            Command::Tell(Event::Notice(text) | Event::Warning(text) | Event::Alarm(text)) => {
                text.contains(part)
            }
            Command::Tell(Event::Transition { why, .. }) => why.contains(part),
            _ => false,
        });
        told.count()
    }

    fn state(&self) -> State {
        self.agent.state()
    }
}

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
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Failed { adding: true, why }));
    assert_eq!(trace.state(), State::Fault);
    assert_eq!(trace.said("operation not permitted"), 1);
    trace.kernel = true;
    trace.wait(6000);
    assert_eq!(trace.state(), State::Active);
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
    trace.act(|agent, now| agent.handle_kernel(now, &Kernel::Added { sent }));
    assert_eq!(trace.count(&Command::Announce), 0, "the removal comes next");
}

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
        let heard = Heard { from: ip(12), ttl: 254, advert: advert.clone() };
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
    trace.wait(200);
    assert_eq!(trace.count(&Command::Announce), 5, "{:?}", trace.did);
    assert_eq!(trace.said("is announced by 02:00:00:00:00:09"), 1);
    let mut taken = Trace::active();
    taken.act(|agent, now| agent.handle_arp(now, ip(2), [2, 0, 0, 0, 0, 9]));
    taken.hear(12, 101);
    taken.wait(300);
    assert_eq!((taken.count(&Command::Announce), taken.said("is announced by")), (0, 0), "it was the taker");
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
