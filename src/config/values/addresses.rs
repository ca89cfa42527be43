//! Addresses that hosts and virtual routers can have.

use super::{Wrong, digits, wrong};
use crate::config::Vip;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address of one host.
pub(in crate::config) fn host_address(text: &str) -> Result<IpAddr, Wrong> {
    let Ok(address) = text.parse::<IpAddr>() else { return wrong("is not an address") };
    let impossible = match address {
        IpAddr::V4(address) => impossible_v4(address),
        IpAddr::V6(address) => impossible_v6(address),
    };
    impossible.map_or(Ok(address), wrong)
}

fn impossible_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address.is_loopback() {
        Some("is a loopback address")
    } else if address.is_multicast() {
        Some("is a multicast address")
    } else if address.is_broadcast() {
        Some("is the broadcast address")
    } else if address.octets()[0] == 0 || address.octets()[0] >= 240 {
        Some("is not an address a host can have")
    } else {
        None
    }
}

fn impossible_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        Some("is a loopback address")
    } else if address.is_multicast() {
        Some("is a multicast address")
    } else if address.is_unspecified() {
        Some("is not an address a host can have")
    } else if address.to_ipv4_mapped().is_some() {
        Some("is an IPv4 address in the form of an IPv6 one")
    } else {
        None
    }
}

impl FromStr for Vip {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let (written, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address = host_address(written)?;
        let Some(length) = length else { return Ok(Self { address, prefix: None }) };
        let prefix = digits(length).filter(|prefix| *prefix > 0);
        let Some((prefix, net)) = prefix.and_then(|prefix| Some((prefix, IpNet::new(address, prefix).ok()?)))
        else {
            let (longest, example) = match address {
                IpAddr::V4(_) => (32, "10.10.10.2/24 or 10.10.10.2"),
                IpAddr::V6(_) => (128, "2001:db8::2/64 or 2001:db8::2"),
            };
            return Err(Wrong::from(format!("has no prefix length from 1 to {longest}"))
                .remedy(format!("write for example {example}")));
        };
        // A network of two addresses or one has none of its own.
        if prefix + 1 < net.max_prefix_len() {
            if address == net.network() {
                return wrong("is the address of a whole network");
            }
            if address.is_ipv4() && address == net.broadcast() {
                return wrong(format!("is the broadcast address of {}", net.trunc()));
            }
        }
        Ok(Self { address, prefix: Some(prefix) })
    }
}

/// An address in a list of peers.
pub(in crate::config) fn peer(text: &str) -> Result<IpAddr, Wrong> {
    if matches!(text, "rancher" | "none") { wrong("stands alone or not at all") } else { host_address(text) }
}

/// Somebody whose sign of life is wanted.
pub(in crate::config) fn guard(text: &str) -> Result<IpAddr, Wrong> {
    if matches!(text, "auto" | "off") { wrong("stands alone or not at all") } else { host_address(text) }
}
