//! Whatever may be sent, and whatever may come.

use super::{GROUP, GROUP6, address, resum, resum6};
use outrider::core::advert::{Advert, Version};
use outrider::wire::advert::{Auth, ChecksumForm, decode, encode};
use outrider::wire::arp;
use outrider::wire::auth::{self, Key, Stamp, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

/// An advert on its way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub advert: Advert,
    pub form: ChecksumForm,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub pass: Option<[u8; 8]>,
    pub signature: Option<Signature>,
}

#[derive(Clone, Debug)]
pub struct Signature {
    pub id: u8,
    pub secret: Vec<u8>,
    pub stamp: Stamp,
}

impl Sent {
    /// The message with its trailer, if it has one.
    pub fn write(&self) -> Vec<u8> {
        let mut message = encode(&self.advert, self.form, self.source, self.destination, self.pass);
        if let Some(signature) = &self.signature {
            auth::sign(&mut message, self.source, self.destination, &signature.key(), signature.stamp);
        }
        message
    }
}

impl Signature {
    pub fn key(&self) -> Key {
        Key::new(self.id, &self.secret).unwrap()
    }
}

pub fn any_sent() -> impl Strategy<Value = Sent> {
    any_advert().prop_flat_map(|advert| {
        let v6 = advert.addresses[0].is_ipv6();
        let group = if v6 { GROUP6 } else { GROUP };
        let destination = prop_oneof![3 => any_address(v6), 1 => Just(group)];
        let pass = match advert.version {
            Version::V2 => any::<Option<[u8; 8]>>().boxed(),
            Version::V3 => Just(None).boxed(),
        };
        (Just(advert), any_form(), any_address(v6), destination, pass, proptest::option::of(any_signature()))
            .prop_map(|(advert, form, source, destination, pass, signature)| Sent {
                advert,
                form,
                source,
                destination,
                pass,
                signature,
            })
    })
}

/// Version 2 over IPv4, version 3 over both.
fn any_advert() -> impl Strategy<Value = Advert> {
    let version =
        prop_oneof![Just((Version::V2, false)), Just((Version::V3, false)), Just((Version::V3, true))];
    version.prop_flat_map(|(version, v6)| {
        let few = vec(any_address(v6), 1..=6);
        let addresses = prop_oneof![19 => few, 1 => vec(any_address(v6), 1..=255)];
        (1..=255u8, any::<u8>(), 1..=4095u64, addresses).prop_map(
            move |(vrid, priority, number, addresses)| {
                let interval = match version {
                    Version::V2 => Duration::from_secs(number % 255 + 1),
                    Version::V3 => Duration::from_millis(10 * number),
                };
                Advert { version, vrid, priority, interval, addresses }
            },
        )
    })
}

fn any_address(v6: bool) -> BoxedStrategy<IpAddr> {
    if v6 {
        any::<[u8; 16]>().prop_map(IpAddr::from).boxed()
    } else {
        any::<[u8; 4]>().prop_map(IpAddr::from).boxed()
    }
}

fn any_form() -> impl Strategy<Value = ChecksumForm> {
    prop_oneof![Just(ChecksumForm::PseudoHeader), Just(ChecksumForm::Message), Just(ChecksumForm::OldUnicast)]
}

fn any_signature() -> impl Strategy<Value = Signature> {
    (1..=255u8, vec(any::<u8>(), 32..=64), any::<u64>()).prop_map(|(id, secret, sequence)| Signature {
        id,
        secret,
        stamp: Stamp::from(sequence),
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(sent in any_sent()) {
        let message = sent.write();
        let decoded = decode(&message, sent.source, sent.destination).unwrap();
        prop_assert_eq!(decoded.auth, sent.pass.map_or(Auth::None, Auth::Pass));
        let trailer = sent.signature.as_ref().map(|signature| (signature.id, signature.stamp));
        prop_assert_eq!(decoded.trailer.map(|trailer| (trailer.key, trailer.stamp)), trailer);
        if let Some(signature) = &sent.signature {
            let others = [Key::new(!signature.id | 1, &[7; 32]).unwrap(), signature.key()];
            let verdict = auth::verify(&message, sent.source, &others);
            // Only by chance is it an id of the other key.
            let expected = if others[0].id() == signature.id { Verdict::Wrong } else { Verdict::Valid };
            prop_assert_eq!(verdict, expected);
        }
        // Whatever form it is taken for, it is one that yields the same message.
        let again = Sent { form: decoded.checksum, ..sent.clone() };
        prop_assert_eq!(again.write(), message);
        prop_assert_eq!(decoded.advert, sent.advert);
    }

    #[test]
    fn any_bytes_are_borne(message in vec(any::<u8>(), 0..1200), ends in any::<(IpAddr, IpAddr)>()) {
        let _ = decode(&message, ends.0, ends.1);
        prop_assert_ne!(auth::verify(&message, ends.0, &[Key::new(1, &[1; 32]).unwrap()]), Verdict::Valid);
        let _ = arp::decode(&message);
        let _ = arp::decode_frame(&message);
    }

    /// Random bytes hardly ever get past the checksum: these do.
    #[test]
    fn any_bytes_with_a_good_checksum_are_borne(
        mut message in vec(any::<u8>(), 8..140),
        version in 1..=4u8,
        v6 in any::<bool>(),
        fits in any::<bool>(),
        trailer in any::<bool>(),
    ) {
        let (from, to) = if v6 { ("fe80::1", "fe80::2") } else { ("10.0.0.1", "10.0.0.2") };
        let (from, to) = (address(from), address(to));
        let (width, after) = (if v6 { 16 } else { 4 }, if version == 2 { 8 } else { 0 });
        message[0] = version << 4 | 1;
        if fits {
            message[3] = (message.len().saturating_sub(8 + after) / width) as u8;
            message.truncate(8 + width * usize::from(message[3]) + after);
            message.resize(8 + width * usize::from(message[3]) + after, 0);
        }
        if trailer {
            if !v6 {
                resum(&mut message);
            }
            message.extend([1; 28]);
        } else if !v6 {
            resum(&mut message);
        }
        if v6 {
            resum6(&mut message, from, to);
        }
        let good = fits && message[1] != 0 && message[3] != 0 && match version {
            2 => !v6 && message[5] != 0,
            3 => message[4] & 0xf != 0 || message[5] != 0,
            _ => false,
        };
        match decode(&message, from, to) {
            Ok(decoded) => {
                prop_assert_eq!(decoded.advert.addresses.len(), usize::from(message[3]));
                prop_assert!(!decoded.advert.interval.is_zero() && decoded.advert.vrid != 0);
                prop_assert_eq!(decoded.trailer.is_some(), trailer);
            }
            Err(malformed) => {
                prop_assert!(!good, "{malformed}");
                prop_assert!(!malformed.to_string().is_empty());
            }
        }
    }

    #[test]
    fn any_message_is_written(
        version in prop_oneof![Just(Version::V2), Just(Version::V3)],
        vrid in any::<u8>(),
        priority in any::<u8>(),
        interval in any::<Duration>(),
        addresses in vec(any::<IpAddr>(), 0..600),
        form in any_form(),
        ends in any::<(IpAddr, IpAddr)>(),
        mut other in vec(any::<u8>(), 0..40),
    ) {
        let advert = Advert { version, vrid, priority, interval, addresses };
        let mut message = encode(&advert, form, ends.0, ends.1, None);
        prop_assert!(message.len() <= 8 + 255 * 16 + 8);
        let key = Key::new(1, &[1; 32]).unwrap();
        for message in [&mut message, &mut other] {
            let length = message.len();
            auth::sign(message, ends.0, ends.1, &key, Stamp::from(1));
            prop_assert_eq!(message.len(), length + auth::TRAILER);
        }
    }
}
