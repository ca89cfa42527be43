//! Settings: validated, typed, each with the origin of its value.
//!
//! The environment over an optional TOML file, merged as plain texts (`layers`); texts to values
//! (`values`); what must hold between them (`load`). No fault ends the reading: all are told at once.

pub(crate) mod argv;
mod describe;
mod layers;
mod load;
mod values;
mod variables;

pub use describe::{describe, help, table};

use crate::core::advert::Version;
pub use crate::core::announce::Announcements;
pub use crate::core::guard::Guards;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// An address to keep alive, and the prefix length it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address itself.
    pub address: Ipv4Addr,
    /// Prefix length, if one was written (`10.10.10.2/24`).
    pub prefix: Option<u8>,
}

/// Where the peers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Rancher's metadata service.
    Rancher,
    /// A list of addresses; our own may be among them.
    List(Vec<IpAddr>),
}

/// How long the kernel keeps the address without hearing from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The next whole second above Master_Down, at least one.
    Auto,
    /// No limit.
    Forever,
}

/// Which of the two checksums a v3 advert over IPv4 is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// With the IPv4 pseudo-header: keepalived, FRR.
    PseudoHeader,
    /// Over the message alone: RFC 9568, Cisco, Juniper.
    Message,
}

/// A valid `http://` or `https://` URL. Its user part is a secret, so it has no `Display`: say which is meant.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// All of it, for the one who asks for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For people: what stands before the last `@` is replaced by `***`.
    pub fn redacted(&self) -> String {
        values::redact(&self.0)
    }
}

impl Debug for Url {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.redacted(), f)
    }
}

/// What is asked of the co-located load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckSetting {
    /// Every TCP port the load balancer services on member hosts publish; with `stack/service`, only that one's.
    Published(Option<(String, String)>),
    /// These, all of which must pass. Empty: `none`, nothing is checked.
    These(Vec<Target>),
}

/// One thing to check. Its `Display` and `Debug` are for people: they show no secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A TCP connect that stays open.
    Tcp {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// An HTTP or HTTPS request.
    Http {
        /// The whole URL, `http://…` or `https://…`. Its user part is a secret.
        url: String,
    },
    /// A program that ends with 0 if all is well. No shell is involved unless it is the program.
    Exec {
        /// Absolute path of the program, and its arguments; at least the path.
        argv: Vec<String>,
    },
}

/// How the checks are run and what counts as an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSettings {
    /// Pause between two looks at a fit load balancer.
    pub interval: Duration,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Successes in a row that make an unfit host fit.
    pub rise: u32,
    /// Failures in a row that make a fit host unfit.
    pub fall: u32,
    /// Accepted HTTP status codes as inclusive ranges; empty: any status line.
    pub status: Vec<(u16, u16)>,
    /// `Host` header of HTTP checks.
    pub host_header: Option<String>,
    /// Whether certificates are verified.
    pub tls_verify: bool,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// All settings in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses of the virtual router; at least one, no two alike.
    pub vips: Vec<Vip>,
    /// Interface the addresses go to; none: derived.
    pub interface: Option<String>,
    /// Address the adverts come from; none: derived.
    pub source: Option<IpAddr>,
    /// Where the peers come from.
    pub peers: Peers,
    /// Base URL of the metadata service, no slash at its end.
    pub metadata_url: Url,
    /// Labels (key, value) a host must all carry to take part.
    pub host_label: Vec<(String, String)>,
    /// File that keeps the last good membership.
    pub state_file: Option<PathBuf>,
    /// Name of this host in messages; none: its host name.
    pub router_id: Option<String>,
    /// Virtual router id, derived from the lowest address unless set.
    pub vrid: u8,
    /// Priority, if set by hand.
    pub priority: Option<u8>,
    /// Whether a higher priority takes the address from a lower one.
    pub preempt: bool,
    /// How long a lower priority is borne before it is preempted.
    pub preempt_delay: Duration,
    /// Version of VRRP.
    pub version: Version,
    /// Advertisement interval.
    pub interval: Duration,
    /// Form of the v3 checksum that is sent.
    pub checksum: Checksum,
    /// Lowest TTL an advert may arrive with.
    pub min_ttl: u8,
    /// What is checked.
    pub check: CheckSetting,
    /// How it is checked.
    pub checks: CheckSettings,
    /// Whether the link's state counts.
    pub track_link: bool,
    /// Lifetime of the address in the kernel.
    pub lease: Lease,
    /// Whose sign of life is wanted before a claim.
    pub guards: Guards,
    /// Name of the local socket: a path, or `@name` for an abstract one.
    pub socket: String,
    /// Whether an address that is there already and is not ours is taken over.
    pub adopt: bool,
    /// How long a leaver waits for its successor.
    pub handover_limit: Duration,
    /// Gratuitous ARP.
    pub announcements: Announcements,
    /// Log levels (`info,outrider::net=debug`).
    pub log: tracing_subscriber::filter::Targets,
    /// Form of the log lines.
    pub log_format: LogFormat,
}

/// Where the value of a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table of settings.
    Default,
    /// An environment variable.
    Environment,
    /// The file that OUTRIDER_CONFIG names.
    File(PathBuf),
    /// A file that a `…_FILE` variable names.
    SecretFile(PathBuf),
    /// Found out from other settings, or at run time from the host.
    Derived,
}

/// Settings in force, and how they came to be.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Origin of each setting, by the name of its variable.
    pub origins: BTreeMap<&'static str, Origin>,
    /// What is odd but harmless, one message each.
    pub warnings: Vec<String>,
    /// Each setting as it was written, by the name of its variable, without secrets.
    texts: BTreeMap<&'static str, String>,
}

/// Everything that is wrong with the settings: one message, on one line, for each fault. At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl Display for Faults {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Faults {}
