use super::host::{eventually, ip, on_host};
use outrider::net::Family;
use outrider::net::interface::{Interface, NotChosen, choose, list, local_addresses, prefixes, source_for};
use std::net::IpAddr;

fn interface(name: &str, addresses: &[&str]) -> Interface {
    Interface {
        name: name.to_owned(),
        loopback: name == "lo",
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        tentative: Vec::new(),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `Ok(name)`, or the kind of error and its text.
fn chosen(
    vips: &[&str],
    setting: Option<&str>,
    source: Option<&str>,
    interfaces: &[Interface],
) -> Result<String, (&'static str, String)> {
    let vips: Vec<_> = vips.iter().map(|vip| address(vip)).collect();
    choose(&vips, setting, source.map(address), interfaces).map(|chosen| chosen.interface).map_err(|why| {
        let text = why.to_string();
        match why {
            NotChosen::Missing(_) => ("missing", text),
            NotChosen::Nowhere(_) => ("nowhere", text),
            NotChosen::Ambiguous(_) => ("ambiguous", text),
        }
    })
}

#[test]
fn the_table_of_choices() {
    let lo = interface("lo", &["127.0.0.1/8"]);
    let eth0 = interface("eth0", &["10.10.10.11/24"]);
    let eth1 = interface("eth1", &["192.168.1.11/24"]);
    let docker0 = interface("docker0", &["172.17.0.1/16"]);
    let bare = interface("eth2", &[]);
    let host = [lo.clone(), docker0, eth0.clone(), eth1, bare.clone()];
    let ok = |name: &str| Ok::<_, (&'static str, String)>(name.to_owned());

    assert_eq!(chosen(&["10.10.10.2"], None, None, &host), ok("eth0"), "by subnet");
    assert_eq!(
        chosen(&["10.10.10.2"], None, Some("192.168.1.11"), &host),
        ok("eth0"),
        "subnet before source"
    );
    assert_eq!(chosen(&["10.10.10.2"], Some("eth2"), None, &host), ok("eth2"), "a named one wins");
    assert_eq!(chosen(&["203.0.113.9"], None, Some("192.168.1.11"), &host), ok("eth1"), "by source");
    assert_eq!(
        chosen(&["127.0.0.9"], None, Some("10.10.10.11"), &host),
        ok("eth0"),
        "loopback is no network"
    );

    let (kind, text) = chosen(&["10.10.10.2"], Some("eth9"), None, &host).unwrap_err();
    assert_eq!(kind, "missing");
    assert!(text.contains("eth9") && text.contains("docker0"), "{text}");

    let (kind, text) = chosen(&["203.0.113.9"], None, None, &host).unwrap_err();
    assert_eq!(kind, "nowhere");
    assert!(text.contains("203.0.113.9") && text.contains("OUTRIDER_INTERFACE"), "{text}");
    assert_eq!(chosen(&["203.0.113.9"], None, Some("203.0.113.1"), &host).unwrap_err().0, "nowhere");

    let twin = interface("wlan0", &["10.10.10.12/24"]);
    let (kind, text) = chosen(&["10.10.10.2"], None, Some("10.10.10.11"), &[eth0.clone(), twin]).unwrap_err();
    assert_eq!(kind, "ambiguous");
    assert!(text.contains("eth0, wlan0") && text.contains("OUTRIDER_INTERFACE"), "{text}");

    let twin = interface("veth7", &["10.10.10.11/32"]);
    let (kind, text) =
        chosen(&["203.0.113.9"], None, Some("10.10.10.11"), &[eth0.clone(), twin]).unwrap_err();
    assert_eq!(kind, "ambiguous");
    assert!(text.contains("eth0, veth7"), "{text}");

    // The address itself, left behind somewhere, does not attract itself.
    let stale = interface("eth5", &["10.10.10.2/24"]);
    assert_eq!(chosen(&["10.10.10.2"], None, None, &[stale.clone(), eth0.clone()]), ok("eth0"));
    assert_eq!(chosen(&["10.10.10.2"], None, None, &[stale]).unwrap_err().0, "nowhere");
}

#[test]
fn the_table_of_choices_for_ipv6() {
    let eth0 = interface("eth0", &["10.10.10.11/24", "2001:db8::11/64", "fe80::11/64"]);
    let eth1 = interface("eth1", &["192.168.1.11/24", "2001:db8:1::11/64", "fe80::12/64"]);
    let host = [interface("lo", &["127.0.0.1/8", "::1/128"]), eth0.clone(), eth1];
    let ok = |name: &str| Ok::<_, (&'static str, String)>(name.to_owned());

    assert_eq!(chosen(&["2001:db8:1::2"], None, None, &host), ok("eth1"), "by subnet");
    assert_eq!(chosen(&["10.10.10.2", "2001:db8::2"], None, None, &host), ok("eth0"), "by either");
    assert_eq!(chosen(&["10.10.10.2", "2001:db8:9::2"], None, None, &host), ok("eth0"), "by the one");
    assert_eq!(chosen(&["fe80::2", "2001:db8:1::2"], None, None, &host), ok("eth1"), "fe80 says nothing");
    assert_eq!(chosen(&["fe80::2"], None, Some("fe80::12"), &host), ok("eth1"), "by source");
    assert_eq!(chosen(&["fe80::2"], Some("eth0"), None, &host), ok("eth0"));

    let (kind, text) = chosen(&["10.10.10.2", "2001:db8:1::2"], None, None, &host).unwrap_err();
    assert_eq!(kind, "ambiguous");
    assert!(text.contains("eth0, eth1"), "{text}");
    let (kind, text) = chosen(&["fe80::2"], None, None, &host).unwrap_err();
    assert_eq!(kind, "ambiguous", "a person must say which");
    assert!(text.contains("fe80::2") && text.contains("OUTRIDER_INTERFACE"), "{text}");
    assert_eq!(chosen(&["2001:db8:9::2"], None, None, &host).unwrap_err().0, "nowhere");
    let twin = interface("eth2", &["fe80::11/64"]);
    assert_eq!(chosen(&["fe80::2"], None, Some("fe80::11"), &[eth0, twin]).unwrap_err().0, "ambiguous");
}

#[test]
fn the_address_that_multicast_adverts_come_from() {
    let mut eth0 = interface(
        "eth0",
        &["10.10.10.2/32", "10.10.10.11/24", "2001:db8::11/64", "fe80::2/128", "fe80::11/64"],
    );
    let vips = ["10.10.10.2", "fe80::2"].map(address);
    assert_eq!(eth0.own_address(Family::V4, &vips), Some(address("10.10.10.11")), "the first, no VIP");
    assert_eq!(eth0.own_address(Family::V6, &vips), Some(address("fe80::11")));
    eth0.tentative.push(address("fe80::11"));
    assert_eq!(eth0.own_address(Family::V6, &vips), None, "nothing can be sent from it yet");
    assert_eq!(interface("eth1", &["2001:db8::11/64"]).own_address(Family::V4, &vips), None);
}

#[test]
fn the_table_of_prefixes() {
    let of = |vips: &[&str], interface: Option<Interface>| {
        let vips: Vec<_> = vips
            .iter()
            .map(|vip| match vip.split_once('/') {
                Some((vip, prefix)) => (address(vip), Some(prefix.parse().unwrap())),
                None => (address(vip), None),
            })
            .collect();
        prefixes(&vips, interface.as_ref()).into_iter().map(|(_, prefix)| prefix).collect::<Vec<_>>()
    };
    let eth0 = Some(interface("eth0", &["10.10.10.11/24"]));
    assert_eq!(of(&["10.10.10.2/24"], eth0.clone()), [32], "never beside the host's own");
    assert_eq!(of(&["10.10.10.2"], eth0.clone()), [32]);
    assert_eq!(of(&["192.0.2.2/28"], eth0.clone()), [28], "the host has no address there");
    assert_eq!(of(&["192.0.2.2"], eth0.clone()), [32]);
    assert_eq!(of(&["10.10.10.2/16"], eth0), [32], "a wider net that contains the host's");
    assert_eq!(
        of(&["10.10.10.2/24"], Some(interface("eth0", &["10.10.10.2/24"]))),
        [24],
        "itself does not count"
    );
    assert_eq!(of(&["10.10.10.2/24", "10.10.10.3/24"], None), [24, 32], "nor hangs one of ours on the other");
    assert_eq!(of(&["10.10.10.2/24", "10.10.11.3/24"], None), [24, 24]);

    let eth0 = Some(interface("eth0", &["10.10.10.11/24", "2001:db8::11/64", "fe80::11/64"]));
    assert_eq!(of(&["2001:db8::2/64"], eth0.clone()), [128], "beside the host's own");
    assert_eq!(of(&["2001:db8::2", "fe80::2/64"], eth0.clone()), [128, 128]);
    assert_eq!(of(&["2001:db8:1::2/64"], eth0.clone()), [64], "the host has no address there");
    assert_eq!(of(&["10.10.10.2/24", "2001:db8::2/64", "192.0.2.2/28"], eth0), [32, 128, 28]);
    assert_eq!(of(&["2001:db8::2/64", "2001:db8::3/64"], None), [64, 128]);
}

#[test]
fn what_the_kernel_lists() {
    on_host(|| {
        ip("addr add 192.0.2.7/28 dev eth0 label eth0:7");
        let all = list().unwrap();
        let eth0 = all.iter().find(|interface| interface.name == "eth0").unwrap();
        assert_eq!(*eth0, interface("eth0", &["10.10.10.11/24", "192.0.2.7/28"]));
        let eth1 = all.iter().find(|interface| interface.name == "eth1").unwrap();
        assert_eq!(*eth1, interface("eth1", &[]), "an interface without an address is one, too");
        assert!(all.iter().find(|interface| interface.name == "lo").unwrap().loopback);
        assert_eq!(local_addresses().unwrap(), [address("10.10.10.11"), address("192.0.2.7")]);

        ip("addr add fe80::11/64 dev eth1 nodad");
        ip("addr add 2001:db8::11/64 dev eth1 nodad");
        ip("addr add 2001:db8::12/128 dev eth1"); // Duplicate address detection takes a second.
        let all = list().unwrap();
        let eth1 = all.iter().find(|interface| interface.name == "eth1").unwrap();
        assert_eq!(eth1.tentative, [address("2001:db8::12")]);
        let mut nets = eth1.addresses.clone();
        nets.sort();
        assert_eq!(nets, interface("", &["2001:db8::11/64", "2001:db8::12/128", "fe80::11/64"]).addresses);
        let local = local_addresses().unwrap();
        assert!(
            local.contains(&address("fe80::11")) && !local.contains(&address("2001:db8::12")),
            "{local:?}"
        );
        eventually("it can be used", || local_addresses().unwrap().contains(&address("2001:db8::12")));
    });
}

#[test]
fn the_source_with_a_list_of_peers() {
    on_host(|| {
        let local = local_addresses().unwrap();
        let [own, peer, far] = ["10.10.10.11", "10.10.10.12", "203.0.113.5"].map(address);
        assert_eq!(source_for(&[peer, own], &local, None).unwrap(), own, "the local one in it");
        assert_eq!(source_for(&[peer], &local, None).unwrap(), own, "else the routed one");
        assert!(source_for(&[far], &local, None).is_err(), "no route yet");
        ip("addr add 192.0.2.7/28 dev eth1");
        ip("route add 203.0.113.0/24 via 192.0.2.1");
        assert_eq!(source_for(&[far], &local, None).unwrap(), address("192.0.2.7"));
        assert!(source_for(&[], &local, None).is_err());
    });
}

#[test]
fn the_source_with_a_list_of_ipv6_peers() {
    on_host(|| {
        let [peer, near, own] = ["2001:db8::12", "fe80::12", "2001:db8::11"].map(address);
        assert!(source_for(&[peer], &[], None).is_err(), "no route yet");
        ip("addr add 2001:db8::11/64 dev eth0 nodad");
        ip("addr add fe80::11/64 dev eth0 nodad");
        ip("addr add fe80::21/64 dev eth1 nodad");
        let local = local_addresses().unwrap();
        assert_eq!(source_for(&[peer, own], &local, None).unwrap(), own, "the local one in it");
        assert_eq!(source_for(&[peer], &local, None).unwrap(), own, "else the routed one");
        assert_eq!(source_for(&[near], &local, Some("eth0")).unwrap(), address("fe80::11"));
        assert_eq!(source_for(&[near], &local, Some("eth1")).unwrap(), address("fe80::21"));
        assert!(source_for(&[near], &local, None).is_err(), "behind which interface?");
        assert_eq!(
            source_for(&[peer], &local, Some("eth1")).unwrap(),
            own,
            "a global one needs no interface"
        );
    });
}
