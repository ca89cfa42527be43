//! How things stand, put together for whoever asks.

use super::pending::Pending;
use super::router::VirtualRouter;
use super::{Known, Runner};
use crate::config::{self, Loaded, Peers};
use crate::core::Time;
use crate::core::event::State;
use crate::core::view::View;
use crate::net::alarm;
use crate::status::document::{
    Check, Counters, Guard, Holder, Member, Metadata, Router, Setting, Status, VERSION, Warning, moment,
};
use crate::status::histogram::Histogram;
use std::net::IpAddr;
use std::time::SystemTime;

/// The settings in force, as they are shown.
pub fn settings(loaded: &Loaded) -> Vec<Setting> {
    let sections = config::describe(loaded);
    let several = loaded.config.routers.len() > 1;
    let own = sections.len() - loaded.config.routers.len().min(sections.len());
    let rows = sections.into_iter().enumerate().flat_map(|(number, section)| {
        let router = loaded.config.routers.get(number.wrapping_sub(own)).filter(|_| several);
        let router = router.map(|router| router.name.clone());
        section.rows.into_iter().map(move |(name, value, origin)| Setting {
            router: router.clone(),
            name: name.to_owned(),
            value,
            origin: origin.to_string(),
        })
    });
    rows.collect()
}

impl Runner {
    /// The document, but for the history and the settings, which others keep.
    pub(super) fn observe(&self) -> Status {
        let now = alarm::now();
        let mut warnings = Vec::new();
        let mut routers: Vec<(usize, Router)> = Vec::new();
        for router in &self.routers {
            let view = router.agent.view(now);
            warnings.extend(view.warnings.iter().map(|warning| Warning {
                router: router.config.name.clone(),
                from: warning.from.to_string(),
                kind: warning.kind.to_owned(),
                text: warning.text.clone(),
                count: warning.count,
            }));
            routers.push((router.number, self.router(router, &view, now)));
        }
        routers.extend(self.pending.iter().map(|pending| (pending.number, waiting(pending, self.started))));
        routers.sort_by_key(|(number, _)| *number);
        let routers: Vec<Router> = routers.into_iter().map(|(_, router)| router).collect();
        let drained = self.drained.is_some();
        Status {
            version: VERSION,
            name: self.tools.name.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            now: moment(SystemTime::now()),
            started: self.started,
            ready: !drained && !self.stopping && routers.iter().all(Router::is_ready),
            drained,
            metadata: self.metadata(now),
            routers,
            transitions: Vec::new(),
            warnings,
            settings: Vec::new(),
            check_seconds: self.check_seconds.clone(),
        }
    }

    fn metadata(&self, now: Time) -> Option<Metadata> {
        let asks = |peers: &Peers| *peers == Peers::Rancher;
        let routers = self.routers.iter().map(|router| &router.config.peers);
        if !routers.chain(self.pending.iter().map(|pending| &pending.config.peers)).any(asks) {
            return None;
        }
        let confirmed_ago = self.known.as_ref().map(|Known { read_at, .. }| ago(now, *read_at));
        let version =
            self.known.as_ref().map(|known| known.version.clone()).filter(|known| !known.is_empty());
        Some(Metadata { version, confirmed_ago, reachable: !self.unreachable && self.known.is_some() })
    }

    fn router(&self, router: &VirtualRouter, view: &View, now: Time) -> Router {
        let (config, measures) = (&router.config, &router.measures);
        let name = |address: IpAddr| {
            let member = view.members.iter().find(|member| member.address == address);
            member.map_or_else(|| address.to_string(), |member| member.name.clone())
        };
        let followed = view.follows.map(|(address, priority, _)| Holder {
            name: name(address),
            address: address.to_string(),
            priority,
            me: false,
        });
        let own = || Holder {
            name: self.tools.name.clone(),
            address: router.place.source.to_string(),
            priority: view.priority,
            me: true,
        };
        let members = view.members.iter().map(|member| {
            let heard = measures.heard.get(&member.address).filter(|_| !member.me);
            Member {
                name: if member.me { self.tools.name.clone() } else { member.name.clone() },
                address: member.address.to_string(),
                me: member.me,
                listed: member.listed,
                rank: member.rank,
                priority: if member.me { Some(view.priority) } else { member.priority },
                seen: member.seen,
                advert_ago: heard.map(|(at, _)| ago(now, *at)),
                advert_priority: heard.map(|(_, priority)| *priority),
            }
        });
        let checks = view.checks.iter().map(|(name, passing)| {
            let look = self.looks.get(name);
            Check {
                name: name.clone(),
                passing: *passing,
                last: look.map(|look| look.text.clone()),
                ago: look.map(|look| ago(now, look.at)),
                took: look.map(|look| look.took.as_secs_f64()),
            }
        });
        Router {
            interface: Some(router.place.interface.clone()),
            source: Some(router.place.source.to_string()),
            state: view.state,
            since: measures.since,
            why: measures.why.clone(),
            priority: view.priority,
            holder: if view.state == State::Active { Some(own()) } else { followed },
            members: members.collect(),
            checks: checks.collect(),
            unfit: view.left.clone().or_else(|| view.unfit.clone()),
            no_claim: view.no_claim.clone(),
            reluctant: view.reluctant,
            guard: Guard {
                guards: view.guards.iter().map(IpAddr::to_string).collect(),
                life_ago: view.life.map(|life| ago(now, life)),
                isolated: view.isolated,
            },
            lease_ends_in: view.lease_until.map(|until| ago(until, now)),
            counters: Counters { adverts_late: view.late, ..measures.counters.clone() },
            lateness_seconds: measures.lateness.clone(),
            takeover_seconds: measures.takeover.clone(),
            ..described(config)
        }
    }
}

fn ago(now: Time, then: Time) -> f64 {
    (now.saturating_sub(then).as_secs_f64() * 1000.0).round() / 1000.0
}

/// A virtual router that has not found its place yet.
fn waiting(pending: &Pending, since: f64) -> Router {
    let why = if pending.said.is_empty() { "the metadata did not answer yet" } else { &pending.said };
    Router { since, why: why.to_owned(), unfit: Some(why.to_owned()), ..described(&pending.config) }
}

/// What the settings alone say.
fn described(config: &config::Router) -> Router {
    Router {
        name: config.name.clone(),
        addresses: config.vips.iter().map(|vip| vip.address.to_string()).collect(),
        vrid: config.vrid,
        vrrp_version: match config.version {
            crate::core::advert::Version::V2 => 2,
            crate::core::advert::Version::V3 => 3,
        },
        interface: None,
        source: None,
        interval: config.interval.as_secs_f64(),
        preempt: config.preempt,
        state: State::Initialize,
        since: 0.0,
        why: String::new(),
        priority: 0,
        holder: None,
        members: Vec::new(),
        checks: Vec::new(),
        unfit: None,
        no_claim: None,
        reluctant: false,
        guard: Guard::default(),
        lease_ends_in: None,
        counters: Counters::default(),
        lateness_seconds: Histogram::default(),
        takeover_seconds: Histogram::default(),
    }
}
