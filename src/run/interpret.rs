//! What the metadata means to one virtual router: who takes part, and what is to be checked.

use crate::config::{CheckSetting, Peers, Router, Target, Transport};
use crate::core::members::Membership;
use crate::metadata::{self, Snapshot};
use std::net::IpAddr;

/// Who takes part in a virtual router whose adverts come from `source`.
///
/// # Errors
/// The metadata is not there yet, or knows a member by no address of the router's family.
pub fn membership(
    router: &Router,
    source: IpAddr,
    snapshot: Option<&Snapshot>,
) -> Result<Membership, String> {
    let snapshot = match (&router.peers, snapshot) {
        (Peers::List(peers), _) => return Ok(metadata::from_list(peers, source)),
        (Peers::None, _) => return Ok(metadata::from_list(&[], source)),
        (Peers::Rancher, None) => return Err("the metadata did not answer yet".to_owned()),
        (Peers::Rancher, Some(snapshot)) => snapshot,
    };
    let mut membership = snapshot.membership.clone();
    for member in &mut membership.others {
        // A label may name an address of the other family; Rancher's own address of the host remains.
        let agent_ip = snapshot.agent_ips.get(&member.id).copied();
        let of_family = |address: &IpAddr| address.is_ipv4() == source.is_ipv4();
        match [Some(member.address), agent_ip].into_iter().flatten().find(of_family) {
            Some(address) => member.address = address,
            // Nobody is addressed.
            None if router.transport == Transport::Multicast => {}
            None => {
                return Err(format!(
                    "{} is known by no {} address, but by {}: set its host label outrider.source, name the \
                     peers in OUTRIDER_PEERS, or set OUTRIDER_TRANSPORT=multicast",
                    member.name,
                    router.family(),
                    member.address
                ));
            }
        }
    }
    Ok(membership)
}

/// What is to be checked, or why that is not known.
pub fn targets(router: &Router, snapshot: Option<&Snapshot>) -> Result<Vec<Target>, String> {
    match (&router.check, snapshot) {
        (CheckSetting::These(targets), _) => Ok(targets.clone()),
        (CheckSetting::Published(_), None) => Err("the metadata did not answer yet".to_owned()),
        (CheckSetting::Published(wanted), Some(snapshot)) => {
            let ports = snapshot.ports_of(wanted);
            match wanted {
                None if ports.is_empty() => {
                    Err("no load balancer service publishes a TCP port on the member \
                                                 hosts; set OUTRIDER_LB or OUTRIDER_CHECK"
                        .to_owned())
                }
                Some((stack, service)) if ports.is_empty() => {
                    Err(format!("the service {stack}/{service} publishes no TCP port on the member hosts"))
                }
                _ => Ok(ports.iter().map(target).collect()),
            }
        }
    }
}

fn target(port: &metadata::PublishedPort) -> Target {
    match port.http {
        true => Target::Http { url: format!("http://127.0.0.1:{}/", port.port) },
        false => Target::Tcp { host: "127.0.0.1".to_owned(), port: port.port },
    }
}
