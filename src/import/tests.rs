//! The tables against keepalived itself, and what is written against what is meant.

use super::table::places;
use super::write::variables;
use super::*;
use std::collections::BTreeSet;
use std::process::Command;

/// What stands around a statement at a place, for keepalived and for us.
fn around(place: &str) -> (String, String) {
    let (before, after) = match place {
        "outside of every block" => (String::new(), ""),
        "vrrp_instance" => ("vrrp_instance A {\n interface lo\n".to_owned(), "}\n"),
        "authentication" | "auth_hmac" => {
            (format!("vrrp_instance A {{\n interface lo\n {place} {{\n"), "}\n}\n")
        }
        "global_defs" | "garp_group" | "SSL" => (format!("{place} {{\n"), "}\n"),
        "virtual_server" => ("virtual_server 192.0.2.1 80 {\n".to_owned(), "}\n"),
        "real_server" => ("virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\n".to_owned(), "}\n}\n"),
        "url" => (
            "virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\nHTTP_GET {\nurl {\n".to_owned(),
            "}\n}\n}\n}\n",
        ),
        "host" => (
            "virtual_server 192.0.2.1 80 {\nreal_server 192.0.2.2 80 {\nSMTP_CHECK {\nhost {\n".to_owned(),
            "}\n}\n}\n}\n",
        ),
        check if check.ends_with("_CHECK") || check.ends_with("_GET") => (
            format!("virtual_server 192.0.2.1 80 {{\nreal_server 192.0.2.2 80 {{\n{check} {{\n"),
            "}\n}\n}\n",
        ),
        block => (format!("{block} A {{\n"), "}\n"),
    };
    (before, after.to_owned())
}

/// Every keyword of every table is told with its reason or has its settings, and none is called unknown.
#[test]
fn no_keyword_of_the_tables_is_unknown() {
    let mut count = 0;
    for (place, words) in places() {
        let (before, after) = around(place);
        for word in words {
            let block = format!("{before} {word} 1 1 1\n{after}");
            let imported = text(Path::new("k.conf"), block.as_bytes(), &Options::default()).unwrap();
            assert!(!imported.text.contains("not a statement"), "{place}: {word}: {}", imported.text);
            let block = format!("{before} {word}x 1 1 1\n{after}");
            let imported = text(Path::new("k.conf"), block.as_bytes(), &Options::default()).unwrap();
            let both: String = imported.text.replace("\n#   ", " ");
            assert!(both.contains("not a statement keepalived knows"), "{place}: {word}x: {}", imported.text);
            count += 1;
        }
    }
    assert!(count > 400, "{count}");
}

/// Not in Debian's keepalived 2.2.7: of keepalived 1, of later versions up to 2.4, or of another build (ipsets).
const OTHER_VERSIONS: [&str; 29] = [
    "FILE_CHECK: dynamic",
    "HTTP_GET: tls_compliant",
    "SSL_GET: tls_compliant",
    "auth_hmac: active_key",
    "auth_hmac: anti_replay",
    "auth_hmac: key",
    "auth_hmac: mode",
    "auth_hmac: time_window",
    "bfd_instance: multihop",
    "global_defs: dbus_no_interface_name",
    "global_defs: iproute_etc_dir",
    "global_defs: iproute_usr_dir",
    "global_defs: json_file_location",
    "global_defs: json_version",
    "global_defs: lvs_id",
    "global_defs: snmp_rs_stats_update_interval",
    "global_defs: snmp_vs_stats_update_interval",
    "global_defs: state_file_location",
    "global_defs: stats_file_location",
    "global_defs: use_symlink_paths",
    "global_defs: v3_checksum_as_v2",
    "global_defs: vrrp_delay_after_boot",
    "global_defs: vrrp_ipsets",
    "url: tls_compliant",
    "virtual_server: nat_mask",
    "vrrp_instance: auth_hmac",
    "vrrp_instance: no_virtual_ipaddress",
    "vrrp_instance: timer_expired_backup",
    "vrrp_instance: v3_checksum_as_v2",
];

/// keepalived knows every keyword of the tables at its place: none is made up, none is misspelt.
#[test]
fn keepalived_knows_the_keywords_of_the_tables() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.conf");
    let mut unknown = BTreeSet::new();
    for (place, words) in places() {
        let (before, after) = around(place);
        for word in words {
            std::fs::write(&file, format!("{before} {word} 1 1 1\n{after}")).unwrap();
            let output = Command::new("unshare")
                .args(["--map-root-user", "--net", "keepalived", "-t", "-f"])
                .arg(&file)
                // Where config_save_dir may save what it likes.
                .current_dir(folder.path())
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .output()
                .expect("unshare (Debian package util-linux)");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                !said.contains("No such file"),
                "is there a keepalived (Debian package keepalived)? {said}"
            );
            if said.contains(&format!("Unknown keyword '{word}'")) {
                unknown.insert(format!("{place}: {word}"));
            }
        }
    }
    let others: BTreeSet<String> = OTHER_VERSIONS.iter().map(|word| (*word).to_owned()).collect();
    let made_up: Vec<_> = unknown.difference(&others).collect();
    assert!(made_up.is_empty(), "{made_up:#?}");
}

/// Nothing that is meant is lost on the way out, whatever the order in which it is written.
#[test]
fn every_setting_is_written() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import");
    for sample in std::fs::read_dir(samples).unwrap().map(|entry| entry.unwrap().path()) {
        if sample.extension().is_none_or(|end| end != "conf") {
            continue;
        }
        let mut reader = Reader::default();
        reader.read(&sample, &include::contents(&sample).unwrap(), 0).unwrap();
        let mut import = Import::default();
        let statements = tree::tree(reader.tokens, &mut reader.notes).unwrap();
        table::read(root::TABLE, &mut import, &statements);
        let whole = whole("x".to_owned(), reader.notes, import, &Options::default()).unwrap();
        let text = write::environment(&whole);
        for (name, value) in variables(&whole) {
            let line = [format!("\n{name}={value}\n"), format!("\n{name}='{value}'\n")];
            assert!(
                line.iter().any(|line| text.contains(line)),
                "{}: {name}={value} in {text}",
                sample.display()
            );
        }
    }
}
