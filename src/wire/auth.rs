//! The HMAC-SHA256 trailer that keepalived 2.4.2 and later appends to an advert (`auth_hmac`,
//! draft-cassen-vrrp-auth-hmac).
//!
//! ```text
//! | type 1 | key id | 0, 0 | seconds: 4 | fraction: 2 | counter: 2 | HMAC-SHA256, cut: 16 |
//! ```
//!
//! Whether a valid trailer is fresh, and newer than its sender's last one, is for the caller to judge: that takes
//! a clock and a memory.

use super::advert;
pub use crate::core::auth::{Stamp, Verdict};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::IpAddr;

/// The length of a trailer.
pub const TRAILER: usize = 28;
/// The type of trailer there is.
pub(super) const HMAC_SHA256: u8 = 1;
/// What of the trailer is authenticated: all but the code itself.
const SIGNED: usize = 12;
const CODE: usize = 16;

/// A shared secret and the number that receivers know it by. It is overwritten when it is dropped.
#[derive(Clone)]
pub struct Key {
    id: u8,
    /// Has taken in the secret.
    mac: Hmac<Sha256>,
}

impl Key {
    /// A key with an `id` from 1 to 255 and a secret of 32 to 64 bytes.
    ///
    /// # Errors
    /// Which of the two is out of range.
    pub fn new(id: u8, secret: &[u8]) -> Result<Key, InvalidKey> {
        if id == 0 {
            return Err(InvalidKey::Id);
        }
        let length = InvalidKey::Length(secret.len());
        if !(32..=64).contains(&secret.len()) {
            return Err(length);
        }
        Ok(Key { id, mac: Hmac::new_from_slice(secret).map_err(|_| length)? })
    }

    /// What the trailer names it by.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// The HMAC of a message (its checksum is read as zero) and the signed part of its trailer.
    fn mac(&self, message: &[u8], signed: &[u8], source: IpAddr) -> Hmac<Sha256> {
        let mut address = [0; 16];
        let family = match source {
            IpAddr::V4(source) => {
                address[..4].copy_from_slice(&source.octets());
                4
            }
            IpAddr::V6(source) => {
                address = source.octets();
                6
            }
        };
        let (&version, &vrid) = (message.first().unwrap_or(&0), message.get(1).unwrap_or(&0));
        let (before, rest) = message.split_at_checked(6).unwrap_or((message, &[]));
        let after = rest.get(2..).unwrap_or_default();
        self.mac
            .clone()
            .chain_update([family, version >> 4, vrid, 0])
            .chain_update(address)
            .chain_update(before)
            .chain_update([0; 2])
            .chain_update(after)
            .chain_update(signed)
            .chain_update([0; CODE])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Key({}, ..)", self.id)
    }
}

/// Why there is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidKey {
    /// Its id is zero.
    Id,
    /// Its secret has this many bytes.
    Length(usize),
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            InvalidKey::Id => f.write_str("key id 0; valid are 1 to 255"),
            InvalidKey::Length(length) => write!(f, "a key of {length} bytes; it takes 32 to 64"),
        }
    }
}

impl std::error::Error for InvalidKey {}

/// An authentication trailer, read but not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The id of the key it claims.
    pub key: u8,
    /// When it was made.
    pub stamp: Stamp,
    /// The truncated HMAC.
    pub mac: [u8; CODE],
}

impl Trailer {
    /// Reads one; the error is its type, if that is not the one we know. What is reserved is ignored.
    pub(super) fn read(bytes: &[u8; TRAILER]) -> Result<Trailer, u8> {
        let &[kind, key, _, _, a, b, c, d, e, f, g, h, ref mac @ ..] = bytes;
        if kind != HMAC_SHA256 {
            return Err(kind);
        }
        let stamp = Stamp::from(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        Ok(Trailer { key, stamp, mac: *mac })
    }
}

/// Appends a trailer to a message from [`advert::encode`], which must have been encoded for the same addresses.
pub fn sign(message: &mut Vec<u8>, source: IpAddr, destination: IpAddr, key: &Key, stamp: Stamp) {
    let [a, b, c, d, e, f, g, h] = u64::from(stamp).to_be_bytes();
    let signed: [u8; SIGNED] = [HMAC_SHA256, key.id, 0, 0, a, b, c, d, e, f, g, h];
    let mac = key.mac(message, &signed, source).finalize().into_bytes();
    message.extend(signed);
    message.extend(mac.iter().take(CODE));
    advert::cover_trailer(message, source, destination);
}

/// Verifies the trailer of a payload in which [`advert::decode`] has found one. Of keys with the same id the first
/// counts.
pub fn verify(payload: &[u8], source: IpAddr, keys: &[Key]) -> Verdict {
    let Some((message, trailer)) = payload.split_last_chunk::<TRAILER>() else { return Verdict::Wrong };
    let (signed, mac) = trailer.split_at(SIGNED);
    let id = trailer[1];
    match keys.iter().find(|key| key.id == id) {
        None => Verdict::UnknownKey,
        // In constant time.
        Some(key) => match key.mac(message, signed, source).verify_truncated_left(mac) {
            Ok(()) => Verdict::Valid,
            Err(_) => Verdict::Wrong,
        },
    }
}
