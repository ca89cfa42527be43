//! Authentication: passwords and keys.

use super::{KEY, VIP, faults_with, file, load, load_with, only, origin, row};
use outrider::config::{Auth, AuthMode, Origin};

const V2: (&str, &str) = ("OUTRIDER_VRRP_VERSION", "2");

/// A key of `bytes` bytes, each 0xab.
fn key(id: &str, bytes: usize) -> String {
    format!("{id}:{}", "aB".repeat(bytes))
}

#[test]
fn a_password_has_8_bytes() {
    for (text, bytes, warnings) in [
        ("1111", *b"1111\0\0\0\0", 0),
        ("12345678", *b"12345678", 0),
        ("incommsys-vips", *b"incommsy", 1),
        ("pässwörter", *b"p\xc3\xa4ssw\xc3\xb6", 1),
        ("a, b:c", *b"a, b:c\0\0", 0),
    ] {
        let loaded = load_with(&[V2, ("OUTRIDER_AUTH_PASS", text)]).unwrap();
        assert_eq!(only(&loaded).auth, Auth::Pass(bytes), "{text}");
        assert_eq!(loaded.warnings.len(), warnings, "{:?}", loaded.warnings);
        assert!(loaded.warnings.iter().all(|warning| warning
            == "OUTRIDER_AUTH_PASS is longer than 8 bytes: only the first 8 count, as with keepalived"));
        assert_eq!(row(&loaded, "OUTRIDER_AUTH_PASS"), ("***".to_owned(), Origin::Environment));
    }
}

#[test]
fn what_separates_routers_can_be_in_a_password_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let password = file(folder.path(), "password", "a;b\n");
    let loaded = load_with(&[V2, ("OUTRIDER_AUTH_PASS_FILE", &password)]).unwrap();
    assert_eq!(only(&loaded).auth, Auth::Pass(*b"a;b\0\0\0\0\0"));
    assert_eq!(origin(&loaded, "OUTRIDER_AUTH_PASS"), &Origin::SecretFile(password.into()));
    assert_eq!(
        faults_with(&[V2, ("OUTRIDER_AUTH_PASS", "a;b")]),
        [
            "OUTRIDER_AUTH_PASS has 2 values for 1 virtual router; write one for all, or one for each, separated by \
          semicolons (a semicolon in a password: put it into a file, and name that)"
        ]
    );
}

#[test]
fn keys_sign_by_the_first_and_verify_by_all() {
    let two = format!("{}, {}", key("7", 32), key("200", 64));
    for (mode, expected) in [
        ("", AuthMode::Enforce),
        ("enforce", AuthMode::Enforce),
        ("permissive", AuthMode::Permissive),
        ("receive-only", AuthMode::ReceiveOnly),
    ] {
        for version in ["2", "3"] {
            let loaded = load(&[
                VIP,
                ("OUTRIDER_VRRP_VERSION", version),
                ("OUTRIDER_AUTH_KEYS", &two),
                ("OUTRIDER_AUTH_MODE", mode),
            ])
            .unwrap();
            let Auth::Keys { keys, mode } = &only(&loaded).auth else { panic!("{loaded:?}") };
            let shapes: Vec<_> = keys.iter().map(|key| (key.id, key.secret.clone())).collect();
            assert_eq!(shapes, [(7, vec![0xab; 32]), (200, vec![0xab; 64])]);
            assert_eq!(*mode, expected);
            assert_eq!(row(&loaded, "OUTRIDER_AUTH_KEYS").0, "7:***, 200:***");
        }
    }
    let loaded = load_with(&[("OUTRIDER_AUTH_KEYS", KEY)]).unwrap();
    assert_eq!(row(&loaded, "OUTRIDER_AUTH_MODE"), ("enforce".to_owned(), Origin::Default));
    let loaded = load(&[VIP]).unwrap();
    assert_eq!(row(&loaded, "OUTRIDER_AUTH_MODE"), ("(enforce, with keys)".to_owned(), Origin::Default));
}

#[test]
fn a_file_of_keys_has_lines_and_comments() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "# rotated in spring\n\n{}, # signs\n  {} , {}\n#{}\n",
        key("2", 32),
        key("1", 33),
        key("255", 34),
        key("9", 1)
    );
    let path = file(folder.path(), "keys", &text);
    let toml = file(folder.path(), "o.toml", &format!("auth_keys_file = '{path}'\nauth_mode = 'permissive'"));
    for variable in [("OUTRIDER_AUTH_KEYS_FILE", &path), ("OUTRIDER_CONFIG", &toml)] {
        let loaded = load(&[VIP, (variable.0, variable.1)]).unwrap();
        let Auth::Keys { keys, .. } = &only(&loaded).auth else { panic!("{loaded:?}") };
        let shapes: Vec<_> = keys.iter().map(|key| (key.id, key.secret.len())).collect();
        assert_eq!(shapes, [(2, 32), (1, 33), (255, 34)]);
        assert_eq!(origin(&loaded, "OUTRIDER_AUTH_KEYS"), &Origin::SecretFile(path.clone().into()));
    }
    let list = format!("auth_keys = ['{}', '{}']", key("2", 32), key("1", 33));
    let toml = file(folder.path(), "o.toml", &list);
    let loaded = load_with(&[("OUTRIDER_CONFIG", &toml)]).unwrap();
    assert!(matches!(&only(&loaded).auth, Auth::Keys { keys, .. } if keys.len() == 2));
}

#[test]
fn messages() {
    const FORM: &str = "write for example 1:$(openssl rand -hex 32)";
    let (good, short, long) = (key("1", 32), key("1", 31), key("1", 65));
    let both = format!("{good},{good}");
    let mixed = format!("{short},0:aa,x,{good},2:{}g", "aa".repeat(32));
    let odd = format!("{good}a");
    for (variables, expected) in [
        (vec![("OUTRIDER_AUTH_PASS", "1111")], vec![
            "OUTRIDER_AUTH_PASS is for version 2; use OUTRIDER_AUTH_KEYS, or set OUTRIDER_VRRP_VERSION=2".to_owned(),
        ]),
        (vec![V2, ("OUTRIDER_AUTH_PASS", "11\t11")], vec![
            "OUTRIDER_AUTH_PASS has a control character; leave it out".to_owned(),
        ]),
        (vec![V2, ("OUTRIDER_AUTH_PASS", "1111"), ("OUTRIDER_AUTH_KEYS", &good)], vec![
            "OUTRIDER_AUTH_PASS stands beside OUTRIDER_AUTH_KEYS; leave out one of the two".to_owned(),
        ]),
        (vec![("OUTRIDER_AUTH_KEYS", &short)], vec![format!(
            "OUTRIDER_AUTH_KEYS has 31 bytes in key 1, not 32 to 64; {FORM}"
        )]),
        (vec![("OUTRIDER_AUTH_KEYS", &long)], vec![format!(
            "OUTRIDER_AUTH_KEYS has 65 bytes in key 1, not 32 to 64; {FORM}"
        )]),
        (vec![("OUTRIDER_AUTH_KEYS", &both)], vec![
            "OUTRIDER_AUTH_KEYS has two keys with the id 1; give each its own".to_owned(),
        ]),
        (vec![("OUTRIDER_AUTH_KEYS", &odd)], vec![format!(
            "OUTRIDER_AUTH_KEYS has an odd number of hexadecimal digits in key 1; {FORM}"
        )]),
        (vec![("OUTRIDER_AUTH_KEYS", &mixed)], vec![
            format!("OUTRIDER_AUTH_KEYS has 31 bytes in key 1, not 32 to 64; {FORM}"),
            format!("OUTRIDER_AUTH_KEYS has no id from 1 to 255 before the colon of item 2; {FORM}"),
            format!("OUTRIDER_AUTH_KEYS has no ID:hex as item 3; {FORM}"),
            format!("OUTRIDER_AUTH_KEYS has something else than hexadecimal digits in key 2; {FORM}"),
        ]),
        (vec![("OUTRIDER_AUTH_KEYS", ",")], vec![format!("OUTRIDER_AUTH_KEYS has no ID:hex as item 1; {FORM}")]),
        (vec![("OUTRIDER_AUTH_KEYS", "#")], vec![format!("OUTRIDER_AUTH_KEYS has no key; {FORM}")]),
        (vec![("OUTRIDER_AUTH_MODE", "enforce")], vec![
            "OUTRIDER_AUTH_MODE has no effect without OUTRIDER_AUTH_KEYS; set them, or leave it out".to_owned(),
        ]),
        (vec![("OUTRIDER_AUTH_KEYS", &good), ("OUTRIDER_AUTH_MODE", "strict")], vec![
            "OUTRIDER_AUTH_MODE: \"strict\" is none of enforce, permissive and receive-only; write for example enforce"
                .to_owned(),
        ]),
        // Not that there are no keys, besides.
        (vec![("OUTRIDER_AUTH_KEYS_FILE", "/no/such"), ("OUTRIDER_AUTH_MODE", "enforce")], vec![
            "OUTRIDER_AUTH_KEYS_FILE: \"/no/such\" cannot be read (No such file or directory (os error 2)); name a \
             readable file"
                .to_owned(),
        ]),
    ] {
        assert_eq!(faults_with(&variables), expected);
    }
    let folder = tempfile::tempdir().unwrap();
    let number = file(folder.path(), "o.toml", "vrrp_version = 2\nauth_pass = 1.50");
    assert_eq!(
        faults_with(&[("OUTRIDER_CONFIG", &number)]),
        [format!("{number}: auth_pass is not a string; write it in quotes")]
    );
}
