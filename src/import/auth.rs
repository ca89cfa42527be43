//! `authentication` and `auth_hmac`.

use super::instance::Instance;
use super::part::{Note, Part};
use super::table::{Row, Treat};
use super::tree::Statement;
use super::units::{NO_VALUE, number};
use Treat::{Map, Without};

const KEYS: &str = "OUTRIDER_AUTH_KEYS";
const MODE: &str = "OUTRIDER_AUTH_MODE";
const PASS: &str = "OUTRIDER_AUTH_PASS";

/// An `auth_hmac` block.
#[derive(Debug)]
pub(super) struct Hmac {
    /// Id and bytes; none: they are in a file.
    keys: Vec<(u64, Option<Vec<u8>>)>,
    active: Option<u64>,
    part: Part,
}

impl AsMut<Part> for Hmac {
    fn as_mut(&mut self) -> &mut Part {
        &mut self.part
    }
}

impl Hmac {
    /// One without keys yet.
    pub fn new() -> Self {
        Self { keys: Vec::new(), active: None, part: Part::default() }
    }
}

/// What may stand in `auth_hmac`.
pub(super) static HMAC: &[Row<Hmac>] = &[
    ("key", Map(key)),
    ("active_key", Map(|hmac, it| hmac.active = it.value().and_then(number))),
    ("mode", Map(mode)),
    ("anti_replay", Map(anti_replay)),
    (
        "time_window",
        Without("the window is three intervals here, and at least 5 seconds: keepalived's default"),
    ),
];

/// `key ID VALUE`: `hex:…`, `file:…`, or letters that are the key themselves.
fn key(hmac: &mut Hmac, it: &Statement) {
    let mut said = |text: &str| {
        hmac.part.beside.push((KEYS, Note { what: "key".to_owned(), ..Note::at(&it.place, text) }))
    };
    let (Some(id), Some(value)) =
        (it.value().and_then(number).filter(|id| (1..=255).contains(id)), it.words.get(2))
    else {
        return said("is not an id from 1 to 255 and a key; left out");
    };
    let bytes = if let Some(file) = value.strip_prefix("file:") {
        said(&format!(
            "key {id} is in {file}: put all keys into one file, {id}:HEX and so on with commas between, the one that signs \
             first, and name it by OUTRIDER_AUTH_KEYS_FILE"
        ));
        None
    } else if let Some(hex) = value.strip_prefix("hex:") {
        let pairs = hex.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = pairs
            .map(|pair| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2))
            .map(|pair| pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        if bytes.is_none() {
            return said(&format!("key {id} is not hexadecimal; left out"));
        }
        bytes
    } else {
        Some(value.clone().into_bytes())
    };
    if let Some(bytes) = &bytes
        && !(32..=64).contains(&bytes.len())
    {
        said(&format!(
            "key {id} has {} bytes, here it has 32 to 64: make a new one on all members",
            bytes.len()
        ));
    }
    hmac.keys.push((id, bytes));
}

fn mode(hmac: &mut Hmac, it: &Statement) {
    match it.value() {
        Some(mode @ ("enforce" | "permissive" | "receive-only")) => hmac.part.set(MODE, mode),
        Some(_) => hmac.part.beside(MODE, it, "is none of enforce, permissive and receive-only; left out"),
        None => hmac.part.beside(MODE, it, NO_VALUE),
    }
}

fn anti_replay(hmac: &mut Hmac, it: &Statement) {
    if it.value() != Some("time") {
        hmac.part.beside(KEYS, it, "adverts always have to be fresh here: keep the clocks together (NTP)");
    }
}

/// What an instance's authentication comes to.
pub(super) fn settle(instance: &mut Instance, version: u64) {
    if let Some(hmac) = instance.hmac.take() {
        let Hmac { mut keys, active, part } = hmac;
        instance.part.beside.extend(part.beside);
        instance.part.without.extend(part.without);
        instance.part.settings.extend(part.settings);
        // The one that signs goes first.
        keys.sort_by_key(|(id, _)| Some(*id) != active);
        let items: Vec<String> = keys
            .iter()
            .filter_map(|(id, bytes)| {
                let hex: String = bytes.as_ref()?.iter().map(|byte| format!("{byte:02x}")).collect();
                Some(format!("{id}:{hex}"))
            })
            .collect();
        match keys.first() {
            Some((_, Some(_))) => {
                instance.part.settings.insert(KEYS, items);
            }
            _ => instance.part.explain(
                KEYS,
                "The key that signs is not in this file: without OUTRIDER_AUTH_KEYS_FILE the other members do not hear this \
                 one, and hold the address as well",
            ),
        }
    }
    let (kind, pass) = (instance.auth_type.take(), instance.auth_pass.take());
    let mut say = |note: &Note, text: &str| {
        instance.part.beside.push((PASS, note.saying(text)));
    };
    match (kind, pass) {
        (None, None) => {}
        (Some((kind, note)), _) if kind == "AH" => say(
            &note,
            "IPsec AH is not spoken here. Members that do refuse the others' adverts, and hold the address as well: take it \
             out of all, or use auth_hmac (OUTRIDER_AUTH_KEYS)",
        ),
        (Some((kind, note)), _) if kind != "PASS" => {
            say(&note, "is neither PASS nor AH; left out, as keepalived does")
        }
        (Some((_, note)), None) => say(&note, "there is no auth_pass, and keepalived leaves it out as well"),
        (_, Some((_, note))) if version == 3 => {
            say(&note, "version 3 has no passwords, and keepalived leaves it out as well")
        }
        (None, Some((_, note))) => say(&note, "without auth_type it does not count in keepalived; left out"),
        (Some(_), Some((pass, note))) => {
            // What fits into an advert is what counts.
            let mut short = pass.clone();
            while short.len() > 8 {
                short.pop();
            }
            if short != pass {
                say(&note, "longer than the 8 bytes that an advert has for it; keepalived cuts it as well");
            }
            if short.contains([';', '\n']) || short.trim() != short {
                say(
                    &note,
                    "cannot stand here as it is: put it into a file, and name that by OUTRIDER_AUTH_PASS_FILE",
                );
            } else if !short.is_empty() {
                instance.part.set(PASS, short);
            }
        }
    }
}
