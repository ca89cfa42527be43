//! Settings: validated, typed, each with the origin of its value.
//!
//! Where values come from, the environment or a TOML file, and which router they are for (`sources`); the layers of
//! one scope, merged (`layers`); its texts (`reader`); texts to values (`values`, `auth`); what one router needs and
//! what must hold between all (`load`). No fault ends the reading: all are told at once.
//!
//! Who has settings from elsewhere and wants to know whether they hold, as an importer does, gives them to
//! [`Config::load`] as pairs of variable and value: it reads no environment of its own, and no file but those
//! that `OUTRIDER_CONFIG` and the `…_FILE` variables name.

pub(crate) mod argv;
mod auth;
mod check;
mod describe;
mod layers;
mod load;
mod notify;
mod reader;
mod router;
mod sources;
mod status;
mod values;
mod variables;

pub use auth::{Auth, AuthKey, AuthMode};
pub use check::{CheckSetting, CheckSettings, Target, Url};
pub use describe::{Section, describe, help, table};
pub use notify::{Mail, MailTls, Mailbox, Notify, Secret, Webhook, WebhookFormat};
pub use router::{Announcements, Checksum, Family, Guards, Lease, Peers, Router, Transport, Vip};
pub use status::{Listen, Status};

use reader::Shown;
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// All settings in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The virtual routers; at least one.
    pub routers: Vec<Router>,
    /// Base URL of the metadata service, no slash at its end.
    pub metadata_url: Url,
    /// Labels (key, value) a host must all carry to take part.
    pub host_label: Vec<(String, String)>,
    /// File that keeps the last good membership.
    pub state_file: Option<PathBuf>,
    /// Name of this host in messages; none: its host name.
    pub router_id: Option<String>,
    /// The status over HTTP.
    pub status: Status,
    /// Who is told of changes.
    pub notify: Notify,
    /// Name of the local socket: a path, or `@name` for an abstract one.
    pub socket: String,
    /// Log levels (`info,outrider::net=debug`).
    pub log: tracing_subscriber::filter::Targets,
    /// Form of the log lines.
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
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
    /// What is odd but harmless, one message each.
    pub warnings: Vec<String>,
    /// The settings of the process as they were written, without secrets.
    process: Shown,
    /// Those of each router, in the order of [`Config::routers`].
    routers: Vec<Shown>,
}

impl Loaded {
    /// The origin of a setting, by the name of its variable; of one router's (counted from 0), if it is one that
    /// routers have. `None`: there is no such variable or router.
    pub fn origin(&self, router: usize, name: &str) -> Option<&Origin> {
        let shown = self.routers.get(router)?.get(name).or_else(|| self.process.get(name))?;
        Some(&shown.origin)
    }
}

impl Loaded {
    /// The variables that have another value in `new`, each once. There are as many virtual routers as here.
    pub fn changes(&self, new: &Loaded) -> Vec<&'static str> {
        let mut changed = std::collections::BTreeSet::new();
        let scopes = |loaded: &Loaded| -> Vec<Shown> {
            [loaded.process.clone()].into_iter().chain(loaded.routers.iter().cloned()).collect()
        };
        for (old, new) in scopes(self).iter().zip(&scopes(new)) {
            let names = old.keys().chain(new.keys());
            let text = |shown: &Shown, name: &str| shown.get(name).map(|setting| setting.text.clone());
            changed.extend(names.copied().filter(|name| text(old, name) != text(new, name)));
        }
        // Secrets all look alike.
        for (old, new) in self.config.routers.iter().zip(&new.config.routers) {
            let name = if matches!(new.auth, Auth::Keys { .. }) {
                "OUTRIDER_AUTH_KEYS"
            } else {
                "OUTRIDER_AUTH_PASS"
            };
            changed.extend((old.auth != new.auth).then_some(name));
        }
        let login = |loaded: &Loaded| loaded.config.notify.mail.as_ref().and_then(|mail| mail.login.clone());
        changed.extend((login(self) != login(new)).then_some("OUTRIDER_SMTP_PASSWORD"));
        let hook = |loaded: &Loaded| loaded.config.notify.webhook.clone();
        let url = |loaded: &Loaded| hook(loaded).map(|hook| hook.url);
        changed.extend((url(self) != url(new)).then_some("OUTRIDER_WEBHOOK_URL"));
        let key = |loaded: &Loaded| hook(loaded).and_then(|hook| hook.key);
        changed.extend((key(self) != key(new)).then_some("OUTRIDER_WEBHOOK_KEY"));
        let (old, new) = (&self.config.status.token, &new.config.status.token);
        changed.extend((old != new).then_some("OUTRIDER_STATUS_TOKEN"));
        changed.into_iter().collect()
    }

    /// Shows these variables as they are in `old`.
    pub fn keep(&mut self, old: &Loaded, names: &[&'static str]) {
        let scopes = [&mut self.process].into_iter().chain(&mut self.routers);
        for (new, old) in scopes.zip([&old.process].into_iter().chain(&old.routers)) {
            for name in names {
                match old.get(name) {
                    Some(setting) => drop(new.insert(name, setting.clone())),
                    None => drop(new.remove(name)),
                }
            }
        }
    }
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
