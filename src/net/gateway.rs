//! The default gateway behind an interface.

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use netlink_packet_route::route::{RouteAddress, RouteAttribute};
use nix::net::if_::if_nametoindex;
use rtnetlink::RouteMessageBuilder;
use std::net::Ipv4Addr;

/// An address nobody has (RFC 5737): the kernel's route to it is the default route.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Asks the kernel for the default gateway behind `interface`; none where there is no such route. One question,
/// however long the routing table is.
///
/// # Errors
/// The interface is gone, or netlink is.
pub async fn find(handle: &rtnetlink::Handle, interface: &str) -> Result<Option<Ipv4Addr>> {
    let index = if_nametoindex(interface).with_context(|| format!("there is no interface {interface}"))?;
    let question = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(ELSEWHERE, 32)
        .output_interface(index)
        .build();
    let mut answers = std::pin::pin!(handle.route().get(question).execute());
    // "Network is unreachable" means that there is no such route.
    let Ok(Some(route)) = answers.try_next().await else { return Ok(None) };
    Ok(route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(gateway)) => Some(*gateway),
        _ => None,
    }))
}
