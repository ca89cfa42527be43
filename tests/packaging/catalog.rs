//! The rules of Rancher 1.6's catalog, and of this agent in it. Rancher itself ignores most of what is wrong.

use super::{VERSION, entries, settings, tree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use yaml_rust2::{Yaml, YamlLoader};

const CONFIG: [&str; 7] =
    ["name", "description", "version", "category", "maintainer", "license", "projectURL"];
const CATALOG: [&str; 6] = ["name", "uuid", "version", "description", "minimum_rancher_version", "questions"];
const QUESTION: [&str; 14] = [
    "variable",
    "label",
    "description",
    "type",
    "required",
    "default",
    "group",
    "options",
    "min",
    "max",
    "min_length",
    "max_length",
    "valid_chars",
    "invalid_chars",
];
const TYPES: [&str; 12] = [
    "boolean",
    "certificate",
    "date",
    "enum",
    "float",
    "int",
    "multiline",
    "password",
    "service",
    "string",
    "masked",
    "secret",
];
/// Of docker-compose.yml, version 2: those that Rancher passes on, as far as anything here may want them.
const SERVICE: [&str; 20] = [
    "cap_add",
    "cap_drop",
    "command",
    "depends_on",
    "entrypoint",
    "environment",
    "expose",
    "external_links",
    "image",
    "labels",
    "links",
    "logging",
    "network_mode",
    "ports",
    "privileged",
    "read_only",
    "stop_signal",
    "tmpfs",
    "user",
    "volumes",
];
/// Of rancher-compose.yml.
const RANCHER_SERVICE: [&str; 6] =
    ["scale", "start_on_create", "health_check", "lb_config", "metadata", "retain_ip"];
const HEALTH_CHECK: [&str; 9] = [
    "port",
    "request_line",
    "interval",
    "response_timeout",
    "initializing_timeout",
    "reinitializing_timeout",
    "healthy_threshold",
    "unhealthy_threshold",
    "strategy",
];

/// A question of the template.
pub struct Question {
    pub variable: String,
    pub default: String,
}

/// The questions in their order.
pub fn questions(rancher_compose: &Yaml) -> Vec<Question> {
    let questions = rancher_compose["catalog"]["questions"].as_vec().cloned().unwrap_or_default();
    let text = |question: &Yaml, key: &str| question[key].as_str().unwrap_or_default().to_owned();
    questions
        .iter()
        .map(|question| Question { variable: text(question, "variable"), default: text(question, "default") })
        .collect()
}

/// Everything that is wrong with a template's folder.
pub fn faults(template: &Path) -> Vec<String> {
    let mut faults = Faults::default();
    let name = template.file_name().unwrap().to_string_lossy().into_owned();
    let fits = (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    faults.unless(fits, || format!("{name}: a template's name has 1 to 63 letters, digits and hyphens"));
    let icon = format!("catalogIcon-{name}.svg");
    let drawn = std::fs::read_to_string(template.join(&icon)).is_ok_and(|icon| icon.starts_with("<svg "));
    faults.unless(drawn, || format!("{icon}: is missing, or no SVG"));

    let mut versions = BTreeSet::new();
    for entry in std::fs::read_dir(template).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let folder = entry.file_name().to_string_lossy().into_owned();
        faults.unless(folder.parse::<u32>().is_ok(), || format!("{folder}: a version's folder is a number"));
        versions.insert(version(&entry.path(), &mut faults));
    }
    let config = faults.yaml(template, "config.yml");
    faults.keys("config.yml", &config, &CONFIG);
    for key in ["name", "description", "version", "category"] {
        faults.text(&format!("config.yml: {key}"), &config[key]);
    }
    let newest = config["version"].as_str().unwrap_or_default();
    faults.unless(versions.contains(newest), || {
        format!("config.yml: version {newest}: is none of {versions:?}")
    });
    faults.0
}

/// One version's folder. Tells which version it says it is.
fn version(folder: &Path, faults: &mut Faults) -> String {
    faults.unless(folder.join("README.md").is_file(), || "README.md: is missing".to_owned());
    let docker = faults.yaml(folder, "docker-compose.yml");
    let rancher = faults.yaml(folder, "rancher-compose.yml");
    for (file, yaml) in [("docker-compose.yml", &docker), ("rancher-compose.yml", &rancher)] {
        faults.unless(yaml["version"].as_str() == Some("2"), || format!("{file}: version: is not '2'"));
    }
    let catalog = &rancher["catalog"];
    faults.keys("catalog", catalog, &CATALOG);
    for key in ["name", "uuid", "version", "description", "minimum_rancher_version"] {
        faults.text(&format!("catalog: {key}"), &catalog[key]);
    }
    let mut asked = BTreeSet::new();
    let mut required = Vec::new();
    for question in catalog["questions"].as_vec().into_iter().flatten() {
        let variable = check_question(question, faults);
        if question["required"].as_bool() == Some(true) {
            required.push(variable.clone());
        }
        faults.unless(asked.insert(variable.clone()), || format!("question {variable}: asked twice"));
    }
    faults
        .unless(required == ["OUTRIDER_VIP"], || format!("the address alone is required, not {required:?}"));
    let used = references(&std::fs::read_to_string(folder.join("docker-compose.yml")).unwrap_or_default());
    let used = used.unwrap_or_else(|fault| {
        faults.0.push(format!("docker-compose.yml: {fault}"));
        asked.clone()
    });
    for variable in asked.symmetric_difference(&used) {
        faults.0.push(format!("question {variable}: is not both asked and used"));
    }
    for file in ["docker-compose.yml", "rancher-compose.yml"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        faults.unless(!text.contains("{{"), || format!("{file}: {{{{ begins a Go template"));
        let rancher_dollar = file == "rancher-compose.yml" && text.replace("$$", "").contains('$');
        faults.unless(!rancher_dollar, || format!("{file}: $ is written $$"));
    }
    check_services(&docker["services"], &rancher["services"], faults);
    catalog["version"].as_str().unwrap_or_default().to_owned()
}

fn check_question(question: &Yaml, faults: &mut Faults) -> String {
    let variable = question["variable"].as_str().unwrap_or("(without a variable)").to_owned();
    let place = |key: &str| format!("question {variable}: {key}");
    faults.keys(&format!("question {variable}"), question, &QUESTION);
    for key in ["variable", "label", "description", "type"] {
        faults.text(&place(key), &question[key]);
    }
    let kind = question["type"].as_str().unwrap_or_default();
    faults.unless(TYPES.contains(&kind), || format!("{}: {kind} is none", place("type")));
    let default = &question["default"];
    if !default.is_badvalue() {
        faults.text(&place("default"), default);
    }
    let options: Vec<&Yaml> = question["options"].as_vec().into_iter().flatten().collect();
    for option in &options {
        faults.text(&place("options"), option);
    }
    faults.unless((kind == "enum") != options.is_empty(), || {
        format!("{}: belong to an enum", place("options"))
    });
    faults.unless(kind != "enum" || options.contains(&default), || {
        format!("{}: is none of the options", place("default"))
    });
    let boolean = default.as_str().is_none_or(|default| default == "true" || default == "false");
    faults.unless(kind != "boolean" || boolean, || format!("{}: is no boolean", place("default")));
    let flag = |key: &str| question[key].is_badvalue() || question[key].as_bool().is_some();
    faults.unless(flag("required"), || format!("{}: is no boolean", place("required")));
    for key in ["min", "max", "min_length", "max_length"] {
        let number = question[key].is_badvalue() || question[key].as_i64().is_some();
        faults.unless(number, || format!("{}: is no number", place(key)));
    }
    variable
}

fn check_services(docker: &Yaml, rancher: &Yaml, faults: &mut Faults) {
    let known: BTreeMap<String, String> = settings().into_iter().collect();
    for (name, service) in entries(docker) {
        faults.keys(&format!("service {name}"), service, &SERVICE);
        for key in ["environment", "labels"] {
            for (variable, value) in entries(&service[key]) {
                faults.text(&format!("service {name}: {key}: {variable}"), value);
            }
        }
        for (variable, _) in entries(&service["environment"]) {
            let known = known.contains_key(variable);
            faults.unless(known, || format!("service {name}: the agent does not know {variable}"));
        }
        let label = |label: &str| service["labels"][label].as_str().unwrap_or_default().to_owned();
        let global = label("io.rancher.scheduler.global") == "true";
        faults.unless(global, || format!("service {name}: is not global"));
        let affinity = label("io.rancher.scheduler.affinity:host_label");
        let same = affinity == service["environment"]["OUTRIDER_HOST_LABEL"].as_str().unwrap_or_default();
        faults.unless(!affinity.is_empty() && same, || {
            format!("service {name}: runs on hosts with {affinity:?}, and counts on others")
        });
        let host = service["network_mode"].as_str() == Some("host");
        faults.unless(host, || format!("service {name}: is not in the host's network"));
        let list = |key: &str| -> BTreeSet<&str> {
            service[key].as_vec().into_iter().flatten().filter_map(Yaml::as_str).collect()
        };
        let capabilities = BTreeSet::from(["NET_ADMIN", "NET_RAW", "SETGID", "SETUID"]);
        faults.unless(list("cap_add") == capabilities && list("cap_drop") == BTreeSet::from(["ALL"]), || {
            format!("service {name}: has other capabilities than {capabilities:?}")
        });
        let limited = ["max-size", "max-file"]
            .iter()
            .all(|option| service["logging"]["options"][*option].as_str().is_some());
        faults.unless(limited, || format!("service {name}: its log has no limit"));
    }
    for (name, service) in entries(rancher) {
        faults.unless(!docker[name].is_badvalue(), || format!("service {name}: docker-compose.yml has none"));
        faults.keys(&format!("service {name}"), service, &RANCHER_SERVICE);
        let check = &service["health_check"];
        faults.keys(&format!("service {name}: health_check"), check, &HEALTH_CHECK);
        faults.unless(check.is_badvalue() || check["strategy"].as_str() == Some("none"), || {
            format!(
                "service {name}: health_check: strategy: anything but none kills the holder on a partition"
            )
        });
    }
    faults.unless(!entries(docker).is_empty(), || "docker-compose.yml: has no service".to_owned());
}

/// The `${variables}` of a compose file.
fn references(text: &str) -> Result<BTreeSet<String>, String> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let (name, after) =
            after.strip_prefix('{').and_then(|after| after.split_once('}')).ok_or("$ is written $$")?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("${{{name}}}: Rancher knows no defaults here"));
        }
        found.insert(name.to_owned());
        rest = after;
    }
    Ok(found)
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, good: bool, fault: impl FnOnce() -> String) {
        if !good {
            self.0.push(fault());
        }
    }

    fn yaml(&mut self, folder: &Path, file: &str) -> Yaml {
        let text = std::fs::read_to_string(folder.join(file)).map_err(|error| error.to_string());
        let documents =
            text.and_then(|text| YamlLoader::load_from_str(&text).map_err(|error| error.to_string()));
        documents.map(|mut documents| documents.remove(0)).unwrap_or_else(|error| {
            self.0.push(format!("{file}: {error}"));
            Yaml::BadValue
        })
    }

    fn keys(&mut self, place: &str, mapping: &Yaml, known: &[&str]) {
        for (key, _) in entries(mapping) {
            self.unless(known.contains(&key), || format!("{place}: unknown key {key}"));
        }
    }

    /// Answers, labels and variables are text: `true` and `80` must be quoted.
    fn text(&mut self, place: &str, value: &Yaml) {
        match value {
            Yaml::String(text) => self.unless(!text.is_empty(), || format!("{place}: is empty")),
            Yaml::BadValue => self.0.push(format!("{place}: is missing")),
            _ => self.0.push(format!("{place}: must be quoted")),
        }
    }
}

#[test]
fn every_template_keeps_the_rules() {
    let templates: Vec<_> = std::fs::read_dir(tree("rancher-compose/templates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!templates.is_empty());
    for template in templates {
        assert_eq!(faults(&template), [] as [String; 0], "{}", template.display());
    }
}

#[test]
fn the_template_is_of_this_version() {
    let mut faults = Faults::default();
    assert_eq!(version(&tree("rancher-compose/templates/outrider/0"), &mut faults), VERSION);
}
