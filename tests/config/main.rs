//! Settings: what is accepted, what is told about what is not, and that no secret gets out.
#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod auth;
mod binary;
mod messages;
mod notify;
mod properties;
mod routers;
mod secrets;

use outrider::config::{
    Auth, AuthMode, CheckSetting, Checksum, Config, Family, Faults, Lease, Loaded, LogFormat, MailTls,
    Notify, Origin, Peers, Router, Target, Transport, Vip, WebhookFormat, describe, help,
};
use outrider::core::advert::Version;
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Every variable of this version with a value that is not its default. The names are public.
const ALL: [(&str, &str); 56] = [
    ("OUTRIDER_VIP", "10.10.10.9/24, 10.10.10.5"),
    ("OUTRIDER_INTERFACE", "eth1"),
    ("OUTRIDER_SOURCE", "10.0.0.12"),
    ("OUTRIDER_PEERS", "10.0.0.11, 10.0.0.12"),
    ("OUTRIDER_METADATA_URL", "http://meta:8443/latest/"),
    ("OUTRIDER_HOST_LABEL", "role=lb, tier=front"),
    ("OUTRIDER_STATE_FILE", "/var/lib/outrider/state.json"),
    ("OUTRIDER_ROUTER_ID", "left one"),
    ("OUTRIDER_VRID", "77"),
    ("OUTRIDER_PRIORITY", "254"),
    ("OUTRIDER_PREEMPT", "true"),
    ("OUTRIDER_PREEMPT_DELAY", "1m"),
    ("OUTRIDER_VRRP_VERSION", "2"),
    ("OUTRIDER_ADVERT_INTERVAL", "3s"),
    ("OUTRIDER_TRANSPORT", "multicast"),
    ("OUTRIDER_CHECKSUM", "message"),
    ("OUTRIDER_MIN_TTL", "1"),
    ("OUTRIDER_AUTH_PASS", ""),
    ("OUTRIDER_AUTH_KEYS", KEY),
    ("OUTRIDER_AUTH_MODE", "permissive"),
    ("OUTRIDER_LB", ""),
    ("OUTRIDER_CHECK", "tcp://[::1]:80; http://lb.example:8080/health?x=1\nhttps://10.0.0.1/;"),
    ("OUTRIDER_CHECK_INTERVAL", "500ms"),
    ("OUTRIDER_CHECK_TIMEOUT", "1.5s"),
    ("OUTRIDER_CHECK_RISE", "3"),
    ("OUTRIDER_CHECK_FALL", "4"),
    ("OUTRIDER_CHECK_STATUS", "200-399, 401"),
    ("OUTRIDER_CHECK_HOST_HEADER", "www.example.com:8080"),
    ("OUTRIDER_CHECK_TLS_VERIFY", "false"),
    ("OUTRIDER_TRACK_LINK", "false"),
    ("OUTRIDER_LEASE", "forever"),
    ("OUTRIDER_GUARD", "10.0.0.1,10.0.0.254"),
    ("OUTRIDER_ADOPT", "true"),
    ("OUTRIDER_HANDOVER_LIMIT", "0s"),
    ("OUTRIDER_GARP_REPEAT", "1"),
    ("OUTRIDER_GARP_DELAY", "2s"),
    ("OUTRIDER_GARP_REFRESH", "1h"),
    ("OUTRIDER_GARP_INTERVAL", "10ms"),
    ("OUTRIDER_STATUS_LISTEN", "0.0.0.0:9112"),
    ("OUTRIDER_STATUS_TOKEN", "0123456789abcdef"),
    ("OUTRIDER_SMTP_SERVER", "mail.example.com:2525"),
    ("OUTRIDER_SMTP_FROM", "Outrider <lb@example.com>"),
    ("OUTRIDER_SMTP_TO", "ops@example.com, On Call <oncall@example.com>"),
    ("OUTRIDER_SMTP_USER", "lb"),
    ("OUTRIDER_SMTP_PASSWORD", "hunter2"),
    ("OUTRIDER_SMTP_TLS", "tls"),
    ("OUTRIDER_SMTP_TLS_VERIFY", "false"),
    ("OUTRIDER_SMTP_TIMEOUT", "1m"),
    ("OUTRIDER_WEBHOOK_URL", "https://chat.example.com/hook/hunter2"),
    ("OUTRIDER_WEBHOOK_FORMAT", "text"),
    ("OUTRIDER_WEBHOOK_KEY", "hunter2hunter2hunter2"),
    ("OUTRIDER_NOTIFY_COMMAND", "/usr/local/bin/notify 'two words'"),
    ("OUTRIDER_SOCKET", "/run/outrider.sock"),
    ("OUTRIDER_LOG", "warn, outrider::net=debug"),
    ("OUTRIDER_LOG_FORMAT", "json"),
    ("OUTRIDER_CONFIG", ""),
];

const KEY: &str = "7:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1E1F";

const VIP: (&str, &str) = ("OUTRIDER_VIP", "10.10.10.2");

fn load(variables: &[(&str, &str)]) -> Result<Loaded, Faults> {
    Config::load(variables.iter().copied())
}

/// With a good OUTRIDER_VIP in front.
fn load_with(variables: &[(&str, &str)]) -> Result<Loaded, Faults> {
    Config::load([VIP].into_iter().chain(variables.iter().copied()))
}

/// The only virtual router.
fn only(loaded: &Loaded) -> &Router {
    match loaded.config.routers.as_slice() {
        [router] => router,
        routers => panic!("{routers:?}"),
    }
}

/// What a setting of the only virtual router is shown as.
fn row(loaded: &Loaded, name: &str) -> (String, Origin) {
    let sections = describe(loaded);
    let [section] = sections.as_slice() else { panic!("{sections:?}") };
    let row = section.rows.iter().find(|(known, ..)| *known == name);
    row.map(|(_, text, origin)| (text.clone(), origin.clone())).unwrap()
}

fn origin<'a>(loaded: &'a Loaded, name: &str) -> &'a Origin {
    loaded.origin(0, name).unwrap()
}

fn faults(variables: &[(&str, &str)]) -> Vec<String> {
    load(variables).unwrap_err().0
}

fn faults_with(variables: &[(&str, &str)]) -> Vec<String> {
    load_with(variables).unwrap_err().0
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn addresses(list: &[[u8; 4]]) -> Vec<IpAddr> {
    list.iter().map(|octets| IpAddr::from(*octets)).collect()
}

fn url(target: &Target) -> &str {
    match target {
        Target::Http { url } => url,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_address_alone_is_enough() {
    let loaded = load(&[VIP]).unwrap();
    let (config, router) = (&loaded.config, only(&loaded));
    assert_eq!(router.vips, [Vip { address: [10, 10, 10, 2].into(), prefix: None }]);
    assert_eq!((router.interface.as_deref(), router.source), (None, None));
    assert_eq!(router.peers, Peers::Rancher);
    assert_eq!(config.metadata_url.as_str(), "http://169.254.169.250/2016-07-29");
    assert_eq!(config.host_label, [("role".to_owned(), "load-balancer".to_owned())]);
    assert_eq!((&config.state_file, &config.router_id), (&None, &None));
    assert_eq!((router.vrid, router.priority), (2, None));
    assert_eq!((router.preempt, router.preempt_delay), (false, Duration::ZERO));
    assert_eq!((router.version, router.interval), (Version::V3, Duration::from_millis(200)));
    assert_eq!((router.transport, &router.auth), (Transport::Unicast, &Auth::None));
    assert_eq!((router.checksum, router.min_ttl), (Checksum::PseudoHeader, 255));
    assert_eq!((router.name.as_str(), router.family()), ("10.10.10.2", Family::V4));
    assert_eq!(router.check, CheckSetting::Published(None));
    assert_eq!(router.checks.interval, Duration::from_secs(1));
    assert_eq!(router.checks.timeout, Duration::from_secs(1));
    assert_eq!((router.checks.rise, router.checks.fall), (2, 2));
    assert_eq!((&router.checks.status, &router.checks.host_header), (&vec![], &None));
    assert!(router.checks.tls_verify);
    assert!(router.track_link);
    assert_eq!((router.lease, router.adopt), (Lease::Auto, false));
    assert_eq!(router.handover_limit, Duration::from_secs(5));
    let garp = router.announcements;
    assert_eq!((garp.repeat, garp.delay), (5, Duration::from_secs(1)));
    assert_eq!((garp.refresh, garp.interval), (Duration::from_secs(60), Duration::ZERO));
    assert_eq!(config.notify, Notify::default());
    assert_eq!((config.log.to_string().as_str(), config.log_format), ("info", LogFormat::Text));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn every_variable_reaches_its_field() {
    let loaded = load(&ALL).unwrap();
    let (config, router) = (&loaded.config, only(&loaded));
    let vip = |last, prefix| Vip { address: [10, 10, 10, last].into(), prefix };
    assert_eq!(router.vips, [vip(9, Some(24)), vip(5, None)]);
    assert_eq!(router.interface.as_deref(), Some("eth1"));
    assert_eq!(router.source, Some(IpAddr::from([10, 0, 0, 12])));
    assert_eq!(router.peers, Peers::List(addresses(&[[10, 0, 0, 11], [10, 0, 0, 12]])));
    assert_eq!(config.metadata_url.as_str(), "http://meta:8443/latest");
    assert_eq!(config.host_label, [("role".into(), "lb".into()), ("tier".into(), "front".into())]);
    assert_eq!(config.state_file, Some(PathBuf::from("/var/lib/outrider/state.json")));
    assert_eq!(config.router_id.as_deref(), Some("left one"));
    assert_eq!((router.vrid, router.priority), (77, Some(254)));
    assert_eq!((router.preempt, router.preempt_delay), (true, Duration::from_secs(60)));
    assert_eq!((router.version, router.interval), (Version::V2, Duration::from_secs(3)));
    assert_eq!(router.transport, Transport::Multicast);
    assert_eq!((router.checksum, router.min_ttl), (Checksum::Message, 1));
    let Auth::Keys { keys, mode: AuthMode::Permissive } = &router.auth else { panic!("{:?}", router.auth) };
    assert_eq!((keys.len(), keys[0].id, keys[0].secret.as_slice()), (1, 7, &*(0..32).collect::<Vec<u8>>()));
    let CheckSetting::These(targets) = &router.check else { panic!("{:?}", router.check) };
    assert_eq!(targets[0], Target::Tcp { host: "::1".into(), port: 80 });
    assert_eq!(url(&targets[1]), "http://lb.example:8080/health?x=1");
    assert_eq!(url(&targets[2]), "https://10.0.0.1/");
    assert_eq!(targets.len(), 3);
    assert_eq!(router.checks.interval, Duration::from_millis(500));
    assert_eq!(router.checks.timeout, Duration::from_millis(1500));
    assert_eq!((router.checks.rise, router.checks.fall), (3, 4));
    assert_eq!(router.checks.status, [(200, 399), (401, 401)]);
    assert_eq!(router.checks.host_header.as_deref(), Some("www.example.com:8080"));
    assert!(!router.checks.tls_verify);
    assert!(!router.track_link);
    assert_eq!((router.lease, router.adopt), (Lease::Forever, true));
    assert_eq!(router.handover_limit, Duration::ZERO);
    let garp = router.announcements;
    assert_eq!((garp.repeat, garp.delay), (1, Duration::from_secs(2)));
    assert_eq!((garp.refresh, garp.interval), (Duration::from_secs(3600), Duration::from_millis(10)));
    let mail = config.notify.mail.as_ref().unwrap();
    assert_eq!((mail.host.as_str(), mail.port), ("mail.example.com", 2525));
    assert_eq!(mail.from.as_ref().unwrap().to_string(), "Outrider <lb@example.com>");
    let to: Vec<String> = mail.to.iter().map(ToString::to_string).collect();
    assert_eq!(to, ["ops@example.com", "On Call <oncall@example.com>"]);
    let (user, password) = mail.login.as_ref().unwrap();
    assert_eq!((user.as_str(), password.as_str()), ("lb", "hunter2"));
    assert_eq!((mail.tls, mail.verify, mail.timeout), (MailTls::Tls, false, Duration::from_secs(60)));
    let webhook = config.notify.webhook.as_ref().unwrap();
    assert_eq!(webhook.url.as_str(), "https://chat.example.com/hook/hunter2");
    assert_eq!(webhook.format, WebhookFormat::Text);
    assert_eq!(webhook.key.as_ref().unwrap().as_str(), "hunter2hunter2hunter2");
    let command = config.notify.command.as_deref().unwrap();
    assert_eq!(command, ["/usr/local/bin/notify", "two words"]);
    assert_eq!(config.log.to_string(), "outrider::net=debug,warn");
    assert_eq!(config.log_format, LogFormat::Json);
    for (name, value) in ALL {
        let expected = if value.is_empty() { Origin::Default } else { Origin::Environment };
        assert_eq!(origin(&loaded, name), &expected, "{name}");
    }
    let lb = load_with(&[("OUTRIDER_LB", "web/lb")]).unwrap();
    assert_eq!(only(&lb).check, CheckSetting::Published(Some(("web".into(), "lb".into()))));
}

#[test]
fn empty_means_unset() {
    let empty: Vec<(&str, &str)> = ALL.iter().map(|(name, _)| (*name, " ")).skip(1).collect();
    let loaded = load_with(&empty).unwrap();
    assert_eq!(describe(&loaded), describe(&load(&[VIP]).unwrap()));
    assert_eq!(load_with(&[("OUTRIDER_GUARD", ""), ("OUTRIDER_VPI", "")]).unwrap().warnings, [""; 0]);
    assert_eq!(faults(&[("OUTRIDER_VIP", "")]), ["OUTRIDER_VIP is not set; write for example 10.10.10.2"]);
}

#[test]
fn what_depends_on_other_settings() {
    let two = load(&[("OUTRIDER_VIP", "10.10.11.1,10.10.10.200")]).unwrap();
    assert_eq!((only(&two).vrid, origin(&two, "OUTRIDER_VRID")), (200, &Origin::Derived));

    let v2 = load_with(&[("OUTRIDER_VRRP_VERSION", "2")]).unwrap();
    assert_eq!(only(&v2).interval, Duration::from_secs(1));
    assert_eq!(row(&v2, "OUTRIDER_ADVERT_INTERVAL"), ("1s".to_owned(), Origin::Default));

    let longest = load_with(&[("OUTRIDER_ADVERT_INTERVAL", "40.95s")]).unwrap();
    assert_eq!(only(&longest).interval, Duration::from_millis(40_950));

    let nobody = [("OUTRIDER_PEERS", "none"), ("OUTRIDER_TRANSPORT", "multicast")];
    for (variables, peers) in [
        (&[("OUTRIDER_PEERS", "10.0.0.11")][..], Peers::List(addresses(&[[10, 0, 0, 11]]))),
        (&nobody, Peers::None),
    ] {
        let listed = load_with(variables).unwrap();
        assert_eq!(only(&listed).peers, peers);
        let local = Target::Tcp { host: "127.0.0.1".into(), port: 80 };
        assert_eq!(only(&listed).check, CheckSetting::These(vec![local]));
        assert_eq!(row(&listed, "OUTRIDER_CHECK"), ("tcp://127.0.0.1:80".to_owned(), Origin::Default));
    }

    let unchecked = load_with(&[("OUTRIDER_CHECK", "none")]).unwrap();
    assert_eq!(only(&unchecked).check, CheckSetting::These(vec![]));
}

#[test]
fn injected_and_idle_variables_only_warn() {
    let loaded = load_with(&[
        ("OUTRIDER_PORT", "tcp://172.17.0.2:9112"),
        ("OUTRIDER_PORT_9112_TCP_ADDR", "172.17.0.2"),
        ("OUTRIDER_STATUS_SERVICE_HOST", "10.43.0.9"),
        ("OUTRIDER_SERVICE_PORT_HTTP", "9112"),
        ("OUTRIDER_ENV_PATH", "/bin"),
        ("OUTRIDER_NAME", "/web/outrider"),
        ("OUTRIDERS", "not ours"),
    ]);
    assert_eq!(
        loaded.unwrap().warnings,
        [
            "ignored, as if put there by a container link or an orchestrator: OUTRIDER_ENV_PATH, OUTRIDER_NAME, \
          OUTRIDER_PORT, OUTRIDER_PORT_9112_TCP_ADDR, OUTRIDER_SERVICE_PORT_HTTP, OUTRIDER_STATUS_SERVICE_HOST"
        ]
    );
    let loaded = load_with(&[
        ("OUTRIDER_PEERS", "10.0.0.11"),
        ("OUTRIDER_HOST_LABEL", "role=lb"),
        ("OUTRIDER_PREEMPT_DELAY", "5s"),
        ("OUTRIDER_LEASE", "forever"),
        ("OUTRIDER_HANDOVER_LIMIT", "20s"),
    ]);
    assert_eq!(
        loaded.unwrap().warnings,
        [
            "OUTRIDER_HOST_LABEL has no effect with a list of peers",
            "OUTRIDER_PREEMPT_DELAY has no effect without OUTRIDER_PREEMPT",
            "OUTRIDER_LEASE is forever: the address of an agent that dies stays behind, beside the next holder's",
            "OUTRIDER_HANDOVER_LIMIT is above 9s: Docker kills after 10s unless told to wait longer",
        ]
    );
}

#[test]
fn the_file_lies_under_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        "outrider.toml",
        r#"
            vip = ["10.10.10.2", "10.10.10.3/24"]
            vrid = 7
            preempt = true
            host_label = "role=lb"
            check = ["tcp://a:1", "tcp://b:2"]
            check_status = [200, "301-302"]
            check_interval = "2s"
            lease = ""
        "#,
    );
    let loaded = load(&[
        ("OUTRIDER_CONFIG", &path),
        ("OUTRIDER_VRID", "8"),
        ("OUTRIDER_HOST_LABEL", ""),
        ("OUTRIDER_CHECK_STATUS", "200"),
    ])
    .unwrap();
    let (config, router) = (&loaded.config, only(&loaded));
    assert_eq!(router.vips.len(), 2);
    assert_eq!(router.vrid, 8);
    assert!(router.preempt);
    assert_eq!(config.host_label, [("role".into(), "lb".into())]);
    assert_eq!(router.checks.status, [(200, 200)]);
    assert_eq!(router.checks.interval, Duration::from_secs(2));
    assert!(matches!(&router.check, CheckSetting::These(two) if two.len() == 2));
    let from_file = Origin::File(path.clone().into());
    for (name, origin) in [
        ("OUTRIDER_VIP", &from_file),
        ("OUTRIDER_VRID", &Origin::Environment),
        ("OUTRIDER_HOST_LABEL", &from_file),
        ("OUTRIDER_CHECK_STATUS", &Origin::Environment),
        ("OUTRIDER_CONFIG", &Origin::Environment),
        ("OUTRIDER_LEASE", &Origin::Default),
        ("OUTRIDER_PRIORITY", &Origin::Derived),
    ] {
        assert_eq!(loaded.origin(0, name).unwrap(), origin, "{name}");
    }
}

#[test]
fn what_is_not_utf_8_is_told() {
    let bytes = || OsString::from_vec(vec![b'/', 0xff]);
    let load = |name: OsString| {
        Config::load([(OsString::from("OUTRIDER_VIP"), OsString::from("10.10.10.2")), (name, bytes())])
    };
    assert_eq!(
        load("OUTRIDER_STATE_FILE".into()).unwrap_err().0,
        ["OUTRIDER_STATE_FILE is not UTF-8; write it in UTF-8"]
    );
    assert!(load("PATH".into()).is_ok());
    assert!(load(bytes()).is_ok());
}

#[test]
fn every_variable_is_described() {
    let loaded = load(&[VIP]).unwrap();
    let sections = describe(&loaded);
    assert_eq!((sections.len(), &sections[0].title), (1, &None));
    let described: Vec<&str> = sections[0].rows.iter().map(|(name, ..)| *name).collect();
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(described, names);
    for name in names {
        let help = help();
        assert!(help.contains(&format!("\n  {name} ")), "{name} is missing in {help}");
    }
}

#[test]
fn programs_are_split_into_arguments_and_shown_so_that_they_can_be_read_back() {
    let written = "exec: /bin/sh -c \"curl -f 'http://u:hunter2@lb/'  | grep ok\" ''; exec:/opt/check";
    let loaded = load_with(&[("OUTRIDER_CHECK", written)]).unwrap();
    let CheckSetting::These(targets) = &only(&loaded).check else { panic!() };
    let expected = ["/bin/sh", "-c", "curl -f 'http://u:hunter2@lb/'  | grep ok", ""];
    assert_eq!(targets[0], Target::Exec { argv: expected.map(str::to_owned).to_vec() });
    assert_eq!(targets[1].to_string(), "exec:/opt/check");
    assert_eq!(targets[0].to_string(), "exec:/bin/sh -c \"***@lb/'  | grep ok\" \"\"");
    assert!(!format!("{loaded:?} {:?}", describe(&loaded)).contains("hunter2"));
    let again: Target = "exec:/bin/sh -c \"a 'b' c\"".parse().unwrap();
    assert_eq!(again.to_string(), "exec:/bin/sh -c \"a 'b' c\"");
}
