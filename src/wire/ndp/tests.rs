use super::*;
use proptest::prelude::*;

const MAC: Mac = [2, 0, 0, 0xab, 0xcd, 0xef];
const US: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xb);
const PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Puts the checksum right again after a change.
fn resum(frame: &mut [u8]) {
    let message = Icmpv6Packet::new(&frame[54..]).unwrap();
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&frame[at..at + 16]).unwrap());
    let sum = checksum(&message, &address(22), &address(38));
    frame[56..58].copy_from_slice(&sum.to_be_bytes());
}

/// `frame` with other bytes at `offset` and its checksum put right.
fn with(frame: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    resum(&mut frame);
    frame
}

/// `frame` with other options, its length and its checksum put right.
fn with_options(frame: &[u8], options: &[u8]) -> Vec<u8> {
    let mut frame = [&frame[..54 + FIXED], options].concat();
    frame[19] = (FIXED + options.len()) as u8;
    resum(&mut frame);
    frame
}

// Offsets in a frame: Ethernet 0, IPv6 14 (payload length 18, next header 20, hop limit 21, source 22,
// destination 38), ICMPv6 54 (code 55, checksum 56, flags 58, target 62), options 78.

/// Captured from Linux 6.18: an interface that came up (`ndisc_notify`), a host that looks for another, its answer,
/// and duplicate address detection.
fn announced() -> Vec<u8> {
    bytes(
        "333300000001 020000abcdef 86dd 600000000020 3a ff 20010db800000000000000000000000b
         ff020000000000000000000000000001 8800 2a7d 20000000 20010db800000000000000000000000b 0201020000abcdef",
    )
}

fn asked() -> Vec<u8> {
    bytes(
        "3333ff000002 020000abcdef 86dd 600000000020 3a ff 20010db800000000000000000000000b
         ff0200000000000000000001ff000002 8700 4d83 00000000 20010db8000000000000000000000002 0101020000abcdef",
    )
}

fn answered() -> Vec<u8> {
    bytes(
        "020000abcdef 020000000002 86dd 600000000020 3a ff 20010db8000000000000000000000002
         20010db800000000000000000000000b 8800 8a67 60000000 20010db8000000000000000000000002 0201020000000002",
    )
}

fn detected() -> Vec<u8> {
    bytes(
        "3333ff000077 020000abcdef 86dd 600000000020 3a ff 00000000000000000000000000000000
         ff0200000000000000000001ff000077 8700 eba1 00000000 20010db8000000000000000000000077 0e0183c1002dce67",
    )
}

#[test]
fn frames_are_written_as_the_kernel_writes_them() {
    assert_eq!(announce(MAC, US), announced());
    assert_eq!(request(MAC, US, PEER), asked());
    // Without the kernel's nonce.
    let target = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77);
    assert_eq!(probe(MAC, target), with_options(&detected(), &[]));
}

#[test]
fn who_claims_what() {
    let ours = Claim { address: US, mac: MAC };
    let theirs = Claim { address: PEER, mac: [2, 0, 0, 0, 0, 2] };
    assert_eq!(decode_frame(&announced()), Some(ours));
    assert_eq!(decode_frame(&asked()), Some(ours));
    assert_eq!(decode_frame(&answered()), Some(theirs));
    assert_eq!(decode_frame(&detected()), None, "a probe");
    let padded = [announced(), vec![0xee; 6]].concat();
    assert_eq!(decode_frame(&padded), Some(ours));
    // The option wins over the frame, and need not be there.
    let foreign = with(&announced(), 6, &[2, 0, 0, 0, 0, 9]);
    assert_eq!(decode_frame(&foreign), Some(ours));
    assert_eq!(decode_frame(&with_options(&foreign, &[])).unwrap().mac, [2, 0, 0, 0, 0, 9]);
    // Of other options, and of another kind's.
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6, 1, 1, 9, 9, 9, 9, 9, 9, 2, 1, 2, 0, 0, 0xab, 0xcd, 0xef];
    assert_eq!(decode_frame(&with_options(&foreign, &nonce)), Some(ours));
}

#[test]
fn what_rfc_4861_has_discarded_claims_nothing() {
    for (what, offset, byte) in [
        ("ARP", 13, 0x06),
        ("version 4", 14, 0x40),
        ("longer than what came", 19, 33),
        ("cut off in its options", 19, 31),
        ("another protocol", 20, 17),
        ("forwarded by a router", 21, 254),
        ("echo request", 54, 128),
        ("router advertisement", 54, 134),
        ("redirect", 54, 137),
        ("code 1", 55, 1),
        ("solicited, but to a group", 58, 0x60),
        ("a group as target", 62, 0xff),
        ("an option without length", 79, 0),
        ("an option longer than the message", 79, 2),
        ("the longest option", 79, 255),
    ] {
        assert_eq!(decode_frame(&with(&announced(), offset, &[byte])), None, "{what}");
    }
    assert_eq!(decode_frame(&with(&asked(), 62, &[0xff])), None, "a question about a group");
    assert_eq!(decode_frame(&with(&asked(), 22, &[0; 16])), None, "from nobody");
    assert_eq!(
        decode_frame(&with_options(&announced(), &[2, 1, 2, 0, 0, 0xab, 0xcd, 0xef, 2])),
        None,
        "half an option"
    );
    assert_eq!(decode_frame(&with(&announced(), 62, &[0; 16])), None, "of no address");
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused_or_changes_nothing() {
    for good in [announced(), asked(), answered()] {
        let claim = decode_frame(&good);
        for length in 0..good.len() {
            assert_eq!(decode_frame(&good[..length]), None, "{length} bytes");
        }
        for bit in 0..8 * good.len() {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                // Hardware addresses, traffic class and flow label are in no checksum and nothing to us.
                0..12 | 15..18 => claim,
                14 if bit % 8 < 4 => claim,
                _ => None,
            };
            assert_eq!(decode_frame(&damaged), expected, "bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn any_frame_is_borne(
        mut frame in proptest::collection::vec(any::<u8>(), 0..200),
        good in prop_oneof![Just(announced()), Just(asked()), Just(answered())],
        whole in any::<bool>(),
        options in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = decode_frame(&frame);
        // A good beginning, so that more than the first check is reached.
        if whole {
            frame = with_options(&good, &options);
        } else {
            let length = frame.len().min(good.len());
            frame[..length].copy_from_slice(&good[..length]);
        }
        let _ = decode_frame(&frame);
    }

    #[test]
    fn what_is_written_is_read(mac: [u8; 6], address: [u8; 16], peer: [u8; 16]) {
        let [address, peer] = [address, peer].map(Ipv6Addr::from);
        prop_assume!(!address.is_multicast() && !address.is_unspecified() && !peer.is_multicast());
        let claim = Some(Claim { address, mac });
        prop_assert_eq!(decode_frame(&announce(mac, address)), claim);
        prop_assert_eq!(decode_frame(&request(mac, address, peer)), claim);
        prop_assert_eq!(decode_frame(&probe(mac, address)), None);
    }
}
