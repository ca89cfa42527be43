//! What is checked, and how.

use crate::config::reader::Reader;
use crate::config::values::{self, Wrong};
use crate::config::{CheckSetting, CheckSettings, Origin, Peers, Target};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

const PAUSES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(3600);

/// What is checked.
pub(super) fn check(reader: &mut Reader, peers: Option<&Peers>) -> Option<CheckSetting> {
    const NAME: &str = "OUTRIDER_CHECK";
    const SERVICE: &str = "OUTRIDER_LB";
    let service = reader.one(SERVICE, values::service);
    let text = reader.text(NAME);
    let no_effect = match peers {
        _ if reader.is_set(NAME) => Some("has no effect beside OUTRIDER_CHECK"),
        Some(Peers::List(_)) => Some("is looked up in the metadata, which is not asked with a list of peers"),
        Some(Peers::None) => Some("is looked up in the metadata, which is not asked without peers"),
        _ => None,
    };
    if let (Some(what), Some((stack, name))) = (no_effect, &service) {
        let text = format!("{stack}/{name}");
        reader.fault(SERVICE, &text, Wrong::from(what).remedy("set OUTRIDER_CHECK alone"));
    }
    if !reader.is_set(NAME) {
        return match peers? {
            Peers::Rancher => Some(CheckSetting::Published(service)),
            Peers::List(_) | Peers::None => {
                let local = Target::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: 80 };
                reader.settle(NAME, local.to_string(), Origin::Default);
                Some(CheckSetting::These(vec![local]))
            }
        };
    }
    let text = text?;
    if text == "none" {
        return Some(CheckSetting::These(Vec::new()));
    }
    let targets: Vec<Target> = reader.items(NAME, &text, str::parse)?;
    let shown: Vec<String> = targets.iter().map(Target::to_string).collect();
    reader.show(NAME, shown.join("; "));
    Some(CheckSetting::These(targets))
}

/// How it is checked.
pub(super) fn checks(reader: &mut Reader) -> Option<CheckSettings> {
    let mut time = |name| reader.one(name, |text| values::duration(text, PAUSES));
    let interval = time("OUTRIDER_CHECK_INTERVAL");
    let timeout = time("OUTRIDER_CHECK_TIMEOUT");
    let mut count = |name| reader.one(name, |text| values::number(text, 1..=1000));
    let rise = count("OUTRIDER_CHECK_RISE");
    let fall = count("OUTRIDER_CHECK_FALL");
    let status = reader.list("OUTRIDER_CHECK_STATUS", values::status);
    let host_header = reader.one("OUTRIDER_CHECK_HOST_HEADER", values::host_header);
    let tls_verify = reader.one("OUTRIDER_CHECK_TLS_VERIFY", values::boolean);
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
