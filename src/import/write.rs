//! Settings and remarks as text: an environment, or a TOML file.

use super::notify;
use super::part::{Note, Part};
use super::reader::Place;
use super::router::Router;
use std::fmt::Write;

/// Every setting that can come out, in the order of the help text. What is said beside a setting is told in this
/// order as well.
const ORDER: [&str; 37] = [
    "OUTRIDER_VIP",
    "OUTRIDER_INTERFACE",
    "OUTRIDER_SOURCE",
    "OUTRIDER_TRANSPORT",
    "OUTRIDER_PEERS",
    "OUTRIDER_ROUTER_ID",
    "OUTRIDER_VRID",
    "OUTRIDER_PRIORITY",
    "OUTRIDER_PREEMPT",
    "OUTRIDER_PREEMPT_DELAY",
    "OUTRIDER_VRRP_VERSION",
    "OUTRIDER_ADVERT_INTERVAL",
    "OUTRIDER_CHECKSUM",
    "OUTRIDER_MIN_TTL",
    "OUTRIDER_AUTH_PASS",
    "OUTRIDER_AUTH_KEYS",
    "OUTRIDER_AUTH_MODE",
    "OUTRIDER_CHECK",
    "OUTRIDER_CHECK_INTERVAL",
    "OUTRIDER_CHECK_TIMEOUT",
    "OUTRIDER_CHECK_RISE",
    "OUTRIDER_CHECK_FALL",
    "OUTRIDER_CHECK_STATUS",
    "OUTRIDER_CHECK_HOST_HEADER",
    "OUTRIDER_CHECK_TLS_VERIFY",
    "OUTRIDER_TRACK_LINK",
    "OUTRIDER_GUARD",
    "OUTRIDER_GARP_REPEAT",
    "OUTRIDER_GARP_DELAY",
    "OUTRIDER_GARP_REFRESH",
    "OUTRIDER_GARP_INTERVAL",
    "OUTRIDER_SMTP_SERVER",
    "OUTRIDER_SMTP_FROM",
    "OUTRIDER_SMTP_TO",
    "OUTRIDER_SMTP_TLS",
    "OUTRIDER_SMTP_TIMEOUT",
    "OUTRIDER_NOTIFY_COMMAND",
];

const CHECK: &str = "OUTRIDER_CHECK";

/// What separates the items of a setting.
fn separator(name: &str) -> &'static str {
    if name == CHECK { "; " } else { "," }
}

/// Everything that came out of a file.
pub(super) struct Whole {
    /// What the file is called.
    pub file: String,
    /// Remarks on how it was read.
    pub reading: Vec<Note>,
    pub global: Part,
    /// Titles and remarks of blocks that have no setting.
    pub others: Vec<(String, Vec<Note>)>,
    pub routers: Vec<Router>,
}

/// Names and values.
type Variables = Vec<(&'static str, String)>;

/// The environment variables.
pub(super) fn variables(whole: &Whole) -> Variables {
    let (shared, combined) = settings(whole);
    let of_router =
        whole.routers.first().filter(|_| whole.routers.len() == 1).map(|router| router.part.settings.clone());
    let all = shared
        .into_iter()
        .chain(of_router.into_iter().flatten().map(|(name, items)| (name, join(name, &items))));
    all.chain(combined).collect()
}

/// What stands in the global part, and what is put together of several routers.
fn settings(whole: &Whole) -> (Variables, Variables) {
    let routers = &whole.routers;
    let global = &whole.global.settings;
    let owned = |name: &str| routers.iter().any(|router| router.part.settings.contains_key(name));
    let shared =
        global.iter().filter(|(name, _)| !owned(name)).map(|(name, items)| (*name, join(name, items)));
    let combined = ORDER.iter().filter(|name| routers.len() > 1 && owned(name)).map(|name| {
        let values: Vec<Option<&Vec<String>>> =
            routers.iter().map(|router| router.part.settings.get(name).or(global.get(name))).collect();
        (*name, combine(name, &values))
    });
    (shared.collect(), combined.collect())
}

/// One value if it is the same everywhere, else one for each router; all checks together.
fn combine(name: &str, values: &[Option<&Vec<String>>]) -> String {
    let texts: Vec<String> =
        values.iter().map(|items| items.map(|items| join(name, items)).unwrap_or_default()).collect();
    if texts.windows(2).all(|pair| pair.first() == pair.last()) {
        return texts.into_iter().next().unwrap_or_default();
    }
    if name != CHECK {
        return texts.join("; ");
    }
    let mut all: Vec<String> = Vec::new();
    for item in values.iter().filter_map(|items| *items).flatten() {
        if !all.contains(item) && item != "none" {
            all.push(item.clone());
        }
    }
    join(name, &all)
}

fn join(name: &str, items: &[String]) -> String {
    items.join(separator(name))
}

/// As environment variables: for `env_file` and `sh` alike, wherever no value needs quotation marks.
pub(super) fn environment(whole: &Whole) -> String {
    let (shared, combined) = settings(whole);
    let mut text = head(whole);
    if variables(whole).iter().any(|(_, value)| quoted(value) != *value) {
        remark(
            &mut text,
            "",
            "Quotation marks are for a shell, docker-compose and systemd; docker run --env-file would take \
                               them as part of the value: leave them out there.",
        );
    }
    section(&mut text, "global_defs", String::new(), &whole.global, |text, name| {
        if let Some((_, value)) = shared.iter().find(|(other, _)| *other == name) {
            assign(text, name, &quoted(value));
        }
    });
    others(&mut text, whole);
    let single = whole.routers.len() == 1;
    for router in &whole.routers {
        section(&mut text, &title(router), String::new(), &router.part, |text, name| {
            if let Some(items) = router.part.settings.get(name).filter(|_| single) {
                assign(text, name, &quoted(&join(name, items)));
            }
        });
    }
    if !single && !whole.routers.is_empty() {
        let names: Vec<&str> = whole.routers.iter().map(|router| router.name.as_str()).collect();
        text.push('\n');
        let title = format!(
            "{} virtual routers: {}. Values between semicolons are for one each, in this order; the same as tables: --toml",
            names.len(),
            names.join(", ")
        );
        remark(&mut text, "", &title);
        let differ = whole.routers.windows(2).any(|pair| match pair {
            [one, other] => one.part.settings.get(CHECK) != other.part.settings.get(CHECK),
            _ => false,
        });
        for (name, value) in &combined {
            if *name == CHECK && differ {
                remark(
                    &mut text,
                    "",
                    "The checks of all: as variables they count for every virtual router, as --toml for one.",
                );
            }
            assign(&mut text, name, &quoted(value));
        }
    }
    text
}

/// As a TOML file, with a table for each of several virtual routers.
pub(super) fn toml(whole: &Whole) -> String {
    let mut text = head(whole);
    // A table has a name, which the command is told.
    let tables = whole.routers.len() > 1 || whole.global.settings.contains_key(notify::COMMAND);
    let owned =
        |name: &str| !tables && whole.routers.iter().any(|router| router.part.settings.contains_key(name));
    section(&mut text, "global_defs", String::new(), &whole.global, |text, name| {
        if let Some(items) = whole.global.settings.get(name).filter(|_| !owned(name)) {
            assign(text, &key(name), &value(name, items));
        }
    });
    others(&mut text, whole);
    for router in &whole.routers {
        let table = match tables {
            true => format!("[[router]]\nname = {}\n", string(&router.name)),
            false => String::new(),
        };
        section(&mut text, &title(router), table, &router.part, |text, name| {
            if let Some(items) = router.part.settings.get(name) {
                assign(text, &key(name), &value(name, items));
            }
        });
    }
    text
}

fn head(whole: &Whole) -> String {
    let mut text = String::new();
    let first = format!(
        "From {}, by outrider import-keepalived. A number before a remark is its line there. What the agent makes of it: \
         outrider check-config",
        whole.file
    );
    remark(&mut text, "", &first);
    say(&mut text, &whole.reading);
    text
}

fn others(text: &mut String, whole: &Whole) {
    for (title, notes) in whole.others.iter().filter(|(_, notes)| !notes.is_empty()) {
        text.push('\n');
        remark(text, "", title);
        say(text, notes);
    }
}

/// The settings and remarks of a part, under its title. `body` begins what stands there; `write` writes a setting,
/// if it is to stand here.
fn section(
    text: &mut String,
    title: &str,
    mut body: String,
    part: &Part,
    mut write: impl FnMut(&mut String, &'static str),
) {
    for name in ORDER {
        say(&mut body, part.beside.iter().filter(|(beside, _)| *beside == name).map(|(_, note)| note));
        write(&mut body, name);
    }
    say(&mut body, &part.without);
    if !body.is_empty() {
        text.push('\n');
        remark(text, "", title);
        text.push_str(&body);
    }
}

fn title(router: &Router) -> String {
    let lines = lines(&router.place, router.last);
    let line = if router.place.included { "" } else { "lines " };
    format!("vrrp_instance {}, {line}{lines}", router.name)
}

/// `12`, `12-15`, `conf.d/one.conf:12`.
fn lines(place: &Place, last: usize) -> String {
    let file = if place.included { format!("{}:", place.file) } else { String::new() };
    match last > place.line {
        true => format!("{file}{}-{last}", place.line),
        false => format!("{file}{}", place.line),
    }
}

/// Remarks in their order. Of several with the same reason, the last one gives it; of several about the same
/// statement, the first one shows it.
fn say<'a>(text: &mut String, notes: impl IntoIterator<Item = &'a Note>) {
    let mut notes = notes.into_iter().peekable();
    let mut before: Option<&Note> = None;
    while let Some(note) = notes.next() {
        let same_reason =
            |next: &&Note| !note.what.is_empty() && note.place != next.place && note.text == next.text;
        let shown = before.is_some_and(|before| before.place == note.place && before.what == note.what);
        let what = if shown { "" } else { note.what.as_str() };
        let why = if notes.peek().is_some_and(same_reason) { "" } else { note.text.as_str() };
        let colon = if what.is_empty() || why.is_empty() { "" } else { ": " };
        let place = note.place.as_ref().map(|place| format!("{}: ", lines(place, note.last)));
        remark(text, &place.unwrap_or_default(), &format!("{what}{colon}{why}"));
        before = Some(note);
    }
}

/// Lines of comment, none much wider than people read.
fn remark(text: &mut String, before: &str, words: &str) {
    const WIDTH: usize = 100;
    let mut line = format!("# {}", on_one_line(before));
    let mut fresh = true;
    for word in words.split_whitespace().map(on_one_line) {
        if !fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = "#   ".to_owned();
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(&word);
        fresh = false;
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

/// Nothing that would end a comment, whatever the file holds.
fn on_one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A setting.
fn assign(text: &mut String, name: &str, value: &str) {
    let equals = if name.starts_with("OUTRIDER_") { "=" } else { " = " };
    let _ = writeln!(text, "{name}{equals}{value}");
}

/// For a shell: in quotation marks only if it needs them, since not everybody takes them off again.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_@%+=:,./-[]".contains(letter);
    if value.chars().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

/// A variable's name in the file.
fn key(name: &str) -> String {
    name.strip_prefix("OUTRIDER_").unwrap_or(name).to_lowercase()
}

fn value(name: &str, items: &[String]) -> String {
    match items {
        [one] => bare(name, one),
        _ => {
            let items: Vec<String> = items.iter().map(|item| string(item)).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// Numbers and truths without quotation marks, where they are meant as such.
fn bare(name: &str, text: &str) -> String {
    let is_text = ["OUTRIDER_ROUTER_ID", "OUTRIDER_AUTH_PASS", "OUTRIDER_CHECK_STATUS"].contains(&name);
    let number = text.parse::<u16>().is_ok_and(|number| number.to_string() == text);
    if !is_text && (number || text == "true" || text == "false") { text.to_owned() } else { string(text) }
}

/// A string of TOML.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
