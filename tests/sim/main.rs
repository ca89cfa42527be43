//! The core in simulated hosts, kernels, network and time: thousands of schedules of faults, each from a seed.
#![allow(clippy::unwrap_used, clippy::expect_used)] // The helpers are tests, too.

mod kernel;
mod network;
mod outside;
mod plan;
mod process;
mod properties;
mod random;
mod subject;
mod watch;
mod world;

use plan::Plan;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use subject::Mutation;
use watch::{Property, Violation};
use world::World;

fn simulate(seed: u64, mutation: Option<Mutation>, only: Option<Property>) -> (Option<Violation>, u64) {
    let (violation, _, events) = World::new(Plan::draw(seed), mutation, only, false).run_plan();
    (violation, events)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text}?")))
}

fn story(seed: u64) -> String {
    let plan = Plan::draw(seed);
    let mut story = format!("{plan:#?}\n");
    let (violation, trace, _) = World::new(plan, None, None, true).run_plan();
    for line in trace {
        story += &line;
        story.push('\n');
    }
    story + &violation.map_or("nothing is wrong".to_owned(), |violation| format!("seed {seed}: {violation}"))
}

/// Runs seeds on all cores; the first few that fail, in order.
fn search(first: u64, count: u64, enough: usize) -> Vec<(u64, Violation)> {
    let next = AtomicU64::new(first);
    let events = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failed.lock().unwrap().len() >= enough {
                        return;
                    }
                    let (violation, happened) = simulate(seed, None, None);
                    events.fetch_add(happened, Ordering::Relaxed);
                    if let Some(violation) = violation {
                        failed.lock().unwrap().push((seed, violation));
                    }
                }
            });
        }
    });
    let (seconds, events) = (begun.elapsed().as_secs_f64(), events.into_inner());
    println!("{count} schedules, {events} events, {seconds:.1} s: {:.0} schedules/s", count as f64 / seconds);
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|(seed, _)| *seed);
    failed
}

/// What is wrong with the core, and what finds it.
const MUTATIONS: [(Mutation, Property); 21] = [
    (Mutation::DeafToRivals, Property::TwoHolders),
    (Mutation::NeverAdvertises, Property::TwoHolders),
    (Mutation::LeaseUnchecked, Property::Fence),
    (Mutation::SleepUnnoticed, Property::Fence),
    (Mutation::NeverRemoves, Property::Leash),
    (Mutation::DeafToResignations, Property::Idle),
    (Mutation::BelievesAnyResignation, Property::Patience),
    (Mutation::Impatient, Property::Patience),
    (Mutation::TimeoutsFirst, Property::Patience),
    (Mutation::ClaimsUnfit, Property::Unfit),
    (Mutation::LinkIgnored, Property::Unfit),
    (Mutation::SendsBlindly, Property::Unfit),
    (Mutation::SameRank, Property::OneSuccessor),
    (Mutation::LetsGoAtOnce, Property::HandOver),
    (Mutation::ProbeIgnored, Property::Probe),
    (Mutation::Unguarded, Property::Isolation),
    (Mutation::Proud, Property::Yielding),
    (Mutation::NeverRenews, Property::Lapse),
    (Mutation::GoneIgnored, Property::Absent),
    (Mutation::DoesWhatItDecided, Property::Fence),
    (Mutation::NeverAnnounces, Property::Traffic),
];

/// Properties that found nothing wrong with the core would prove nothing.
#[test]
fn mutations_are_caught() {
    let seeds = 3000;
    let missed: Vec<_> = MUTATIONS
        .iter()
        .filter(|(mutation, property)| {
            let caught =
                (0..seeds).find(|seed| simulate(*seed, Some(*mutation), Some(*property)).0.is_some());
            let number = caught.map_or("not at all".to_owned(), |seed| format!("by schedule {seed}"));
            println!("{mutation:?} violates {property:?}: caught {number}");
            caught.is_none()
        })
        .collect();
    assert!(missed.is_empty(), "not caught in {seeds} schedules: {missed:?}");
}

#[test]
fn schedules() {
    if let Some(seed) = number("OUTRIDER_SIM_SEED") {
        println!("{}", story(seed));
        return;
    }
    let first = number("OUTRIDER_SIM_FIRST").unwrap_or(0);
    let count = number("OUTRIDER_SIM_SEEDS").unwrap_or(2000);
    let failed = search(first, count, 20);
    for (seed, violation) in &failed {
        println!("seed {seed}: {violation}");
    }
    if let Some((seed, _)) = failed.first() {
        panic!("{}", story(*seed));
    }
}
