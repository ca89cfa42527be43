//! What can be wrong with a message of protocol 112, in words.

use super::{ADVERTISEMENT, HEADER};
use crate::wire::auth::HMAC_SHA256;
use std::fmt;

/// A message of protocol 112 that is not a valid advert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The virtual router it seems to speak for, where it looks like an advert at all: somebody may well hold
    /// the address, though we cannot read what they say.
    pub vrid: Option<u8>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a message of protocol 112.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Shorter than a header: this many bytes.
    Short(usize),
    /// Neither version 2 nor 3.
    Version(u8),
    /// Not an advertisement but this type.
    Type(u8),
    /// OpenBSD's protocol, which shares number and groups with VRRP.
    Carp,
    /// Version 2 over IPv6, for which there is only version 3.
    V2OverIpv6,
    /// Another length than the header's count of addresses asks for, with or without an authentication trailer.
    Length {
        /// What the header asks for, in bytes.
        expected: usize,
        /// What came, in bytes.
        got: usize,
    },
    /// None of the known checksums.
    Checksum,
    /// An authentication trailer that is not HMAC-SHA256 but of this type.
    Trailer(u8),
    /// Virtual router 0 does not exist.
    Vrid,
    /// It names no address.
    NoAddress,
    /// An advertisement interval of zero.
    Interval,
}

impl Fault {
    /// In a word, for counters.
    pub fn kind(self) -> &'static str {
        match self {
            Fault::Short(_) | Fault::Length { .. } => "length",
            Fault::Version(_) | Fault::V2OverIpv6 => "version",
            Fault::Type(_) => "type",
            Fault::Carp => "CARP",
            Fault::Checksum => "checksum",
            Fault::Trailer(_) => "authentication type",
            Fault::Vrid => "vrid",
            Fault::NoAddress => "addresses",
            Fault::Interval => "interval",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.fault {
            Fault::Short(got) => write!(f, "too short: {got} bytes, a VRRP header has {HEADER}"),
            Fault::Version(version) => write!(f, "VRRP version {version}; known are 2 and 3"),
            Fault::Type(kind) => write!(f, "type {kind}, not an advertisement ({ADVERTISEMENT})"),
            Fault::Carp => f.write_str("CARP, not VRRP"),
            Fault::V2OverIpv6 => f.write_str("VRRP version 2 over IPv6; that takes version 3"),
            Fault::Length { expected, got } => {
                write!(f, "wrong length: its header asks for {expected} bytes, it has {got}")
            }
            Fault::Checksum => {
                f.write_str("wrong checksum: damaged, or its address was translated on the way")
            }
            Fault::Trailer(kind) => {
                write!(f, "an authentication trailer of type {kind}; known is {HMAC_SHA256} (HMAC-SHA256)")
            }
            Fault::Vrid => f.write_str("virtual router id 0; valid are 1 to 255"),
            Fault::NoAddress => f.write_str("it names no address"),
            Fault::Interval => f.write_str("an advertisement interval of 0"),
        }
    }
}

impl std::error::Error for Malformed {}
