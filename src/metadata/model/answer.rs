//! The parts of Rancher's answers that are read, and nothing else of them.
//!
//! A key that is absent, `null` or of a wrong type is read as unknown; an entry of a list that is no such
//! thing at all is counted. Only an answer of a wholly different shape is an error.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// One consistent look at the service. Also the content of the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// `/self/host`.
    #[serde(rename = "self")]
    pub me: Host,
    /// `/hosts`.
    pub hosts: Listing<Host>,
    /// `/services`; none: nobody asked.
    pub services: Option<Listing<Service>>,
}

/// A list whose entries are read one by one, and sorted: the service's own order is of no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// Those that were understood.
    pub entries: Vec<T>,
    /// How many were not.
    pub unreadable: usize,
}

/// A host, from `/self/host` or `/hosts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// Stable identity.
    #[serde(deserialize_with = "text")]
    pub uuid: Option<String>,
    /// Name given in Rancher; people may change it.
    #[serde(deserialize_with = "text")]
    pub name: Option<String>,
    /// The machine's own name.
    #[serde(deserialize_with = "text")]
    pub hostname: Option<String>,
    /// Address the host registered with.
    #[serde(deserialize_with = "text")]
    pub agent_ip: Option<String>,
    /// `active`, `inactive`, …; only since 1.6.13.
    #[serde(deserialize_with = "text")]
    pub state: Option<String>,
    /// `active`, `reconnecting`, `disconnected`; only since 1.6.13.
    #[serde(deserialize_with = "text")]
    pub agent_state: Option<String>,
    /// Tells our hosts from those of linked environments.
    #[serde(deserialize_with = "text")]
    pub environment_uuid: Option<String>,
    // Nothing in the state file, since null would be read as none.
    #[serde(deserialize_with = "labels", skip_serializing_if = "Option::is_none")]
    labels: Option<BTreeMap<String, String>>,
}

impl Host {
    /// Its labels; none: not understood, which is not the same as having none.
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.labels.as_ref()
    }

    /// Deactivated by its administrator.
    pub fn inactive(&self) -> bool {
        self.state.as_deref() == Some("inactive")
    }

    /// Rancher has lost sight of it. No proof that it is dead.
    pub fn disconnected(&self) -> bool {
        matches!(self.agent_state.as_deref(), Some("reconnecting" | "disconnected"))
    }
}

/// A service, from `/services`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name within the stack.
    #[serde(deserialize_with = "text")]
    pub name: Option<String>,
    /// The stack's name.
    #[serde(deserialize_with = "text")]
    pub stack_name: Option<String>,
    /// `loadBalancerService`, `service`, …
    #[serde(deserialize_with = "text")]
    pub kind: Option<String>,
    /// Tells our services from those of linked environments.
    #[serde(deserialize_with = "text")]
    pub environment_uuid: Option<String>,
    /// Scheduling rules are among them.
    #[serde(deserialize_with = "labels", skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Published on the host: `80:80/tcp`.
    #[serde(deserialize_with = "entries")]
    pub ports: Vec<String>,
    /// Open inside Rancher's network only: `80/tcp`.
    #[serde(deserialize_with = "entries")]
    pub expose: Vec<String>,
    /// Rules of a load balancer.
    #[serde(deserialize_with = "record")]
    pub lb_config: LbConfig,
    /// Where it runs.
    #[serde(deserialize_with = "entries")]
    pub containers: Vec<Container>,
}

/// What a load balancer serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct LbConfig {
    /// One for each port and backend.
    #[serde(deserialize_with = "entries")]
    pub port_rules: Vec<PortRule>,
}

/// One rule of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct PortRule {
    /// The port the load balancer listens on.
    #[serde(deserialize_with = "number")]
    pub source_port: Option<u16>,
    /// `http`, `https`, `tcp`, `tls`, `sni`, `udp`.
    #[serde(deserialize_with = "text")]
    pub protocol: Option<String>,
}

/// A container of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// The host it is on.
    #[serde(deserialize_with = "text")]
    pub host_uuid: Option<String>,
}

/// One entry of a list, if it can be read.
struct Entry<T>(Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Entry(T::deserialize(Value::deserialize(deserializer)?).ok()))
    }
}

impl<'de, T: DeserializeOwned + Ord> Deserialize<'de> for Listing<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Entry by entry, so that of a large environment's services only one is held whole.
        let all = Option::<Vec<Entry<T>>>::deserialize(deserializer)?.unwrap_or_default();
        let total = all.len();
        let mut entries: Vec<T> = all.into_iter().filter_map(|entry| entry.0).collect();
        entries.sort();
        Ok(Listing { unreadable: total - entries.len(), entries })
    }
}

impl<T: Serialize> Serialize for Listing<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    })
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64().and_then(|number| number.try_into().ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => Some(BTreeMap::new()),
        Value::Object(map) => Some(map.into_iter().filter_map(|(key, v)| Some((key, scalar(v)?))).collect()),
        _ => None,
    })
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn entries<'de, D: Deserializer<'de>, T: DeserializeOwned + Ord>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let Value::Array(list) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    let mut entries: Vec<T> = list.into_iter().filter_map(|entry| T::deserialize(entry).ok()).collect();
    entries.sort();
    Ok(entries)
}

fn record<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(T::deserialize(Value::deserialize(deserializer)?).unwrap_or_default())
}
