//! What an instance comes to: the settings of one virtual router.

use super::address::Address;
use super::group::{Garp, Group};
use super::instance::Instance;
use super::part::{Note, Part, Settings};
use super::reader::Place;
use super::tracked::Tracked;
use super::units::{SECOND, duration};
use super::{auth, checks};
use std::net::IpAddr;

/// A virtual router.
#[derive(Debug)]
pub(super) struct Router {
    pub name: String,
    pub place: Place,
    pub last: usize,
    pub part: Part,
    /// The command that is told of changes.
    pub notify: Option<(String, Note)>,
}

const VIP: &str = "OUTRIDER_VIP";
const INTERFACE: &str = "OUTRIDER_INTERFACE";
const PEERS: &str = "OUTRIDER_PEERS";
const SOURCE: &str = "OUTRIDER_SOURCE";
const TTL: &str = "OUTRIDER_MIN_TTL";
const VRID: &str = "OUTRIDER_VRID";
const PRIORITY: &str = "OUTRIDER_PRIORITY";
const PREEMPT: &str = "OUTRIDER_PREEMPT";
const DELAY: &str = "OUTRIDER_PREEMPT_DELAY";
const VERSION: &str = "OUTRIDER_VRRP_VERSION";
const INTERVAL: &str = "OUTRIDER_ADVERT_INTERVAL";

/// Puts a router together. What an instance tracks is told once: `tracked` is emptied of its notes.
pub(super) fn settle(
    mut instance: Instance,
    global: &Settings,
    tracked: &mut [Tracked],
    groups: &[Group],
    garps: &[Garp],
) -> Router {
    let ipv6 =
        instance.addresses.first().or(instance.excluded.first()).is_some_and(|address| address.ip.is_ipv6());
    addresses(&mut instance, ipv6);
    let version = version(&mut instance, global, ipv6);
    interval(&mut instance, version);
    peers(&mut instance, ipv6);
    priority(&mut instance);
    if !instance.part.settings.contains_key(VRID) && !told(&instance.part, VRID) {
        let text = "There is no virtual_router_id, and keepalived does not start without one. Here it is the last byte of the \
                    lowest address";
        instance.part.explain(VRID, text);
    }
    auth::settle(&mut instance, version);
    links(&mut instance);
    for garp in garps.iter().filter(|garp| instance.interface.iter().any(|own| garp.interfaces.contains(own)))
    {
        for (name, value) in &garp.part.settings {
            instance.part.settings.entry(name).or_insert_with(|| value.clone());
        }
    }
    let of_groups = groups.iter().filter(|group| group.members.contains(&instance.name));
    let mut uses = std::mem::take(&mut instance.uses);
    uses.extend(of_groups.flat_map(|group| group.uses.iter().cloned()));
    checks::settle(&mut instance.part, &uses, tracked);
    let Instance { name, place, last, part, notify, .. } = instance;
    Router { name, place, last, part, notify }
}

/// Says something about the statement of a note, beside a setting.
pub(super) fn say(part: &mut Part, name: &'static str, note: &Note, text: &str) {
    part.beside.push((name, note.saying(text)));
}

/// Whether something has been said about a statement that was left out.
fn told(part: &Part, name: &str) -> bool {
    part.beside.iter().any(|(beside, _)| *beside == name)
}

fn addresses(instance: &mut Instance, ipv6: bool) {
    let part = &mut instance.part;
    for (note, text) in std::mem::take(&mut instance.said_of_addresses) {
        say(part, VIP, &note, &text);
    }
    let mut kept: Vec<Address> = Vec::new();
    let own = std::mem::take(&mut instance.addresses).into_iter().map(|address| (address, false));
    let excluded = std::mem::take(&mut instance.excluded).into_iter().map(|address| (address, true));
    for (address, excluded) in own.chain(excluded) {
        let same_family = address.ip.is_ipv6() == ipv6;
        if kept.iter().any(|other| other.ip == address.ip) {
            say(part, VIP, &address.note, "is there twice; once is enough");
            continue;
        }
        match (excluded, same_family) {
            (false, false) => {
                let text = "is not of the family of the first address, and keepalived leaves it out. Here IPv6 addresses can \
                            follow IPv4 ones: add it to OUTRIDER_VIP";
                say(part, VIP, &address.note, text);
                continue;
            }
            (true, false) if ipv6 => {
                let text = "an IPv4 address cannot follow IPv6 ones here: make it a virtual router of its own, which needs an \
                            OUTRIDER_VRID of its own";
                say(part, VIP, &address.note, text);
                continue;
            }
            (true, true) => {
                let text = "is advertised here like the others. Members that run keepalived before 2.3.3 refuse adverts with \
                            other addresses than theirs, and hold them as well: change those first or all together";
                say(part, VIP, &address.note, text);
            }
            _ => {}
        }
        kept.push(address);
    }
    on_one_interface(part, &mut instance.interface, &mut kept);
    if !kept.is_empty() {
        part.settings.insert(VIP, kept.iter().map(Address::item).collect());
    }
    if let Some(interface) = &instance.interface {
        part.set(INTERFACE, interface.clone());
    }
}

/// The addresses of a router are on one interface: that of the instance, or the one they all name.
fn on_one_interface(part: &mut Part, interface: &mut Option<String>, kept: &mut Vec<Address>) {
    let first = kept.first().and_then(|address| address.dev.clone());
    let agreed = kept.iter().all(|address| address.dev == first);
    match (&interface, first, kept.first()) {
        (own, Some(other), Some(address)) if agreed && own.as_ref() != Some(&other) => {
            if let Some(own) = own {
                let text = format!(
                    "the addresses are on {other}, the instance on {own}: adverts come from the interface of the addresses \
                     here, or with unicast from wherever OUTRIDER_SOURCE is"
                );
                say(part, INTERFACE, &address.note, &text);
            }
            *interface = Some(other);
        }
        _ => {
            let own = interface.clone();
            kept.retain(|address| {
                let elsewhere = address.dev.as_ref().filter(|dev| own.as_ref() != Some(dev));
                if let Some(dev) = elsewhere {
                    let text = format!(
                        "is on {dev}, and the addresses of a virtual router are on one interface here: make it one of its \
                         own, which needs an OUTRIDER_VRID of its own"
                    );
                    say(part, VIP, &address.note, &text);
                }
                elsewhere.is_none()
            });
        }
    }
}

fn version(instance: &mut Instance, global: &Settings, ipv6: bool) -> u64 {
    let part = &mut instance.part;
    let own = part.settings.get(VERSION).or(global.get(VERSION)).and_then(|items| items.first()).cloned();
    if ipv6 {
        if let Some(note) = instance.version.as_ref().filter(|_| own.as_deref() == Some("2")) {
            say(part, VERSION, note, "IPv6 is version 3, in keepalived as well");
        }
        part.set(VERSION, "3");
        return 3;
    }
    match own.as_deref() {
        Some("3") => 3,
        Some(_) => 2,
        None => {
            part.explain(VERSION, "Nothing in the file says 3: keepalived's default is 2, the one here is 3");
            part.set(VERSION, "2");
            2
        }
    }
}

fn interval(instance: &mut Instance, version: u64) {
    let part = &mut instance.part;
    let (unit, most) = if version == 3 { (10_000, 4095) } else { (SECOND, 255) };
    let Some((written, note)) = instance.interval.take() else {
        part.explain(INTERVAL, "There is no advert_int: 1 second is keepalived's default");
        return part.set(INTERVAL, "1s");
    };
    let units = (written.saturating_add(unit / 2) / unit).clamp(1, most);
    let interval = units * unit;
    if interval != written {
        let text = if version == 3 {
            "version 3 has steps of 10 ms up to 40.95 s; rounded, as keepalived does"
        } else {
            "version 2 has whole seconds; rounded, as keepalived does. Version 3 can do it, if all members change to it"
        };
        say(part, INTERVAL, &note, text);
    }
    part.set(INTERVAL, duration(interval));
}

fn peers(instance: &mut Instance, ipv6: bool) {
    let part = &mut instance.part;
    for (note, text) in std::mem::take(&mut instance.said_of_peers) {
        say(part, PEERS, &note, &text);
    }
    let listed = std::mem::take(&mut instance.peers);
    let (peers, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(peer, _)| peer.is_ipv6() == ipv6);
    for (peer, _) in others {
        part.explain(
            PEERS,
            format!("{peer} is not of the family of the addresses; left out, as keepalived does"),
        );
    }
    let (source, unused) = if peers.is_empty() {
        (instance.multicast_source.take().or(instance.unicast_source.take()), None)
    } else {
        (instance.unicast_source.take(), instance.multicast_source.take())
    };
    if let Some((_, note)) = unused {
        say(part, SOURCE, &note, "there is a list of peers, so that nothing is multicast");
    }
    if let Some((address, _)) = &source {
        part.set(SOURCE, address.to_string());
    }
    if peers.is_empty() {
        part.explain(
            "OUTRIDER_TRANSPORT",
            "There is no unicast_peer, so keepalived uses multicast, and whoever is heard is a peer. With a list of all hosts \
             (OUTRIDER_PEERS=10.0.0.11,10.0.0.12), or on Rancher (OUTRIDER_PEERS=rancher), the agent knows who is missing and \
             needs no multicast in the network: change all members together, and leave OUTRIDER_TRANSPORT out",
        );
        part.set("OUTRIDER_TRANSPORT", "multicast");
        part.set(PEERS, "none");
    } else {
        // With this host itself in it, the list is the same everywhere.
        let mut list: Vec<IpAddr> = source.iter().map(|(source, _)| *source).collect();
        for (peer, _) in &peers {
            if !list.contains(peer) {
                list.push(*peer);
            }
        }
        part.settings.insert(PEERS, list.iter().map(IpAddr::to_string).collect());
    }
    let lowest = peers.iter().filter_map(|(_, ttl)| *ttl).min();
    match (lowest, instance.ttl.take()) {
        (None, None) => {}
        (Some(lowest), _) => part.set(TTL, lowest.clamp(1, 255).to_string()),
        (None, Some((255, _))) => part.set(TTL, "255"),
        (None, Some((ttl, note))) => {
            say(
                part,
                TTL,
                &note,
                "the agent always sends with 255; adverts from peers that send with less are heard because of this. Routers \
                 on the way take one off each",
            );
            part.set(TTL, ttl.clamp(1, 255).to_string());
        }
    }
}

fn priority(instance: &mut Instance) {
    let part = &mut instance.part;
    let owner = match (instance.priority.take(), &instance.master) {
        (Some((255, note)), _) => {
            say(
                part,
                PRIORITY,
                &note,
                "255 is the host that the address belongs to for good; here it moves, and 254 is the highest",
            );
            true
        }
        (Some((priority, _)), _) => {
            part.set(PRIORITY, priority.to_string());
            false
        }
        (None, Some(master)) => {
            say(
                part,
                PRIORITY,
                master,
                "without a priority, keepalived takes 255 for state MASTER; 254 is the highest here",
            );
            true
        }
        (None, None) => {
            if !told(part, PRIORITY) {
                part.explain(PRIORITY, "There is no priority: 100 is keepalived's default");
            }
            part.set(PRIORITY, "100");
            false
        }
    };
    if owner {
        part.set(PRIORITY, "254");
    }
    let nopreempt = instance.nopreempt.take();
    let preempt = match (&nopreempt, &instance.master) {
        (Some(note), Some(_)) => {
            say(
                part,
                PREEMPT,
                note,
                "contradicts state MASTER, and keepalived ignores it: this host takes the address back. If that is not what \
                 you want, write false",
            );
            true
        }
        (Some(note), None) if owner => {
            say(
                part,
                PREEMPT,
                note,
                "contradicts priority 255, and keepalived ignores it. If you want it, write false",
            );
            true
        }
        (Some(_), None) => false,
        (None, _) => {
            part.explain(
                PREEMPT,
                "Nothing in the file says nopreempt: keepalived's default is true, the one here is false",
            );
            true
        }
    };
    part.set(PREEMPT, preempt.to_string());
    if let Some((delay, note)) = instance.preempt_delay.take() {
        if !preempt {
            say(part, DELAY, &note, "without effect beside nopreempt; left out");
        } else if instance.master.is_some() {
            say(part, DELAY, &note, "contradicts state MASTER, and keepalived ignores it; left out");
        } else {
            part.set(DELAY, duration(delay));
        }
    }
    if let Some(master) = &instance.master {
        part.without.push(master.saying("every host begins as a Backup, and the highest priority wins"));
    }
}

fn links(instance: &mut Instance) {
    for (link, note) in std::mem::take(&mut instance.links) {
        if instance.interface.as_ref() != Some(&link) {
            instance.part.beside.push(("OUTRIDER_TRACK_LINK", note));
        }
    }
}
