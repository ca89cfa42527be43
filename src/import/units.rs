//! Numbers and times as keepalived writes them, and as the settings want them.

use super::part::Part;
use super::tree::Statement;
use std::ops::RangeInclusive;

/// A whole number without a sign.
pub(super) fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Seconds, perhaps with a fraction, in microseconds.
pub(super) fn micros(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if (whole.is_empty() && fraction.is_empty()) || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { number(whole)? };
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    whole.checked_mul(SECOND)?.checked_add(number(&fraction)?)
}

/// A time as it is written in a setting.
pub(super) fn duration(micros: u64) -> String {
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    let fraction = |rest: u64, width: usize| format!("{rest:0width$}").trim_end_matches('0').to_owned();
    match (seconds, rest) {
        (_, 0) => format!("{seconds}s"),
        (0, _) if rest % 1000 == 0 => format!("{}ms", rest / 1000),
        (0, _) => format!("{}.{}ms", rest / 1000, fraction(rest % 1000, 3)),
        _ => format!("{seconds}.{}s", fraction(rest, 6)),
    }
}

/// Within the range of a setting.
fn within(value: u64, range: &RangeInclusive<u64>) -> u64 {
    value.clamp(*range.start(), *range.end())
}

/// Sets `name` to the number that a statement gives, brought into `range`.
pub(super) fn set_number(
    part: &mut Part,
    name: &'static str,
    statement: &Statement,
    range: RangeInclusive<u64>,
) {
    match statement.value().map(number) {
        None => part.beside(name, statement, NO_VALUE),
        Some(None) => part.beside(name, statement, "is no whole number; left out, as keepalived does"),
        Some(Some(value)) => {
            let fitting = within(value, &range);
            if fitting != value {
                let text = format!("here it is from {} to {}", range.start(), range.end());
                part.beside(name, statement, &text);
            }
            part.set(name, fitting.to_string());
        }
    }
}

/// Sets `name` to the time that a statement gives in seconds, brought into `range` (microseconds).
pub(super) fn set_time(
    part: &mut Part,
    name: &'static str,
    statement: &Statement,
    range: RangeInclusive<u64>,
) {
    match statement.value().map(micros) {
        None => part.beside(name, statement, NO_VALUE),
        Some(None) => part.beside(name, statement, "is no number of seconds; left out, as keepalived does"),
        Some(Some(value)) => {
            let fitting = within(value, &range);
            if fitting != value {
                let text =
                    format!("here it is from {} to {}", duration(*range.start()), duration(*range.end()));
                part.beside(name, statement, &text);
            }
            part.set(name, duration(fitting));
        }
    }
}

/// What is said of a statement that lacks what it is about.
pub(super) const NO_VALUE: &str = "has no value, and keepalived 2 does not start with that. Left out";

/// `on`, `true` or `yes` and their contraries; nothing means yes. `None`: neither.
pub(super) fn switch(statement: &Statement) -> Option<bool> {
    match statement.value() {
        None | Some("on" | "true" | "yes") => Some(true),
        Some("off" | "false" | "no") => Some(false),
        Some(_) => None,
    }
}

/// Microseconds in a second.
pub(super) const SECOND: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected, shown) in [
            ("1", 1_000_000, "1s"),
            ("0.1", 100_000, "100ms"),
            (".25", 250_000, "250ms"),
            ("1.", 1_000_000, "1s"),
            ("2.5", 2_500_000, "2.5s"),
            ("0.0005", 500, "0.5ms"),
            ("0.123456789", 123_456, "123.456ms"),
            ("90", 90_000_000, "90s"),
            ("0", 0, "0s"),
        ] {
            assert_eq!(micros(text), Some(expected), "{text}");
            assert_eq!(duration(expected), shown);
        }
        for text in ["", ".", "x", "-1", "1e3", "1.x", "0.1234567x", "99999999999999999999", "é", "1.é"] {
            assert_eq!(micros(text), None, "{text}");
        }
    }
}
