//! Secrets come from files, and never get out.

use super::{KEY, faults_with, file, load_with, only, origin, url};
use outrider::config::{CheckSetting, Origin, describe};
use proptest::prelude::*;

#[test]
fn secrets_come_from_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let check = file(folder.path(), "check", "http://u:hunter2@lb/\n");
    let bad = file(folder.path(), "bad", "http://u:hunter2@lb:0/\n");
    let empty = file(folder.path(), "empty", "\n");
    let toml = file(folder.path(), "o.toml", &format!("check_file = '{check}'"));

    let loaded = load_with(&[("OUTRIDER_CHECK_FILE", &check)]).unwrap();
    assert_eq!(*origin(&loaded, "OUTRIDER_CHECK"), Origin::SecretFile(check.clone().into()));
    let CheckSetting::These(targets) = &only(&loaded).check else { panic!() };
    assert_eq!(url(&targets[0]), "http://u:hunter2@lb/");

    let loaded = load_with(&[("OUTRIDER_CONFIG", &toml)]).unwrap();
    assert_eq!(*origin(&loaded, "OUTRIDER_CHECK"), Origin::SecretFile(check.clone().into()));
    let loaded = load_with(&[("OUTRIDER_CONFIG", &toml), ("OUTRIDER_CHECK", "none")]).unwrap();
    assert_eq!(*origin(&loaded, "OUTRIDER_CHECK"), Origin::Environment);

    let toml = file(folder.path(), "o.toml", "check = 'none'");
    let loaded = load_with(&[("OUTRIDER_CONFIG", &toml), ("OUTRIDER_CHECK_FILE", &check)]).unwrap();
    assert_eq!(*origin(&loaded, "OUTRIDER_CHECK"), Origin::SecretFile(check.clone().into()));

    for (variables, expected) in [
        (
            vec![("OUTRIDER_CHECK_FILE", check.as_str()), ("OUTRIDER_CHECK", "none")],
            "OUTRIDER_CHECK_FILE stands beside OUTRIDER_CHECK; leave out one of the two".to_owned(),
        ),
        (
            vec![("OUTRIDER_CHECK_FILE", &bad)],
            "OUTRIDER_CHECK_FILE: \"http://***@lb:0/\" has no port from 1 to 65535; write for example \
             tcp://127.0.0.1:80"
                .to_owned(),
        ),
        (
            vec![("OUTRIDER_CHECK_FILE", &empty)],
            format!("OUTRIDER_CHECK_FILE: {empty:?} is empty; name a readable file"),
        ),
        (
            vec![("OUTRIDER_METADATA_URL_FILE", "/no/such")],
            "OUTRIDER_METADATA_URL_FILE: \"/no/such\" cannot be read (No such file or directory (os error 2)); \
             name a readable file"
                .to_owned(),
        ),
    ] {
        assert_eq!(faults_with(&variables), [expected]);
    }
}

#[test]
fn no_secret_is_shown() {
    let loaded = load_with(&[
        ("OUTRIDER_METADATA_URL", "http://root:hunter2@meta/latest"),
        ("OUTRIDER_CHECK", "https://root:hunter2@lb/; http://other:hunter2@lb/x"),
    ])
    .unwrap();
    assert_eq!(loaded.config.metadata_url.as_str(), "http://root:hunter2@meta/latest");
    let shown = format!("{:?} {:#?} {:?}", loaded, loaded.config, describe(&loaded));
    assert!(!shown.contains("hunter2") && !shown.contains("root"), "{shown}");
    let keys = KEY.trim_start_matches("7:");
    for (variables, secret) in [
        (&[("OUTRIDER_VRRP_VERSION", "2"), ("OUTRIDER_AUTH_PASS", "hunter2hunter2")][..], "hunter2"),
        (&[("OUTRIDER_WEBHOOK_URL", "https://chat.example/hunter2")], "hunter2"),
        (
            &[("OUTRIDER_WEBHOOK_URL", "http://a/"), ("OUTRIDER_WEBHOOK_KEY", "hunter2hunter2hunter2")],
            "hunter2",
        ),
        (
            &[
                ("OUTRIDER_SMTP_SERVER", "mail.example.com"),
                ("OUTRIDER_SMTP_TO", "ops@example.com"),
                ("OUTRIDER_SMTP_USER", "lb"),
                ("OUTRIDER_SMTP_PASSWORD", "hunter2"),
            ],
            "hunter2",
        ),
        (&[("OUTRIDER_AUTH_KEYS", KEY), ("OUTRIDER_AUTH_MODE", "receive-only")], keys),
    ] {
        let loaded = load_with(variables).unwrap();
        let shown = format!("{:?} {:#?} {:?}", loaded, loaded.config, describe(&loaded));
        assert!(!shown.to_lowercase().contains(&secret.to_lowercase()), "{shown}");
    }
    assert!(shown.contains("http://***@meta/latest"), "{shown}");
    assert!(shown.contains("https://***@lb/; http://***@lb/x"), "{shown}");

    let folder = tempfile::tempdir().unwrap();
    let keys = file(folder.path(), "keys", "hunter2:00, 1:hunter2 # root:hunter2\n");
    let broken = file(folder.path(), "broken.toml", "metadata_url = \"http://root:hunter2@meta/\" hunter2");
    for variables in [
        ("OUTRIDER_METADATA_URL", "http://root:hunter2@meta:0/"),
        ("OUTRIDER_METADATA_URL", "http://root:hun/hunter2@meta/ "),
        ("OUTRIDER_METADATA_URL", "root:hunter2@meta"),
        ("OUTRIDER_METADATA_URL", "http://root:hunter2@meta/?a"),
        ("OUTRIDER_CHECK", "http://root:hunter2;x@lb/"),
        ("OUTRIDER_CHECK", "http://root:x;hunter2@lb/"),
        ("OUTRIDER_CHECK", "http://root:hunter2;;y@lb/"),
        ("OUTRIDER_CHECK", "http://root:hunter2\nx@lb/"),
        ("OUTRIDER_CHECK", "tcp://root:hunter2@lb:80; tcp://a:0"),
        ("OUTRIDER_CHECK", "http://root:hunter2@lb/;http://root:hunter2@lb/"),
        ("OUTRIDER_AUTH_PASS", "hunter2"),
        ("OUTRIDER_AUTH_PASS", "hunter2;hunter2"),
        ("OUTRIDER_AUTH_PASS", "hunter2\u{7f}"),
        ("OUTRIDER_AUTH_KEYS", "hunter2"),
        ("OUTRIDER_AUTH_KEYS", "hunter2:x"),
        ("OUTRIDER_AUTH_KEYS", "1:hunter2"),
        ("OUTRIDER_AUTH_KEYS", "1:hunter2;2:hunter2"),
        ("OUTRIDER_AUTH_KEYS_FILE", &keys),
        ("OUTRIDER_WEBHOOK_URL", "http://hunter2:0/"),
        ("OUTRIDER_WEBHOOK_URL", "chat.example.com/hunter2"),
        ("OUTRIDER_WEBHOOK_URL", "http://a/#hunter2"),
        ("OUTRIDER_WEBHOOK_KEY", "hunter2"),
        ("OUTRIDER_WEBHOOK_KEY", "hunter2hunter2hunter2"),
        ("OUTRIDER_SMTP_PASSWORD", "hunter2"),
        ("OUTRIDER_CONFIG", &broken),
    ] {
        if let Err(faults) = load_with(&[variables]) {
            let shown = format!("{faults} {faults:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("root:"), "{shown}");
        } else {
            panic!("{variables:?} was accepted");
        }
    }
}

proptest! {
    #[test]
    fn no_password_is_shown(
        password in "[a-z;:/?#,@ \n]{0,3}hunter2[a-z;:/?#,@ \n%]{0,3}",
        rest in "(lb|:0|:80|/|@|;| |tcp://a:1){0,4}",
        name in prop_oneof![Just("OUTRIDER_CHECK"), Just("OUTRIDER_METADATA_URL")],
    ) {
        let value = format!("http://root:{password}@{rest}");
        let shown = match load_with(&[(name, &value)]) {
            Ok(loaded) => format!("{loaded:?} {:?}", describe(&loaded)),
            Err(faults) => format!("{faults} {faults:?}"),
        };
        prop_assert!(!shown.contains("hunter2"), "{:?}: {}", value, shown);
    }
    #[test]
    fn no_key_is_shown(
        before in "[0-9a-f:;,# \n]{0,6}",
        after in "[0-9a-z:;,#@ \n]{0,80}",
        name in prop_oneof![Just("OUTRIDER_AUTH_PASS"), Just("OUTRIDER_AUTH_KEYS")],
        version in prop_oneof![Just("2"), Just("3")],
        in_file in any::<bool>(),
    ) {
        let value = format!("{before}hunter2{after}");
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), "secret", &value);
        let of_file = format!("{name}_FILE");
        let variable = if in_file { (of_file.as_str(), path.as_str()) } else { (name, value.as_str()) };
        let shown = match load_with(&[("OUTRIDER_VRRP_VERSION", version), variable]) {
            Ok(loaded) => format!("{loaded:?} {:?} {:?}", describe(&loaded), loaded.warnings),
            Err(faults) => format!("{faults} {faults:?}"),
        };
        prop_assert!(!shown.contains("hunter2"), "{:?}: {}", value, shown);
    }
}
