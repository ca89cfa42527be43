//! `outrider status`.

use crate::site::{PROGRAM, SOON, Site};
use outrider::lab::VIP;
use outrider::lab::process::Process;
use outrider::status::document::Status;
use outrider::status::group::Group;
use std::time::Instant;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn a_table_a_document_and_codes_for_scripts() {
    let (mut site, holder) = Site::running(2, &[]).await;
    let (code, text, complaint) = site.command(holder, &["status"]).await;
    assert_eq!((code, complaint.as_str()), (0, ""), "{text}");
    for part in [
        "10.10.10.2: ",
        " is Active for ",
        "holder          this host",
        "check           http://127.0.0.1:80/: pass",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let (code, text, _) = site.command(1 - holder, &["status"]).await;
    assert!(code == 0 && text.contains(" is Backup for ") && text.contains("holder          lb"), "{text}");
    let (code, text, _) = site.command(holder, &["status", "--json"]).await;
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap().routers.len(), 1);
    let (code, text, _) = site.command(holder, &["status", "--group", "--json"]).await;
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<Group>(&text).unwrap().members.len(), 2);
    let begun = Instant::now();
    loop {
        // A busy machine's adverts may be late at first.
        let (code, text, _) = site.command(holder, &["status", "--group"]).await;
        if code == 0 && text.ends_with("all well\n") {
            break;
        }
        assert!(begun.elapsed() < SOON, "{code}: {text}");
    }
    assert_eq!(site.command(holder, &["status", "--healthz"]).await, (0, "ok\n".to_owned(), String::new()));
    assert_eq!(site.command(holder, &["status", "--healthz", "--json"]).await.0, 2);

    assert_eq!(site.command(holder, &["drain"]).await.0, 0);
    let (code, text, _) = site.command(holder, &["status"]).await;
    assert!(code == 3 && text.contains("not ready: drained"), "{text}");
    site.stop_agent(holder).await;
    let (code, text, complaint) = site.command(holder, &["status"]).await;
    assert_eq!((code, text.as_str()), (1, ""));
    assert!(complaint.contains("no agent listens"), "{complaint}");
}

/// On a host with systemd the settings are the unit's, not those of a person's shell.
#[tokio::test]
async fn the_only_agent_is_found_without_its_settings() {
    let (mut site, holder) = Site::running(1, &[]).await;
    let asked = async |site: &Site| {
        let mut command = tokio::process::Command::new(PROGRAM);
        command.arg("status").env_clear().stdin(std::process::Stdio::null());
        let output = site.namespace(holder).run(async move { command.output().await });
        let output = output.await.unwrap().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, text, complaint) = asked(&site).await;
    assert!(code == 0 && text.contains(" is Active for "), "{text}{complaint}");
    let other = [("OUTRIDER_VIP", "10.10.10.3"), ("OUTRIDER_STATUS_LISTEN", "off")];
    let second = site.lab.hosts()[holder].start_agent(&other).await.unwrap();
    second.wait_for_line("-> Backup", SOON).await.unwrap();
    let (code, _, complaint) = asked(&site).await;
    let both = "several agents listen here: set OUTRIDER_VIP to one of 10.10.10.2, 10.10.10.3";
    assert!(code == 1 && complaint.contains(both), "{complaint}");
    second.kill9().unwrap();
    second.wait(SOON).await.unwrap();
    site.stop_agent(holder).await;
    let (code, _, complaint) = asked(&site).await;
    assert!(code == 1 && complaint.contains("no agent listens here"), "{complaint}");
}

/// As one does that is killed before it has answered.
#[tokio::test]
async fn an_agent_that_ends_before_it_answers_is_named() {
    let files = tempfile::tempdir().unwrap();
    let socket = files.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let mut command = tokio::process::Command::new(PROGRAM);
    command.arg("status").env_clear().env("OUTRIDER_VIP", VIP.to_string()).env("OUTRIDER_SOCKET", &socket);
    let asking = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let (mut asked, _) = tokio::time::timeout(SOON, listener.accept()).await.unwrap().unwrap();
    // Closed with the rest of the question unread, the connection is reset.
    asked.read_exact(&mut [0]).await.unwrap();
    drop(asked);
    let output = asking.wait_with_output().await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let named = format!("the agent that listens on {} gave no answer: it may be ending", socket.display());
    assert!(output.status.code() == Some(1) && complaint.contains(&named), "{complaint}");
}

#[tokio::test]
async fn a_watch_follows_what_happens_also_to_the_agent() {
    let (mut site, holder) = Site::running(1, &[]).await;
    let mut command = tokio::process::Command::new(PROGRAM);
    command.args(["status", "--watch"]).env_clear().env("OUTRIDER_VIP", VIP.to_string());
    let watch = Process::start(site.namespace(holder), "the watch", command).await.unwrap();
    watch.wait_for_line(" is Active for ", SOON).await.unwrap();
    assert_eq!(site.command(holder, &["drain", "--force"]).await.0, 0);
    watch.wait_for_line("not ready: drained", SOON).await.unwrap();
    site.stop_agent(holder).await;
    watch.wait_for_line("no agent listens", SOON).await.unwrap();
    let agent = site.lab.hosts()[holder].start_agent(&[("OUTRIDER_VIP", &VIP.to_string())]).await.unwrap();
    let since = std::time::Instant::now();
    watch.wait_for_line_since(since, " is Active for ", SOON).await.unwrap();
    drop(agent);
}
