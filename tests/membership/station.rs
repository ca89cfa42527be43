//! A station that is no member: it speaks VRRP by hand, from the client's place.

use crate::support::*;
use outrider::core::advert::{Advert, Version};
use outrider::net::Family;
use outrider::net::announce::Announcer;
use outrider::net::vrrp::{Receiver, Sender};
use outrider::wire::advert::{ChecksumForm, decode, encode};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Its address.
pub const STATION: Ipv4Addr = Ipv4Addr::new(10, 10, 10, 100);
pub const INTERVAL: Duration = Duration::from_millis(200);

/// Sends adverts of this priority to all hosts, one interval after the other.
pub async fn advertise(site: &Site, priority: u8, times: u32) {
    let hosts: Vec<Ipv4Addr> = site.lab.hosts().iter().map(|host| host.address()).collect();
    let vip = site.vip;
    let sending = site.lab.client_namespace().run(async move {
        let sender = Sender::open("eth0", STATION.into()).unwrap();
        let advert = Advert {
            version: Version::V3,
            vrid: vip.octets()[3],
            priority,
            interval: INTERVAL,
            addresses: vec![vip.into()],
        };
        let mut ticks = tokio::time::interval(INTERVAL);
        for _ in 0..times {
            ticks.tick().await;
            for host in &hosts {
                let message =
                    encode(&advert, ChecksumForm::PseudoHeader, STATION.into(), (*host).into(), None);
                sender.send(&message, (*host).into()).unwrap();
            }
        }
    });
    sending.await.unwrap();
}

/// Has the agents look at the metadata at once: an advert of somebody who is not listed does that, and one with
/// priority 0 does nothing else.
pub async fn nudge(site: &Site) {
    advertise(site, 0, 1).await;
}

/// Waits for an advert sent by unicast from `from` to `to`, as seen on `to`'s network card, and returns its
/// priority.
pub async fn hears(
    site: &Site,
    from: Ipv4Addr,
    to: Ipv4Addr,
    wanted: impl Fn(u8) -> bool + Send + 'static,
) -> u8 {
    let namespace = match site.lab.hosts().iter().find(|host| host.address() == to) {
        Some(host) => host.namespace(),
        None => site.lab.client_namespace(),
    };
    let hearing = namespace.run(tokio::time::timeout(LIMIT, async move {
        let receiver = Receiver::open("eth0", Family::V4).unwrap();
        loop {
            let received = receiver.receive().await.unwrap();
            if (received.source, received.destination) != (IpAddr::V4(from), IpAddr::V4(to)) {
                continue;
            }
            let priority =
                decode(&received.payload, from.into(), to.into()).expect("a valid advert").advert.priority;
            if wanted(priority) {
                return priority;
            }
        }
    }));
    hearing.await.unwrap().expect("an advert")
}

/// The hardware address of a host, as the log writes it.
pub async fn mac(site: &Site, host: usize) -> String {
    let mac = site.host(host).namespace().run(async { Announcer::open("eth0").unwrap().mac().unwrap() });
    name(mac.await.unwrap())
}

/// Who said by ARP that the address is theirs, and when, from the start of this on. Ends with the client's place.
pub async fn claims(site: &Site) -> Arc<Mutex<Vec<(Instant, String)>>> {
    let claims = Arc::new(Mutex::new(Vec::new()));
    let (kept, vip) = (Arc::clone(&claims), site.vip);
    let opening = site.lab.client_namespace().run(async { Announcer::open("eth0").unwrap() });
    let announcer = opening.await.unwrap();
    site.lab.client_namespace().spawn(async move {
        while let Ok(claim) = announcer.heard().await {
            if claim.address == vip {
                kept.lock().unwrap().push((Instant::now(), name(claim.mac)));
            }
        }
    });
    claims
}

fn name(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
