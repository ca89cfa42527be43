//! Where people and programs may ask how things stand.

use super::reader::Reader;
use super::values::Wrong;
use std::net::SocketAddr;

/// The status over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it is served.
    pub listen: Listen,
    /// What who asks has to bring (`Authorization: Bearer …`); none: nothing. Not wanted for `/healthz`.
    pub token: Option<String>,
}

/// Where the status is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// At each address that adverts come from, on this port.
    Source(u16),
    /// There.
    At(SocketAddr),
}

impl Listen {
    /// The port, on this host and, as settings are the same on all, on the others.
    pub fn port(self) -> Option<u16> {
        match self {
            Listen::Off => None,
            Listen::Source(port) => Some(port),
            Listen::At(address) => Some(address.port()),
        }
    }
}

pub(super) fn read(reader: &mut Reader) -> Option<Status> {
    let listen = reader.one("OUTRIDER_STATUS_LISTEN", listen);
    let token = reader.one("OUTRIDER_STATUS_TOKEN", token);
    if token.is_some() && listen == Some(Listen::Off) {
        reader.warn("OUTRIDER_STATUS_TOKEN has no effect: OUTRIDER_STATUS_LISTEN is off");
    }
    Some(Status { listen: listen?, token })
}

fn listen(text: &str) -> Result<Listen, Wrong> {
    let port = text.strip_prefix(':').and_then(|port| port.parse().ok());
    match (text, port, text.parse::<SocketAddr>()) {
        ("off", ..) => Ok(Listen::Off),
        (_, Some(1..), _) => Ok(Listen::Source(port.unwrap_or_default())),
        (_, _, Ok(address)) if address.port() > 0 => Ok(Listen::At(address)),
        _ => Err(Wrong::from("is no address with a port").remedy(
            "write for example :9112 (the source address), 0.0.0.0:9112 (all IPv4 addresses), or off",
        )),
    }
}

/// It goes into a header: visible ASCII without spaces (RFC 6750), and long enough not to be guessed.
fn token(text: &str) -> Result<String, Wrong> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.len() {
        16..=512 if visible => Ok(text.to_owned()),
        _ => Err(Wrong::from("is not 16 to 512 visible ASCII characters")
            .remedy("make one with: openssl rand -hex 32")),
    }
}
