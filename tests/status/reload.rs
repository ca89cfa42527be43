//! SIGHUP.

use crate::site::{PROGRAM, SOON};
use nix::sys::signal::Signal;
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

struct Running {
    lab: Lab,
    agent: Process,
    files: TempDir,
    _balancer: Process,
}

/// An agent with this file, which holds the address.
async fn running(toml: &str) -> Running {
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    let host = &lab.hosts()[0];
    let files = tempfile::tempdir().unwrap();
    // The agent reads it again as another user.
    open_to_all(files.path(), 0o755);
    let file = files.path().join("outrider.toml");
    std::fs::write(&file, with_address(toml)).unwrap();
    let balancer = host.start_balancer().await.unwrap();
    let agent = host.start_agent(&[("OUTRIDER_CONFIG", file.to_str().unwrap())]).await.unwrap();
    agent.wait_for_line("-> Active", SOON).await.unwrap();
    // The kernel's news of it reach this process on their own way, perhaps after the agent's line.
    let mut changes = lab.watcher().subscribe();
    let came = changes.wait_for(|changes| changes.iter().any(|change| change.address == VIP));
    tokio::time::timeout(SOON, came).await.expect("the address comes").unwrap();
    Running { lab, agent, files, _balancer: balancer }
}

fn with_address(toml: &str) -> String {
    format!("vip = \"{VIP}\"\n{toml}")
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

impl Running {
    async fn reload(&self, toml: &str, says: &str) {
        let since = Instant::now();
        std::fs::write(self.files.path().join("outrider.toml"), with_address(toml)).unwrap();
        self.agent.signal(Signal::SIGHUP).unwrap();
        self.agent.wait_for_line_since(since, says, SOON).await.unwrap();
    }

    /// It has held the address all the time.
    fn assert_undisturbed(&self) {
        let held =
            self.lab.watcher().subscribe().borrow().iter().filter(|change| change.address == VIP).count();
        assert_eq!(held, 1, "the address came once and stayed");
        assert_eq!(self.agent.lines().iter().filter(|line| line.text.contains(" -> ")).count(), 2);
    }

    async fn status(&self) -> outrider::status::document::Status {
        let url = format!("http://{}:9112/status", self.lab.hosts()[0].address());
        let asked = async move {
            Ok::<_, anyhow::Error>(outrider::plain::client()?.build()?.get(url).send().await?.text().await?)
        };
        let body = self.lab.hosts()[0].namespace().run(asked).await.unwrap().unwrap();
        serde_json::from_str(&body).unwrap()
    }
}

#[tokio::test]
async fn what_changed_is_applied_without_giving_the_address_up() {
    let running = running("priority = 100\n").await;
    running
        .reload(
            "priority = 150\ncheck_interval = \"500ms\"\nlog = \"debug\"\n",
            "OUTRIDER_CHECK_INTERVAL, OUTRIDER_LOG, OUTRIDER_PRIORITY changed",
        )
        .await;
    let status = running.status().await;
    assert_eq!(status.routers[0].priority, 150);
    let setting =
        |name: &str| status.settings.iter().find(|setting| setting.name == name).unwrap().value.clone();
    assert_eq!(
        (setting("OUTRIDER_PRIORITY"), setting("OUTRIDER_CHECK_INTERVAL")),
        ("150".to_owned(), "500ms".to_owned())
    );
    // Its load balancer is looked at by the new settings.
    running.agent.wait_for_line("DEBUG", SOON).await.unwrap();
    running
        .reload(
            "priority = 150\ncheck_interval = \"500ms\"\nlog = \"debug\"\n",
            "nothing changed that can be applied",
        )
        .await;
    running.assert_undisturbed();
}

#[tokio::test]
async fn a_check_that_fails_by_the_new_settings_counts() {
    let running = running("").await;
    running.reload("check = \"tcp://127.0.0.1:81\"\n", "-> Fault: tcp://127.0.0.1:81: ").await;
    running.reload("check = \"tcp://127.0.0.1:80\"\n", "-> Active").await;
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing() {
    let running = running("priority = 100\n").await;
    running.reload("priority = 150\npreempt = \"perhaps\"\n", "so nothing was changed").await;
    running.agent.wait_for_line("preempt: \"perhaps\" is neither true nor false", SOON).await.unwrap();
    assert_eq!(running.status().await.routers[0].priority, 100);
    running.reload("priority = \n", "so nothing was changed").await;
    std::fs::remove_file(running.files.path().join("outrider.toml")).unwrap();
    let since = Instant::now();
    running.agent.signal(Signal::SIGHUP).unwrap();
    running.agent.wait_for_line_since(since, "so nothing was changed", SOON).await.unwrap();
    running.reload("priority = 101\n", "OUTRIDER_PRIORITY changed").await;
    running.assert_undisturbed();
}

#[tokio::test]
async fn what_needs_a_restart_is_said_and_the_rest_is_applied() {
    let running = running("priority = 100\n").await;
    running
        .reload("priority = 120\nvrid = 77\nadvert_interval = \"1s\"\n", "OUTRIDER_PRIORITY changed")
        .await;
    let said = "restart to use the new OUTRIDER_ADVERT_INTERVAL, OUTRIDER_VRID";
    running.agent.wait_for_line(said, SOON).await.unwrap();
    let status = running.status().await;
    let router = &status.routers[0];
    assert_eq!((router.priority, router.vrid, router.interval), (120, 2, 0.2));
    let vrid = status.settings.iter().find(|setting| setting.name == "OUTRIDER_VRID").unwrap();
    assert_eq!(vrid.value, "2", "what is shown is what is in force");
    let since = Instant::now();
    let two = "[[router]]\nvip = \"10.10.10.2\"\n[[router]]\nvip = \"10.10.10.3\"\n";
    std::fs::write(running.files.path().join("outrider.toml"), two).unwrap();
    running.agent.signal(Signal::SIGHUP).unwrap();
    running.agent.wait_for_line_since(since, "restart to use them; nothing was changed", SOON).await.unwrap();
    running.assert_undisturbed();
}

#[tokio::test]
async fn secret_files_are_read_again() {
    let secrets = tempfile::tempdir().unwrap();
    open_to_all(secrets.path(), 0o755);
    let file = secrets.path().join("token");
    std::fs::write(&file, "the-first-token-of-two\n").unwrap();
    let toml = format!("status_token_file = \"{}\"\n", file.display());
    let running = running(&toml).await;
    let asked = async |token: &'static str| {
        let url = format!("http://{}:9112/status", running.lab.hosts()[0].address());
        let asked = async move {
            let request = outrider::plain::client()?.build()?.get(url).bearer_auth(token);
            anyhow::Ok(request.send().await?.status().as_u16())
        };
        running.lab.hosts()[0].namespace().run(asked).await.unwrap().unwrap()
    };
    assert_eq!(asked("the-first-token-of-two").await, 200);
    std::fs::write(&file, "the-second-token-of-two\n").unwrap();
    running.reload(&toml, "the settings were read again: ").await;
    assert_eq!((asked("the-second-token-of-two").await, asked("the-first-token-of-two").await), (200, 401));
    running.assert_undisturbed();
}
