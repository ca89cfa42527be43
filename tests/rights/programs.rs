//! The programs of exec checks, as the real agent starts them.

use crate::support::*;
use nix::sys::signal::Signal;
use outrider::lab::process::Process;
use outrider::lab::{Lab, VIP};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A folder that everybody may write to, nobody included.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    folder
}

async fn agent_with(lab: &Lab, setpriv: &[&str], script: &str) -> Process {
    let (vip, check) = (VIP.to_string(), format!("exec:/bin/sh -c \"{script}\""));
    let variables = [
        ("OUTRIDER_VIP", vip.as_str()),
        ("OUTRIDER_CHECK", &check),
        ("OUTRIDER_METADATA_URL", "http://user:hunter2@169.254.169.250/2016-07-29"),
        ("OUTRIDER_CHECK_TIMEOUT", "1h"),
        ("FOR_THE_CHECK", "yes"),
    ];
    lab.hosts()[0].start("the agent", agent(setpriv, &variables)).await.unwrap()
}

async fn written(path: &Path) -> String {
    let mut text = String::new();
    until("the program's file", || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        text.ends_with("done\n")
    })
    .await;
    text
}

#[tokio::test]
async fn a_program_decides_and_has_no_rights_of_the_agents() {
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    for (taken, nobody) in [("+all", is_real_root()), ("-setuid", false)] {
        let folder = folder();
        let path = |name| folder.path().join(name);
        let script = format!(
            "cd {} && cat /proc/self/status > new && cat /proc/self/stat >> new && env >> new && echo done >> new && \
             mv new told && test -e up || exit 1",
            folder.path().display()
        );
        let agent = agent_with(&lab, &["--bounding-set", taken], &script).await;
        let told = written(&path("told")).await;
        let thread = Thread::parse(&told, told.lines().find(|line| line.contains(" (cat) ")).unwrap());
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(thread.capabilities(set), 0, "{told}");
        }
        assert_eq!(thread.get("NoNewPrivs"), "1", "{told}");
        assert_eq!(thread.user(), if nobody { 65534 } else { 0 }, "{told}");
        assert_eq!(thread.policy(), (0, 0), "{told}");
        assert!(told.contains("\nFOR_THE_CHECK=yes\n") && told.contains("\nPATH="), "{told}");
        assert!(!told.contains("OUTRIDER_") && !told.contains("hunter2"), "{told}");

        agent.wait_for_line("/bin/sh ended with code 1", SOON).await.unwrap();
        assert!(lab.holders().await.unwrap().is_empty());
        std::fs::write(path("up"), "").unwrap();
        agent.wait_for_line("-> Active", SOON).await.unwrap();
        std::fs::remove_file(path("up")).unwrap();
        agent.wait_for_line("Active -> Fault", SOON).await.unwrap();
        agent.signal(Signal::SIGTERM).unwrap();
        assert_eq!(agent.wait(SOON).await.unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn no_program_outlives_the_agent() {
    let lab = Lab::new(1, PROGRAM).await.unwrap();
    let folder = folder();
    let script = format!("sleep 1000 & echo $$ $! done > {}/pids && sleep 1000", folder.path().display());
    let agent = agent_with(&lab, &[], &script).await;
    let pids = written(&folder.path().join("pids")).await;
    let pids: Vec<i32> = pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    assert_eq!(pids.len(), 2);
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(agent.wait(SOON).await.unwrap().code(), Some(0));
    let is_dead = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    until("the end of both", || pids.iter().all(is_dead)).await;
}
