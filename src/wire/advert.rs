//! VRRP advertisements: version 2 (RFC 3768) over IPv4, version 3 (RFC 9568) over IPv4 and IPv6.

pub(super) mod checksum;
mod fault;
mod layout;

pub use crate::core::advert::Checksum as ChecksumForm;
pub use fault::{Fault, Malformed};

use super::auth::Trailer;
use crate::core::advert::{Advert, Version};
use layout::{MutableV2Packet, MutableV3Packet, V2, V2Packet, V3, V3Packet};
use pnet_packet::Packet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The multicast group of VRRP over IPv4.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The multicast group of VRRP over IPv6.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// The only type of VRRP message there is.
const ADVERTISEMENT: u8 = 1;
const HEADER: usize = 8;
const AUTH: usize = 8;
const CARP_LENGTH: usize = 36;
/// CARP's authentication length, in words; it is where VRRP counts addresses.
const CARP_COUNT: u8 = 7;

/// How a v2 advert is authenticated by its own fields; v3 has nothing but [`Auth::None`].
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
    /// How its own fields authenticate it.
    pub auth: Auth,
    /// The authentication trailer that follows it, **not verified**: that is for [`super::auth::verify`].
    pub trailer: Option<Trailer>,
    /// Which checksum it carries: its sender is sure to accept the same.
    pub checksum: ChecksumForm,
}

/// Reads the advert in the payload of a datagram of protocol 112, cut to the datagram's own length (the padding of
/// a short Ethernet frame would spoil it). Both addresses are of one family, which is the one of the virtual
/// router.
///
/// Whether the version, the password, the interval and the addresses are ours is for the caller to judge.
///
/// # Errors
/// [`Malformed`], with the virtual router's id where that much could be read.
pub fn decode(payload: &[u8], source: IpAddr, destination: IpAddr) -> Result<Decoded, Malformed> {
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
    let addresses_length = usize::from(header.get_count()) * address_length(source);
    let expected = HEADER + addresses_length + auth_length;
    // Seven addresses would take more bytes.
    if version == Version::V2 && payload.len() == CARP_LENGTH && header.get_count() == CARP_COUNT {
        return Err(unreadable(Fault::Carp));
    }
    let vrid = header.get_vrid();
    let malformed = |fault| Malformed { vrid: (vrid != 0).then_some(vrid), fault };
    if version == Version::V2 && source.is_ipv6() {
        return Err(malformed(Fault::V2OverIpv6));
    }
    let (message, trailer) = match payload.split_last_chunk() {
        _ if payload.len() == expected => (payload, None),
        Some((message, trailer)) if message.len() == expected => (message, Some(trailer)),
        _ => return Err(malformed(Fault::Length { expected, got: payload.len() })),
    };
    // To IPv6 the trailer is part of the message.
    let summed = if source.is_ipv6() { payload } else { message };
    let checksum = checksum::find(summed, version, source, destination).ok_or(malformed(Fault::Checksum))?;
    let trailer = trailer.map(Trailer::read).transpose().map_err(|kind| malformed(Fault::Trailer(kind)))?;
    if vrid == 0 {
        return Err(malformed(Fault::Vrid));
    }
    if header.get_count() == 0 {
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
    let (addresses, rest) =
        header.payload().split_at_checked(addresses_length).unwrap_or((header.payload(), &[]));
    let auth = match (version, header.get_auth_type(), rest.first_chunk()) {
        (Version::V3, ..) | (Version::V2, 0, _) => Auth::None,
        (Version::V2, 1, Some(password)) => Auth::Pass(*password),
        (Version::V2, other, _) => Auth::Other(other),
    };
    let advert = Advert {
        version,
        vrid,
        priority: header.get_priority(),
        interval,
        addresses: read_addresses(addresses, source),
    };
    Ok(Decoded { advert, auth, trailer, checksum })
}

/// Writes an advert. Both addresses are of one family, which is the one of the virtual router. `form` matters to
/// v3 over IPv4 alone, `pass` to v2.
///
/// A message for every value: an interval is rounded to what the version can say and kept within it (v2: 1 to
/// 255 s; v3: 10 ms to 40.95 s), of the addresses the first 255 of that family are sent. Nobody takes v2 over
/// IPv6, which does not exist.
pub fn encode(
    advert: &Advert,
    form: ChecksumForm,
    source: IpAddr,
    destination: IpAddr,
    pass: Option<[u8; AUTH]>,
) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut count = 0;
    let ours = advert.addresses.iter().filter(|address| address.is_ipv6() == source.is_ipv6());
    for address in ours.take(u8::MAX.into()) {
        match address {
            IpAddr::V4(address) => payload.extend(address.octets()),
            IpAddr::V6(address) => payload.extend(address.octets()),
        }
        count += 1;
    }
    let (kind, vrid, priority) = (ADVERTISEMENT, advert.vrid, advert.priority);
    let sum = |message: &[u8]| checksum::sum(message, advert.version, form, source, destination);
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
                packet.set_checksum(sum(packet.packet()));
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
                packet.set_checksum(sum(packet.packet()));
            }
            bytes
        }
    }
}

/// Puts the checksum right after a trailer was appended: to IPv6 that is part of the message.
pub(super) fn cover_trailer(payload: &mut [u8], source: IpAddr, destination: IpAddr) {
    if source.is_ipv6()
        && let Some(mut packet) = MutableV3Packet::new(payload)
    {
        packet.set_checksum(0);
        let form = ChecksumForm::PseudoHeader;
        packet.set_checksum(checksum::sum(packet.packet(), Version::V3, form, source, destination));
    }
}

/// The length of an address of the same family.
fn address_length(family: IpAddr) -> usize {
    if family.is_ipv4() { 4 } else { 16 }
}

/// Addresses of the same family, one after another.
fn read_addresses(bytes: &[u8], family: IpAddr) -> Vec<IpAddr> {
    match family {
        IpAddr::V4(_) => bytes.as_chunks::<4>().0.iter().map(|&octets| IpAddr::from(octets)).collect(),
        IpAddr::V6(_) => bytes.as_chunks::<16>().0.iter().map(|&octets| IpAddr::from(octets)).collect(),
    }
}

/// `interval` in `unit`s, to the nearest: cutting off would turn 199 ms into 190.
fn rounded(interval: Duration, unit: Duration) -> u128 {
    interval.saturating_add(unit / 2).as_nanos() / unit.as_nanos()
}
