//! Rancher's answers: `/self/host`, `/hosts` and `/services` in one document, which is also what the state file holds.

use outrider::core::members::{Member, Standing, priority};
use outrider::metadata::model::answer::Reading;
use outrider::metadata::model::{Refusal, condense, interpret};
use outrider::metadata::{Local, Settings, Snapshot};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The first byte chooses the settings, the rest is the document.
pub fn run(data: &[u8]) {
    let [choice, document @ ..] = data else { return };
    let settings = Settings {
        host_label: vec![("role".to_owned(), "load-balancer".to_owned())],
        balancers: match choice & 1 {
            0 => BTreeSet::from([None]),
            _ => BTreeSet::from([None, Some(("default".to_owned(), "lb-a".to_owned()))]),
        },
    };
    let local = Local {
        addresses: ["10.0.0.11", "172.17.0.1", "fd00::11"].map(|text| text.parse().unwrap()).to_vec(),
        hostname: "lb1".to_owned(),
    };
    if let Ok(reading) = serde_json::from_slice(document) {
        check(&reading, &settings, &local);
    }
    // The service lists things in any order.
    let Ok(value) = serde_json::from_slice::<Value>(document) else { return };
    let told = |value: &Value| Some(understand(&Reading::deserialize(value).ok()?, &settings, &local));
    assert_eq!(told(&value), told(&reversed(&value)), "the order of a list counts");
}

fn understand(reading: &Reading, settings: &Settings, local: &Local) -> Result<Snapshot, Refusal> {
    interpret(reading, settings, local).map(|(snapshot, _)| snapshot)
}

fn check(reading: &Reading, settings: &Settings, local: &Local) {
    let understood = understand(reading, settings, local);
    let mut condensed = reading.clone();
    condense(&mut condensed, settings);
    assert_eq!(understand(&condensed, settings, local), understood, "what is dropped has a say");
    let whole = |reading: &Reading| {
        reading.hosts.unreadable == 0 && reading.services.as_ref().is_none_or(|list| list.unreadable == 0)
    };
    if whole(reading) {
        let saved = serde_json::to_vec(reading).expect("a reading can be saved");
        let loaded: Reading = serde_json::from_slice(&saved).expect("what was saved can be loaded");
        assert_eq!(&loaded, reading, "the state file holds something else");
    }
    match understood {
        Ok(snapshot) => judge(&snapshot, local),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

fn judge(snapshot: &Snapshot, local: &Local) {
    let Snapshot { membership, me, agent_ips, ports } = snapshot;
    assert!(!snapshot.to_string().is_empty());
    assert!(local.addresses.contains(&me.address), "this host's address is not its own");
    if let Standing::Member(member) = &membership.me {
        assert_eq!((&member.id, member.address), (&me.uuid, me.address));
    }
    let others = &membership.others;
    assert!(others.is_sorted_by(|a, b| a.id < b.id), "members are not sorted, or not distinct");
    let addresses: BTreeSet<_> = others.iter().map(|member| member.address).collect();
    assert_eq!(addresses.len(), others.len(), "two members have one address");
    let usable = |member: &&Member| {
        let address = member.address;
        !(local.addresses.contains(&address) || address.is_unspecified() || address.is_loopback())
    };
    assert_eq!(others.iter().find(|member| !usable(member)), None);
    assert!(membership.all().filter_map(|member| member.priority).all(|own| (1..=254).contains(&own)));
    let mut ranks: Vec<usize> = membership.all().map(|member| membership.rank(&[7], 2, &member.id)).collect();
    ranks.sort_unstable();
    assert!(ranks.iter().copied().eq(0..ranks.len()), "two members have one rank");
    assert!(ranks.iter().all(|rank| (1..=254).contains(&priority(*rank, ranks.len()))));
    assert!(agent_ips.keys().all(|id| others.iter().any(|member| member.id == *id)));
    for ports in ports.values() {
        assert!(ports.is_sorted_by(|a, b| a.port < b.port) && ports.iter().all(|port| port.port != 0));
    }
}

/// The document with all lists the other way round.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().rev().map(reversed).collect(),
        Value::Object(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), reversed(value))).collect())
        }
        other => other.clone(),
    }
}
