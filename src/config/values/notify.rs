//! Who is told of changes: mail servers, addresses, formats, keys.

use super::checks::is_host;
use super::{Wrong, digits, wrong};
use crate::config::{MailTls, Mailbox, Secret, WebhookFormat};
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Host and port of a mail server: `HOST`, `HOST:PORT`, `[IPv6]:PORT`, or an IPv6 address alone.
pub(in crate::config) fn server(text: &str) -> Result<(String, Option<u16>), Wrong> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text.to_owned(), None));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, rest)) if inside.parse::<Ipv6Addr>().is_ok() => (inside, rest),
        Some(_) => return wrong("has no host name or address"),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if !host.contains(':') && !is_host(host) {
        return wrong("has no host name or address");
    }
    match port.strip_prefix(':').map(|port| digits(port).filter(|port| *port > 0)) {
        Some(Some(port)) => Ok((host.to_owned(), Some(port))),
        None if port.is_empty() => Ok((host.to_owned(), None)),
        _ => wrong("has no port from 1 to 65535"),
    }
}

/// `ops@example.com`, or `Operators <ops@example.com>`.
pub(in crate::config) fn mailbox(text: &str) -> Result<Mailbox, Wrong> {
    if text.contains(char::is_control) {
        return wrong("is not a mail address");
    }
    text.parse().map_err(|_| "is not a mail address".into())
}

/// A key for signatures: what is too short to be guessed hard is most likely a mistake.
pub(in crate::config) fn key(text: &str) -> Result<Secret, Wrong> {
    const LEAST: usize = 16;
    match text.len() {
        LEAST.. => Ok(text.to_owned().into()),
        length => wrong(format!("has {length} bytes, not {LEAST} or more")),
    }
}

impl FromStr for MailTls {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "none" => Ok(Self::None),
            "starttls" => Ok(Self::Starttls),
            "tls" => Ok(Self::Tls),
            _ => wrong("is none of starttls, tls and none"),
        }
    }
}

impl FromStr for WebhookFormat {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => wrong("is neither json nor text"),
        }
    }
}
