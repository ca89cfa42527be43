//! The table, as Markdown.

use super::Run;
use super::contender::Contender;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// What was asked for.
const INTERVAL: f64 = 0.1;

/// When the adverts of a run came, in seconds.
struct Lateness {
    /// Of all intervals between two adverts of one router.
    median: f64,
    /// How far they are from the interval that was asked for: 99 of 100 at most, and the worst.
    p99: f64,
    worst: f64,
    /// Interval on average over the whole time.
    mean: f64,
}

impl Lateness {
    fn of(run: &Run) -> Option<Lateness> {
        let mut times: BTreeMap<u8, Vec<Duration>> = BTreeMap::new();
        for advert in &run.adverts {
            times.entry(advert.vrid).or_default().push(advert.at);
        }
        // Each CPU has a queue of its own for what arrives.
        times.values_mut().for_each(|times| times.sort());
        let mut intervals: Vec<f64> = (times.values())
            .flat_map(|times| times.windows(2))
            .map(|pair| (pair[1] - pair[0]).as_secs_f64())
            .collect();
        let mean = intervals.iter().sum::<f64>() / intervals.len() as f64;
        intervals.sort_by(f64::total_cmp);
        let median = *intervals.get(intervals.len() / 2)?;
        let mut off: Vec<f64> = intervals.iter().map(|interval| (interval - INTERVAL).abs()).collect();
        off.sort_by(f64::total_cmp);
        let p99 = *off.get((off.len() * 99).div_ceil(100).checked_sub(1)?)?;
        Some(Lateness { median, p99, worst: *off.last()?, mean })
    }
}

/// What is told of each run: a name, and its value.
type Row = (&'static str, fn(&Run) -> Option<f64>, fn(f64) -> String);

const ROWS: [Row; 11] = [
    ("CPU, holder", |run| Some(run.holder.cpu), percent),
    ("CPU, backup", |run| Some(run.backup.cpu), percent),
    ("memory, holder", |run| Some(run.holder.pss as f64), megabytes),
    ("memory, backup", |run| Some(run.backup.pss as f64), megabytes),
    ("interval, median", |run| Some(Lateness::of(run)?.median), exact),
    ("interval, mean", |run| Some(Lateness::of(run)?.mean), exact),
    ("off by, p99", |run| Some(Lateness::of(run)?.p99), exact),
    ("off by, at most", |run| Some(Lateness::of(run)?.worst), exact),
    ("killed: first address on the other host", |run| Some(run.first.as_secs_f64()), milliseconds),
    ("killed: last address on the other host", |run| Some(run.last.as_secs_f64()), milliseconds),
    ("killed: last stale address gone", |run| Some(run.gone?.as_secs_f64()), milliseconds),
];

/// Median, minimum and maximum of all runs.
pub fn markdown(routers: u8, rest: Duration, runs: &[Run]) -> String {
    let present = |c: &Contender| runs.iter().any(|run| run.contender == *c);
    let contenders: Vec<Contender> = Contender::ALL.into_iter().filter(present).collect();
    let count = runs.len() / contenders.len().max(1);
    let mut text = format!(
        "{routers} virtual routers at 100 ms, {rest:?} at rest, then the holder is killed: median of {count} runs \
         (minimum to maximum)\n\n"
    );
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name()).collect();
    let _ = writeln!(text, "| | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()));
    for (name, value, form) in ROWS {
        let cell = |contender: &Contender| {
            let own = runs.iter().filter(|run| run.contender == *contender);
            let mut values: Vec<f64> = own.filter_map(value).collect();
            values.sort_by(f64::total_cmp);
            match (values.first(), values.get(values.len() / 2), values.last()) {
                (Some(min), Some(median), Some(max)) => {
                    format!("{} ({} to {})", form(*median), form(*min), form(*max))
                }
                _ => "never".to_owned(),
            }
        };
        let cells: Vec<String> = contenders.iter().map(cell).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}

/// One line for one run, while the bench runs.
pub fn line(run: &Run) -> String {
    let cells = ROWS
        .iter()
        .map(|(name, value, form)| format!("{name} {}", value(run).map_or("never".to_owned(), form)));
    format!("{}: {}", run.contender.name(), cells.collect::<Vec<_>>().join(", "))
}

/// Every run, for other programs: seconds, bytes, shares of a CPU.
pub fn csv(runs: &[Run]) -> String {
    let names: Vec<String> = ROWS.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
    let mut text = format!("agent,adverts,{}\n", names.join(","));
    for run in runs {
        let cells = ROWS.iter().map(|(_, value, _)| value(run).map_or(String::new(), |v| v.to_string()));
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "{},{},{}", run.contender.key(), run.adverts.len(), cells.join(","));
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.0} ms", seconds * 1000.0)
}

fn exact(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1000.0)
}
