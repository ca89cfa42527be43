//! The samples are what keepalived takes, and so are Debian's own.

use super::{Options, folder};
use outrider::import;
use std::path::Path;
use std::process::Command;

/// The samples that are meant to be right, and the interfaces they name. Not: seed (a number is missing), broken,
/// subsecond (contradictions that keepalived resolves), hmac (of a newer keepalived).
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
    ("strict", &["eth0"]),
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
    let mut wrong = Vec::new();
    for (name, interfaces) in VALID {
        let said = config_test(&folder().join(format!("{name}.conf")), interfaces);
        // What it says of programs that are not there, and of every script that root runs.
        let of_scripts = |line: &&str| {
            ["SECURITY VIOLATION", "Disabling track script"].iter().any(|s| line.starts_with(s))
        };
        let said: Vec<_> = said.lines().filter(|line| !of_scripts(line)).collect();
        wrong.extend(said.iter().map(|line| format!("{name}: {line}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Debian's own samples, where the package brings its documentation: no statement in them is unknown, except for
/// what keepalived itself does not know.
#[test]
fn debians_samples_are_understood() {
    let samples = Path::new("/usr/share/doc/keepalived/samples");
    if !samples.is_dir() {
        // Images of Debian leave documentation out.
        let rules = Path::new("/etc/dpkg/dpkg.cfg.d").read_dir().into_iter().flatten().flatten();
        let mut rules = rules.map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_default());
        assert!(rules.any(|rule| rule.contains("path-exclude")), "install the Debian package keepalived");
        return;
    }
    let mut count = 0;
    for file in samples.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        if !file.file_name().unwrap().to_str().unwrap().starts_with("keepalived.conf.") {
            continue;
        }
        let text = import::file(&file, &Options::default()).unwrap().text.replace("\n#   ", " ");
        let said = config_test(&file, &["eth0", "eth1", "eth2", "eth3", "eth0.1"]);
        for line in text.lines().filter(|line| line.contains("not a statement keepalived knows")) {
            let keyword = line.split_whitespace().nth(2).unwrap_or_default().trim_end_matches(':');
            assert!(said.contains(&format!("Unknown keyword '{keyword}'")), "{}: {line}", file.display());
        }
        count += 1;
    }
    assert!(count > 20, "{count}");
}
