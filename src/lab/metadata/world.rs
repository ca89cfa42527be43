//! The data of an environment, shared by the servers of its hosts.

use super::random;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// An environment: a document like a whole answer of `GET /2016-07-29`, and its version. A handle: clones share
/// the data.
#[derive(Clone)]
pub struct World {
    data: Arc<watch::Sender<Arc<Data>>>,
}

/// One state of the data.
pub(super) struct Data {
    pub(super) version: String,
    pub(super) document: Value,
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

impl World {
    /// An environment without hosts.
    pub fn new() -> Self {
        World::from_answer(json!({
            "containers": null, "environments": null, "hosts": null, "name": "Default", "networks": null,
            "region_name": null, "services": null, "stacks": null, "uuid": ENVIRONMENT,
        }))
    }

    /// A whole answer of a real service. Its `self` and `version` are not used.
    pub fn from_answer(document: Value) -> Self {
        World { data: Arc::new(watch::Sender::new(Arc::new(Data { version: version(), document }))) }
    }

    /// Changes the data. The version changes, whatever is done.
    pub fn update(&self, change: impl FnOnce(&mut Value)) {
        self.data.send_modify(|data| {
            let mut document = data.document.clone();
            change(&mut document);
            *data = Arc::new(Data { version: version(), document });
        });
    }

    /// Puts another whole answer in its place.
    pub fn set(&self, document: Value) {
        self.update(|old| *old = document);
    }

    /// Adds a host, or replaces the one with its uuid.
    pub fn put_host(&self, host: &Host) {
        self.put("hosts", host.to_value());
    }

    /// Changes a host's entry in place, if it is there.
    pub fn change_host(&self, uuid: &str, change: impl FnOnce(&mut Value)) {
        self.update(|document| {
            let hosts = document.get_mut("hosts").and_then(Value::as_array_mut);
            if let Some(host) = hosts.into_iter().flatten().find(|host| host["uuid"] == uuid) {
                change(host);
            }
        });
    }

    /// Takes a host out, as Rancher does when it is deleted.
    pub fn remove_host(&self, uuid: &str) {
        self.update(|document| {
            if let Some(hosts) = document.get_mut("hosts").and_then(Value::as_array_mut) {
                hosts.retain(|host| host["uuid"] != uuid);
            }
        });
    }

    /// Adds a service, or replaces the one with its stack and name.
    pub fn put_service(&self, service: &Service) {
        self.put("services", service.to_value());
    }

    fn put(&self, list: &str, entry: Value) {
        self.update(|document| {
            let Some(document) = document.as_object_mut() else { return };
            let list = document.entry(list).or_insert(Value::Null);
            if !list.is_array() {
                *list = Value::Array(Vec::new());
            }
            if let Some(list) = list.as_array_mut() {
                list.retain(|old| old["uuid"] != entry["uuid"]);
                list.push(entry);
            }
        });
    }

    pub(super) fn data(&self) -> Arc<Data> {
        self.data.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Data>> {
        self.data.subscribe()
    }
}

/// Opaque and different each time, in the form the real ones have.
fn version() -> String {
    let (a, b) = (random(), random());
    let last = b & 0xffff_ffff_ffff;
    format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{last:012x}", a >> 32, a >> 16 & 0xffff, a & 0xfff, b >> 52)
}

const ENVIRONMENT: &str = "adminproject";

/// A host to put into a [`World`].
#[derive(Clone, Debug)]
pub struct Host {
    /// Stable identity.
    pub uuid: String,
    /// Name given in Rancher.
    pub name: String,
    /// The machine's own name.
    pub hostname: String,
    /// Address it registered with.
    pub agent_ip: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `active` or `inactive`; none: an older Rancher.
    pub state: Option<String>,
    /// `active`, `reconnecting`, `disconnected`; none: an older Rancher.
    pub agent_state: Option<String>,
    /// The environment it belongs to.
    pub environment_uuid: String,
}

impl Host {
    /// An active host of the default environment with the label `role=load-balancer`.
    pub fn new(uuid: &str, name: &str, agent_ip: &str) -> Self {
        Host {
            uuid: uuid.into(),
            name: name.into(),
            hostname: name.into(),
            agent_ip: agent_ip.into(),
            labels: BTreeMap::from([("role".into(), "load-balancer".into())]),
            state: Some("active".into()),
            agent_state: Some("active".into()),
            environment_uuid: ENVIRONMENT.into(),
        }
    }

    /// With one more label, or another value of one.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    fn to_value(&self) -> Value {
        json!({
            "agent_ip": self.agent_ip, "agent_state": self.agent_state, "environment_uuid": self.environment_uuid,
            "hostname": self.hostname, "labels": self.labels, "local_storage_mb": 39000, "memory": 3951,
            "metadata_kind": "host", "milli_cpu": 2000, "name": self.name, "state": self.state, "uuid": self.uuid,
        })
    }
}

/// A service to put into a [`World`].
#[derive(Clone, Debug)]
pub struct Service {
    /// Stack it belongs to.
    pub stack: String,
    /// Name in the stack.
    pub name: String,
    /// `loadBalancerService`, `service`, …
    pub kind: String,
    /// Published ports: `80:80/tcp`.
    pub ports: Vec<String>,
    /// Rules of a load balancer: port and protocol.
    pub rules: Vec<(u16, String)>,
    /// uuids of the hosts that have a container of it.
    pub hosts: Vec<String>,
    /// Labels, scheduling rules among them.
    pub labels: BTreeMap<String, String>,
}

impl Service {
    /// A global load balancer `lb/lb` on hosts with `role=load-balancer` that publishes port 80 for HTTP, and
    /// has a container on each of these hosts.
    pub fn load_balancer(hosts: &[&str]) -> Self {
        let labels = [
            ("io.rancher.scheduler.affinity:host_label", "role=load-balancer"),
            ("io.rancher.scheduler.global", "true"),
        ];
        Service {
            stack: "lb".into(),
            name: "lb".into(),
            kind: "loadBalancerService".into(),
            ports: vec!["80:80/tcp".into()],
            rules: vec![(80, "http".into())],
            hosts: hosts.iter().map(|uuid| (*uuid).into()).collect(),
            labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
        }
    }

    fn to_value(&self) -> Value {
        let container = |(index, host): (usize, &String)| {
            json!({
                "environment_uuid": ENVIRONMENT, "health_state": "healthy", "host_uuid": host,
                "metadata_kind": "container", "name": format!("{}-{}-{}", self.stack, self.name, index + 1),
                "ports": self.ports.iter().map(|port| format!("0.0.0.0:{port}")).collect::<Vec<_>>(),
                "service_name": self.name, "stack_name": self.stack, "state": "running",
                "uuid": format!("container-{}-{}-{host}", self.stack, self.name),
            })
        };
        let rule = |(port, protocol): &(u16, String)| json!({ "source_port": port, "protocol": protocol, "target_port": 8080, "hostname": "", "path": "" });
        let rules: Vec<Value> = self.rules.iter().map(rule).collect();
        json!({
            "containers": or_null(self.hosts.iter().enumerate().map(container).collect()),
            "environment_uuid": ENVIRONMENT, "expose": [], "kind": self.kind, "labels": self.labels,
            "lb_config": if rules.is_empty() { Value::Null } else { json!({ "port_rules": rules }) },
            "metadata": Map::new(), "metadata_kind": "service", "name": self.name, "ports": self.ports,
            "stack_name": self.stack, "state": "active", "uuid": format!("service-{}-{}", self.stack, self.name),
        })
    }
}

/// Empty lists are `null`.
fn or_null(list: Vec<Value>) -> Value {
    if list.is_empty() { Value::Null } else { Value::Array(list) }
}
