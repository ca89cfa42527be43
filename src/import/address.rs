//! Lines of `virtual_ipaddress` and `unicast_peer`.

use super::part::Note;
use super::tree::Statement;
use super::units::number;
use std::net::IpAddr;

/// A virtual address as it is written.
#[derive(Debug)]
pub(super) struct Address {
    pub ip: IpAddr,
    pub prefix: Option<u8>,
    /// The interface it goes to, if it says so.
    pub dev: Option<String>,
    /// To say something about it.
    pub note: Note,
}

impl Address {
    /// As an item of OUTRIDER_VIP.
    pub fn item(&self) -> String {
        match self.prefix {
            Some(prefix) => format!("{}/{prefix}", self.ip),
            None => self.ip.to_string(),
        }
    }
}

/// What is said beside the addresses.
pub(super) type Said = (Note, String);

/// Words of an address line with a value, and what becomes of them.
const WITH_VALUE: [&str; 8] =
    ["brd", "broadcast", "scope", "label", "peer", "preferred_lft", "track_group", "metric"];
/// Words without one.
const ALONE: [&str; 8] =
    ["home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track", "use_vmac", "permanent"];

/// Reads a line: the address, then words in any order. What has no setting goes to `said`.
pub(super) fn read(line: &Statement, said: &mut Vec<Said>) -> Option<Address> {
    let note = Note::about(line, "");
    let mut say = |text: String| said.push((note.clone(), text));
    let written = line.keyword();
    let (ip, prefix) = match written.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix)),
        None => (written, None),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else {
        say("is no address; left out, as keepalived does".to_owned());
        return None;
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let length = prefix.and_then(number).filter(|length| (1..=most).contains(length));
    if prefix.is_some() && length.is_none() {
        say(format!("has no prefix length from 1 to {most}; left out, as keepalived does"));
    }
    let mut dev = None;
    let mut lost = Vec::new();
    let mut words = line.words.iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "dev" => dev = words.next().cloned(),
            word if WITH_VALUE.contains(&word) => {
                let value = words.next().map_or("", String::as_str);
                if (word, value) != ("scope", "global") {
                    lost.push(format!("{word} {value}"));
                }
            }
            word if ALONE.contains(&word) => lost.push(word.to_owned()),
            word => say(format!("{word} is nothing keepalived knows about an address: check the spelling")),
        }
    }
    if !lost.is_empty() {
        let lost = lost.join(", ");
        say(format!(
            "{lost}: an address has nothing but its prefix length here; it is global, and put back when deleted"
        ));
    }
    Some(Address { ip, prefix: length.and_then(|length| length.try_into().ok()), dev, note })
}

/// A peer, and the lowest TTL that its adverts may arrive with.
pub(super) fn peer(line: &Statement, said: &mut Vec<Said>) -> Option<(IpAddr, Option<u64>)> {
    let note = Note::about(line, "");
    let Ok(ip) = line.keyword().parse() else {
        said.push((note, "is no address; left out, as keepalived does".to_owned()));
        return None;
    };
    let mut ttl = None;
    let mut words = line.words.iter().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| number(value));
        match word.as_str() {
            "min_ttl" => ttl = value,
            "max_ttl" => {
                said.push((note.clone(), "max_ttl: only the lowest TTL is looked at here".to_owned()))
            }
            word => {
                let text =
                    format!("{word}: one address on each line is what keepalived reads; write another line");
                said.push((note.clone(), text));
            }
        }
    }
    Some((ip, ttl))
}
