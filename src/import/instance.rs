//! `vrrp_instance`: what it says. What that comes to is in `router`.

use super::address::{self, Address, Said};
use super::auth::{self, Hmac};
use super::global::{self, VMAC};
use super::group::{OTHER_INTERFACE, TRACK_BFD};
use super::notify;
use super::part::{Note, Part};
use super::reader::Place;
use super::table::{self, Row, Treat};
use super::tracked::{self, Use};
use super::tree::Statement;
use super::units::{NO_VALUE, SECOND, micros, number, switch};
use Treat::{Map, Without};
use std::net::IpAddr;

/// One instance.
#[derive(Debug)]
pub(super) struct Instance {
    pub name: String,
    pub place: Place,
    pub last: usize,
    pub part: Part,
    pub master: Option<Note>,
    pub interface: Option<String>,
    pub priority: Option<(u64, Note)>,
    pub nopreempt: Option<Note>,
    pub preempt_delay: Option<(u64, Note)>,
    /// Microseconds.
    pub interval: Option<(u64, Note)>,
    pub version: Option<Note>,
    pub addresses: Vec<Address>,
    pub excluded: Vec<Address>,
    pub said_of_addresses: Vec<Said>,
    pub peers: Vec<(IpAddr, Option<u64>)>,
    pub said_of_peers: Vec<Said>,
    pub unicast_source: Option<(IpAddr, Note)>,
    pub multicast_source: Option<(IpAddr, Note)>,
    pub ttl: Option<(u64, Note)>,
    pub uses: Vec<Use>,
    /// Interfaces that are tracked.
    pub links: Vec<(String, Note)>,
    /// Kind of authentication, and the password.
    pub auth_type: Option<(String, Note)>,
    pub auth_pass: Option<(String, Note)>,
    pub hmac: Option<Hmac>,
    /// The command that is told of changes.
    pub notify: Option<(String, Note)>,
}

impl AsMut<Part> for Instance {
    fn as_mut(&mut self) -> &mut Part {
        &mut self.part
    }
}

impl Instance {
    pub fn new(name: &str, it: &Statement) -> Self {
        Self {
            name: name.to_owned(),
            place: it.place.clone(),
            last: it.last,
            part: Part::default(),
            master: None,
            interface: None,
            priority: None,
            nopreempt: None,
            preempt_delay: None,
            interval: None,
            version: None,
            addresses: Vec::new(),
            excluded: Vec::new(),
            said_of_addresses: Vec::new(),
            peers: Vec::new(),
            said_of_peers: Vec::new(),
            unicast_source: None,
            multicast_source: None,
            ttl: None,
            uses: Vec::new(),
            links: Vec::new(),
            auth_type: None,
            auth_pass: None,
            hmac: None,
            notify: None,
        }
    }
}

const ROUTES: &str = "no routes or rules move here. A program that is told of changes (OUTRIDER_NOTIFY_COMMAND) has no right to \
                      set them: let it tell one that has";
const NOTHING: &str = "has no meaning for the agent";

/// What may stand in `vrrp_instance`.
#[rustfmt::skip] // A table: one row a line.
pub(super) static TABLE: &[Row<Instance>] = &[
    ("state", Map(state)),
    ("interface", Map(interface)),
    ("virtual_router_id", Map(virtual_router_id)),
    ("priority", Map(priority)),
    ("advert_int", Map(advert_int)),
    ("version", Map(|to, it| { global::version(&mut to.part, it); to.version = Some(Note::about(it, "")); })),
    ("nopreempt", Map(|to, it| to.nopreempt = Some(Note::about(it, "")))),
    ("preempt", Map(|to, _| to.nopreempt = None)),
    ("preempt_delay", Map(preempt_delay)),
    ("virtual_ipaddress", Map(virtual_ipaddress)),
    ("virtual_ipaddress_excluded", Map(virtual_ipaddress_excluded)),
    ("no_virtual_ipaddress", Without("an agent without an address has nothing to do: OUTRIDER_VIP is required")),
    ("unicast_peer", Map(unicast_peer)),
    ("unicast_src_ip", Map(|to, it| to.unicast_source = source(to, it))),
    ("mcast_src_ip", Map(|to, it| to.multicast_source = source(to, it))),
    ("mcast_dst_ip", Map(|to, it| global::group(&mut to.part, it))),
    ("track_src_ip", Without("without its source address the agent sends nothing and waits for it, always")),
    ("unicast_ttl", Map(unicast_ttl)),
    ("unicast_fault_no_peer", Without("an empty list of peers never turns into multicast here")),
    ("check_unicast_src", Without(global::UNLISTED)),
    ("old_unicast_checksum", Without("adverts with the checksum of keepalived 1.3.6 are recognised by themselves")),
    ("v3_checksum_as_v2", Map(|to, it| global::checksum(&mut to.part, it))),
    ("authentication", Map(|to, it| table::read(AUTHENTICATION, to, it.inner()))),
    ("auth_hmac", Map(auth_hmac)),
    ("dont_track_primary", Map(|to, _| to.part.set("OUTRIDER_TRACK_LINK", "false"))),
    ("track_interface", Map(track_interface)),
    ("track_script", Map(|to, it| to.uses.extend(Use::read(&mut to.part, it)))),
    ("track_process", Map(|to, it| to.uses.extend(Use::read(&mut to.part, it)))),
    ("track_file", Without(tracked::FILE)),
    ("track_bfd", Without(TRACK_BFD)),
    ("garp_master_delay", Map(|to, it| global::garp_delay(&mut to.part, it))),
    ("garp_master_repeat", Map(|to, it| global::garp_repeat(&mut to.part, it))),
    ("garp_master_refresh", Map(|to, it| global::garp_refresh(&mut to.part, it))),
    ("garp_master_refresh_repeat", Without(global::REFRESH_REPEAT)),
    ("garp_lower_prio_delay", Without(global::LOWER_PRIORITY)),
    ("garp_lower_prio_repeat", Without(global::LOWER_PRIORITY)),
    ("garp_extra_if", Without(global::EXTRA_INTERFACE)),
    ("vmac_garp_intvl", Without(global::EXTRA_INTERFACE)),
    ("lower_prio_no_advert", Without(global::LOWER_ADVERT)),
    ("higher_prio_send_advert", Without(global::HIGHER_ADVERT)),
    ("down_timer_adverts", Without(global::DOWN_TIMER)),
    ("timer_expired_backup", Without("an agent that was held up for longer than Master_Down steps down by itself")),
    ("skip_check_adv_addr", Without(global::ADDRESSES)),
    ("strict_mode", Without(global::STRICT)),
    ("accept", Without("packets to the address are always accepted")),
    ("no_accept", Without(global::FIREWALL)),
    ("native_ipv6", Without("the addresses say which family it is")),
    ("promote_secondaries", Without("an address is installed so that it takes no other along when it goes")),
    ("use_vmac", Without(VMAC)),
    ("use_vmac_addr", Without(VMAC)),
    ("vmac_xmit_base", Without(VMAC)),
    ("use_ipvlan", Without(VMAC)),
    ("vrf", Without("the agent sends by the routes of its source address (OUTRIDER_SOURCE)")),
    ("virtual_routes", Without(ROUTES)),
    ("virtual_rules", Without(ROUTES)),
    ("lvs_sync_daemon_interface", Without("LVS: connections of the kernel's load balancer are not synchronised here")),
    ("linkbeat_use_polling", Without("the kernel tells of every change of a link; nothing is polled")),
    ("kernel_rx_buf_size", Without("the buffers of the agent's sockets need no tuning")),
    ("debug", Without(NOTHING)),
    ("notify", Map(notify::read)),
    ("notify_master", Without(notify::ONE)),
    ("notify_backup", Without(notify::ONE)),
    ("notify_fault", Without(notify::ONE)),
    ("notify_stop", Without(notify::ONE)),
    ("notify_deleted", Without(notify::DELETED)),
    ("notify_master_rx_lower_pri", Without(notify::LOWER)),
    ("notify_priority_changes", Without(notify::PRIORITY)),
    ("smtp_alert", Map(|to, it| to.part.alert = switch(it))),
];

/// What may stand in `authentication`.
pub(super) static AUTHENTICATION: &[Row<Instance>] = &[
    ("auth_type", Map(|to, it| to.auth_type = it.value().map(|kind| (kind.to_owned(), Note::about(it, ""))))),
    (
        "auth_pass",
        Map(|to, it| {
            // The statement itself is not shown.
            to.auth_pass = it.value().map(|pass| {
                (pass.to_owned(), Note { what: "auth_pass".to_owned(), ..Note::at(&it.place, "") })
            });
        }),
    ),
];

fn state(to: &mut Instance, it: &Statement) {
    match it.value() {
        Some("MASTER") => to.master = Some(Note::about(it, "")),
        Some("BACKUP") => {}
        _ => to.part.without(it, "is neither MASTER nor BACKUP, and keepalived takes it for BACKUP"),
    }
}

fn interface(to: &mut Instance, it: &Statement) {
    match it.value() {
        Some(name) => to.interface = Some(name.to_owned()),
        None => to.part.beside("OUTRIDER_INTERFACE", it, NO_VALUE),
    }
}

fn virtual_router_id(to: &mut Instance, it: &Statement) {
    const NAME: &str = "OUTRIDER_VRID";
    match it.value().map(number) {
        Some(Some(vrid @ 1..=255)) => to.part.set(NAME, vrid.to_string()),
        Some(_) => to.part.beside(
            NAME,
            it,
            "is not from 1 to 255, and keepalived does not start with that. Left out",
        ),
        None => to.part.beside(NAME, it, NO_VALUE),
    }
}

fn priority(to: &mut Instance, it: &Statement) {
    const NAME: &str = "OUTRIDER_PRIORITY";
    match it.value().map(number) {
        Some(Some(priority @ 1..=255)) => to.priority = Some((priority, Note::about(it, ""))),
        Some(_) => to.part.beside(NAME, it, "is not from 1 to 255, and keepalived takes 100"),
        None => to.part.beside(NAME, it, NO_VALUE),
    }
}

fn advert_int(to: &mut Instance, it: &Statement) {
    const NAME: &str = "OUTRIDER_ADVERT_INTERVAL";
    match it.value().map(micros) {
        Some(Some(interval)) if interval >= 10_000 => to.interval = Some((interval, Note::about(it, ""))),
        Some(_) => to.part.beside(NAME, it, "is not at least 0.01 seconds, and keepalived takes 1"),
        None => to.part.beside(NAME, it, NO_VALUE),
    }
}

fn preempt_delay(to: &mut Instance, it: &Statement) {
    const NAME: &str = "OUTRIDER_PREEMPT_DELAY";
    match it.value().map(micros) {
        Some(Some(delay)) if delay <= 1000 * SECOND => to.preempt_delay = Some((delay, Note::about(it, ""))),
        Some(_) => to.part.beside(NAME, it, "is not from 0 to 1000 seconds, and keepalived takes 0"),
        None => to.part.beside(NAME, it, NO_VALUE),
    }
}

fn virtual_ipaddress(to: &mut Instance, it: &Statement) {
    for line in table::lines(&mut to.part, "OUTRIDER_VIP", it) {
        to.addresses.extend(address::read(line, &mut to.said_of_addresses));
    }
}

fn virtual_ipaddress_excluded(to: &mut Instance, it: &Statement) {
    for line in table::lines(&mut to.part, "OUTRIDER_VIP", it) {
        to.excluded.extend(address::read(line, &mut to.said_of_addresses));
    }
}

/// Peers with a condition count as well: the list may hold this host itself, and is best the same everywhere.
fn unicast_peer(to: &mut Instance, it: &Statement) {
    for line in it.inner() {
        to.peers.extend(address::peer(line, &mut to.said_of_peers));
    }
}

fn source(to: &mut Instance, it: &Statement) -> Option<(IpAddr, Note)> {
    let address = it.value().and_then(|address| address.parse().ok());
    if address.is_none() {
        to.part.beside("OUTRIDER_SOURCE", it, "is no address; left out, as keepalived does");
    }
    Some((address?, Note::about(it, "")))
}

fn unicast_ttl(to: &mut Instance, it: &Statement) {
    const NAME: &str = "OUTRIDER_MIN_TTL";
    match it.value().map(number) {
        Some(Some(ttl @ 0..=255)) => to.ttl = Some((ttl, Note::about(it, ""))),
        Some(_) => to.part.beside(NAME, it, "is not from 0 to 255; left out, as keepalived does"),
        None => to.part.beside(NAME, it, NO_VALUE),
    }
}

/// Its own interface may be named further down.
fn track_interface(to: &mut Instance, it: &Statement) {
    let lines = table::lines(&mut to.part, "OUTRIDER_TRACK_LINK", it);
    to.links.extend(
        lines.into_iter().map(|line| (line.keyword().to_owned(), Note::about(line, OTHER_INTERFACE))),
    );
}

fn auth_hmac(to: &mut Instance, it: &Statement) {
    let mut hmac = Hmac::new();
    table::read(auth::HMAC, &mut hmac, it.inner());
    to.hmac = Some(hmac);
}
