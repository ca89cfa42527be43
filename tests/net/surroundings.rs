//! The default gateway, and neighbour entries.

use super::host::{eventually, in_namespace, ip, on_host};
use outrider::net::{Family, gateway, neighbour};
use std::net::IpAddr;

fn with_netlink<T>(what: impl AsyncFnOnce(rtnetlink::Handle) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        what(handle).await
    })
}

fn gateways(interface: &'static str) -> [Option<String>; 2] {
    with_netlink(async |handle| {
        let of = async |family| gateway::find(&handle, interface, family).await.unwrap();
        let [v4, v6] = [of(Family::V4).await, of(Family::V6).await];
        [v4, v6].map(|gateway| gateway.map(|gateway| gateway.to_string()))
    })
}

#[test]
fn each_family_has_a_gateway_of_its_own() {
    on_host(|| {
        ip("addr add 2001:db8::11/64 dev eth0 nodad");
        assert_eq!(gateways("eth0"), [None, None]);
        ip("route add default via 10.10.10.1");
        assert_eq!(gateways("eth0"), [Some("10.10.10.1".to_owned()), None]);
        ip("-6 route add default via fe80::1 dev eth0");
        assert_eq!(gateways("eth0"), ["10.10.10.1", "fe80::1"].map(|gateway| Some(gateway.to_owned())));
        ip("-6 route replace default via 2001:db8::1");
        assert_eq!(gateways("eth0")[1].as_deref(), Some("2001:db8::1"));
        assert_eq!(gateways("eth1"), [None, None], "behind the other interface");
        assert!(with_netlink(async |handle| gateway::find(&handle, "eth9", Family::V6).await.is_err()));
    });
}

#[test]
fn a_peers_neighbour_entry_is_made_and_kept_fresh() {
    on_host(|| {
        // The kernel asks from its link-local address.
        ip("addr add fe80::11/64 dev eth0 nodad");
        ip("addr add 2001:db8::11/64 dev eth0 nodad");
        let (tell, told) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel();
        let (end, at_end) = std::sync::mpsc::channel::<()>();
        let peer = std::thread::spawn(move || {
            in_namespace(move || {
                tell.send(nix::unistd::gettid()).unwrap();
                may_go.recv().unwrap();
                ip("addr add 10.10.10.12/24 dev peer0");
                ip("addr add fe80::12/64 dev peer0 nodad");
                ip("addr add 2001:db8::12/64 dev peer0 nodad");
                ip("link set peer0 up");
                let _ = at_end.recv();
            });
        });
        ip(&format!("link set peer0 netns {}", told.recv().unwrap()));
        go.send(()).unwrap();
        for address in ["10.10.10.12", "2001:db8::12"] {
            let peer: IpAddr = address.parse().unwrap();
            let known = |state: &str| {
                with_netlink(async |handle| neighbour::refresh(&handle, "eth0", peer).await).unwrap();
                ip(&format!("neighbour show {address} dev eth0")).contains(state)
            };
            eventually("its hardware address is known", || known("REACHABLE"));
            ip(&format!("neighbour change {address} dev eth0 nud stale"));
            eventually("it is asked for again", || known("DELAY") || known("REACHABLE"));
        }
        drop(end);
        peer.join().unwrap();
    });
}
