//! The real program: what goes where, and its exit codes.

use super::sample;
use std::process::{Command, Output};

fn outrider(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrider"));
    command.arg("import-keepalived").args(arguments).env_clear().output().unwrap()
}

#[test]
fn exit_codes() {
    let path = |name: &str| sample(name).to_str().unwrap().to_owned();
    let works = outrider(&[&path("unicast")]);
    assert_eq!(works.status.code(), Some(0), "{}", String::from_utf8_lossy(&works.stderr));
    let text = String::from_utf8(works.stdout).unwrap();
    assert!(
        text.starts_with("# From unicast.conf, by outrider import-keepalived")
            && text.contains("\nOUTRIDER_VIP=10.20.0.100/24\n"),
        "{text}"
    );
    let works = outrider(&[&path("unicast"), "--toml"]);
    assert_eq!(works.status.code(), Some(0));
    assert!(String::from_utf8(works.stdout).unwrap().contains("\nvip = \"10.20.0.100/24\"\n"));

    let nothing = outrider(&[&path("lvs-only")]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8(nothing.stdout).unwrap().contains("LVS:"), "it says why");
    let error = String::from_utf8(nothing.stderr).unwrap();
    assert_eq!(
        error,
        "lvs-only.conf has no vrrp_instance with an address; write OUTRIDER_VIP, for example 10.10.10.2\n"
    );

    let missing = outrider(&["/does/not/exist"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().starts_with("/does/not/exist cannot be read"));

    for wrong in [&[][..], &["--toml"], &["a", "b"], &["--bogus", "a"]] {
        assert_eq!(outrider(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
