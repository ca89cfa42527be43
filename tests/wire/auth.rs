//! The HMAC-SHA256 trailer: the published vectors, every byte of them changed, keys and stamps.

use super::{GROUP, address, bytes, resum, resum6};
use outrider::core::advert::{Advert, Version};
use outrider::core::auth::{Stamp, Verdict};
use outrider::wire::advert::{Auth, ChecksumForm, Decoded, Fault, Malformed, decode, encode};
use outrider::wire::auth::{InvalidKey, Key, TRAILER, Trailer, sign, verify};
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

const STAMP: Stamp = Stamp { seconds: 0x6800_0000, fraction: 0x8000, counter: 0 };

/// A published vector: its key is `key()`.
struct Vector {
    payload: Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    advert: Advert,
    checksum: ChecksumForm,
    mac: &'static str,
}

/// The two of draft-cassen-vrrp-auth-hmac.
fn vectors() -> [Vector; 2] {
    let vector = |message, mac, source, destination, vip, checksum| Vector {
        payload: bytes(&format!("{message} 010100006800000080000000 {mac}")),
        source: address(source),
        destination,
        advert: Advert {
            version: Version::V3,
            vrid: 51,
            priority: 200,
            interval: Duration::from_secs(1),
            addresses: vec![address(vip)],
        },
        checksum,
        mac,
    };
    [
        vector(
            "3133c80100644402 c0000264",
            "1b84bc4e8e43892dc6d98448f8ee2265",
            "198.51.100.10",
            GROUP,
            "192.0.2.100",
            ChecksumForm::Message,
        ),
        vector(
            "3133c8010064a2e9 fe800000000000000000000000000100",
            "c8c56146ebfd66ee10ec4d8186461b78",
            "fe80::10",
            address("fe80::20"),
            "fe80::100",
            ChecksumForm::PseudoHeader,
        ),
    ]
}

fn secret() -> Vec<u8> {
    (0..32).collect()
}

fn key() -> Key {
    Key::new(1, &secret()).unwrap()
}

#[test]
fn the_published_vectors_are_understood_and_valid() {
    for Vector { payload, source, destination, advert, checksum, mac } in vectors() {
        let trailer = Trailer { key: 1, stamp: STAMP, mac: bytes(mac).try_into().unwrap() };
        let decoded = Decoded { advert, auth: Auth::None, trailer: Some(trailer), checksum };
        assert_eq!(decode(&payload, source, destination), Ok(decoded));
        assert_eq!(verify(&payload, source, &[key()]), Verdict::Valid);
    }
}

#[test]
fn the_published_vectors_are_written_byte_for_byte() {
    for Vector { payload, source, destination, advert, checksum, .. } in vectors() {
        let mut message = encode(&advert, checksum, source, destination, None);
        sign(&mut message, source, destination, &key(), STAMP);
        assert_eq!(message, payload);
    }
}

#[test]
fn every_change_of_every_byte_is_refused() {
    for Vector { payload, source, destination, .. } in vectors() {
        for offset in 0..payload.len() {
            for change in 1..=255 {
                let mut changed = payload.clone();
                changed[offset] ^= change;
                let refused = decode(&changed, source, destination).is_err()
                    || verify(&changed, source, &[key()]) != Verdict::Valid;
                assert!(refused, "byte {offset} changed by {change:#x}");
            }
        }
    }
}

/// Whoever changes a message can put its checksum right: the code alone has to find it out.
#[test]
fn every_change_with_a_good_checksum_is_refused() {
    for Vector { payload, source, destination, .. } in vectors() {
        for offset in (0..payload.len()).filter(|offset| !(6..8).contains(offset)) {
            for change in 1..=255 {
                let mut changed = payload.clone();
                changed[offset] ^= change;
                match source {
                    IpAddr::V4(_) => resum(&mut changed[..12]),
                    IpAddr::V6(_) => resum6(&mut changed, source, destination),
                }
                let verdict = verify(&changed, source, &[key()]);
                // The second byte of the trailer.
                let expected =
                    if offset == payload.len() - TRAILER + 1 { Verdict::UnknownKey } else { Verdict::Wrong };
                assert_eq!(verdict, expected, "byte {offset} changed by {change:#x}");
            }
        }
    }
}

#[test]
fn a_trailer_holds_for_its_sender_alone() {
    for Vector { payload, source, .. } in vectors() {
        let other = if source.is_ipv4() { "198.51.100.11" } else { "fe80::11" };
        assert_eq!(verify(&payload, address(other), &[key()]), Verdict::Wrong);
    }
    // 198.51.100.10 and zeros are the bytes of c633:640a::, but not its family.
    assert_eq!(verify(&vectors()[0].payload, address("c633:640a::"), &[key()]), Verdict::Wrong);
}

#[test]
fn the_checksum_of_ipv6_covers_the_trailer_and_the_one_of_ipv4_does_not() {
    let [v4, v6] = vectors();
    let last = |vector: &Vector| {
        let mut changed = vector.payload.clone();
        *changed.last_mut().unwrap() ^= 1;
        decode(&changed, vector.source, vector.destination).map(|_| ()).map_err(|error| error.fault)
    };
    assert_eq!(last(&v4), Ok(()));
    assert_eq!(last(&v6), Err(Fault::Checksum));
}

#[test]
fn the_key_is_found_by_its_id() {
    let other = |id| Key::new(id, &[7; 64]).unwrap();
    let Vector { payload, source, .. } = &vectors()[0];
    let verdict = |keys: &[Key]| verify(payload, *source, keys);
    assert_eq!(verdict(&[]), Verdict::UnknownKey);
    assert_eq!(verdict(&[other(2), other(255)]), Verdict::UnknownKey);
    assert_eq!(verdict(&[other(1)]), Verdict::Wrong);
    // As while keys are rotated: the new one first.
    assert_eq!(verdict(&[other(2), key()]), Verdict::Valid);
    assert_eq!(verdict(&[other(1), key()]), Verdict::Wrong);
}

#[test]
fn one_bit_of_the_secret_makes_another_key() {
    let Vector { payload, source, .. } = &vectors()[0];
    for bit in 0..256 {
        let mut secret = secret();
        secret[bit / 8] ^= 1 << (bit % 8);
        let key = Key::new(1, &secret).unwrap();
        assert_eq!(verify(payload, *source, &[key]), Verdict::Wrong, "bit {bit}");
    }
}

#[test]
fn every_truncation_is_refused() {
    for Vector { payload, source, destination, .. } in vectors() {
        let expected = payload.len() - TRAILER;
        for length in 0..payload.len() {
            let cut = &payload[..length];
            assert_ne!(verify(cut, source, &[key()]), Verdict::Valid);
            let fault = match length {
                0..8 => Fault::Short(length),
                // The trailer is gone, and the checksum of IPv6 no longer fits.
                _ if length == expected && source.is_ipv4() => {
                    assert_eq!(decode(cut, source, destination).unwrap().trailer, None);
                    continue;
                }
                _ if length == expected => Fault::Checksum,
                _ => Fault::Length { expected, got: length },
            };
            let vrid = (length >= 8).then_some(51);
            assert_eq!(decode(cut, source, destination), Err(Malformed { vrid, fault }));
        }
    }
}

#[test]
fn what_follows_a_trailer_is_refused() {
    for Vector { payload, source, destination, .. } in vectors() {
        let expected = payload.len() - TRAILER;
        for more in 1..=2 * TRAILER {
            let mut padded = payload.clone();
            padded.resize(payload.len() + more, 0);
            let fault = Fault::Length { expected, got: padded.len() };
            assert_eq!(decode(&padded, source, destination), Err(Malformed { vrid: Some(51), fault }));
        }
    }
}

#[test]
fn a_trailer_of_another_type_is_named() {
    for Vector { mut payload, source, destination, .. } in vectors() {
        let offset = payload.len() - TRAILER;
        payload[offset] = 2;
        if source.is_ipv6() {
            resum6(&mut payload, source, destination);
        }
        let error = decode(&payload, source, destination).unwrap_err();
        assert_eq!(error, Malformed { vrid: Some(51), fault: Fault::Trailer(2) });
        assert_eq!(error.to_string(), "an authentication trailer of type 2; known is 1 (HMAC-SHA256)");
        assert_eq!(verify(&payload, source, &[key()]), Verdict::Wrong);
    }
}

#[test]
fn version_2_carries_a_password_and_a_trailer() {
    let Vector { source, destination, advert, .. } = &vectors()[0];
    let advert = Advert { version: Version::V2, ..advert.clone() };
    for pass in [None, Some(*b"1111\0\0\0\0")] {
        let mut message = encode(&advert, ChecksumForm::Message, *source, *destination, pass);
        let bare = message.clone();
        sign(&mut message, *source, *destination, &key(), STAMP);
        assert_eq!((&message[..20], message.len()), (&*bare, 48));
        let decoded = decode(&message, *source, *destination).unwrap();
        assert_eq!(decoded.advert, advert);
        assert_eq!(decoded.auth, pass.map_or(Auth::None, Auth::Pass));
        assert_eq!(decoded.trailer.unwrap().stamp, STAMP);
        assert_eq!(verify(&message, *source, &[key()]), Verdict::Valid);
        // The password is authenticated, too.
        message[12] ^= 1;
        assert_eq!(verify(&message, *source, &[key()]), Verdict::Wrong);
    }
}

#[test]
fn keys_are_in_range() {
    let refused = |id, length| Key::new(id, &vec![1; length]).err().map(|error| error.to_string());
    assert_eq!(refused(0, 32).unwrap(), "key id 0; valid are 1 to 255");
    assert_eq!(refused(1, 31).unwrap(), "a key of 31 bytes; it takes 32 to 64");
    assert_eq!(refused(255, 65).unwrap(), "a key of 65 bytes; it takes 32 to 64");
    assert_eq!(refused(1, 0).unwrap(), "a key of 0 bytes; it takes 32 to 64");
    assert_eq!((refused(1, 32), refused(255, 64)), (None, None));
    assert_eq!(Key::new(0, &[]).unwrap_err(), InvalidKey::Id);
    assert_eq!(Key::new(9, &secret()).unwrap().id(), 9);
}

#[test]
fn a_key_is_not_printed() {
    assert_eq!(format!("{:?}", Key::new(7, &secret()).unwrap()), "Key(7, ..)");
}

fn at(clock: Duration) -> Stamp {
    Stamp::next(clock, None)
}

#[test]
fn a_stamp_is_the_time() {
    let stamp = at(Duration::new(0x6800_0000, 500_000_000));
    assert_eq!(stamp, STAMP);
    assert_eq!(u64::from(stamp), 0x6800_0000_8000_0000);
    assert_eq!(stamp.time(), Duration::new(0x6800_0000, 500_000_000));
    let last = at(Duration::new(1, 999_999_999));
    assert_eq!(last, Stamp { seconds: 1, fraction: 0xffff, counter: 0 });
    assert_eq!(at(Duration::MAX).seconds, u32::MAX);
}

#[test]
fn stamps_grow_whatever_the_clock_does() {
    let stamp = |seconds, fraction, counter| Stamp { seconds, fraction, counter };
    let next = |now: Stamp, last| Stamp::next(now.time(), Some(last));
    let last = stamp(10, 20, 30);
    // It goes on, stands still, goes back.
    assert_eq!(next(stamp(10, 21, 0), last), stamp(10, 21, 0));
    assert_eq!(next(stamp(10, 20, 0), last), stamp(10, 20, 31));
    assert_eq!(next(stamp(9, 60_000, 0), last), stamp(10, 20, 31));
    assert_eq!(next(stamp(10, 20, 0), stamp(10, 20, 0)), stamp(10, 20, 1));
    // The counter carries into the fraction, the fraction into the seconds.
    assert_eq!(next(stamp(0, 0, 0), stamp(10, 20, 0xffff)), stamp(10, 21, 0));
    assert_eq!(next(stamp(0, 0, 0), stamp(10, 0xffff, 0xffff)), stamp(11, 0, 0));
    // The end of time.
    let end = Stamp::from(u64::MAX);
    assert_eq!(next(end, end), end);
}

proptest! {
    #[test]
    fn stamps_keep_their_tick_and_their_order(
        a in any::<u64>(),
        b in any::<u64>(),
        seconds in any::<u32>(),
        nanos in 0..1_000_000_000u32,
    ) {
        prop_assert_eq!(u64::from(Stamp::from(a)), a);
        prop_assert_eq!(Stamp::from(a).cmp(&Stamp::from(b)), a.cmp(&b));
        let tick = Stamp { counter: 0, ..Stamp::from(a) };
        prop_assert_eq!(at(tick.time()), tick);
        let clock = Duration::new(seconds.into(), nanos);
        let read = at(clock).time();
        prop_assert!(read <= clock + Duration::from_nanos(1) && clock - read.min(clock) < Duration::from_micros(16));
    }

    #[test]
    fn a_sequence_of_stamps_grows(clocks in proptest::collection::vec((0..100u64, 0..1_000_000_000u32), 1..100)) {
        let mut last = at(Duration::from_secs(50));
        for (seconds, nanos) in clocks {
            let now = Duration::new(seconds, nanos);
            let next = Stamp::next(now, Some(last));
            prop_assert!(next > last && next >= at(now));
            last = next;
        }
    }
}
