//! Reads every setting, and checks what must hold between them.

use super::layers::Layers;
use super::values::{self, Wrong, human};
use super::{
    Announcements, CheckSetting, CheckSettings, Config, Faults, Guards, Lease, Loaded, Origin, Peers, Target,
    Vip,
};
use crate::core::advert::Version;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

const fn seconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

const fn milliseconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(from)..=Duration::from_millis(to)
}

impl Config {
    /// Reads the settings from environment variables (`std::env::vars_os()`) and the files they name.
    /// Nothing else is touched.
    ///
    /// # Errors
    /// All faults of all settings at once.
    pub fn load<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> Result<Loaded, Faults>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut layers = Layers::read(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        match (read(&mut layers), layers.faults.is_empty()) {
            (Some(config), true) => {
                let Layers { origins, warnings, texts, .. } = layers;
                Ok(Loaded { config, origins, warnings, texts })
            }
            _ => Err(layers.into_faults()),
        }
    }
}

/// Every setting is read before the first missing one ends this, so that every fault is found.
fn read(layers: &mut Layers) -> Option<Config> {
    let vips = vips(layers);
    let interface = layers.one("OUTRIDER_INTERFACE", values::interface);
    let source = layers.one("OUTRIDER_SOURCE", values::host_address);
    let peers = peers(layers);
    let metadata_url = layers.one("OUTRIDER_METADATA_URL", values::base_url);
    let host_label = host_label(layers);
    let state_file = layers.one("OUTRIDER_STATE_FILE", values::path);
    let router_id = layers.one("OUTRIDER_ROUTER_ID", values::router_id);
    let vrid = vrid(layers, vips.as_deref());
    let priority = layers.one("OUTRIDER_PRIORITY", |text| values::number(text, 1..=254));
    let preempt = layers.one("OUTRIDER_PREEMPT", values::boolean);
    let preempt_delay = layers.one("OUTRIDER_PREEMPT_DELAY", |text| values::duration(text, seconds(0, 3600)));
    let version = layers.one("OUTRIDER_VRRP_VERSION", values::version);
    let interval = interval(layers, version);
    let checksum = layers.one("OUTRIDER_CHECKSUM", str::parse);
    let min_ttl = layers.one("OUTRIDER_MIN_TTL", |text| values::number(text, 1..=255));
    let check = check(layers, peers.as_ref());
    let checks = checks(layers);
    let track_link = layers.one("OUTRIDER_TRACK_LINK", values::boolean);
    let lease = layers.one("OUTRIDER_LEASE", str::parse);
    let guards = guards(layers);
    let socket = socket(layers, vips.as_deref());
    let adopt = layers.one("OUTRIDER_ADOPT", values::boolean);
    let handover_limit =
        layers.one("OUTRIDER_HANDOVER_LIMIT", |text| values::duration(text, seconds(0, 300)));
    let announcements = announcements(layers);
    let log = layers.one("OUTRIDER_LOG", values::log_levels);
    let log_format = layers.one("OUTRIDER_LOG_FORMAT", str::parse);
    layers.text("OUTRIDER_CONFIG");

    moving_addresses(layers, vips.as_deref(), source, peers.as_ref());
    without_effect(layers, peers.as_ref(), preempt);
    if lease == Some(Lease::Forever) {
        layers.warnings.push(
            "OUTRIDER_LEASE is forever: the address of an agent that dies stays behind, beside the next holder's"
                .to_owned(),
        );
    }
    if handover_limit.is_some_and(|limit| limit > Duration::from_secs(9)) {
        layers.warnings.push(
            "OUTRIDER_HANDOVER_LIMIT is above 9s: Docker kills after 10s unless told to wait longer"
                .to_owned(),
        );
    }

    let config = Config {
        vips: vips?,
        interface,
        source: source.map(IpAddr::V4),
        peers: peers?,
        metadata_url: metadata_url?,
        host_label: host_label?,
        state_file,
        router_id,
        vrid: vrid?,
        priority,
        preempt: preempt?,
        preempt_delay: preempt_delay?,
        version: version?,
        interval: interval?,
        checksum: checksum?,
        min_ttl: min_ttl?,
        check: check?,
        checks: checks?,
        track_link: track_link?,
        lease: lease?,
        guards: guards?,
        socket: socket?,
        adopt: adopt?,
        handover_limit: handover_limit?,
        announcements: announcements?,
        log: log?,
        log_format: log_format?,
    };
    Some(config)
}

fn vips(layers: &mut Layers) -> Option<Vec<Vip>> {
    const NAME: &str = "OUTRIDER_VIP";
    let text = layers.text(NAME)?;
    if text.contains([';', '\n']) {
        let several =
            Wrong::from("names several virtual routers, which is not supported by this version yet");
        let remedy = "separate the addresses of one router by commas, for example 10.10.10.2,10.10.10.3";
        layers.fault(NAME, &text, several.remedy(remedy));
        return None;
    }
    let vips: Vec<Vip> = layers.items(NAME, &text, str::parse)?;
    let again = vips
        .iter()
        .enumerate()
        .find(|(index, vip)| vips.iter().take(*index).any(|earlier| earlier.address == vip.address));
    if let Some((_, vip)) = again {
        let twice = Wrong::from("is there twice, with and without a prefix length").remedy("leave one out");
        layers.fault(NAME, &vip.address.to_string(), twice);
        return None;
    }
    if vips.len() > 255 {
        let many = Wrong::from("has more than the 255 addresses that fit into an advert");
        layers.fault(NAME, &text, many.remedy("leave some out"));
        return None;
    }
    Some(vips)
}

fn peers(layers: &mut Layers) -> Option<Peers> {
    const NAME: &str = "OUTRIDER_PEERS";
    let text = layers.text(NAME)?;
    match text.as_str() {
        "rancher" => Some(Peers::Rancher),
        _ => layers.items(NAME, &text, values::peer).map(Peers::List),
    }
}

fn guards(layers: &mut Layers) -> Option<Guards> {
    const NAME: &str = "OUTRIDER_GUARD";
    let text = layers.text(NAME)?;
    match text.as_str() {
        "auto" => Some(Guards::Auto),
        "off" => Some(Guards::Off),
        _ => layers.items(NAME, &text, values::guard).map(Guards::These),
    }
}

fn socket(layers: &mut Layers, vips: Option<&[Vip]>) -> Option<String> {
    const NAME: &str = "OUTRIDER_SOCKET";
    let written = layers.one(NAME, values::socket);
    if layers.is_set(NAME) {
        return written;
    }
    let name = format!("@outrider/{}", vips?.first()?.address);
    layers.settle(NAME, name.clone(), Origin::Derived);
    Some(name)
}

fn host_label(layers: &mut Layers) -> Option<Vec<(String, String)>> {
    const NAME: &str = "OUTRIDER_HOST_LABEL";
    let labels = layers.list(NAME, values::label)?;
    for (index, (key, _)) in labels.iter().enumerate() {
        if labels.iter().skip(index + 1).any(|(other, _)| other == key) {
            let two = Wrong::from("is wanted with two values, which no host has");
            layers.fault(NAME, key, two.remedy("leave one out"));
        }
    }
    Some(labels)
}

fn vrid(layers: &mut Layers, vips: Option<&[Vip]>) -> Option<u8> {
    const NAME: &str = "OUTRIDER_VRID";
    let written = layers.one(NAME, |text| values::number(text, 1..=255));
    if layers.is_set(NAME) {
        return written;
    }
    let lowest = vips?.iter().map(|vip| vip.address).min()?;
    let [.., vrid] = lowest.octets();
    if vrid == 0 {
        let no_vrid = Wrong::from("ends in 0, which is no virtual router id");
        layers.fault(
            "OUTRIDER_VIP",
            &lowest.to_string(),
            no_vrid.remedy("set OUTRIDER_VRID, for example to 10"),
        );
        return None;
    }
    layers.settle(NAME, vrid.to_string(), Origin::Derived);
    Some(vrid)
}

fn interval(layers: &mut Layers, version: Option<Version>) -> Option<Duration> {
    const NAME: &str = "OUTRIDER_ADVERT_INTERVAL";
    let written = layers.one(NAME, |text| values::advert_interval(text, version));
    if layers.is_set(NAME) {
        return written;
    }
    let interval = match version? {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => Duration::from_millis(200),
    };
    layers.settle(NAME, human(interval), Origin::Default);
    Some(interval)
}

fn check(layers: &mut Layers, peers: Option<&Peers>) -> Option<CheckSetting> {
    const NAME: &str = "OUTRIDER_CHECK";
    const SERVICE: &str = "OUTRIDER_LB";
    let service = layers.one(SERVICE, values::service);
    let text = layers.text(NAME);
    let no_effect = match peers {
        _ if layers.is_set(NAME) => Some("has no effect beside OUTRIDER_CHECK"),
        Some(Peers::List(_)) => Some("is looked up in the metadata, which is not asked with a list of peers"),
        _ => None,
    };
    if let (Some(what), Some((stack, name))) = (no_effect, &service) {
        let text = format!("{stack}/{name}");
        layers.fault(SERVICE, &text, Wrong::from(what).remedy("set OUTRIDER_CHECK alone"));
    }
    if !layers.is_set(NAME) {
        return match peers? {
            Peers::Rancher => Some(CheckSetting::Published(service)),
            Peers::List(_) => {
                let local = Target::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: 80 };
                layers.settle(NAME, local.to_string(), Origin::Default);
                Some(CheckSetting::These(vec![local]))
            }
        };
    }
    let text = text?;
    if text == "none" {
        return Some(CheckSetting::These(Vec::new()));
    }
    let targets: Vec<Target> = layers.items(NAME, &text, str::parse)?;
    let shown: Vec<String> = targets.iter().map(Target::to_string).collect();
    layers.texts.insert(NAME, shown.join("; "));
    Some(CheckSetting::These(targets))
}

fn checks(layers: &mut Layers) -> Option<CheckSettings> {
    let mut time = |name| layers.one(name, |text| values::duration(text, milliseconds(10, 3_600_000)));
    let interval = time("OUTRIDER_CHECK_INTERVAL");
    let timeout = time("OUTRIDER_CHECK_TIMEOUT");
    let mut count = |name| layers.one(name, |text| values::number(text, 1..=1000));
    let rise = count("OUTRIDER_CHECK_RISE");
    let fall = count("OUTRIDER_CHECK_FALL");
    let status = layers.list("OUTRIDER_CHECK_STATUS", values::status);
    let host_header = layers.one("OUTRIDER_CHECK_HOST_HEADER", values::host_header);
    let tls_verify = layers.one("OUTRIDER_CHECK_TLS_VERIFY", values::boolean);
    Some(CheckSettings {
        interval: interval?,
        timeout: timeout?,
        rise: rise?,
        fall: fall?,
        status: status.unwrap_or_default(),
        host_header,
        tls_verify: tls_verify?,
    })
}

fn announcements(layers: &mut Layers) -> Option<Announcements> {
    let repeat = layers.one("OUTRIDER_GARP_REPEAT", |text| values::number(text, 1..=100));
    let mut time = |name, range| layers.one(name, |text| values::duration(text, range));
    let delay = time("OUTRIDER_GARP_DELAY", seconds(0, 60));
    let refresh = time("OUTRIDER_GARP_REFRESH", seconds(0, 86_400));
    let interval = time("OUTRIDER_GARP_INTERVAL", milliseconds(0, 1000));
    Some(Announcements { repeat: repeat?, delay: delay?, refresh: refresh?, interval: interval? })
}

/// The address moves between hosts: it cannot be where adverts come from or go to.
fn moving_addresses(
    layers: &mut Layers,
    vips: Option<&[Vip]>,
    source: Option<Ipv4Addr>,
    peers: Option<&Peers>,
) {
    let sources = source.into_iter().map(|source| ("OUTRIDER_SOURCE", IpAddr::V4(source)));
    let listed = match peers {
        Some(Peers::List(list)) => list.as_slice(),
        _ => &[],
    };
    let peers = listed.iter().map(|peer| ("OUTRIDER_PEERS", *peer));
    let vips = vips.unwrap_or_default();
    for (name, address) in sources.chain(peers) {
        if vips.iter().any(|vip| vip.address == address) {
            let moving = Wrong::from("is an address of OUTRIDER_VIP, which moves between hosts");
            layers.fault(
                name,
                &address.to_string(),
                moving.remedy("write a host's own address, for example 10.0.0.11"),
            );
        }
    }
}

/// Warns of settings that others have made idle.
fn without_effect(layers: &mut Layers, peers: Option<&Peers>, preempt: Option<bool>) {
    let idle = |name: &'static str| layers.is_set(name).then_some(name);
    let mut warnings = Vec::new();
    if let Some(Peers::List(_)) = peers {
        for name in ["OUTRIDER_METADATA_URL", "OUTRIDER_HOST_LABEL", "OUTRIDER_STATE_FILE"] {
            warnings.extend(idle(name).map(|name| format!("{name} has no effect with a list of peers")));
        }
    }
    if preempt == Some(false) {
        let delay = idle("OUTRIDER_PREEMPT_DELAY");
        warnings.extend(delay.map(|name| format!("{name} has no effect without OUTRIDER_PREEMPT")));
    }
    layers.warnings.extend(warnings);
}
