//! The status as a table in a terminal.

use super::document::{Router, Status};
use super::group::{Alarm, Group, Report, Severity};
use super::server::unready;
use crate::core::event::State;
use std::fmt::Write;

/// One host, for people.
pub fn status(status: &Status) -> String {
    let mut text = String::new();
    for router in &status.routers {
        let _ = writeln!(text, "{}", headline(status, router));
        for (name, value) in facts(status, router) {
            let _ = writeln!(text, "  {name:14}  {value}");
        }
        text += &members(router);
    }
    if let Some(metadata) = &status.metadata {
        let age = metadata
            .confirmed_ago
            .map_or("never confirmed".to_owned(), |ago| format!("confirmed {} ago", long(ago)));
        let _ = writeln!(
            text,
            "metadata: {}{age}{}",
            metadata.version.as_ref().map_or(String::new(), |version| format!("version {version}, ")),
            if metadata.reachable { "" } else { ", the service does not answer" }
        );
    }
    if !status.ready {
        let why = if status.drained { "drained".to_owned() } else { unready(status) };
        let _ = writeln!(text, "not ready: {why}");
    }
    for warning in &status.warnings {
        let _ = writeln!(text, "warning ({} times): {}", warning.count, warning.text);
    }
    text + &history(status)
}

/// All hosts, for people.
pub fn group(group: &Group) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for Report { name, address, status, error } in &group.members {
        let Some(status) = status else {
            let why = format!("cannot be asked: {}", error.as_deref().unwrap_or_default());
            rows.push(vec![
                name.clone(),
                address.clone(),
                "-".to_owned(),
                "?".to_owned(),
                String::new(),
                String::new(),
                why,
            ]);
            continue;
        };
        for router in &status.routers {
            let since = long(status.now - router.since);
            let source = router.source.clone().unwrap_or_else(|| address.clone());
            let state =
                if status.drained { format!("{} (drained)", router.state) } else { router.state.to_string() };
            let of = router.name.clone();
            rows.push(vec![
                name.clone(),
                source,
                of,
                state,
                router.priority.to_string(),
                since,
                router.why.clone(),
            ]);
        }
    }
    let mut text = columns(&["host", "address", "router", "state", "priority", "for", "why"], &rows);
    match group.alarms.as_slice() {
        [] => text += "\nall well\n",
        alarms => {
            text.push('\n');
            for Alarm { severity, text: what } in alarms {
                let mark = if *severity == Severity::Critical { "CRITICAL" } else { "warning" };
                let _ = writeln!(text, "{mark}: {what}");
            }
        }
    }
    text
}

fn headline(status: &Status, router: &Router) -> String {
    let since = long(status.now - router.since);
    let addresses = router.addresses.join(", ");
    format!("{addresses}: {} is {} for {since}: {}", status.name, router.state, router.why)
}

fn facts(status: &Status, router: &Router) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut row = |name, value: String| rows.push((name, value));
    row(
        "holder",
        match &router.holder {
            Some(holder) if holder.me => "this host".to_owned(),
            Some(holder) => format!("{} (priority {})", holder.name, holder.priority),
            None => "nobody that this host knows of".to_owned(),
        },
    );
    row("priority", router.priority.to_string());
    let place = router.interface.as_deref().zip(router.source.as_deref());
    row(
        "virtual router",
        match place {
            Some((interface, source)) => format!("{} on {interface}, adverts from {source}", router.vrid),
            None => router.vrid.to_string(),
        },
    );
    for check in &router.checks {
        let seen = check.last.as_deref().unwrap_or("not looked at yet");
        let age = check.ago.map_or(String::new(), |ago| format!(", {} ago", long(ago)));
        row("check", format!("{}: {seen}{age}", check.name));
    }
    if let Some(why) = router.unfit.as_ref().filter(|_| router.state == State::Fault) {
        row("cannot serve", why.clone());
    }
    if let Some(why) = &router.no_claim {
        row("does not claim", why.clone());
    }
    if let Some(left) = router.lease_ends_in {
        row("lease", format!("{left:.1} s left"));
    }
    if router.guard.isolated && status.now - status.started > 5.0 {
        row("network", "no sign of life: this host seems cut off".to_owned());
    }
    rows
}

fn members(router: &Router) -> String {
    let rows: Vec<Vec<String>> = (router.members.iter())
        .map(|member| {
            let number = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
            let heard = match (member.me, member.advert_ago, member.seen) {
                (true, ..) => "this host".to_owned(),
                (_, Some(ago), _) => format!("advert {} ago", long(ago)),
                (_, None, true) => "no advert (a Backup sends none)".to_owned(),
                (_, None, false) => "NEVER SEEN".to_owned(),
            };
            vec![
                format!("  {}", member.name),
                member.address.clone(),
                number(member.rank.map(|rank| rank.to_string())),
                number(member.priority.map(|priority| priority.to_string())),
                if member.listed { heard } else { format!("{heard}, not listed") },
            ]
        })
        .collect();
    if rows.is_empty() {
        String::new()
    } else {
        columns(&["  member", "address", "rank", "priority", "heard"], &rows)
    }
}

/// The last changes.
fn history(status: &Status) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    let skipped = status.transitions.len().saturating_sub(SHOWN);
    for change in status.transitions.iter().skip(skipped) {
        let (ago, router) = (long(status.now - change.at), &change.router);
        let _ = writeln!(text, "{ago} ago: {router}: {} -> {}: {}", change.from, change.to, change.why);
    }
    text
}

/// Left-aligned columns under their titles; what does not fit pushes its own line only.
fn columns(titles: &[&str], rows: &[Vec<String>]) -> String {
    const WIDEST: usize = 40;
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let title = titles.get(column).map_or(0, |title| title.chars().count());
        cells.filter(|width| *width <= WIDEST).fold(title, usize::max)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    let mut text = String::new();
    for row in [&titles].into_iter().chain(rows) {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// A length of time in its two largest units.
fn long(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        _ if seconds < 10.0 => format!("{:.1} s", seconds.max(0.0)),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_in_their_largest_units() {
        let lengths = [-1.0, 0.26, 9.94, 59.9, 61.0, 3_599.0, 7_260.0, 90_000.0].map(long);
        let expected =
            ["0.0 s", "0.3 s", "9.9 s", "59 s", "1 min 1 s", "59 min 59 s", "2 h 1 min", "1 d 1 h"];
        assert_eq!(lengths, expected);
    }
}
