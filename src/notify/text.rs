//! The words of a mail.

use super::Change;
use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Virtual routers that a subject names.
const NAMED: usize = 3;

/// `[lb1] 10.10.10.2: Active`: the last state of each virtual router, the latest change first.
pub(super) fn subject(changes: &[Arc<Change>]) -> String {
    let host = changes.last().map_or("", |change| change.host.as_str());
    let mut last: Vec<&Change> = Vec::new();
    for change in changes.iter().rev() {
        if !last.iter().any(|later| later.router == change.router) {
            last.push(change);
        }
    }
    let names: Vec<String> =
        last.iter().take(NAMED).map(|change| format!("{}: {}", change.router, change.to)).collect();
    let others = match last.len().saturating_sub(NAMED) {
        0 => String::new(),
        others => format!(", and {others} more"),
    };
    format!("[{host}] {}{others}", names.join(", "))
}

/// Each change, then the state of the group.
pub(super) fn body(changes: &[Arc<Change>], state: &str) -> String {
    let mut text = String::new();
    for change in changes {
        let Change { host, router, addresses, vrid, interface, from, to, priority, why, at } =
            change.as_ref();
        let addresses = addresses.join(", ");
        let _ = writeln!(text, "{}  {host}: {router}: {from} -> {to}: {why}", rfc3339(*at));
        let _ = writeln!(text, "    {addresses} on {interface}, VRID {vrid}, priority {priority}\n");
    }
    let _ = writeln!(text, "The group at {}:\n", rfc3339(SystemTime::now()));
    for line in state.lines() {
        let _ = writeln!(text, "{}", one_line(line).trim_end());
    }
    text
}

/// What cannot end a line, or a header, or be cut short as an argument.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A moment as `2026-11-22T20:39:11.123Z`.
pub(super) fn rfc3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    let whole = at.replace_millisecond(at.millisecond()).unwrap_or(at);
    whole.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::event::State;
    use std::time::{Duration, UNIX_EPOCH};

    fn change(router: &str, to: State) -> Arc<Change> {
        Arc::new(Change {
            at: UNIX_EPOCH + Duration::from_micros(1_795_379_951_123_456),
            host: "lb1".to_owned(),
            router: router.to_owned(),
            addresses: vec!["10.10.10.2".to_owned(), "10.10.10.3".to_owned()],
            vrid: 2,
            interface: "eth0".to_owned(),
            from: State::Backup,
            to,
            priority: 238,
            why: "nobody was heard".to_owned(),
        })
    }

    #[test]
    fn times() {
        assert_eq!(rfc3339(change("a", State::Active).at), "2026-11-22T20:39:11.123Z");
        assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_subject_names_each_router_once_with_its_last_state() {
        let changes = [
            change("a", State::Active),
            change("b", State::Active),
            change("a", State::Fault),
            change("a", State::Backup),
        ];
        assert_eq!(subject(&changes), "[lb1] a: Backup, b: Active");
        let many = ["a", "b", "c", "d", "e"].map(|router| change(router, State::Active));
        assert_eq!(subject(&many), "[lb1] e: Active, d: Active, c: Active, and 2 more");
    }

    #[test]
    fn a_body_has_each_change_and_the_group() {
        let text = body(&[change("web", State::Active)], "lb1 Active\r\nlb2 Backup\0");
        let (changes, group) = text.split_once("The group at ").unwrap();
        assert_eq!(
            changes,
            "2026-11-22T20:39:11.123Z  lb1: web: Backup -> Active: nobody was heard\n    \
             10.10.10.2, 10.10.10.3 on eth0, VRID 2, priority 238\n\n"
        );
        assert!(group.ends_with(":\n\nlb1 Active\nlb2 Backup\n"), "{group:?}");
    }
}
