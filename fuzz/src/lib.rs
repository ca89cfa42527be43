//! What is fuzzed: everything that comes from outside, and the core. Each target takes bytes and panics if it finds
//! something wrong.
//!
//! cargo-fuzz drives them for as long as anybody likes (`fuzz/run`); `tests/fuzz.rs`, which takes this folder in as a
//! module, replays the kept corpus and some mutations of it.

pub mod advert;
pub mod arp;
pub mod core;
pub mod keepalived;
pub mod metadata;
pub mod ndp;

/// A target.
pub type Target = fn(&[u8]);

/// The Internet checksum (RFC 1071) over parts of even length; only the last one may be odd.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 =
        words.map(|word| u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
