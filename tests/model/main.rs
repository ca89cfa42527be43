//! The core under a model checker: every sequence of what three hosts may meet, up to a bound.
#![allow(clippy::unwrap_used, clippy::expect_used)] // The helpers are tests, too.

mod cluster;
mod host;
mod judge;
mod keepalived;
mod kernel;
mod mutant;
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

const RANKED: Group =
    Group { routers: 1, by_hand: None, preempt: false, guarded: false, keepalived: None };
const GUARDED: Group = Group { guarded: true, ..RANKED };
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

/// What is gone through, by name.
const RUNS: [(&str, Bounds); 8] = [
    ("one fault, a loss", Bounds { steps: 9, losses: 1, ..BOUNDS }),
    ("two faults", Bounds { steps: 7, faults: 2, ..BOUNDS }),
    // Claims after Skew_Time overtake each other.
    ("slow network", Bounds { steps: 7, latest: Duration::from_millis(15), ..BOUNDS }),
    ("guard", Bounds { group: GUARDED, steps: 7, ..BOUNDS }),
    ("preemption", Bounds { group: PREEMPTING, steps: 7, ..BOUNDS }),
    ("with keepalived", Bounds { group: MIXED, steps: 7, ..BOUNDS }),
    ("with keepalived that preempts", Bounds { group: MIXED_PREEMPTING, steps: 7, ..BOUNDS }),
    ("two virtual routers", Bounds { group: TWO, steps: 6, ..BOUNDS }),
];

struct Bounded(Bounds);

impl Model for Bounded {
    type State = Cluster;
    type Action = Deed;

    fn init_states(&self) -> Vec<Cluster> {
        // Of two virtual routers each settles where it is first.
        let firsts = if self.0.group.routers > 1 { 1 } else { HOSTS };
        (0..firsts).map(|first| Cluster::settled(first, &self.0)).collect()
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Deed>) {
        state.possible(&self.0, actions);
    }

    fn next_state(&self, state: &Cluster, action: Deed) -> Option<Cluster> {
        let mut next = state.clone();
        next.act(action, &self.0);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Bounded>> {
        never().into_iter().map(|(_, property)| property).chain(sometimes()).collect()
    }
}

macro_rules! never {
    ($($wrong:ident),*) => {
        [$((Wrong::$wrong, Property::always(Wrong::$wrong.says(), |_, state: &Cluster| {
            !state.wrong.contains(&Wrong::$wrong)
        }))),*]
    };
}

fn never() -> [(Wrong, Property<Bounded>); 23] {
    never!(
        Two, Twice, Nobody, Gap, Stale, Absent, Lapse, Unfit, Defiant, Hasty, Rash, Slow, Meek, Isolated, Late,
        Sleepwalk, Boast, Loud, Nagging, Farewell, Mixed, Litter, Restless
    )
}

/// Without these the rest would prove little.
fn sometimes() -> [Property<Bounded>; 2] {
    [
        Property::sometimes("another takes over", |_, state: &Cluster| {
            let other = |(index, host): (usize, &Host)| index != state.first && host.is(0, State::Active);
            state.all().enumerate().any(other)
        }),
        Property::sometimes("a leaver is relieved and ends", |_, state: &Cluster| state.relieved),
    ]
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

fn check(name: &str, bounds: Bounds) {
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = Bounded(bounds).checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_dfs().join();
    for (_, property) in never() {
        if let Some(path) = checker.discovery(property.name) {
            if std::env::var("GO_ON").is_ok() {
                println!("FAIL {name}: {}:\n{}", property.name, story(path));
                continue;
            }
            panic!("{name}: {}:\n{}", property.name, story(path));
        }
    }
    for property in sometimes() {
        assert!(checker.discovery(property.name).is_some(), "{name}: never {}", property.name);
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

#[test]
fn nothing_wrong_happens() {
    let deeper = std::env::var("OUTRIDER_MODEL_DEPTH").ok();
    let deeper: u8 = deeper.map_or(0, |text| text.parse().expect("OUTRIDER_MODEL_DEPTH is a number"));
    for (name, bounds) in RUNS {
        check(name, Bounds { steps: bounds.steps + deeper, ..bounds });
    }
}
