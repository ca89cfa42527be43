//! The settings of the checks.

use super::values::redact;
use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

/// A valid `http://` or `https://` URL. Its user part is a secret, so it has no `Display`: say which is meant.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(pub(super) String);

impl Url {
    /// All of it, for the one who asks for it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For people: what stands before the last `@` is replaced by `***`.
    pub fn redacted(&self) -> String {
        redact(&self.0)
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
