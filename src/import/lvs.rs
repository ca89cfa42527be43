//! Keywords of the blocks of which nothing has a setting: the load balancer in the kernel (LVS), BFD, track files.

/// The blocks, from the outside to the inside.
pub(super) const BLOCKS: [&str; 19] = [
    "virtual_server",
    "real_server",
    "HTTP_GET",
    "SSL_GET",
    "url",
    "TCP_CHECK",
    "SMTP_CHECK",
    "DNS_CHECK",
    "MISC_CHECK",
    "UDP_CHECK",
    "PING_CHECK",
    "BFD_CHECK",
    "FILE_CHECK",
    "host",
    "SSL",
    "bfd_instance",
    "track_file",
    "vrrp_track_file",
    "track_group",
];

/// The keywords in a block. `None`: it holds no keywords, or is not one of these.
pub(super) fn words_in(block: &str) -> Option<&'static [&'static str]> {
    Some(match block {
        "virtual_server" => &VIRTUAL_SERVER,
        "real_server" => &REAL_SERVER,
        "HTTP_GET" | "SSL_GET" => &HTTP,
        "url" => &URL,
        "TCP_CHECK" | "PING_CHECK" => &CHECKER,
        "SMTP_CHECK" => &SMTP,
        "host" => &HOST,
        "DNS_CHECK" => &DNS,
        "MISC_CHECK" => &MISC,
        "UDP_CHECK" => &UDP,
        "BFD_CHECK" => &["name", "alpha"],
        "FILE_CHECK" => &["track_file", "weight", "dynamic"],
        "SSL" => &["password", "ca", "certificate", "key"],
        "bfd_instance" => &BFD,
        "track_file" | "vrrp_track_file" => &["file", "weight", "init_file"],
        "track_group" => &["group"],
        _ => return None,
    })
}

#[rustfmt::skip] // Lists of words.
const VIRTUAL_SERVER: [&str; 40] = [
    "ip_family", "delay_loop", "inhibit_on_failure", "lb_algo", "lvs_sched", "hashed", "ops", "flag-1",
    "flag-2", "flag-3", "sh-port", "sh-fallback", "mh-port", "mh-fallback", "lb_kind", "lvs_method",
    "nat_mask", "persistence_engine", "persistence_timeout", "persistence_granularity", "protocol",
    "ha_suspend", "smtp_alert", "virtualhost", "snmp_name", "alpha", "omega", "quorum_up", "quorum_down",
    "quorum", "hysteresis", "weight", "sorry_server", "sorry_server_inhibit", "sorry_server_lvs_method",
    "real_server", "connect_timeout", "retry", "delay_before_retry", "warmup",
];

#[rustfmt::skip]
const REAL_SERVER: [&str; 26] = [
    "weight", "lvs_method", "uthreshold", "lthreshold", "inhibit_on_failure", "notify_up", "notify_down",
    "smtp_alert", "virtualhost", "snmp_name", "alpha", "connect_timeout", "retry", "delay_before_retry",
    "warmup", "delay_loop", "HTTP_GET", "SSL_GET", "TCP_CHECK", "SMTP_CHECK", "DNS_CHECK", "MISC_CHECK",
    "UDP_CHECK", "PING_CHECK", "BFD_CHECK", "FILE_CHECK",
];

#[rustfmt::skip]
const CHECKER: [&str; 13] = [
    "connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "connect_timeout", "alpha",
    "retry", "delay_before_retry", "warmup", "delay_loop", "log_all_failures",
];

#[rustfmt::skip]
const HTTP: [&str; 20] = [
    "connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "connect_timeout", "alpha", "retry",
    "nb_get_retry", "delay_before_retry", "warmup", "delay_loop", "log_all_failures", "virtualhost", "http_protocol",
    "enable_sni", "fast_recovery", "tls_compliant", "url",
];

#[rustfmt::skip]
const URL: [&str; 11] = [
    "path", "digest", "status_code", "virtualhost", "regex", "regex_no_match", "regex_options", "regex_min_offset",
    "regex_max_offset", "regex_stack", "tls_compliant",
];

#[rustfmt::skip]
const SMTP: [&str; 15] = [
    "connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "connect_timeout", "alpha",
    "retry", "delay_before_retry", "warmup", "delay_loop", "log_all_failures", "helo_name", "host",
];

#[rustfmt::skip]
const HOST: [&str; 7] = ["connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "connect_timeout"];

#[rustfmt::skip]
const DNS: [&str; 15] = [
    "connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "connect_timeout", "alpha",
    "retry", "delay_before_retry", "warmup", "delay_loop", "log_all_failures", "type", "name",
];

#[rustfmt::skip]
const MISC: [&str; 10] = [
    "misc_path", "misc_timeout", "misc_dynamic", "user", "alpha", "retry", "delay_before_retry", "warmup",
    "delay_loop", "log_all_failures",
];

#[rustfmt::skip]
const UDP: [&str; 17] = [
    "connect_ip", "connect_port", "bindto", "bind_if", "bind_port", "fwmark", "connect_timeout", "alpha",
    "retry", "delay_before_retry", "warmup", "delay_loop", "log_all_failures", "payload", "require_reply",
    "min_reply_length", "max_reply_length",
];

#[rustfmt::skip]
const BFD: [&str; 15] = [
    "neighbor_ip", "neighbour_ip", "source_ip", "min_rx", "min_tx", "idle_tx", "multiplier", "passive", "ttl",
    "hoplimit", "max_hops", "multihop", "weight", "vrrp", "checker",
];
