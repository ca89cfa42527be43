//! The whole group, as one member sees it: each member's own status, and what is wrong with all of it together.

use super::document::{Router, Status, moment};
use crate::config;
use crate::core::event::State;
use crate::plain;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The version of this document.
pub const VERSION: u32 = 1;
/// How old an answer may be, however many ask.
const FRESH: Duration = Duration::from_millis(500);
/// Longest wait for one member.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest status that is read.
const LONGEST: usize = 4 * 1024 * 1024;
/// Members that are asked, so that forged ones cannot keep this host busy.
const ASKED_MAX: usize = 64;
/// Metadata that was not confirmed for so long is told.
const STALE: f64 = 120.0;

/// All members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Version of the document.
    pub version: u32,
    /// Who put it together.
    pub by: String,
    /// When.
    pub now: f64,
    /// The members: this host first, then the others by address.
    pub members: Vec<Report>,
    /// What is wrong.
    pub alarms: Vec<Alarm>,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it is called.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its status; none: it could not be had.
    pub status: Option<Status>,
    /// Why not.
    pub error: Option<String>,
}

impl Report {
    /// Whether it was asked there, or sends adverts from there.
    fn is_at(&self, address: &str) -> bool {
        let mut routers = self.status.iter().flat_map(|status| &status.routers);
        self.address == address || routers.any(|router| router.source.as_deref() == Some(address))
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Whether clients feel it, or would if one more thing failed.
    pub severity: Severity,
    /// What is wrong.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An address is not where it should be.
    Critical,
    /// It is, but something should be looked into.
    Warning,
}

/// Asks the other members for their status.
#[derive(Debug)]
pub struct Gatherer {
    /// None: the status is served nowhere, so others do not serve it either.
    port: Option<u16>,
    token: RwLock<Option<String>>,
    /// Made when somebody asks first: most agents are never asked.
    client: OnceLock<Option<reqwest::Client>>,
    fresh: Mutex<Option<(Instant, Arc<Group>)>>,
}

impl Gatherer {
    /// The others have the same settings.
    pub fn new(settings: &config::Status) -> Gatherer {
        Gatherer {
            port: settings.listen.port(),
            token: RwLock::new(settings.token.clone()),
            client: OnceLock::new(),
            fresh: Mutex::new(None),
        }
    }

    /// The others want another token from now on.
    pub fn set_token(&self, token: Option<String>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// The whole group, around this host's own status.
    pub async fn gather(&self, own: &Status) -> Arc<Group> {
        let mut fresh = self.fresh.lock().await;
        if let Some((at, group)) = fresh.as_ref()
            && at.elapsed() < FRESH
        {
            return group.clone();
        }
        let mut others: BTreeMap<IpAddr, String> = BTreeMap::new();
        for member in own.routers.iter().flat_map(|router| &router.members).filter(|member| !member.me) {
            if let Ok(address) = member.address.parse() {
                others.entry(address).or_insert_with(|| member.name.clone());
            }
        }
        let source = own.routers.iter().find_map(|router| router.source.clone());
        let mut members = vec![Report {
            name: own.name.clone(),
            address: source.unwrap_or_default(),
            status: Some(own.clone()),
            error: None,
        }];
        let asked = others.into_iter().take(ASKED_MAX).map(|(address, name)| self.ask(address, name));
        members.extend(futures_util::future::join_all(asked).await);
        // A member with an address of each family was asked twice. Its name alone could be another's, too.
        let mut told = BTreeSet::new();
        members.retain(|member| {
            let agent = member.status.as_ref().map(|status| (status.name.clone(), status.started.to_bits()));
            agent.is_none_or(|agent| told.insert(agent))
        });
        let alarms = alarms(&members);
        let now = moment(SystemTime::now());
        let group = Arc::new(Group { version: VERSION, by: own.name.clone(), now, members, alarms });
        *fresh = Some((Instant::now(), group.clone()));
        group
    }

    async fn ask(&self, address: IpAddr, name: String) -> Report {
        let asked = tokio::time::timeout(PATIENCE, self.status_of(address)).await;
        let result = asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        let (status, error) = match result {
            Ok(status) => (Some(status), None),
            Err(why) => (None, Some(why)),
        };
        let name = status.as_ref().map_or(name, |status| status.name.clone());
        Report { name, address: address.to_string(), status, error }
    }

    async fn status_of(&self, address: IpAddr) -> Result<Status, String> {
        let Some(port) = self.port else { return Err("OUTRIDER_STATUS_LISTEN is off".to_owned()) };
        let client =
            || plain::client()?.timeout(PATIENCE).pool_max_idle_per_host(1).build().map_err(Into::into);
        let made = self.client.get_or_init(|| {
            let made: anyhow::Result<reqwest::Client> = client();
            made.inspect_err(|error| tracing::warn!("the members cannot be asked: {error:#}")).ok()
        });
        let Some(client) = made else { return Err("this host cannot ask by HTTP".to_owned()) };
        let mut request = client.get(format!("http://{}/status", std::net::SocketAddr::new(address, port)));
        let token = self.token.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let mut answer = request.send().await.map_err(|error| innermost(&error))?;
        match answer.status().as_u16() {
            200 => {}
            401 => return Err("it wants another OUTRIDER_STATUS_TOKEN".to_owned()),
            other => return Err(format!("it answers with {other}: is it another program?")),
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err("its answer is too long".to_owned());
            }
        }
        let status: Status = serde_json::from_slice(&body)
            .map_err(|error| format!("its answer is not understood: {error}"))?;
        match status.version {
            super::document::VERSION => Ok(status),
            other => Err(format!("its status has version {other}, which this version does not know")),
        }
    }
}

/// The cause that says most: reqwest's own words are "error sending request".
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

/// What is wrong, the worst first.
pub fn alarms(members: &[Report]) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut by_name: BTreeMap<&str, Vec<(&Status, &Router)>> = BTreeMap::new();
    for status in members.iter().filter_map(|member| member.status.as_ref()) {
        for router in &status.routers {
            by_name
                .entry(router.addresses.first().map_or("", String::as_str))
                .or_default()
                .push((status, router));
        }
    }
    let everybody = members.iter().all(|member| member.status.is_some());
    let mut alarm = |severity, text: String| alarms.push(Alarm { severity, text });
    for (address, seen) in &by_name {
        let holders: Vec<&str> = (seen.iter())
            .filter(|(_, router)| router.state == State::Active)
            .map(|(status, _)| status.name.as_str())
            .collect();
        let others: Vec<String> = (seen.iter())
            .filter_map(|(_, router)| router.holder.as_ref())
            .filter(|holder| !holder.me && !members.iter().any(|member| member.is_at(&holder.address)))
            .map(|holder| holder.name.clone())
            .collect();
        let fit =
            seen.iter().filter(|(_, router)| matches!(router.state, State::Active | State::Backup)).count();
        match holders.as_slice() {
            [_] => {}
            [] if fit == 0 => {
                alarm(Severity::Critical, format!("nobody can serve {address}: no member is fit"))
            }
            [] if !others.is_empty() || !everybody => {}
            [] => alarm(Severity::Critical, format!("nobody holds {address}")),
            several => {
                alarm(Severity::Critical, format!("{address} is held by {} at once", several.join(" and ")));
            }
        }
        if holders.len() == 1 && fit == 1 && everybody && seen.len() > 1 {
            let text =
                format!("nobody could take {address} over from {}: no other member is fit", holders.join(""));
            alarm(Severity::Warning, text);
        }
    }
    for member in members {
        let Some(status) = &member.status else {
            let why = member.error.as_deref().unwrap_or_default();
            alarm(Severity::Warning, format!("{} ({}) cannot be asked: {why}", member.name, member.address));
            continue;
        };
        let name = &status.name;
        for router in &status.routers {
            for other in router.members.iter().filter(|other| !other.seen) {
                alarm(
                    Severity::Warning,
                    format!("{name} has never heard of {} ({})", other.name, other.address),
                );
            }
            if let (State::Fault, Some(why), false) = (router.state, &router.unfit, status.drained) {
                alarm(Severity::Warning, format!("{name} cannot serve {}: {why}", router.name));
            }
            if let Some(why) = &router.no_claim {
                alarm(Severity::Critical, format!("{name} does not claim {}: {why}", router.name));
            }
            if router.reluctant {
                let text = format!("{name} should give {} up, but nobody takes it", router.name);
                alarm(Severity::Warning, text);
            }
        }
        for warning in &status.warnings {
            alarm(Severity::Warning, format!("{name}: {}", warning.text));
        }
        if let Some(metadata) = &status.metadata
            && (!metadata.reachable || metadata.confirmed_ago.is_none_or(|ago| ago > STALE))
        {
            let age = metadata.confirmed_ago.map_or("never".to_owned(), |ago| format!("{ago:.0} s ago"));
            alarm(Severity::Warning, format!("{name}: the metadata was confirmed {age}"));
        }
        if status.drained {
            alarm(Severity::Warning, format!("{name} is drained"));
        }
    }
    alarms.sort_by_key(|alarm| alarm.severity);
    let mut told = BTreeSet::new();
    alarms.retain(|alarm| told.insert(alarm.text.clone()));
    alarms
}
