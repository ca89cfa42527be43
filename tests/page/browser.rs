//! A headless Chromium in a namespace, driven by WebDriver: the few commands of the protocol (W3C) that are needed
//! here. The crates for it bring MPL-2.0 with them, or turn on features of serde_json for the agent under test.

use outrider::lab::namespace::Namespace;
use outrider::lab::process::Process;
use outrider::lab::tool;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// Longer than anything here takes, on however busy a machine.
pub const SOON: Duration = Duration::from_secs(45);
/// Each browser is in a namespace of its own, so that one port will do.
const PORT: &str = "9515";
/// What WebDriver calls an element in its answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub struct Browser<'a> {
    namespace: &'a Namespace,
    http: reqwest::Client,
    session: String,
    driver: Process,
    _home: TempDir,
}

impl<'a> Browser<'a> {
    /// Starts one, with an empty page.
    pub async fn start(namespace: &'a Namespace) -> Browser<'a> {
        let (chromium, chromedriver) = (
            tool::find("chromium", "chromium").unwrap(),
            tool::find("chromedriver", "chromium-driver").unwrap(),
        );
        let home = TempDir::new().unwrap();
        // In a process namespace of their own the browsers end with the driver, however that ends: they would go on for
        // ever, busily.
        let mut command = Command::new(tool::find("unshare", "util-linux").unwrap());
        command.args(["--pid", "--fork", "--kill-child=KILL", "--mount-proc"]);
        command.arg(chromedriver).arg(format!("--port={PORT}")).env("HOME", home.path());
        let driver = Process::start(namespace, "chromedriver", command).await.unwrap();
        driver.wait_for_line("started successfully", SOON).await.unwrap();

        let profile = home.path().join("profile");
        let arguments = [
            "--headless",
            "--no-sandbox", // as root it does without in any case
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let http = http();
        let url = format!("http://{}:{PORT}/session", Ipv4Addr::LOCALHOST);
        let mut browser = Browser { namespace, http, session: url, driver, _home: home };
        let session = browser.command("", wanted).await;
        let id = session["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{}/{id}", browser.session);
        // Its own page of new tabs, chrome://..., asks nobody, but for a hundred things.
        browser.open("about:blank").await;
        browser
    }

    /// Loads a page.
    pub async fn open(&self, url: &str) {
        self.command("/url", json!({"url": url})).await;
    }

    /// What a script returns.
    pub async fn eval(&self, script: &str) -> Value {
        self.command("/execute/sync", json!({"script": script, "args": []})).await
    }

    /// Waits until an expression is true in the page.
    pub async fn wait(&self, expression: &str) {
        let begun = Instant::now();
        while self.eval(&format!("return Boolean({expression})")).await != true {
            if begun.elapsed() > SOON {
                panic!("in vain: {expression}\n{}", self.text("body").await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until this text is shown within the first element of this kind.
    pub async fn wait_for_text(&self, css: &str, text: &str) {
        self.wait(&format!("document.querySelector({})?.innerText.includes({})", json!(css), json!(text)))
            .await;
    }

    /// The text that is shown of the first element of this kind.
    pub async fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(css));
        self.eval(&script).await.as_str().expect("text").to_owned()
    }

    /// The rows of a table's body.
    pub async fn rows(&self, css: &str) -> Vec<String> {
        let script = format!(
            "return [...document.querySelectorAll({})].map(row => \
             [...row.cells].map(cell => cell.textContent).join(' '))",
            json!(format!("{css} tbody tr"))
        );
        serde_json::from_value(self.eval(&script).await).expect("rows")
    }

    /// Clicks as a person does: what is hidden or covered cannot be.
    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.command(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Types as a person does.
    pub async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.command(&format!("/element/{element}/value"), json!({"text": text})).await;
    }

    async fn find(&self, css: &str) -> String {
        let found = self.command("/element", json!({"using": "css selector", "value": css})).await;
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// A command of Chromium's own protocol.
    pub async fn emulate(&self, command: &str, parameters: Value) {
        self.command("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await;
    }

    /// What the console has said since this was asked last, but for this.
    pub async fn complaints(&self, expected: &str) -> Vec<String> {
        let entries = self.command("/se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().expect("entries").iter();
        let messages = entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned());
        let ours = messages.filter(|message| !message.starts_with("chrome://"));
        ours.filter(|message| expected.is_empty() || !message.contains(expected)).collect()
    }

    /// Every address that was asked for since this was asked last, but for the browser's own `chrome://` and
    /// `chrome-untrusted://`.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.command("/se/log", json!({"type": "performance"})).await;
        let entries = entries.as_array().expect("entries").iter().filter_map(|entry| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let url = match event["method"].as_str()? {
                "Network.requestWillBeSent" => &event["params"]["request"]["url"],
                "Network.webSocketCreated" => &event["params"]["url"],
                _ => return None,
            };
            url.as_str().filter(|url| !url.starts_with("chrome")).map(str::to_owned)
        });
        entries.collect()
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.session)).json(&body);
        let answer =
            self.namespace.run(async move { request.send().await?.json::<Value>().await }).await.unwrap();
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:?}\n{}", self.driver.tail(20)));
        let value = &answer["value"];
        assert!(value.get("error").is_none(), "{path} {body}: {value}\n{}", self.driver.tail(20));
        value.clone()
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        // Chromium ends with its driver only if that is asked to end.
        let _ = self.driver.signal(nix::sys::signal::Signal::SIGTERM);
    }
}

fn http() -> reqwest::Client {
    // Without these words reqwest would look for the system's certificates.
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder().no_proxy().timeout(SOON).tls_backend_preconfigured(tls);
    client.build().unwrap()
}
