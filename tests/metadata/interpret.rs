//! What an answer means.

use super::{NODE1, NODE2, NODE3, answer, left, local, others, settings};
use outrider::core::members::{Member, Standing};
use outrider::metadata::model::answer::Reading;
use outrider::metadata::model::{interpret, recognise};
use outrider::metadata::{Local, PublishedPort, Refusal, Snapshot, from_list};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;

fn try_reading(document: &Value) -> Result<Reading, serde_json::Error> {
    Reading::deserialize(json!({
        "self": document["self"]["host"], "hosts": document["hosts"], "services": document["services"],
    }))
}

/// What host `n` makes of a document.
fn read(n: usize, document: &Value) -> Result<(Snapshot, Vec<String>), Refusal> {
    interpret(&try_reading(document).unwrap(), &settings(), &local(n))
}

/// The same, without remarks.
#[track_caller]
fn plainly(n: usize, document: &Value) -> Snapshot {
    let (snapshot, remarks) = read(n, document).unwrap();
    assert_eq!(remarks, Vec::<String>::new());
    snapshot
}

#[track_caller]
fn remarked(document: &Value) -> (Snapshot, String) {
    let (snapshot, remarks) = read(1, document).unwrap();
    (snapshot, remarks.join("\n"))
}

/// The first host's document with something done to the host entry of `uuid`, in `/hosts` and in `/self/host`.
fn with_host(uuid: &str, change: impl Fn(&mut Value)) -> Value {
    let mut document = answer(1);
    document["hosts"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .filter(|host| host["uuid"] == uuid)
        .for_each(&change);
    if document["self"]["host"]["uuid"] == uuid {
        change(&mut document["self"]["host"]);
    }
    document
}

fn with_service(name: &str, change: impl Fn(&mut Value)) -> Value {
    let mut document = answer(1);
    let services = document["services"].as_array_mut().unwrap();
    change(services.iter_mut().find(|service| service["name"] == name).unwrap());
    document
}

/// Another host, much like the second.
fn another(uuid: &str, name: &str, agent_ip: &str) -> Value {
    let mut host =
        answer(1)["hosts"].as_array().unwrap().iter().find(|h| h["uuid"] == NODE2).unwrap().clone();
    host["uuid"] = uuid.into();
    host["name"] = name.into();
    host["agent_ip"] = agent_ip.into();
    host
}

fn with_another(host: Value) -> Value {
    let mut document = answer(1);
    document["hosts"].as_array_mut().unwrap().push(host);
    document
}

fn member(id: &str, name: &str, address: &str) -> Member {
    Member { id: id.into(), name: name.into(), address: address.parse().unwrap(), priority: None }
}

fn port(port: u16, http: bool) -> PublishedPort {
    PublishedPort { service: "lb/lb".into(), port, http }
}

#[test]
fn the_real_answers_of_three_hosts() {
    let nodes = [member(NODE1, "node1", "10.0.0.11"), member(NODE2, "node2", "10.0.0.12")];
    for n in [1, 2] {
        let snapshot = plainly(n, &answer(n));
        assert_eq!(snapshot.membership.me, Standing::Member(nodes[n - 1].clone()));
        assert_eq!(snapshot.membership.others, [nodes[2 - n].clone()]);
        assert_eq!(snapshot.ports_of(&None), [port(80, true)]);
        assert_eq!(snapshot.me.hostname, format!("node{n}.example.com"));
        assert_eq!((&snapshot.me.interface_label, snapshot.me.source_label), (&None, None));
    }
    let third = plainly(3, &answer(3));
    assert_eq!(left(&third), "host label role=load-balancer is missing");
    assert_eq!(third.membership.others, nodes);
    assert_eq!(third.me.uuid, NODE3);
}

#[test]
fn order_is_of_no_account() {
    let mut document = answer(1);
    document["hosts"].as_array_mut().unwrap().push(another("00000009", "node9", "10.0.0.19"));
    let first = plainly(1, &document);
    for list in ["hosts", "services"] {
        document[list].as_array_mut().unwrap().reverse();
    }
    assert_eq!(plainly(1, &document), first);
    document["hosts"].as_array_mut().unwrap().swap(0, 1);
    assert_eq!(plainly(1, &document), first);
}

#[test]
fn a_host_of_a_linked_environment_is_no_member() {
    let mut linked = another("00000009", "elsewhere", "10.9.0.19");
    linked["environment_uuid"] = "otherproject".into();
    assert_eq!(others(&plainly(1, &with_another(linked))), ["node2"]);
}

#[test]
fn a_disconnected_peer_stays_a_member() {
    for state in [json!("disconnected"), json!("reconnecting"), Value::Null] {
        let snapshot = plainly(1, &with_host(NODE2, |host| host["agent_state"] = state.clone()));
        assert_eq!(others(&snapshot), ["node2"]);
    }
}

#[test]
fn an_older_rancher_has_no_states() {
    let document = with_host(NODE2, |host| {
        host.as_object_mut().unwrap().retain(|key, _| !key.ends_with("state"));
    });
    assert_eq!(others(&plainly(1, &document)), ["node2"]);
}

#[test]
fn deactivated_hosts_take_no_part() {
    let inactive = |uuid| with_host(uuid, |host| host["state"] = "inactive".into());
    assert!(others(&plainly(1, &inactive(NODE2))).is_empty());
    let snapshot = plainly(1, &inactive(NODE1));
    assert_eq!(left(&snapshot), "this host is deactivated in Rancher (state inactive)");
    assert_eq!(others(&snapshot), ["node2"]);
}

#[test]
fn losing_a_label_is_leaving() {
    let lost = |uuid| with_host(uuid, |host| host["labels"] = json!({ "role": "app" }));
    assert!(others(&plainly(1, &lost(NODE2))).is_empty());
    assert_eq!(left(&plainly(1, &lost(NODE1))), "host label role=load-balancer is missing");
    let nothing = with_host(NODE1, |host| host["labels"] = Value::Null);
    assert_eq!(left(&plainly(1, &nothing)), "host label role=load-balancer is missing");
}

#[test]
fn all_labels_must_match() {
    let mut settings = settings();
    settings.host_label.push(("zone".into(), "a".into()));
    let reading = try_reading(&with_host(NODE2, |host| host["labels"]["zone"] = "a".into())).unwrap();
    let (snapshot, _) = interpret(&reading, &settings, &local(1)).unwrap();
    assert_eq!(left(&snapshot), "host label zone=a is missing");
    assert_eq!(others(&snapshot), ["node2"]);
}

#[test]
fn a_removed_host_has_left() {
    let mut document = answer(1);
    document["hosts"].as_array_mut().unwrap().retain(|host| host["uuid"] != NODE1);
    let snapshot = plainly(1, &document);
    assert_eq!(left(&snapshot), "Rancher no longer lists this host");
    assert_eq!(others(&snapshot), ["node2"]);
}

#[test]
fn an_empty_answer_is_broken_and_not_an_empty_membership() {
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut document = answer(1);
        change(&mut document);
        match read(1, &document) {
            Err(Refusal::Broken(why)) => why,
            other => panic!("taken for good: {other:?}"),
        }
    };
    assert_eq!(broken(&|d| d["hosts"] = Value::Null), "/hosts is empty");
    assert_eq!(broken(&|d| d["hosts"] = json!([])), "/hosts is empty");
    assert_eq!(broken(&|d| d["hosts"] = json!([1, "x", null])), "/hosts is empty");
    assert_eq!(broken(&|d| d["self"]["host"]["uuid"] = Value::Null), "/self/host has no uuid");
    let elsewhere = |d: &mut Value| {
        for host in d["hosts"].as_array_mut().unwrap() {
            host["environment_uuid"] = "otherproject".into();
        }
    };
    assert_eq!(broken(&elsewhere), "/hosts has no host of this host's environment");
    // Our own entry may be the one that cannot be read: no reason to leave.
    for (key, value) in [("uuid", Value::Null), ("environment_uuid", Value::Null), ("labels", json!(7))] {
        broken(&|d| {
            for host in d["hosts"].as_array_mut().unwrap() {
                if host["uuid"] == NODE1 {
                    host[key] = value.clone();
                }
            }
        });
    }
}

#[test]
fn a_bad_entry_is_named_and_the_others_count() {
    for (key, value, remark) in [
        ("uuid", Value::Null, "host node9 has no uuid in /hosts: left out"),
        ("uuid", json!(9), "host node9 has no uuid in /hosts: left out"),
        ("agent_ip", Value::Null, "host node9 (00000009) has no usable address: left out"),
        ("agent_ip", json!("10.0.0.300"), "host node9 (00000009) has no usable address: left out"),
        ("agent_ip", json!("127.0.0.1"), "host node9 (00000009) has no usable address: left out"),
        ("labels", json!([]), "host node9 (00000009) has labels that are not understood: left out"),
        ("environment_uuid", Value::Null, "host node9 has no environment_uuid in /hosts: left out"),
    ] {
        let mut host = another("00000009", "node9", "10.0.0.19");
        host[key] = value;
        let (snapshot, remarks) = remarked(&with_another(host));
        assert_eq!((others(&snapshot), remarks.as_str()), (vec!["node2"], remark));
    }
    let (snapshot, remarks) = remarked(&with_another(json!("node9")));
    assert_eq!(
        (others(&snapshot), remarks.as_str()),
        (vec!["node2"], "1 entries of /hosts are not understood and left out")
    );
}

#[test]
fn fields_that_are_not_needed_may_be_anything() {
    let document = with_host(NODE2, |host| {
        host["name"] = json!({ "first": "node2" });
        host["memory"] = "much".into();
        host["new_in_rancher_9"] = json!([[], {}]);
    });
    assert_eq!(others(&plainly(1, &document)), ["node2.example.com"]);
}

#[test]
fn another_hosts_answer_is_refused() {
    match read(1, &answer(2)) {
        Err(Refusal::OtherHost(why)) => {
            assert!(why.contains("host node2 with agent_ip 10.0.0.12"), "{why}");
            assert!(why.contains("rancher/rancher#8383") && why.contains("outrider.source"), "{why}");
        }
        other => panic!("taken for good: {other:?}"),
    }
    // Loopback is on every machine and proves nothing.
    let document = with_host(NODE1, |host| host["agent_ip"] = "127.0.0.1".into());
    assert!(matches!(read(1, &document), Err(Refusal::OtherHost(_))));
}

#[test]
fn behind_nat_the_source_label_and_the_host_name_identify() {
    let inside: IpAddr = "192.168.7.5".parse().unwrap();
    let nat = Local { addresses: vec![inside], hostname: "NODE1.example.com".into() };
    let document = with_host(NODE1, |host| host["labels"]["outrider.source"] = "192.168.7.5".into());
    let reading = try_reading(&document).unwrap();
    let (snapshot, remarks) = interpret(&reading, &settings(), &nat).unwrap();
    assert_eq!((snapshot.me.address, snapshot.me.source_label), (inside, Some(inside)));
    assert!(remarks.is_empty(), "{remarks:?}");

    let renamed = Local { hostname: "node2.example.com".into(), ..nat.clone() };
    assert!(matches!(recognise(&reading.me, &renamed), Err(Refusal::OtherHost(_))));
    let moved = Local { addresses: vec!["192.168.7.6".parse().unwrap()], ..nat.clone() };
    assert!(matches!(recognise(&reading.me, &moved), Err(Refusal::OtherHost(_))));
    assert!(recognise(&try_reading(&answer(1)).unwrap().me, &nat).is_err());
}

#[test]
fn labels_override_and_bad_ones_are_named() {
    let document = with_host(NODE2, |host| {
        host["labels"]["outrider.source"] = " 192.168.7.2 ".into();
        host["labels"]["outrider.priority"] = "200".into();
    });
    let snapshot = plainly(1, &document);
    assert_eq!(snapshot.membership.others[0].address, "192.168.7.2".parse::<IpAddr>().unwrap());
    assert_eq!(snapshot.membership.others[0].priority, Some(200));

    let document = with_host(NODE1, |host| {
        host["labels"]["outrider.source"] = "172.17.0.1".into();
        host["labels"]["outrider.interface"] = "eth1".into();
        host["labels"]["outrider.priority"] = "7".into();
    });
    let me = plainly(1, &document).me;
    assert_eq!(me.address, "172.17.0.1".parse::<IpAddr>().unwrap());
    assert_eq!((me.interface_label.as_deref(), me.priority_label), (Some("eth1"), Some(7)));

    for (uuid, key, value, remark) in [
        (
            NODE1,
            "outrider.source",
            "eth0",
            "host label outrider.source=\"eth0\" is not an address adverts can come from: ignored",
        ),
        (
            NODE1,
            "outrider.source",
            "10.9.9.9",
            "host label outrider.source=\"10.9.9.9\" is on none of this machine's interfaces: ignored",
        ),
        (
            NODE1,
            "outrider.interface",
            "../../eth0",
            "host label outrider.interface=\"../../eth0\" is not an interface name: ignored",
        ),
        (
            NODE1,
            "outrider.priority",
            "255",
            "host node1: label outrider.priority=\"255\" is not a number from 1 to 254: ignored",
        ),
        (
            NODE2,
            "outrider.priority",
            "high",
            "host node2: label outrider.priority=\"high\" is not a number from 1 to 254: ignored",
        ),
        (
            NODE2,
            "outrider.source",
            "node2",
            "host node2: label outrider.source=\"node2\" is not an address: ignored",
        ),
    ] {
        let (snapshot, remarks) = remarked(&with_host(uuid, |host| host["labels"][key] = value.into()));
        assert_eq!(remarks, remark);
        assert_eq!(snapshot, plainly(1, &answer(1)));
        // An empty one is unset.
        plainly(1, &with_host(uuid, |host| host["labels"][key] = "".into()));
    }
}

#[test]
fn two_hosts_with_one_address() {
    // An old entry of a machine that was registered anew, whichever uuid comes first.
    for uuid in ["00000000-old", "99999999-old"] {
        let mut old = another(uuid, "old", "10.0.0.12");
        old["agent_state"] = "disconnected".into();
        let (snapshot, remarks) = remarked(&with_another(old));
        assert_eq!(others(&snapshot), ["node2"]);
        assert!(remarks.contains("have the same address 10.0.0.12: old is left out"), "{remarks}");
    }
    // Both connected: the same one on every host.
    let (snapshot, remarks) = remarked(&with_another(another("99999999", "copy", "10.0.0.12")));
    assert_eq!(others(&snapshot), ["node2"]);
    assert!(remarks.contains("copy is left out"), "{remarks}");
    // Ours is ours.
    let (snapshot, remarks) = remarked(&with_another(another("00000000", "copy", "10.0.0.11")));
    assert_eq!(others(&snapshot), ["node2"]);
    assert!(
        remarks.contains("host copy (00000000) is listed with 10.0.0.11, an address of this machine"),
        "{remarks}"
    );
}

#[test]
fn published_ports_in_all_their_forms() {
    let ports = |list: Value| {
        let document = with_service("lb", |service| {
            service["ports"] = list.clone();
            service["lb_config"] = Value::Null;
        });
        let (snapshot, remarks) = remarked(&document);
        (snapshot.ports_of(&None).iter().map(|port| port.port).collect::<Vec<_>>(), remarks)
    };
    assert_eq!(ports(json!(["443:443/tcp", "80:80", "443:443"])), (vec![80, 443], String::new()));
    assert_eq!(ports(json!(["10.0.0.11:8080:80/tcp", "[::]:81:80"])).0, [81, 8080]);
    assert_eq!(ports(json!(["53:53/udp", "9000", "80:80/tcp"])), (vec![80], String::new()));
    let (list, remarks) = ports(json!(["eighty:80", "80:80", "0:80", "70000:80", 80]));
    assert_eq!(list, [80]);
    assert_eq!(remarks.matches("is not understood: not checked").count(), 3, "{remarks}");
    let (list, remarks) = ports(Value::Null);
    assert!(list.is_empty() && remarks.contains("there is nothing to check"), "{remarks}");
}

#[test]
fn rules_tell_http_from_the_rest() {
    let rule = |port: Value, protocol: &str| json!({ "source_port": port, "protocol": protocol });
    let document = with_service("lb", |service| {
        service["ports"] = json!(["8080:80", "443:443/tcp", "53:53/udp"]);
        service["expose"] = json!(["9090/tcp"]);
        service["lb_config"]["port_rules"] = json!([
            rule(json!(80), "http"),
            rule(json!(443), "https"),
            rule(json!(53), "udp"),
            rule(json!("81"), "HTTP"),
            rule(json!(82), "udp"),
            rule(json!(9090), "http"),
            rule(Value::Null, "http"),
            5,
        ]);
    });
    assert_eq!(plainly(1, &document).ports_of(&None), [port(81, true), port(443, false), port(8080, true)]);
}

#[test]
fn a_missing_container_is_no_missing_check() {
    let one = with_service("lb", |service| {
        service["containers"].as_array_mut().unwrap().retain(|container| container["host_uuid"] == NODE2);
    });
    assert_eq!(plainly(1, &one).ports_of(&None), [port(80, true)]);
    let none = with_service("lb", |service| service["containers"] = Value::Null);
    assert_eq!(plainly(1, &none).ports_of(&None), [port(80, true)]);
}

#[test]
fn load_balancers_elsewhere_do_not_count() {
    let gone = |change: &dyn Fn(&mut Value)| {
        let (snapshot, remarks) = remarked(&with_service("lb", change));
        assert!(snapshot.ports_of(&None).is_empty(), "{snapshot}");
        assert!(
            remarks.contains("no load balancer service publishes a TCP port on the member hosts"),
            "{remarks}"
        );
    };
    gone(&|service| {
        service["containers"] = json!([{ "host_uuid": NODE3 }]);
        service["labels"] = Value::Null;
    });
    gone(&|service| {
        service["containers"] = Value::Null;
        service["labels"]["io.rancher.scheduler.affinity:host_label"] = "role=edge".into();
    });
    gone(&|service| {
        service["containers"] = Value::Null;
        service["labels"]["io.rancher.scheduler.affinity:host_label_ne"] = "role=load-balancer".into();
    });
    gone(&|service| service["environment_uuid"] = "otherproject".into());
    gone(&|service| service["kind"] = "service".into());
}

#[test]
fn a_named_service_is_checked_whatever_its_kind() {
    let mut settings = settings();
    let (web, wbe) = (Some(("lb".into(), "web".into())), Some(("lb".into(), "wbe".into())));
    settings.balancers = [web.clone()].into();
    let reading = try_reading(&with_service("web", |service| service["ports"] = json!(["8080:80"]))).unwrap();
    let (snapshot, remarks) = interpret(&reading, &settings, &local(1)).unwrap();
    assert_eq!(
        snapshot.ports_of(&web),
        [PublishedPort { service: "lb/web".into(), port: 8080, http: false }]
    );
    assert!(remarks.is_empty(), "{remarks:?}");
    settings.balancers = [None, web.clone(), wbe.clone()].into();
    let (snapshot, remarks) = interpret(&reading, &settings, &local(1)).unwrap();
    assert_eq!(snapshot.ports_of(&web).len(), 1, "each for itself");
    assert_eq!(snapshot.ports_of(&None), [port(80, true)]);
    assert!(snapshot.ports_of(&wbe).is_empty());
    assert_eq!(remarks, ["no service lb/wbe (OUTRIDER_LB) in the metadata: there is nothing to check"]);
}

#[test]
fn services_that_were_not_read_are_not_missed() {
    let mut reading = try_reading(&answer(1)).unwrap();
    reading.services = None;
    let (snapshot, remarks) = interpret(&reading, &settings(), &local(1)).unwrap();
    assert!(snapshot.ports_of(&None).is_empty() && remarks.is_empty(), "{remarks:?}");
}

#[test]
fn a_snapshot_in_one_line() {
    let line = "node1 (10.0.0.11) takes part; other members: node2 (10.0.0.12); published ports: 80 of lb/lb";
    assert_eq!(plainly(1, &answer(1)).to_string(), line);
}

#[test]
fn a_peer_list_stands_for_the_metadata() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let peers = [address("10.0.0.12"), address("10.0.0.11"), address("10.0.0.10"), address("10.0.0.12")];
    let membership = from_list(&peers, address("10.0.0.11"));
    assert_eq!(membership.me, Standing::Member(member("10.0.0.11", "10.0.0.11", "10.0.0.11")));
    assert_eq!(
        membership.others,
        [member("10.0.0.10", "10.0.0.10", "10.0.0.10"), member("10.0.0.12", "10.0.0.12", "10.0.0.12")]
    );
}

/// Every place in a document, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            places(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

fn mutation() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, 1, {}, "x"])),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![
            "inactive",
            "role=app",
            "10.0.0.11",
            "10.0.0.12",
            NODE1,
            NODE2,
            "loadBalancerService",
            "0:0/tcp"
        ]
        .prop_map(Value::from),
    ]
}

/// Found by the fuzz target: they came back as none, which is another thing where no label is asked for.
#[test]
fn labels_that_are_not_understood_stay_so_in_the_state_file() {
    for labels in [json!(null), json!({}), json!(7), json!({"role": "load-balancer"})] {
        let reading = try_reading(&with_host(NODE2, |host| host["labels"] = labels.clone())).unwrap();
        assert_eq!(reading.hosts.entries.iter().all(|host| host.labels().is_some()), labels != 7);
        let back: Reading = serde_json::from_slice(&serde_json::to_vec(&reading).unwrap()).unwrap();
        assert_eq!(back, reading);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever becomes of the answer: no panic, and nobody drops out unless the answer says so plainly or a
    /// remark names it.
    #[test]
    fn broken_answers_never_empty_the_membership_silently(
        n in 1..=3usize,
        mutations in prop::collection::vec((any::<prop::sample::Index>(), mutation()), 1..4),
    ) {
        let full = answer(n);
        let mut document = json!({
            "self": { "host": full["self"]["host"] }, "hosts": full["hosts"], "services": full["services"],
        });
        for (index, value) in mutations {
            let mut found = Vec::new();
            places(&document, "", &mut found);
            let place = index.get(&found);
            *document.pointer_mut(place).unwrap() = value;
        }
        let Ok(reading) = try_reading(&document) else { return Ok(()) };
        let Ok((snapshot, remarks)) = interpret(&reading, &settings(), &local(n)) else { return Ok(()) };

        let me = &document["self"]["host"];
        let stands = |host: &Value| {
            host["environment_uuid"] == me["environment_uuid"]
                && host["labels"]["role"] == "load-balancer"
                && host["state"] != "inactive"
        };
        let hosts = document["hosts"].as_array().unwrap();
        for host in hosts.iter().filter(|host| stands(host)) {
            let in_force = match &snapshot.membership.me {
                Standing::Member(member) if host["uuid"] == member.id.as_str() => true,
                _ => snapshot.membership.others.iter().any(|member| host["uuid"] == member.id.as_str()),
            };
            let twice = hosts.iter().filter(|other| other["uuid"] == host["uuid"]).count() > 1;
            prop_assert!(in_force || twice || !remarks.is_empty(), "{host} dropped out: {snapshot}");
        }
        let ids: Vec<&String> = snapshot.membership.others.iter().map(|member| &member.id).collect();
        prop_assert!(ids.is_sorted());
        prop_assert!(!ids.contains(&&snapshot.me.uuid));

        // What is kept in the state file means the same when it is read back.
        let text = serde_json::to_string(&reading).unwrap();
        let back: Reading = serde_json::from_str(&text).unwrap();
        if reading.hosts.unreadable == 0 {
            prop_assert_eq!(interpret(&back, &settings(), &local(n)).unwrap().0, snapshot);
        }
    }
}
