//! Which interface the address goes to, with which prefix, and where the adverts come from.

use ipnet::Ipv4Net;
use nix::net::if_::InterfaceFlags;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};

/// A network interface of this host and its IPv4 addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Its addresses, each with the prefix length it was given.
    pub addresses: Vec<Ipv4Net>,
}

/// The interfaces of this network namespace, sorted by name.
///
/// # Errors
/// When the kernel does not list them.
pub fn list() -> io::Result<Vec<Interface>> {
    let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in nix::ifaddrs::getifaddrs()? {
        // With an alias label ("eth0:1") glibc gives the label in place of the name.
        let name = entry.interface_name.split(':').next().unwrap_or_default().to_owned();
        let interface = interfaces.entry(name.clone()).or_insert_with(|| Interface {
            name,
            loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            addresses: Vec::new(),
        });
        let address = entry.address.and_then(|a| a.as_sockaddr_in().map(|a| a.ip()));
        let netmask = entry.netmask.and_then(|m| m.as_sockaddr_in().map(|m| m.ip()));
        if let (Some(address), Some(netmask)) = (address, netmask)
            && let Ok(network) = Ipv4Net::with_netmask(address, netmask)
        {
            interface.addresses.push(network);
        }
    }
    Ok(interfaces.into_values().collect())
}

/// Every IPv4 address of this host.
///
/// # Errors
/// When the kernel does not list them.
pub fn local_addresses() -> io::Result<Vec<Ipv4Addr>> {
    Ok(list()?.iter().flat_map(|interface| &interface.addresses).map(Ipv4Net::addr).collect())
}

/// The interface that was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Name of the interface.
    pub interface: String,
    /// Why this one, in words for people.
    pub because: String,
}

/// Why no interface was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotChosen {
    /// The named interface does not exist. It may yet come.
    Missing(String),
    /// No interface has a subnet with the address in it, nor the source address. One may yet come.
    Nowhere(String),
    /// Several would do: a person must say which.
    Ambiguous(String),
}

impl fmt::Display for NotChosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (NotChosen::Missing(text) | NotChosen::Nowhere(text) | NotChosen::Ambiguous(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for NotChosen {}

/// Chooses where the addresses of the virtual router go: the named interface; else the one whose subnet
/// contains them; else the one of the source address.
///
/// # Errors
/// See [`NotChosen`].
pub fn choose(
    vips: &[Ipv4Addr],
    setting: Option<&str>,
    source: Option<Ipv4Addr>,
    interfaces: &[Interface],
) -> Result<Chosen, NotChosen> {
    let names = |of: &[&Interface]| of.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(name) = setting {
        if interfaces.iter().any(|interface| interface.name == name) {
            return Ok(Chosen { interface: name.to_owned(), because: "it is named".to_owned() });
        }
        let there = names(&interfaces.iter().collect::<Vec<_>>());
        return Err(NotChosen::Missing(format!("there is no interface {name} here (there are: {there})")));
    }
    let wanted = vips.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", ");
    // What an earlier run, or another tool, left of the address itself says nothing about where it belongs.
    let holds = |interface: &Interface, vip: &Ipv4Addr| {
        interface.addresses.iter().any(|net| net.contains(vip) && !vips.contains(&net.addr()))
    };
    let containing: Vec<_> =
        interfaces.iter().filter(|i| !i.loopback && vips.iter().any(|vip| holds(i, vip))).collect();
    match containing.as_slice() {
        [] => {}
        [one] => {
            let because = format!("its subnet contains {wanted}");
            return Ok(Chosen { interface: one.name.clone(), because });
        }
        several => {
            return Err(NotChosen::Ambiguous(format!(
                "several interfaces have a subnet that contains {wanted}: {}; name one in OUTRIDER_INTERFACE \
                 or in the host label outrider.interface",
                names(several)
            )));
        }
    }
    let Some(source) = source else {
        return Err(NotChosen::Nowhere(format!(
            "no interface has a subnet that contains {wanted}; name one in OUTRIDER_INTERFACE"
        )));
    };
    let sourcing: Vec<_> =
        interfaces.iter().filter(|i| i.addresses.iter().any(|net| net.addr() == source)).collect();
    match sourcing.as_slice() {
        [] => Err(NotChosen::Nowhere(format!(
            "no interface has a subnet that contains {wanted}, and none has the source address {source}; name \
             one in OUTRIDER_INTERFACE"
        ))),
        [one] => {
            Ok(Chosen { interface: one.name.clone(), because: format!("it has the source address {source}") })
        }
        several => Err(NotChosen::Ambiguous(format!(
            "several interfaces have the source address {source}: {}; name one in OUTRIDER_INTERFACE",
            names(several)
        ))),
    }
}

/// The prefix length each address is installed with, given the one it was written with.
///
/// `/32` whenever the interface has another address of that subnet: with the subnet's own prefix one of the two
/// would be the other's secondary, and the kernel deletes secondaries along with their primary. Else the
/// written one, so that a host without an address of its own there gets the subnet's route; else `/32`.
pub fn prefixes(vips: &[(Ipv4Addr, Option<u8>)], interface: Option<&Interface>) -> Vec<(Ipv4Addr, u8)> {
    let ours = |address| vips.iter().any(|(vip, _)| *vip == address);
    let mut others: Vec<Ipv4Net> = interface
        .map(|interface| interface.addresses.iter().filter(|net| !ours(net.addr())).copied().collect())
        .unwrap_or_default();
    vips.iter()
        .map(|&(vip, written)| {
            let written = written.and_then(|prefix| Ipv4Net::new(vip, prefix).ok());
            let net = match written {
                Some(net) if !others.iter().any(|other| share_a_subnet(*other, net)) => net,
                _ => Ipv4Net::from(vip),
            };
            others.push(net);
            (vip, net.prefix_len())
        })
        .collect()
}

fn share_a_subnet(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b.addr()) || b.contains(&a.addr())
}

/// The address the adverts come from with a list of peers: the local address in the list, else the one routed
/// towards the first of the others. No packet is sent.
///
/// # Errors
/// When the list is empty or there is no route, which may yet come.
pub fn source_for(peers: &[Ipv4Addr], local: &[Ipv4Addr]) -> io::Result<Ipv4Addr> {
    if let Some(own) = peers.iter().find(|peer| local.contains(peer)) {
        return Ok(*own);
    }
    let first = peers
        .first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the list of peers is empty"))?;
    // Connecting a UDP socket asks the routing table and nobody else.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((*first, 9))?;
    match socket.local_addr()?.ip() {
        std::net::IpAddr::V4(address) => Ok(address),
        std::net::IpAddr::V6(address) => Err(io::Error::other(format!("unexpected source {address}"))),
    }
}
