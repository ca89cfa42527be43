//! What is checked: URLs, ports, programs, and what counts as an answer.

use super::{Wrong, digits, wrong};
use crate::config::{Target, Url, argv};
use std::fmt::{self, Debug, Display, Formatter};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// `stack/service`.
pub(in crate::config) fn service(text: &str) -> Result<(String, String), Wrong> {
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
pub(in crate::config) fn status(text: &str) -> Result<(u16, u16), Wrong> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let code = |text: &str| digits(text.trim()).filter(|code| (100..=999).contains(code));
    match (code(low), code(high)) {
        (Some(low), Some(high)) if low <= high => Ok((low, high)),
        _ => wrong("is neither a status code nor a range of them"),
    }
}

/// The value of a `Host` header.
pub(in crate::config) fn host_header(text: &str) -> Result<String, Wrong> {
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/@?#\\".contains(&byte)) {
        return Ok(text.to_owned());
    }
    wrong("is not a host name")
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
pub(in crate::config) fn base_url(text: &str) -> Result<Url, Wrong> {
    if text.contains('?') {
        return wrong("has a part after ?, where paths could not be appended");
    }
    if !text.starts_with("http://") {
        return wrong("does not begin with http://");
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
pub(super) fn is_host(text: &str) -> bool {
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
pub(in crate::config) fn redact(text: &str) -> String {
    let Some(at) = text.rfind('@') else { return text.to_owned() };
    let scheme = ["http://", "https://", "tcp://"].into_iter().find(|scheme| text.starts_with(scheme));
    format!("{}***{}", scheme.unwrap_or_default(), &text[at..])
}
