//! Where this host stands: the interface the address goes to, and the address the adverts come from.

use crate::config::{Config, Peers};
use crate::metadata::Me;
use crate::net::interface::{self, Interface, NotChosen};
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
    pub vips: Vec<(IpAddr, u8)>,
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
pub fn find(config: &Config, me: Option<&Me>) -> Result<Place, NoPlace> {
    let interfaces = interface::list().map_err(|e| NoPlace::Wait(format!("cannot list interfaces: {e}")))?;
    let vips: Vec<IpAddr> = config.vips.iter().map(|vip| vip.address.into()).collect();
    // An address of the virtual router that is here for the moment is nobody's source.
    let local: Vec<IpAddr> =
        interfaces.iter().flat_map(Interface::usable).filter(|address| !vips.contains(address)).collect();
    let source = source(config, me, &local)?;
    let setting = me.and_then(|me| me.interface_label.as_deref()).or(config.interface.as_deref());
    let chosen =
        interface::choose(&vips, setting, Some(source.into()), &interfaces).map_err(|why| match why {
            NotChosen::Missing(text) | NotChosen::Nowhere(text) => NoPlace::Wait(text),
            NotChosen::Ambiguous(text) => NoPlace::Wrong(text),
        })?;
    let written: Vec<_> = config.vips.iter().map(|vip| (vip.address.into(), vip.prefix)).collect();
    let there = interfaces.iter().find(|interface| interface.name == chosen.interface);
    Ok(Place {
        vips: interface::prefixes(&written, there),
        interface: chosen.interface,
        because: chosen.because,
        source,
    })
}

fn source(config: &Config, me: Option<&Me>, local: &[IpAddr]) -> Result<Ipv4Addr, NoPlace> {
    let named = me.and_then(|me| me.source_label).or(config.source).or(me.map(|me| me.address));
    let source = match (named, &config.peers) {
        (Some(IpAddr::V4(source)), _) => source,
        (Some(IpAddr::V6(source)), _) => {
            return Err(NoPlace::Wrong(format!(
                "the source address {source} is IPv6, the virtual router IPv4; set OUTRIDER_SOURCE"
            )));
        }
        (None, Peers::List(peers)) => {
            let peers: Vec<IpAddr> = peers.iter().copied().filter(IpAddr::is_ipv4).collect();
            match interface::source_for(&peers, local, None) {
                Ok(IpAddr::V4(source)) => source,
                Ok(IpAddr::V6(source)) => return Err(NoPlace::Wrong(format!("unexpected source {source}"))),
                Err(error) => return Err(NoPlace::Wait(format!("no route to the first peer: {error}"))),
            }
        }
        (None, Peers::Rancher) => return Err(NoPlace::Wait("the metadata did not answer yet".to_owned())),
    };
    if local.contains(&source.into()) {
        Ok(source)
    } else {
        Err(NoPlace::Wait(format!("the source address {source} is not on this host")))
    }
}
