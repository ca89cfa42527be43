//! Where values come from, the environment and the TOML file, and which virtual router each is for.

use super::layers::{broken, merge};
use super::reader::{Reader, contents, quoted};
use super::variables::{self, Known, PREFIX};
use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

/// What a router is called in messages. Only the file has it: container links set OUTRIDER_NAME.
pub(super) const NAME: &str = "name";

/// Everything that was written, and what reading it has shown so far.
#[derive(Default)]
pub(super) struct Sources {
    /// Our variables that are set to something, by their names in the file.
    environment: Dict,
    file: Option<File>,
    /// Whether the file could not be read, so that what seems missing may stand there.
    incomplete: bool,
    /// One message for each fault.
    pub faults: Vec<String>,
    /// What is odd but harmless.
    pub warnings: Vec<String>,
}

struct File {
    path: PathBuf,
    /// What stands above the first `[[router]]`.
    top: Dict,
    /// The `[[router]]` tables.
    routers: Vec<Dict>,
}

impl Sources {
    /// Reads the environment and the file it names.
    pub fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut sources = Self::default();
        sources.read_environment(variables);
        if let Some(path) = sources.environment.get("config").and_then(Value::as_str).map(str::to_owned) {
            match sources.read_file(&path) {
                Ok(file) => sources.file = Some(file),
                Err(fault) => {
                    sources.incomplete = true;
                    sources.faults.push(fault);
                }
            }
        }
        sources
    }

    fn read_environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        let mut injected = BTreeSet::new();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            if !name.starts_with(PREFIX) || value.to_string_lossy().trim().is_empty() {
                continue;
            }
            match variables::known(&name) {
                Known::Yes => match value.to_str() {
                    Some(text) => {
                        self.environment.insert(variables::key(&name), text.trim().into());
                    }
                    None => self.faults.push(format!("{name} is not UTF-8; write it in UTF-8")),
                },
                Known::Injected => {
                    injected.insert(name.into_owned());
                }
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
    }

    /// Reads a TOML file. The message of an error leaves out the lines it is about: they may be secret.
    fn read_file(&mut self, path: &str) -> Result<File, String> {
        let text = contents(path)
            .map_err(|why| format!("OUTRIDER_CONFIG: {} {why}; name a readable TOML file", quoted(path)))?;
        let mut top: Dict = Toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            format!("{path}: line {line} is not TOML ({})", error.message().replace('\n', ", "))
        })?;
        let tables = match top.remove("router") {
            None => Some(Vec::new()),
            Some(Value::Array(_, items)) if !items.is_empty() => {
                items.into_iter().map(Value::into_dict).collect()
            }
            Some(_) => None,
        };
        let mut routers = tables.unwrap_or_else(|| {
            self.faults.push(format!("{path}: router is not a list of tables; write [[router]]"));
            Vec::new()
        });
        self.keep_known(path, &mut top, false);
        for (index, router) in routers.iter_mut().enumerate() {
            self.keep_known(&format!("{path}: router {}", index + 1), router, true);
        }
        Ok(File { path: path.into(), top, routers })
    }

    /// Keeps what is known and not empty, and tells what is not known.
    fn keep_known(&mut self, place: &str, values: &mut Dict, of_router: bool) {
        values.retain(|key, value| {
            let name = variables::full(key);
            let fault = if *key != variables::key(&name) {
                format!("{place}: {key} is not known; keys are in lower case")
            } else {
                match variables::base(&name) {
                    _ if key == "config" => format!("{place}: config has no place in the file itself"),
                    Some(variable) if variable.process && of_router => {
                        format!("{place}: {key} is not for one router; write it above the first [[router]]")
                    }
                    None if key == NAME && !of_router => {
                        format!("{place}: {key} is for one router; write it below [[router]]")
                    }
                    None if key != NAME => {
                        let nearest = variables::nearest_key(key);
                        format!("{place}: {key} is not known; did you mean {nearest}?")
                    }
                    _ => return value.as_str().is_none_or(|text| !text.trim().is_empty()),
                }
            };
            self.faults.push(fault);
            false
        });
    }

    /// What reads the settings of the process, and what reads those of each virtual router.
    pub fn readers(&mut self) -> (Reader, Vec<Reader>) {
        let count = self.count();
        self.tell_counts(count);
        let routers = (0..count.unwrap_or(1)).map(|router| self.reader(Some(router))).collect();
        (self.reader(None), routers)
    }

    /// Reads what stands above the tables of the file, a router's table over it, and the environment on top.
    fn reader(&self, router: Option<usize>) -> Reader {
        let split = |values| split(values, router.unwrap_or(0));
        let mut layers = Figment::new();
        let mut table = None;
        if let Some(File { path, top, routers }) = &self.file {
            layers = merge(layers, Some(path), split(top));
            if let Some(values) = router.and_then(|router| routers.get(router)) {
                layers = merge(layers, Some(path), [Dict::new(), values.clone()]);
                table = Some(path.clone());
            }
        }
        Reader::new(merge(layers, None, split(&self.environment)), table, self.incomplete)
    }

    /// How many virtual routers there are. `None`: who says so is missing or cannot be read.
    fn count(&mut self) -> Option<usize> {
        let spread =
            |table: &Dict| table.get("vip").map(|value| value.as_str().map_or(1, |text| places(text).len()));
        let by_environment = spread(&self.environment);
        let Some(file) = &mut self.file else { return by_environment };
        let tables = file.routers.len();
        let path = file.path.display();
        match by_environment {
            None if tables == 0 => return spread(&file.top),
            None => {
                if file.top.remove("vip").is_some() {
                    self.faults.push(format!(
                        "{path}: vip stands above the [[router]] tables; write it in one of its own, or leave it out"
                    ));
                }
                return Some(tables);
            }
            Some(_) if tables > 0 => {
                file.routers.clear();
                self.warnings.push(format!(
                    "OUTRIDER_VIP replaces the virtual routers of {path}: what stands below [[router]] is ignored"
                ));
            }
            Some(_) => {}
        }
        by_environment
    }

    /// Tells of texts with other than one value for all routers or one for each, and puts [`broken`] in their place.
    fn tell_counts(&mut self, count: Option<usize>) {
        let Some(routers) = count else { return };
        // What the environment has a value of for every virtual router does not count in the file.
        let whole = |(_, value): &(_, &Value)| value.as_str().is_some_and(|text| !places(text).contains(&""));
        let replaced: BTreeSet<_> =
            self.environment.iter().filter(whole).map(|(key, _)| key.clone()).collect();
        let environment = self.environment.iter_mut().map(|(key, value)| (variables::full(key), key, value));
        let file = self.file.iter_mut().flat_map(|File { path, top, .. }| {
            let entries = top.iter_mut().filter(|(key, _)| !replaced.contains(*key));
            entries.map(|(key, value)| (format!("{}: {key}", path.display()), key, value))
        });
        for (place, key, value) in environment.chain(file) {
            let places = values(key, value);
            if key == "vip" && places.contains(&"") {
                let fault = format!("{place} has no address between two semicolons; leave one of them out");
                self.faults.push(fault);
                continue;
            }
            let number = places.len();
            let routers = match routers {
                _ if number <= 1 || number == routers => continue,
                1 => "1 virtual router".to_owned(),
                routers => format!("{routers} virtual routers"),
            };
            let password = match key.as_str() {
                "auth_pass" => " (a semicolon in a password: put it into a file, and name that)",
                _ => "",
            };
            self.faults.push(format!(
                "{place} has {number} values for {routers}; write one for all, or one for each, separated by \
                 semicolons{password}"
            ));
            *value = broken();
        }
    }
}

/// What stands outside the tables for one virtual router: what is for all, and what is for it alone.
fn split(table: &Dict, router: usize) -> [Dict; 2] {
    let [mut shared, mut own] = [Dict::new(), Dict::new()];
    for (key, value) in table {
        let (values, key) = (values(key, value), key.clone());
        match values.get(router) {
            _ if values.len() <= 1 => shared.insert(key, value.clone()),
            Some(&"") if key == "vip" => shared.insert(key, broken()),
            None | Some(&"") => None,
            Some(text) => own.insert(key, (*text).into()),
        };
    }
    [shared, own]
}

/// The values for each virtual router in a text that may hold them; one or none: it is for all.
fn values<'a>(key: &str, value: &'a Value) -> Vec<&'a str> {
    let spreads = variables::base(&variables::full(key)).is_some_and(variables::Variable::spreads);
    value.as_str().filter(|_| spreads).map(places).unwrap_or_default()
}

/// What is written for each virtual router: between semicolons, which may leave a place empty, and on lines of
/// their own. A line break beside a semicolon, and a second one, mean nothing.
fn places(text: &str) -> Vec<&str> {
    fn between(part: &str) -> Vec<&str> {
        let lines: Vec<&str> = part.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() { vec![""] } else { lines }
    }
    text.split(';').flat_map(between).collect()
}
