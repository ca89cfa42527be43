//! The rules of the catalog find what is broken: each copy of the template is wrong in one way.

use super::{catalog::faults, read, tree};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const TEMPLATE: &str = "rancher-compose/templates/outrider";
const CONFIG: &str = "config.yml";
const DOCKER: &str = "0/docker-compose.yml";
const RANCHER: &str = "0/rancher-compose.yml";

/// A copy of the template under this name.
fn copy(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join(name);
    std::fs::create_dir_all(template.join("0")).unwrap();
    for file in [CONFIG, DOCKER, RANCHER, "catalogIcon-outrider.svg", "0/README.md"] {
        std::fs::copy(tree(TEMPLATE).join(file), template.join(file)).unwrap();
    }
    (folder, template)
}

fn change(file: &Path, from: &str, to: &str) {
    let text = read(file);
    assert!(text.contains(from), "{}: no {from:?}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
#[rustfmt::skip] // A table: one breakage a line.
fn each_is_found() {
    let (_folder, template) = copy("outrider");
    assert_eq!(faults(&template), [] as [String; 0], "the copy itself");
    for (file, from, to, fault) in [
        (CONFIG, "version: '0.1.0'", "version: '0.0.9'", "config.yml: version 0.0.9: is none of"),
        (CONFIG, "version: '0.1.0'", "version: 0.1", "config.yml: version: must be quoted"),
        (CONFIG, "category:", "catagory:", "config.yml: unknown key catagory"),
        (RANCHER, "version: '2'", "version: 2", "rancher-compose.yml: version: is not '2'"),
        (RANCHER, "minimum_rancher_version", "minimal_rancher_version", "catalog: unknown key minimal_rancher_version"),
        (RANCHER, "    label: Address", "    title: Address", "question OUTRIDER_VIP: unknown key title"),
        (RANCHER, "    label: Address", "    title: Address", "question OUTRIDER_VIP: label: is missing"),
        (RANCHER, "type: boolean", "type: bool", "question OUTRIDER_PREEMPT: type: bool is none"),
        (RANCHER, "required: true", "required: 'yes'", "question OUTRIDER_VIP: required: is no boolean"),
        (RANCHER, "    required: true\n", "", "the address alone is required, not []"),
        (RANCHER, "default: outrider:0.1.0", "required: true", "the address alone is required"),
        (RANCHER, "default: 'false'", "default: false", "question OUTRIDER_PREEMPT: default: must be quoted"),
        (RANCHER, "default: 'false'", "default: 'no'", "question OUTRIDER_PREEMPT: default: is no boolean"),
        (RANCHER, "default: '3'", "default: '4'", "question OUTRIDER_VRRP_VERSION: default: is none of the options"),
        (RANCHER, "    - '2'", "    - 2", "question OUTRIDER_VRRP_VERSION: options: must be quoted"),
        (RANCHER, "max: 255", "max: many", "question OUTRIDER_VRID: max: is no number"),
        (RANCHER, "variable: OUTRIDER_CHECK\n", "variable: OUTRIDER_CHEKC\n", "question OUTRIDER_CHECK: is not both asked and used"),
        (RANCHER, "variable: OUTRIDER_CHECK\n", "variable: OUTRIDER_VIP\n", "question OUTRIDER_VIP: asked twice"),
        (RANCHER, "How much is logged.", "How much is logged, {{ .Stack.Name }}.", "rancher-compose.yml: {{ begins a Go template"),
        (RANCHER, "How much is logged.", "How much is logged, in $.", "rancher-compose.yml: $ is written $$"),
        (RANCHER, "start_on_create", "start_when_created", "service outrider: unknown key start_when_created"),
        (RANCHER, "start_on_create: true", "health_check: {port: 80}", "service outrider: health_check: strategy"),
        (RANCHER, "start_on_create: true", "health_check: {path: /}", "service outrider: health_check: unknown key path"),
        (RANCHER, "services:\n  outrider:", "services:\n  outsider:", "service outsider: docker-compose.yml has none"),
        (DOCKER, "version: '2'", "version: '2", "docker-compose.yml: "),
        (DOCKER, "network_mode: host", "net: host", "service outrider: unknown key net"),
        (DOCKER, "network_mode: host", "network_mode: bridge", "service outrider: is not in the host's network"),
        (DOCKER, "global: 'true'", "global: true", "service outrider: labels: io.rancher.scheduler.global: must be quoted"),
        (DOCKER, "global: 'true'", "global: 'false'", "service outrider: is not global"),
        (DOCKER, "host_label: ${OUTRIDER_HOST_LABEL}", "host_label: role=lb", "service outrider: runs on hosts with \"role=lb\""),
        (DOCKER, "${OUTRIDER_VIP}", "${OUTRIDER_VIP-10.10.10.2}", "docker-compose.yml: ${OUTRIDER_VIP-10.10.10.2}: Rancher knows no defaults"),
        (DOCKER, "${OUTRIDER_VIP}", "$OUTRIDER_VIP", "docker-compose.yml: $ is written $$"),
        (DOCKER, "OUTRIDER_VRID: ${OUTRIDER_VRID}", "OUTRIDER_VRID: 2", "environment: OUTRIDER_VRID: must be quoted"),
        (DOCKER, "OUTRIDER_LB:", "OUTRIDER_LBS:", "service outrider: the agent does not know OUTRIDER_LBS"),
        (DOCKER, "    - NET_RAW\n", "", "service outrider: has other capabilities"),
        (DOCKER, "        max-size: 10m\n", "", "service outrider: its log has no limit"),
    ] {
        let (_folder, template) = copy("outrider");
        change(&template.join(file), from, to);
        let found = faults(&template);
        assert!(found.iter().any(|found| found.contains(fault)), "{file}: {from} -> {to}: {found:#?}");
    }
}

#[test]
fn files_and_folders_are_where_rancher_looks() {
    let found = |name: &str, damage: fn(&Path)| {
        let (_folder, template) = copy(name);
        damage(&template);
        faults(&template).join("\n")
    };
    assert!(found("out_rider", |_| ()).contains("out_rider: a template's name has"));
    assert!(found("renamed", |_| ()).contains("catalogIcon-renamed.svg: is missing"));
    let no_icon =
        |template: &Path| std::fs::write(template.join("catalogIcon-outrider.svg"), "GIF89a").unwrap();
    assert!(found("outrider", no_icon).contains("catalogIcon-outrider.svg: is missing, or no SVG"));
    let named = |template: &Path| std::fs::rename(template.join("0"), template.join("v0")).unwrap();
    assert!(found("outrider", named).contains("v0: a version's folder is a number"));
    for file in [CONFIG, DOCKER, RANCHER, "0/README.md"] {
        let (_folder, template) = copy("outrider");
        std::fs::remove_file(template.join(file)).unwrap();
        let name = file.trim_start_matches("0/");
        let found = faults(&template);
        assert!(found.iter().any(|found| found.starts_with(&format!("{name}: "))), "{file}: {found:?}");
    }
}
