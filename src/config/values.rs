//! Single values: text to type, and what is wrong with it if it is not one.

mod addresses;
mod checks;
mod notify;

pub(super) use addresses::{guard, host_address, peer};
pub(super) use checks::{base_url, host_header, redact, service, status};
pub(super) use notify::{key, mailbox, server};

use super::{Checksum, Lease, LogFormat, Transport};
use crate::core::advert::Version;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// Why a text is not a value: the words that follow the quoted text in a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong: "is not an address".
    pub what: String,
    /// What to do; none: write what the table gives as an example.
    pub remedy: Option<String>,
}

impl<T: Into<String>> From<T> for Wrong {
    fn from(what: T) -> Self {
        Self { what: what.into(), remedy: None }
    }
}

impl Wrong {
    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(what.into().into())
}

/// Digits and nothing else: `from_str` of the integers would take a sign as well.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// A whole number within `range`.
pub(super) fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T, Wrong>
where
    T: FromStr + PartialOrd + Display,
{
    digits(text)
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("is not a whole number from {} to {}", range.start(), range.end()).into())
}

/// `true` or `false`.
pub(super) fn boolean(text: &str) -> Result<bool, Wrong> {
    text.parse().map_err(|_| "is neither true nor false".into())
}

/// A duration within `range`: `200ms`, `1.5s`, `1m`.
pub(super) fn duration(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let value = any_duration(text)?;
    if range.contains(&value) {
        Ok(value)
    } else {
        wrong(format!("is not from {} to {}", human(*range.start()), human(*range.end())))
    }
}

fn any_duration(text: &str) -> Result<Duration, Wrong> {
    let not_one = || Wrong::from("is not a duration");
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (count, unit) = text.split_at(end);
    let (whole, fraction) = count.split_once('.').unwrap_or((count, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 {
        return Err(not_one());
    }
    let whole: u32 = digits(whole).ok_or_else(not_one)?;
    let fraction_digits: u64 = digits(fraction).ok_or_else(not_one)?;
    let nanoseconds: u128 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err(Wrong::from("has no unit").remedy(format!("write for example {text}s"))),
        _ => return Err(not_one()),
    };
    let scale: u128 = fraction.chars().fold(1, |scale, _| scale * 10);
    let sum = u128::from(whole) * nanoseconds + u128::from(fraction_digits) * nanoseconds / scale;
    u64::try_from(sum).map(Duration::from_nanos).map_err(|_| not_one())
}

/// A duration as it would be written in a setting.
pub(super) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.subsec_nanos() {
        0 if seconds > 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        0 if seconds > 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        0 => format!("{seconds}s"),
        _ if seconds == 0 => format!("{}ms", duration.as_secs_f64() * 1000.0),
        _ => format!("{}s", duration.as_secs_f64()),
    }
}

/// Checks that an advert can carry `interval`: v3 has 12 bits of centiseconds, v2 8 bits of seconds.
pub(super) fn advert_interval(text: &str, version: Option<Version>) -> Result<Duration, Wrong> {
    let interval = any_duration(text)?;
    let second = Duration::from_secs(1);
    let centisecond = Duration::from_millis(10);
    let whole = |unit: Duration| interval.as_nanos().is_multiple_of(unit.as_nanos());
    match version {
        Some(Version::V2) if !whole(second) || interval < second || interval > second * 255 => {
            let what = "is not a whole number of seconds from 1s to 255s, as VRRP version 2 needs";
            Err(Wrong::from(what).remedy("write for example 1s"))
        }
        Some(Version::V3)
            if !whole(centisecond) || interval < centisecond || interval > centisecond * 4095 =>
        {
            wrong("is not from 10ms to 40.95s in steps of 10ms")
        }
        _ => Ok(interval),
    }
}

/// The name of a Unix socket: an absolute path, or `@name` for an abstract one (unix(7): 107 bytes).
pub(super) fn socket(text: &str) -> Result<String, Wrong> {
    let named = text.strip_prefix('@').is_some_and(|name| !name.is_empty()) || text.starts_with('/');
    if named && text.len() <= 107 { Ok(text.to_owned()) } else { wrong("is no name for a socket") }
}

/// What the kernel takes as the name of an interface.
pub(super) fn interface(text: &str) -> Result<String, Wrong> {
    let bad = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '/' || letter == ':';
    if text.len() > 15 || text == "." || text == ".." || text.contains(bad) {
        return wrong("is not the name of an interface");
    }
    Ok(text.to_owned())
}

/// A host label, `key=value`.
pub(super) fn label(text: &str) -> Result<(String, String), Wrong> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => wrong("is not a label with a value"),
    }
}

/// An absolute path.
pub(super) fn path(text: &str) -> Result<PathBuf, Wrong> {
    if !text.starts_with('/') || text.ends_with('/') || text.contains('\0') {
        return wrong("is not the absolute path of a file");
    }
    Ok(text.into())
}

/// A name for messages: one line of bounded length.
pub(super) fn router_id(text: &str) -> Result<String, Wrong> {
    if text.chars().count() > 64 || text.contains(char::is_control) {
        return wrong("is not a name of at most 64 printable characters");
    }
    Ok(text.to_owned())
}

/// Log levels. A lone word must be a level: the library would take a misspelt one for a target, and then say
/// nothing but its traces.
pub(super) fn log_levels(text: &str) -> Result<Targets, Wrong> {
    let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
    let is_level = |item: &str| {
        let level = match item.split_once('=') {
            Some(("", _)) => "",
            Some((_, level)) => level,
            None => item,
        };
        !level.is_empty() && level.parse::<LevelFilter>().is_ok()
    };
    match text.parse() {
        Ok(targets) if text.split(',').all(is_level) => Ok(targets),
        _ => wrong("does not name log levels"),
    }
}

/// `2` or `3`.
pub(super) fn version(text: &str) -> Result<Version, Wrong> {
    match text {
        "2" => Ok(Version::V2),
        "3" => Ok(Version::V3),
        _ => wrong("is neither 3 nor 2"),
    }
}

impl FromStr for Lease {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "auto" => Ok(Self::Auto),
            "forever" => Ok(Self::Forever),
            _ => wrong("is neither auto nor forever"),
        }
    }
}

impl FromStr for Checksum {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "pseudo-header" => Ok(Self::PseudoHeader),
            "message" => Ok(Self::Message),
            _ => wrong("is neither pseudo-header nor message"),
        }
    }
}

impl FromStr for Transport {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "unicast" => Ok(Self::Unicast),
            "multicast" => Ok(Self::Multicast),
            _ => wrong("is neither unicast nor multicast"),
        }
    }
}

impl FromStr for LogFormat {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => wrong("is neither text nor json"),
        }
    }
}
