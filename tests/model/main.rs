//! The core under a model checker: every sequence of what three hosts may meet, up to a bound.
#![allow(clippy::unwrap_used, clippy::expect_used)] // The helpers are tests, too.

mod cluster;
mod host;
mod judge;
mod keepalived;
mod kernel;
mod mutant;
mod start;
mod turn;

use cluster::{Bounds, Cluster, Deed, Fault, Group};
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
    steps: 8,
    losses: 0,
    faults: 1,
    kinds: ALL,
    latest: Duration::from_millis(5),
    mutation: None,
};

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
    // Claims after Skew_Time overtake each other.
    slow_network: Bounds { steps: 7, latest: Duration::from_millis(15), ..BOUNDS },
    guard: Bounds { group: GUARDED, steps: 7, ..BOUNDS },
    equal_priorities: Bounds { group: EQUAL, steps: 7, ..BOUNDS },
    preemption: Bounds { group: PREEMPTING, steps: 7, ..BOUNDS },
    with_keepalived: Bounds { group: MIXED, steps: 7, ..BOUNDS },
    with_keepalived_that_preempts: Bounds { group: MIXED_PREEMPTING, steps: 7, ..BOUNDS },
    two_virtual_routers: Bounds { group: TWO, steps: 6, ..BOUNDS },
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
        // Of two virtual routers each settles where it is first.
        let firsts = if self.bounds.group.routers > 1 { 1 } else { HOSTS };
        let starts = (0..firsts).flat_map(|first| [(first, false), (first, true)]);
        starts.map(|(first, split)| Cluster::settled(first, split, &self.bounds)).collect()
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
        panic!("{name}:\n{}", story(path));
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
const MUTATIONS: [(Mutation, Wrong, Bounds); 29] = [
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
    (Mutation::Proud, Wrong::Usurped, Bounds { group: GUARDED, ..faults(0, &[], 8) }),
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
    // keepalived's company does not hide it.
    (Mutation::NeverAdvertises, Wrong::Two, Bounds { group: MIXED_PREEMPTING, ..faults(0, &[], 8) }),
    (Mutation::DeafToRivals, Wrong::Defiant, Bounds { group: MIXED_PREEMPTING, ..faults(0, &[], 8) }),
    (Mutation::DeafToResignations, Wrong::Slow, Bounds { group: MIXED, ..faults(1, &[Fault::Terminate], 8) }),
];

/// Properties that find nothing wrong with a broken core would prove nothing.
#[test]
fn mutations_are_caught() {
    let mut missed = Vec::new();
    let mut caught = BTreeSet::new();
    for (mutation, wrong, bounds) in MUTATIONS {
        let begun = Instant::now();
        let bounds = Bounds { mutation: Some(mutation), ..bounds };
        let model = Bounded { bounds, sought: Some(wrong) };
        let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        println!("{:.1} {}", begun.elapsed().as_secs_f64(), checker.state_count());
        match checker.discovery(RIGHT) {
            Some(path) => println!("{mutation:?}: {}:\n{}", wrong.says(), story(path)),
            None => {
                let model = Bounded { bounds, sought: None };
                let checker = model.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
                println!("MISS {mutation:?} {:?}", checker.discovery(RIGHT).map(story));
                missed.push((mutation, wrong));
            }
        }
        caught.insert(wrong);
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
    assert_eq!(caught.len(), Wrong::Restless as usize + 1, "some property is not shown to find anything");
}
