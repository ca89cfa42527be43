//! The tables, as Markdown.

use super::agent::Cost;
use super::contender::Contender;
use super::fault::{Fault, LIMIT, Run, Span};
use super::stats::{Results, Series, Summary, count, summary};
use std::fmt::Write as _;

/// All tables.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    let runs = results.series.iter().map(|series| series.runs.len()).max().unwrap_or_default();
    let limit = LIMIT.as_secs();
    let _ = writeln!(
        text,
        "Longest time without a successful answer, in ms (median of {runs} runs; a request \
         each ms; observed for {limit} s at most)\n"
    );
    medians(&mut text, results);
    let _ = writeln!(
        text,
        "\nEverything: minimum / median / p99 / maximum. A host that is cut off may keep its address where nobody \
         sees it; it is counted as a second holder all the same.\n"
    );
    details(&mut text, results);
    if !results.rests.is_empty() {
        let _ = writeln!(text, "\nAt rest (CPU: share of one core; memory: Pss of all its processes)\n");
        rest(&mut text, results);
    }
    for (contender, times) in &results.unprovoked {
        let name = contender.name();
        let _ = writeln!(
            text,
            "\n{name}: requests were lost or the address moved {times} times without a fault."
        );
    }
    text
}

fn medians(text: &mut String, results: &Results) {
    let present = |c: &Contender| results.series.iter().any(|series| series.contender == *c);
    let contenders: Vec<Contender> = Contender::ALL.into_iter().filter(present).collect();
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name()).collect();
    let _ = writeln!(text, "| | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()));
    for fault in Fault::ALL {
        let cell = |contender: &Contender| {
            let series = results.find(fault, *contender)?;
            Some(ms(summary(series.runs.iter().map(|run| run.outage))?.median))
        };
        let cells: Vec<Option<String>> = contenders.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<String> = cells.into_iter().map(|cell| cell.unwrap_or("–".into())).collect();
            let _ = writeln!(text, "| {} | {} |", fault.name(), cells.join(" | "));
        }
    }
}

fn details(text: &mut String, results: &Results) {
    let _ = writeln!(
        text,
        "| fault | agent | outage, ms | short requests lost | 50 ms requests lost | two holders, s | stale address, s |"
    );
    let _ = writeln!(text, "|---|---|--:|--:|--:|--:|--:|");
    for fault in Fault::ALL {
        for series in Contender::ALL.into_iter().filter_map(|contender| results.find(fault, contender)) {
            let column = |value: &dyn Fn(&Run) -> Option<Span>, form: fn(Span) -> String| {
                summary(series.runs.iter().filter_map(value))
                    .map_or("–".into(), |summary| four(summary, form))
            };
            let _ = writeln!(
                text,
                "| {} | {}{} | {} | {} | {} | {} | {} |",
                fault.name(),
                series.contender.name(),
                failures(series),
                column(&|run| Some(run.outage), ms),
                column(&|run| Some(count(run.lost)), number),
                column(&|run| Some(count(run.lost_slow)), number),
                column(&|run| Some(run.two), s),
                column(&|run| run.stale, s),
            );
        }
    }
}

fn failures(series: &Series) -> String {
    if series.failed == 0 { String::new() } else { format!(" ({} runs failed)", series.failed) }
}

fn rest(text: &mut String, results: &Results) {
    let _ = writeln!(text, "| | CPU, holder | CPU, backup | memory, holder | memory, backup |");
    let _ = writeln!(text, "|---|--:|--:|--:|--:|");
    for rest in &results.rests {
        let cpu = |cost: Cost| format!("{:.2} %", cost.cpu * 100.0);
        let pss = |cost: Cost| format!("{:.1} MB", cost.pss as f64 / 1e6);
        let (name, holder, backup) = (rest.contender.name(), rest.holder, rest.backup);
        let (a, b, c, d) = (cpu(holder), cpu(backup), pss(holder), pss(backup));
        let _ = writeln!(text, "| {name} | {a} | {b} | {c} | {d} |");
    }
}

fn four(summary: Summary, form: fn(Span) -> String) -> String {
    [summary.min, summary.median, summary.p99, summary.max].map(form).join(" / ")
}

fn sign(span: Span) -> &'static str {
    if span.lasting { "> " } else { "" }
}

/// Milliseconds.
pub fn ms(span: Span) -> String {
    format!("{}{:.0}", sign(span), span.seconds * 1000.0)
}

fn s(span: Span) -> String {
    format!("{}{:.2}", sign(span), span.seconds)
}

fn number(span: Span) -> String {
    // The median of an even number of counts can lie between two.
    if span.seconds.fract() == 0.0 { format!("{:.0}", span.seconds) } else { format!("{:.1}", span.seconds) }
}

/// One line for one run, while the bench runs.
pub fn line(fault: Fault, contender: Contender, run: &Run) -> String {
    format!(
        "{:17} {:14} outage {:>7} ms, lost {:>4} + {:>3}, two holders {:>6} s, stale {:>6} s",
        contender.name(),
        fault.key(),
        ms(run.outage),
        run.lost,
        run.lost_slow,
        s(run.two),
        run.stale.map_or("–".into(), s)
    )
}

/// Every run, for other programs.
pub fn csv(results: &Results) -> String {
    let mut text =
        "fault,agent,outage_s,outage_lasting,lost,lost_slow,two_s,two_lasting,stale_s,stale_lasting\n"
            .to_string();
    for series in &results.series {
        for run in &series.runs {
            let stale = run.stale.map_or((String::new(), String::new()), |stale| {
                (format!("{:.6}", stale.seconds), stale.lasting.to_string())
            });
            let _ = writeln!(
                text,
                "{},{},{:.6},{},{},{},{:.6},{},{},{}",
                series.fault.key(),
                series.contender.key(),
                run.outage.seconds,
                run.outage.lasting,
                run.lost,
                run.lost_slow,
                run.two.seconds,
                run.two.lasting,
                stale.0,
                stale.1
            );
        }
    }
    text
}
