//! The rules of the catalog find what is broken: each copy of a template is wrong in one way.

use super::{catalog::faults, read, tree};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CONFIG: &str = "config.yml";
const DOCKER: &str = "0/docker-compose.yml.tpl";
const RANCHER: &str = "0/rancher-compose.yml";
const README: &str = "0/README.md";

/// A copy of a template under this name.
fn copy(of: &str, name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (from, template) = (tree("rancher-compose/templates").join(of), folder.path().join(name));
    for part in ["", "0"] {
        std::fs::create_dir_all(template.join(part)).unwrap();
        for entry in std::fs::read_dir(from.join(part)).unwrap().flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), template.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    (folder, template)
}

fn change(file: &Path, from: &str, to: &str) {
    let text = read(file);
    assert!(text.contains(from), "{}: no {from:?}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

/// Each change (file, from, to) makes a fault with these words.
fn each_is_found(of: &str, breakages: &[(&str, &str, &str, &str)]) {
    let (_folder, template) = copy(of, of);
    assert_eq!(faults(&template), [] as [String; 0], "the copy itself");
    for (file, from, to, fault) in breakages {
        let (_folder, template) = copy(of, of);
        change(&template.join(file), from, to);
        let found = faults(&template);
        assert!(found.iter().any(|found| found.contains(fault)), "{file}: {from} -> {to}: {found:#?}");
    }
}

#[test]
#[rustfmt::skip] // A table: one breakage a line.
fn in_the_template_of_the_agent() {
    each_is_found("outrider", &[
        (CONFIG, "version: '0.1.0'", "version: '0.0.9'", "config.yml: version 0.0.9: is none of"),
        (CONFIG, "version: '0.1.0'", "version: 0.1", "config.yml: version: must be quoted"),
        (CONFIG, "category:", "catagory:", "config.yml: unknown key catagory"),
        (README, "| Guard |", "| Guards |", "question OUTRIDER_GUARD: README.md does not explain it"),

        (RANCHER, "version: '2'", "version: 2", "rancher-compose.yml: version: is not '2'"),
        (RANCHER, "minimum_rancher_version", "minimal_rancher_version", "catalog: unknown key minimal_rancher_version"),
        (RANCHER, "    label: Address", "    title: Address", "question OUTRIDER_VIP: unknown key title"),
        (RANCHER, "    label: Address", "    title: Address", "question OUTRIDER_VIP: label: is missing"),
        (RANCHER, "    group: Mail\n", "", "question OUTRIDER_SMTP_SERVER: group: is missing"),
        (RANCHER, "type: boolean", "type: bool", "question OUTRIDER_PREEMPT: type: bool is none"),
        (RANCHER, "required: true", "required: 'yes'", "question OUTRIDER_VIP: required: is no boolean"),
        (RANCHER, "    required: true\n", "", "the address alone is required, not []"),
        (RANCHER, "default: outrider:0.1.0", "required: true", "the address alone is required"),
        (RANCHER, "default: 'false'", "default: false", "question OUTRIDER_PREEMPT: default: must be quoted"),
        (RANCHER, "default: 'false'", "default: 'no'", "question OUTRIDER_PREEMPT: default: is no boolean"),
        (RANCHER, "default: '9112'", "default: http", "question STATUS_PORT: default: is no whole number"),
        (RANCHER, "    type: password", "    type: password\n    default: changeme", "question OUTRIDER_AUTH_KEYS: default: a password has none"),
        (RANCHER, "default: '3'", "default: '4'", "question OUTRIDER_VRRP_VERSION: default: is none of the options"),
        (RANCHER, "    - '2'", "    - 2", "question OUTRIDER_VRRP_VERSION: options: must be quoted"),
        (RANCHER, "max: 255", "max: many", "question OUTRIDER_VRID: max: is no number"),
        (RANCHER, "min_length: 16", "min_length: long", "question OUTRIDER_STATUS_TOKEN: min_length: is no number"),
        (RANCHER, "variable: OUTRIDER_CHECK\n", "variable: OUTRIDER_CHEKC\n", "question OUTRIDER_CHECK: is not both asked and used"),
        (RANCHER, "variable: AUTH_KEYS_SECRET\n", "variable: KEYS_SECRET\n", "question AUTH_KEYS_SECRET: is not both asked and used"),
        (RANCHER, "variable: OUTRIDER_CHECK\n", "variable: OUTRIDER_VIP\n", "question OUTRIDER_VIP: asked twice"),
        (RANCHER, "How much is logged.", "How much is logged, {{ .Stack.Name }}.", "rancher-compose.yml: {{ begins a Go template"),
        (RANCHER, "How much is logged.", "How much is logged, in $.", "rancher-compose.yml: $ is written $$"),
        (RANCHER, "How much is logged.", "How much is logged, in ${LANG}.", "rancher-compose.yml: $ is written $$"),
        (RANCHER, "start_on_create", "start_when_created", "service outrider: unknown key start_when_created"),
        (RANCHER, "start_on_create: true", "scale: 2", "service outrider: scale: is global"),
        (RANCHER, "services:\n  outrider:", "services:\n  outsider:", "service outsider: docker-compose.yml has none"),
        (RANCHER, "      port: ${STATUS_PORT}", "      port: 9112", "service outrider: health_check: asks port 9112, the agent listens at :${STATUS_PORT}"),
        (RANCHER, "      port: ${STATUS_PORT}", "      path: /healthz", "service outrider: health_check: unknown key path"),
        (RANCHER, "port: ${STATUS_PORT}", "port: ${STATUS_PORT-9112}", "rancher-compose.yml: ${STATUS_PORT-9112}: Rancher knows no defaults"),
        (RANCHER, "GET /healthz HTTP/1.0", "GET /readyz HTTP/1.0", "service outrider: health_check: does not ask for /healthz"),
        (RANCHER, "GET /healthz HTTP/1.0", "/healthz", "health_check: request_line: Some(\"/healthz\") is no request"),
        (RANCHER, "strategy: none", "strategy: recreate", "service outrider: health_check: strategy: anything but none kills"),
        (RANCHER, "      strategy: none\n", "", "service outrider: health_check: strategy: \"\" is none"),
        (RANCHER, "strategy: none", "strategy: restart", "service outrider: health_check: strategy: \"restart\" is none"),
        (RANCHER, "interval: 2000", "interval: 2s", "service outrider: health_check: interval: is no number"),

        (DOCKER, "version: '2'", "version: '2", "docker-compose.yml.tpl: "),
        (DOCKER, "services:\n", "volumes: {}\nservices:\n", "docker-compose.yml.tpl: unknown key volumes"),
        (DOCKER, "network_mode: host", "net: host", "service outrider: unknown key net"),
        (DOCKER, "network_mode: host", "network_mode: bridge", "service outrider: is not in the host's network"),
        (DOCKER, "read_only: true", "read_only: false", "service outrider: can write its root file system"),
        (DOCKER, "read_only: true", "privileged: true", "service outrider: has other capabilities"),
        (DOCKER, "global: 'true'", "global: true", "service outrider: labels: io.rancher.scheduler.global: must be quoted"),
        (DOCKER, "global: 'true'", "global: 'false'", "service outrider: is not global"),
        (DOCKER, "io.rancher.scheduler.global", "io.rancher.schedule.global", "labels: io.rancher.schedule.global: Rancher knows no such label"),
        (DOCKER, "host_label: ${OUTRIDER_HOST_LABEL}", "host_label: role=lb", "service outrider: runs on hosts with \"role=lb\""),
        (DOCKER, "host_label: ${OUTRIDER_HOST_LABEL}", "host_label: lb", "affinity:host_label: lb: is no label with its value"),
        (DOCKER, "affinity:host_label:", "affinity:host_label_soft:", "affinity:host_label_soft: is ignored for a global service"),
        (DOCKER, "${OUTRIDER_VIP}", "${OUTRIDER_VIP-10.10.10.2}", "docker-compose.yml.tpl: ${OUTRIDER_VIP-10.10.10.2}: Rancher knows no defaults"),
        (DOCKER, "${OUTRIDER_VIP}", "$OUTRIDER_VIP", "docker-compose.yml.tpl: $ is written $$"),
        (DOCKER, "${OUTRIDER_VIP}", "{{range .Values}}{{end}}", "docker-compose.yml.tpl: {{range .Values}}: is not understood"),
        (DOCKER, "{{- end}}", "", "docker-compose.yml.tpl: {{if}} without {{end}}"),
        (DOCKER, "OUTRIDER_VRID: ${OUTRIDER_VRID}", "OUTRIDER_VRID: 2", "environment: OUTRIDER_VRID: must be quoted"),
        (DOCKER, "OUTRIDER_LB:", "OUTRIDER_LBS:", "service outrider: the agent does not know OUTRIDER_LBS"),
        (DOCKER, "OUTRIDER_VIP:", "OUTRIDER_VIPS:", "docker-compose.yml: 0 services run the agent"),
        (DOCKER, "    - NET_RAW\n", "", "service outrider: has other capabilities"),
        (DOCKER, "        max-size: 10m\n", "", "service outrider: its log has no limit"),
        (DOCKER, "':${STATUS_PORT}'", "'127.0.0.1:${STATUS_PORT}'", "the agent listens at 127.0.0.1:${STATUS_PORT}"),
        (DOCKER, "target: auth-keys", "target: vrrp-keys", "service outrider: secrets {\"/run/secrets/smtp-password\", \"/run/secrets/vrrp-keys\"}"),
        (DOCKER, "target: auth-keys", "name: auth-keys", "service outrider: secrets: unknown key name"),
        (DOCKER, "    external: true", "    external: false", "secret auth_keys_secret: is not declared as external"),
    ]);
}

#[test]
#[rustfmt::skip] // A table: one breakage a line.
fn in_the_template_of_the_website() {
    const DOCKER: &str = "0/docker-compose.yml";
    each_is_found("outrider-website", &[
        (DOCKER, "    - '80:80'", "    - 80", "service lb: ports: must be quoted"),
        (DOCKER, "    - '80:80'", "    - '10.10.10.2:80:80'", "service lb: ports: at one address of the host only"),
        (DOCKER, "    - '80:80'", "    - '8080:80'", "service lb: lb_config: source_port: 80 is not published"),
        (DOCKER, "container_label_ne", "container_label_not", "affinity:container_label_not: Rancher knows no such label"),
        (DOCKER, "$${service_name}", "$${service}", "affinity:container_label_ne: Rancher fills in no other"),
        (DOCKER, "$${stack_name}/", "${stack_name}/", "question stack_name: is not both asked and used"),
        (DOCKER, "create_agent: 'true'", "create_agent: 'true'\n      io.rancher.scheduler.affinity:container_label_ne: a=b",
            "affinity:container_label_ne: is ignored for a global service"),
        (DOCKER, "create_agent: 'true'", "create_agent: 'true'\n      io.rancher.sidekicks: outrider",
            "service lb: Rancher drops the sidekicks of its load balancer"),
        (DOCKER, "  lb:\n", "  balancer:\n", "service lb: docker-compose.yml has none"),
        (DOCKER, "version: '2'", "version: '2'\n# {{ .Stack.Name }}", "docker-compose.yml: {{ begins a Go template"),
        (DOCKER, "      OUTRIDER_VIP:", "      OUTRIDER_STATUS_LISTEN: 'off'\n      OUTRIDER_VIP:", "the agent listens at off"),
        (RANCHER, "service: web", "service: site", "service lb: lb_config: service site: is not there"),
        (RANCHER, "source_port: 80", "source_port: 8080", "lb_config: source_port: 8080 is not published"),
        (RANCHER, "target_port", "targetPort", "lb_config: port_rules: unknown key targetPort"),
        (RANCHER, "port_rules:", "rules:", "service lb: lb_config: unknown key rules"),
        (RANCHER, "port_rules:", "rules:", "service lb: lb_config: has no port_rules"),
        (RANCHER, "      strategy: none", "      strategy: recreate", "service lb: health_check: strategy: anything but none kills"),
        (RANCHER, "port: 9112", "port: 9113", "service outrider: health_check: asks port 9113, the agent listens at :9112"),
        (RANCHER, "uuid: outrider-website-0\n", "", "catalog: uuid: is missing"),
        (RANCHER, "    required: true\n", "", "the address alone is required"),
        (README, "| Application hosts |", "| Hosts |", "question APP_HOST_LABEL: README.md does not explain it"),
    ]);
}

#[test]
#[rustfmt::skip] // A table: one breakage a line.
fn in_the_template_of_the_sidekick() {
    each_is_found("outrider-sidekick", &[
        (DOCKER, "io.rancher.sidekicks: outrider", "io.rancher.sidekicks: outsider", "service lb: its sidekick outsider is not there"),
        (DOCKER, "io.rancher.sidekicks: outrider", "io.rancher.sidekicks: outsider", "service outrider: is not global"),
        (DOCKER, "io.rancher.sidekicks", "io.rancher.sidekick", "labels: io.rancher.sidekick: Rancher knows no such label"),
        (DOCKER, "    network_mode: host", "    labels:\n      io.rancher.scheduler.global: 'true'\n    network_mode: host",
            "service outrider: is scheduled with lb, not by its own labels"),
        (DOCKER, "host_label: ${OUTRIDER_HOST_LABEL}", "host_label: role=app", "service outrider: runs on hosts with \"role=app\""),
        (DOCKER, "{{.Stack.Name}}", "{{.Stack.Uuid}}", "docker-compose.yml.tpl: {{.Stack.Uuid}}: is not understood"),
        (RANCHER, "  lb:\n    start_on_create: true\n", "  lb:\n    lb_config: {port_rules: []}\n", "Rancher drops the sidekicks of its load balancer"),
        (RANCHER, "  outrider:\n", "  outrider:\n    scale: 2\n", "service outrider: has the scale of lb"),
        (RANCHER, "  lb:\n    start_on_create: true", "  lb:\n    scale: 2", "service lb: scale: is global"),
        (RANCHER, "strategy: none", "strategy: recreate", "service outrider: health_check: strategy: anything but none kills"),
    ]);
}

#[test]
fn files_and_folders_are_where_rancher_looks() {
    let found = |name: &str, damage: fn(&Path)| {
        let (_folder, template) = copy("outrider", name);
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
    let plain = |template: &Path| {
        std::fs::rename(template.join(DOCKER), template.join("0/docker-compose.yml")).unwrap()
    };
    assert!(found("outrider", plain).contains("docker-compose.yml: {{ begins a Go template"));
    let two =
        |template: &Path| drop(std::fs::copy(template.join(DOCKER), template.join("0/docker-compose.yml")));
    assert!(found("outrider", two).contains("docker-compose.yml: there are [\"docker-compose.yml.tpl\", "));
    for (file, name) in [
        (CONFIG, "config.yml"),
        (DOCKER, "docker-compose.yml"),
        (RANCHER, "rancher-compose.yml"),
        (README, "README.md"),
    ] {
        let (_folder, template) = copy("outrider", "outrider");
        std::fs::remove_file(template.join(file)).unwrap();
        let found = faults(&template);
        assert!(found.iter().any(|found| found.starts_with(&format!("{name}: "))), "{file}: {found:?}");
    }
}
