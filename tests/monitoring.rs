//! The alert rules and the dashboard in deploy/: checked by promtool, and asked of a real Prometheus that scrapes real
//! agents. Needs root, or a user namespace (tests/run), and the Debian package prometheus.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(45);

fn deploy(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn tool(name: &str) -> PathBuf {
    outrider::lab::tool::find(name, "prometheus").unwrap()
}

fn promtool(arguments: &[&str]) -> String {
    let output = std::process::Command::new(tool("promtool")).args(arguments).output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "promtool {}: {said}", arguments.join(" "));
    said
}

#[test]
fn the_rules_are_valid_and_fire_when_they_should() {
    assert!(
        promtool(&["check", "rules", deploy("prometheus/outrider.rules.yml").to_str().unwrap()])
            .contains("10 rules")
    );
    promtool(&["test", "rules", deploy("prometheus/outrider.test.yml").to_str().unwrap()]);
}

/// Every expression of the dashboard, as Grafana would ask it.
fn expressions() -> Vec<(String, String)> {
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(deploy("grafana/outrider.json")).unwrap()).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let asked = expression.replace("$router", ".*").replace("$__rate_interval", "1m");
            found.push((panel["title"].as_str().unwrap().to_owned(), asked));
        }
    }
    found
}

struct Prometheus<'a> {
    lab: &'a Lab,
    _process: Process,
    _files: tempfile::TempDir,
}

impl<'a> Prometheus<'a> {
    /// Scrapes the hosts every second.
    async fn start(lab: &'a Lab) -> Prometheus<'a> {
        let files = tempfile::tempdir().unwrap();
        let targets: Vec<String> =
            lab.hosts().iter().map(|host| format!("'{}:9112'", host.address())).collect();
        let settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs: [{{job_name: outrider, static_configs: [{{targets: [{}]}}]}}]\n",
            deploy("prometheus/outrider.rules.yml").display(),
            targets.join(", ")
        );
        let file = files.path().join("prometheus.yml");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(tool("prometheus"));
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", files.path().join("data").display()));
        command.arg("--web.listen-address=127.0.0.1:9090").env("GOMAXPROCS", "1");
        let process = Process::start(lab.client_namespace(), "prometheus", command).await.unwrap();
        process.wait_for_line("Server is ready to receive web requests", SOON).await.unwrap();
        Prometheus { lab, _process: process, _files: files }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url =
            reqwest::Url::parse_with_params(&format!("http://127.0.0.1:9090/api/v1/{path}"), query).unwrap();
        let asked = async move {
            let answer = outrider::plain::client()?.build()?.get(url).send().await?.text().await?;
            anyhow::Ok(serde_json::from_str::<Value>(&answer)?)
        };
        let answer = self.lab.client_namespace().run(asked).await.unwrap().unwrap();
        assert_eq!(answer["status"], "success", "{path} {query:?}: {answer}");
        answer["data"].clone()
    }

    async fn ask(&self, expression: &str) -> Vec<Value> {
        self.get("query", &[("query", expression)]).await["result"].as_array().unwrap().clone()
    }

    /// Waits until an expression has as many results as that.
    async fn wait(&self, expression: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let results = self.ask(expression).await;
            if wanted(&results) {
                return results;
            }
            assert!(begun.elapsed() < SOON, "in vain: {expression}: {results:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

#[tokio::test]
async fn a_real_prometheus_understands_what_agents_say_and_what_is_asked_of_it() {
    let lab = Lab::new(2, env!("CARGO_BIN_EXE_outrider")).await.unwrap();
    let vip = VIP.to_string();
    let mut running = Vec::new();
    let mut balancers = Vec::new();
    for host in lab.hosts() {
        balancers.push(Some(host.start_balancer().await.unwrap()));
        running.push(host.start_agent(&[("OUTRIDER_VIP", vip.as_str())]).await.unwrap());
    }
    let holder = lab.wait_for_holder(SOON).await.unwrap();
    let prometheus = Prometheus::start(&lab).await;
    let one = |results: &[Value]| results.len() == 1 && results[0]["value"][1] == "1";
    prometheus.wait(r#"sum by (router) (outrider_state{state="Active"})"#, one).await;
    let two = |results: &[Value]| results.len() == 2;
    prometheus.wait("up == 1", two).await;

    // Its name, and no other, is in whatever an agent says.
    let names = prometheus.get("label/__name__/values", &[]).await;
    let names: BTreeSet<&str> = names.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let foreign = |name: &&&str| {
        !name.starts_with("outrider_") && !name.starts_with("scrape_") && !name.starts_with("ALERTS")
    };
    assert_eq!(names.iter().filter(foreign).copied().collect::<Vec<_>>(), ["up"]);
    let types = prometheus.get("metadata", &[]).await;
    assert_eq!(types["outrider_adverts_sent"][0]["type"], "counter");
    assert_eq!(types["outrider_takeover_duration_seconds"][0]["type"], "histogram");

    // Every name in the dashboard and in the rules is one that agents say.
    let rules = std::fs::read_to_string(deploy("prometheus/outrider.rules.yml")).unwrap();
    let texts = expressions().into_iter().map(|(_, expression)| expression).chain([rules]);
    for text in texts {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        for word in words.filter(|word| word.starts_with("outrider_")) {
            // No mistake has been made here.
            assert!(names.contains(word) || word == "outrider_mistakes_total", "{word}: no agent says that");
        }
    }
    for (title, expression) in expressions() {
        let may_be_empty = ["What is wrong", "Take-overs: from the last advert until the address was there"];
        let empty = may_be_empty.contains(&title.as_str());
        // A rate wants two samples.
        prometheus.wait(&expression, |results| empty || !results.is_empty()).await;
    }

    // And an alert becomes one: nobody can serve.
    for balancer in &mut balancers {
        balancer.take().unwrap().kill9().unwrap();
    }
    let alerts =
        prometheus.wait(r#"ALERTS{alertname="OutriderNoHolder"}"#, |results| !results.is_empty()).await;
    assert_eq!(alerts[0]["metric"]["router"], vip.as_str());
    assert_eq!(running.len(), 2);
    assert!(holder < 2);
}
