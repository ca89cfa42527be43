//! Adverts with both kinds of authentication: the password of version 2, and the HMAC trailer.

use outrider::core::auth::Verdict;
use outrider::wire::advert::{Auth, Decoded, decode, encode};
use outrider::wire::auth::{Key, TRAILER, sign, verify};
use std::net::IpAddr;

/// The first byte chooses the addresses and whether there is a trailer, the second one what is damaged in the end. The
/// rest is the payload of a datagram, as it is and with a right checksum.
pub fn run(data: &[u8]) {
    let [choice, damage, payload @ ..] = data else { return };
    let source: IpAddr = if choice & 1 == 0 { [10, 10, 10, 11].into() } else { "fe80::11".parse().unwrap() };
    let destination: IpAddr = match choice & 3 {
        0 => [224, 0, 0, 18].into(),
        2 => [10, 10, 10, 12].into(),
        1 => "ff02::12".parse().unwrap(),
        _ => "fe80::12".parse().unwrap(),
    };
    check(payload, source, destination, *damage);
    for trailer in [0, TRAILER] {
        for pseudo in [true, false] {
            check(&repaired(payload, source, destination, trailer, pseudo), source, destination, *damage);
        }
    }
}

fn check(payload: &[u8], source: IpAddr, destination: IpAddr, damage: u8) {
    let decoded = match decode(payload, source, destination) {
        Ok(decoded) => decoded,
        Err(malformed) => {
            let _ = malformed.to_string();
            return;
        }
    };
    let Decoded { advert, auth, trailer, checksum } = decoded;
    assert!(advert.vrid != 0 && !advert.interval.is_zero() && !advert.addresses.is_empty());
    assert!(advert.addresses.iter().all(|address| address.is_ipv4() == source.is_ipv4()));
    let pass = match auth {
        Auth::Pass(password) => Some(password),
        Auth::None | Auth::Other(_) => None,
    };
    let mut message = encode(&advert, checksum, source, destination, pass);
    let again = decode(&message, source, destination).expect("our own adverts are valid");
    assert_eq!(again.advert, advert);
    assert!(pass.is_none() || again.auth == auth, "a password is read as another one");

    let Some(trailer) = trailer else { return };
    let keys = [Key::new(1, &[0x11; 32]).unwrap(), Key::new(trailer.key.max(2), &[0x22; 64]).unwrap()];
    let verdict = verify(payload, source, &keys);
    assert_ne!(verdict, Verdict::Valid, "nobody knows the keys");
    sign(&mut message, source, destination, &keys[1], trailer.stamp);
    let signed = decode(&message, source, destination).expect("our own signed adverts are valid");
    assert_eq!(signed.advert, advert);
    assert_eq!(signed.trailer.map(|signed| signed.stamp), Some(trailer.stamp));
    assert_eq!(verify(&message, source, &keys), Verdict::Valid);
    let position = usize::from(damage) * message.len() / 256;
    message[position] ^= 1 << (damage % 8);
    // The checksum is not signed, it only has to be right.
    if !(6..8).contains(&position) {
        assert_ne!(verify(&message, source, &keys), Verdict::Valid, "byte {position} may be changed");
    }
    let _ = decode(&message, source, destination);
}

/// With a right checksum. A trailer is not covered over IPv4; a pseudo-header is, over IPv6 always, over IPv4 by
/// some.
fn repaired(payload: &[u8], source: IpAddr, destination: IpAddr, trailer: usize, pseudo: bool) -> Vec<u8> {
    let mut payload = payload.to_vec();
    let covered = if source.is_ipv6() { payload.len() } else { payload.len().saturating_sub(trailer) };
    let message = &mut payload[..covered];
    if message.len() < 8 {
        return payload;
    }
    message[6..8].fill(0);
    let length = message.len() as u16;
    let header = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) if pseudo => {
            [&source.octets()[..], &destination.octets(), &[0, 112], &length.to_be_bytes()].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            [&source.octets()[..], &destination.octets(), &[0, 0], &length.to_be_bytes(), &[0, 0, 0, 112]]
                .concat()
        }
        _ => Vec::new(),
    };
    let sum = super::checksum(&[&header, message]);
    message[6..8].copy_from_slice(&sum.to_be_bytes());
    payload
}
