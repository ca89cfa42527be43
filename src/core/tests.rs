//! Each row of the RFC's tables by name, and the rules of behaviour, as traces of inputs and commands.

mod claims;
mod isolation;
mod leaving;
mod neighbours;
mod protocol;
mod serving;

use super::advert::{Advert, Checksum, Version};
use super::announce::Announcements;
use super::auth::{Auth, Proof};
use super::members::{Member, Standing};
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
        group: None,
        checksum: Checksum::PseudoHeader,
        auth: Auth::None,
        earlier: Vec::new(),
        rise: 2,
        fall: 2,
        guards: guard::Guards::Off,
    }
}

fn heard(last: u8, advert: Advert) -> Heard {
    Heard { from: ip(last), ttl: 255, advert, checksum: Checksum::PseudoHeader, proof: Proof::default() }
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
        self.act(|agent, now| agent.handle_advert(now, &heard(last, advert)));
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
