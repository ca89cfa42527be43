//! Single values: text to type, and what is wrong with it if it is not one.

use super::{Checksum, Lease, LogFormat, Target, Url, Vip, argv};
use crate::core::advert::Version;
use ipnet::Ipv4Net;
use std::fmt::{self, Debug, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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

/// A host's own IPv4 address.
pub(super) fn host_address(text: &str) -> Result<Ipv4Addr, Wrong> {
    let address: Ipv4Addr = match text.parse() {
        Ok(address) => address,
        Err(_) if text.parse::<Ipv6Addr>().is_ok() => {
            return wrong("is an IPv6 address, which is not supported by this version yet");
        }
        Err(_) => return wrong("is not an address"),
    };
    if address.is_loopback() {
        wrong("is a loopback address")
    } else if address.is_multicast() {
        wrong("is a multicast address")
    } else if address.is_broadcast() {
        wrong("is the broadcast address")
    } else if address.octets()[0] == 0 || address.octets()[0] >= 240 {
        wrong("is not an address a host can have")
    } else {
        Ok(address)
    }
}

impl FromStr for Vip {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let (written, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address = host_address(written)?;
        let Some(length) = length else { return Ok(Self { address, prefix: None }) };
        let prefix = digits(length).filter(|prefix| *prefix > 0);
        let Some((prefix, net)) =
            prefix.and_then(|prefix| Some((prefix, Ipv4Net::new(address, prefix).ok()?)))
        else {
            return Err(Wrong::from("has no prefix length from 1 to 32")
                .remedy("write for example 10.10.10.2/24 or 10.10.10.2"));
        };
        if prefix < 31 && address == net.network() {
            return wrong("is the address of a whole network");
        }
        if prefix < 31 && address == net.broadcast() {
            return wrong(format!("is the broadcast address of {}", net.trunc()));
        }
        Ok(Self { address, prefix: Some(prefix) })
    }
}

/// An address in a list of peers.
pub(super) fn peer(text: &str) -> Result<IpAddr, Wrong> {
    if text == "rancher" { wrong("stands alone or not at all") } else { host_address(text).map(IpAddr::V4) }
}

/// Somebody whose sign of life is wanted.
pub(super) fn guard(text: &str) -> Result<IpAddr, Wrong> {
    if matches!(text, "auto" | "off") {
        wrong("stands alone or not at all")
    } else {
        host_address(text).map(IpAddr::V4)
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

/// `stack/service`.
pub(super) fn service(text: &str) -> Result<(String, String), Wrong> {
    match text.split_once('/') {
        Some((stack, service))
            if ![stack, service].iter().any(|part| part.is_empty() || part.contains('/')) =>
        {
            Ok((stack.to_owned(), service.to_owned()))
        }
        _ => wrong("does not name a stack and its service"),
    }
}

/// An HTTP status code or a range of them.
pub(super) fn status(text: &str) -> Result<(u16, u16), Wrong> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| digits(text.trim()).filter(|code| (100..=999).contains(code));
    match (code(low), code(high)) {
        (Some(low), Some(high)) if low <= high => Ok((low, high)),
        _ => wrong("is neither a status code nor a range of them"),
    }
}

/// The value of a `Host` header.
pub(super) fn host_header(text: &str) -> Result<String, Wrong> {
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/@?#\\".contains(&byte)) {
        return Ok(text.to_owned());
    }
    wrong("is not a host name")
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

impl FromStr for Url {
    type Err = Wrong;

    /// `http://…` or `https://…`, without a fragment. Stricter than browsers, which forgive `http:host`,
    /// `http:///host` and blanks.
    fn from_str(text: &str) -> Result<Self, Wrong> {
        let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
            return wrong("does not begin with http:// or https://");
        };
        if rest.starts_with(['/', '\\']) || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return wrong("is not a URL");
        }
        let url = reqwest::Url::parse(text).map_err(|error| Wrong::from(format!("is not a URL: {error}")))?;
        if url.port() == Some(0) {
            return wrong("has no port from 1 to 65535");
        }
        if url.fragment().is_some() {
            return wrong("has a part after #, which is never sent");
        }
        Ok(Self(url.into()))
    }
}

/// The base URL of the metadata service: paths are appended to it, and it answers `//` with a redirect.
pub(super) fn base_url(text: &str) -> Result<Url, Wrong> {
    if text.contains('?') {
        return wrong("has a part after ?, where paths could not be appended");
    }
    let Url(url) = text.parse()?;
    Ok(Url(url.trim_end_matches('/').to_owned()))
}

impl FromStr for Target {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if text == "none" {
            return wrong("stands alone or not at all");
        }
        match text.split_once(':') {
            Some(("http" | "https", _)) => text.parse().map(|Url(url)| Self::Http { url }),
            Some(("tcp", rest)) => rest.strip_prefix("//").map_or_else(|| wrong("is not a check"), tcp),
            Some(("exec", rest)) => argv::split(rest).map(|argv| Self::Exec { argv }),
            _ => wrong("is not a check"),
        }
    }
}

fn tcp(text: &str) -> Result<Target, Wrong> {
    let (written, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let in_brackets = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = match in_brackets {
        Some(inside) if inside.parse::<Ipv6Addr>().is_ok() => inside,
        None if is_host(written) => written,
        _ => return wrong("has no host name or address"),
    };
    match digits(port).filter(|port| *port > 0) {
        Some(port) => Ok(Target::Tcp { host: host.to_owned(), port }),
        None => wrong("has no port from 1 to 65535"),
    }
}

/// An IPv4 address or a host name; what ends in a number is no name (as in URLs).
fn is_host(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    text.len() <= 253 && text.bytes().all(letter) && !text.starts_with(['.', '-']) && !text.contains("..")
}

impl Display for Target {
    /// As it would be written in a setting, without secrets.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Http { url } => f.write_str(&redact(url)),
            Self::Exec { argv } => {
                let shown: Vec<String> = argv.iter().map(|argument| redact(argument)).collect();
                write!(f, "exec:{}", argv::join(&shown))
            }
        }
    }
}

impl Debug for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.to_string(), f)
    }
}

/// The URL with everything before the last `@` replaced. Not only what the standard calls the user part:
/// a password with an unescaped `/` in it, which makes the URL a wrong one, is still a password.
pub(super) fn redact(text: &str) -> String {
    let Some(at) = text.rfind('@') else { return text.to_owned() };
    let scheme = ["http://", "https://", "tcp://"].into_iter().find(|scheme| text.starts_with(scheme));
    format!("{}***{}", scheme.unwrap_or_default(), &text[at..])
}
