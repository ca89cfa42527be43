//! The samples are what keepalived takes, and so are Debian's own.

use super::{Options, folder};
use outrider::import;
use std::path::Path;
use std::process::Command;

/// The samples that are meant to be right, and the interfaces they name. Not: seed (a number is missing), broken,
/// and hmac (of a newer keepalived).
const VALID: [(&str, &[&str]); 19] = [
    ("active-active", &["eth0"]),
    ("database", &["eth0"]),
    ("dual-stack", &["eth0"]),
    ("generated", &["eth0"]),
    ("haproxy", &["ens192"]),
    ("include", &["eth0"]),
    ("ipv6", &["eth0"]),
    ("kubernetes", &["enp1s0"]),
    ("lvs-director", &["eth0", "eth1"]),
    ("lvs-only", &[]),
    ("other-interface", &["eth0", "eth1", "eth2"]),
    ("routes", &["eth0", "eth1"]),
    ("scripts", &["eth0"]),
    ("subsecond", &["bond0"]),
    ("sync-group", &["eth0", "eth1"]),
    ("templated", &["eth0"]),
    ("tracking", &["eth0", "eth1"]),
    ("unicast", &["eth0"]),
    ("vmac", &["eth0"]),
];

/// What keepalived says about a file, on a host with these interfaces.
fn config_test(file: &Path, interfaces: &[&str]) -> String {
    let links: String = interfaces
        .iter()
        .enumerate()
        .map(|(index, name)| {
            format!("ip link add {name} type veth peer name peer{index} && ip link set {name} up && ")
        })
        .collect();
    let script = format!("{links} exec keepalived -t -i red -f {}", file.display());
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", &script])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .expect("unshare (Debian package util-linux)");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("not found\n"), "install the Debian packages keepalived and iproute2: {said}");
    said
}

#[test]
fn keepalived_takes_the_samples() {
    for (name, interfaces) in VALID {
        let said = config_test(&folder().join(format!("{name}.conf")), interfaces);
        assert!(said.is_empty(), "{name}: {said}");
    }
}
