//! `outrider status`.

use crate::site::{PROGRAM, SOON, Site};
use outrider::lab::VIP;
use outrider::lab::process::Process;
use outrider::status::document::Status;
use outrider::status::group::Group;

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
    let (code, text, _) = site.command(holder, &["status", "--group"]).await;
    assert!(code == 0 && text.ends_with("all well\n"), "{text}");
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
