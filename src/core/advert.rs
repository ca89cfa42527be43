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

/// What the checksum of an advert covers besides the message. Over IPv4 all forms of version 3 are in use; version
/// 2 knows only [`Message`](Checksum::Message), IPv6 only [`PseudoHeader`](Checksum::PseudoHeader).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// The pseudo-header: keepalived, FRR.
    PseudoHeader,
    /// Nothing: RFC 9568, Cisco, Juniper.
    Message,
    /// A pseudo-header with the multicast group as destination, though sent by unicast: keepalived up to 1.3.6.
    OldUnicast,
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Checksum::PseudoHeader => "pseudo-header",
            Checksum::Message => "message",
            Checksum::OldUnicast => "old keepalived",
        })
    }
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
