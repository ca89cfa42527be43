//! Several virtual routers, in the environment and in the file; and the two families.

use super::{addresses, faults, file, load, load_with, only, row};
use outrider::config::{CheckSetting, Family, Guards, Loaded, Origin, Peers, Router, Transport, describe};
use outrider::core::advert::Version;
use std::net::IpAddr;
use std::time::Duration;

const TWO: (&str, &str) = ("OUTRIDER_VIP", "10.10.10.2; 10.10.10.3");

fn of_each<T>(loaded: &Loaded, what: impl Fn(&Router) -> T) -> Vec<T> {
    loaded.config.routers.iter().map(what).collect()
}

fn vips(loaded: &Loaded) -> Vec<String> {
    of_each(loaded, |router| {
        let vips: Vec<_> = router.vips.iter().map(|vip| vip.address.to_string()).collect();
        vips.join(",")
    })
}

#[test]
fn semicolons_and_line_breaks_separate_routers() {
    for (text, expected) in [
        ("10.10.10.2; 10.10.10.3", &["10.10.10.2", "10.10.10.3"][..]),
        ("10.10.10.2\n10.10.10.3", &["10.10.10.2", "10.10.10.3"]),
        ("\n 10.10.10.2;\r\n\n 10.10.10.3\n; 10.10.10.4\n", &["10.10.10.2", "10.10.10.3", "10.10.10.4"]),
        ("10.10.10.2,10.10.10.3;10.10.10.4/24", &["10.10.10.2,10.10.10.3", "10.10.10.4"]),
    ] {
        let loaded = load(&[("OUTRIDER_VIP", text)]).unwrap();
        assert_eq!(vips(&loaded), expected, "{text:?}");
        assert_eq!(of_each(&loaded, |router| router.name.clone()).len(), expected.len());
    }
    let loaded = load(&[TWO]).unwrap();
    assert_eq!(of_each(&loaded, |router| router.vrid), [2, 3]);
    assert_eq!(of_each(&loaded, |router| router.name.clone()), ["10.10.10.2", "10.10.10.3"]);
    assert_eq!(loaded.config.socket, "@outrider/10.10.10.2");
}

#[test]
fn a_variable_has_one_value_for_all_or_one_for_each() {
    let loaded = load(&[
        TWO,
        ("OUTRIDER_VRID", "7;8"),
        ("OUTRIDER_PRIORITY", ";100"),
        ("OUTRIDER_PEERS", "10.0.0.11,10.0.0.12; rancher"),
        ("OUTRIDER_VRRP_VERSION", "3\n2"),
        ("OUTRIDER_ADVERT_INTERVAL", "100ms;"),
        ("OUTRIDER_PREEMPT", "true"),
        ("OUTRIDER_INTERFACE", ";"),
        ("OUTRIDER_GUARD", "10.0.0.1,10.0.0.2;off"),
        ("OUTRIDER_CHECK", "tcp://a:1; tcp://b:2; tcp://c:3"),
        ("OUTRIDER_CHECK_STATUS", "200,301;404"),
    ])
    .unwrap();
    assert_eq!(of_each(&loaded, |router| router.vrid), [7, 8]);
    assert_eq!(of_each(&loaded, |router| router.priority), [None, Some(100)]);
    let list = Peers::List(addresses(&[[10, 0, 0, 11], [10, 0, 0, 12]]));
    assert_eq!(of_each(&loaded, |router| router.peers.clone()), [list, Peers::Rancher]);
    assert_eq!(of_each(&loaded, |router| router.version), [Version::V3, Version::V2]);
    let intervals = [Duration::from_millis(100), Duration::from_secs(1)];
    assert_eq!(of_each(&loaded, |router| router.interval), intervals);
    assert_eq!(of_each(&loaded, |router| router.preempt), [true, true]);
    assert_eq!(of_each(&loaded, |router| router.interface.clone()), [None, None]);
    let guards = Guards::These(addresses(&[[10, 0, 0, 1], [10, 0, 0, 2]]));
    assert_eq!(of_each(&loaded, |router| router.guards.clone()), [guards, Guards::Off]);
    let checks = |router: &Router| matches!(&router.check, CheckSetting::These(checks) if checks.len() == 3);
    assert_eq!(of_each(&loaded, checks), [true, true]);
    assert_eq!(of_each(&loaded, |router| router.checks.status.len()), [2, 1]);
    assert_eq!(loaded.origin(0, "OUTRIDER_PRIORITY"), Some(&Origin::Derived));
    assert_eq!(loaded.origin(1, "OUTRIDER_PRIORITY"), Some(&Origin::Environment));
    assert_eq!(loaded.origin(1, "OUTRIDER_LOG"), Some(&Origin::Default));
    assert_eq!((loaded.origin(2, "OUTRIDER_PRIORITY"), loaded.origin(0, "OUTRIDER_VPI")), (None, None));
}

#[test]
fn messages_name_the_router_and_both_counts() {
    for (variables, expected) in [
        (
            &[TWO, ("OUTRIDER_VRID", "7;8;9")][..],
            &[
                "OUTRIDER_VRID has 3 values for 2 virtual routers; write one for all, or one for each, separated by \
               semicolons",
            ][..],
        ),
        (
            &[("OUTRIDER_VIP", "10.10.10.2"), ("OUTRIDER_PRIORITY", "100;")],
            &[
                "OUTRIDER_PRIORITY has 2 values for 1 virtual router; write one for all, or one for each, separated \
               by semicolons",
            ],
        ),
        (
            &[("OUTRIDER_VIP", "10.10.10.2;;10.10.10.3")],
            &["OUTRIDER_VIP has no address between two semicolons; leave one of them out"],
        ),
        (
            &[TWO, ("OUTRIDER_VRID", "2;0"), ("OUTRIDER_PRIORITY", "0")],
            &[
                "OUTRIDER_PRIORITY: \"0\" is not a whole number from 1 to 254; write for example 100",
                "router 2 (10.10.10.3): OUTRIDER_VRID: \"0\" is not a whole number from 1 to 255; write for example 10",
            ],
        ),
        (
            // Right for one of them.
            &[TWO, ("OUTRIDER_VRRP_VERSION", "3;2"), ("OUTRIDER_ADVERT_INTERVAL", "200ms")],
            &[
                "router 2 (10.10.10.3): OUTRIDER_ADVERT_INTERVAL: \"200ms\" is not a whole number of seconds from 1s \
               to 255s, as VRRP version 2 needs; write for example 1s",
            ],
        ),
        (
            &[("OUTRIDER_VIP", "10.10.10.2;x")],
            &["router 2: OUTRIDER_VIP: \"x\" is not an address; write for example 10.10.10.2"],
        ),
        (
            &[("OUTRIDER_VIP", "10.10.10.2,10.10.10.3;10.10.10.4,10.10.10.3")],
            &[
                "router 2 (10.10.10.4): OUTRIDER_VIP: \"10.10.10.3\" is an address of router 1 (10.10.10.2), too; \
               leave one out",
            ],
        ),
        (
            &[("OUTRIDER_VIP", "10.10.10.2;10.10.11.2")],
            &[
                "router 2 (10.10.11.2): OUTRIDER_VIP: \"10.10.11.2\" makes 2 the virtual router id, which is that of \
               router 1 (10.10.10.2), too; set OUTRIDER_VRID for each, for example to 10; 11",
            ],
        ),
        (
            &[TWO, ("OUTRIDER_VRID", "9")],
            &[
                "router 2 (10.10.10.3): OUTRIDER_VRID: \"9\" is the virtual router id of router 1 (10.10.10.2), too; \
               set OUTRIDER_VRID for each, for example to 10; 11",
            ],
        ),
        (
            // The addresses of all routers move.
            &[TWO, ("OUTRIDER_PEERS", "10.10.10.3,10.0.0.11;10.0.0.11")],
            &[
                "router 1 (10.10.10.2): OUTRIDER_PEERS: \"10.10.10.3\" is an address of OUTRIDER_VIP, which moves \
               between hosts; write a host's own address, for example 10.0.0.11",
            ],
        ),
        (
            &[("OUTRIDER_VIP", "10.10.10.2;2001:db8::3"), ("OUTRIDER_SOURCE", "10.0.0.11")],
            &[
                "router 2 (2001:db8::3): OUTRIDER_SOURCE: \"10.0.0.11\" is IPv4, the virtual router IPv6; write an \
               IPv6 address",
            ],
        ),
    ] {
        let mut told = faults(variables);
        told.sort();
        assert_eq!(told, expected);
    }
}

#[test]
fn one_id_may_serve_two_families_and_two_interfaces() {
    let families = load(&[("OUTRIDER_VIP", "10.10.10.2;2001:db8::2")]).unwrap();
    assert_eq!(of_each(&families, |router| router.vrid), [2, 2]);
    let two = [("OUTRIDER_VIP", "10.10.10.2;10.10.11.2"), ("OUTRIDER_INTERFACE", "eth0;eth1")];
    assert_eq!(of_each(&load(&two).unwrap(), |router| router.vrid), [2, 2]);
    for interfaces in ["eth0", "eth0;"] {
        assert_eq!(faults(&[two[0], ("OUTRIDER_INTERFACE", interfaces)]).len(), 1, "{interfaces}");
    }
}

#[test]
fn warnings_name_the_router_unless_all_have_them() {
    let told = |variables: &[(&str, &str)]| load(variables).unwrap().warnings;
    assert_eq!(
        told(&[TWO, ("OUTRIDER_HANDOVER_LIMIT", "20s;1s"), ("OUTRIDER_PREEMPT_DELAY", "5s")]),
        [
            "OUTRIDER_PREEMPT_DELAY has no effect without OUTRIDER_PREEMPT",
            "router 1 (10.10.10.2): OUTRIDER_HANDOVER_LIMIT is above 9s: Docker kills after 10s unless told to wait \
             longer",
        ]
    );
    let label = ("OUTRIDER_HOST_LABEL", "role=lb");
    assert_eq!(told(&[TWO, label, ("OUTRIDER_PEERS", "10.0.0.11;rancher")]), [""; 0]);
    assert_eq!(
        told(&[TWO, label, ("OUTRIDER_PEERS", "10.0.0.11")]),
        ["OUTRIDER_HOST_LABEL has no effect with a list of peers"]
    );
    assert_eq!(
        told(&[TWO, label, ("OUTRIDER_PEERS", "none"), ("OUTRIDER_TRANSPORT", "multicast")]),
        [
            "OUTRIDER_HOST_LABEL has no effect without peers of Rancher's",
            "OUTRIDER_PRIORITY is not set: without peers there is no rank, and all hosts have the same one",
        ]
    );
}

#[test]
fn families() {
    let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
    let mixed = load(&[("OUTRIDER_VIP", "2001:db8::9/64, 10.10.10.2, fe80::2, 10.10.10.3")]).unwrap();
    let router = only(&mixed);
    assert_eq!((router.family(), router.vrid, router.min_ttl), (Family::V4, 2, 255));
    assert_eq!(router.advertised(), [ip("10.10.10.2"), ip("10.10.10.3")]);
    assert_eq!((router.vips.len(), router.vips[0].prefix), (4, Some(64)));
    assert_eq!(router.name, "2001:db8::9");

    let v6 = load(&[
        ("OUTRIDER_VIP", "fe80::5,2001:db8::2"),
        ("OUTRIDER_PEERS", "fe80::11,2001:db8::12"),
        ("OUTRIDER_SOURCE", "fe80::12"),
        ("OUTRIDER_GUARD", "2001:db8::1"),
    ])
    .unwrap();
    let router = only(&v6);
    assert_eq!((router.family(), router.vrid, router.min_ttl), (Family::V6, 2, 64));
    assert_eq!(router.advertised(), [ip("fe80::5"), ip("2001:db8::2")]);
    assert_eq!(router.source, Some(ip("fe80::12")));
    assert_eq!(row(&v6, "OUTRIDER_MIN_TTL"), ("64".to_owned(), Origin::Default));

    let multicast = [("OUTRIDER_VIP", "2001:db8::2"), ("OUTRIDER_TRANSPORT", "multicast")];
    let loaded = load(&multicast).unwrap();
    assert_eq!((only(&loaded).min_ttl, only(&loaded).transport), (255, Transport::Multicast));
    let written = load(&[multicast[0], ("OUTRIDER_MIN_TTL", "9")]).unwrap();
    assert_eq!(only(&written).min_ttl, 9);
    assert!(load(&[("OUTRIDER_VIP", "10.10.10.2,2001:db8::2"), ("OUTRIDER_VRRP_VERSION", "2")]).is_ok());

    let many = |prefix: &str| -> String {
        (1..=256).map(|n| format!("{prefix}{:x}{}", n, if n < 256 { "," } else { "" })).collect()
    };
    assert_eq!(
        faults(&[("OUTRIDER_VIP", &many("2001:db8::"))]),
        ["OUTRIDER_VIP has more than the 255 addresses that fit into an advert; leave some out"]
    );
    let excluded = format!("10.10.10.2,{}", many("2001:db8::"));
    assert_eq!(only(&load(&[("OUTRIDER_VIP", &excluded)]).unwrap()).advertised().len(), 1);
}

#[test]
fn tables_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let key = "1:".to_owned() + &"00".repeat(32);
    let path = file(
        folder.path(),
        "outrider.toml",
        &format!(
            r#"
            host_label = "role=lb"
            preempt = true
            priority = "100; 50"
            check = "tcp://a:1; tcp://b:2"

            [[router]]
            name = "web"
            vip = ["10.10.10.2", "10.10.10.3/24"]
            check = ["tcp://c:3"]

            [[router]]
            vip = "2001:db8::2"
            vrid = 9
            preempt = false
            lease = ""
            auth_keys = """
              # of spring
              {key}
            """
            "#
        ),
    );
    let config = ("OUTRIDER_CONFIG", path.as_str());
    let loaded = load(&[config, ("OUTRIDER_GARP_REPEAT", "1;")]).unwrap();
    assert_eq!(vips(&loaded), ["10.10.10.2,10.10.10.3", "2001:db8::2"]);
    assert_eq!(of_each(&loaded, |router| router.name.clone()), ["web", "2001:db8::2"]);
    assert_eq!(of_each(&loaded, |router| router.vrid), [2, 9]);
    assert_eq!(of_each(&loaded, |router| router.preempt), [true, false]);
    assert_eq!(of_each(&loaded, |router| router.priority), [Some(100), Some(50)]);
    assert_eq!(of_each(&loaded, |router| router.announcements.repeat), [1, 5]);
    let checks = |router: &Router| match &router.check {
        CheckSetting::These(checks) => checks.len(),
        CheckSetting::Published(_) => 0,
    };
    assert_eq!(of_each(&loaded, checks), [1, 2]);
    assert_eq!(of_each(&loaded, |router| format!("{:?}", router.auth))[0], "None");
    assert_eq!(loaded.origin(0, "OUTRIDER_AUTH_KEYS"), Some(&Origin::Default));
    assert_eq!(loaded.origin(1, "OUTRIDER_AUTH_KEYS"), Some(&Origin::File(path.clone().into())));
    assert_eq!(loaded.warnings, [""; 0]);

    // The environment wins, for all and for each.
    let loaded = load(&[config, ("OUTRIDER_PREEMPT", "false"), ("OUTRIDER_VRID", "; 10")]).unwrap();
    assert_eq!(of_each(&loaded, |router| (router.preempt, router.vrid)), [(false, 2), (false, 10)]);
    assert_eq!(loaded.origin(0, "OUTRIDER_VRID"), Some(&Origin::Derived));
    let loaded = load(&[config, ("OUTRIDER_VRID", "5;")]).unwrap();
    assert_eq!(of_each(&loaded, |router| router.vrid), [5, 9]);
    assert_eq!(loaded.origin(1, "OUTRIDER_VRID"), Some(&Origin::File(path.clone().into())));

    // And its addresses replace the tables, but not what stands above them.
    let loaded = load(&[config, ("OUTRIDER_VIP", "10.10.10.7; 10.10.10.8")]).unwrap();
    assert_eq!(vips(&loaded), ["10.10.10.7", "10.10.10.8"]);
    assert_eq!(of_each(&loaded, |router| (router.preempt, router.vrid)), [(true, 7), (true, 8)]);
    assert_eq!(of_each(&loaded, checks), [2, 2]);
    assert_eq!(
        loaded.warnings,
        [format!(
            "OUTRIDER_VIP replaces the virtual routers of {path}: what stands below [[router]] is ignored"
        )]
    );
}

#[test]
fn a_file_without_tables_reads_like_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path =
        file(folder.path(), "o.toml", "vip = '10.10.10.2; 10.10.10.3'\npriority = '100;'\nvrid = '7;8'");
    let loaded = load(&[("OUTRIDER_CONFIG", &path)]).unwrap();
    assert_eq!(of_each(&loaded, |router| (router.vrid, router.priority)), [(7, Some(100)), (8, None)]);
    // One in the environment over two in the file.
    let told = faults(&[("OUTRIDER_CONFIG", &path), ("OUTRIDER_VIP", "10.10.10.4")]);
    let count = "for 1 virtual router; write one for all, or one for each, separated by semicolons";
    assert_eq!(
        told,
        [format!("{path}: priority has 2 values {count}"), format!("{path}: vrid has 2 values {count}")]
    );
    // What the environment replaces does not count, what it leaves open for one router does.
    let one = [("OUTRIDER_CONFIG", path.as_str()), ("OUTRIDER_VIP", "10.10.10.4"), ("OUTRIDER_VRID", "4")];
    assert_eq!(faults(&one).len(), 1);
    let loaded = load(&[one[0], one[1], one[2], ("OUTRIDER_PRIORITY", "5")]).unwrap();
    assert_eq!(of_each(&loaded, |router| (router.vrid, router.priority)), [(4, Some(5))]);
    let path = file(folder.path(), "o.toml", "vip = '10.10.10.2; 10.10.10.3'\npriority = '1;2;3'");
    assert_eq!(faults(&[("OUTRIDER_CONFIG", &path), ("OUTRIDER_PRIORITY", "1;")]).len(), 1);
    assert!(load(&[("OUTRIDER_CONFIG", &path), ("OUTRIDER_PRIORITY", "1;2")]).is_ok());
}

#[test]
fn faults_of_tables_name_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let told = |text: &str| {
        let path = file(folder.path(), "outrider.toml", text);
        let faults = faults(&[("OUTRIDER_CONFIG", &path)]);
        faults.iter().map(|fault| fault.replace(&path, "FILE")).collect::<Vec<_>>()
    };
    const GOOD: &str = "[[router]]\nvip = '10.10.10.2'\n[[router]]\nvip = '10.10.10.3'\n";
    for (text, expected) in [
        (
            format!("{GOOD}vrid = 0\npriority = 300"),
            vec![
                "FILE: router 2 (10.10.10.3): vrid: \"0\" is not a whole number from 1 to 255; write for example 10",
                "FILE: router 2 (10.10.10.3): priority: \"300\" is not a whole number from 1 to 254; write for \
                 example 100",
            ],
        ),
        (
            // Values of one router are not separated any further.
            format!("{GOOD}vrid = '7;8'"),
            vec![
                "FILE: router 2 (10.10.10.3): vrid: \"7;8\" is not a whole number from 1 to 255; write for example 10",
            ],
        ),
        (
            format!("preempt = 'yes'\n{GOOD}"),
            vec!["FILE: preempt: \"yes\" is neither true nor false; write for example true"],
        ),
        (
            format!("priority = '1;2;3'\n{GOOD}"),
            vec![
                "FILE: priority has 3 values for 2 virtual routers; write one for all, or one for each, separated by \
                 semicolons",
            ],
        ),
        (
            format!("{GOOD}name = 'web'\nvpi = 1\nlog = 'info'\nVRID = 1\nsmtp_to = 'x'\nlease = ['auto']"),
            vec![
                "FILE: router 2: VRID is not known; keys are in lower case",
                "FILE: router 2: log is not for one router; write it above the first [[router]]",
                "FILE: router 2: smtp_to is not for one router; write it above the first [[router]]",
                "FILE: router 2: vpi is not known; did you mean vip?",
                "FILE: router 2 (web): lease is a list where one value belongs; write for example auto",
            ],
        ),
        (
            format!("{GOOD}[[router]]\nvrid = 9\n[[router]]\nvip = ''"),
            vec![
                "FILE: router 3: vip is not set; write for example 10.10.10.2",
                "FILE: router 4: vip is not set; write for example 10.10.10.2",
            ],
        ),
        (
            format!("vip = '10.10.10.9'\n{GOOD}"),
            vec!["FILE: vip stands above the [[router]] tables; write it in one of its own, or leave it out"],
        ),
        (
            format!("{GOOD}auth_keys = 'x'\nauth_keys_file = '/x'"),
            vec![
                "FILE: router 2 (10.10.10.3): auth_keys_file stands beside auth_keys; leave out one of the two",
            ],
        ),
        (
            "[[router]]\nname = 'a'\nvip = '10.10.10.2'\n[[router]]\nname = 'a'\nvip = '10.10.10.2'"
                .to_owned(),
            vec![
                "FILE: router 2 (a): vip: \"10.10.10.2\" is an address of router 1 (a), too; leave one out",
                "FILE: router 2 (a): name is that of router 1 (a), too; give each its own",
                "FILE: router 2 (a): vip: \"10.10.10.2\" makes 2 the virtual router id, which is that of router 1 \
                 (a), too; set vrid in each table",
            ],
        ),
        (
            format!("{GOOD}name = 7"),
            vec![
                "FILE: router 2 (10.10.10.3): name is not a string of at most 64 printable characters; write for \
                 example \"web\"",
            ],
        ),
        (
            "vip = '10.10.10.2'\nname = 'a'".to_owned(),
            vec!["FILE: name is for one router; write it below [[router]]"],
        ),
        (
            "vip = '10.10.10.2'\nrouters = 1".to_owned(),
            vec!["FILE: routers is not known; did you mean [[router]]?"],
        ),
        (
            "vip = '10.10.10.2'\n[router]\nvrid = 1".to_owned(),
            vec!["FILE: router is not a list of tables; write [[router]]"],
        ),
        (
            "vip = '10.10.10.2'\nrouter = []".to_owned(),
            vec!["FILE: router is not a list of tables; write [[router]]"],
        ),
        (
            "vip = '10.10.10.2'\nrouter = [1]".to_owned(),
            vec!["FILE: router is not a list of tables; write [[router]]"],
        ),
    ] {
        assert_eq!(told(&text), expected, "{text}");
    }
    // What a broken file would have said about the count is not guessed.
    let path = file(folder.path(), "broken.toml", "vip = [");
    let told =
        faults(&[("OUTRIDER_CONFIG", &path), ("OUTRIDER_VRID", "7;8"), ("OUTRIDER_PRIORITY", "1;2;3")]);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn each_router_has_its_own_secret_file() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one;1", "two\n"].map(|text| file(folder.path(), &text[..3], text));
    let variables =
        [TWO, ("OUTRIDER_VRRP_VERSION", "2"), ("OUTRIDER_AUTH_PASS_FILE", &format!("{one}; {two}"))];
    let loaded = load(&variables).unwrap();
    assert_eq!(loaded.origin(1, "OUTRIDER_AUTH_PASS"), Some(&Origin::SecretFile(two.clone().into())));
    let auth = of_each(&loaded, |router| router.auth.clone());
    assert_eq!(auth, [b"one;1\0\0\0", b"two\0\0\0\0\0"].map(|pass| outrider::config::Auth::Pass(*pass)));
    let told =
        faults(&[TWO, ("OUTRIDER_VRRP_VERSION", "2"), ("OUTRIDER_AUTH_PASS_FILE", "/no/such; /nor/such")]);
    assert_eq!(told.len(), 2);
    assert!(
        told[1].starts_with("router 2 (10.10.10.3): OUTRIDER_AUTH_PASS_FILE: \"/nor/such\" cannot"),
        "{told:?}"
    );
    // Told once for all.
    let told = faults(&[TWO, ("OUTRIDER_VRRP_VERSION", "2"), ("OUTRIDER_AUTH_PASS_FILE", "/no/such")]);
    assert!(
        told.len() == 1 && told[0].starts_with("OUTRIDER_AUTH_PASS_FILE: \"/no/such\" cannot"),
        "{told:?}"
    );
}

#[test]
fn what_routers_share_is_described_once() {
    let loaded = load(&[TWO, ("OUTRIDER_PRIORITY", ";9"), ("OUTRIDER_PREEMPT", "true")]).unwrap();
    let sections = describe(&loaded);
    let titles: Vec<_> = sections.iter().map(|section| section.title.as_deref().unwrap()).collect();
    assert_eq!(titles, ["All virtual routers", "Router 1 (10.10.10.2)", "Router 2 (10.10.10.3)"]);
    let names: Vec<_> = sections[0].rows.iter().map(|(name, ..)| *name).collect();
    assert!(names.contains(&"OUTRIDER_PREEMPT") && names.contains(&"OUTRIDER_LOG"), "{names:?}");
    let own = ["OUTRIDER_VIP", "OUTRIDER_VRID", "OUTRIDER_PRIORITY"];
    assert!(own.iter().all(|name| !names.contains(name)), "{names:?}");
    assert_eq!(
        sections[2].to_string(),
        "Router 2 (10.10.10.3):\n\
         OUTRIDER_VIP       10.10.10.3  environment\n\
         OUTRIDER_VRID      3           derived\n\
         OUTRIDER_PRIORITY  9           environment\n"
    );
    assert_eq!(describe(&load_with(&[]).unwrap()).len(), 1);
}
