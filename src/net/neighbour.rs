//! The neighbour entries of the peers: kept fresh, so that the first advert of a new Active waits for no ARP.

use anyhow::{Context, Result};
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourState};
use nix::net::if_::if_nametoindex;
use std::net::IpAddr;

/// Has the kernel find out, or confirm, the hardware address of `peer` behind `interface` (`NTF_USE`), as it does
/// before it sends a packet there.
///
/// # Errors
/// The interface is gone, the capability NET_ADMIN is missing, or netlink is.
pub async fn refresh(handle: &rtnetlink::Handle, interface: &str, peer: IpAddr) -> Result<()> {
    let index = if_nametoindex(interface).with_context(|| format!("there is no interface {interface}"))?;
    let request = handle.neighbours().add(index, peer).state(NeighbourState::None).flags(NeighbourFlags::Use);
    // Replace: one that exists is left as it is, and used.
    Ok(request.replace().execute().await?)
}
