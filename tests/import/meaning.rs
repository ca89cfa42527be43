//! What single statements come to, and whether the agent takes what comes out.

use super::{Config, Imported, Options, Path, TOML, assignments, of, read, sample, samples, value};
use outrider::import;
use std::process::Command;

/// An instance with these lines in it.
fn instance(lines: &str) -> String {
    format!(
        "vrrp_instance I {{\n interface eth0\n virtual_router_id 1\n priority 100\n virtual_ipaddress {{\n 192.0.2.1/24\n }}\n{lines}\n}}\n"
    )
}

fn setting(text: &str, name: &str) -> Option<String> {
    let text = of(text).text;
    value(&assignments(&text), name).map(str::to_owned)
}

/// The comments, each on one line.
fn remarks(text: &str) -> String {
    text.replace("\n#   ", " ")
}

#[test]
fn the_seed_becomes_a_working_agent() {
    let imported = read("seed", &Options::default());
    let pairs = assignments(&imported.text);
    for (name, expected) in [
        ("OUTRIDER_VIP", "10.10.10.2/24"),
        ("OUTRIDER_INTERFACE", "eth0"),
        ("OUTRIDER_TRANSPORT", "multicast"),
        ("OUTRIDER_PEERS", "none"),
        ("OUTRIDER_ROUTER_ID", "lb1"),
        ("OUTRIDER_VRID", "1"),
        ("OUTRIDER_PRIORITY", "100"),
        ("OUTRIDER_PREEMPT", "false"),
        ("OUTRIDER_VRRP_VERSION", "2"),
        ("OUTRIDER_ADVERT_INTERVAL", "1s"),
        ("OUTRIDER_AUTH_PASS", "incommsy"),
        ("OUTRIDER_CHECK", "tcp://127.0.0.1:80"),
        ("OUTRIDER_CHECK_INTERVAL", "2s"),
        ("OUTRIDER_CHECK_TIMEOUT", "3s"),
        ("OUTRIDER_CHECK_FALL", "2"),
        ("OUTRIDER_CHECK_RISE", "2"),
        ("OUTRIDER_TRACK_LINK", "false"),
        ("OUTRIDER_GARP_DELAY", "1s"),
        ("OUTRIDER_SMTP_SERVER", "smtp.example.com:25"),
        ("OUTRIDER_SMTP_FROM", "keepalived@example.com"),
        ("OUTRIDER_SMTP_TO", "joe@example.com"),
        ("OUTRIDER_SMTP_TLS", "none"),
        ("OUTRIDER_SMTP_TIMEOUT", "30s"),
    ] {
        assert_eq!(value(&pairs, name), Some(expected), "{name} in {}", imported.text);
    }
    assert_eq!(pairs.len(), 23, "{}", imported.text);
    let text = remarks(&imported.text);
    for words in [
        // Its broken lines, by number.
        "# 5: vrrp_garp_master_refresh: has no number of seconds",
        "# 15: script ss -ltn | grep 80: keepalived runs a script without a shell",
        "# 15: \"grep 80\" also matches port 8080",
        "# 35: auth_pass: longer than the 8 bytes",
    ] {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
    takes("seed", &imported.faults);
}

/// Whether the agent takes it.
fn takes(name: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{name}: {faults:?}");
}

#[test]
fn the_agent_takes_every_sample() {
    for name in samples() {
        let imported = read(&name, &Options::default());
        if name == "lvs-only" {
            assert_eq!(imported.faults.len(), 1);
            assert!(
                imported.faults[0].contains("has no vrrp_instance with an address"),
                "{:?}",
                imported.faults
            );
        } else {
            takes(&name, &imported.faults);
        }
    }
}

/// The remarks are not settings, so that both forms can be told apart from what they say.
#[test]
fn the_file_says_the_same_as_the_environment() {
    for name in samples() {
        let variables = assignments(&read(&name, &Options::default()).text);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), read(&name, &TOML).text).unwrap();
        let by_file = Config::load([("OUTRIDER_CONFIG", file.path())]);
        let by_variables = Config::load(variables);
        match (by_file, by_variables) {
            (Ok(by_file), Ok(by_variables)) => {
                let (by_file, by_variables) =
                    (format!("{:?}", by_file.config), format!("{:?}", by_variables.config));
                assert_eq!(without_names(&by_file), without_names(&by_variables), "{name}");
            }
            (Err(one), Err(_)) => {
                // Not a file that could not be read.
                assert!(!one.0.iter().any(|fault| fault.contains("TOML")), "{name}: {one:?}");
            }
            (one, other) => panic!("{name}: {one:?} {other:?}"),
        }
    }
}

/// A file has names for virtual routers, the environment has not.
fn without_names(text: &str) -> String {
    let parts = text.split("name: \"").enumerate();
    parts
        .map(
            |(index, part)| {
                if index == 0 { part } else { part.split_once('"').map_or(part, |(_, rest)| rest) }
            },
        )
        .collect()
}

/// Pasted into a shell, the values are what they are.
#[test]
fn a_shell_reads_the_environment() {
    for name in samples() {
        let text = read(&name, &Options::default()).text;
        let pairs = assignments(&text);
        let script = format!("set -eu\n{text}\nenv -0");
        let output = Command::new("sh")
            .args(["-a", "-c", &script])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let output = String::from_utf8(output.stdout).unwrap();
        for (name, value) in pairs {
            assert!(
                output.split('\0').any(|pair| pair == format!("{name}={value}")),
                "{name}={value} in {output}"
            );
        }
    }
}

#[test]
fn unknown_words_are_told_apart() {
    for (text, words) in [
        (
            "vrrp_instnace X {\n}\n",
            "1-2: vrrp_instnace X: not a statement keepalived knows: check the spelling",
        ),
        (
            "global_defs {\n ruoter_id x\n}\n",
            "2: ruoter_id x: not a statement keepalived knows: check the spelling",
        ),
        (
            "global_defs {\n priority 1\n}\n",
            "2: priority 1: not a statement keepalived knows here; its place is vrrp_instance",
        ),
        (
            "virtual_server 1.2.3.4 80 {\n lb_aglo rr\n}\n",
            "2: lb_aglo rr: not a statement keepalived knows: check the spelling",
        ),
        ("global_defs {\n vrrp_strict\n}\n", "2: vrrp_strict: strict mode refuses"),
        ("virtual_server 1.2.3.4 80 {\n lb_algo rr\n}\n", "1-3: virtual_server 1.2.3.4 80: LVS:"),
    ] {
        let remarks = remarks(&of(text).text);
        assert!(remarks.contains(words), "{words} is missing in {remarks}");
    }
}

#[test]
fn states_and_preemption() {
    let said = |lines: &str| {
        let text = instance(lines);
        (setting(&text, "OUTRIDER_PREEMPT").unwrap(), remarks(&of(&text).text))
    };
    assert_eq!(said("").0, "true");
    assert_eq!(said(" state BACKUP\n nopreempt").0, "false");
    let (preempt, text) = said(" state MASTER\n nopreempt");
    assert_eq!(preempt, "true");
    assert!(text.contains("nopreempt: contradicts state MASTER"), "{text}");
    assert_eq!(setting(&instance(" preempt_delay 2.5"), "OUTRIDER_PREEMPT_DELAY").as_deref(), Some("2.5s"));
    assert_eq!(setting(&instance(" nopreempt\n preempt_delay 2"), "OUTRIDER_PREEMPT_DELAY"), None);
    assert_eq!(setting(&instance(" priority 255"), "OUTRIDER_PRIORITY").as_deref(), Some("254"));
    let without = instance(" state MASTER").replace(" priority 100\n", "");
    assert_eq!(setting(&without, "OUTRIDER_PRIORITY").as_deref(), Some("254"));
    assert_eq!(setting(&without.replace("MASTER", "BACKUP"), "OUTRIDER_PRIORITY").as_deref(), Some("100"));
}

#[test]
fn intervals_are_those_keepalived_takes() {
    for (lines, expected) in [
        ("", "1s"),
        (" advert_int 3", "3s"),
        (" advert_int 0.4", "1s"),
        (" advert_int 2.5", "3s"),
        (" advert_int 900", "255s"),
        (" version 3\n advert_int 0.4", "400ms"),
        (" advert_int 0.014\n version 3", "10ms"),
        (" version 3\n advert_int 100", "40.95s"),
        (" advert_int x", "1s"),
    ] {
        assert_eq!(
            setting(&instance(lines), "OUTRIDER_ADVERT_INTERVAL").as_deref(),
            Some(expected),
            "{lines}"
        );
    }
}

#[test]
fn conditions_are_chosen_or_told() {
    let choose = |id: Option<&str>| {
        let options = Options { config_id: id.map(str::to_owned), ..Options::default() };
        import::file(&sample("templated"), &options).unwrap().text
    };
    for (id, source, priority) in [("red", "10.30.0.11", "200"), ("blue", "10.30.0.12", "150")] {
        let text = choose(Some(id));
        let pairs = assignments(&text);
        assert_eq!(value(&pairs, "OUTRIDER_ROUTER_ID"), Some(id));
        assert_eq!(value(&pairs, "OUTRIDER_SOURCE"), Some(source));
        assert_eq!(value(&pairs, "OUTRIDER_PRIORITY"), Some(priority));
        assert_eq!(value(&pairs, "OUTRIDER_VIP"), Some("10.30.0.101/24,10.30.0.102/24,10.30.0.103/24"));
        assert!(!text.contains("--config-id"), "{text}");
    }
    let text = remarks(&choose(None));
    assert!(text.contains("router_id red: is for @red only; left out. Choose by --config-id"), "{text}");
    assert!(text.contains("OUTRIDER_PEERS=10.30.0.11,10.30.0.12\n"), "all of them: {text}");
}

#[test]
fn one_instance_of_several() {
    let options = |name: &str| Options { instance: Some(name.to_owned()), ..Options::default() };
    let text = read("active-active", &options("SECOND")).text;
    assert_eq!(value(&assignments(&text), "OUTRIDER_VIP"), Some("203.0.113.102/24"));
    let error = import::file(&sample("active-active"), &options("THIRD")).unwrap_err();
    assert_eq!(error.to_string(), "active-active.conf has no vrrp_instance THIRD; it has: FIRST, SECOND");
}

#[test]
fn quotes_braces_and_comments() {
    for text in [
        "vrrp_instance I{interface eth0\nvirtual_router_id 1\nvirtual_ipaddress{192.0.2.1\n}}",
        "vrrp_instance I # { not a block\n{\n interface eth0 ! } nor its end\n virtual_router_id 1\n virtual_ipaddress\n {\n 192.0.2.1\n }\n}",
        "vrrp_instance \"I\" {\n interface \"eth0\"\n virtual_router_id \"1\"\n virtual_ipaddress {\n \"192.0.2.1\"\n }\n}",
        "$X=eth0\n$Y= \\\n virtual_router_id 1 \\\n virtual_ipaddress { \\\n 192.0.2.1 \\\n }\n\nvrrp_instance I {\n interface $X\n $Y\n}",
    ] {
        let imported = of(text);
        let pairs = assignments(&imported.text);
        assert_eq!(value(&pairs, "OUTRIDER_VIP"), Some("192.0.2.1"), "{text}\n{}", imported.text);
        assert_eq!(value(&pairs, "OUTRIDER_INTERFACE"), Some("eth0"), "{text}");
        assert_eq!(value(&pairs, "OUTRIDER_VRID"), Some("1"), "{text}");
    }
    let pass = |written: &str| {
        setting(
            &instance(&format!(" authentication {{\n auth_type PASS\n auth_pass {written}\n }}")),
            "OUTRIDER_AUTH_PASS",
        )
    };
    assert_eq!(pass("\"a b#c\"").as_deref(), Some("a b#c"));
    assert_eq!(pass(r"a\#b").as_deref(), Some("a#b"));
    assert_eq!(pass("a#b").as_deref(), Some("a"));
    assert_eq!(pass("it's").as_deref(), Some("it's"));
    assert_eq!(pass("éééééé").as_deref(), Some("éééé"), "bytes, not letters");
}

const MAIL: &str =
    "global_defs {\n smtp_server 10.0.0.25 587\n notification_email {\n ops@example.com\n }\n @ALERT\n}\n";

fn with_mail(global: &str, one: &str, other: &str) -> Imported {
    let instance = |name: &str, id: u8, alert: &str| {
        format!(
            "vrrp_instance {name} {{\n interface lo\n virtual_router_id {id}\n {alert}\n \
             virtual_ipaddress {{\n 192.0.2.{id}\n }}\n}}\n"
        )
    };
    of(&(MAIL.replace("@ALERT", global) + &instance("ONE", 1, one) + &instance("OTHER", 2, other)))
}

/// keepalived sends mail only where smtp_alert says so; one that sent none must not become one that does.
#[test]
fn mail_is_sent_where_keepalived_sends_it() {
    for (global, one, other, sends, said) in [
        ("", "", "", false, Some("No virtual router has smtp_alert")),
        ("smtp_alert", "smtp_alert no", "smtp_alert off", false, Some("No virtual router has smtp_alert")),
        ("smtp_alert\n smtp_alert_vrrp no", "", "", false, Some("No virtual router has smtp_alert")),
        ("smtp_alert_vrrp no\n smtp_alert", "", "", false, Some("No virtual router has smtp_alert")),
        ("smtp_alert", "", "", true, None),
        ("", "smtp_alert", "smtp_alert", true, None),
        (
            "",
            "",
            "smtp_alert",
            true,
            Some("Mail tells of all virtual routers, also of those without smtp_alert"),
        ),
    ] {
        let imported = with_mail(global, one, other);
        let (pairs, text) = (assignments(&imported.text), remarks(&imported.text));
        let server = value(&pairs, "OUTRIDER_SMTP_SERVER");
        assert_eq!(server.is_some(), sends, "{global} {one} {other}: {text}");
        if sends {
            assert_eq!(server, Some("10.0.0.25:587"));
            assert_eq!(value(&pairs, "OUTRIDER_SMTP_TLS"), Some("none"));
        }
        let all = ["No virtual router has smtp_alert", "Mail tells of all virtual routers"];
        for words in all {
            let expected = said.is_some_and(|said| said.starts_with(words));
            assert_eq!(text.contains(words), expected, "{global} {one} {other}: {text}");
        }
        takes("mail", &imported.faults);
    }
    let half = of(
        "global_defs {\n notification_email {\n a@b.c\n }\n smtp_alert\n}\nvrrp_instance A {\n virtual_ipaddress {\n 192.0.2.1\n }\n}\n",
    );
    assert!(half.text.contains("unless both notification_email and smtp_server are there"), "{}", half.text);
    takes("half", &half.faults);
}

#[test]
fn one_command_is_told_of_all_changes() {
    let instance = |name: &str, id: u8, notify: &str| {
        format!(
            "vrrp_instance {name} {{\n interface lo\n virtual_router_id {id}\n {notify}\n \
             virtual_ipaddress {{\n 192.0.2.{id}\n }}\n}}\n"
        )
    };
    let imported = of(&(instance("A", 1, "")
        + &instance("B", 2, "notify \"/bin/one x\"")
        + &instance("C", 3, "notify /bin/other")));
    let (pairs, text) = (assignments(&imported.text), remarks(&imported.text));
    assert_eq!(value(&pairs, "OUTRIDER_NOTIFY_COMMAND"), Some("/bin/one x"));
    for words in [
        "notify /bin/other: one command is told of all changes, with the name of the virtual router; that of B is taken",
        "It is told of the changes of all virtual routers, also of those without a notify",
        "notify /bin/one x: runs as the agent does, as user 65534, and without any capability",
    ] {
        assert!(text.contains(words), "{words} is missing in {text}");
    }
    takes("commands", &imported.faults);

    // Alone it keeps its name as a table, for scripts that ask for it.
    let alone = instance("VI_1", 1, "notify /bin/one");
    let imported = import::text(Path::new("k.conf"), alone.as_bytes(), &TOML).unwrap();
    assert!(imported.text.contains("[[router]]\nname = \"VI_1\"\n"), "{}", imported.text);
    takes("alone", &imported.faults);
}
