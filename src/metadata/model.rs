//! What the metadata service says (read leniently), and what it means for this host. No I/O.
//!
//! Arrays come in any order and an empty one is `null`; nothing here depends on an index. What cannot be
//! read never turns into "nobody is there": it is a [`Refusal`], or a remark about the one entry left out.

pub mod answer;
mod ports;

use self::answer::{Host, Listing, Reading};
use crate::core::members::{Member, Membership, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// What is wanted of the metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Labels (key, value) a host must all carry to take part.
    pub host_label: Vec<(String, String)>,
    /// The load balancers whose published ports are wanted.
    pub balancers: BTreeSet<Balancer>,
}

/// Stack and service; none: every load balancer service.
pub type Balancer = Option<(String, String)>;

/// What this machine knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Local {
    /// Addresses on its interfaces.
    pub addresses: Vec<IpAddr>,
    /// Its host name.
    pub hostname: String,
}

/// One understood answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Who takes part.
    pub membership: Membership,
    /// This host, member or not.
    pub me: Me,
    /// Each member's `agent_ip`, by its id: the address of one whose label names one of the other family.
    pub agent_ips: BTreeMap<String, IpAddr>,
    /// What each load balancer publishes on the member hosts, sorted by port, each port once. None: no such port
    /// is known, so there is nothing that could pass a check.
    pub ports: BTreeMap<Balancer, Vec<PublishedPort>>,
}

impl Snapshot {
    /// What this load balancer publishes.
    pub fn ports_of(&self, balancer: &Balancer) -> &[PublishedPort] {
        self.ports.get(balancer).map(Vec::as_slice).unwrap_or_default()
    }
}

/// This host as Rancher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// Rancher's stable identity of the host.
    pub uuid: String,
    /// Name given in Rancher, else the host name.
    pub name: String,
    /// Host name as Rancher knows it; may be empty.
    pub hostname: String,
    /// Label `outrider.source` if it names a local address, else `agent_ip`.
    pub address: IpAddr,
    /// Rancher's own address of the host, if it is a local one.
    pub agent_ip: Option<IpAddr>,
    /// Label `outrider.interface`.
    pub interface_label: Option<String>,
    /// Label `outrider.source`, if it names a local address.
    pub source_label: Option<IpAddr>,
    /// Label `outrider.priority`, 1-254.
    pub priority_label: Option<u8>,
}

/// A TCP port the load balancer publishes on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// `stack/service`.
    pub service: String,
    /// The port on the host.
    pub port: u16,
    /// Whether plain HTTP is spoken there.
    pub http: bool,
}

/// Why an answer changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It describes another host.
    OtherHost(String),
    /// It is empty or cannot be understood.
    Broken(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::OtherHost(why) | Refusal::Broken(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Me { name, address, .. } = &self.me;
        match &self.membership.me {
            Standing::Member(_) => write!(f, "{name} ({address}) takes part")?,
            Standing::Left(why) => write!(f, "{name} ({address}) does not take part: {why}")?,
        }
        let list = |items: Vec<String>| if items.is_empty() { "none".into() } else { items.join(", ") };
        let others = self.membership.others.iter().map(|m| format!("{} ({})", m.name, m.address)).collect();
        let ports = self.ports.values().flatten().map(|p| format!("{} of {}", p.port, p.service)).collect();
        write!(f, "; other members: {}; published ports: {}", list(others), list(ports))
    }
}

/// Says what one reading means, and what is odd about it (for people; each remark names what was ignored).
pub fn interpret(
    reading: &Reading,
    settings: &Settings,
    local: &Local,
) -> Result<(Snapshot, Vec<String>), Refusal> {
    let mut remarks = Vec::new();
    let identity = recognise(&reading.me, local)?;
    let listed = own_environment(&reading.me, &reading.hosts, &mut remarks)?;
    let own = own_entry(&reading.me, &listed, &reading.hosts)?;
    let labels = own.unwrap_or(&reading.me).labels().unwrap_or(&NO_LABELS);
    let me = me(&reading.me, identity, labels, local, &mut remarks);
    let left = match (own, missing_label(labels, settings)) {
        (None, _) => Some("Rancher no longer lists this host".into()),
        (Some(host), _) if host.inactive() => {
            Some("this host is deactivated in Rancher (state inactive)".into())
        }
        (Some(_), Some(label)) => Some(format!("host label {label} is missing")),
        (Some(_), None) => None,
    };
    let standing = match left {
        Some(why) => Standing::Left(why),
        None => Standing::Member(Member {
            id: me.uuid.clone(),
            name: me.name.clone(),
            address: me.address,
            priority: me.priority_label,
        }),
    };

    let others = others(&listed, &me, settings, local, &mut remarks);
    // This host also where it takes part no more: it may have to keep the address for want of a successor.
    let mut serving: Vec<&Host> = own.is_none().then_some(&reading.me).into_iter().collect();
    serving.extend(listed.iter().filter(|host| {
        host.uuid.as_ref().is_some_and(|uuid| *uuid == me.uuid || others.iter().any(|m| m.id == *uuid))
    }));
    let mut ports = BTreeMap::new();
    if let Some(services) = &reading.services {
        let environment = reading.me.environment_uuid.as_deref();
        for balancer in &settings.balancers {
            let wanted = balancer.as_ref();
            let found = ports::published(services, &serving, environment, wanted, &mut remarks);
            ports.insert(balancer.clone(), found);
        }
    }
    let takes_part = |host: &&Host| others.iter().any(|member| Some(&member.id) == host.uuid.as_ref());
    let address_of = |host: &Host| Some((host.uuid.clone()?, agent_ip(host)?));
    let agent_ips = listed.iter().copied().filter(takes_part).filter_map(address_of).collect();
    Ok((Snapshot { membership: Membership { me: standing, others }, me, agent_ips, ports }, remarks))
}

/// Drops the services that have no say, which are most of the data.
pub fn condense(reading: &mut Reading, settings: &Settings) {
    if let Some(services) = &mut reading.services {
        let wanted = |service: &_| settings.balancers.iter().any(|b| ports::of_interest(service, b.as_ref()));
        services.entries.retain(wanted);
    }
}

/// The members that a list of addresses names. Addresses stand for uuids; our own may be among them.
pub fn from_list(peers: &[IpAddr], me: IpAddr) -> Membership {
    let member = |address: IpAddr| Member {
        id: address.to_string(),
        name: address.to_string(),
        address,
        priority: None,
    };
    let mut others: Vec<Member> = peers.iter().filter(|peer| **peer != me).copied().map(member).collect();
    others.sort_by(|a, b| a.id.cmp(&b.id));
    others.dedup();
    Membership { me: Standing::Member(member(me)), others }
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

/// This host's uuid and address, if an answer to `/self/host` is about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    uuid: String,
    address: IpAddr,
    agent_ip: Option<IpAddr>,
    source_label: Option<IpAddr>,
}

/// Whether an answer to `/self/host` is about this machine: the service answers by source address, and where
/// docker0 addresses collide it describes another host (rancher/rancher#8383).
pub fn recognise(answer: &Host, local: &Local) -> Result<Identity, Refusal> {
    let Some(uuid) = answer.uuid.clone() else {
        return Err(Refusal::Broken("/self/host has no uuid".into()));
    };
    let is_local = |address: &IpAddr| local.addresses.contains(address);
    let source_label = source_label(answer).and_then(Result::ok).filter(is_local);
    let agent_ip = agent_ip(answer).filter(is_local);
    if let Some(agent_ip) = agent_ip {
        let address = source_label.unwrap_or(agent_ip);
        return Ok(Identity { uuid, address, agent_ip: Some(agent_ip), source_label });
    }
    let same_name = answer.hostname.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&local.hostname));
    if let (true, Some(address)) = (same_name, source_label) {
        return Ok(Identity { uuid, address, agent_ip, source_label });
    }
    Err(Refusal::OtherHost(format!(
        "the metadata service takes this machine for host {} with agent_ip {}, which is on none of its \
         interfaces: either two hosts share a docker0 address (rancher/rancher#8383; give each its own with \
         dockerd --bip), or this host is behind NAT (then set its host label outrider.source to its own address)",
        name(answer),
        answer.agent_ip.as_deref().unwrap_or("(none)"),
    )))
}

/// The listed hosts of our environment that have a uuid, sorted by it, each once.
fn own_environment<'a>(
    self_host: &Host,
    hosts: &'a Listing<Host>,
    remarks: &mut Vec<String>,
) -> Result<Vec<&'a Host>, Refusal> {
    if hosts.entries.is_empty() {
        return Err(Refusal::Broken("/hosts is empty".into()));
    }
    if hosts.unreadable > 0 {
        remarks.push(format!("{} entries of /hosts are not understood and left out", hosts.unreadable));
    }
    let environment = &self_host.environment_uuid;
    let mut listed = Vec::new();
    for host in &hosts.entries {
        if host.uuid.is_none() {
            remarks.push(format!("host {} has no uuid in /hosts: left out", name(host)));
        } else if host.environment_uuid.is_none() && environment.is_some() {
            remarks.push(format!("host {} has no environment_uuid in /hosts: left out", name(host)));
        } else if host.environment_uuid == *environment {
            listed.push(host);
        }
    }
    if listed.is_empty() {
        return Err(Refusal::Broken("/hosts has no host of this host's environment".into()));
    }
    listed.sort();
    listed.dedup_by(|a, b| a.uuid == b.uuid);
    Ok(listed)
}

/// Our own entry in `/hosts`; none: we are not listed. An entry that cannot be read might be ours, and being
/// listed without readable labels is no proof that the label is gone: such answers change nothing.
fn own_entry<'a>(
    self_host: &Host,
    listed: &[&'a Host],
    hosts: &Listing<Host>,
) -> Result<Option<&'a Host>, Refusal> {
    if let Some(own) = listed.iter().find(|host| host.uuid == self_host.uuid) {
        return match own.labels() {
            Some(_) => Ok(Some(own)),
            None => Err(Refusal::Broken("this host's labels in /hosts are not understood".into())),
        };
    }
    let may_be_ours = |host: &Host| {
        host.uuid.is_none()
            || host.uuid == self_host.uuid
            || host.environment_uuid.is_none() && self_host.environment_uuid.is_some()
    };
    if hosts.unreadable > 0 || hosts.entries.iter().any(may_be_ours) {
        return Err(Refusal::Broken(
            "/hosts lists this host in a form that is not understood, or not at all".into(),
        ));
    }
    Ok(None)
}

fn me(
    answer: &Host,
    identity: Identity,
    labels: &BTreeMap<String, String>,
    local: &Local,
    remarks: &mut Vec<String>,
) -> Me {
    let Identity { uuid, address, agent_ip, source_label } = identity;
    if let (Some(label), None) = (label(labels, SOURCE), source_label) {
        let fault = match usable(label) {
            Some(address) if !local.addresses.contains(&address) => "is on none of this machine's interfaces",
            _ => "is not an address adverts can come from",
        };
        remarks.push(format!("host label {SOURCE}={label:?} {fault}: ignored"));
    }
    let interface_label = label(labels, INTERFACE).and_then(|interface| {
        // IFNAMSIZ - 1 and what dev_valid_name() of the kernel forbids.
        if interface.len() <= 15 && !interface.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
            return Some(interface.to_owned());
        }
        remarks.push(format!("host label {INTERFACE}={interface:?} is not an interface name: ignored"));
        None
    });
    let name = name(answer);
    Me {
        priority_label: priority_label(&name, labels, remarks),
        hostname: answer.hostname.clone().unwrap_or_default(),
        name,
        uuid,
        address,
        agent_ip,
        interface_label,
        source_label,
    }
}

/// The members besides this host, no two with one address, sorted by uuid.
fn others(
    listed: &[&Host],
    me: &Me,
    settings: &Settings,
    local: &Local,
    remarks: &mut Vec<String>,
) -> Vec<Member> {
    let mut candidates: Vec<(bool, Member)> = Vec::new();
    for host in listed {
        let Some(uuid) = host.uuid.as_ref().filter(|uuid| **uuid != me.uuid) else { continue };
        let name = name(host);
        let Some(labels) = host.labels() else {
            remarks.push(format!("host {name} ({uuid}) has labels that are not understood: left out"));
            continue;
        };
        if host.inactive() || missing_label(labels, settings).is_some() {
            continue;
        }
        let address = match source_label(host) {
            Some(Ok(address)) => Some(address),
            Some(Err(label)) => {
                remarks.push(format!("host {name}: label {SOURCE}={label:?} is not an address: ignored"));
                agent_ip(host)
            }
            None => agent_ip(host),
        };
        match address {
            None => remarks.push(format!("host {name} ({uuid}) has no usable address: left out")),
            Some(address) if address == me.address || local.addresses.contains(&address) => {
                remarks.push(format!(
                    "host {name} ({uuid}) is listed with {address}, an address of this machine: left out"
                ))
            }
            Some(address) => {
                let priority = priority_label(&name, labels, remarks);
                candidates.push((host.disconnected(), Member { id: uuid.clone(), name, address, priority }));
            }
        }
    }
    // Of two hosts with one address the connected one is real (a machine registered anew leaves its old entry
    // behind); every host must choose alike, so the uuid decides what is left to decide.
    candidates.sort_by(|(a_gone, a), (b_gone, b)| (a_gone, &a.id).cmp(&(b_gone, &b.id)));
    let mut kept: Vec<Member> = Vec::new();
    for (_, member) in candidates {
        match kept.iter().find(|other| other.address == member.address) {
            Some(other) => remarks.push(format!(
                "hosts {} ({}) and {} ({}) have the same address {}: {} is left out; remove it in Rancher or set \
                 its host label {SOURCE}",
                other.name, other.id, member.name, member.id, member.address, member.name
            )),
            None => kept.push(member),
        }
    }
    kept.sort_by(|a, b| a.id.cmp(&b.id));
    kept
}

const INTERFACE: &str = "outrider.interface";
const SOURCE: &str = "outrider.source";
const PRIORITY: &str = "outrider.priority";

/// How people call a host.
fn name(host: &Host) -> String {
    [&host.name, &host.hostname, &host.uuid].into_iter().find_map(Clone::clone).unwrap_or("(no name)".into())
}

/// A label's value; an empty one is unset.
fn label<'a>(labels: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    labels.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn source_label(host: &Host) -> Option<Result<IpAddr, &str>> {
    let value = label(host.labels()?, SOURCE)?;
    Some(usable(value).ok_or(value))
}

fn agent_ip(host: &Host) -> Option<IpAddr> {
    host.agent_ip.as_deref().and_then(usable)
}

/// An address that can tell one host from another.
fn usable(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.trim().parse().ok()?;
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    (!address.is_loopback() && !address.is_unspecified() && !address.is_multicast() && !broadcast)
        .then_some(address)
}

fn priority_label(name: &str, labels: &BTreeMap<String, String>, remarks: &mut Vec<String>) -> Option<u8> {
    let value = label(labels, PRIORITY)?;
    let priority = value.parse().ok().filter(|priority| (1..=254).contains(priority));
    if priority.is_none() {
        remarks
            .push(format!("host {name}: label {PRIORITY}={value:?} is not a number from 1 to 254: ignored"));
    }
    priority
}

/// The first wanted label that is not there.
fn missing_label(labels: &BTreeMap<String, String>, settings: &Settings) -> Option<String> {
    let missing = settings.host_label.iter().find(|(key, value)| labels.get(key) != Some(value));
    missing.map(|(key, value)| format!("{key}={value}"))
}
