//! What users are given besides the program: the catalog template, the compose file, the README.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // The helpers are tests, too.

#[path = "packaging/again.rs"]
mod again;
#[path = "packaging/broken.rs"]
mod broken;
#[path = "packaging/catalog.rs"]
mod catalog;
#[path = "packaging/compose.rs"]
mod compose;
#[path = "packaging/deploy.rs"]
mod deploy;
#[path = "packaging/environment.rs"]
mod environment;
#[path = "packaging/readme.rs"]
mod readme;
#[path = "packaging/rendered.rs"]
mod rendered;
#[path = "packaging/services.rs"]
mod services;
#[path = "packaging/troubleshooting.rs"]
mod troubleshooting;

use std::path::{Path, PathBuf};
use std::process::Command;
use yaml_rust2::{Yaml, YamlLoader};

const PROGRAM: &str = env!("CARGO_BIN_EXE_outrider");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A file or folder of the tree.
fn tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(text: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(text).expect("YAML");
    assert_eq!(documents.len(), 1, "one document");
    documents.remove(0)
}

/// The entries of a mapping. Nothing, and anything else, has none.
fn entries(yaml: &Yaml) -> Vec<(&str, &Yaml)> {
    let entries = yaml.as_hash().into_iter().flatten();
    entries.map(|(key, value)| (key.as_str().unwrap_or("(no text)"), value)).collect()
}

/// The variables of this version, with their defaults, in the order and the words of `outrider --help`.
fn settings() -> Vec<(String, String)> {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let settings: Vec<_> = help
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("  ")?.split_once(' ')?;
            name.starts_with("OUTRIDER_").then_some(())?;
            let default = rest.rsplit_once(" [default: ").and_then(|(_, default)| default.strip_suffix(']'));
            let required = rest.ends_with("(required)").then_some("(required)");
            Some((name.to_owned(), default.or(required).expect(line).to_owned()))
        })
        .collect();
    assert!(settings.len() > 30, "{help}");
    settings
}

/// The same version stands everywhere.
#[test]
fn the_version_is_cargos() {
    for (file, line) in [
        ("Dockerfile", format!("org.opencontainers.image.version=\"{VERSION}\"")),
        ("Dockerfile", format!("docker build -t outrider:{VERSION} .")),
        ("deploy/docker-compose.yml", format!("image: outrider:{VERSION}\n")),
        ("README.md", format!("docker build -t outrider:{VERSION} .\n")),
        ("CHANGELOG.md", format!("## [{VERSION}]")),
    ] {
        assert!(read(&tree(file)).contains(&line), "{file} does not say {line}");
    }
    for template in catalog::templates() {
        for (file, line) in [
            ("0/rancher-compose.yml", format!("default: outrider:{VERSION}\n")),
            ("config.yml", format!("version: '{VERSION}'\n")),
        ] {
            let path = template.join(file);
            assert!(read(&path).contains(&line), "{} does not say {line}", path.display());
        }
    }
}
