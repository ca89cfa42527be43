//! The settings of one virtual router.

use super::{Auth, CheckSetting, CheckSettings};
pub use crate::core::Family;
pub use crate::core::advert::Checksum;
use crate::core::advert::Version;
pub use crate::core::announce::Announcements;
pub use crate::core::guard::Guards;
use std::net::IpAddr;
use std::time::Duration;

/// One virtual router: addresses that move together, and how they do.
#[derive(Clone, Debug)]
pub struct Router {
    /// What it is called in messages: its `name` in the file, else its first address.
    pub name: String,
    /// Its addresses; at least one, no two alike, none of another router's.
    pub vips: Vec<Vip>,
    /// Interface the addresses go to; none: derived.
    pub interface: Option<String>,
    /// Address the adverts come from, of the router's family; none: derived.
    pub source: Option<IpAddr>,
    /// Where the peers come from.
    pub peers: Peers,
    /// Virtual router id, derived from the lowest address unless set; 1-255.
    pub vrid: u8,
    /// Priority, if set by hand.
    pub priority: Option<u8>,
    /// Whether a higher priority takes the address from a lower one.
    pub preempt: bool,
    /// How long a lower priority is borne before it is preempted.
    pub preempt_delay: Duration,
    /// Version of VRRP; 3 for an IPv6 router.
    pub version: Version,
    /// Advertisement interval.
    pub interval: Duration,
    /// How adverts reach the peers.
    pub transport: Transport,
    /// Form of the v3 checksum that is sent over IPv4.
    pub checksum: Checksum,
    /// Lowest TTL or hop limit an advert may arrive with.
    pub min_ttl: u8,
    /// How adverts are authenticated.
    pub auth: Auth,
    /// What is checked.
    pub check: CheckSetting,
    /// How it is checked.
    pub checks: CheckSettings,
    /// Whether the link's state counts.
    pub track_link: bool,
    /// Lifetime of the address in the kernel.
    pub lease: Lease,
    /// Whose sign of life is wanted before a claim.
    pub guards: Guards,
    /// Whether an address that is there already and is not ours is taken over.
    pub adopt: bool,
    /// How long a leaver waits for its successor.
    pub handover_limit: Duration,
    /// Gratuitous ARP, or unsolicited neighbour advertisements.
    pub announcements: Announcements,
}

impl Router {
    /// The family its adverts are sent in.
    pub fn family(&self) -> Family {
        family(&self.vips)
    }

    /// The addresses its adverts carry, in the order they were written: those of its family. The others follow
    /// unadvertised (what keepalived calls virtual_ipaddress_excluded).
    pub fn advertised(&self) -> Vec<IpAddr> {
        let addresses = self.vips.iter().map(|vip| vip.address);
        addresses.filter(|address| Family::of(*address) == self.family()).collect()
    }
}

/// IPv6 only where every address is.
pub(super) fn family(vips: &[Vip]) -> Family {
    match vips.iter().all(|vip| vip.address.is_ipv6()) {
        true => Family::V6,
        false => Family::V4,
    }
}

/// An address to keep alive, and the prefix length it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address itself.
    pub address: IpAddr,
    /// Prefix length, if one was written (`10.10.10.2/24`, `2001:db8::2/64`).
    pub prefix: Option<u8>,
}

/// Where the peers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Rancher's metadata service.
    Rancher,
    /// A list of addresses of the router's family; our own may be among them.
    List(Vec<IpAddr>),
    /// Nobody is named: whoever is in the multicast group. Only with [`Transport::Multicast`].
    None,
}

/// How adverts reach the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One datagram to each peer.
    Unicast,
    /// One to 224.0.0.18 or ff02::12.
    Multicast,
}

/// How long the kernel keeps the address without hearing from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The next whole second above Master_Down, at least one.
    Auto,
    /// No limit.
    Forever,
}
