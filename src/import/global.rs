//! `global_defs`.

use super::part::Part;
use super::table::{Row, Treat};
use super::tree::Statement;
use super::units::{self, NO_VALUE, SECOND, micros, set_number, set_time, switch};
use Treat::{Map, Without};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const FIREWALL: &str =
    "no firewall rules are made here, and packets to the address are always accepted";
const ONE_PROCESS: &str = "there is one process, and it is called outrider";
const REALTIME: &str =
    "the agent asks for real-time scheduling and locked memory by itself, and says when it is not allowed";
const LVS: &str = "the agent moves an address; the load balancer is another program";
const BFD: &str = "there is no BFD here; OUTRIDER_VRRP_VERSION=3 with OUTRIDER_ADVERT_INTERVAL=10ms or more notices a \
                   dead host as fast";
const RELOAD: &str = "there is nothing to reload: settings are read when the agent starts";
const RIGHTS: &str = "checks by exec: run as user 65534 without any capability";
const METRICS: &str = "there is no SNMP or D-Bus here; metrics come with a later version";
const FILES: &str = "the agent writes no such file";
const BUFFERS: &str = "the buffers of the agent's sockets need no tuning";
const FIFO: &str = "there is no such pipe here; a program can be told of changes: OUTRIDER_NOTIFY_COMMAND";
pub(super) const VMAC: &str =
    "each host answers with its own MAC address here, and announces the address whenever it moves";

/// What may stand in `global_defs`.
#[rustfmt::skip] // A table: one row a line.
pub(super) static TABLE: &[Row<Part>] = &[
    ("router_id", Map(router_id)),
    ("lvs_id", Map(router_id)),
    ("notification_email", Map(notification_email)),
    ("notification_email_from", Map(|part, it| word(part, "OUTRIDER_SMTP_FROM", it))),
    ("smtp_server", Map(smtp_server)),
    ("smtp_connect_timeout", Map(|part, it| set_time(part, "OUTRIDER_SMTP_TIMEOUT", it, SECOND..=3600 * SECOND))),
    ("smtp_helo_name", Without("the agent greets with the host's name")),
    ("smtp_alert", Map(|part, it| part.alert = part.alert.or(switch(it)))),
    ("smtp_alert_vrrp", Map(|part, it| part.alert = switch(it).or(part.alert))),
    ("smtp_alert_checker", Without(LVS)),
    ("no_email_faults", Without("mail tells of every change of state here")),
    ("no_checker_emails", Without(LVS)),
    ("checker_log_all_failures", Without(LVS)),
    ("vrrp_version", Map(version)),
    ("vrrp_mcast_group4", Map(group)),
    ("vrrp_mcast_group6", Map(group)),
    ("vrrp_garp_master_delay", Map(garp_delay)),
    ("vrrp_garp_master_repeat", Map(garp_repeat)),
    ("vrrp_garp_master_refresh", Map(garp_refresh)),
    ("vrrp_garp_master_refresh_repeat", Without(REFRESH_REPEAT)),
    ("vrrp_garp_lower_prio_delay", Without(LOWER_PRIORITY)),
    ("vrrp_garp_lower_prio_repeat", Without(LOWER_PRIORITY)),
    ("vrrp_garp_interval", Map(garp_interval)),
    ("vrrp_gna_interval", Map(gna_interval)),
    ("vrrp_min_garp", Map(min_garp)),
    ("vrrp_garp_extra_if", Without(EXTRA_INTERFACE)),
    ("vrrp_vmac_garp_intvl", Without(EXTRA_INTERFACE)),
    ("vrrp_lower_prio_no_advert", Without(LOWER_ADVERT)),
    ("vrrp_higher_prio_send_advert", Without(HIGHER_ADVERT)),
    ("vrrp_down_timer_adverts", Without(DOWN_TIMER)),
    ("v3_checksum_as_v2", Map(checksum)),
    ("vrrp_check_unicast_src", Without(UNLISTED)),
    ("vrrp_skip_check_adv_addr", Without(ADDRESSES)),
    ("vrrp_strict", Map(|part, it| part.without(it, STRICT))),
    ("vrrp_iptables", Without(FIREWALL)),
    ("vrrp_ipsets", Without(FIREWALL)),
    ("nftables", Without(FIREWALL)),
    ("nftables_priority", Without(FIREWALL)),
    ("nftables_counters", Without(FIREWALL)),
    ("nftables_ifindex", Without(FIREWALL)),
    ("nftables_ipvs", Without(LVS)),
    ("nftables_ipvs_priority", Without(LVS)),
    ("nftables_ipvs_start_fwmark", Without(LVS)),
    ("disable_local_igmp", Without("the agent changes no kernel setting")),
    ("default_interface", Without("each address has an interface here: OUTRIDER_INTERFACE, or the one of its subnet")),
    ("dynamic_interfaces", Without("an interface that is not there yet is always waited for")),
    ("vrrp_startup_delay", Without(STARTUP)),
    ("vrrp_delay_after_boot", Without(STARTUP)),
    ("log_unknown_vrids", Without("adverts for other virtual routers are none of the agent's business")),
    ("vmac_prefix", Without(VMAC)),
    ("vmac_addr_prefix", Without(VMAC)),
    ("script_user", Without(RIGHTS)),
    ("enable_script_security", Without(RIGHTS)),
    ("startup_script", Without("no program is run at the start; whoever starts the agent can")),
    ("startup_script_timeout", Without("no program is run at the start; whoever starts the agent can")),
    ("shutdown_script", Without("no program is run at the end; whoever stops the agent can")),
    ("shutdown_script_timeout", Without("no program is run at the end; whoever stops the agent can")),
    ("notify_fifo", Without(FIFO)),
    ("notify_fifo_script", Without(FIFO)),
    ("vrrp_notify_fifo", Without(FIFO)),
    ("vrrp_notify_fifo_script", Without(FIFO)),
    ("vrrp_notify_priority_changes", Without(FIFO)),
    ("fifo_write_vrrp_states_on_reload", Without(FIFO)),
    ("lvs_notify_fifo", Without(LVS)),
    ("lvs_notify_fifo_script", Without(LVS)),
    ("lvs_sync_daemon", Without(LVS)),
    ("lvs_timeouts", Without(LVS)),
    ("lvs_flush", Without(LVS)),
    ("lvs_flush_on_stop", Without(LVS)),
    ("lvs_flush_onstop", Without(LVS)),
    ("lvs_process_name", Without(LVS)),
    ("lvs_netlink_cmd_rcv_bufs", Without(LVS)),
    ("lvs_netlink_cmd_rcv_bufs_force", Without(LVS)),
    ("lvs_netlink_monitor_rcv_bufs", Without(LVS)),
    ("lvs_netlink_monitor_rcv_bufs_force", Without(LVS)),
    ("rs_init_notifies", Without(LVS)),
    ("checker_process_name", Without(LVS)),
    ("checker_priority", Without(LVS)),
    ("checker_no_swap", Without(LVS)),
    ("checker_rt_priority", Without(LVS)),
    ("checker_cpu_affinity", Without(LVS)),
    ("checker_rlimit_rttime", Without(LVS)),
    ("checker_rlimit_rtime", Without(LVS)),
    ("bfd_process_name", Without(BFD)),
    ("bfd_priority", Without(BFD)),
    ("bfd_no_swap", Without(BFD)),
    ("bfd_rt_priority", Without(BFD)),
    ("bfd_cpu_affinity", Without(BFD)),
    ("bfd_rlimit_rttime", Without(BFD)),
    ("bfd_rlimit_rtime", Without(BFD)),
    ("process_names", Without(ONE_PROCESS)),
    ("process_name", Without(ONE_PROCESS)),
    ("vrrp_process_name", Without(ONE_PROCESS)),
    ("max_auto_priority", Without(REALTIME)),
    ("min_auto_priority_delay", Without(REALTIME)),
    ("vrrp_priority", Without(REALTIME)),
    ("vrrp_no_swap", Without(REALTIME)),
    ("vrrp_rt_priority", Without(REALTIME)),
    ("vrrp_rlimit_rttime", Without(REALTIME)),
    ("vrrp_rlimit_rtime", Without(REALTIME)),
    ("vrrp_cpu_affinity", Without("who starts the agent can bind it to processors: cpuset of the container, or taskset")),
    ("snmp_socket", Without(METRICS)),
    ("enable_traps", Without(METRICS)),
    ("enable_snmp_vrrp", Without(METRICS)),
    ("enable_snmp_keepalived", Without(METRICS)),
    ("enable_snmp_checker", Without(METRICS)),
    ("enable_snmp_rfc", Without(METRICS)),
    ("enable_snmp_rfcv2", Without(METRICS)),
    ("enable_snmp_rfcv3", Without(METRICS)),
    ("snmp_vs_stats_update_interval", Without(METRICS)),
    ("snmp_rs_stats_update_interval", Without(METRICS)),
    ("enable_dbus", Without(METRICS)),
    ("dbus_service_name", Without(METRICS)),
    ("dbus_no_interface_name", Without(METRICS)),
    ("vrrp_netlink_cmd_rcv_bufs", Without(BUFFERS)),
    ("vrrp_netlink_cmd_rcv_bufs_force", Without(BUFFERS)),
    ("vrrp_netlink_monitor_rcv_bufs", Without(BUFFERS)),
    ("vrrp_netlink_monitor_rcv_bufs_force", Without(BUFFERS)),
    ("process_monitor_rcv_bufs", Without(BUFFERS)),
    ("process_monitor_rcv_bufs_force", Without(BUFFERS)),
    ("vrrp_rx_bufs_policy", Without(BUFFERS)),
    ("vrrp_rx_bufs_multiplier", Without(BUFFERS)),
    ("umask", Without(FILES)),
    ("state_file_location", Without(FILES)),
    ("stats_file_location", Without(FILES)),
    ("json_file_location", Without(FILES)),
    ("json_version", Without(FILES)),
    ("data_use_instance", Without(FILES)),
    ("tmp_config_directory", Without(FILES)),
    ("config_save_dir", Without(FILES)),
    ("random_seed", Without("nothing is drawn by chance here")),
    ("reload_check_config", Without(RELOAD)),
    ("reload_time_file", Without(RELOAD)),
    ("reload_repeat", Without(RELOAD)),
    ("reload_file", Without(RELOAD)),
    ("include_check", Without("files that are missing are always told")),
    ("use_symlink_paths", Without("exec: takes the path as it is")),
    ("iproute_usr_dir", Without("no routes are moved here")),
    ("iproute_etc_dir", Without("no routes are moved here")),
];

pub(super) const REFRESH_REPEAT: &str = "each refresh is one announcement here";
pub(super) const LOWER_PRIORITY: &str = "when a lower priority is heard, the holder announces the address as after a take-over: OUTRIDER_GARP_REPEAT, _DELAY";
pub(super) const EXTRA_INTERFACE: &str =
    "the address is on one interface, and OUTRIDER_GARP_REFRESH announces it there";
pub(super) const LOWER_ADVERT: &str =
    "a holder that hears a lower priority always answers at once: both may hold the address";
pub(super) const HIGHER_ADVERT: &str =
    "a holder that is outranked always sends one more advert, so that the winner announces again";
pub(super) const DOWN_TIMER: &str =
    "Master_Down is three intervals here, as in the RFC; other members must have the same";
pub(super) const UNLISTED: &str = "a source that is not in the list is told and counted, not ignored: not to hear a holder would make two of them";
pub(super) const ADDRESSES: &str =
    "the addresses in an advert are always compared; others are told, and the advert counts";
pub(super) const STRICT: &str = "strict mode refuses unicast, passwords and preempt_delay, and drops packets to the address (why it does not answer to \
     ping). Nothing of it is needed here: what contradicts the RFC is a setting of its own";
const STARTUP: &str =
    "not needed: a host that hears nobody, no gateway and no peer, makes no claim (OUTRIDER_GUARD)";

impl AsMut<Part> for Part {
    fn as_mut(&mut self) -> &mut Part {
        self
    }
}

fn router_id(part: &mut Part, it: &Statement) {
    const NAME: &str = "OUTRIDER_ROUTER_ID";
    match it.value() {
        None => part.beside(NAME, it, NO_VALUE),
        Some(name) => {
            let printable: String = name.chars().filter(|letter| !letter.is_control()).take(64).collect();
            if printable != name {
                part.beside(NAME, it, "here it is a name of at most 64 printable characters");
            }
            part.set(NAME, printable);
        }
    }
}

fn notification_email(part: &mut Part, it: &Statement) {
    let addresses: Vec<String> = it.inner().iter().flat_map(|line| line.words.iter().cloned()).collect();
    if !addresses.is_empty() {
        part.settings.insert("OUTRIDER_SMTP_TO", addresses);
    }
}

fn word(part: &mut Part, name: &'static str, it: &Statement) {
    match it.value() {
        Some(value) => part.set(name, value),
        None => part.beside(name, it, NO_VALUE),
    }
}

fn smtp_server(part: &mut Part, it: &Statement) {
    const NAME: &str = "OUTRIDER_SMTP_SERVER";
    let port = it.words.get(2).map_or("25", String::as_str);
    match it.value() {
        None => part.beside(NAME, it, NO_VALUE),
        Some(host) if host.parse::<Ipv6Addr>().is_ok() => part.set(NAME, format!("[{host}]:{port}")),
        Some(host) => part.set(NAME, format!("{host}:{port}")),
    }
}

pub(super) fn version(part: &mut Part, it: &Statement) {
    const NAME: &str = "OUTRIDER_VRRP_VERSION";
    match it.value() {
        Some(version @ ("2" | "3")) => part.set(NAME, version),
        Some(_) => part.beside(NAME, it, "is neither 2 nor 3; left out, as keepalived does"),
        None => part.beside(NAME, it, NO_VALUE),
    }
}

/// The groups are those of the RFC here.
pub(super) fn group(part: &mut Part, it: &Statement) {
    const NAME: &str = "OUTRIDER_TRANSPORT";
    let usual =
        [IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)), IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12))];
    if !it.value().and_then(|group| group.parse().ok()).is_some_and(|group| usual.contains(&group)) {
        part.beside(
            NAME,
            it,
            "the groups are 224.0.0.18 and ff02::12 here. Members that use another do not hear those that do not, and hold \
             the address as well: change them together, or use unicast",
        );
    }
}

pub(super) fn garp_delay(part: &mut Part, it: &Statement) {
    set_time(part, "OUTRIDER_GARP_DELAY", it, 0..=60 * SECOND);
}

pub(super) fn garp_repeat(part: &mut Part, it: &Statement) {
    set_number(part, "OUTRIDER_GARP_REPEAT", it, 1..=100);
}

pub(super) fn garp_refresh(part: &mut Part, it: &Statement) {
    const NAME: &str = "OUTRIDER_GARP_REFRESH";
    if it.value().is_none() {
        part.beside(
            NAME,
            it,
            "has no number of seconds, and keepalived 2 does not start with that. 60s is the default here",
        );
        return;
    }
    set_time(part, NAME, it, 0..=86_400 * SECOND);
}

pub(super) fn garp_interval(part: &mut Part, it: &Statement) {
    set_time(part, "OUTRIDER_GARP_INTERVAL", it, 0..=SECOND);
}

/// One setting paces both kinds of announcements.
pub(super) fn gna_interval(part: &mut Part, it: &Statement) {
    const NAME: &str = "OUTRIDER_GARP_INTERVAL";
    match (part.settings.get(NAME), it.value().and_then(micros).map(units::duration)) {
        (Some(set), Some(wanted)) if set.first() != Some(&wanted) => {
            part.beside(NAME, it, "one setting paces ARP and neighbour advertisements; that of ARP is taken");
        }
        (Some(_), _) => {}
        (None, _) => garp_interval(part, it),
    }
}

fn min_garp(part: &mut Part, it: &Statement) {
    match switch(it) {
        Some(true) => {
            part.set("OUTRIDER_GARP_REPEAT", "1");
            part.set("OUTRIDER_GARP_DELAY", "0s");
        }
        Some(false) => {}
        None => part.beside("OUTRIDER_GARP_REPEAT", it, "is neither on nor off; left out"),
    }
}

pub(super) fn checksum(part: &mut Part, it: &Statement) {
    match switch(it) {
        Some(true) => part.set("OUTRIDER_CHECKSUM", "message"),
        Some(false) => part.set("OUTRIDER_CHECKSUM", "pseudo-header"),
        None => part.beside("OUTRIDER_CHECKSUM", it, "is neither on nor off; left out"),
    }
}
