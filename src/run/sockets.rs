//! The sockets of one virtual router on one interface, and what goes through them.

use super::place::Place;
use crate::config::{Checksum, Router};
use crate::core::Heard;
use crate::core::advert::Advert;
use crate::net::announce::Announcer;
use crate::net::vrrp::{Received, Receiver, Sender};
use crate::wire::advert::{ChecksumForm, GROUP, decode, encode};
use anyhow::Result;
use std::net::{IpAddr, Ipv4Addr};

/// Open sockets.
pub struct Sockets {
    sender: Sender,
    /// Adverts of others.
    pub receiver: Receiver,
    /// ARP.
    pub announcer: Announcer,
}

impl Sockets {
    /// Opens all of them.
    ///
    /// # Errors
    /// A capability, the interface or the source address is missing.
    pub fn open(place: &Place) -> Result<Sockets> {
        Ok(Sockets {
            sender: Sender::open(&place.interface, place.source)?,
            receiver: Receiver::open(&place.interface)?,
            announcer: Announcer::open(&place.interface)?,
        })
    }

    /// Sends an advert to each receiver; tells the errors.
    pub fn advertise(&self, router: &Router, source: Ipv4Addr, priority: u8, to: &[IpAddr]) -> Vec<String> {
        let advert = Advert {
            version: router.version,
            vrid: router.vrid,
            priority,
            interval: router.interval,
            addresses: router.advertised(),
        };
        let form = match router.checksum {
            Checksum::PseudoHeader => ChecksumForm::PseudoHeader,
            Checksum::Message => ChecksumForm::Message,
        };
        let mut errors = Vec::new();
        for peer in to {
            // The virtual router is IPv4: a member that is known by an IPv6 address cannot be told.
            let IpAddr::V4(peer) = *peer else { continue };
            let message = encode(&advert, form, source, peer, None);
            if let Err(error) = self.sender.send(&message, peer) {
                errors.push(format!("an advert to {peer} could not be sent: {error}"));
            }
        }
        errors
    }
}

/// What a datagram of protocol 112 means for this virtual router.
pub enum Meaning {
    /// An advert.
    Advert(Heard),
    /// Broken, but meant for our virtual router.
    Rejected {
        /// Sender.
        from: IpAddr,
        /// What is wrong, for people.
        why: String,
    },
    /// Nothing to us.
    Nothing,
}

/// Reads a datagram.
pub fn understand(received: &Received, source: Ipv4Addr, vrid: u8) -> Meaning {
    if received.destination != source && received.destination != GROUP {
        return Meaning::Nothing;
    }
    let from = IpAddr::V4(received.source);
    match decode(&received.payload, received.source, received.destination) {
        Ok(decoded) => Meaning::Advert(Heard { from, ttl: received.ttl, advert: decoded.advert }),
        Err(malformed) if malformed.vrid == Some(vrid) => {
            Meaning::Rejected { from, why: malformed.to_string() }
        }
        Err(malformed) => {
            tracing::debug!("datagram of {from}: {malformed}");
            Meaning::Nothing
        }
    }
}
