//! What `.ci/again` runs once more, and what it refuses.

use super::tree;
use outrider::lab::tool;
use std::process::{Command, Output};

const FAILED: &str = "\
test one::fails ... FAILED
test one::passes ... ok
test two::fails ... FAILED
test result: FAILED. 1 passed; 2 failed; 0 ignored
error: test failed, to rerun pass `--test them`
";

/// `.ci/again` for this log, beside a tests/run that does this.
fn again(log: &str, run: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for part in [".ci", "tests"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
    }
    let script = folder.path().join(".ci/again");
    tool::install(&tree(".ci/again"), &script).unwrap();
    tool::script(&folder.path().join("tests/run"), &format!("#!/bin/sh\n{run}\n")).unwrap();
    let file = folder.path().join("log");
    std::fs::write(&file, log).unwrap();
    Command::new(script).arg(file).output().unwrap()
}

#[test]
fn exactly_the_tests_that_failed_run_once_more() {
    let log = format!("{FAILED}error: 1 target failed:\n    `--test them`\n");
    let run = "[ \"$*\" = '--test them -- --exact one::fails two::fails' ] && echo 'test result: ok. 2 passed; 0 failed;'";
    let output = again(&log, run);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_fails_twice_fails() {
    let log = format!("{FAILED}error: 1 target failed:\n    `--test them`\n");
    for run in [
        "echo 'test result: FAILED. 1 passed; 1 failed;'; exit 101",
        "echo 'test result: ok. 1 passed; 0 failed;'",
    ] {
        assert!(!again(&log, run).status.success(), "{run}");
    }
}

#[test]
fn more_than_a_failed_test_is_not_tried_again() {
    let killed = "test one::fails ... FAILED\nerror: test failed, to rerun pass `--test them`\nerror: 1 target failed:\n";
    let documentation =
        format!("{FAILED}error: doctest failed, to rerun pass `--doc`\nerror: 2 targets failed:\n");
    for log in ["error: could not compile", killed, &documentation, FAILED] {
        let output = again(log, "echo 'test result: ok. 2 passed; 0 failed;'");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && complaint.contains("more failed than tests"), "{log}{complaint}");
    }
}
