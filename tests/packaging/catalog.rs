//! The rules of Rancher 1.6's catalog. Rancher itself ignores most of what is wrong.

use super::rendered::{Answers, asked_by_actions, filled_in, references, templated};
use super::services::check_services;
use super::{VERSION, entries, read, tree};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
/// Rancher takes either; the first one only if it needs Go's templates.
const COMPOSE: [&str; 2] = ["docker-compose.yml.tpl", "docker-compose.yml"];

/// A version of a template: its folder, with what stands in its files.
pub struct Template {
    docker: String,
    rancher: String,
    questions: Vec<Question>,
}

/// A question of a template.
pub struct Question {
    pub variable: String,
    pub default: String,
    /// An answer of its type.
    pub example: String,
}

impl Template {
    /// Version 0 of a template in the tree.
    pub fn new(name: &str) -> Self {
        let folder = tree("rancher-compose/templates").join(name).join("0");
        let compose = COMPOSE.iter().map(|file| folder.join(file)).find(|file| file.is_file());
        let rancher = read(&folder.join("rancher-compose.yml"));
        let questions = questions(&super::yaml(&rancher));
        Self { docker: read(&compose.expect("a compose file")), rancher, questions }
    }

    /// What Rancher passes on for these answers; questions left open have their defaults.
    ///
    /// # Panics
    /// When a question is answered that is not asked.
    pub fn answers(&self, answers: &[(&str, &str)]) -> Answers {
        let mut all: Answers = self
            .questions
            .iter()
            .map(|question| (question.variable.clone(), question.default.clone()))
            .collect();
        for (variable, answer) in answers {
            *all.get_mut(*variable).expect(variable) = (*answer).to_owned();
        }
        all
    }

    /// An answer to every question.
    pub fn examples(&self) -> Answers {
        let answered = self.questions.iter();
        answered.map(|question| (question.variable.clone(), question.example.clone())).collect()
    }

    /// docker-compose.yml with its template's actions carried out, and its variables still in it.
    pub fn docker(&self, answers: &Answers) -> String {
        templated(&self.docker, answers).unwrap()
    }

    /// A service of docker-compose.yml, for these answers.
    pub fn service(&self, name: &str, answers: &Answers) -> Yaml {
        filled_in(&super::yaml(&self.docker(answers))["services"][name], answers)
    }

    /// A service of rancher-compose.yml, for these answers.
    pub fn rancher_service(&self, name: &str, answers: &Answers) -> Yaml {
        filled_in(&super::yaml(&self.rancher)["services"][name], answers)
    }
}

/// The templates in the tree.
pub fn templates() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(tree("rancher-compose/templates")).unwrap();
    let mut templates: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    templates.sort();
    assert!(!templates.is_empty());
    templates
}

/// The questions in their order.
fn questions(rancher_compose: &Yaml) -> Vec<Question> {
    let questions = rancher_compose["catalog"]["questions"].as_vec().cloned().unwrap_or_default();
    let text = |question: &Yaml, key: &str| question[key].as_str().unwrap_or_default().to_owned();
    let example = |question: &Yaml| match question["type"].as_str() {
        Some("enum") => question["options"][0].as_str().unwrap_or_default().to_owned(),
        Some("boolean") => "true".to_owned(),
        Some("int") => "77".to_owned(),
        Some("service") => "stack/service".to_owned(),
        Some("secret") => text(question, "variable").to_lowercase(),
        _ => "answered".to_owned(),
    };
    questions
        .iter()
        .map(|question| Question {
            variable: text(question, "variable"),
            default: text(question, "default"),
            example: example(question),
        })
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
    let readme = std::fs::read_to_string(folder.join("README.md"))
        .map_err(|_| faults.0.push("README.md: is missing".to_owned()))
        .unwrap_or_default();
    let found: Vec<_> = COMPOSE.into_iter().filter(|file| folder.join(file).is_file()).collect();
    faults.unless(found.len() == 1, || format!("docker-compose.yml: there are {found:?} of {COMPOSE:?}"));
    let compose = found.first().copied().unwrap_or("docker-compose.yml");
    let text = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    let (docker_text, rancher_text) = (text(compose), text("rancher-compose.yml"));
    let rancher = faults.yaml(folder, "rancher-compose.yml");
    faults.unless(rancher["version"].as_str() == Some("2"), || {
        "rancher-compose.yml: version: is not '2'".to_owned()
    });

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
        let row = format!("\n| {} |", question["label"].as_str().unwrap_or_default());
        faults
            .unless(readme.contains(&row), || format!("question {variable}: README.md does not explain it"));
        faults.unless(asked.insert(variable.clone()), || format!("question {variable}: asked twice"));
    }
    faults
        .unless(required == ["OUTRIDER_VIP"], || format!("the address alone is required, not {required:?}"));

    // Rancher reads the questions before it knows any answer.
    let (before, services) = rancher_text.split_once("\nservices:").unwrap_or((&rancher_text, ""));
    faults.unless(!before.replace("$$", "").contains('$'), || {
        "rancher-compose.yml: $ is written $$".to_owned()
    });
    for (file, text) in [(compose, &docker_text), ("rancher-compose.yml", &rancher_text)] {
        let plain = file.ends_with(".tpl") || !text.contains("{{");
        faults.unless(plain, || format!("{file}: {{{{ begins a Go template"));
    }
    let mut used = asked_by_actions(&docker_text);
    for (file, text) in [(compose, docker_text.as_str()), ("rancher-compose.yml", services)] {
        match references(text) {
            Ok(references) => used.extend(references),
            Err(fault) => faults.0.push(format!("{file}: {fault}")),
        }
    }
    for variable in asked.symmetric_difference(&used) {
        faults.0.push(format!("question {variable}: is not both asked and used"));
    }

    // Without an answer to anything, and with one to everything: what an `if` adds must be well, too.
    let questions = questions(&rancher);
    let open = questions.iter().map(|question| (question.variable.clone(), question.default.clone()));
    let answered = questions.iter().map(|question| (question.variable.clone(), question.example.clone()));
    for answers in [open.collect::<Answers>(), answered.collect()] {
        let rendered = templated(&docker_text, &answers).and_then(|text| load(&text));
        let docker = rendered.unwrap_or_else(|fault| {
            faults.0.push(format!("{compose}: {fault}"));
            Yaml::BadValue
        });
        faults.unless(docker["version"].as_str() == Some("2"), || format!("{compose}: version: is not '2'"));
        faults.keys(compose, &docker, &["version", "services", "secrets"]);
        check_services(&docker, &rancher["services"], faults);
    }
    catalog["version"].as_str().unwrap_or_default().to_owned()
}

fn check_question(question: &Yaml, faults: &mut Faults) -> String {
    let variable = question["variable"].as_str().unwrap_or("(without a variable)").to_owned();
    let place = |key: &str| format!("question {variable}: {key}");
    faults.keys(&format!("question {variable}"), question, &QUESTION);
    for key in ["variable", "label", "description", "type", "group"] {
        faults.text(&place(key), &question[key]);
    }
    let kind = question["type"].as_str().unwrap_or_default();
    faults.unless(TYPES.contains(&kind), || format!("{}: {kind} is none", place("type")));
    let default = &question["default"];
    if !default.is_badvalue() {
        faults.text(&place("default"), default);
        // It stands in the open in a public file.
        let open = !["password", "masked", "secret"].contains(&kind);
        faults.unless(open, || format!("{}: a {kind} has none", place("default")));
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
    let whole = default.as_str().is_none_or(|default| default.parse::<i64>().is_ok());
    faults.unless(kind != "int" || whole, || format!("{}: is no whole number", place("default")));
    let flag = |key: &str| question[key].is_badvalue() || question[key].as_bool().is_some();
    faults.unless(flag("required"), || format!("{}: is no boolean", place("required")));
    for key in ["min", "max", "min_length", "max_length"] {
        let number = question[key].is_badvalue() || question[key].as_i64().is_some();
        faults.unless(number, || format!("{}: is no number", place(key)));
    }
    variable
}

fn load(text: &str) -> Result<Yaml, String> {
    let mut documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    if documents.len() == 1 { Ok(documents.remove(0)) } else { Err("is not one document".to_owned()) }
}

#[derive(Default)]
pub struct Faults(pub Vec<String>);

impl Faults {
    pub fn unless(&mut self, good: bool, fault: impl FnOnce() -> String) {
        if !good {
            self.0.push(fault());
        }
    }

    fn yaml(&mut self, folder: &Path, file: &str) -> Yaml {
        let text = std::fs::read_to_string(folder.join(file)).map_err(|error| error.to_string());
        text.and_then(|text| load(&text)).unwrap_or_else(|error| {
            self.0.push(format!("{file}: {error}"));
            Yaml::BadValue
        })
    }

    pub fn keys(&mut self, place: &str, mapping: &Yaml, known: &[&str]) {
        for (key, _) in entries(mapping) {
            self.unless(known.contains(&key), || format!("{place}: unknown key {key}"));
        }
    }

    /// Answers, labels and variables are text: `true` and `80` must be quoted.
    pub fn text(&mut self, place: &str, value: &Yaml) {
        match value {
            Yaml::String(text) => self.unless(!text.is_empty(), || format!("{place}: is empty")),
            Yaml::BadValue => self.0.push(format!("{place}: is missing")),
            _ => self.0.push(format!("{place}: must be quoted")),
        }
    }
}

#[test]
fn every_template_keeps_the_rules() {
    for template in templates() {
        assert_eq!(faults(&template), [] as [String; 0], "{}", template.display());
    }
}

#[test]
fn every_template_is_of_this_version() {
    for template in templates() {
        let said = version(&template.join("0"), &mut Faults::default());
        assert_eq!(said, VERSION, "{}", template.display());
    }
}

/// Catalog entries are told apart by their uuid, and the icon of one is not that of another.
#[test]
fn templates_are_told_apart() {
    let mut seen = BTreeSet::new();
    for template in templates() {
        let name = template.file_name().unwrap().to_str().unwrap().to_owned();
        let rancher = super::yaml(&Template::new(&name).rancher);
        let uuid = rancher["catalog"]["uuid"].as_str().unwrap().to_owned();
        let icon = read(&template.join(format!("catalogIcon-{name}.svg")));
        for mark in [uuid, icon] {
            assert!(seen.insert(mark), "{name}: not its own");
        }
    }
}

/// Two containers of the application on `role=app`, never two on one host; the load balancer on every
/// `role=load-balancer`, at port 80 of all addresses; outrider beside it.
#[test]
fn the_website_is_the_whole_set_up() {
    let template = Template::new("outrider-website");
    let answers = template.answers(&[("OUTRIDER_VIP", "10.10.10.2")]);
    let label = |service: &str, name: &str| {
        template.service(service, &answers)["labels"][name].as_str().unwrap_or_default().to_owned()
    };
    let affinity = |rule: &str| format!("io.rancher.scheduler.affinity:{rule}");
    assert_eq!(template.rancher_service("web", &answers)["scale"].as_i64(), Some(2));
    assert_eq!(label("web", &affinity("host_label")), "role=app");
    assert_eq!(
        label("web", &affinity("container_label_ne")),
        "io.rancher.stack_service.name=${stack_name}/${service_name}"
    );
    for everywhere in ["lb", "outrider"] {
        assert_eq!(label(everywhere, "io.rancher.scheduler.global"), "true");
        assert_eq!(label(everywhere, &affinity("host_label")), "role=load-balancer");
    }
    let balancer = template.service("lb", &answers);
    assert_eq!(balancer["ports"].as_vec().unwrap()[0].as_str(), Some("80:80"));
    let rule = &template.rancher_service("lb", &answers)["lb_config"]["port_rules"][0];
    assert_eq!((rule["service"].as_str(), rule["target_port"].as_i64()), (Some("web"), Some(80)));
}
