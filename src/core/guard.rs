//! Is this host cut off? A sign of life from the network is wanted before a claim, and while the address is
//! held.
//!
//! Without it, a host whose switch port is closed would take its own deafness for the death of everybody else,
//! and hold the address as a second one when the port opens. It risks an address that nobody holds where the
//! guards are down although clients could pass.

use crate::core::Time;
use std::net::IpAddr;
use std::time::Duration;

/// Whose sign of life is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Guards {
    /// The default gateway's or any peer host's. Without a gateway, or if it is a peer itself, any peer's, from three
    /// members on: with two, a lone survivor cannot be told from an isolated one, so nothing is wanted.
    Auto,
    /// One of these.
    These(Vec<IpAddr>),
    /// Nobody's.
    Off,
}

/// How urgently signs of life are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watch {
    /// Somebody else holds the address: one guard a second.
    Calm,
    /// This host holds it: one guard every half interval; all of them once none has answered for two intervals, as
    /// a turn of many takes longer than it takes to count as cut off.
    Holding,
    /// An advert is overdue, or nobody holds it: all of them.
    Urgent,
}

const CALM: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(300);

/// The watch over the signs of life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guard {
    guards: Guards,
    interval: Duration,
    gateway: Option<IpAddr>,
    peers: Vec<IpAddr>,
    /// The routers of the group, listed or not, and the addresses they hold.
    routers: Vec<IpAddr>,
    asked_at: Option<Time>,
    watch: Watch,
    turn: usize,
    life: Option<Time>,
    /// Since when a sign of life is wanted: there was nobody to ask before.
    wanted_since: Option<Time>,
    /// What came in before may have waited in the socket of an agent that slept.
    awake_at: Time,
    /// Signs of life came back after a gap.
    back_since: Option<Time>,
}

impl Guard {
    /// Nothing is known yet. `interval`: the advertisement interval, which sets the pace.
    pub fn new(guards: Guards, interval: Duration) -> Guard {
        Guard {
            guards,
            interval,
            gateway: None,
            peers: Vec::new(),
            routers: Vec::new(),
            asked_at: None,
            watch: Watch::Urgent,
            turn: 0,
            life: None,
            wanted_since: None,
            awake_at: Time::ZERO,
            back_since: None,
        }
    }

    /// Other guards.
    pub fn set_guards(&mut self, now: Time, guards: Guards) {
        if self.guards != guards {
            self.guards = guards;
            self.wanted_since = None;
            self.want(now);
        }
    }

    /// The default gateway on the interface.
    pub fn set_gateway(&mut self, now: Time, gateway: Option<IpAddr>) {
        self.gateway = gateway;
        self.want(now);
    }

    /// The other members' addresses.
    pub fn set_peers(&mut self, now: Time, peers: Vec<IpAddr>) {
        self.peers = peers;
        self.want(now);
    }

    /// Every router that is known to take part, and the addresses of the virtual router. A default gateway that is
    /// one of them guards nothing: it falls silent when the one who holds the address dies.
    pub fn set_routers(&mut self, now: Time, routers: Vec<IpAddr>) {
        self.routers = routers;
        self.want(now);
    }

    fn want(&mut self, now: Time) {
        let since = self.wanted_since.unwrap_or(now);
        self.wanted_since = (!self.targets().is_empty()).then_some(since);
    }

    /// Who is asked. Nobody: no sign of life is wanted.
    pub fn targets(&self) -> Vec<IpAddr> {
        let gateway = self.gateway.filter(|gateway| !self.routers.contains(gateway));
        match &self.guards {
            Guards::Off => Vec::new(),
            Guards::These(these) => these.clone(),
            Guards::Auto if gateway.is_none() && self.peers.len() < 2 => Vec::new(),
            Guards::Auto => gateway.iter().chain(&self.peers).copied().collect(),
        }
    }

    /// A station said something by ARP.
    pub fn saw(&mut self, now: Time, from: IpAddr) {
        if self.targets().contains(&from) {
            self.heard(now);
        }
    }

    /// A valid advert came in, whoever sent it.
    pub fn heard(&mut self, now: Time) {
        if now < self.awake_at {
            return;
        }
        // The first one ever ends no gap: nobody could take over from a host that has just begun to listen.
        if self.life.is_some() && self.is_silent(now) {
            self.back_since = Some(now);
        }
        self.life = Some(now);
    }

    /// The agent slept until now: what is handed in next proves nothing of this moment.
    pub fn slept(&mut self, now: Time) {
        self.awake_at = now + self.interval;
    }

    /// The last sign of life.
    pub fn life(&self) -> Option<Time> {
        self.life
    }

    /// Whether there has been a sign of life since then.
    pub fn alive_since(&self, since: Time) -> bool {
        self.targets().is_empty() || self.life.is_some_and(|life| life >= since)
    }

    /// Whether this host is cut off, or was until a moment ago: for three intervals without a sign of life others
    /// may have taken over, and need as long to be heard after the gap.
    pub fn is_isolated(&self, now: Time) -> bool {
        let recovering = self.back_since.is_some_and(|since| now < since + self.gap());
        !self.targets().is_empty() && (recovering || self.is_silent(now))
    }

    /// Whom to ask now.
    pub fn turn(&mut self, now: Time, watch: Watch) -> Vec<IpAddr> {
        let hastened = watch != self.watch && watch == Watch::Urgent;
        self.watch = watch;
        if !hastened && self.deadline().is_some_and(|at| now < at) {
            return Vec::new();
        }
        let targets = self.targets();
        self.asked_at = Some(now);
        self.turn = self.turn.wrapping_add(1);
        match watch {
            Watch::Urgent => targets,
            Watch::Holding if self.is_silent_for(now, self.gap() * 2 / 3) => targets,
            Watch::Calm | Watch::Holding => {
                targets.iter().cycle().skip(self.turn % targets.len().max(1)).take(1).copied().collect()
            }
        }
    }

    /// When to ask again.
    pub fn deadline(&self) -> Option<Time> {
        let pause = match self.watch {
            Watch::Calm => CALM,
            Watch::Holding | Watch::Urgent => (self.interval / 2).clamp(SHORTEST, LONGEST),
        };
        self.asked_at.filter(|_| !self.targets().is_empty()).map(|at| at + pause)
    }

    fn gap(&self) -> Duration {
        self.interval.max(SHORTEST * 2) * 3
    }

    fn is_silent(&self, now: Time) -> bool {
        self.is_silent_for(now, self.gap())
    }

    fn is_silent_for(&self, now: Time, long: Duration) -> bool {
        self.life.max(self.wanted_since).is_none_or(|since| now.saturating_sub(since) > long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 10, 10, last])
    }

    fn guard(guards: Guards, gateway: Option<IpAddr>, peers: &[u8]) -> Guard {
        let mut guard = Guard::new(guards, 200 * MS);
        guard.set_gateway(Time::ZERO, gateway);
        guard.set_peers(Time::ZERO, peers.iter().map(|last| ip(*last)).collect());
        guard
    }

    #[test]
    fn auto_wants_gateway_or_peers_and_nothing_of_a_lone_peer() {
        assert_eq!(guard(Guards::Auto, Some(ip(1)), &[12]).targets(), [ip(1), ip(12)]);
        assert_eq!(guard(Guards::Auto, None, &[12, 13]).targets(), [ip(12), ip(13)]);
        assert!(guard(Guards::Auto, None, &[12]).targets().is_empty());
        assert!(guard(Guards::Auto, None, &[12]).alive_since(Duration::from_secs(99)));
        assert!(guard(Guards::Off, Some(ip(1)), &[12, 13]).targets().is_empty());
        assert_eq!(guard(Guards::These(vec![ip(9)]), Some(ip(1)), &[12]).targets(), [ip(9)]);
    }

    #[test]
    fn only_guards_count_and_a_gap_needs_time_to_heal() {
        let mut guard = guard(Guards::Auto, Some(ip(1)), &[12]);
        guard.saw(1000 * MS, ip(99));
        assert!(!guard.alive_since(1000 * MS));
        guard.saw(1000 * MS, ip(1));
        assert!(guard.alive_since(1000 * MS) && !guard.alive_since(1001 * MS));
        assert!(!guard.is_isolated(1000 * MS), "a host that begins to listen was not cut off");
        guard.saw(1500 * MS, ip(12));
        guard.saw(2000 * MS, ip(12));
        assert!(!guard.is_isolated(2600 * MS));
        assert!(guard.is_isolated(2601 * MS));
        guard.saw(3000 * MS, ip(1));
        assert!(guard.is_isolated(3599 * MS), "others may not have been heard yet");
        guard.saw(3500 * MS, ip(1));
        assert!(!guard.is_isolated(3600 * MS));
    }

    #[test]
    fn nobody_is_cut_off_because_there_is_somebody_to_ask_from_now_on() {
        let mut guard = guard(Guards::Auto, None, &[12]);
        guard.set_peers(9000 * MS, vec![ip(12), ip(13)]);
        assert!(!guard.is_isolated(9500 * MS));
        guard.saw(9500 * MS, ip(13));
        assert!(!guard.is_isolated(9501 * MS));
        assert!(guard.is_isolated(10_101 * MS));
    }

    #[test]
    fn asks_one_at_a_time_when_calm_and_all_at_once_when_urgent() {
        let mut guard = guard(Guards::Auto, None, &[12, 13]);
        let first = guard.turn(Duration::ZERO, Watch::Calm);
        assert!(guard.turn(999 * MS, Watch::Calm).is_empty());
        let second = guard.turn(1000 * MS, Watch::Calm);
        assert_eq!((first.len(), second.len()), (1, 1));
        assert_ne!(first, second);
        assert_eq!(guard.turn(1001 * MS, Watch::Urgent), [ip(12), ip(13)], "urgency does not wait");
        assert!(guard.turn(1100 * MS, Watch::Urgent).is_empty());
        assert_eq!(guard.turn(1101 * MS, Watch::Urgent), [ip(12), ip(13)]);
    }
}
