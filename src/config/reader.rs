//! The texts of one scope, the process or one virtual router: each from its topmost layer, every fault noted.

use super::Origin;
use super::layers::{broken, find, place};
use super::sources::NAME;
use super::values::{Wrong, redact};
use super::variables::{self, Eyes, Fallback, Items, Variable};
use figment::Figment;
use figment::value::{Num, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was read, by the name of its variable.
pub(super) type Shown = BTreeMap<&'static str, Setting>;

/// A setting as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// As it was written, without secrets.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
}

/// A message about something that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// The file it stands in; none: the environment, or nowhere.
    pub file: Option<PathBuf>,
    /// Whether it was written for one virtual router.
    pub own: bool,
    /// Beginning with the name.
    pub text: String,
}

/// Reads the settings of one scope.
#[derive(Default)]
pub(super) struct Reader {
    layers: Figment,
    /// The file whose `[[router]]` table is read.
    table: Option<PathBuf>,
    /// Whether a layer could not be read, so that what seems missing may stand there.
    incomplete: bool,
    pub faults: Vec<Note>,
    pub warnings: Vec<Note>,
    pub shown: Shown,
    /// Where the variables that were read are set: notes of their names alone, as people would look for them.
    places: BTreeMap<&'static str, Note>,
}

impl Reader {
    pub fn new(layers: Figment, table: Option<PathBuf>, incomplete: bool) -> Self {
        Self { layers, table, incomplete, ..Self::default() }
    }

    /// Whether a `[[router]]` table is read.
    pub fn is_table(&self) -> bool {
        self.table.is_some()
    }

    /// Notes a fault of a variable: its place, the text in quotes, what is wrong and what to write.
    pub fn fault(&mut self, name: &'static str, text: &str, wrong: Wrong) {
        match variables::find(name) {
            Some(variable) if variable.eyes == Eyes::None => self.complain(name, wrong),
            _ => self.note(name, &format!(": {} {}", quoted(text), wrong.what), wrong.remedy),
        }
    }

    /// The same without the text, which nobody needs or may see.
    pub fn complain(&mut self, name: &'static str, wrong: Wrong) {
        self.note(name, &format!(" {}", wrong.what), wrong.remedy);
    }

    fn note(&mut self, name: &'static str, what: &str, remedy: Option<String>) {
        let example = variables::find(name).map(|variable| variable.example).unwrap_or_default();
        let remedy = remedy.unwrap_or_else(|| format!("write for example {example}"));
        let nowhere = || Note { text: name.to_owned(), ..Note::default() };
        let place = self.places.get(name).cloned().unwrap_or_else(nowhere);
        self.faults.push(Note { text: format!("{}{what}; {remedy}", place.text), ..place });
    }

    /// Notes something odd but harmless.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(Note { text: text.into(), ..Note::default() });
    }

    /// Whether a variable is set anywhere, be it wrongly. Asked after it was read.
    pub fn is_set(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Says what a variable that was not set came to be.
    pub fn settle(&mut self, name: &'static str, text: impl Into<String>, origin: Origin) {
        self.shown.insert(name, Setting { text: text.into(), origin });
    }

    /// Shows a variable that was read as this.
    pub fn show(&mut self, name: &'static str, text: impl Into<String>) {
        if let Some(setting) = self.shown.get_mut(name) {
            setting.text = text.into();
        }
    }

    /// The name of the virtual router, if it has one.
    pub fn name(&mut self) -> Option<String> {
        self.table.as_ref()?;
        let value = self.layers.find_value(NAME).ok()?;
        let text = value.as_str().unwrap_or_default().trim();
        if !text.is_empty() && text.chars().count() <= 64 && !text.contains(char::is_control) {
            return Some(text.to_owned());
        }
        self.misnamed("is not a string of at most 64 printable characters; write for example \"web\"");
        None
    }

    /// Notes a fault of the name.
    pub fn misnamed(&mut self, what: &str) {
        self.faults.push(Note { file: self.table.clone(), own: true, text: format!("{NAME} {what}") });
    }

    /// The text of a variable: the topmost layer's, else the table's. `None`: it has none, or a fault was noted.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let variable = variables::find(name)?;
        let (key, file_key) = (variable.key(), variable.file_key());
        let [plain, named] = [&key, &file_key].map(|key| find(&self.layers, key));
        let (beside, by_file) = (plain.is_some() && named.is_some(), named.is_some());
        let Some(value) = named.or(plain) else { return self.fallback(variable) };
        let (file, own) = place(&self.layers, &value);
        let (plain_name, file_name) = match &file {
            Some(_) => (key, file_key),
            None => (name.to_owned(), format!("{name}_FILE")),
        };
        self.settle(name, "", file.clone().map_or(Origin::Environment, Origin::File));
        let text = if by_file { file_name } else { plain_name.clone() };
        self.places.insert(name, Note { file, own, text });
        if beside {
            let two = Wrong::from(format!("stands beside {plain_name}"));
            self.complain(name, two.remedy("leave out one of the two"));
            return None;
        }
        let text = match by_file {
            _ if value == broken() => return None,
            true => self.secret(variable, &value)?,
            false => as_text(&value, variable).map_err(|wrong| self.complain(name, wrong)).ok()?,
        };
        let shown = match variable.eyes {
            Eyes::All => text.clone(),
            Eyes::Redacted => redact(&text),
            Eyes::None => "***".to_owned(),
        };
        self.show(name, shown);
        Some(text)
    }

    /// The text in the file that a `…_FILE` variable names.
    fn secret(&mut self, variable: &'static Variable, path: &Value) -> Option<String> {
        let name = variable.name;
        let Some(path) = path.as_str().map(str::trim) else {
            let wrong = Wrong::from("is not a path");
            let example = format!("write for example \"/run/secrets/{}\"", variable.key());
            self.complain(name, wrong.remedy(example));
            return None;
        };
        let text = contents(path).and_then(|text| match text.trim() {
            "" => Err("is empty".to_owned()),
            text => Ok(text.to_owned()),
        });
        match text {
            Ok(text) => {
                self.settle(name, "", Origin::SecretFile(path.into()));
                Some(text)
            }
            Err(why) => {
                let what = format!(": {} {why}", quoted(path));
                self.note(name, &what, Some("name a readable file".to_owned()));
                None
            }
        }
    }

    fn fallback(&mut self, variable: &'static Variable) -> Option<String> {
        let name = variable.name;
        match variable.fallback {
            Fallback::Value(text) => {
                self.settle(name, text, Origin::Default);
                return Some(text.to_owned());
            }
            Fallback::Nothing(words) => self.settle(name, format!("({words})"), Origin::Default),
            Fallback::Derived(words) => self.settle(name, format!("({words})"), Origin::Derived),
            // What cannot be read may hold it.
            Fallback::Required if self.incomplete => {}
            Fallback::Required => {
                let (file, place) = match &self.table {
                    Some(file) => (Some(file.clone()), variable.key()),
                    None => (None, name.to_owned()),
                };
                let text = format!("{place} is not set; write for example {}", variable.example);
                self.faults.push(Note { own: file.is_some(), file, text });
            }
        }
        None
    }

    /// Reads one value.
    pub fn one<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|wrong| self.fault(name, &redacted(name, &text, ""), wrong)).ok()
    }

    /// Reads a list: its items, no two alike. `None` if it is not set or has a fault.
    pub fn list<T: PartialEq>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        let text = self.text(name)?;
        self.items(name, &text, parse)
    }

    /// Reads the items of `text`.
    pub fn items<T: PartialEq>(
        &mut self,
        name: &'static str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Vec<T>> {
        let texts = split(name, text);
        if texts.contains(&"") {
            self.fault(name, &redacted(name, text, ""), "has an empty item".into());
        }
        let faults = self.faults.len();
        let mut items = Vec::new();
        let mut rest = text;
        for item in texts.iter().filter(|item| !item.is_empty()) {
            rest = rest.split_once(item).map_or("", |(_, after)| after);
            match parse(item) {
                Ok(value) if items.contains(&value) => {
                    let twice = Wrong::from("is there twice").remedy("leave one out");
                    self.fault(name, &redacted(name, item, rest), twice);
                }
                Ok(value) => items.push(value),
                Err(wrong) => self.fault(name, &redacted(name, item, rest), wrong),
            }
        }
        (self.faults.len() == faults && !items.is_empty()).then_some(items)
    }
}

/// The items of a text. Line breaks may follow the semicolons, and lines may be empty, as people write them.
fn split<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
    match variables::find(name).map(|variable| variable.items) {
        Some(Items::Comma) => text.split(',').map(str::trim).collect(),
        Some(Items::Semicolon) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.flat_map(|line| line.strip_suffix(';').unwrap_or(line).split(';').map(str::trim)).collect()
        }
        _ => vec![text],
    }
}

/// What may be shown of an item that `rest` follows. An `@` further on may belong to a user part that a
/// separator in a password has cut in two.
fn redacted(name: &str, item: &str, rest: &str) -> String {
    match variables::find(name).map(|variable| variable.eyes) {
        Some(Eyes::Redacted) if !rest.contains('@') => redact(item),
        Some(Eyes::Redacted | Eyes::None) => "***".to_owned(),
        _ => item.to_owned(),
    }
}

/// In quotes, on one line, of bounded length.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The value as it would stand in the environment.
fn as_text(value: &Value, variable: &Variable) -> Result<String, Wrong> {
    match value {
        Value::String(_, text) => Ok(text.trim().to_owned()),
        // A number would be written in another way than it was, and its digits may be a secret's.
        _ if variable.eyes == Eyes::None && value.as_array().is_none() => {
            Err(Wrong::from("is not a string").remedy("write it in quotes"))
        }
        Value::Bool(_, truth) => Ok(truth.to_string()),
        Value::Num(_, Num::I64(number)) => Ok(number.to_string()),
        Value::Num(_, Num::F64(number)) => Ok(number.to_string()),
        Value::Array(_, items) => {
            let separator = match variable.items {
                Items::One => return Err("is a list where one value belongs".into()),
                Items::Comma => ",",
                Items::Semicolon => ";",
            };
            if items.is_empty() {
                return Err("is an empty list".into());
            }
            let items: Result<Vec<_>, _> = items
                .iter()
                .map(|item| match item {
                    Value::Array(..) => Err("is a list of lists".into()),
                    item => as_text(item, variable),
                })
                .collect();
            items.map(|items| items.join(separator))
        }
        Value::Num(..) | Value::Char(..) | Value::Empty(..) | Value::Dict(..) => {
            Err("is neither a string nor a number nor true or false".into())
        }
    }
}

/// What a file holds. Only of a file: a pipe would keep us waiting.
pub(super) fn contents(path: impl AsRef<Path>) -> Result<String, String> {
    let path = path.as_ref();
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err("is not a file".to_owned()),
        Ok(_) => std::fs::read_to_string(path).map_err(|error| format!("cannot be read ({error})")),
        Err(error) => Err(format!("cannot be read ({error})")),
    }
}
