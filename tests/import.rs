//! Moving from keepalived: what comes out of its configuration files.
//!
//! `tests/import/NAME.conf` is read, and what comes out compared with `NAME.env` and `NAME.toml` beside it. After a
//! change that is meant, OUTRIDER_BLESS=1 writes them anew; read what git says about it.
#![allow(clippy::unwrap_used, clippy::expect_used)] // Helpers of tests are tests.

#[path = "import/binary.rs"]
mod binary;
#[path = "import/bounds.rs"]
mod bounds;
#[path = "import/keepalived.rs"]
mod keepalived;
#[path = "import/meaning.rs"]
mod meaning;

use outrider::config::Config;
use outrider::import::{self, Imported, Options};
use std::path::{Path, PathBuf};

/// The folder of the samples.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn sample(name: &str) -> PathBuf {
    folder().join(format!("{name}.conf"))
}

/// The names of all samples.
fn samples() -> Vec<String> {
    let names =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".conf").map(str::to_owned)).collect();
    names.sort();
    assert!(names.len() >= 20, "{names:?}");
    names
}

fn read(name: &str, options: &Options) -> Imported {
    import::file(&sample(name), options).unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// A configuration that is not in a file.
fn of(text: &str) -> Imported {
    import::text(Path::new("keepalived.conf"), text.as_bytes(), &Options::default()).unwrap()
}

const TOML: Options = Options { toml: true, instance: None, config_id: None };

#[test]
fn what_comes_out_is_what_is_expected() {
    let mut wrong = Vec::new();
    for name in samples() {
        let expected = [("env", read(&name, &Options::default()).text), ("toml", read(&name, &TOML).text)];
        for (kind, text) in expected {
            let file = folder().join(format!("{name}.{kind}"));
            if std::env::var_os("OUTRIDER_BLESS").is_some() {
                std::fs::write(&file, &text).unwrap();
            } else if std::fs::read_to_string(&file).unwrap_or_default() != text {
                wrong.push(format!("== {}\n{text}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Assignments of an environment file, as docker-compose reads them.
fn assignments(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').expect(line);
            let value = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value);
            (name.to_owned(), value.replace(r"'\''", "'"))
        })
        .collect()
}

/// The value of a variable.
fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}
