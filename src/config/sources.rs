//! Where texts come from, the environment and the TOML file, and which virtual router each is for.

use super::reader::{Entry, Layer, Reader, contents, quoted};
use super::variables::{self, Known, PREFIX};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use toml::{Table, Value};

/// What a router is called in messages. Only the file has it: container links set OUTRIDER_NAME.
pub(super) const NAME: &str = "name";

/// Everything that was written, and what reading it has shown so far.
pub(super) struct Sources {
    /// Our variables that are set to something, by their names in the file.
    environment: Table,
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
    top: Table,
    /// The `[[router]]` tables.
    routers: Vec<Table>,
}

impl Sources {
    /// Reads the environment and the file it names.
    pub fn read(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut sources = Self {
            environment: Table::new(),
            file: None,
            incomplete: false,
            faults: Vec::new(),
            warnings: Vec::new(),
        };
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
    }

    /// Reads a TOML file. The message of an error leaves out the lines it is about: they may be secret.
    fn read_file(&mut self, path: &str) -> Result<File, String> {
        let text = contents(path)
            .map_err(|why| format!("OUTRIDER_CONFIG: {} {why}; name a readable TOML file", quoted(path)))?;
        let mut top: Table = text.parse().map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            format!("{path}: line {line} is not TOML ({})", error.message().replace('\n', ", "))
        })?;
        let tables = match top.remove("router") {
            None => Some(Vec::new()),
            Some(Value::Array(items)) if !items.is_empty() => items.into_iter().map(table).collect(),
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
    fn keep_known(&mut self, place: &str, values: &mut Table, of_router: bool) {
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
                    None if key != NAME => match variables::known(&name) {
                        Known::Later => later(&format!("{place}: {key}")),
                        _ => {
                            let nearest = variables::nearest_key(key);
                            format!("{place}: {key} is not known; did you mean {nearest}?")
                        }
                    },
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
        let process = self.layers(|key, value| is_process(key).then(|| Entry::Shared(value.clone())));
        let routers = (0..count.unwrap_or(1)).map(|router| {
            let mut layers = self.layers(|key, value| entry(key, value, router, count));
            let table = self.file.as_ref().and_then(|file| Some((&file.path, file.routers.get(router)?)));
            if let Some((path, table)) = table {
                let entries = table.iter().map(|(key, value)| (key.clone(), Entry::Own(value.clone())));
                // Below the environment, above what is for all routers.
                layers.insert(1, Layer { file: Some(path.clone()), entries: entries.collect() });
            }
            Reader::new(layers, table.map(|(path, _)| path.clone()), self.incomplete)
        });
        let routers = routers.collect();
        (Reader::new(process, None, self.incomplete), routers)
    }

    /// The layers outside `[[router]]`, the topmost first, with the entries that `choose` makes of them.
    fn layers(&self, choose: impl Fn(&str, &Value) -> Option<Entry>) -> Vec<Layer> {
        let choose = |table: &Table| -> BTreeMap<String, Entry> {
            table.iter().filter_map(|(key, value)| Some((key.clone(), choose(key, value)?))).collect()
        };
        let environment = Layer { file: None, entries: choose(&self.environment) };
        let file =
            self.file.iter().map(|file| Layer { file: Some(file.path.clone()), entries: choose(&file.top) });
        [environment].into_iter().chain(file).collect()
    }

    /// How many virtual routers there are. `None`: who says so is missing or cannot be read.
    fn count(&mut self) -> Option<usize> {
        let spread =
            |table: &Table| table.get("vip").map(|value| value.as_str().map_or(1, |text| places(text).len()));
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

    /// Whether the environment has a value of its own for every virtual router.
    fn is_replaced(&self, key: &str) -> bool {
        let text = self.environment.get(key).and_then(Value::as_str);
        text.is_some_and(|text| !places(text).contains(&""))
    }

    /// Tells of texts with other than one value for all routers or one for each.
    fn tell_counts(&mut self, count: Option<usize>) {
        let Some(routers) = count else { return };
        let environment = self.environment.iter().map(|(key, value)| (variables::full(key), key, value));
        let file = self.file.iter().flat_map(|file| {
            let entries = file.top.iter().filter(|(key, _)| !self.is_replaced(key));
            entries.map(|(key, value)| (format!("{}: {key}", file.path.display()), key, value))
        });
        let faults = environment.chain(file).filter_map(|(place, key, value)| {
            let places = places(value.as_str().filter(|_| spreads(key))?);
            if key == "vip" && places.contains(&"") {
                return Some(format!("{place} has no address between two semicolons; leave one of them out"));
            }
            let number = places.len();
            let routers = match routers {
                _ if number == 1 || number == routers => return None,
                1 => "1 virtual router".to_owned(),
                routers => format!("{routers} virtual routers"),
            };
            let password = match key.as_str() {
                "auth_pass" => " (a semicolon in a password: put it into a file, and name that)",
                _ => "",
            };
            Some(format!(
                "{place} has {number} values for {routers}; write one for all, or one for each, separated by \
                 semicolons{password}"
            ))
        });
        let faults: Vec<String> = faults.collect();
        self.faults.extend(faults);
    }
}

fn table(value: Value) -> Option<Table> {
    match value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}

fn later(what: &str) -> String {
    format!("{what} is not supported by this version yet; leave it unset")
}

fn is_process(key: &str) -> bool {
    variables::base(&variables::full(key)).is_some_and(|variable| variable.process)
}

/// Whether a text for all virtual routers may hold a value for each.
fn spreads(key: &str) -> bool {
    variables::base(&variables::full(key)).is_some_and(variables::Variable::spreads)
}

/// What a value that stands outside `[[router]]` says to one virtual router.
fn entry(key: &str, value: &Value, router: usize, routers: Option<usize>) -> Option<Entry> {
    if is_process(key) {
        return None;
    }
    let Some(text) = value.as_str().filter(|_| spreads(key)) else {
        return Some(Entry::Shared(value.clone()));
    };
    let places = places(text);
    match places.get(router) {
        _ if places.len() == 1 => Some(Entry::Shared(value.clone())),
        Some(text) if routers.is_none_or(|routers| routers == places.len()) => match *text {
            "" if key == "vip" => Some(Entry::Broken),
            "" => None,
            text => Some(Entry::Own(text.into())),
        },
        _ => Some(Entry::Broken),
    }
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
