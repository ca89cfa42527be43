//! docker-compose reads the files as they are meant.

use super::catalog::{Template, templates};
use super::{read, tree, yaml};
use std::path::Path;
use std::process::{Command, Output};
use yaml_rust2::Yaml;

/// `docker-compose config`, with these variables and no others.
fn config(file: &Path, variables: &[(String, String)]) -> Output {
    Command::new("docker-compose")
        .arg("-f")
        .arg(file)
        .arg("config")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("these tests need docker-compose: apt-get install --no-install-recommends docker-compose")
}

fn accepted(file: &Path, variables: &[(String, String)]) -> Yaml {
    let output = config(file, variables);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    yaml(&String::from_utf8(output.stdout).unwrap())
}

fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().into_iter().flatten().filter_map(Yaml::as_str).collect()
}

/// The service of the file for plain Docker hosts.
pub fn plain() -> Yaml {
    accepted(&tree("deploy/docker-compose.yml"), &[])["services"]["outrider"].clone()
}

#[test]
fn the_file_for_plain_docker_hosts() {
    let service = plain();
    assert_eq!(service["network_mode"].as_str(), Some("host"));
    assert_eq!(service["restart"].as_str(), Some("always"));
    assert_eq!(service["stop_grace_period"].as_str(), Some("10s"));
    assert_eq!(service["read_only"].as_bool(), Some(true));
    assert_eq!(texts(&service["cap_drop"]), ["ALL"]);
    assert_eq!(texts(&service["cap_add"]), ["NET_ADMIN", "NET_RAW", "SETUID", "SETGID"]);
    assert_eq!(texts(&service["security_opt"]), ["no-new-privileges"]);
    assert_eq!(service["logging"]["options"]["max-size"].as_str(), Some("10m"));
    assert!(!service["environment"]["OUTRIDER_PEERS"].is_badvalue(), "{service:?}");
}

/// Every template, with every question left open and with every question answered.
#[test]
fn the_catalogs_files() {
    for folder in templates() {
        let template = Template::new(folder.file_name().unwrap().to_str().unwrap());
        for answers in [template.answers(&[]), template.examples()] {
            let written = tempfile::tempdir().unwrap();
            let path = written.path().join("docker-compose.yml");
            std::fs::write(&path, template.docker(&answers)).unwrap();
            let label = answers["OUTRIDER_HOST_LABEL"].clone();
            let file = accepted(&path, &answers.into_iter().collect::<Vec<_>>());
            let service = &file["services"]["outrider"];
            assert_eq!(service["network_mode"].as_str(), Some("host"));
            assert_eq!(service["environment"]["OUTRIDER_HOST_LABEL"].as_str(), Some(label.as_str()));
        }
    }
}

#[test]
fn an_unknown_key_is_not_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let text = read(&tree("deploy/docker-compose.yml")).replace("cap_add:", "cap_adds:");
    std::fs::write(folder.path().join("docker-compose.yml"), text).unwrap();
    std::fs::write(folder.path().join("outrider.env"), "").unwrap();
    assert!(!config(&folder.path().join("docker-compose.yml"), &[]).status.success());
}
