//! VRRP advertisements over IPv4: version 2 (RFC 3768) and version 3 (RFC 9568).

pub use crate::core::advert::Checksum as ChecksumForm;
use crate::core::advert::{Advert, Version};
use pnet_packet::Packet;
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::util;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// How the two versions lay out their messages. The accessors are safe once `new` has seen the eight bytes of
/// the header.
// The macro writes more accessors than we call.
#[allow(dead_code)]
mod layout {
    use pnet_macros::packet;
    use pnet_macros_support::types::{u4, u12be, u16be};

    /// RFC 3768, section 5.1. The payload: `count` addresses, then always eight bytes of authentication.
    #[packet]
    pub struct V2 {
        pub version: u4,
        pub kind: u4,
        pub vrid: u8,
        pub priority: u8,
        pub count: u8,
        pub auth_type: u8,
        pub seconds: u8,
        pub checksum: u16be,
        #[payload]
        pub payload: Vec<u8>,
    }

    /// RFC 9568, section 5.1. The payload: `count` addresses.
    #[packet]
    pub struct V3 {
        pub version: u4,
        pub kind: u4,
        pub vrid: u8,
        pub priority: u8,
        pub count: u8,
        pub reserved: u4,
        pub centiseconds: u12be,
        pub checksum: u16be,
        #[payload]
        pub payload: Vec<u8>,
    }
}
use layout::{MutableV2Packet, MutableV3Packet, V2, V2Packet, V3, V3Packet};

/// The multicast group of VRRP over IPv4.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The only type of VRRP message there is.
const ADVERTISEMENT: u8 = 1;
const HEADER: usize = 8;
const AUTH: usize = 8;
/// keepalived's authentication trailer (`auth_hmac`).
const TRAILER: usize = 28;
const CARP_LENGTH: usize = 36;
/// CARP's authentication length, in words; it is where VRRP counts addresses.
const CARP_COUNT: u8 = 7;
/// A word that no message has, for the checksum functions that leave one out.
const NO_WORD: usize = usize::MAX;

/// How a v2 advert is authenticated; v3 has nothing but [`Auth::None`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    None,
    /// A password in the clear, padded with zeros.
    Pass([u8; AUTH]),
    /// A type that RFC 3768 has abolished, or one that never was.
    Other(u8),
}

/// The password is a secret, though it travels in the clear.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Auth::None => f.write_str("None"),
            Auth::Pass(_) => f.write_str("Pass(..)"),
            Auth::Other(kind) => write!(f, "Other({kind})"),
        }
    }
}

/// A valid advert and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What it says.
    pub advert: Advert,
    /// How it is authenticated.
    pub auth: Auth,
    /// Which checksum it carries: its sender is sure to accept the same.
    pub checksum: ChecksumForm,
}

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
    /// OpenBSD's protocol, which shares number and group with VRRP.
    Carp,
    /// An authentication trailer (keepalived's `auth_hmac`) follows the message.
    Trailer,
    /// Another length than the header's count of addresses asks for.
    Length {
        /// What the header asks for, in bytes.
        expected: usize,
        /// What came, in bytes.
        got: usize,
    },
    /// None of the known checksums.
    Checksum,
    /// Virtual router 0 does not exist.
    Vrid,
    /// It names no address.
    NoAddress,
    /// An advertisement interval of zero.
    Interval,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.fault {
            Fault::Short(got) => write!(f, "too short: {got} bytes, a VRRP header has {HEADER}"),
            Fault::Version(version) => write!(f, "VRRP version {version}; known are 2 and 3"),
            Fault::Type(kind) => write!(f, "type {kind}, not an advertisement ({ADVERTISEMENT})"),
            Fault::Carp => f.write_str("CARP, not VRRP"),
            Fault::Trailer => {
                f.write_str("an authentication trailer (keepalived's auth_hmac), which is not understood")
            }
            Fault::Length { expected, got } => {
                write!(f, "wrong length: its header asks for {expected} bytes, it has {got}")
            }
            Fault::Checksum => {
                f.write_str("wrong checksum: damaged, or its address was translated on the way")
            }
            Fault::Vrid => f.write_str("virtual router id 0; valid are 1 to 255"),
            Fault::NoAddress => f.write_str("it names no address"),
            Fault::Interval => f.write_str("an advertisement interval of 0"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Reads the advert in the payload of an IPv4 datagram of protocol 112, cut to the datagram's total length (the
/// padding of a short Ethernet frame would spoil it).
///
/// Whether the version, the password, the interval and the addresses are ours is for the caller to judge.
///
/// # Errors
/// [`Malformed`], with the virtual router's id where that much could be read.
pub fn decode(payload: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Result<Decoded, Malformed> {
    let unreadable = |fault| Malformed { vrid: None, fault };
    // Up to the count of addresses both versions look alike.
    let header = V2Packet::new(payload).ok_or(unreadable(Fault::Short(payload.len())))?;
    let (version, auth_length) = match header.get_version() {
        2 => (Version::V2, AUTH),
        3 => (Version::V3, 0),
        other => return Err(unreadable(Fault::Version(other))),
    };
    if header.get_kind() != ADVERTISEMENT {
        return Err(unreadable(Fault::Type(header.get_kind())));
    }
    let count = usize::from(header.get_count());
    let expected = HEADER + 4 * count + auth_length;
    if version == Version::V2
        && payload.len() == CARP_LENGTH
        && payload.len() != expected
        && header.get_count() == CARP_COUNT
    {
        return Err(unreadable(Fault::Carp));
    }
    let vrid = header.get_vrid();
    let malformed = |fault| Malformed { vrid: (vrid != 0).then_some(vrid), fault };
    if payload.len() == expected + TRAILER {
        return Err(malformed(Fault::Trailer));
    }
    if payload.len() != expected {
        return Err(malformed(Fault::Length { expected, got: payload.len() }));
    }
    let checksum = match version {
        Version::V2 => (util::checksum(payload, NO_WORD) == 0).then_some(ChecksumForm::Message),
        Version::V3 => v3_form(payload, source, destination),
    };
    let checksum = checksum.ok_or(malformed(Fault::Checksum))?;
    if vrid == 0 {
        return Err(malformed(Fault::Vrid));
    }
    if count == 0 {
        return Err(malformed(Fault::NoAddress));
    }
    let interval = match version {
        Version::V2 => Duration::from_secs(header.get_seconds().into()),
        Version::V3 => {
            let header = V3Packet::new(payload).ok_or(malformed(Fault::Short(payload.len())))?;
            Duration::from_millis(10 * u64::from(header.get_centiseconds()))
        }
    };
    if interval.is_zero() {
        return Err(malformed(Fault::Interval));
    }
    let (words, _) = header.payload().as_chunks::<4>();
    let (addresses, password) = words.split_at_checked(count).unwrap_or((words, &[]));
    let auth = match (version, header.get_auth_type(), password) {
        (Version::V3, ..) | (Version::V2, 0, _) => Auth::None,
        (Version::V2, 1, &[[a, b, c, d], [e, f, g, h]]) => Auth::Pass([a, b, c, d, e, f, g, h]),
        (Version::V2, other, _) => Auth::Other(other),
    };
    let advert = Advert {
        version,
        vrid,
        priority: header.get_priority(),
        interval,
        addresses: addresses.iter().map(|&octets| IpAddr::from(octets)).collect(),
    };
    Ok(Decoded { advert, auth, checksum })
}

/// Writes an advert. In v2 `form` changes nothing, in v3 `pass` does not.
///
/// A message for every value: an interval is rounded to what the version can say and kept within it (v2: 1 to
/// 255 s; v3: 10 ms to 40.95 s), of the addresses the first 255 IPv4 ones are sent.
pub fn encode(
    advert: &Advert,
    form: ChecksumForm,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    pass: Option<[u8; AUTH]>,
) -> Vec<u8> {
    let addresses: Vec<[u8; 4]> = advert
        .addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) => Some(address.octets()),
            IpAddr::V6(_) => None,
        })
        .take(u8::MAX.into())
        .collect();
    let count = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
    let mut payload = addresses.concat();
    let (kind, vrid, priority) = (ADVERTISEMENT, advert.vrid, advert.priority);
    match advert.version {
        Version::V2 => {
            payload.extend(pass.unwrap_or_default());
            let seconds = rounded(advert.interval, Duration::from_secs(1)).clamp(1, 255) as u8;
            let auth_type = pass.is_some().into();
            let message =
                V2 { version: 2, kind, vrid, priority, count, auth_type, seconds, checksum: 0, payload };
            let mut bytes = vec![0; V2Packet::packet_size(&message)];
            if let Some(mut packet) = MutableV2Packet::new(&mut bytes) {
                packet.populate(&message);
                packet.set_checksum(util::checksum(packet.packet(), NO_WORD));
            }
            bytes
        }
        Version::V3 => {
            let centiseconds = rounded(advert.interval, Duration::from_millis(10)).clamp(1, 0xfff) as u16;
            let message = V3 {
                version: 3,
                kind,
                vrid,
                priority,
                count,
                reserved: 0,
                centiseconds,
                checksum: 0,
                payload,
            };
            let mut bytes = vec![0; V3Packet::packet_size(&message)];
            if let Some(mut packet) = MutableV3Packet::new(&mut bytes) {
                packet.populate(&message);
                packet.set_checksum(v3_checksum(packet.packet(), form, source, destination));
            }
            bytes
        }
    }
}

/// The checksum of a v3 message whose checksum field is zero; zero for one that has it and is sound.
fn v3_checksum(message: &[u8], form: ChecksumForm, source: Ipv4Addr, destination: Ipv4Addr) -> u16 {
    let with_header = |destination| {
        util::ipv4_checksum(message, NO_WORD, &[], &source, &destination, IpNextHeaderProtocols::Vrrp)
    };
    match form {
        ChecksumForm::PseudoHeader => with_header(destination),
        ChecksumForm::OldUnicast => with_header(GROUP),
        ChecksumForm::Message => util::checksum(message, NO_WORD),
    }
}

/// Which checksum a v3 message carries, if it is a known one.
fn v3_form(message: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Option<ChecksumForm> {
    use ChecksumForm::{Message, OldUnicast, PseudoHeader};
    [PseudoHeader, Message, OldUnicast]
        .into_iter()
        .find(|&form| v3_checksum(message, form, source, destination) == 0)
}

/// `interval` in `unit`s, to the nearest: cutting off would turn 199 ms into 190.
fn rounded(interval: Duration, unit: Duration) -> u128 {
    interval.saturating_add(unit / 2).as_nanos() / unit.as_nanos()
}
