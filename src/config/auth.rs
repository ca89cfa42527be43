//! How adverts are authenticated. No secret is ever shown.

use super::values::Wrong;
pub use crate::core::auth::Mode as AuthMode;
use std::fmt::{self, Debug, Formatter};
use std::str::FromStr;

/// Authentication of adverts. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Auth {
    /// None.
    None,
    /// The password of version 2 (RFC 2338, simple text), padded with zeros.
    Pass([u8; 8]),
    /// The HMAC-SHA256 trailer of keepalived 2.4.2 (draft-cassen-vrrp-auth-hmac).
    Keys {
        /// At least one, no id twice. The first one signs, all verify.
        keys: Vec<AuthKey>,
        /// What is signed and what is accepted.
        mode: AuthMode,
    },
}

impl Debug for Auth {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Pass(_) => f.write_str("Pass(***)"),
            Self::Keys { keys, mode } => {
                f.debug_struct("Keys").field("keys", keys).field("mode", mode).finish()
            }
        }
    }
}

/// One key. Its `Debug` shows its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey {
    /// Its name on the wire, 1-255.
    pub id: u8,
    /// 32 to 64 bytes.
    pub secret: Vec<u8>,
}

impl Debug for AuthKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.id)
    }
}

impl FromStr for AuthMode {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "permissive" => Ok(Self::Permissive),
            "receive-only" => Ok(Self::ReceiveOnly),
            _ => Err(Wrong::from("is none of enforce, permissive and receive-only")),
        }
    }
}

/// Bytes of a password on the wire.
const PASS: usize = 8;

/// A password: the bytes that count, and whether it has more of them.
pub(super) fn pass(text: &str) -> Result<([u8; PASS], bool), Wrong> {
    if text.contains(char::is_control) {
        return Err(Wrong::from("has a control character").remedy("leave it out"));
    }
    let mut pass = [0; PASS];
    for (to, from) in pass.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    Ok((pass, text.len() > PASS))
}

/// Keys, `ID:hex`, between commas or on lines of their own, with comments from `#` to the end of a line. All that
/// is wrong is told, by the position of a key or by its id.
pub(super) fn keys(text: &str) -> Result<Vec<AuthKey>, Vec<Wrong>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let lines = lines.filter(|line| !line.is_empty());
    let items = lines.flat_map(|line| line.strip_suffix(',').unwrap_or(line).split(',').map(str::trim));
    let mut keys: Vec<AuthKey> = Vec::new();
    let mut wrong = Vec::new();
    for (index, item) in items.enumerate() {
        match key(item, index + 1) {
            Ok(key) if keys.iter().any(|other| other.id == key.id) => {
                wrong.push(
                    Wrong::from(format!("has two keys with the id {}", key.id)).remedy("give each its own"),
                );
            }
            Ok(key) => keys.push(key),
            Err(what) => wrong.push(Wrong::from(what)),
        }
    }
    if keys.is_empty() && wrong.is_empty() {
        wrong.push(Wrong::from("has no key"));
    }
    if wrong.is_empty() { Ok(keys) } else { Err(wrong) }
}

/// What is not an id is not told: a key without one may have a colon, too.
fn key(text: &str, position: usize) -> Result<AuthKey, String> {
    let number =
        |text: &str| if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u8>().ok() } else { None };
    let (id, hex) = text.split_once(':').ok_or_else(|| format!("has no ID:hex as item {position}"))?;
    let id = number(id.trim())
        .filter(|id| *id > 0)
        .ok_or_else(|| format!("has no id from 1 to 255 before the colon of item {position}"))?;
    let digits: Option<Vec<u8>> =
        hex.trim().chars().map(|digit| digit.to_digit(16).and_then(|digit| digit.try_into().ok())).collect();
    let digits = digits.ok_or_else(|| format!("has something else than hexadecimal digits in key {id}"))?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return Err(format!("has an odd number of hexadecimal digits in key {id}"));
    };
    let secret: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    match secret.len() {
        32..=64 => Ok(AuthKey { id, secret }),
        bytes => Err(format!("has {bytes} bytes in key {id}, not 32 to 64")),
    }
}
