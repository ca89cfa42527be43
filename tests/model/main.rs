//! The core under a model checker: every interleaving of what three hosts may meet, up to a bound.
//!
//! It starts where one of three members holds the address and the others follow it (200 ms interval, derived
//! priorities, a lease of 1 s, no preemption, no guard). Then, at every step, any of these may come next:
//! - any advert on its way is delivered, or lost (at most `LOSSES` of them), in any order; none takes longer than
//!   `LATEST`, within which any timer may be first;
//! - time passes until somebody's timer makes it do what another, or a property, could notice;
//! - once each: an agent is killed; a load balancer dies; an agent is told to end; an agent is stopped, and goes
//!   on at any later moment.
//!
//! All sequences of up to `DEPTH` such steps are gone through (`OUTRIDER_MODEL_DEPTH` sets another number): a
//! take-over by silence needs two of them, an interval with its two adverts three. The kernel does what it is
//! asked at once; its address ends with the lease.
#![allow(clippy::unwrap_used, clippy::expect_used)] // The helpers are tests, too.

mod hosts;

use hosts::{Cluster, Deed};
use outrider::core::event::State;
use stateright::{Checker, Model, Property};

/// Steps beyond the start.
const DEPTH: usize = 10;
/// Adverts that may be lost.
const LOSSES: u8 = 2;

struct Bounded;

impl Model for Bounded {
    type State = Cluster;
    type Action = Deed;

    fn init_states(&self) -> Vec<Cluster> {
        vec![Cluster::settled(LOSSES)]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Deed>) {
        state.possible(actions);
    }

    fn next_state(&self, state: &Cluster, action: Deed) -> Option<Cluster> {
        let mut next = state.clone();
        next.act(action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Bounded>> {
        vec![
            Property::always("an unfit host is not Active", |_, state: &Cluster| {
                state.hosts.iter().all(|host| !(host.unfit && host.is(State::Active)))
            }),
            Property::always(
                "nobody stays Active who has heard one that outranks it",
                |_, state: &Cluster| !state.hosts.iter().any(|host| host.defied),
            ),
            Property::always("nobody claims over an Active whose adverts come", |_, state: &Cluster| {
                !state.hosts.iter().any(|host| host.hasty)
            }),
            Property::always("nothing is touched after its lease", |_, state: &Cluster| {
                !state.hosts.iter().any(|host| host.late)
            }),
            Property::always(
                "only an Active that runs keeps the address beyond its lease",
                |_, state: &Cluster| {
                    state
                        .hosts
                        .iter()
                        .all(|host| !host.runs() || host.is(State::Active) || !state.holds(host))
                },
            ),
            Property::always(
                "two holders become one, and none becomes one, in time",
                |_, state: &Cluster| !state.is_bad(),
            ),
            Property::always("a leaver lets go only when another holds", |_, state: &Cluster| !state.gap),
            Property::sometimes(
                "somebody takes over after a silence or a resignation",
                |_, state: &Cluster| {
                    let others = state.hosts.iter().enumerate().filter(|(host, _)| *host != state.first);
                    others.into_iter().any(|(_, host)| host.is(State::Active))
                },
            ),
            Property::sometimes("a leaver is relieved and ends", |_, state: &Cluster| state.ended),
        ]
    }
}

#[test]
fn every_interleaving_keeps_the_properties() {
    let asked = std::env::var("OUTRIDER_MODEL_DEPTH").ok();
    let depth = asked.map_or(DEPTH, |text| text.parse().expect("OUTRIDER_MODEL_DEPTH is a number"));
    let checker = Bounded
        .checker()
        .threads(std::thread::available_parallelism().map_or(1, usize::from))
        .target_max_depth(depth)
        .spawn_bfs()
        .join();
    println!("{} states, {} of them unique", checker.state_count(), checker.unique_state_count());
    checker.assert_properties();
}
