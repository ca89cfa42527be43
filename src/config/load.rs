//! Reads every setting, and checks what must hold between them.

mod checks;
mod notify;
mod router;

use super::describe::one_line;
use super::reader::{Note, Reader};
use super::sources::Sources;
use super::status::{self, Status};
use super::values::{self, Wrong};
use super::{Config, Family, Faults, Loaded, LogFormat, Notify, Origin, Peers, Router, Url, Vip};
use router::Draft;
use std::ffi::OsString;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::filter::Targets;

const fn seconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

const fn milliseconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(from)..=Duration::from_millis(to)
}

impl Config {
    /// Reads the settings from environment variables (`std::env::vars_os()`), or whatever pairs of name and value
    /// are to be taken for them, and the files they name. Nothing else is touched.
    ///
    /// # Errors
    /// All faults of all settings at once.
    pub fn load<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> Result<Loaded, Faults>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        let mut sources = Sources::read(variables);
        let (mut process, mut readers) = sources.readers();

        let begun: Vec<_> = readers.iter_mut().map(|reader| (reader.name(), router::vips(reader))).collect();
        let vips = begun.iter().filter_map(|(_, vips)| vips.as_ref()).flatten();
        let moving: Vec<IpAddr> = vips.map(|vip| vip.address).collect();
        let read = |(reader, (name, vips))| router::read(reader, name, vips, &moving);
        let drafts: Vec<Draft> = readers.iter_mut().zip(begun).map(read).collect();
        let labels: Vec<String> = drafts.iter().enumerate().map(label).collect();
        between(&mut readers, &drafts, &labels);
        let rest = Process::read(&mut process, &drafts);
        let routers: Option<Vec<_>> = drafts.into_iter().map(|draft| draft.router).collect();

        let of_routers = tell(readers.iter().map(|reader| reader.faults.as_slice()), &labels);
        let of_process = tell([process.faults.as_slice()].into_iter(), &[]);
        let faults: Vec<_> = [sources.faults, of_routers, of_process].concat();
        let (Some(config), true) =
            (rest.zip(routers).map(|(rest, routers)| rest.with(routers)), faults.is_empty())
        else {
            return Err(Faults(faults.iter().map(|fault| one_line(fault)).collect()));
        };
        let of_routers = tell(readers.iter().map(|reader| reader.warnings.as_slice()), &labels);
        let of_process = tell([process.warnings.as_slice()].into_iter(), &[]);
        Ok(Loaded {
            config,
            warnings: [sources.warnings, of_process, of_routers].concat(),
            process: process.shown,
            routers: readers.into_iter().map(|reader| reader.shown).collect(),
        })
    }
}

/// The settings that do not belong to a virtual router.
struct Process {
    metadata_url: Url,
    host_label: Vec<(String, String)>,
    state_file: Option<PathBuf>,
    router_id: Option<String>,
    status: Status,
    notify: Notify,
    socket: String,
    log: Targets,
    log_format: LogFormat,
}

impl Process {
    fn read(reader: &mut Reader, drafts: &[Draft]) -> Option<Self> {
        let metadata_url = reader.one("OUTRIDER_METADATA_URL", values::base_url);
        let host_label = host_label(reader);
        let state_file = reader.one("OUTRIDER_STATE_FILE", values::path);
        let router_id = reader.one("OUTRIDER_ROUTER_ID", values::router_id);
        let status = status::read(reader);
        let notify = notify::read(reader);
        let socket = socket(reader, drafts.first().and_then(|draft| draft.vips.as_deref()));
        let log = reader.one("OUTRIDER_LOG", values::log_levels);
        let log_format = reader.one("OUTRIDER_LOG_FORMAT", str::parse);
        reader.text("OUTRIDER_CONFIG");

        let without = match drafts.iter().map(|draft| &draft.peers).collect::<Vec<_>>().as_slice() {
            peers if peers.iter().any(|peers| matches!(peers, None | Some(Peers::Rancher))) => None,
            peers if peers.iter().any(|peers| **peers == Some(Peers::None)) => {
                Some("without peers of Rancher's")
            }
            _ => Some("with a list of peers"),
        };
        for name in ["OUTRIDER_METADATA_URL", "OUTRIDER_HOST_LABEL", "OUTRIDER_STATE_FILE"] {
            if let Some(without) = without.filter(|_| reader.is_set(name)) {
                reader.warn(format!("{name} has no effect {without}"));
            }
        }
        Some(Self {
            metadata_url: metadata_url?,
            host_label: host_label?,
            state_file,
            router_id,
            status: status?,
            notify: notify?,
            socket: socket?,
            log: log?,
            log_format: log_format?,
        })
    }

    fn with(self, routers: Vec<Router>) -> Config {
        let Self { metadata_url, host_label, state_file, router_id, status, notify, socket, log, log_format } =
            self;
        Config {
            routers,
            metadata_url,
            host_label,
            state_file,
            router_id,
            status,
            notify,
            socket,
            log,
            log_format,
        }
    }
}

fn socket(reader: &mut Reader, vips: Option<&[Vip]>) -> Option<String> {
    const NAME: &str = "OUTRIDER_SOCKET";
    let written = reader.one(NAME, values::socket);
    if reader.is_set(NAME) {
        return written;
    }
    let name = format!("@outrider/{}", vips?.first()?.address);
    reader.settle(NAME, name.clone(), Origin::Derived);
    Some(name)
}

fn host_label(reader: &mut Reader) -> Option<Vec<(String, String)>> {
    const NAME: &str = "OUTRIDER_HOST_LABEL";
    let labels = reader.list(NAME, values::label)?;
    for (index, (key, _)) in labels.iter().enumerate() {
        if labels.iter().skip(index + 1).any(|(other, _)| other == key) {
            let two = Wrong::from("is wanted with two values, which no host has");
            reader.fault(NAME, key, two.remedy("leave one out"));
        }
    }
    Some(labels)
}

/// What people call the router at this place: its number, and its name or first address.
fn label((index, draft): (usize, &Draft)) -> String {
    let first = || Some(draft.vips.as_ref()?.first()?.address.to_string());
    match draft.name.clone().or_else(first) {
        Some(name) => format!("router {} ({name})", index + 1),
        None => format!("router {}", index + 1),
    }
}

/// What two virtual routers of one agent may not share.
fn between(readers: &mut [Reader], drafts: &[Draft], labels: &[String]) {
    for (index, (reader, draft)) in readers.iter_mut().zip(drafts).enumerate() {
        let earlier = || drafts.iter().zip(labels).take(index);
        for vip in draft.vips.iter().flatten() {
            let has_it =
                |other: &Draft| other.vips.iter().flatten().any(|theirs| theirs.address == vip.address);
            if let Some((_, label)) = earlier().find(|(other, _)| has_it(other)) {
                let twice = Wrong::from(format!("is an address of {label}, too"));
                reader.fault("OUTRIDER_VIP", &vip.address.to_string(), twice.remedy("leave one out"));
            }
        }
        if let Some((_, label)) =
            earlier().find(|(other, _)| draft.name.is_some() && other.name == draft.name)
        {
            reader.misnamed(&format!("is that of {label}, too; give each its own"));
        }
        if let (Some(vrid), Some((_, label))) =
            (draft.vrid, earlier().find(|(other, _)| collide(other, draft)))
        {
            let set = match reader.is_table() {
                true => "set vrid in each table",
                false => "set OUTRIDER_VRID for each, for example to 10; 11",
            };
            if reader.is_set("OUTRIDER_VRID") {
                let twice = Wrong::from(format!("is the virtual router id of {label}, too"));
                reader.fault("OUTRIDER_VRID", &vrid.to_string(), twice.remedy(set));
            } else if let Some(lowest) = draft.vips.as_deref().and_then(router::lowest) {
                let what = format!("makes {vrid} the virtual router id, which is that of {label}, too");
                reader.fault("OUTRIDER_VIP", &lowest.to_string(), Wrong::from(what).remedy(set));
            }
        }
    }
}

/// Whether two routers would be one to others: the same id, in one family, and perhaps on one interface.
fn collide(one: &Draft, other: &Draft) -> bool {
    let family = |draft: &Draft| -> Option<Family> { draft.vips.as_deref().map(super::router::family) };
    let apart = one.interface.is_some() && other.interface.is_some() && one.interface != other.interface;
    one.vrid == other.vrid && family(one) == family(other) && !apart
}

/// The notes of all scopes as messages: what all have in common once, anything else with the name of its router.
fn tell<'a>(notes: impl Iterator<Item = &'a [Note]> + Clone, labels: &[String]) -> Vec<String> {
    let mut told = Vec::new();
    for (index, of_one) in notes.clone().enumerate() {
        for note in of_one {
            let common = !note.own && notes.clone().all(|others| others.contains(note));
            let file = note.file.iter().map(|file| format!("{}: ", file.display()));
            let label = labels.get(index).filter(|_| !common && labels.len() > 1);
            let label = label.map(|label| format!("{label}: "));
            let message: String = file.chain(label).chain([note.text.clone()]).collect();
            if !told.contains(&message) {
                told.push(message);
            }
        }
    }
    told
}
