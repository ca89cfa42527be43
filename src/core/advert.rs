//! What an advert says, apart from how it is written on the wire.

use std::net::IpAddr;
use std::time::Duration;

/// The version of VRRP that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

/// A valid VRRP advertisement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Advert {
    /// Version of the message.
    pub version: Version,
    /// The virtual router it speaks for, 1-255.
    pub vrid: u8,
    /// 0: the sender gives the address up. 255: it owns the address.
    pub priority: u8,
    /// Time to the sender's next advert (v2: whole seconds; v3: centiseconds, 12 bits).
    pub interval: Duration,
    /// The addresses of the virtual router, in the order they were written.
    pub addresses: Vec<IpAddr>,
}
