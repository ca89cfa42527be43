//! The real binary: exit codes and what it prints.

use super::{ALL, VIP};
use std::process::{Command, Output};

/// The real binary, with these variables and no others.
fn outrider(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_outrider"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn wrong_settings_end_every_command_with_2() {
    let wrong = [("OUTRIDER_VIP", "10.10.10.300/24"), ("OUTRIDER_VRID", "0")];
    for arguments in [&[][..], &["run"], &["check-config"]] {
        let output = outrider(arguments, &wrong);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(out(&output), "");
        assert_eq!(
            err(&output),
            "OUTRIDER_VIP: \"10.10.10.300/24\" is not an address; write for example 10.10.10.2\n\
             OUTRIDER_VRID: \"0\" is not a whole number from 1 to 255; write for example 10\n"
        );
    }
}

#[test]
fn check_config_prints_a_table() {
    let variables = [VIP, ("OUTRIDER_METADATA_URL", "http://u:hunter2@meta/"), ("OUTRIDER_NAME", "/x")];
    let output = outrider(&["check-config"], &variables);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let table = out(&output);
    let row = |name: &str| -> Vec<String> {
        let line = table.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(row("OUTRIDER_VIP"), ["OUTRIDER_VIP", "10.10.10.2", "environment"], "{table}");
    assert_eq!(row("OUTRIDER_VRID"), ["OUTRIDER_VRID", "2", "derived"], "{table}");
    assert_eq!(row("OUTRIDER_METADATA_URL")[1], "http://***@meta/", "{table}");
    assert!(!table.contains("hunter2") && !err(&output).contains("hunter2"));
    assert!(err(&output).contains("OUTRIDER_NAME"), "{}", err(&output));
}

#[test]
fn check_config_prints_each_router_under_its_title() {
    let variables = [
        ("OUTRIDER_VIP", "10.10.10.2; 10.10.10.3"),
        ("OUTRIDER_PEERS", "10.0.0.11"),
        ("OUTRIDER_VRRP_VERSION", "2"),
        ("OUTRIDER_AUTH_PASS", "hunter2; hunter22hunter2"),
    ];
    let output = outrider(&["check-config"], &variables);
    assert!(!format!("{}{}", out(&output), err(&output)).contains("hunter2"));
    assert!(
        err(&output).starts_with("warning: router 2 (10.10.10.3): OUTRIDER_AUTH_PASS "),
        "{}",
        err(&output)
    );
    let sections: Vec<_> = out(&output).split("\n\n").map(str::to_owned).collect();
    assert!(sections[0].starts_with("All virtual routers:\n"), "{sections:?}");
    assert!(sections[0].contains("\nOUTRIDER_PEERS "), "{sections:?}");
    assert!(sections[1].starts_with("Router 1 (10.10.10.2):\nOUTRIDER_VIP "), "{sections:?}");
    assert!(sections[2].starts_with("Router 2 (10.10.10.3):\nOUTRIDER_VIP "), "{sections:?}");
}

#[test]
fn the_command_line() {
    let help = outrider(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    for word in ALL.iter().map(|(name, _)| *name).chain(["run", "check-config", "[default: 200ms"]) {
        assert!(out(&help).contains(word), "{word} is missing in {}", out(&help));
    }
    assert_eq!(out(&help).contains("\n  demo "), cfg!(feature = "lab"));
    assert_eq!(out(&outrider(&["--version"], &[])), format!("outrider {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [&["bogus"][..], &["--bogus"], &["run", "now"]] {
        assert_eq!(outrider(arguments, &[VIP]).status.code(), Some(2), "{arguments:?}");
    }
}
