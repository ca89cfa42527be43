//! The environments that the catalog templates and the compose file yield start the real agent.

use super::catalog::{Template, templates};
use super::rendered::Answers;
use super::{PROGRAM, entries, read, tree};
use anyhow::{Context, Result, bail};
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use yaml_rust2::Yaml;

/// Answers by variable.
type Answered = &'static [(&'static str, &'static str)];

const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const TOKEN: &str = "0123456789abcdef";

/// A container of a template's agent: its environment, and its secrets as files.
struct Container {
    environment: Vec<(String, String)>,
    health_port: u16,
    request_line: String,
    _secrets: TempDir,
}

impl Container {
    /// Rancher writes each secret of `secrets` to `/run/secrets`; here they are in a folder of the test's.
    fn new(template: &Template, answers: &Answers, secrets: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = template.service("outrider", answers);
        for secret in service["secrets"].as_vec().into_iter().flatten() {
            let source = secret["source"].as_str().unwrap();
            let (_, content) = secrets.iter().find(|(name, _)| *name == source).expect(source);
            std::fs::write(folder.path().join(secret["target"].as_str().unwrap()), content).unwrap();
        }
        let place = folder.path().to_str().unwrap();
        let environment = entries(&service["environment"])
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.as_str().unwrap().replace("/run/secrets", place)));
        let check = template.rancher_service("outrider", answers)["health_check"].clone();
        Container {
            environment: environment.collect(),
            // Rancher takes a text for a number here.
            health_port: match &check["port"] {
                Yaml::Integer(port) => (*port).try_into().unwrap(),
                port => port.as_str().unwrap().parse().unwrap_or_default(),
            },
            request_line: check["request_line"].as_str().unwrap().to_owned(),
            _secrets: folder,
        }
    }

    fn open(&self) -> BTreeSet<&str> {
        let open = self.environment.iter().filter(|(_, value)| value.is_empty());
        open.map(|(name, _)| name.as_str()).collect()
    }

    fn check_config(&self) -> Output {
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        Command::new(PROGRAM).arg("check-config").env_clear().envs(variables).output().unwrap()
    }
}

/// A group of two hosts with this environment; one of them has the address.
struct Group {
    lab: Lab,
    processes: Vec<Process>,
    holder: usize,
}

async fn ask(lab: &Lab, place: (Ipv4Addr, u16), lines: &str) -> Result<String> {
    let request = format!("{lines}\r\n\r\n");
    let asked = lab.client_namespace().run(async move {
        let mut stream = TcpStream::connect(place).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    });
    tokio::time::timeout(SOON, asked).await??
}

/// Starts the agent with this environment on two hosts of a lab, and waits until one of them has the address.
async fn one_of_two_holds(environment: &[(String, String)]) -> Result<Group> {
    let lab = Lab::new(2, PROGRAM).await?;
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut processes = Vec::new();
    for host in lab.hosts() {
        processes.push(host.start_agent(&environment).await?);
    }
    for host in lab.hosts() {
        processes.push(host.start_balancer().await?);
    }
    let said = || processes.iter().map(|process| process.tail(10)).collect::<Vec<_>>().join("\n");
    let holder = lab.wait_for_holder(SOON).await.with_context(said)?;
    assert_eq!(lab.holders().await?, [holder]);
    Ok(Group { lab, processes, holder })
}

impl Group {
    /// What a host's agent answers to a request of these lines, asked from another machine.
    async fn ask(&self, host: usize, port: u16, lines: &str) -> Result<String> {
        ask(&self.lab, (self.lab.hosts()[host].address(), port), lines).await
    }

    /// As Rancher's health check asks: from other hosts, at the host's address.
    async fn healthy(&self, container: &Container) -> Result<()> {
        for host in [0, 1] {
            let answer = self.ask(host, container.health_port, &container.request_line).await?;
            let line = answer.lines().next().unwrap_or_default();
            if !line.starts_with("HTTP/1.") || !line.contains(" 200 ") {
                bail!("{}: {answer}", container.request_line);
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn default_answers_start_the_agent_of_every_template() -> Result<()> {
    let vip = VIP.to_string();
    for template in templates() {
        let name = template.file_name().unwrap().to_str().unwrap().to_owned();
        let template = Template::new(&name);
        let container = Container::new(&template, &template.answers(&[("OUTRIDER_VIP", &vip)]), &[]);
        let group = one_of_two_holds(&container.environment).await.context(name)?;
        group.healthy(&container).await?;
    }
    Ok(())
}

/// Rancher's health check is about the agent, not about the load balancer: nothing answers on port 80 here, and one host
/// has lost the label.
#[tokio::test]
async fn an_agent_that_cannot_serve_is_healthy() -> Result<()> {
    let template = Template::new("outrider");
    let container = Container::new(&template, &template.answers(&[("OUTRIDER_VIP", &VIP.to_string())]), &[]);
    let mut lab = Lab::new(1, PROGRAM).await?;
    let without_label = lab.add_host().await?;
    let environment: Vec<_> =
        container.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut processes = Vec::new();
    for host in lab.hosts() {
        processes.push(host.start_agent(&environment).await?);
    }
    processes[0].wait_for_line("Initialize -> Fault", SOON).await?;
    processes[without_label].wait_for_line("does not take part", SOON).await?;
    for (process, host) in processes.iter().zip(lab.hosts()) {
        process.wait_for_line("status at http://", SOON).await?;
        let answer = ask(&lab, (host.address(), container.health_port), &container.request_line).await?;
        assert!(answer.contains(" 200 "), "{answer}");
    }
    Ok(())
}

/// The real HAProxy, started as its container is, with the agent as its sidekick: the address is where it answers.
#[tokio::test]
async fn the_sidekick_follows_its_haproxy() -> Result<()> {
    let template = Template::new("outrider-sidekick");
    let answers = template.answers(&[("OUTRIDER_VIP", &VIP.to_string())]);
    let container = Container::new(&template, &answers, &[]);
    let command = template.service("lb", &answers)["command"].clone();
    let words: Vec<&str> = command.as_vec().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    assert!(words[2].contains("web.shop.rancher.internal:80"), "{words:?}");
    let environment: Vec<_> =
        container.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    let lab = Lab::new(2, PROGRAM).await?;
    let mut running = Vec::new();
    for host in lab.hosts() {
        let mut haproxy = tokio::process::Command::new(words[0]);
        haproxy.args(&words[1..]).stdin(std::process::Stdio::null());
        running.push((host.start("haproxy", haproxy).await?, host.start_agent(&environment).await?));
    }
    let holder = settled(&lab, None).await.with_context(|| running[0].1.tail(20))?;
    let answer = ask(&lab, (VIP, 80), "GET / HTTP/1.0").await?;
    assert!(answer.contains(" 503 "), "there is no application here: {answer}");
    let agent = running.swap_remove(holder).1; // HAProxy ends with its handle.
    settled(&lab, Some(holder)).await.with_context(|| agent.tail(20))?;
    Ok(())
}

/// Waits until exactly one host has the address, and not this one.
async fn settled(lab: &Lab, but: Option<usize>) -> Result<usize> {
    let mut changes = lab.watcher().subscribe();
    let settled = async {
        loop {
            changes.borrow_and_update();
            match lab.watcher().holders(VIP.into())?[..] {
                [holder] if Some(holder) != but => return anyhow::Ok(holder),
                _ => changes.changed().await?,
            }
        }
    };
    tokio::time::timeout(SOON, settled).await.context("no single holder")?
}

/// Answers that exclude each other make several ways to answer everything. Together they answer every question.
#[tokio::test]
async fn every_question_answered_starts_the_agent() -> Result<()> {
    let template = Template::new("outrider");
    let common = [
        ("OUTRIDER_VIP", "10.10.10.2/24"),
        ("OUTRIDER_INTERFACE", "eth0"),
        ("IMAGE", "registry.example.com/outrider:0.1.0"),
        ("OUTRIDER_HOST_LABEL", "role=load-balancer"),
        ("OUTRIDER_CHECK_INTERVAL", "500ms"),
        ("OUTRIDER_VRID", "77"),
        ("OUTRIDER_PREEMPT", "true"),
        ("OUTRIDER_GUARD", "10.10.10.100"),
        ("OUTRIDER_SMTP_SERVER", "127.0.0.1:9"),
        ("OUTRIDER_SMTP_TO", "ops@example.com, On Call <oncall@example.com>"),
        ("OUTRIDER_SMTP_FROM", "outrider@example.com"),
        ("OUTRIDER_SMTP_USER", "outrider"),
        ("OUTRIDER_SMTP_TLS", "tls"),
        ("STATUS_PORT", "9200"),
        ("OUTRIDER_STATUS_TOKEN", TOKEN),
        ("OUTRIDER_LOG", "debug"),
        ("OUTRIDER_LOG_FORMAT", "json"),
    ];
    let ways: [(Answered, &[&str]); 3] = [
        (
            &[
                ("OUTRIDER_LB", "lb/lb"),
                ("OUTRIDER_VRRP_VERSION", "3"),
                ("OUTRIDER_ADVERT_INTERVAL", "100ms"),
                ("OUTRIDER_AUTH_KEYS", KEY),
                ("OUTRIDER_AUTH_MODE", "permissive"),
                ("OUTRIDER_SMTP_PASSWORD", "two $words: \"quoted\""),
            ],
            &["OUTRIDER_AUTH_PASS", "OUTRIDER_CHECK"],
        ),
        (
            &[
                ("OUTRIDER_CHECK", "http://127.0.0.1:80/; tcp://127.0.0.1:80"),
                ("OUTRIDER_VRRP_VERSION", "2"),
                ("OUTRIDER_ADVERT_INTERVAL", "1s"),
                ("OUTRIDER_AUTH_PASS", "#secret:"),
                ("SMTP_PASSWORD_SECRET", "mail"),
            ],
            &["OUTRIDER_AUTH_KEYS", "OUTRIDER_AUTH_MODE", "OUTRIDER_LB", "OUTRIDER_SMTP_PASSWORD"],
        ),
        (
            &[
                ("OUTRIDER_LB", "lb/lb"),
                ("OUTRIDER_VRRP_VERSION", "3"),
                ("OUTRIDER_ADVERT_INTERVAL", "100ms"),
                ("AUTH_KEYS_SECRET", "vrrp-keys"),
                ("OUTRIDER_AUTH_MODE", "enforce"),
                ("SMTP_PASSWORD_SECRET", "mail"),
            ],
            &["OUTRIDER_AUTH_KEYS", "OUTRIDER_AUTH_PASS", "OUTRIDER_CHECK", "OUTRIDER_SMTP_PASSWORD"],
        ),
    ];
    let mut answered = BTreeSet::new();
    for (answers, left_open) in ways {
        let answers: Vec<_> = common.iter().chain(answers).copied().collect();
        answered.extend(answers.iter().map(|(variable, _)| (*variable).to_owned()));
        let secrets = [("vrrp-keys", format!("# two\n{KEY}\n")), ("mail", "secret\n".to_owned())];
        let secrets = secrets.each_ref().map(|(name, content)| (*name, content.as_str()));
        let container = Container::new(&template, &template.answers(&answers), &secrets);
        assert_eq!(container.open(), left_open.iter().copied().collect());
        let group = one_of_two_holds(&container.environment).await?;
        let line = group.processes[group.holder].wait_for_line("virtual router 77", SOON).await?;
        serde_json::from_str::<serde_json::Value>(&line.text)?;
        group.healthy(&container).await?;
        let refused = group.ask(group.holder, 9200, "GET /status HTTP/1.0").await?;
        assert!(refused.contains(" 401 "), "{refused}");
        let bearer = format!("GET /status HTTP/1.0\r\nAuthorization: Bearer {TOKEN}");
        let status = group.ask(group.holder, 9200, &bearer).await?;
        assert!(status.contains(" 200 ") && status.contains("Active"), "{status}");
        assert!(!status.contains(KEY) && !status.contains("#secret") && !status.contains("quoted"));
    }
    let asked: BTreeSet<String> = template.examples().into_keys().collect();
    assert_eq!(answered, asked, "every question is answered in one way or another");
    Ok(())
}

/// An emptied field is an empty variable, and that means unset. Only the port has to stay.
#[test]
fn empty_answers_are_no_answers() {
    for template in templates() {
        let template = Template::new(template.file_name().unwrap().to_str().unwrap());
        let mut answers = template.answers(&[]);
        for (variable, answer) in &mut answers {
            match variable.as_str() {
                "OUTRIDER_VIP" => *answer = VIP.to_string(),
                "STATUS_PORT" => {}
                _ => answer.clear(),
            }
        }
        let output = Container::new(&template, &answers, &[]).check_config();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

/// The UI checks nothing. Each answer that no agent can use ends it, with a line that names the variable.
#[test]
#[rustfmt::skip] // A table: one answer a line.
fn wrong_answers_are_refused_by_name() {
    let template = Template::new("outrider");
    let needs_mail = [("OUTRIDER_SMTP_SERVER", "mail.example.com"), ("OUTRIDER_SMTP_TO", "ops@example.com")];
    let wrong = BTreeMap::from([
        ("OUTRIDER_VIP", ("10.10.10", "OUTRIDER_VIP: \"10.10.10\" is not")),
        ("OUTRIDER_INTERFACE", ("an interface", "OUTRIDER_INTERFACE: \"an interface\"")),
        ("OUTRIDER_HOST_LABEL", ("=load-balancer", "OUTRIDER_HOST_LABEL: \"=load-balancer\"")),
        ("OUTRIDER_LB", ("lb", "OUTRIDER_LB: \"lb\" does not name a stack and its service")),
        ("OUTRIDER_CHECK", ("127.0.0.1:80", "OUTRIDER_CHECK: \"127.0.0.1:80\"")),
        ("OUTRIDER_CHECK_INTERVAL", ("1", "OUTRIDER_CHECK_INTERVAL: \"1\"")),
        ("OUTRIDER_ADVERT_INTERVAL", ("fast", "OUTRIDER_ADVERT_INTERVAL: \"fast\"")),
        ("OUTRIDER_VRRP_VERSION", ("4", "OUTRIDER_VRRP_VERSION: \"4\"")),
        ("OUTRIDER_VRID", ("256", "OUTRIDER_VRID: \"256\" is not a whole number from 1 to 255")),
        ("OUTRIDER_PREEMPT", ("yes", "OUTRIDER_PREEMPT: \"yes\" is neither true nor false")),
        ("OUTRIDER_GUARD", ("gateway", "OUTRIDER_GUARD: \"gateway\" is not an address")),
        ("OUTRIDER_AUTH_KEYS", ("1:00", "OUTRIDER_AUTH_KEYS has 1 bytes in key 1")),
        ("OUTRIDER_AUTH_MODE", ("strict", "OUTRIDER_AUTH_MODE: \"strict\" is none of")),
        ("OUTRIDER_AUTH_PASS", ("secret", "OUTRIDER_AUTH_PASS is for version 2")),
        ("OUTRIDER_SMTP_SERVER", ("mail server", "OUTRIDER_SMTP_SERVER: \"mail server\"")),
        ("OUTRIDER_SMTP_FROM", ("outrider", "OUTRIDER_SMTP_FROM: \"outrider\"")),
        ("OUTRIDER_SMTP_TO", ("ops", "OUTRIDER_SMTP_TO: \"ops\"")),
        ("OUTRIDER_SMTP_USER", ("outrider", "OUTRIDER_SMTP_USER is set without OUTRIDER_SMTP_PASSWORD")),
        ("OUTRIDER_SMTP_PASSWORD", ("secret", "OUTRIDER_SMTP_PASSWORD is set without OUTRIDER_SMTP_USER")),
        ("OUTRIDER_SMTP_TLS", ("ssl", "OUTRIDER_SMTP_TLS: \"ssl\"")),
        ("STATUS_PORT", ("http", "OUTRIDER_STATUS_LISTEN: \":http\" is no address with a port")),
        ("OUTRIDER_STATUS_TOKEN", ("short", "OUTRIDER_STATUS_TOKEN is not 16 to 512 visible ASCII characters")),
        ("OUTRIDER_LOG", ("all", "OUTRIDER_LOG: \"all\"")),
        ("OUTRIDER_LOG_FORMAT", ("xml", "OUTRIDER_LOG_FORMAT: \"xml\"")),
    ]);
    // Rancher's: the image cannot be pulled; a secret that is not there is the next test's.
    let elsewhere = ["IMAGE", "AUTH_KEYS_SECRET", "SMTP_PASSWORD_SECRET"];
    let asked: BTreeSet<String> = template.examples().into_keys().collect();
    assert_eq!(asked, wrong.keys().copied().chain(elsewhere).map(str::to_owned).collect());
    for (variable, (answer, message)) in wrong {
        let mut answers = template.answers(&[("OUTRIDER_VIP", "10.10.10.2")]);
        if variable.starts_with("OUTRIDER_SMTP") {
            answers.extend(needs_mail.map(|(name, answer)| (name.to_owned(), answer.to_owned())));
        }
        *answers.get_mut(variable).unwrap() = answer.to_owned();
        let output = Container::new(&template, &answers, &[]).check_config();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{variable}={answer}: {said}");
        assert!(said.lines().any(|line| line.starts_with(message)), "{variable}={answer}: {said}");
    }
}

/// Without the Rancher Secrets stack the container starts, and the files are not there.
#[test]
fn a_secret_that_is_not_there_is_said() {
    let template = Template::new("outrider");
    let answers = template.answers(&[("OUTRIDER_VIP", "10.10.10.2"), ("AUTH_KEYS_SECRET", "vrrp-keys")]);
    let mut container = Container::new(&template, &answers, &[("vrrp-keys", KEY)]);
    assert!(container.check_config().status.success());
    for (name, value) in &mut container.environment {
        if name == "OUTRIDER_AUTH_KEYS_FILE" {
            *value = "/nowhere/run/secrets/auth-keys".to_owned();
        }
    }
    let output = container.check_config();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.starts_with("OUTRIDER_AUTH_KEYS_FILE: \"/nowhere/run/secrets/auth-keys\" cannot be read"),
        "{said}"
    );
}

#[tokio::test]
async fn the_compose_files_environment_starts_the_agent() -> Result<()> {
    let text = read(&tree("deploy/outrider.env"));
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let environment: Vec<_> = lines
        .map(|line| line.split_once('=').expect(line))
        .map(|(name, value)| match name {
            "OUTRIDER_VIP" => (name.to_owned(), VIP.to_string()),
            "OUTRIDER_PEERS" => (name.to_owned(), "10.10.10.11,10.10.10.12".to_owned()),
            _ => (name.to_owned(), value.to_owned()),
        })
        .collect();
    assert!(environment.len() >= 3, "{environment:?}");
    one_of_two_holds(&environment).await?;
    Ok(())
}
