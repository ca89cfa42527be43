//! Exec checks: real programs, and what the kernel says of them.

use crate::support::*;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrider::config::{CheckSettings, Target};
use outrider::core::Outcome;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn exec(argv: &[&str]) -> Target {
    Target::Exec { argv: argv.iter().map(|argument| (*argument).to_owned()).collect() }
}

fn shell(script: &str) -> Target {
    exec(&["/bin/sh", "-c", script])
}

fn short() -> CheckSettings {
    CheckSettings { timeout: ms(300), ..settings(NEVER) }
}

/// What a program wrote to a file, once it is all there.
async fn written(path: &Path) -> String {
    let mut text = String::new();
    wait_for("the program's file", || {
        text = std::fs::read_to_string(path).unwrap_or_default();
        text.ends_with('\n')
    })
    .await;
    text
}

/// The process is gone, or dead and not collected yet by its new parent.
fn is_dead(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with(['Z', 'X']))
}

/// It runs, or nobody has collected it yet.
fn exists(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn shell(&self, script: &str) -> Target {
        shell(&format!("cd {}; {script}", self.0.path().display()))
    }

    async fn pids(&self) -> Vec<i32> {
        written(&self.file("pids")).await.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }
}

#[tokio::test]
async fn code_0_passes_whatever_is_said() {
    assert_eq!(outcome(exec(&["/bin/true"])).await, Outcome::Pass);
    assert_eq!(outcome(shell("echo fine; echo really >&2")).await, Outcome::Pass);
    // Far more than a pipe holds: it is read, or the program would never end.
    assert_eq!(
        outcome(shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2")).await,
        Outcome::Pass
    );
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let target =
        exec(&["/bin/sh", "-c", "test \"$#:$1:$2\" = '2:a  \"b:$HOME *'", "sh", "a  \"b", "$HOME *"]);
    assert_eq!(outcome(target).await, Outcome::Pass);
}

#[tokio::test]
async fn a_failure_tells_the_first_line() {
    for (script, expected) in [
        ("exit 3", "/bin/sh ended with code 3".to_owned()),
        (
            "echo; echo '  no backend  '; echo more; exit 1",
            "/bin/sh ended with code 1: no backend".to_owned(),
        ),
        ("echo busy; sleep 0.05; echo down >&2; exit 255", "/bin/sh ended with code 255: down".to_owned()),
        ("printf 'a\\033[31mb\\377'; exit 1", "/bin/sh ended with code 1: a [31mb\u{fffd}".to_owned()),
        ("printf '%0999d' 0; exit 1", format!("/bin/sh ended with code 1: {}…", "0".repeat(200))),
        ("kill -KILL $$", "/bin/sh was ended by SIGKILL".to_owned()),
        ("echo ouch >&2; kill -SEGV $$", "/bin/sh was ended by SIGSEGV: ouch".to_owned()),
    ] {
        assert_eq!(outcome(shell(script)).await, fail(expected), "{script}");
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_told() {
    let folder = Folder::new();
    let missing = fail("there is no program /no/such, or not the interpreter its first line names".into());
    assert_eq!(outcome(exec(&["/no/such", "x"])).await, missing);
    let file = folder.file("check");
    std::fs::write(&file, "#!/bin/true\n").unwrap();
    let why = format!("cannot run {}: Permission denied (os error 13)", file.display());
    assert_eq!(outcome(exec(&[file.to_str().unwrap()])).await, fail(why));
}

#[tokio::test]
async fn the_time_out_kills_the_whole_group() {
    let folder = Folder::new();
    let target = folder.shell("trap '' TERM; (sleep 1000) & echo first; echo $$ $! > pids; sleep 1000");
    let report = look(short(), target).await;
    let why = "/bin/sh did not end within 300ms and was killed: first";
    assert_eq!(report.outcome, fail(why.into()));
    assert!(report.took >= ms(300), "{:?}", report.took);
    let pids = folder.pids().await;
    assert_eq!(pids.len(), 2);
    wait_for("the end of all of them", || pids.iter().all(|pid| is_dead(*pid))).await;
    assert!(!exists(pids[0]), "the program itself is collected");
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_killed() {
    let folder = Folder::new();
    // It holds the pipes, too: nobody waits for their end.
    let report = look(settings(NEVER), folder.shell("sleep 1000 & echo $! > pids; exit 4")).await;
    assert_eq!(report.outcome, fail("/bin/sh ended with code 4".into()));
    let pids = folder.pids().await;
    wait_for("the end of what was left", || is_dead(pids[0])).await;
}

#[tokio::test]
async fn who_leaves_the_group_is_not_waited_for() {
    let folder = Folder::new();
    let report = look(settings(NEVER), folder.shell("setsid sleep 1000 & echo $! > pids; sleep 0.1")).await;
    assert_eq!(report.outcome, Outcome::Pass);
    let pids = folder.pids().await;
    assert!(!is_dead(pids[0]));
    kill(Pid::from_raw(pids[0]), Signal::SIGKILL).unwrap();
}

/// The tests run as root, with every capability.
#[tokio::test]
async fn a_program_has_no_capability_and_gets_none() {
    let folder = Folder::new();
    let target = folder.shell("cat /proc/self/status /proc/self/stat > status; pwd >> status; ! read line");
    assert_eq!(outcome(target).await, Outcome::Pass, "and its standard input is empty");
    let status = written(&folder.file("status")).await;
    for line in ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|set| format!("{set}:\t0000000000000000\n")) {
        assert!(status.contains(&line), "{line} is missing in {status}");
    }
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    let own = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(own.contains("NoNewPrivs:\t0\n"), "the thread of the checks stays as it was: {own}");
}

#[tokio::test]
async fn programs_run_in_the_root_directory_in_a_group_of_their_own() {
    assert_eq!(outcome(shell("test \"$(pwd)\" = /")).await, Outcome::Pass);
    let folder = Folder::new();
    assert_eq!(outcome(folder.shell("cat /proc/$$/stat > stat")).await, Outcome::Pass);
    let stat = written(&folder.file("stat")).await;
    let fields: Vec<&str> = stat.split_whitespace().collect();
    assert_eq!(fields[0], fields[4], "process and group: {stat}");
    assert_ne!(fields[5], fields[0], "but the session is ours: {stat}");
}

#[tokio::test]
async fn there_are_never_two_at_once() {
    let folder = Folder::new();
    let target = folder.shell("mkdir one && sleep 0.05 && rmdir one");
    let mut run = Run::start(settings(ms(10)), vec![target]);
    for _ in 0..5 {
        run.checker.check_now();
        assert_eq!(run.next().await.outcome, Outcome::Pass);
    }
}

#[tokio::test]
async fn a_target_that_goes_takes_its_program_along() {
    let folder = Folder::new();
    let run = Run::start(settings(NEVER), vec![folder.shell("sleep 1000 & echo $$ $! > pids; sleep 1000")]);
    let pids = folder.pids().await;
    run.checker.set_targets(Vec::new());
    wait_for("the end of both", || pids.iter().all(|pid| is_dead(*pid))).await;
    wait_for("its collection", || !exists(pids[0])).await;
}

#[tokio::test]
async fn the_end_of_the_checks_needs_no_runtime() {
    let folder = Folder::new();
    let run = Run::start(settings(NEVER), vec![folder.shell("echo $$ > pids; sleep 1000")]);
    let pids = folder.pids().await;
    drop(run);
    let begun = Instant::now();
    while !is_dead(pids[0]) {
        assert!(begun.elapsed() < LIMIT);
        std::thread::sleep(ms(1)); // No await: nothing else runs here.
    }
}

/// As process 1 we inherit what programs leave behind. The test runs itself again as such.
#[tokio::test]
async fn process_1_collects_the_dead_and_takes_no_one_elses() {
    if std::process::id() != 1 {
        let output = std::process::Command::new("unshare")
            .args(["-Urpf", "--mount-proc"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "exec::process_1_collects_the_dead_and_takes_no_one_elses", "--nocapture"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let orphans = "for n in 1 2 3; do (sleep 1000 &); (true &); done; sleep 0.01";
    let hanging = format!("{orphans}; sleep 1000");
    let mut run = Run::start(
        CheckSettings { timeout: ms(100), ..settings(ms(10)) },
        vec![shell(orphans), shell(&hanging)],
    );
    let (mut passed, mut failed) = (0, 0);
    while passed < 5 || failed < 5 {
        // Another room's child ends at the same time, and its parent gets to know how.
        let other = tokio::process::Command::new("/bin/sh").args(["-c", "sleep 0.02; exit 7"]).status();
        let (report, other) = tokio::join!(run.next(), other);
        assert_eq!(other.unwrap().code(), Some(7));
        match report.outcome {
            Outcome::Pass => passed += 1,
            _ => failed += 1,
        }
    }
    drop(run);
    let others = || {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        numbers.filter(|pid| *pid != 1).count()
    };
    wait_for("the collection of all", || others() == 0).await;
}
