//! Neighbour discovery, as it comes in from anybody on the link.

use outrider::wire::ndp::{announce, decode_frame};

const ETHERNET: usize = 14;
const IPV6: usize = 40;

/// The input is a frame, as it is and with the fields that have only one right value put right: few get past a
/// checksum by chance.
pub fn run(data: &[u8]) {
    check(data);
    check(&repaired(data));
}

fn check(frame: &[u8]) {
    let Some(claim) = decode_frame(frame) else { return };
    let (mac, address) = (claim.mac, claim.address);
    assert!(!address.is_unspecified() && !address.is_multicast(), "{address} is nobody's address");
    assert_eq!(decode_frame(&announce(mac, address)), Some(claim), "an announcement reads as another one");
}

fn repaired(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let Some((header, message)) = frame.split_at_mut_checked(ETHERNET + IPV6) else { return frame };
    let (ethernet, ipv6) = header.split_at_mut(ETHERNET);
    ethernet[12..].copy_from_slice(&[0x86, 0xdd]);
    ipv6[0] = 0x60 | ipv6[0] & 0x0f;
    let length = message.len() as u16;
    ipv6[4..6].copy_from_slice(&length.to_be_bytes());
    ipv6[6..8].copy_from_slice(&[58, 255]);
    if message.len() > 4 {
        // One of the two kinds.
        message[0] = 135 | message[0] & 1;
        message[1] = 0;
        message[2..4].fill(0);
        let pseudo = [&ipv6[8..], &[0, 0], &length.to_be_bytes(), &[0, 0, 0, 58]].concat();
        let sum = super::checksum(&[&pseudo, message]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}
