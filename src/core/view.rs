//! What the core knows, for people to look at. Nothing here decides anything.

use super::members::Standing;
use super::{Agent, Drain, Freshness, State, Time};
use std::net::IpAddr;
use std::time::Duration;

/// How things stand at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// The state.
    pub state: State,
    /// The priority this host advertises.
    pub priority: u8,
    /// The Active that is followed: its address, its priority, when it was last heard.
    pub follows: Option<(IpAddr, u8, Time)>,
    /// Everybody who takes part, this host among them, in the order of their ranks; who is not listed comes last.
    pub members: Vec<Member>,
    /// Why this host takes no part.
    pub left: Option<String>,
    /// Why it cannot serve: checks, link, kernel.
    pub unfit: Option<String>,
    /// Why it does not claim the address although nobody is believed to hold it.
    pub no_claim: Option<String>,
    /// Whether a person wants it out of service.
    pub drained: bool,
    /// Whether it holds the address only because nobody else took it.
    pub reluctant: bool,
    /// Each check by name, and whether it counts as passed.
    pub checks: Vec<(String, bool)>,
    /// Whose sign of life is wanted, when there was one last, and whether this host counts as cut off.
    pub guards: Vec<IpAddr>,
    /// See [`View::guards`].
    pub life: Option<Time>,
    /// See [`View::guards`].
    pub isolated: bool,
    /// When the kernel drops the address unless it is renewed; none: it is not held, or has no lease.
    pub lease_until: Option<Time>,
    /// Whether the metadata service does not answer.
    pub metadata_unreachable: bool,
    /// What was warned of.
    pub warnings: Vec<Warning>,
    /// Adverts that went out later than a tenth of the interval after they were due.
    pub late: u64,
}

/// Somebody who takes part.
#[derive(Clone, Debug)]
pub struct Member {
    /// How people call it; its address, if nobody said.
    pub name: String,
    /// Where its adverts come from.
    pub address: IpAddr,
    /// Whether it is this host.
    pub me: bool,
    /// Whether it is listed. Who is not was heard, or has left the list not long ago.
    pub listed: bool,
    /// Its place in the order, from 1; none where ranks do not say who is first.
    pub rank: Option<usize>,
    /// The priority it must have by rank, or by its label.
    pub priority: Option<u8>,
    /// Whether it has shown that it exists: by an advert, or by an answer to ARP.
    pub seen: bool,
}

/// Something that was said once, and has been counted since.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Warning {
    /// Who does it; this host's own address for what is wrong here.
    pub from: IpAddr,
    /// Its kind, one word.
    pub kind: &'static str,
    /// What was said.
    pub text: String,
    /// How often it has happened.
    pub count: u64,
}

impl Agent {
    /// How things stand.
    pub fn view(&self, now: Time) -> View {
        let stance = self.router.stance();
        let no_claim = stance.no_claim.as_ref().filter(|_| self.router.would_claim(now));
        let hindrance = stance.unfit.clone().or_else(|| stance.leave.as_ref().map(super::router::Leave::why));
        View {
            state: self.router.state(),
            priority: self.router.priority(),
            follows: self.router.followed().map(|followed| (followed.from, followed.priority, followed.last)),
            members: self.view_members(),
            left: match self.members.as_ref().map(|members| &members.me) {
                Some(Standing::Left(why)) => Some(why.clone()),
                _ => None,
            },
            unfit: hindrance.filter(|_| !stance.absent),
            no_claim: no_claim.map(|no_claim| no_claim.why.clone()),
            drained: self.drain != Drain::No,
            reluctant: self.router.keeps_reluctantly(),
            checks: self.fitness.checks(),
            guards: self.guard.targets(),
            life: self.guard.life(),
            isolated: self.guard.is_isolated(now),
            lease_until: self.router.lease_until(),
            metadata_unreachable: self.freshness == Freshness::Unreachable,
            warnings: self.warned.values().cloned().collect(),
            late: self.late,
        }
    }

    fn view_members(&self) -> Vec<Member> {
        let Some(members) = &self.members else { return Vec::new() };
        let source = self.settings.source;
        let (earlier, vrid, count) = (&self.settings.earlier, self.settings.vrid, members.all().count());
        let by_hand = self.settings.priority;
        let me = members.me().map(|me| me.id.clone());
        let mut listed: Vec<Member> = (members.all())
            .map(|member| {
                let rank = members.rank(earlier, vrid, &member.id);
                let mine = me.as_ref() == Some(&member.id);
                let by_rank = || super::members::priority(rank, count);
                Member {
                    name: member.name.clone(),
                    address: if mine { source } else { member.address },
                    me: mine,
                    listed: true,
                    rank: by_hand.is_none().then_some(rank + 1),
                    // Another's setting is not known, but most have the same.
                    priority: member.priority.or_else(|| by_hand.is_none().then(by_rank)),
                    seen: !self.peers.is_missing(member.address),
                }
            })
            .collect();
        listed.sort_by_key(|member| (member.rank, member.address));
        let known = |address: &IpAddr| listed.iter().any(|member| member.address == *address);
        let others = self.peers.stations().into_iter().filter(|address| !known(address));
        let others: Vec<Member> = others
            .map(|address| Member {
                name: address.to_string(),
                address,
                me: false,
                listed: false,
                rank: None,
                priority: None,
                seen: true,
            })
            .collect();
        listed.into_iter().chain(others).collect()
    }

    /// The silence after which this host would claim the address.
    pub fn master_down(&self) -> Duration {
        self.router.master_down()
    }
}
