//! Reads the settings of one virtual router.

use super::checks::{check, checks};
use super::{milliseconds, seconds};
use crate::config::auth::{self, Auth, AuthMode};
use crate::config::reader::Reader;
use crate::config::router::family;
use crate::config::values::{self, Wrong, human};
use crate::config::{Announcements, Family, Guards, Lease, Origin, Peers, Router, Transport, Vip};
use crate::core::advert::Version;
use std::net::IpAddr;
use std::time::Duration;

/// What is known of a virtual router, even where something else about it is wrong.
pub(super) struct Draft {
    pub name: Option<String>,
    pub vips: Option<Vec<Vip>>,
    pub interface: Option<String>,
    pub peers: Option<Peers>,
    pub vrid: Option<u8>,
    /// If nothing is wrong.
    pub router: Option<Router>,
}

/// Every setting is read before the first missing one ends this, so that every fault is found. `moving`: the
/// addresses of all virtual routers.
pub(super) fn read(
    reader: &mut Reader,
    name: Option<String>,
    vips: Option<Vec<Vip>>,
    moving: &[IpAddr],
) -> Draft {
    let family = vips.as_deref().map(family);
    let interface = reader.one("OUTRIDER_INTERFACE", values::interface);
    let source = reader.one("OUTRIDER_SOURCE", values::host_address);
    let transport = reader.one("OUTRIDER_TRANSPORT", str::parse);
    let peers = peers(reader, transport);
    let vrid = vrid(reader, vips.as_deref());
    let priority = reader.one("OUTRIDER_PRIORITY", |text| values::number(text, 1..=254));
    let preempt = reader.one("OUTRIDER_PREEMPT", values::boolean);
    let preempt_delay = reader.one("OUTRIDER_PREEMPT_DELAY", |text| values::duration(text, seconds(0, 3600)));
    let version = version(reader, family);
    let interval = interval(reader, version);
    let checksum = reader.one("OUTRIDER_CHECKSUM", str::parse);
    let min_ttl = min_ttl(reader, family, transport);
    let auth = auth(reader, version);
    let check = check(reader, peers.as_ref());
    let checks = checks(reader);
    let track_link = reader.one("OUTRIDER_TRACK_LINK", values::boolean);
    let lease = reader.one("OUTRIDER_LEASE", str::parse);
    let guards = guards(reader);
    let adopt = reader.one("OUTRIDER_ADOPT", values::boolean);
    let handover_limit =
        reader.one("OUTRIDER_HANDOVER_LIMIT", |text| values::duration(text, seconds(0, 300)));
    let announcements = announcements(reader);

    let sources: Vec<IpAddr> = source.into_iter().collect();
    let listed = match &peers {
        Some(Peers::List(list)) => list.as_slice(),
        _ => &[],
    };
    let guarding = match &guards {
        Some(Guards::These(list)) => list.as_slice(),
        _ => &[],
    };
    for (name, addresses) in [("OUTRIDER_SOURCE", &*sources), ("OUTRIDER_PEERS", listed)] {
        of_hosts(reader, name, addresses, moving);
        of_family(reader, name, addresses, family);
    }
    of_family(reader, "OUTRIDER_GUARD", guarding, family);
    odd(reader, preempt, lease, handover_limit);
    if peers == Some(Peers::None) && priority.is_none() && !reader.is_set("OUTRIDER_PRIORITY") {
        reader.warn(
            "OUTRIDER_PRIORITY is not set: without peers there is no rank, and all hosts have the same one",
        );
    }

    let router = || {
        let vips = vips.clone()?;
        let first = vips.first()?.address.to_string();
        Some(Router {
            name: name.clone().unwrap_or(first),
            vips,
            interface: interface.clone(),
            source,
            peers: peers.clone()?,
            vrid: vrid?,
            priority,
            preempt: preempt?,
            preempt_delay: preempt_delay?,
            version: version?,
            interval: interval?,
            transport: transport?,
            checksum: checksum?,
            min_ttl: min_ttl?,
            auth: auth?,
            check: check?,
            checks: checks?,
            track_link: track_link?,
            lease: lease?,
            guards: guards?,
            adopt: adopt?,
            handover_limit: handover_limit?,
            announcements: announcements?,
        })
    };
    Draft { router: router(), name, vips, interface, peers, vrid }
}

/// The addresses of the virtual router.
pub(super) fn vips(reader: &mut Reader) -> Option<Vec<Vip>> {
    const NAME: &str = "OUTRIDER_VIP";
    let vips: Vec<Vip> = reader.list(NAME, str::parse)?;
    let again = vips
        .iter()
        .enumerate()
        .find(|(index, vip)| vips.iter().take(*index).any(|earlier| earlier.address == vip.address));
    if let Some((_, vip)) = again {
        let twice = Wrong::from("is there twice, with and without a prefix length").remedy("leave one out");
        reader.fault(NAME, &vip.address.to_string(), twice);
        return None;
    }
    let family = family(&vips);
    if vips.iter().filter(|vip| Family::of(vip.address) == family).count() > 255 {
        let many = Wrong::from("has more than the 255 addresses that fit into an advert");
        reader.complain(NAME, many.remedy("leave some out"));
        return None;
    }
    Some(vips)
}

fn peers(reader: &mut Reader, transport: Option<Transport>) -> Option<Peers> {
    const NAME: &str = "OUTRIDER_PEERS";
    let text = reader.text(NAME)?;
    match text.as_str() {
        "rancher" => Some(Peers::Rancher),
        "none" if transport == Some(Transport::Unicast) => {
            let nobody = Wrong::from("leaves nobody whom adverts could be sent to by unicast");
            reader.fault(NAME, &text, nobody.remedy("set OUTRIDER_TRANSPORT=multicast, or name the peers"));
            None
        }
        "none" => Some(Peers::None),
        _ => reader.items(NAME, &text, values::peer).map(Peers::List),
    }
}

fn guards(reader: &mut Reader) -> Option<Guards> {
    const NAME: &str = "OUTRIDER_GUARD";
    let text = reader.text(NAME)?;
    match text.as_str() {
        "auto" => Some(Guards::Auto),
        "off" => Some(Guards::Off),
        _ => reader.items(NAME, &text, values::guard).map(Guards::These),
    }
}

fn vrid(reader: &mut Reader, vips: Option<&[Vip]>) -> Option<u8> {
    const NAME: &str = "OUTRIDER_VRID";
    let written = reader.one(NAME, |text| values::number(text, 1..=255));
    if reader.is_set(NAME) {
        return written;
    }
    let lowest = lowest(vips?)?;
    let vrid = last_byte(lowest);
    if vrid == 0 {
        let no_vrid = Wrong::from("ends in 0, which is no virtual router id");
        reader.fault(
            "OUTRIDER_VIP",
            &lowest.to_string(),
            no_vrid.remedy("set OUTRIDER_VRID, for example to 10"),
        );
        return None;
    }
    reader.settle(NAME, vrid.to_string(), Origin::Derived);
    Some(vrid)
}

/// IPv4 first.
pub(super) fn lowest(vips: &[Vip]) -> Option<IpAddr> {
    vips.iter().map(|vip| vip.address).min()
}

fn last_byte(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) => {
            let [.., last] = address.octets();
            last
        }
        IpAddr::V6(address) => {
            let [.., last] = address.octets();
            last
        }
    }
}

fn version(reader: &mut Reader, family: Option<Family>) -> Option<Version> {
    const NAME: &str = "OUTRIDER_VRRP_VERSION";
    let version = reader.one(NAME, values::version)?;
    if (version, family) == (Version::V2, Some(Family::V6)) {
        reader.fault(NAME, "2", Wrong::from("has no IPv6").remedy("write 3, or add an IPv4 address"));
        return None;
    }
    Some(version)
}

fn interval(reader: &mut Reader, version: Option<Version>) -> Option<Duration> {
    const NAME: &str = "OUTRIDER_ADVERT_INTERVAL";
    let written = reader.one(NAME, |text| values::advert_interval(text, version));
    if reader.is_set(NAME) {
        return written;
    }
    let interval = match version? {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => Duration::from_millis(200),
    };
    reader.settle(NAME, human(interval), Origin::Default);
    Some(interval)
}

/// keepalived sends unicast IPv6 with the kernel's hop limit.
fn min_ttl(reader: &mut Reader, family: Option<Family>, transport: Option<Transport>) -> Option<u8> {
    const NAME: &str = "OUTRIDER_MIN_TTL";
    let written = reader.one(NAME, |text| values::number(text, 1..=255));
    if reader.is_set(NAME) {
        return written;
    }
    let min_ttl = if (family?, transport?) == (Family::V6, Transport::Unicast) { 64 } else { 255 };
    reader.settle(NAME, min_ttl.to_string(), Origin::Default);
    Some(min_ttl)
}

fn auth(reader: &mut Reader, version: Option<Version>) -> Option<Auth> {
    const PASS: &str = "OUTRIDER_AUTH_PASS";
    const KEYS: &str = "OUTRIDER_AUTH_KEYS";
    const MODE: &str = "OUTRIDER_AUTH_MODE";
    let (pass, keys) = (reader.text(PASS), reader.text(KEYS));
    let mode = reader.one::<AuthMode>(MODE, str::parse);
    let (has_pass, has_keys, has_mode) = (reader.is_set(PASS), reader.is_set(KEYS), reader.is_set(MODE));
    let pass = pass.and_then(|text| match auth::pass(&text) {
        Ok((pass, longer)) => {
            if longer {
                reader.warn(
                    "OUTRIDER_AUTH_PASS is longer than 8 bytes: only the first 8 count, as with keepalived",
                );
            }
            Some(pass)
        }
        Err(wrong) => {
            reader.complain(PASS, wrong);
            None
        }
    });
    let keys = keys.and_then(|text| match auth::keys(&text) {
        Ok(keys) => Some(keys),
        Err(wrong) => {
            wrong.into_iter().for_each(|wrong| reader.complain(KEYS, wrong));
            None
        }
    });
    if has_pass && has_keys {
        let two = Wrong::from("stands beside OUTRIDER_AUTH_KEYS");
        reader.complain(PASS, two.remedy("leave out one of the two"));
        return None;
    }
    if has_pass && version == Some(Version::V3) {
        let v2 = Wrong::from("is for version 2");
        reader.complain(PASS, v2.remedy("use OUTRIDER_AUTH_KEYS, or set OUTRIDER_VRRP_VERSION=2"));
        return None;
    }
    if has_mode && !has_keys {
        let alone = Wrong::from("has no effect without OUTRIDER_AUTH_KEYS");
        reader.complain(MODE, alone.remedy("set them, or leave it out"));
        return None;
    }
    if has_keys && !has_mode {
        reader.settle(MODE, "enforce", Origin::Default);
    }
    match (has_pass, has_keys) {
        (true, _) => Some(Auth::Pass(pass?)),
        (_, true) => {
            let keys = keys?;
            reader.show(KEYS, keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(", "));
            Some(Auth::Keys { keys, mode: if has_mode { mode? } else { AuthMode::Enforce } })
        }
        (false, false) => Some(Auth::None),
    }
}

fn announcements(reader: &mut Reader) -> Option<Announcements> {
    let repeat = reader.one("OUTRIDER_GARP_REPEAT", |text| values::number(text, 1..=100));
    let mut time = |name, range| reader.one(name, |text| values::duration(text, range));
    let delay = time("OUTRIDER_GARP_DELAY", seconds(0, 60));
    let refresh = time("OUTRIDER_GARP_REFRESH", seconds(0, 86_400));
    let interval = time("OUTRIDER_GARP_INTERVAL", milliseconds(0, 1000));
    Some(Announcements { repeat: repeat?, delay: delay?, refresh: refresh?, interval: interval? })
}

/// An address of a virtual router moves between hosts: it cannot be where adverts come from or go to.
fn of_hosts(reader: &mut Reader, name: &'static str, addresses: &[IpAddr], moving: &[IpAddr]) {
    for address in addresses.iter().filter(|address| moving.contains(address)) {
        let moves = Wrong::from("is an address of OUTRIDER_VIP, which moves between hosts");
        let example = match Family::of(*address) {
            Family::V4 => "10.0.0.11",
            Family::V6 => "2001:db8::11",
        };
        let remedy = format!("write a host's own address, for example {example}");
        reader.fault(name, &address.to_string(), moves.remedy(remedy));
    }
}

/// Adverts have one family.
fn of_family(reader: &mut Reader, name: &'static str, addresses: &[IpAddr], family: Option<Family>) {
    let Some(family) = family else { return };
    for address in addresses.iter().filter(|address| Family::of(**address) != family) {
        let other = Wrong::from(format!("is {}, the virtual router {family}", Family::of(*address)));
        reader.fault(name, &address.to_string(), other.remedy(format!("write an {family} address")));
    }
}

/// Warns of what does nothing, and of what does harm.
fn odd(reader: &mut Reader, preempt: Option<bool>, lease: Option<Lease>, limit: Option<Duration>) {
    if preempt == Some(false) && reader.is_set("OUTRIDER_PREEMPT_DELAY") {
        reader.warn("OUTRIDER_PREEMPT_DELAY has no effect without OUTRIDER_PREEMPT");
    }
    if lease == Some(Lease::Forever) {
        reader.warn(
            "OUTRIDER_LEASE is forever: the address of an agent that dies stays behind, beside the next holder's",
        );
    }
    if limit.is_some_and(|limit| limit > Duration::from_secs(9)) {
        reader.warn("OUTRIDER_HANDOVER_LIMIT is above 9s: Docker kills after 10s unless told to wait longer");
    }
}
