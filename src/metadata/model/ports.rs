//! Which TCP ports the load balancer publishes on the member hosts.
//!
//! They are read off the *services*: a container that is missing is then a check that fails, not a check that
//! is not made.

use super::PublishedPort;
use super::answer::{Host, Listing, Service};
use std::collections::{BTreeMap, BTreeSet};

/// The published ports, sorted, each once. `balancer` (stack, service) picks one service of any kind; without
/// it every load balancer service that is scheduled on one of `members` counts.
pub fn published(
    services: &Listing<Service>,
    members: &[&Host],
    environment: Option<&str>,
    balancer: Option<&(String, String)>,
    remarks: &mut Vec<String>,
) -> Vec<PublishedPort> {
    let ours = services.entries.iter().filter(|service| {
        service.environment_uuid.is_none() || service.environment_uuid.as_deref() == environment
    });
    let mut found: BTreeMap<u16, PublishedPort> = BTreeMap::new();
    let mut chosen: Vec<(String, &Service)> = ours
        .filter(|service| {
            of_interest(service, balancer) && (balancer.is_some() || scheduled_on(service, members))
        })
        .map(|service| (full_name(service), service))
        .collect();
    chosen.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (service, answer) in &chosen {
        for (port, http) in service_ports(service, answer, remarks) {
            let entry = found.entry(port);
            entry.or_insert(PublishedPort { service: service.clone(), port, http: false }).http |= http;
        }
    }
    if found.is_empty() {
        remarks.push(match balancer {
            Some((stack, name)) if chosen.is_empty() => {
                format!("no service {stack}/{name} (OUTRIDER_LB) in the metadata: there is nothing to check")
            }
            Some((stack, name)) => {
                format!("service {stack}/{name} (OUTRIDER_LB) publishes no TCP port: there is nothing to check")
            }
            None => "no load balancer service publishes a TCP port on the member hosts: there is nothing to check; \
                     name a service with OUTRIDER_LB or a check with OUTRIDER_CHECK"
                .into(),
        });
    }
    found.into_values().collect()
}

/// Whether it can be the load balancer at all; without a name for it, every load balancer service can.
pub fn of_interest(service: &Service, balancer: Option<&(String, String)>) -> bool {
    match balancer {
        Some((stack, name)) => {
            service.stack_name.as_ref() == Some(stack) && service.name.as_ref() == Some(name)
        }
        None => service.kind.as_deref() == Some("loadBalancerService"),
    }
}

fn full_name(service: &Service) -> String {
    format!("{}/{}", service.stack_name.as_deref().unwrap_or("?"), service.name.as_deref().unwrap_or("?"))
}

/// Whether it has a container on a member host, or must have one there because it is global.
fn scheduled_on(service: &Service, members: &[&Host]) -> bool {
    let hosts: BTreeSet<&str> = service.containers.iter().filter_map(|c| c.host_uuid.as_deref()).collect();
    members.iter().any(|host| {
        host.uuid.as_deref().is_some_and(|uuid| hosts.contains(uuid)) || must_run_on(service, host)
    })
}

/// Only hard host-label rules count for a global service.
fn must_run_on(service: &Service, host: &Host) -> bool {
    let (Some(rules), Some(labels)) = (&service.labels, host.labels()) else { return false };
    let rule = |key: &str| rules.get(key).map(String::as_str).unwrap_or_default();
    let carries = |wanted: &str| match wanted.split_once('=') {
        Some((key, value)) => labels.get(key.trim()).is_some_and(|has| has == value.trim()),
        None => labels.contains_key(wanted),
    };
    let items = |list: &'static str| rule(list).split(',').map(str::trim).filter(|item| !item.is_empty());
    rule("io.rancher.scheduler.global") == "true"
        && items("io.rancher.scheduler.affinity:host_label").all(carries)
        && !items("io.rancher.scheduler.affinity:host_label_ne").any(carries)
}

/// The TCP ports on the host, and whether plain HTTP is spoken there.
fn service_ports(name: &str, service: &Service, remarks: &mut Vec<String>) -> Vec<(u16, bool)> {
    let rules = &service.lb_config.port_rules;
    let protocol = |rule_protocol: &Option<String>| rule_protocol.as_deref().map(str::to_ascii_lowercase);
    let http = |port: u16| {
        rules.iter().any(|r| r.source_port == Some(port) && protocol(&r.protocol).as_deref() == Some("http"))
    };
    let mut ports = Vec::new();
    // What the load balancer listens on and we already know how it is reached, or that it is not.
    let mut settled: BTreeSet<u16> = service.expose.iter().filter_map(|text| private_port(text)).collect();
    for text in &service.ports {
        match mapping(text) {
            Mapping::Tcp { public, private } => {
                settled.insert(private);
                ports.push((public, http(private)));
            }
            Mapping::NotOurs => settled.extend(private_port(text)),
            Mapping::Unknown => {
                remarks.push(format!("service {name}: port {text:?} is not understood: not checked"))
            }
        }
    }
    for rule in rules {
        let udp = protocol(&rule.protocol).as_deref() == Some("udp");
        if let Some(port) = rule.source_port.filter(|port| *port != 0 && !udp && !settled.contains(port)) {
            ports.push((port, http(port)));
        }
    }
    ports
}

enum Mapping {
    Tcp {
        public: u16,
        private: u16,
    },
    /// UDP, or a public port that Rancher picks at random on each host.
    NotOurs,
    Unknown,
}

/// `80:80/tcp`, `80:80`, `10.0.0.1:80:80/tcp`, `80`.
fn mapping(text: &str) -> Mapping {
    let (numbers, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "tcp"));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
    let mut parts = numbers.rsplitn(3, ':');
    match (parts.next().and_then(port), parts.next()) {
        (Some(_), _) if protocol.eq_ignore_ascii_case("udp") => Mapping::NotOurs,
        _ if !protocol.eq_ignore_ascii_case("tcp") => Mapping::Unknown,
        (Some(_), None) => Mapping::NotOurs,
        (Some(private), Some(public)) => match port(public) {
            Some(public) => Mapping::Tcp { public, private },
            None => Mapping::Unknown,
        },
        (None, _) => Mapping::Unknown,
    }
}

/// The last number: `80` of `80/tcp` and of `8080:80`.
fn private_port(text: &str) -> Option<u16> {
    let numbers = text.trim().split('/').next()?;
    numbers.rsplit(':').next()?.parse().ok()
}
