//! The command, as keepalived's notify scripts know it.

use crate::support::*;
use outrider::config::{Notify, WebhookFormat};
use outrider::core::event::State;
use outrider::lab::tool;
use outrider::notify::{Change, Notifier, Pace};
use std::path::PathBuf;
use std::time::Instant;
use tempfile::TempDir;

/// A script in a folder, which finds the folder's files in its working directory.
pub struct Script {
    pub folder: TempDir,
}

impl Script {
    pub fn new(text: &str) -> Script {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("notify.sh");
        let text = format!("#!/bin/sh\ncd {}\n{text}\n", folder.path().display());
        tool::script(&script, &text).unwrap();
        Script { folder }
    }

    pub fn start(&self, arguments: &[&str], pace: &Pace) -> Notifier {
        start(self.settings(arguments), pace)
    }

    fn settings(&self, arguments: &[&str]) -> Notify {
        let program = path(self.folder.path(), "notify.sh");
        let argv = [program.as_str()].iter().chain(arguments).map(|&word| word.to_owned()).collect();
        Notify { command: Some(argv), ..Notify::default() }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    pub async fn until_lines(&self, name: &str, number: usize) -> Vec<String> {
        wait_for("lines of the script", || self.read(name).lines().count() >= number).await;
        self.read(name).lines().map(str::to_owned).collect()
    }
}

/// keepalived.conf(5): "notify" is executed with 4 additional arguments after the configured arguments.
#[tokio::test]
async fn the_arguments_are_those_of_keepalived() {
    let script = Script::new("for word; do all=\"$all[$word]\"; done; echo \"$all\" >> told");
    let log = Log::start();
    let notifier = script.start(&["own", "two words"], &pace());
    let named = |change| Change { router: "VI_1".to_owned(), ..change };
    notifier.tell(named(change(0, State::Initialize, State::Backup, "the members are known")));
    notifier.tell(named(change(1, State::Backup, State::Active, "nobody was heard")));
    notifier.tell(Change { priority: 100, ..change(2, State::Active, State::Fault, "link down") });
    // Has no word that scripts would know.
    notifier.tell(named(change(3, State::Active, State::Initialize, "stopping")));
    assert_eq!(
        script.until_lines("told", 3).await,
        [
            "[own][two words][INSTANCE][VI_1][BACKUP][238]",
            "[own][two words][INSTANCE][VI_1][MASTER][238]",
            "[own][two words][INSTANCE][10.10.10.2][FAULT][100]",
        ]
    );
    let last = Change { priority: 100, ..change(4, State::Fault, State::Fault, "") };
    let ended = named(change(4, State::Initialize, State::Initialize, ""));
    notifier.finish(ms(5000), vec![last, ended]).await;
    assert_eq!(
        script.read("told").lines().skip(3).collect::<Vec<_>>(),
        ["[own][two words][INSTANCE][10.10.10.2][STOP][100]", "[own][two words][INSTANCE][VI_1][STOP][238]",]
    );
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn the_environment_says_the_same_and_more() {
    let script = Script::new("env > all.tmp; mv all.tmp all");
    let notifier = script.start(&[], &pace());
    notifier.tell(change(0, State::Backup, State::Active, "nobody was heard\nfor 750ms"));
    wait_for("the script", || script.file("all").exists()).await;
    let text = script.read("all");
    let lines: Vec<&str> = text.lines().collect();
    for line in [
        "VRRP_TYPE=INSTANCE",
        "VRRP_NAME=10.10.10.2",
        "VRRP_STATE=MASTER",
        "VRRP_PRIORITY=238",
        "VRRP_HOST=lb1",
        "VRRP_ADDRESSES=10.10.10.2 10.10.10.3",
        "VRRP_ID=2",
        "VRRP_INTERFACE=eth0",
        "VRRP_REASON=nobody was heard for 750ms",
    ] {
        assert!(lines.contains(&line), "{line} is missing in {text}");
    }
    assert!(lines.iter().any(|line| line.starts_with("PATH=")), "{text}");
    drop(notifier);
}

#[tokio::test]
async fn it_has_no_right_of_ours() {
    let script = Script::new(
        "cat /proc/self/status > status.tmp; ps -o pgid= -p $$ >> status.tmp; mv status.tmp status",
    );
    let notifier = script.start(&[], &pace());
    notifier.tell(active(0));
    wait_for("the script", || script.file("status").exists()).await;
    let status = script.read("status");
    for line in ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.lines().any(|own| own == line), "{line} is missing in {status}");
    }
    let group: i32 = status.lines().last().unwrap().trim().parse().unwrap();
    assert_ne!(group, nix::unistd::getpgrp().as_raw(), "a process group of its own");
    drop(notifier);
}

/// One at a time: what a slow one does last is not done before what a later one does.
#[tokio::test]
async fn runs_do_not_overlap() {
    let script = Script::new("echo begin $3 >> told; sleep 0.2; echo end $3 >> told");
    let notifier = script.start(&[], &pace());
    notifier.tell(change(0, State::Initialize, State::Backup, ""));
    notifier.tell(change(1, State::Backup, State::Active, ""));
    assert_eq!(
        script.until_lines("told", 4).await,
        ["begin BACKUP", "end BACKUP", "begin MASTER", "end MASTER"]
    );
    drop(notifier);
}

fn alive(pid: &str) -> bool {
    // A zombie has no command line.
    std::fs::read(format!("/proc/{}/cmdline", pid.trim())).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn one_that_hangs_is_killed_with_its_children_and_the_next_one_runs() {
    let script = Script::new(
        "echo $3 >> told\nif [ $3 = BACKUP ]; then sleep 1000 & echo $! > child; echo stuck; wait; fi",
    );
    let log = Log::start();
    let notifier = script.start(&[], &Pace { command: ms(500), ..pace() });
    notifier.tell(change(0, State::Initialize, State::Backup, ""));
    notifier.tell(change(1, State::Backup, State::Active, ""));
    assert_eq!(script.until_lines("told", 2).await, ["BACKUP", "MASTER"]);
    let child = script.read("child");
    wait_for("the child's death", || !alive(&child)).await;
    log.until("works again").await;
    let lines = log.lines();
    assert!(lines[0].ends_with("did not end within 500ms and was killed: stuck"), "{lines:?}");
    drop(notifier);
}

/// keepalived lets them, and scripts count on it.
#[tokio::test]
async fn what_it_starts_in_the_background_goes_on() {
    let script = Script::new("(sleep 0.5; echo noise; echo late >> told) & echo soon >> told");
    let notifier = script.start(&[], &pace());
    notifier.tell(active(0));
    script.until_lines("told", 1).await;
    assert_eq!(script.until_lines("told", 2).await, ["soon", "late"]);
    drop(notifier);
}

/// As in a container without another init: what is left behind becomes a child of the agent.
#[tokio::test]
async fn as_process_1_it_collects_what_goes_on() {
    if std::process::id() != 1 {
        let output = std::process::Command::new("unshare")
            .args(["--pid", "--fork", "--mount-proc"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "command::as_process_1_it_collects_what_goes_on", "--nocapture"])
            .output()
            .expect("this test needs unshare: apt-get install util-linux");
        let told = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}{complaint}");
        return;
    }
    let script = Script::new("sh -c 'echo $$ > own; sleep 0.3; echo late >> told' & echo soon >> told");
    let notifier = script.start(&[], &pace());
    notifier.tell(active(0));
    assert_eq!(script.until_lines("told", 2).await, ["soon", "late"]);
    let left = PathBuf::from("/proc").join(script.read("own").trim());
    wait_for("the collection of what was left", || !left.exists()).await;
    drop(notifier);
}

#[tokio::test]
async fn one_that_fails_is_told_once_and_not_run_again() {
    let script = Script::new("echo run >> told; test -e well || { echo out of luck >&2; exit 3; }");
    let log = Log::start();
    let notifier = script.start(&[], &pace());
    notifier.tell(active(0));
    notifier.tell(active(1));
    script.until_lines("told", 2).await;
    std::fs::write(script.file("well"), "").unwrap();
    notifier.tell(active(2));
    log.until("works again").await;
    assert_eq!(script.read("told").lines().count(), 3);
    let lines = log.lines();
    let program = path(script.folder.path(), "notify.sh");
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        lines[0],
        format!("WARN command {program}: 1 change was not told: {program} ended with code 3: out of luck")
    );
    assert!(lines[1].ends_with("; 2 changes were not told"), "{lines:?}");
    drop(notifier);

    let missing = Notify { command: Some(vec!["/no/such/program".to_owned()]), ..Notify::default() };
    let notifier = start(missing, &pace());
    notifier.tell(active(0));
    log.until("there is no program /no/such/program").await;
    drop(notifier);
}

#[tokio::test]
async fn the_end_does_not_wait_for_one_that_hangs() {
    let script = Script::new("echo $$ > own; sleep 1000");
    let notifier = script.start(&[], &pace());
    notifier.tell(active(0));
    wait_for("the script", || !script.read("own").is_empty()).await;
    let begun = Instant::now();
    notifier.finish(ms(300), vec![active(1)]).await;
    assert!(begun.elapsed() < ms(2000), "{:?}", begun.elapsed());
    let own = script.read("own");
    wait_for("the script's death", || !alive(&own)).await;
}

/// Settings that are read again.
#[tokio::test]
async fn other_settings_tell_by_another_program_and_disturb_none_that_stays() {
    let hangs = Script::new("echo $3 >> told; [ $3 = MASTER ] || { echo $$ > own; exec sleep 1000; }");
    let other = Script::new("echo $3 >> told");
    let mut notifier = hangs.start(&[], &pace());
    notifier.tell(active(0));
    notifier.tell(change(1, State::Active, State::Fault, "link down"));
    wait_for("the second run", || !hangs.read("own").is_empty()).await;
    let hook = webhook("http://127.0.0.1:9/".to_owned(), WebhookFormat::Json, None);
    let same = Notify { webhook: hook.webhook, ..hangs.settings(&[]) };
    notifier.apply(&same, &pace(), &describe());
    assert!(alive(&hangs.read("own")), "the program goes on");
    notifier.apply(&other.settings(&[]), &pace(), &describe());
    notifier.tell(active(2));
    // What was not told to its end is told once more.
    assert_eq!(other.until_lines("told", 2).await, ["FAULT", "MASTER"]);
    notifier.finish(ms(5000), vec![active(3)]).await;
    assert_eq!(other.read("told"), "FAULT\nMASTER\nSTOP\n");
    assert_eq!(hangs.read("told"), "MASTER\nFAULT\n");
    wait_for("its death", || !alive(&hangs.read("own"))).await;
}

/// Nobody is told anything where nobody is to be told.
#[tokio::test]
async fn no_way_is_no_trouble() {
    let notifier = start(Notify::default(), &pace());
    notifier.tell(active(0));
    notifier.finish(ms(100), vec![active(1)]).await;
}
