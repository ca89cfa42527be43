//! Where this host stands: the interface the address goes to, and the address the adverts come from.

use super::ipv4;
use crate::config::{Peers, Router};
use crate::metadata::Me;
use crate::net::interface::{self, NotChosen};
use std::net::{IpAddr, Ipv4Addr};

/// What was derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Interface the addresses go to.
    pub interface: String,
    /// Why that one.
    pub because: String,
    /// Address the adverts come from.
    pub source: Ipv4Addr,
    /// The addresses and the prefix lengths they are installed with.
    pub vips: Vec<(Ipv4Addr, u8)>,
}

/// Why nothing was derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// It may yet come: an interface, an address, a route.
    Wait(String),
    /// A person must say more.
    Wrong(String),
}

impl NoPlace {
    /// In words for people.
    pub fn text(&self) -> &str {
        let (NoPlace::Wait(text) | NoPlace::Wrong(text)) = self;
        text
    }
}

/// Derives the place from the settings, from what Rancher says of this host (labels win), and from the kernel.
///
/// # Errors
/// See [`NoPlace`].
pub fn find(router: &Router, me: Option<&Me>) -> Result<Place, NoPlace> {
    let interfaces = interface::list().map_err(|e| NoPlace::Wait(format!("cannot list interfaces: {e}")))?;
    let vips: Vec<Ipv4Addr> = ipv4(router).map(|(address, _)| address).collect();
    // An address of the virtual router that is here for the moment is nobody's source.
    let local: Vec<Ipv4Addr> = interfaces
        .iter()
        .flat_map(|interface| interface.addresses.iter().map(|net| net.addr()))
        .filter(|address| !vips.contains(address))
        .collect();
    let source = source(router, me, &local)?;
    let setting = me.and_then(|me| me.interface_label.as_deref()).or(router.interface.as_deref());
    let chosen = interface::choose(&vips, setting, Some(source), &interfaces).map_err(|why| match why {
        NotChosen::Missing(text) | NotChosen::Nowhere(text) => NoPlace::Wait(text),
        NotChosen::Ambiguous(text) => NoPlace::Wrong(text),
    })?;
    let written: Vec<_> = ipv4(router).collect();
    let there = interfaces.iter().find(|interface| interface.name == chosen.interface);
    Ok(Place {
        vips: interface::prefixes(&written, there),
        interface: chosen.interface,
        because: chosen.because,
        source,
    })
}

fn source(router: &Router, me: Option<&Me>, local: &[Ipv4Addr]) -> Result<Ipv4Addr, NoPlace> {
    let named = me.and_then(|me| me.source_label).or(router.source).or(me.map(|me| me.address));
    let source = match (named, &router.peers) {
        (Some(IpAddr::V4(source)), _) => source,
        (Some(IpAddr::V6(source)), _) => {
            return Err(NoPlace::Wrong(format!(
                "the source address {source} is IPv6, the virtual router IPv4; set OUTRIDER_SOURCE"
            )));
        }
        (None, Peers::List(peers)) => {
            let peers: Vec<Ipv4Addr> = peers
                .iter()
                .filter_map(|peer| match peer {
                    IpAddr::V4(peer) => Some(*peer),
                    IpAddr::V6(_) => None,
                })
                .collect();
            interface::source_for(&peers, local)
                .map_err(|error| NoPlace::Wait(format!("no route to the first peer: {error}")))?
        }
        (None, Peers::None) => return Err(NoPlace::Wrong("without peers, set OUTRIDER_SOURCE".to_owned())),
        (None, Peers::Rancher) => return Err(NoPlace::Wait("the metadata did not answer yet".to_owned())),
    };
    if local.contains(&source) {
        Ok(source)
    } else {
        Err(NoPlace::Wait(format!("the source address {source} is not on this host")))
    }
}
