//! The default gateway behind an interface.

use super::Family;
use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use netlink_packet_route::route::{RouteAddress, RouteAttribute};
use nix::net::if_::if_nametoindex;
use rtnetlink::RouteMessageBuilder;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses nobody has (RFC 5737, RFC 9637): the kernel's route to them is the default route.
const ELSEWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ELSEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 1);

/// Asks the kernel for the default gateway behind `interface`; none where there is no such route. One question,
/// however long the routing table is. An IPv6 gateway is mostly a link-local address.
///
/// # Errors
/// The interface is gone, or netlink is.
pub async fn find(handle: &rtnetlink::Handle, interface: &str, family: Family) -> Result<Option<IpAddr>> {
    let index = if_nametoindex(interface).with_context(|| format!("there is no interface {interface}"))?;
    let question = match family {
        Family::V4 => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(ELSEWHERE_V4, 32)
            .output_interface(index)
            .build(),
        Family::V6 => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(ELSEWHERE_V6, 128)
            .output_interface(index)
            .build(),
    };
    let mut answers = std::pin::pin!(handle.route().get(question).execute());
    // "Network is unreachable" means that there is no such route.
    let Ok(Some(route)) = answers.try_next().await else { return Ok(None) };
    Ok(route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => Some(IpAddr::V4(*gateway)),
        RouteAttribute::Gateway(RouteAddress::Inet6(gateway)) => Some(IpAddr::V6(*gateway)),
        _ => None,
    }))
}
