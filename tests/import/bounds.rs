//! Whatever stands in the file, what comes is settings or an error that says where and what to do.

use super::{Options, folder, samples};
use outrider::config::{Config, Faults};
use outrider::import::{self, Imported};
use proptest::prelude::*;
use std::path::Path;

/// Reads it both ways, and looks at what must always hold.
fn reads(bytes: &[u8]) {
    for toml in [false, true] {
        let options = Options { toml, ..Options::default() };
        // Includes are looked for where there are some.
        match import::text(&folder().join("fuzz.conf"), bytes, &options) {
            Ok(Imported { text, faults }) => {
                assert!(text.starts_with("# From fuzz.conf"), "{text}");
                for line in text.lines() {
                    let fine = line.is_empty()
                        || line.starts_with('#')
                        || line == "[[router]]"
                        || line.contains('=');
                    assert!(fine, "{line:?}");
                }
                assert!(!faults.iter().any(String::is_empty));
                if toml {
                    is_toml(&text);
                }
            }
            Err(error) => {
                let error = error.to_string();
                let line = error.split(':').nth(1).and_then(|line| line.parse::<usize>().ok());
                assert!(line.is_some_and(|line| line > 0) && error.contains(';'), "{error}");
            }
        }
    }
}

/// Whatever the agent has to say about the values.
fn is_toml(text: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    if let Err(Faults(faults)) = Config::load([("OUTRIDER_CONFIG", file.path())]) {
        assert!(!faults.iter().any(|fault| fault.contains("is not TOML")), "{faults:?} in {text}");
    }
}

/// Something like a configuration: words, braces and signs in any order.
fn like_one() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "vrrp_instance",
            "vrrp_script",
            "vrrp_sync_group",
            "global_defs",
            "virtual_ipaddress",
            "unicast_peer",
            "track_script",
            "authentication",
            "auth_type",
            "auth_pass",
            "auth_hmac",
            "key",
            "script",
            "interval",
            "weight",
            "state",
            "MASTER",
            "priority",
            "advert_int",
            "version",
            "include",
            "conf.d/*.conf",
            "A",
            "10.0.0.1/24",
            "2001:db8::1",
            "dev",
            "eth0",
            "{",
            "}",
            "{",
            "}",
            "\n",
            "\n",
            "\n",
            "\"",
            "'",
            "#",
            "!",
            "\\\n",
            "$A=",
            "$A",
            "${A}",
            "~SEQ(A,1,3)",
            "~LST(A,b)",
            "@x",
            "@^x",
            "0.5",
            "255",
            "-1",
            "99999999999999999999",
            "ss -ltn | grep 80",
            "curl -f",
            "http://[::1",
            "</dev/tcp/a/1",
        ])
        .prop_map(str::to_owned),
        "[^\u{0}]{0,6}",
    ];
    prop::collection::vec(piece, 0..80).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        reads(&bytes);
    }

    #[test]
    fn any_words(text in like_one()) {
        reads(text.as_bytes());
    }
}

/// The samples with a byte changed, a line gone, a line twice, or the end cut off: the same ones every time.
#[test]
fn mutations_of_the_samples() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    for name in samples() {
        let sample = std::fs::read(folder().join(format!("{name}.conf"))).unwrap();
        for _ in 0..120 {
            let mut bytes = sample.clone();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(5) {
                    0 => bytes[at] = b"{}\"'#!$@~\\\n \0\xff9-"[random(16)],
                    1 => bytes.truncate(at),
                    2 => {
                        bytes.remove(at);
                    }
                    3 => bytes.insert(at, b"{}\"'#!$@~\\\n \0\xff9-"[random(16)]),
                    _ => {
                        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
                        let (from, to) = (random(lines.len()), random(lines.len()));
                        let mut lines = lines;
                        let line = lines[from];
                        lines.insert(to, line);
                        bytes = lines.join(&b'\n');
                    }
                }
                if bytes.is_empty() {
                    bytes.push(b'{');
                }
            }
            reads(&bytes);
        }
    }
}

#[test]
fn nothing_in_a_name_ends_a_remark() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a\rb\n[x.conf"),
        "bogus\nvrrp_sync_group \"\u{1}\u{85}\u{2028}x\" {\n}\n",
    )
    .unwrap();
    let file = folder.path().join("k.conf");
    let text = "include *x.conf\nvrrp_instance \"\u{1}\r=\" {\n notify \"a\rb\u{1}\"\n virtual_ipaddress {\n 192.0.2.1\n }\n}\n";
    std::fs::write(&file, format!("{text}{}", text.replace("192.0.2.1", "192.0.2.2").replace('=', "x")))
        .unwrap();
    for toml in [false, true] {
        let text = import::file(&file, &Options { toml, ..Options::default() }).unwrap().text;
        let lost = text.lines().find(|line| line.contains("bogus")).unwrap();
        assert!(lost.starts_with("# a\u{fffd}b\u{fffd}[x.conf:1: bogus: not a statement"), "{lost:?}");
        if toml {
            is_toml(&text);
        }
    }
}

fn error(text: &str) -> String {
    let read = import::text(Path::new("k.conf"), text.as_bytes(), &Options::default());
    read.map(|imported| imported.text).unwrap_err().to_string()
}

#[test]
fn errors_say_where_and_what_to_do() {
    assert_eq!(
        error(
            "global_defs {\n router_id x\n}\nvrrp_instance A {\n virtual_ipaddress {\n 192.0.2.1\n}\nvrrp_instance B {\n}\n"
        ),
        "k.conf:4: the block of vrrp_instance A is not closed; k.conf:8 must be outside of it; add a } where it ends"
    );
    assert_eq!(
        error("$A=$B x\n$B=$A x\n\n$A\n"),
        "k.conf:4: a definition contains itself; write out what it stands for"
    );
    let deep = "a {\n".repeat(20);
    assert_eq!(
        error(&deep),
        "k.conf:17: blocks are nested 16 deep, which nothing in keepalived is; close them"
    );
    let many = "~SEQ(A, 1, 300) ~SEQ(B, 1, 300) x\n";
    assert!(error(many).starts_with("k.conf:1: more than 20000 lines"), "{}", error(many));
    let long = format!("$A={}\n$B=${{A}}${{A}}\n$C=${{B}}${{B}}\n${{C}}${{C}}\n", "x".repeat(1500));
    assert!(error(&long).starts_with("k.conf:4: the line is longer than"), "{}", error(&long));
}

#[test]
fn a_file_may_not_include_itself_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.conf");
    std::fs::write(&file, "include k.conf\n").unwrap();
    let error = import::file(&file, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("k.conf:1: files that include files, more than 16 deep"), "{error}");
    for (name, words) in [("/dev/zero", "is not a file"), ("/does/not/exist", "cannot be read")] {
        let error = import::file(Path::new(name), &Options::default()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    // Not /dev/*: /dev/stdout may be a file.
    std::fs::write(&file, "include /dev/zero\ninclude /dev/zer*\n").unwrap();
    import::file(&file, &Options::default()).unwrap();
}
