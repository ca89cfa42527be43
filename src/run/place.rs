//! Where this host stands: the interface the addresses go to, and the address the adverts come from.

use crate::config::{Peers, Router, Transport};
use crate::metadata::Me;
use crate::net::Family;
use crate::net::interface::{self, Interface, NotChosen};
use std::net::IpAddr;

/// What was derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Interface the addresses go to.
    pub interface: String,
    /// Why that one.
    pub because: String,
    /// Address the adverts come from.
    pub source: IpAddr,
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

impl From<NotChosen> for NoPlace {
    fn from(why: NotChosen) -> NoPlace {
        match why {
            NotChosen::Missing(text) | NotChosen::Nowhere(text) => NoPlace::Wait(text),
            NotChosen::Ambiguous(text) => NoPlace::Wrong(text),
        }
    }
}

/// Derives the place from the settings, from what Rancher says of this host (labels win), and from the kernel.
///
/// # Errors
/// See [`NoPlace`].
pub fn find(router: &Router, me: Option<&Me>) -> Result<Place, NoPlace> {
    let interfaces = interface::list().map_err(|e| NoPlace::Wait(format!("cannot list interfaces: {e}")))?;
    let vips: Vec<IpAddr> = router.vips.iter().map(|vip| vip.address).collect();
    let named = me.and_then(|me| me.interface_label.as_deref()).or(router.interface.as_deref());
    let source = source(router, me, &vips, named, &interfaces)?;
    let chosen = interface::choose(&vips, named, Some(source), &interfaces)?;
    let written: Vec<_> = router.vips.iter().map(|vip| (vip.address, vip.prefix)).collect();
    let there = interfaces.iter().find(|interface| interface.name == chosen.interface);
    Ok(Place {
        vips: interface::prefixes(&written, there),
        interface: chosen.interface,
        because: chosen.because,
        source,
    })
}

fn source(
    router: &Router,
    me: Option<&Me>,
    vips: &[IpAddr],
    interface: Option<&str>,
    interfaces: &[Interface],
) -> Result<IpAddr, NoPlace> {
    let family = router.family();
    // An address of the virtual router that is here for the moment is nobody's source.
    let local: Vec<IpAddr> =
        interfaces.iter().flat_map(Interface::usable).filter(|address| !vips.contains(address)).collect();
    // Labels and agent_ip belong to the host: they are for its routers of the same family.
    let ours = |address: Option<IpAddr>| address.filter(|address| Family::of(*address) == family);
    let label = ours(me.and_then(|me| me.source_label));
    let agent_ip = ours(me.and_then(|me| me.agent_ip));
    let source = match (label.or(router.source).or(agent_ip), &router.peers, router.transport) {
        (Some(source), ..) => source,
        (None, Peers::Rancher, _) if me.is_none() => {
            return Err(NoPlace::Wait("the metadata did not answer yet".to_owned()));
        }
        (None, Peers::List(peers), _) => interface::source_for(peers, &local, interface)
            .map_err(|error| NoPlace::Wait(format!("no route to the first peer: {error}")))?,
        (None, Peers::Rancher | Peers::None, Transport::Multicast) => {
            let chosen = interface::choose(vips, interface, None, interfaces)?.interface;
            let there = interfaces.iter().find(|interface| interface.name == chosen);
            there.and_then(|interface| interface.own_address(family, vips)).ok_or_else(|| {
                NoPlace::Wait(format!("{chosen} has no {family} address that adverts could come from"))
            })?
        }
        (None, Peers::Rancher | Peers::None, Transport::Unicast) => {
            return Err(NoPlace::Wrong(format!(
                "Rancher knows no {family} address of this host: set its host label outrider.source, name the \
                 peers in OUTRIDER_PEERS, or set OUTRIDER_TRANSPORT=multicast"
            )));
        }
    };
    if local.contains(&source) {
        Ok(source)
    } else {
        Err(NoPlace::Wait(format!("the source address {source} is not on this host")))
    }
}
