//! The core under a model checker: every sequence of what three hosts may meet, up to a bound.
//!
//! Three hosts with the real core (200 ms interval, a lease of 1 s), their kernels, the thread that asks for the
//! addresses, and the adverts between them. At every step any of these may come next:
//! - any advert on its way arrives, or is lost, in any order: at the moment it was sent, at the last moment (5 ms
//!   later, or 15 ms), or whenever a timer rings in between;
//! - a timer rings, and its agent does what others, or the properties, could notice; of two that are due within
//!   1 ms of each other either may be first;
//! - a fault begins, or one that has begun ends: see `Fault`.
//!
//! `explored!` says what is gone through: who takes part (`Group`), where it begins (`Start`), how many steps, faults
//! and losses. `OUTRIDER_MODEL_DEPTH=9` sets another number of steps. What must not happen, to the core or to all
//! together, is in `Wrong`. For each of these a mutation of the core shows that it is found, and nothing else with it.
//!
//! The kernel drops an address when its lifetime ends, and its clock is the agents': that is taken for granted. Not in
//! the model: duplicated adverts, clocks that differ, members that see a change of members at different times,
//! announcements on their way, addresses that somebody deletes, adverts that cannot be sent. All that is in the
//! simulation.
#![allow(clippy::unwrap_used, clippy::expect_used)] // The helpers are tests, too.

mod cluster;
mod host;
mod judge;
mod keepalived;
mod kernel;
mod mutant;
mod start;
mod turn;

use cluster::{Bounds, Cluster, Deed, Fault, Group, Start};
use host::{HOSTS, Host};
use judge::Wrong;
use mutant::Mutation;
use outrider::core::event::State;
use stateright::{Checker, HasDiscoveries, Model, Path, Property};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const ALL: &[Fault] = &[
    Fault::Kill,
    Fault::Fail,
    Fault::Terminate,
    Fault::Drain,
    Fault::Dismiss,
    Fault::Stop,
    Fault::Freeze,
    Fault::Cut,
    Fault::Lock,
];

const RANKED: Group = Group { routers: 1, by_hand: None, preempt: false, guarded: false, keepalived: None };
const GUARDED: Group = Group { guarded: true, ..RANKED };
const EQUAL: Group = Group { by_hand: Some([100, 100, 100]), ..RANKED };
const PREEMPTING: Group = Group { by_hand: Some([100, 150, 200]), preempt: true, ..RANKED };
const MIXED: Group = Group { keepalived: Some((100, false)), ..RANKED };
const MIXED_PREEMPTING: Group =
    Group { by_hand: Some([100, 200, 0]), keepalived: Some((150, true)), ..RANKED };
const TWO: Group = Group { routers: 2, ..RANKED };

const BOUNDS: Bounds = Bounds {
    group: RANKED,
    starts: &[Start::Settled],
    steps: 8,
    losses: 0,
    faults: 1,
    kinds: ALL,
    latest: Duration::from_millis(5),
    mutation: None,
};

const ANYWHERE: Bounds = Bounds { starts: &[Start::Settled, Start::Split], steps: 7, ..BOUNDS };

/// Each a test of its own, so that they share the processors.
macro_rules! explored {
    ($($name:ident: $bounds:expr,)*) => {
        $(#[test]
        fn $name() {
            explore(stringify!($name), $bounds);
        })*
    };
}

explored! {
    one_fault_and_a_loss: Bounds { steps: 9, losses: 1, ..BOUNDS },
    two_faults: Bounds { steps: 6, faults: 2, ..BOUNDS },
    healed_split: Bounds { starts: &[Start::Split], steps: 7, losses: 1, ..BOUNDS },
    // Claims after Skew_Time overtake each other.
    slow_network: Bounds { steps: 9, latest: Duration::from_millis(15), ..BOUNDS },
    guard: Bounds { group: GUARDED, ..ANYWHERE },
    equal_priorities: Bounds { group: EQUAL, ..ANYWHERE },
    preemption: Bounds { group: PREEMPTING, ..ANYWHERE },
    with_keepalived: Bounds { group: MIXED, ..ANYWHERE },
    with_keepalived_that_preempts: Bounds { group: MIXED_PREEMPTING, ..ANYWHERE },
    two_virtual_routers: Bounds { group: TWO, steps: 6, ..ANYWHERE },
}

const RIGHT: &str = "nothing wrong happens";
const TAKEN: &str = "another takes over";
const RELIEVED: &str = "a leaver is relieved and ends";

struct Bounded {
    bounds: Bounds,
    /// With a mutation: what alone must come of it.
    sought: Option<Wrong>,
}

impl Model for Bounded {
    type State = Cluster;
    type Action = Deed;

    fn init_states(&self) -> Vec<Cluster> {
        // Two virtual routers settle where each is first.
        let firsts = if self.bounds.group.routers > 1 { 1 } else { HOSTS };
        let starts = |first| self.bounds.starts.iter().map(move |start| (first, *start));
        let starts = (0..firsts).flat_map(starts);
        starts.map(|(first, start)| Cluster::new(first, start, &self.bounds)).collect()
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Deed>) {
        state.possible(&self.bounds, actions);
    }

    fn next_state(&self, state: &Cluster, action: Deed) -> Option<Cluster> {
        let mut next = state.clone();
        next.act(action, &self.bounds);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Bounded>> {
        vec![
            Property::always(RIGHT, |model: &Bounded, state: &Cluster| match model.sought {
                None => state.wrong.is_empty(),
                Some(sought) => !state.wrong.iter().eq([&sought]),
            }),
            // Without these the rest would prove little.
            Property::sometimes(TAKEN, |_, state: &Cluster| {
                let other = |(index, host): (usize, &Host)| index != state.first && host.is(0, State::Active);
                state.all().enumerate().any(other)
            }),
            Property::sometimes(RELIEVED, |_, state: &Cluster| state.relieved),
        ]
    }
}

/// How it came to that.
fn story(path: Path<Cluster, Deed>) -> String {
    let steps = path.into_vec();
    let begun = steps.first().map_or(Duration::ZERO, |(state, _)| state.now);
    let line = |(state, deed): (Cluster, Option<Deed>)| {
        let host = |host: &Host| {
            let router = |number: usize| {
                let holds = if host.holds(number, state.now) { "+" } else { "" };
                let name = host.routers[number].state().map_or("none".to_owned(), |state| state.to_string());
                format!("{name}{holds}")
            };
            let routers: Vec<String> = (0..host.routers.len()).map(router).collect();
            let stopped = if host.stopped { " stopped" } else { "" };
            format!("{}{stopped}", routers.join(" "))
        };
        let hosts: Vec<String> = state.all().map(host).collect();
        let millis = (state.now - begun).as_secs_f64() * 1000.0;
        let deed = deed.map_or(format!("{:?}", state.wrong), |deed| format!("{deed:?}"));
        format!("{millis:9.3} ms  {}  {deed}\n", hosts.join(" | "))
    };
    steps.into_iter().map(line).collect()
}

fn explore(name: &str, bounds: Bounds) {
    let asked = std::env::var("OUTRIDER_MODEL_DEPTH").ok();
    let steps = asked.map_or(bounds.steps, |text| text.parse().expect("OUTRIDER_MODEL_DEPTH is a number"));
    let bounds = Bounds { steps, ..bounds };
    let begun = Instant::now();
    let model = Bounded { bounds, sought: None };
    let checker = model.checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_dfs().join();
    if let Some(path) = checker.discovery(RIGHT) {
        let wrong: Vec<_> = path.last_state().wrong.iter().map(|wrong| wrong.says()).collect();
        panic!("{}:\n{}", wrong.join("; "), story(path));
    }
    for property in [TAKEN, RELIEVED] {
        assert!(checker.discovery(property).is_some(), "{name}: {property} never");
    }
    println!(
        "{name}: {} steps, {} faults, {} losses: {} states by {} ways in {:.1} s",
        bounds.steps,
        bounds.faults,
        bounds.losses,
        checker.unique_state_count(),
        checker.state_count(),
        begun.elapsed().as_secs_f64()
    );
}

const fn faults(faults: u8, kinds: &'static [Fault], steps: u8) -> Bounds {
    Bounds { faults, kinds, steps, ..BOUNDS }
}

/// What is wrong with the core, what alone must come of it, and where that shows.
const MUTATIONS: [(Mutation, Wrong, Bounds); 33] = [
    (Mutation::NeverAdvertises, Wrong::Two, faults(1, &[Fault::Drain], 8)),
    (Mutation::SameRank, Wrong::Twice, faults(1, &[Fault::Kill], 8)),
    (Mutation::Sluggish, Wrong::Nobody, faults(1, &[Fault::Kill], 8)),
    (Mutation::LetsGoAtOnce, Wrong::Gap, faults(1, &[Fault::Terminate], 8)),
    (Mutation::NeverRemoves, Wrong::Stale, faults(1, &[Fault::Fail], 8)),
    (Mutation::LosesAddress, Wrong::Absent, faults(1, &[Fault::Cut], 8)),
    (Mutation::NeverRenews, Wrong::Lapse, faults(1, &[Fault::Cut], 8)),
    (Mutation::ClaimsUnfit, Wrong::Unfit, faults(1, &[Fault::Fail], 8)),
    (Mutation::DeafToRivals, Wrong::Defiant, faults(1, &[Fault::Cut], 8)),
    (Mutation::BelievesAnyResignation, Wrong::Hasty, faults(2, &[Fault::Cut, Fault::Fail], 9)),
    (Mutation::Impatient, Wrong::Hasty, Bounds { losses: 1, ..faults(0, &[], 8) }),
    (Mutation::EverybodySucceeds, Wrong::Rash, faults(1, &[Fault::Fail], 8)),
    (Mutation::DeafToResignations, Wrong::Slow, faults(1, &[Fault::Fail], 8)),
    (Mutation::NeverPreempts, Wrong::Meek, Bounds { group: PREEMPTING, ..faults(0, &[], 11) }),
    (Mutation::Unguarded, Wrong::Isolated, Bounds { group: GUARDED, ..faults(1, &[Fault::Cut], 8) }),
    (
        Mutation::Proud,
        Wrong::Usurped,
        Bounds { group: GUARDED, starts: &[Start::Split], ..faults(0, &[], 8) },
    ),
    (Mutation::LeaseUnchecked, Wrong::Late, faults(3, &[Fault::Lock, Fault::Kill], 8)),
    (Mutation::SleepUnnoticed, Wrong::Sleepwalk, faults(1, &[Fault::Stop], 8)),
    (Mutation::DoesWhatItDecided, Wrong::Sleepwalk, faults(1, &[Fault::Freeze], 8)),
    (Mutation::AdvertisesFirst, Wrong::Boast, faults(1, &[Fault::Kill], 8)),
    (Mutation::AnswersResignations, Wrong::Loud, faults(2, &[Fault::Terminate, Fault::Fail], 8)),
    (Mutation::Nags, Wrong::Nagging, faults(1, &[Fault::Terminate], 8)),
    (Mutation::SaysFarewell, Wrong::Farewell, faults(1, &[Fault::Stop], 8)),
    (Mutation::AnyRouter, Wrong::Mixed, Bounds { group: TWO, ..faults(0, &[], 8) }),
    (Mutation::NeverRemoves, Wrong::Litter, faults(1, &[Fault::Terminate], 8)),
    (Mutation::Sleepless, Wrong::Restless, faults(0, &[], 8)),
    // Nor does it depend on where it begins, and on who takes part.
    (Mutation::NeverAdvertises, Wrong::Two, Bounds { starts: &[Start::Split], ..faults(0, &[], 8) }),
    (
        Mutation::DeafToRivals,
        Wrong::Defiant,
        Bounds { group: EQUAL, starts: &[Start::Split], ..faults(0, &[], 8) },
    ),
    (Mutation::NeverAdvertises, Wrong::Two, Bounds { group: MIXED_PREEMPTING, ..faults(0, &[], 8) }),
    (Mutation::DeafToRivals, Wrong::Defiant, Bounds { group: MIXED_PREEMPTING, ..faults(0, &[], 8) }),
    (Mutation::DeafToResignations, Wrong::Slow, Bounds { group: MIXED, ..faults(1, &[Fault::Terminate], 8) }),
    (Mutation::LetsGoAtOnce, Wrong::Gap, Bounds { group: TWO, ..faults(1, &[Fault::Terminate], 8) }),
    (Mutation::NeverRemoves, Wrong::Litter, Bounds { group: TWO, ..faults(1, &[Fault::Terminate], 9) }),
];

/// Properties that find nothing wrong with a broken core would prove nothing.
#[test]
fn each_property_alone_finds_a_mutation() {
    let mut missed = Vec::new();
    for (mutation, wrong, bounds) in MUTATIONS {
        let bounds = Bounds { mutation: Some(mutation), ..bounds };
        let model = Bounded { bounds, sought: Some(wrong) };
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        match checker.discovery(RIGHT) {
            Some(path) => println!("{mutation:?}: {}:\n{}", wrong.says(), story(path)),
            None => missed.push((mutation, wrong)),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
    let found: BTreeSet<Wrong> = MUTATIONS.into_iter().map(|(_, wrong, _)| wrong).collect();
    // The last one's number is the number of the others.
    assert_eq!(found.len(), Wrong::Restless as usize + 1, "some property was not shown to find anything");
}
