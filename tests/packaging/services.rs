//! The rules for services: what Rancher does with them, and what this agent needs among them.

use super::catalog::Faults;
use super::{entries, settings};
use std::collections::BTreeSet;
use yaml_rust2::Yaml;

/// Of docker-compose.yml, version 2: those that Rancher passes on, as far as anything here may want them.
const SERVICE: [&str; 21] = [
    "cap_add",
    "cap_drop",
    "command",
    "depends_on",
    "entrypoint",
    "environment",
    "expose",
    "external_links",
    "image",
    "labels",
    "links",
    "logging",
    "network_mode",
    "ports",
    "privileged",
    "read_only",
    "secrets",
    "stop_signal",
    "tmpfs",
    "user",
    "volumes",
];
/// Of rancher-compose.yml.
const RANCHER_SERVICE: [&str; 6] =
    ["scale", "start_on_create", "health_check", "lb_config", "metadata", "retain_ip"];
const HEALTH_CHECK: [&str; 9] = [
    "port",
    "request_line",
    "interval",
    "response_timeout",
    "initializing_timeout",
    "reinitializing_timeout",
    "healthy_threshold",
    "unhealthy_threshold",
    "strategy",
];
const STRATEGIES: [&str; 3] = ["none", "recreate", "recreateOnQuorum"];
const PORT_RULE: [&str; 9] = [
    "source_port",
    "target_port",
    "service",
    "selector",
    "protocol",
    "hostname",
    "path",
    "priority",
    "backend_name",
];
const GLOBAL: &str = "io.rancher.scheduler.global";
const HOST_LABEL: &str = "io.rancher.scheduler.affinity:host_label";
const SIDEKICKS: &str = "io.rancher.sidekicks";
/// Every `io.rancher.` label that a service here may want. An unknown one does nothing, silently.
const LABELS: [&str; 15] = [
    GLOBAL,
    HOST_LABEL,
    SIDEKICKS,
    "io.rancher.scheduler.affinity:host_label_ne",
    "io.rancher.scheduler.affinity:host_label_soft",
    "io.rancher.scheduler.affinity:host_label_soft_ne",
    "io.rancher.scheduler.affinity:container_label",
    "io.rancher.scheduler.affinity:container_label_ne",
    "io.rancher.scheduler.affinity:container_label_soft",
    "io.rancher.scheduler.affinity:container_label_soft_ne",
    "io.rancher.container.agent.role",
    "io.rancher.container.agent_service.drain_provider",
    "io.rancher.container.create_agent",
    "io.rancher.container.dns",
    "io.rancher.container.pull_image",
];
/// The only image that Rancher makes its own load balancer of, given an `lb_config`.
const BALANCER: &str = "rancher/lb-service-haproxy:";

fn texts(list: &Yaml) -> BTreeSet<&str> {
    list.as_vec().into_iter().flatten().filter_map(Yaml::as_str).collect()
}

/// A label of a service; without it, nothing.
fn label<'a>(service: &'a Yaml, name: &str) -> &'a str {
    service["labels"][name].as_str().unwrap_or_default()
}

fn sidekicks(service: &Yaml) -> impl Iterator<Item = &str> {
    label(service, SIDEKICKS).split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn is_agent(service: &Yaml) -> bool {
    !service["environment"]["OUTRIDER_VIP"].is_badvalue()
}

/// Checks the services of both files.
pub fn check_services(docker: &Yaml, rancher: &Yaml, faults: &mut Faults) {
    let services = &docker["services"];
    for (name, service) in entries(services) {
        check_keys(name, service, faults);
        check_labels(name, service, faults);
        check_sidekicks(name, service, services, rancher, faults);
        check_secrets(name, service, &docker["secrets"], faults);
        if is_agent(service) {
            check_agent(name, service, services, &rancher[name], faults);
        }
    }
    for (name, service) in entries(rancher) {
        faults
            .unless(!services[name].is_badvalue(), || format!("service {name}: docker-compose.yml has none"));
        faults.keys(&format!("service {name}"), service, &RANCHER_SERVICE);
        check_health(name, &service["health_check"], &services[name], faults);
        check_balancer(name, &service["lb_config"], services, faults);
        let scaled = service["scale"].is_badvalue() || label(&services[name], GLOBAL) != "true";
        faults.unless(scaled, || format!("service {name}: scale: is global"));
    }
    let agents = entries(services).into_iter().filter(|(_, service)| is_agent(service)).count();
    faults.unless(agents == 1, || format!("docker-compose.yml: {agents} services run the agent"));
}

fn check_keys(name: &str, service: &Yaml, faults: &mut Faults) {
    faults.keys(&format!("service {name}"), service, &SERVICE);
    faults.text(&format!("service {name}: image"), &service["image"]);
    for (variable, value) in entries(&service["environment"]) {
        // Empty: left open.
        if value.as_str() != Some("") {
            faults.text(&format!("service {name}: environment: {variable}"), value);
        }
    }
    for port in service["ports"].as_vec().into_iter().flatten() {
        faults.text(&format!("service {name}: ports"), port);
        let parts = port.as_str().unwrap_or_default().split(':').count();
        faults.unless(parts < 3, || {
            format!("service {name}: ports: at one address of the host only, which it may not have")
        });
    }
    let limited = ["max-size", "max-file"]
        .iter()
        .all(|option| service["logging"]["options"][*option].as_str().is_some());
    faults.unless(limited, || format!("service {name}: its log has no limit"));
}

fn check_labels(name: &str, service: &Yaml, faults: &mut Faults) {
    let global = label(service, GLOBAL) == "true";
    for (key, value) in entries(&service["labels"]) {
        let place = format!("service {name}: labels: {key}");
        faults.text(&place, value);
        let known = !key.starts_with("io.rancher.") || LABELS.contains(&key);
        faults.unless(known, || format!("{place}: Rancher knows no such label"));
        let soft = key.contains(":container") || key.contains("_soft");
        faults.unless(!(global && soft), || format!("{place}: is ignored for a global service"));
        let value = value.as_str().unwrap_or_default();
        let rule = key.starts_with("io.rancher.scheduler.affinity:");
        faults.unless(!rule || value.contains('=') || value.starts_with("${"), || {
            format!("{place}: {value}: is no label with its value")
        });
        let plain = value.replace("$${stack_name}", "").replace("$${service_name}", "");
        faults.unless(!plain.contains("$$"), || format!("{place}: Rancher fills in no other {plain}"));
    }
}

fn check_sidekicks(name: &str, service: &Yaml, services: &Yaml, rancher: &Yaml, faults: &mut Faults) {
    let balancer = !rancher[name]["lb_config"].is_badvalue();
    for sidekick in sidekicks(service) {
        faults.unless(!services[sidekick].is_badvalue(), || {
            format!("service {name}: its sidekick {sidekick} is not there")
        });
        faults.unless(!balancer, || {
            format!("service {name}: Rancher drops the sidekicks of its load balancer")
        });
        let scheduled = entries(&services[sidekick]["labels"])
            .iter()
            .any(|(key, _)| key.starts_with("io.rancher.scheduler"));
        faults.unless(!scheduled, || {
            format!("service {sidekick}: is scheduled with {name}, not by its own labels")
        });
        faults.unless(rancher[sidekick]["scale"].is_badvalue(), || {
            format!("service {sidekick}: has the scale of {name}")
        });
    }
}

fn check_secrets(name: &str, service: &Yaml, declared: &Yaml, faults: &mut Faults) {
    let secrets: Vec<&Yaml> = service["secrets"].as_vec().into_iter().flatten().collect();
    let mut files = BTreeSet::new();
    for secret in &secrets {
        faults.keys(&format!("service {name}: secrets"), secret, &["source", "target", "uid", "gid", "mode"]);
        let source = secret["source"].as_str().unwrap_or_default();
        let external = declared[source]["external"].as_bool() == Some(true);
        faults.unless(external, || format!("service {name}: secret {source}: is not declared as external"));
        files.insert(format!("/run/secrets/{}", secret["target"].as_str().unwrap_or_default()));
    }
    let variables = entries(&service["environment"]).into_iter();
    let named: BTreeSet<String> = variables
        .filter(|(variable, _)| variable.ends_with("_FILE"))
        .filter_map(|(_, value)| value.as_str().map(str::to_owned))
        .collect();
    faults.unless(files == named, || format!("service {name}: secrets {files:?}, variables name {named:?}"));
}

fn check_agent(name: &str, service: &Yaml, services: &Yaml, rancher: &Yaml, faults: &mut Faults) {
    let known: BTreeSet<String> = settings().into_iter().map(|(variable, _)| variable).collect();
    for (variable, _) in entries(&service["environment"]) {
        let plain = variable.strip_suffix("_FILE").unwrap_or(variable);
        faults
            .unless(known.contains(plain), || format!("service {name}: the agent does not know {variable}"));
    }
    // A sidekick goes where its service goes.
    let primary = entries(services).into_iter().find(|(_, other)| sidekicks(other).any(|side| side == name));
    let placed = primary.map_or(service, |(_, primary)| primary);
    faults.unless(label(placed, GLOBAL) == "true", || format!("service {name}: is not global"));
    let affinity = label(placed, HOST_LABEL);
    let same = affinity == service["environment"]["OUTRIDER_HOST_LABEL"].as_str().unwrap_or_default();
    faults.unless(!affinity.is_empty() && same, || {
        format!("service {name}: runs on hosts with {affinity:?}, and counts on others")
    });
    let host = service["network_mode"].as_str() == Some("host");
    faults.unless(host, || format!("service {name}: is not in the host's network"));
    let capabilities = BTreeSet::from(["NET_ADMIN", "NET_RAW", "SETGID", "SETUID"]);
    let right = texts(&service["cap_add"]) == capabilities
        && texts(&service["cap_drop"]) == BTreeSet::from(["ALL"])
        && service["privileged"].is_badvalue();
    faults.unless(right, || format!("service {name}: has other capabilities than {capabilities:?}"));
    faults.unless(service["read_only"].as_bool() == Some(true), || {
        format!("service {name}: can write its root file system")
    });

    let check = &rancher["health_check"];
    let asked = check["request_line"].as_str() == Some("GET /healthz HTTP/1.0");
    faults.unless(asked, || format!("service {name}: health_check: does not ask for /healthz"));
    // `:9112`, or `:${STATUS_PORT}` in both places.
    let listens = service["environment"]["OUTRIDER_STATUS_LISTEN"].as_str().unwrap_or(":9112");
    let port = match &check["port"] {
        Yaml::Integer(port) => port.to_string(),
        port => port.as_str().unwrap_or_default().to_owned(),
    };
    faults.unless(listens == format!(":{port}"), || {
        format!("service {name}: health_check: asks port {port}, the agent listens at {listens}")
    });
}

fn check_health(name: &str, check: &Yaml, service: &Yaml, faults: &mut Faults) {
    if check.is_badvalue() {
        return;
    }
    let place = format!("service {name}: health_check");
    faults.keys(&place, check, &HEALTH_CHECK);
    let strategy = check["strategy"].as_str().unwrap_or_default();
    faults.unless(STRATEGIES.contains(&strategy), || format!("{place}: strategy: {strategy:?} is none"));
    let kills = strategy != "none" && (is_agent(service) || label(service, GLOBAL) == "true");
    faults.unless(!kills, || format!("{place}: strategy: anything but none kills the holder on a partition"));
    for key in ["interval", "response_timeout", "healthy_threshold", "unhealthy_threshold"] {
        let number = check[key].as_i64().is_some_and(|number| number > 0);
        faults.unless(number, || format!("{place}: {key}: is no number"));
    }
    let line = check["request_line"].as_str();
    let words: Vec<&str> = line.unwrap_or("GET / HTTP/1.0").split(' ').collect();
    let request = matches!(words[..], ["GET", path, "HTTP/1.0" | "HTTP/1.1"] if path.starts_with('/'));
    faults.unless(request, || format!("{place}: request_line: {line:?} is no request"));
}

fn check_balancer(name: &str, settings: &Yaml, services: &Yaml, faults: &mut Faults) {
    if settings.is_badvalue() {
        return;
    }
    let place = format!("service {name}: lb_config");
    let image = services[name]["image"].as_str().unwrap_or_default();
    faults.unless(image.starts_with(BALANCER) || image.starts_with("${"), || {
        format!("{place}: {image} is not Rancher's load balancer")
    });
    faults.keys(&place, settings, &["port_rules", "certs", "default_cert", "config", "stickiness_policy"]);
    let rules: Vec<&Yaml> = settings["port_rules"].as_vec().into_iter().flatten().collect();
    faults.unless(!rules.is_empty(), || format!("{place}: has no port_rules"));
    let published = texts(&services[name]["ports"]);
    for rule in rules {
        faults.keys(&format!("{place}: port_rules"), rule, &PORT_RULE);
        let port = rule["source_port"].as_i64().unwrap_or_default();
        faults.unless(published.contains(format!("{port}:{port}").as_str()), || {
            format!("{place}: source_port: {port} is not published")
        });
        let target = rule["service"].as_str().unwrap_or_default();
        faults.unless(!services[target].is_badvalue(), || format!("{place}: service {target}: is not there"));
    }
}
