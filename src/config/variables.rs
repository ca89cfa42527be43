//! The table of variables: one row each, read by the loader, the help text and the messages alike.

use Fallback::{Derived, Nothing, Required, Value};
use Items::{Comma, Semicolon};
use std::cmp::min;

/// What the name of every variable begins with.
pub(super) const PREFIX: &str = "OUTRIDER_";

/// What holds when a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fallback {
    /// Nothing can: it must be set.
    Required,
    /// This text, read like any other value.
    Value(&'static str),
    /// The thing is absent; these words say what that means.
    Nothing(&'static str),
    /// It is found out from other things; these words say which.
    Derived(&'static str),
}

/// What separates the items of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Items {
    /// It is one value.
    One,
    /// `,`
    Comma,
    /// `;` or a line break.
    Semicolon,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Variable {
    /// Its full name.
    pub name: &'static str,
    /// What holds without it.
    pub fallback: Fallback,
    /// An accepted value, for messages.
    pub example: &'static str,
    /// What it is for, in one line of help.
    pub meaning: &'static str,
    /// What separates its items.
    pub items: Items,
    /// Who may see it. What not everybody may see has a `_FILE` form.
    pub eyes: Eyes,
    /// Whether there is one for the process, and not one for each virtual router.
    pub process: bool,
}

/// Who may see a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eyes {
    /// Everybody.
    All,
    /// Nobody sees the user part of the URLs in it.
    Redacted,
    /// Nobody sees anything of it.
    None,
}

impl Variable {
    const fn items(self, items: Items) -> Self {
        Self { items, ..self }
    }

    const fn redacted(self) -> Self {
        Self { eyes: Eyes::Redacted, ..self }
    }

    const fn hidden(self) -> Self {
        Self { eyes: Eyes::None, ..self }
    }

    const fn process(self) -> Self {
        Self { process: true, ..self }
    }

    /// Its name in the file.
    pub fn key(&self) -> String {
        key(self.name)
    }

    /// The name its `_FILE` form has there, if it has one.
    pub fn file_key(&self) -> String {
        self.key() + "_file"
    }

    /// Whether its text may hold values for several virtual routers. Semicolons in OUTRIDER_CHECK separate checks.
    pub fn spreads(&self) -> bool {
        !self.process && self.items != Items::Semicolon
    }

    /// What holds without it, in words for people.
    pub fn fallback_text(&self) -> &'static str {
        match self.fallback {
            Fallback::Required => "(required)",
            Fallback::Value(text) | Fallback::Derived(text) | Fallback::Nothing(text) => text,
        }
    }
}

const fn row(
    name: &'static str,
    fallback: Fallback,
    example: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable { name, fallback, example, meaning, items: Items::One, eyes: Eyes::All, process: false }
}

/// Every variable of this version, in the order people are shown them.
#[rustfmt::skip] // A table: one row a line.
pub(super) static TABLE: [Variable; 56] = [
    row("OUTRIDER_VIP", Required, "10.10.10.2", "the address to keep alive; several that move together: 10.10.10.2,10.10.10.3").items(Comma),
    row("OUTRIDER_INTERFACE", Derived("by the subnet of the address, else of the source"), "eth0", "where the address goes"),
    row("OUTRIDER_SOURCE", Derived("agent_ip; peer list: our own in it, else by route"), "10.0.0.11", "where the adverts come from"),
    row("OUTRIDER_PEERS", Value("rancher"), "rancher, or 10.0.0.11,10.0.0.12", "who takes part: rancher, addresses (our own perhaps among them), or none (multicast)").items(Comma),
    row("OUTRIDER_METADATA_URL", Value("http://169.254.169.250/2016-07-29"), "http://169.254.169.250/2016-07-29", "Rancher's metadata service").redacted().process(),
    row("OUTRIDER_HOST_LABEL", Value("role=load-balancer"), "role=load-balancer", "label of the hosts that take part; a comma means and").items(Comma).process(),
    row("OUTRIDER_STATE_FILE", Nothing("none"), "/var/lib/outrider/state.json", "keeps the last good membership for a start without metadata").process(),
    row("OUTRIDER_ROUTER_ID", Derived("host name"), "lb1", "how this host is called in messages").process(),
    row("OUTRIDER_VRID", Derived("last byte of the lowest address"), "10", "virtual router id, 1 to 255"),
    row("OUTRIDER_PRIORITY", Derived("by rank among the members"), "100", "1 to 254"),
    row("OUTRIDER_PREEMPT", Value("false"), "true", "whether a higher priority takes the address from a lower one"),
    row("OUTRIDER_PREEMPT_DELAY", Value("0s"), "5s", "how long a lower priority is borne first"),
    row("OUTRIDER_VRRP_VERSION", Value("3"), "3", "3, or 2"),
    row("OUTRIDER_ADVERT_INTERVAL", Derived("200ms (version 2: 1s)"), "200ms", "version 3: 10ms to 40.95s; version 2: whole seconds"),
    row("OUTRIDER_TRANSPORT", Value("unicast"), "multicast", "how adverts reach the peers: unicast, or multicast"),
    row("OUTRIDER_CHECKSUM", Value("pseudo-header"), "pseudo-header", "version 3: pseudo-header (keepalived, FRR), or message (RFC 9568)"),
    row("OUTRIDER_MIN_TTL", Derived("255 (unicast IPv6: 64)"), "255", "lowest TTL or hop limit an advert may arrive with"),
    row("OUTRIDER_AUTH_PASS", Nothing("none"), "secret", "version 2: the password, 8 bytes").hidden(),
    row("OUTRIDER_AUTH_KEYS", Nothing("none"), "1:$(openssl rand -hex 32)", "HMAC keys as ID:hex, the one that signs first").items(Comma).hidden(),
    row("OUTRIDER_AUTH_MODE", Nothing("enforce, with keys"), "enforce", "enforce; permissive: accept what is unsigned, too; receive-only: accept it, and do not sign"),
    row("OUTRIDER_LB", Nothing("all on member hosts"), "stack/service", "stack/service whose published ports are checked"),
    row("OUTRIDER_CHECK", Derived("published ports"), "tcp://127.0.0.1:80", "tcp://HOST:PORT; http://HOST:PORT/PATH; https://...; exec:/path arg...; or none").items(Semicolon).redacted(),
    row("OUTRIDER_CHECK_INTERVAL", Value("1s"), "1s", "pause between two looks at a fit load balancer"),
    row("OUTRIDER_CHECK_TIMEOUT", Value("1s"), "1s", "longest wait for one answer"),
    row("OUTRIDER_CHECK_RISE", Value("2"), "2", "successes in a row that make a host fit"),
    row("OUTRIDER_CHECK_FALL", Value("2"), "2", "failures in a row that make a host unfit"),
    row("OUTRIDER_CHECK_STATUS", Nothing("any status line"), "200-399", "accepted HTTP status codes").items(Comma),
    row("OUTRIDER_CHECK_HOST_HEADER", Nothing("none"), "www.example.com", "Host header of HTTP checks"),
    row("OUTRIDER_CHECK_TLS_VERIFY", Value("true"), "true", "whether certificates are verified"),
    row("OUTRIDER_TRACK_LINK", Value("true"), "true", "whether a link that is down makes a host unfit"),
    row("OUTRIDER_LEASE", Value("auto"), "auto", "how long the kernel keeps the address without us: auto, or forever"),
    row("OUTRIDER_GUARD", Value("auto"), "auto, off, or 10.10.10.1", "whose sign of life is wanted before a claim: auto, addresses, or off").items(Comma),
    row("OUTRIDER_ADOPT", Value("false"), "true", "take over an address that is there already and is not ours"),
    row("OUTRIDER_HANDOVER_LIMIT", Value("5s"), "5s", "how long a leaver waits for its successor"),
    row("OUTRIDER_GARP_REPEAT", Value("5"), "5", "announcements in one burst"),
    row("OUTRIDER_GARP_DELAY", Value("1s"), "1s", "when the second burst follows; 0s: none"),
    row("OUTRIDER_GARP_REFRESH", Value("60s"), "60s", "pause between announcements while the address is held; 0s: none"),
    row("OUTRIDER_GARP_INTERVAL", Value("0ms"), "10ms", "pause between the announcements of a burst"),
    row("OUTRIDER_STATUS_LISTEN", Value(":9112"), "0.0.0.0:9112", "where the status is served by HTTP: :PORT (at the source address), ADDRESS:PORT, or off").process(),
    row("OUTRIDER_STATUS_TOKEN", Nothing("none"), "$(openssl rand -hex 32)", "what who asks for the status has to bring").hidden().process(),
    row("OUTRIDER_SMTP_SERVER", Nothing("no mail"), "mail.example.com", "mail server that is told of changes: HOST, or HOST:PORT").process(),
    row("OUTRIDER_SMTP_FROM", Derived("outrider@ and the host name"), "outrider@example.com", "who the mail is from").process(),
    row("OUTRIDER_SMTP_TO", Nothing("nobody"), "ops@example.com", "who gets the mail").items(Comma).process(),
    row("OUTRIDER_SMTP_USER", Nothing("none"), "outrider", "user at the mail server").process(),
    row("OUTRIDER_SMTP_PASSWORD", Nothing("none"), "secret", "the user's password").hidden().process(),
    row("OUTRIDER_SMTP_TLS", Derived("starttls; port 465: tls; this host: none"), "starttls", "starttls (port 587), tls (port 465), or none (port 25)").process(),
    row("OUTRIDER_SMTP_TLS_VERIFY", Value("true"), "true", "whether the mail server's certificate is verified").process(),
    row("OUTRIDER_SMTP_TIMEOUT", Value("30s"), "30s", "longest time one mail may take; then it is tried again").process(),
    row("OUTRIDER_WEBHOOK_URL", Nothing("none"), "https://hooks.example.com/outrider", "where changes are posted").hidden().process(),
    row("OUTRIDER_WEBHOOK_FORMAT", Value("json"), "text", "json, or text: {\"text\": ...}, as chats want it").process(),
    row("OUTRIDER_WEBHOOK_KEY", Nothing("none"), "$(openssl rand -hex 32)", "key of the HMAC-SHA256 in X-Outrider-Signature").hidden().process(),
    row("OUTRIDER_NOTIFY_COMMAND", Nothing("none"), "/usr/local/bin/notify", "program that is told of changes, as keepalived does: INSTANCE name MASTER|BACKUP|FAULT|STOP priority").process(),
    row("OUTRIDER_SOCKET", Derived("@outrider/ and the first address"), "@outrider/10.10.10.2", "local socket for status, drain and undrain: a path, or @name").process(),
    row("OUTRIDER_LOG", Value("info"), "info,outrider::net=debug", "off, error, warn, info, debug, trace; or info,outrider::net=debug").process(),
    row("OUTRIDER_LOG_FORMAT", Value("text"), "json", "text, or json").process(),
    row("OUTRIDER_CONFIG", Nothing("none"), "/etc/outrider.toml", "TOML file below the environment: names in lower case, no OUTRIDER_").process(),
];

/// What a name is to this version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// A variable of the table, or the `_FILE` form of one.
    Yes,
    /// Container links and orchestrators set such names.
    Injected,
    /// Nothing we know.
    No,
}

/// The row of a full name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    TABLE.iter().find(|variable| variable.name == name)
}

/// The row of a full name, or of the one that it is the `_FILE` form of.
pub(super) fn base(name: &str) -> Option<&'static Variable> {
    let of_file = || name.strip_suffix("_FILE").and_then(find).filter(|variable| variable.eyes != Eyes::All);
    find(name).or_else(of_file)
}

/// What a full name is to this version.
pub(super) fn known(name: &str) -> Known {
    if base(name).is_some() {
        Known::Yes
    } else if injected(name) {
        Known::Injected
    } else {
        Known::No
    }
}

/// The full name of a key in the file.
pub(super) fn full(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase())
}

/// The name a variable has in the file.
pub(super) fn key(name: &str) -> String {
    name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase()
}

/// Whether links between containers (`OUTRIDER_PORT_80_TCP`) or an orchestrator
/// (`OUTRIDER_SERVICE_HOST`) may have made this name out of a container called outrider.
fn injected(name: &str) -> bool {
    let port_number = name.split("_PORT_").skip(1).any(|rest| {
        rest.split_once('_')
            .is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    port_number
        || name.contains("_SERVICE_PORT")
        || name.contains("_ENV_")
        || ["_SERVICE_HOST", "_PORT", "_NAME"].iter().any(|end| name.ends_with(end))
}

/// The known name that looks most like this one. A `_FILE` form that there is not: the plain one.
pub(super) fn nearest(name: &str) -> &'static str {
    if let Some(variable) = name.strip_suffix("_FILE").and_then(find) {
        return variable.name;
    }
    let names = TABLE.iter().map(|variable| variable.name);
    names.min_by_key(|known| distance(name, known)).unwrap_or_default()
}

/// The same for a key of the file, which has `router` besides.
pub(super) fn nearest_key(wrong: &str) -> String {
    let known = key(nearest(&full(wrong)));
    if distance(wrong, "router") < distance(wrong, &known) { "[[router]]".to_owned() } else { known }
}

/// Letters to insert, delete, replace or swap with their neighbour to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut above = Vec::new();
    let mut line: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = line[column] + usize::from(letter != *other);
            let mut best = min(replaced, min(line[column + 1], next[column]) + 1);
            if column > 0 && previous == Some(*other) && letter == to[column - 1] {
                let before: &Vec<usize> = &above;
                best = min(best, before[column - 1] + 1);
            }
            next.push(best);
        }
        above = std::mem::replace(&mut line, next);
        previous = Some(letter);
    }
    line[to.len()]
}

#[cfg(test)]
mod tests;
