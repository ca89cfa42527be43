//! How the two versions lay out their messages. The accessors are safe once `new` has seen the eight bytes of
//! the header.
// The macro writes more accessors than we call.
#![allow(dead_code)]

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
