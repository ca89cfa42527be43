//! Where texts come from: the environment over the file, each with its origin, every fault noted.

use super::describe::one_line;
use super::values::{Wrong, redact};
use super::variables::{self, Fallback, Items, Known, PREFIX, Variable};
use super::{Faults, Origin};
use figment::error::Actual;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

/// One source of values, keyed by their names in the file. figment's own provider for the environment would
/// guess types: 00123 would become a number.
struct Layer {
    metadata: Metadata,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

const SECRET_FILE: &str = "secret file";

/// All layers, and what reading them has shown so far.
pub(super) struct Layers {
    merged: Figment,
    /// Whether a layer could not be read, so that what seems missing may stand there.
    incomplete: bool,
    /// One message for each fault.
    pub faults: Vec<String>,
    /// What is odd but harmless.
    pub warnings: Vec<String>,
    /// Origin of every value that was asked for.
    pub origins: BTreeMap<&'static str, Origin>,
    /// Its text, fit to be shown.
    pub texts: BTreeMap<&'static str, String>,
}

impl Layers {
    /// Reads the environment, the file it names, and the files that hold secrets.
    pub fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut layers = Self {
            merged: Figment::new(),
            incomplete: false,
            faults: Vec::new(),
            warnings: Vec::new(),
            origins: BTreeMap::new(),
            texts: BTreeMap::new(),
        };
        let environment = layers.environment(variables);
        if let Some(path) = environment.get("config").and_then(Value::as_str) {
            match layers.file(path) {
                Ok(values) => layers.push(Metadata::from("file", Path::new(path)), values),
                Err(fault) => {
                    layers.incomplete = true;
                    layers.faults.push(fault);
                }
            }
        }
        layers.push(Metadata::named("environment"), environment);
        layers
    }

    /// Our variables that are set to something, as plain strings.
    fn environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) -> Dict {
        let mut values = Dict::new();
        let mut injected = BTreeSet::new();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            if !name.starts_with(PREFIX) || value.to_string_lossy().trim().is_empty() {
                continue;
            }
            match variables::known(&name) {
                Known::Yes => match value.to_str() {
                    Some(text) => {
                        values.insert(variables::key(&name), text.trim().into());
                    }
                    None => self.faults.push(format!("{name} is not UTF-8; write it in UTF-8")),
                },
                Known::Injected => {
                    injected.insert(name.into_owned());
                }
                Known::Later => self.faults.push(later(&name)),
                Known::No => {
                    let nearest = variables::nearest(&name);
                    self.faults.push(format!("{name} is not known; did you mean {nearest}?"));
                }
            }
        }
        if !injected.is_empty() {
            let names = Vec::from_iter(injected).join(", ");
            self.warnings
                .push(format!("ignored, as if put there by a container link or an orchestrator: {names}"));
        }
        values
    }

    /// The values of a TOML file. The message of an error leaves out the lines it is about: they may be secret.
    fn file(&mut self, path: &str) -> Result<Dict, String> {
        let text = contents(path)
            .map_err(|why| format!("OUTRIDER_CONFIG: {} {why}; name a readable TOML file", quoted(path)))?;
        let mut values = Toml::from_str::<Dict>(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            format!("{path}: line {line} is not TOML ({})", error.message().replace('\n', ", "))
        })?;
        values.retain(|key, value| {
            let name = format!("{PREFIX}{}", key.to_uppercase());
            let fault = if *key != variables::key(&name) {
                format!("{path}: {key} is not known; keys are in lower case")
            } else {
                match variables::known(&name) {
                    _ if key == "config" => format!("{path}: config has no place in the file itself"),
                    Known::Yes => return value.as_str().is_none_or(|text| !text.trim().is_empty()),
                    Known::Later => later(&format!("{path}: {key}")),
                    Known::Injected | Known::No => {
                        let nearest = variables::key(variables::nearest(&name));
                        format!("{path}: {key} is not known; did you mean {nearest}?")
                    }
                }
            };
            self.faults.push(fault);
            false
        });
        Ok(values)
    }

    /// Puts a layer on top, followed by the secrets that its `…_file` entries name.
    fn push(&mut self, metadata: Metadata, mut values: Dict) {
        let mut secrets = Vec::new();
        for variable in variables::TABLE.iter().filter(|variable| variable.secret) {
            let key = variable.key();
            let Some(value) = values.remove(&format!("{key}_file")) else { continue };
            let (place, plain) = match &metadata.source {
                Some(Source::File(file)) => (format!("{}: {key}_file", file.display()), key.as_str()),
                _ => (format!("{}_FILE", variable.name), variable.name),
            };
            let Some(path) = value.as_str().map(str::trim) else {
                self.faults.push(format!("{place} is not a path; write for example \"/run/secrets/{key}\""));
                continue;
            };
            if values.contains_key(&key) {
                self.faults.push(format!("{place} stands beside {plain}; leave out one of the two"));
                continue;
            }
            let text = contents(path).and_then(|text| match text.trim() {
                "" => Err("is empty".to_owned()),
                text => Ok(text.to_owned()),
            });
            match text {
                Ok(text) => secrets.push(Layer {
                    metadata: Metadata::from(SECRET_FILE, Path::new(path)),
                    values: Dict::from([(key, text.into())]),
                }),
                Err(why) => {
                    self.faults.push(format!("{place}: {} {why}; name a readable file", quoted(path)))
                }
            }
        }
        self.merged = secrets
            .into_iter()
            .fold(std::mem::take(&mut self.merged).merge(Layer { metadata, values }), Figment::merge);
    }

    /// Notes a fault of a variable: its place, the text in quotes, what is wrong and what to write.
    pub fn fault(&mut self, name: &'static str, text: &str, wrong: Wrong) {
        let place = self.place(name);
        let example = variables::find(name).map(|variable| variable.example).unwrap_or_default();
        let remedy = wrong.remedy.unwrap_or_else(|| format!("write for example {example}"));
        self.faults.push(format!("{place}: {} {}; {remedy}", quoted(text), wrong.what));
    }

    /// Where a variable that was read is set, as people would look for it.
    fn place(&self, name: &str) -> String {
        match self.origins.get(name) {
            Some(Origin::File(file)) => format!("{}: {}", file.display(), variables::key(name)),
            Some(Origin::SecretFile(_)) => format!("{name}_FILE"),
            _ => name.to_owned(),
        }
    }

    /// Whether a variable is set anywhere. Asked after it was read.
    pub fn is_set(&self, name: &str) -> bool {
        !matches!(self.origins.get(name), None | Some(Origin::Default | Origin::Derived))
    }

    /// Says what a variable that was not set came to be.
    pub fn settle(&mut self, name: &'static str, text: impl Into<String>, origin: Origin) {
        self.texts.insert(name, text.into());
        self.origins.insert(name, origin);
    }

    /// The text of a variable: the topmost layer's, else the table's. `None`: it has none, or a fault was noted.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        let variable = variables::find(name)?;
        let Ok(value) = self.merged.find_value(&variable.key()) else { return self.fallback(variable) };
        let origin = match self.merged.get_metadata(value.tag()) {
            Some(Metadata { name, source: Some(Source::File(path)), .. }) if name == SECRET_FILE => {
                Origin::SecretFile(path.clone())
            }
            Some(Metadata { source: Some(Source::File(path)), .. }) => Origin::File(path.clone()),
            _ => Origin::Environment,
        };
        self.origins.insert(name, origin);
        match plain(&value, variable) {
            Ok(text) => {
                let shown = if variable.secret { redact(&text) } else { text.clone() };
                self.texts.insert(name, shown);
                Some(text)
            }
            Err(what) => {
                let place = self.place(name);
                self.faults.push(format!("{place} {what}; write for example {}", variable.example));
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
                self.faults.push(format!("{name} is not set; write for example {}", variable.example));
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

    /// The faults, if there are any.
    pub fn into_faults(self) -> Faults {
        Faults(self.faults.iter().map(|fault| one_line(fault)).collect())
    }
}

fn later(what: &str) -> String {
    format!("{what} is not supported by this version yet; leave it unset")
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
    match variables::find(name) {
        Some(variable) if variable.secret && rest.contains('@') => "***".to_owned(),
        Some(variable) if variable.secret => redact(item),
        _ => item.to_owned(),
    }
}

/// In quotes, on one line, of bounded length.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The value as it would stand in the environment.
fn plain(value: &Value, variable: &Variable) -> Result<String, &'static str> {
    match value {
        Value::String(_, text) => Ok(text.trim().to_owned()),
        Value::Char(_, letter) => Ok(letter.to_string()),
        Value::Bool(_, truth) => Ok(truth.to_string()),
        Value::Num(_, number) => Ok(match number.to_actual() {
            Actual::Unsigned(number) => number.to_string(),
            Actual::Signed(number) => number.to_string(),
            Actual::Float(number) => number.to_string(),
            other => other.to_string(),
        }),
        Value::Array(_, items) => {
            let separator = match variable.items {
                Items::One => return Err("is a list where one value belongs"),
                Items::Comma => ",",
                Items::Semicolon => ";",
            };
            if items.is_empty() {
                return Err("is an empty list");
            }
            let items: Result<Vec<_>, _> = items
                .iter()
                .map(|item| match item {
                    Value::Array(..) => Err("is a list of lists"),
                    item => plain(item, variable),
                })
                .collect();
            items.map(|items| items.join(separator))
        }
        Value::Dict(..) | Value::Empty(..) => Err("is neither a string nor a number nor true or false"),
    }
}

/// What a file holds. Only of a file: a pipe would keep us waiting.
fn contents(path: &str) -> Result<String, String> {
    let path = Path::new(path);
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err("is not a file".to_owned()),
        Ok(_) => std::fs::read_to_string(path).map_err(|error| format!("cannot be read ({error})")),
        Err(error) => Err(format!("cannot be read ({error})")),
    }
}
