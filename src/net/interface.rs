//! Which interface the addresses go to, with which prefix, and where the adverts come from.

use super::{Family, is_link_local};
use ipnet::IpNet;
use nix::ifaddrs::InterfaceAddress;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use nix::sys::socket::SockaddrStorage;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

/// A network interface of this host and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Whether it is the loopback interface.
    pub loopback: bool,
    /// Its addresses, each with the prefix length it was given.
    pub addresses: Vec<IpNet>,
    /// Those of them that nothing can be sent from yet: IPv6 addresses for which duplicate address detection is
    /// under way, or failed.
    pub tentative: Vec<IpAddr>,
}

impl Interface {
    /// Its addresses that can be sent from.
    pub fn usable(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(IpNet::addr).filter(|address| !self.tentative.contains(address))
    }

    /// The address that multicast adverts come from if nothing else is said: of IPv4 the first one, of IPv6 the
    /// first link-local one (as RFC 9568 wants it, and keepalived does it). Never one of the virtual router's own.
    pub fn own_address(&self, family: Family, vips: &[IpAddr]) -> Option<IpAddr> {
        let fits = |address: &IpAddr| match family {
            Family::V4 => address.is_ipv4(),
            Family::V6 => is_link_local(*address),
        };
        self.usable().find(|address| fits(address) && !vips.contains(address))
    }
}

/// The interfaces of this network namespace, sorted by name.
///
/// # Errors
/// When the kernel does not list them.
pub fn list() -> io::Result<Vec<Interface>> {
    let tentative = tentative();
    let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in nix::ifaddrs::getifaddrs()? {
        // With an alias label ("eth0:1") glibc gives the label in place of the name.
        let name = entry.interface_name.split(':').next().unwrap_or_default();
        let interface = interfaces.entry(name.to_owned()).or_insert_with(|| Interface {
            name: name.to_owned(),
            loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            addresses: Vec::new(),
            tentative: Vec::new(),
        });
        if let Some(net) = net(&entry) {
            interface.addresses.push(net);
            if tentative.iter().any(|(on, address)| on == name && *address == net.addr()) {
                interface.tentative.push(net.addr());
            }
        }
    }
    Ok(interfaces.into_values().collect())
}

fn net(entry: &InterfaceAddress) -> Option<IpNet> {
    let ip = |address: &Option<SockaddrStorage>| -> Option<IpAddr> {
        let address = address.as_ref()?;
        let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
        v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
    };
    IpNet::with_netmask(ip(&entry.address)?, ip(&entry.netmask)?).ok()
}

/// The tentative IPv6 addresses and their interfaces, which `getifaddrs` does not tell from the others.
fn tentative() -> Vec<(String, IpAddr)> {
    // IFA_F_TENTATIVE and IFA_F_DADFAILED (linux/if_addr.h).
    const UNUSABLE: u8 = 0x40 | 0x08;
    let line = |line: &str| {
        // Address, interface index, prefix length, scope, flags, all hexadecimal; interface name.
        let mut words = line.split_ascii_whitespace();
        let address = u128::from_str_radix(words.next()?, 16).ok()?;
        let flags = u8::from_str_radix(words.nth(3)?, 16).ok()?;
        let name = words.next()?.to_owned();
        (flags & UNUSABLE != 0).then(|| (name, IpAddr::V6(Ipv6Addr::from(address))))
    };
    // There is no such file where there is no IPv6.
    let listed = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    listed.lines().filter_map(line).collect()
}

/// Every address of this host that can be sent from.
///
/// # Errors
/// When the kernel does not list them.
pub fn local_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(list()?.iter().flat_map(Interface::usable).collect())
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
/// contains them (a link-local address says nothing: every interface has that subnet); else the one of the source
/// address.
///
/// # Errors
/// See [`NotChosen`].
pub fn choose(
    vips: &[IpAddr],
    setting: Option<&str>,
    source: Option<IpAddr>,
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
    let wanted = vips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    // What an earlier run, or another tool, left of the address itself says nothing about where it belongs.
    let holds = |interface: &Interface, vip: &IpAddr| {
        !is_link_local(*vip)
            && interface.addresses.iter().any(|net| net.contains(vip) && !vips.contains(&net.addr()))
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
        return Err(if vips.iter().all(|vip| is_link_local(*vip)) {
            NotChosen::Ambiguous(format!(
                "{wanted} could be on any interface; name one in OUTRIDER_INTERFACE or in the host label \
                 outrider.interface"
            ))
        } else {
            NotChosen::Nowhere(format!(
                "no interface has a subnet that contains {wanted}; name one in OUTRIDER_INTERFACE"
            ))
        });
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
/// `/32` or `/128` whenever the interface has another address of that subnet: with the subnet's own prefix one of
/// two IPv4 addresses would be the other's secondary, and the kernel deletes secondaries along with their primary;
/// an IPv6 one would be chosen as a source. Else the written one, so that a host without an address of its own
/// there gets the subnet's route; else `/32` or `/128`.
pub fn prefixes(vips: &[(IpAddr, Option<u8>)], interface: Option<&Interface>) -> Vec<(IpAddr, u8)> {
    let ours = |address| vips.iter().any(|(vip, _)| *vip == address);
    let mut others: Vec<IpNet> = interface
        .map(|interface| interface.addresses.iter().filter(|net| !ours(net.addr())).copied().collect())
        .unwrap_or_default();
    vips.iter()
        .map(|&(vip, written)| {
            let written = written.and_then(|prefix| IpNet::new(vip, prefix).ok());
            let net = match written {
                Some(net) if !others.iter().any(|other| share_a_subnet(*other, net)) => net,
                _ => IpNet::from(vip),
            };
            others.push(net);
            (vip, net.prefix_len())
        })
        .collect()
}

fn share_a_subnet(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.addr()) || b.contains(&a.addr())
}

/// The address the adverts come from with a list of peers: the local address in the list, else the one routed
/// towards the first of the others. No packet is sent. A link-local peer is a peer behind `interface`.
///
/// # Errors
/// When the list is empty or there is no route, which may yet come, or no interface for a link-local peer.
pub fn source_for(peers: &[IpAddr], local: &[IpAddr], interface: Option<&str>) -> io::Result<IpAddr> {
    if let Some(own) = peers.iter().find(|peer| local.contains(peer)) {
        return Ok(*own);
    }
    let first = peers
        .first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the list of peers is empty"))?;
    // Connecting a UDP socket asks the routing table and nobody else.
    let (any, to): (IpAddr, SocketAddr) = match *first {
        IpAddr::V4(peer) => (Ipv4Addr::UNSPECIFIED.into(), (peer, 9).into()),
        IpAddr::V6(peer) => {
            let scope = match interface {
                Some(interface) if is_link_local(*first) => if_nametoindex(interface)?,
                _ => 0,
            };
            (Ipv6Addr::UNSPECIFIED.into(), SocketAddrV6::new(peer, 9, 0, scope).into())
        }
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}
